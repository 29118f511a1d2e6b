//! An opened adapter.

use std::sync::{Arc, Mutex, OnceLock};

use super::choices::Choices;
use super::guard::Guard;
use super::handle::Gpu;
use super::session::{GpuSession, ShaderOf, strides};
use super::{cache, canary, pipelines, target};
use crate::base::target::{Family, Geometry, Target};
use crate::device::cpu::host;
use crate::device::group::{self, Copies, LoadsCopies};
use crate::device::tuning::{Tuned, Tuning};
use crate::device::{Device, DeviceError, DeviceInfo, Session, limits};
use crate::kernels::shader::copies::copies as copies_of;
use crate::kernels::shader::{self, Shader};
use crate::plan::{Dispatch, Program};

/// GPU options. The defaults read `GRIDLIGHT_KERNELS` and `GRIDLIGHT_CHECKED_SHADERS` from the environment.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Kernel family; by default the one that suits the adapter.
    pub family: Option<Family>,
    /// Compile shaders with wgpu's checks of indices, divisions and loops: slower, for debugging.
    pub checked: Option<bool>,
    /// Exchange values within subgroups where the adapter supports it (the default).
    pub subgroups: Option<bool>,
    /// Compute the same bits as every other device.
    pub exact: bool,
    /// Use only the limits every WebGPU implementation guarantees, whatever the adapter offers.
    pub minimum_limits: bool,
    /// Skip the test dispatch: for null drivers, which compile shaders but compute nothing.
    pub untested: bool,
    /// Whether layouts of shaders are measured.
    pub tuning: Tuning,
    /// Layout of shaders that were not measured; by default the usual one of the kernel family.
    pub geometry: Option<Geometry>,
}

/// A GPU as a device. Clones are the same device.
#[derive(Clone)]
pub struct GpuDevice {
    gpu: Arc<Gpu>,
    info: DeviceInfo,
    target: Target,
    tuning: Tuning,
}

impl GpuDevice {
    /// Opens `adapter` with its own limits and, unless told not to, verifies with one dispatch that it
    /// computes.
    ///
    /// # Errors
    /// If the driver refuses or computes wrong results.
    #[cfg(not(target_family = "wasm"))]
    pub fn open(adapter: &wgpu::Adapter, options: &GpuOptions) -> Result<Self, DeviceError> {
        let device = pollster::block_on(Self::request(adapter, options))?;
        if !options.untested {
            canary::check(&device.gpu, &device.info, &device.target)?;
        }
        Ok(device)
    }

    /// Opens `adapter` in a browser, where that takes awaiting.
    ///
    /// # Errors
    /// If the browser refuses or computes wrong results.
    #[cfg(target_family = "wasm")]
    pub async fn open(adapter: &wgpu::Adapter, options: &GpuOptions) -> Result<Self, DeviceError> {
        let device = Self::request(adapter, options).await?;
        canary::check(&device.gpu, &device.info, &device.target).await?;
        Ok(device)
    }

    /// Opens `adapter` without testing it.
    async fn request(adapter: &wgpu::Adapter, options: &GpuOptions) -> Result<Self, DeviceError> {
        let info = adapter.get_info();
        let family = match options.family {
            Some(family) => family,
            None => target::family_from_environment()?.unwrap_or(target::family(info.device_type)),
        };
        let from_environment = || std::env::var("GRIDLIGHT_CHECKED_SHADERS").is_ok_and(|v| v == "1");
        let checked = options.checked.unwrap_or_else(from_environment);
        let limits = if options.minimum_limits { wgpu::Limits::default() } else { adapter.limits() };
        let mut wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::PIPELINE_CACHE;
        wanted.set(wgpu::Features::SUBGROUP, options.subgroups.unwrap_or(true));
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("gridlight"),
            required_features: adapter.features() & wanted,
            required_limits: limits.clone(),
            // The plan has few, large buffers, so wgpu gains nothing by allocating ahead.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        });
        let (device, queue) = request.await.map_err(|e| refused(&info.name, &e.to_string()))?;
        let has_timestamps = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let exchange = device.features().contains(wgpu::Features::SUBGROUP);
        let guard = Guard::new(device);
        let cache = guard.call("opening the pipeline cache", 0, |device| cache::open(device, &info))?;
        let record_layout = guard.call("creating a layout", 0, pipelines::record_layout)?;
        let one_size = info.subgroup_min_size == info.subgroup_max_size;
        let subgroup_size = if exchange && one_size { info.subgroup_min_size } else { 0 };
        let target = Target {
            exact: options.exact,
            geometry: options.geometry.unwrap_or(Geometry::usual(family)),
            ..target::target(&limits, family, subgroup_size)
        };
        let gpu = Gpu {
            guard,
            queue,
            limits,
            has_timestamps,
            checked,
            record_layout,
            cache,
            choices: Mutex::new(Choices::open(&info, family)),
            normal_table: OnceLock::new(),
        };
        let tuning = options.tuning;
        Ok(Self { gpu: Arc::new(gpu), info: target::info(&info), target, tuning })
    }

