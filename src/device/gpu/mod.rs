//! The GPU backend: programs as WGSL compute shaders through wgpu. Only this folder names `wgpu`.
//!
//! | file | what it is |
//! |---|---|
//! | [`adapters`] | what is installed, and which adapter is taken |
//! | `browser` | the adapter of a browser |
//! | [`target`] | what an adapter is, and its limits as a [`Target`](crate::base::target::Target) |
//! | [`device`] | an opened adapter, and the [`Device`](super::Device) made of it |
//! | `guard` | wgpu's panics, silent losses and error scopes as [`DeviceError`](super::DeviceError) |
//! | `pipelines` | shaders compiled on several threads, equal ones once |
//! | `cache` | the driver's compiled code on disk |
//! | `choices` | the tuner's choices on disk |
//! | `trusted` | the only `unsafe`: shaders without injected checks |
//! | `handle` | the opened wgpu device that sessions share |
//! | `session` | a loaded program: buffers, bind groups, submissions, launch times, tuning |
//! | `pace` | how many steps go into one submission |
//! | `readback`, `awaited` | copies results to the host; in a browser they are awaited |
//! | `canary` | one dispatch with a known result, before a device is trusted |

#[cfg(not(target_family = "wasm"))]
pub mod adapters;
#[cfg(target_family = "wasm")]
mod awaited;
#[cfg(target_family = "wasm")]
pub mod browser;
mod cache;
mod canary;
mod choices;
pub mod device;
mod guard;
mod handle;
pub mod pace;
mod pipelines;
#[cfg(not(target_family = "wasm"))]
mod readback;
mod session;
pub mod target;
mod trusted;

pub use device::{GpuDevice, GpuOptions};
#[cfg(not(target_family = "wasm"))]
pub(super) use guard::quietly;
