//! From a kernel to WGSL: selects the template, the specialisation and the number of workgroups.
//!
//! The bindings are the same for every kernel: group 0 holds the written operands, group 1 the read ones
//! (then the normal table, if normal numbers are drawn), group 2 the step record with a dynamic offset.
//! Everything static is a constant in the text, so equal kernels have equal text and share a pipeline.

pub(super) mod bindings;
pub mod copies;
mod join;
pub(super) mod rows;
mod uniform;

use super::Kernel;
use crate::base::target::{Family, Target};
use crate::shader::{Template, TemplateError, Text};

/// A kernel, or several that run concurrently, as a shader.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shader {
    /// Kernel family and template, for labels.
    pub name: String,
    /// WGSL text; the entry point is `main`.
    pub source: String,
    /// The same text in parts.
    pub text: Text,
    /// Workgroups in x, y, z.
    pub workgroups: [u32; 3],
    /// Invocations per workgroup.
    pub lanes: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Whether read operands must stay in storage: drivers unroll loops of constant length over uniform buffers,
    /// and then compile for minutes.
    pub in_storage: bool,
    /// Read bindings that are uniform buffers.
    pub uniforms: Vec<usize>,
    /// Indices within the launch of the kernels that have the normal table bound after their read operands.
    pub normal_tables: Vec<usize>,
}

/// Why a kernel cannot be turned into a shader.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum ShaderError {
    /// A shader file is malformed.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// One invocation would run more loop iterations than drivers reliably finish.
    #[error(
        "{kernel} {shape} would run {iterations} loop iterations in one invocation, at most {limit} are \
         safe; use a smaller batch"
    )]
    TooLong {
        /// Kernel family.
        kernel: &'static str,
        /// Sizes.
        shape: String,
        /// Iterations.
        iterations: usize,
        /// Limit of the target.
        limit: u32,
    },
    /// More workgroups than a device supports.
    #[error("{0} workgroups are more than a device takes")]
    TooManyWorkgroups(usize),
}

/// Maximum workgroups in x; more are placed in y.
const GROUPS_X: usize = 65_535;
/// Default invocations per workgroup.
pub(super) const LANES: usize = 64;
/// Invocations per workgroup of small kernels and of the register template: one native vector of a software
/// driver. Being equal, these kernels can share a launch.
pub(super) const VECTOR_LANES: usize = 8;
/// Kernels with at most this many invocations are small: they cost less than a launch.
const SMALL: usize = 1024;

/// Invocations per workgroup for a kernel of `invocations` independent ones.
pub(super) fn lanes(invocations: usize, target: &Target) -> usize {
    let vectors = target.family == Family::Registers && invocations <= SMALL;
    if vectors { VECTOR_LANES } else { LANES }
}

/// The shader of `kernel` for `target`.
///
/// # Errors
/// If the kernel exceeds the limits of a dispatch.
pub fn shader(kernel: &Kernel, target: &Target) -> Result<Shader, ShaderError> {
    let iterations = kernel.iterations(target);
    if iterations > target.max_loop_iterations as usize {
        let (kernel, shape, limit) = (kernel.name(), kernel.shape(), target.max_loop_iterations);
        return Err(ShaderError::TooLong { kernel, shape, iterations, limit });
    }
    let mut shader = kernel.shader(target)?;
    if target.exact {
        for import in shader.text.imports.iter_mut().filter(|import| *import == "arithmetic") {
            *import = "exact".into();
        }
        shader.source = shader.text.source()?;
    }
    Ok(shader)
}

/// A kernel of a launch.
#[derive(Clone, Debug)]
pub struct Bound<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// Words bound to each read operand: as many as the kernel reads, or more.
    pub reads: Vec<usize>,
}

impl<'a> Bound<'a> {
    /// `kernel`, with what its signature says bound.
    pub fn new(kernel: &'a Kernel) -> Self {
        Self { kernel, reads: kernel.signature().reads.iter().map(|read| read.words).collect() }
    }
}

/// One shader for independent kernels, joined if there are several.
///
/// # Errors
/// As [`shader`].
pub fn launch(members: &[Bound], target: &Target) -> Result<Shader, ShaderError> {
    // The step record is one.
    let mut left = target.max_uniform_buffers.saturating_sub(1);
    let mut shaders = vec![];
    for member in members {
        let mut shader = shader(member.kernel, target)?;
        if target.geometry.uniforms && !shader.in_storage {
            use_uniforms(&mut shader, member, &mut left, target)?;
        }
        shaders.push(shader);
    }
    match <[Shader; 1]>::try_from(shaders) {
        Ok([shader]) => Ok(shader),
        Err(shaders) => Ok(join::join(shaders)?),
    }
}

/// Makes small read operands uniform buffers, as many as are `left`.
fn use_uniforms(
    shader: &mut Shader,
    member: &Bound,
    left: &mut usize,
    target: &Target,
) -> Result<(), TemplateError> {
    for (binding, read) in member.kernel.signature().reads.iter().enumerate() {
        // What is bound must be all that the kernel ever reads: the rows of a data set are not.
        let whole = read.words > 0 && member.reads.get(binding) == Some(&read.words);
        let small = read.words.is_multiple_of(4) && 4 * read.words <= target.max_uniform_bytes;
        if *left > 0
            && whole
            && small
            && let Some(own) = uniform::uniform(&shader.text.own, binding, read.words)
        {
            shader.text.own = own;
            shader.uniforms.push(binding);
            *left -= 1;
        }
    }
    shader.source = shader.text.source()?;
    Ok(())
}

/// `groups` workgroups of `lanes` invocations each.
pub(super) fn grid(
    name: &str,
    t: Template,
    groups: usize,
    lanes: usize,
    normal_table: bool,
) -> Result<Shader, ShaderError> {
    let groups = groups.max(1);
    let (x, y) = (groups.min(GROUPS_X), groups.div_ceil(GROUPS_X));
    if y > GROUPS_X {
        return Err(ShaderError::TooManyWorkgroups(groups));
    }
    let text = t.set("GROUPS_X", x).set("LANES", lanes).expand()?;
    Ok(Shader {
        name: name.into(),
        source: text.source()?,
        text,
        workgroups: [x as u32, y as u32, 1],
        lanes: lanes as u32,
        workgroup_bytes: 0,
        in_storage: false,
        uniforms: vec![],
        normal_tables: if normal_table { vec![0] } else { vec![] },
    })
}

/// As many workgroups as `elements` need, with `width` elements per invocation.
pub(super) fn over(
    name: &str,
    template: Template,
    elements: usize,
    width: usize,
    normal: bool,
    target: &Target,
) -> Result<Shader, ShaderError> {
    let template = template.set("ELEMENTS", elements).set("WIDTH", width);
    let lanes = lanes(elements.div_ceil(width), target);
    grid(name, template, elements.div_ceil(width * lanes), lanes, normal)
}
