//! The only unsafe code of the GPU backend: shaders compiled without wgpu's injected checks, and the driver's
//! compiled code loaded from disk.
//!
//! The checks cost 1.3 to 2 times the run time of a matrix product and stop drivers from unrolling loops.
//! They are unnecessary because kernels are in bounds by construction: `Program::validate` shows that every
//! slice lies in its buffer, shapes are constants of the shader, shaders test indices read from data
//! themselves, and all loops are bounded. The tests run every kernel both ways.
#![allow(unsafe_code, reason = "wgpu marks both functions unsafe; see each SAFETY comment")]

/// Compiles WGSL, with wgpu's checks of indices, divisions and loops if `checked`.
pub fn shader_module(device: &wgpu::Device, name: &str, source: &str, checked: bool) -> wgpu::ShaderModule {
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(source.into()) };
    if checked {
        return device.create_shader_module(descriptor);
    }
    // SAFETY: the source comes from this crate's own shaders. Their accesses are in bounds and their loops
    // terminate for every program that `Program::validate` and `limits::check` accept (see above).
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}

/// A pipeline cache initialised with `data`.
pub fn pipeline_cache(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor =
        wgpu::PipelineCacheDescriptor { label: Some("gridlight pipelines"), data, fallback: true };
    // SAFETY: `cache::read` returns only data whose checksum shows that `get_data` produced it for this
    // adapter and driver.
    unsafe { device.create_pipeline_cache(&descriptor) }
}
