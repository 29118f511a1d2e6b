//! The GPU backend: programs as WGSL compute shaders through wgpu. Only this folder names `wgpu`.
//!
//! | file | what it is |
//! |---|---|
//! | [`adapters`] | what is installed, and which adapter is taken |
//! | [`target`] | an adapter's limits as the planner's [`Target`](super::Target) |
//! | [`device`] | an opened adapter, and the [`Device`](super::Device) made of it |
//! | `guard` | wgpu's panics, silent losses and error scopes as [`DeviceError`](super::DeviceError) |
//! | `limits` | proof that a program fits, before anything is allocated |
//! | `pipelines` | shaders compiled on several threads, equal ones once |
//! | `cache` | the driver's compiled code on disk |
//! | `trusted` | the only `unsafe`: shaders without injected checks |
//! | `session` | a loaded program: buffers, bind groups, submissions |
//! | `pace` | how many steps go into one submission |
//! | `readback`, `profile` | results and times to the host |
//! | `canary` | one dispatch with a checked result before a device is believed |

pub mod adapters;
mod cache;
mod canary;
pub mod device;
mod guard;
mod limits;
pub mod pace;
mod pipelines;
mod profile;
mod readback;
mod session;
pub mod target;
mod trusted;

pub use adapters::AdapterReport;
pub use device::{GpuDevice, GpuOptions};
pub(super) use guard::quietly;
pub use limits::check;
