//! The GPU backend: programs as WGSL compute shaders through wgpu. Only this folder names `wgpu`.
//!
//! | file | what it is |
//! |---|---|
//! | [`adapters`] | the installed adapters, and which one is selected |
//! | [`target`] | an adapter's description, and its limits as a [`Target`](crate::base::target::Target) |
//! | [`device`] | an opened adapter, and its implementation of [`Device`](super::Device) |
//! | `guard` | turns wgpu's panics, silent losses and error scopes into [`DeviceError`](super::DeviceError) |
//! | `limits` | checks that a program fits, before anything is allocated |
//! | `pipelines` | compiles shaders on several threads, equal ones once |
//! | `cache` | the driver's compiled code on disk |
//! | `trusted` | the only `unsafe`: shaders without injected checks |
//! | `handle` | the opened wgpu device that sessions share |
//! | `session` | a loaded program: buffers, bind groups, submissions, launch times |
//! | `pace` | how many steps go into one submission |
//! | `readback` | copies results to the host |
//! | `canary` | one dispatch with a known result, before a device is trusted |

pub mod adapters;
mod cache;
mod canary;
pub mod device;
mod guard;
mod handle;
mod limits;
pub mod pace;
mod pipelines;
mod readback;
mod session;
pub mod target;
mod trusted;

pub use adapters::AdapterReport;
pub use device::{GpuDevice, GpuOptions};
pub(super) use guard::quietly;
pub use limits::check;
