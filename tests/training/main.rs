//! Training on the CPU backend: what is learned, and what is kept when something goes wrong.

mod adding;
mod adversarial_training;
mod attacks;
mod bench;
mod custom;
#[path = "../common/custom_loop.rs"]
mod custom_loop;
mod divergence;
mod documents;
#[path = "../common/examples.rs"]
mod examples;
mod explain;
#[path = "../pytorch/families.rs"]
mod families;
#[path = "../common/faults.rs"]
mod faults;
mod fit;
mod gan;
#[path = "../pytorch/gan_trajectory.rs"]
mod gan_trajectory;
mod graph_rows;
#[path = "../pytorch/graph_trajectory.rs"]
mod graph_trajectory;
mod graphs;
mod image_training;
#[path = "../pytorch/image_trajectory.rs"]
mod image_trajectory;
mod imported;
#[path = "../common/interruptions.rs"]
mod interruptions;
mod live;
mod losses;
#[path = "../common/many.rs"]
mod many;
mod many_on_cpu;
mod micro_batches;
mod mixed;
mod optimizer_state;
#[path = "../common/parts.rs"]
mod parts;
mod parts_on_cpu;
mod pixels;
mod pytorch_trajectory;
mod recompute;
mod recovery;
#[path = "../common/rings.rs"]
mod rings;
#[path = "../common/saving.rs"]
mod saving;
#[path = "../common/silent.rs"]
mod silent;
#[path = "../common/synthetic.rs"]
mod synthetic;
mod text;
mod train;
#[path = "../pytorch/trajectory.rs"]
mod trajectory;
#[path = "../pytorch/transformer_trajectory.rs"]
mod transformer_trajectory;
mod trust;
mod vae;
#[path = "../pytorch/vae_trajectory.rs"]
mod vae_trajectory;
