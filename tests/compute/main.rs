//! From a graph to kernels: operators, plans, shaders, the CPU's kernels. None of this needs a GPU.

#[path = "../common/agreement.rs"]
mod agreement;
mod attention;
mod hostile_graphs;
#[cfg(feature = "gpu")]
mod launches;
mod layering;
mod native_kernels;
mod operators;
mod plan_agrees;
#[path = "../common/planted.rs"]
mod planted;
mod shaders;
mod templates;
mod too_large;