    /// Like [`Device::load`], with the shader of each launch for a target supplied by `shader_of`.
    ///
    /// # Errors
    /// As [`Device::load`].
    pub fn load_with(
        &self,
        program: &Program,
        shader_of: &ShaderOf,
    ) -> Result<Box<dyn Session>, DeviceError> {
        let (info, target) = (&self.info, &self.target);
        let session = GpuSession::load(&self.gpu, info, target, program, shader_of, self.tuning, 1)?;
        Ok(Box::new(session))
    }

    /// Destroys the device, as if it had been unplugged: every later use returns [`DeviceError::Lost`]. For
    /// tests of recovery.
    pub fn destroy(&self) {
        self.gpu.guard.device().destroy();
        // The callback that reports the loss runs inside `poll`; an error here is the loss itself.
        let _ = self.gpu.guard.wait(None);
    }
}

/// Why an adapter cannot be opened. wgpu distinguishes the cases only in its message text.
fn refused(name: &str, reason: &str) -> DeviceError {
    if reason.contains("lost") {
        DeviceError::Lost(format!("while opening adapter `{name}`: {reason}"))
    } else if reason.contains("memory") {
        DeviceError::OutOfMemory { bytes: 0, purpose: format!("opening adapter `{name}`") }
    } else {
        DeviceError::NoAdapter(format!("adapter `{name}` cannot be opened: {reason}"))
    }
}

/// The shader of a launch.
fn shader_of(launch: &[Dispatch], target: &Target) -> Result<Shader, DeviceError> {
    let members: Vec<_> = launch.iter().map(Dispatch::bound).collect();
    shader::launch(&members, target).map_err(|e| DeviceError::Validation(e.to_string()))
}

impl LoadsCopies for GpuDevice {
    fn load_copies(&self, program: &Program, copies: usize) -> Result<Box<dyn Copies>, DeviceError> {
        limits::check_copies(program, &self.target, copies)?;
        if self.info.kind == "software"
            && let Some(available) = host::available()
        {
            let bytes = copies as u64 * program.bytes();
            if bytes > available / 2 {
                return Err(DeviceError::HostMemory { bytes, available });
            }
        }
        let shader_of = |launch: &[Dispatch], target: &Target| {
            // Operands of many copies are larger than a uniform buffer may be. On software drivers, where uniform
            // buffers are faster, a dispatch for each copy with such operands was slower than one for all.
            let geometry = Geometry { uniforms: false, ..target.geometry };
            let shader = shader_of(launch, &Target { geometry, ..target.clone() })?;
            let strides = strides(program, launch, &shader);
            copies_of(&shader, &strides, copies).map_err(|e| DeviceError::Validation(e.to_string()))
        };
        let (info, target) = (&self.info, &self.target);
        let session = GpuSession::load(&self.gpu, info, target, program, &shader_of, self.tuning, copies)?;
        Ok(Box::new(session))
    }
}

impl Device for GpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn load(&self, program: &Program) -> Result<Box<dyn Session>, DeviceError> {
        self.load_with(program, &shader_of)
    }

    fn measured(&self, launch: &[Dispatch]) -> Option<Tuned> {
        let usual = shader_of(launch, &self.target).ok()?;
        self.gpu.choices().tuned(&usual.source).cloned()
    }

    /// Copies of one program: a launch then computes the step of every model.
    fn together(&self, program: &Program, count: usize) -> Result<Vec<Box<dyn Device + Send>>, DeviceError> {
        group::members(Box::new(self.clone()), program, count)
    }

    fn set_tuning(&mut self, tuning: Tuning) {
        self.tuning = tuning;
    }
}
