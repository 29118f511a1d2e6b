//! From a kernel to WGSL: which template, which specialisation, how many workgroups.
//!
//! Bindings, the same for every kernel: group 0 holds the written operands, group 1 the read ones (then the
//! normal table, if normal numbers are drawn), group 2 the step record with a dynamic offset. Everything static
//! is a constant of the text, so equal kernels have equal text and share a pipeline.

mod augment;
mod bindings;
mod elementwise;
mod join;
mod matmul;
mod pool;
mod recurrence;
mod reduce;

use super::Kernel;
use crate::base::target::{Family, Target};
use crate::shader::{Template, TemplateError, Text};
use bindings::declare;

/// A kernel, or several that run at the same time, as a shader.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shader {
    /// Kernel family and template, for labels.
    pub name: String,
    /// WGSL text; the entry point is `main`.
    pub source: String,
    /// The same in parts.
    pub text: Text,
    /// Workgroups in x, y, z.
    pub workgroups: [u32; 3],
    /// Invocations of a workgroup.
    pub lanes: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Kernels, by number within the launch, after whose read operands the normal table is bound.
    pub normal_tables: Vec<usize>,
}

/// A kernel that cannot be a shader.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum ShaderError {
    /// A shader file is wrong.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// One invocation would run more loop iterations than drivers are sure to finish.
    #[error(
        "{kernel} {shape} would run {iterations} loop iterations in one invocation, at most {limit} are safe; use a smaller batch"
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
    /// More workgroups than a device takes.
    #[error("{0} workgroups are more than a device takes")]
    TooManyWorkgroups(usize),
}

/// Workgroups in x; more go to y.
const GROUPS_X: usize = 65_535;
/// Invocations of a workgroup, where nothing else decides.
const LANES: usize = 64;
/// Invocations of a workgroup of small kernels and of the register template: one native vector of a software
/// driver. That they are the same lets these kernels share a launch.
const VECTOR_LANES: usize = 8;
/// Kernels of at most so many invocations are small: they cost less than a launch.
const SMALL: usize = 1024;

/// Invocations of a workgroup of a kernel of `invocations` independent ones.
fn lanes(invocations: usize, target: &Target) -> usize {
    let vectors = target.family == Family::Registers && invocations <= SMALL;
    if vectors { VECTOR_LANES } else { LANES }
}

/// The shader of `kernel` for `target`.
///
/// # Errors
/// If the kernel exceeds what one dispatch can do.
pub fn shader(kernel: &Kernel, target: &Target) -> Result<Shader, ShaderError> {
    let iterations = iterations(kernel, target);
    if iterations > target.max_loop_iterations as usize {
        let (kernel, shape, limit) = (kernel.name(), kernel.shape(), target.max_loop_iterations);
        return Err(ShaderError::TooLong { kernel, shape, iterations, limit });
    }
    let mut shader = of_kernel(kernel, target)?;
    if target.exact {
        for import in shader.text.imports.iter_mut().filter(|import| *import == "arithmetic") {
            *import = "exact".into();
        }
        shader.source = shader.text.source()?;
    }
    Ok(shader)
}

fn of_kernel(kernel: &Kernel, target: &Target) -> Result<Shader, ShaderError> {
    match kernel {
        Kernel::MatMul(k) => matmul::matmul(k, target),
        Kernel::Pointwise(k) => elementwise::pointwise(k, target),
        Kernel::Optimizer(k) => elementwise::optimizer(k, target),
        Kernel::Batch(k) => elementwise::batch(k, target),
        Kernel::Augment(k) => augment::augment(k, target),
        Kernel::Store(k) => elementwise::store(k, target),
        Kernel::Reduce(k) => reduce::reduce(k, target),
        Kernel::Softmax(k) => rows_kernel("softmax", k.rows, k.columns, target, |t| {
            t.set("ROWS", k.rows).set("COLUMNS", k.columns).flag("LOG", k.log)
        }),
        Kernel::CrossEntropy(k) => rows_kernel("cross_entropy", k.rows, k.classes, target, |t| {
            let writes = k.loss.iter().len() + k.delta.iter().len();
            let declared: Vec<String> = (0..writes).map(|i| declare(0, i, "f32")).collect();
            let output = k.delta.unwrap_or(0);
            let store = "select(bad, sub_(mul_(p, weight), wanted(c, label)), known);";
            t.set("ROWS", k.rows)
                .set("CLASSES", k.classes)
                .set_f32("SMOOTHING", k.smoothing)
                .flag("LOSS", k.loss.is_some())
                .flag("DELTA", k.delta.is_some())
                .insert("bindings", declared.join("\n"))
                .insert("nothing", "")
                .insert("store_delta", format!("write_{output}[start + c] = {store}"))
        }),
        Kernel::Gather(k) => {
            let t = Template::new("gather")
                .set("VOCABULARY", k.vocabulary)
                .set("WIDTH", k.width)
                .set("COUNT", k.count);
            grid("gather", t, (k.count * k.width).div_ceil(LANES), LANES, false)
        }
        Kernel::GatherGrad(k) => {
            let t = Template::new("gather_grad")
                .set("VOCABULARY", k.vocabulary)
                .set("WIDTH", k.width)
                .set("COUNT", k.count);
            grid("gather_grad", t, (k.vocabulary * k.width).div_ceil(LANES), LANES, false)
        }
        Kernel::Pool(k) => pool::pool(k, target),
        Kernel::PoolGrad(k) => pool::pool_grad(k, target),
        Kernel::Recurrence(k) => recurrence::recurrence(k, target),
        Kernel::RecurrenceGrad(k) => recurrence::recurrence_grad(k, target),
        Kernel::GradientNorm(k) => {
            let t = Template::new("gradient_norm").set("LEN", k.len).set("PARTIALS", k.partials());
            let t = t.set_f32("MAX_NORM", k.max_norm).flag("FINAL", k.stage == 1);
            let groups = if k.stage == 1 { 1 } else { k.partials().div_ceil(LANES) };
            grid("gradient_norm", t, groups, LANES, false)
        }
    }
}

/// One shader for `kernels` that do not depend on each other, one after the other if there are several.
///
/// # Errors
/// As [`shader`].
pub fn launch(kernels: &[&Kernel], target: &Target) -> Result<Shader, ShaderError> {
    if let [kernel] = kernels {
        return shader(kernel, target);
    }
    let members = kernels.iter().map(|kernel| shader(kernel, target));
    Ok(join::join(members.collect::<Result<_, _>>()?)?)
}

/// Loop iterations of one invocation, at most.
fn iterations(kernel: &Kernel, target: &Target) -> usize {
    match kernel {
        Kernel::MatMul(k) => 2 * k.split_len() + 64,
        Kernel::Reduce(k) => k.chunk.unwrap_or_else(|| k.reduced_len()),
        Kernel::Softmax(k) => 3 * k.columns.div_ceil(row_lanes(k.columns, target)) + 256,
        Kernel::CrossEntropy(k) => 4 * k.classes.div_ceil(row_lanes(k.classes, target)) + 512,
        Kernel::GatherGrad(k) => k.count,
        Kernel::Augment(k) => k.shape[2],
        Kernel::Pool(k) => k.axes.iter().map(|a| a.taps + 1).product(),
        Kernel::PoolGrad(k) => k.axes.iter().map(|a| a.overlap() + 1).product(),
        Kernel::Recurrence(k) => recurrence::iterations(&k.scan, &k.part),
        Kernel::RecurrenceGrad(k) => recurrence::iterations(&k.scan, &k.part),
        Kernel::GradientNorm(k) if k.stage == 1 => k.partials(),
        Kernel::GradientNorm(_) => 1024,
        _ => 0,
    }
}

/// Invocations that share a row of softmax or cross-entropy.
fn row_lanes(columns: usize, target: &Target) -> usize {
    if columns > 2048 && !target.exact { 64 } else { 1 }
}

fn rows_kernel(
    name: &str,
    rows: usize,
    columns: usize,
    target: &Target,
    fill: impl FnOnce(Template) -> Template,
) -> Result<Shader, ShaderError> {
    let lanes = row_lanes(columns, target);
    let template = fill(Template::new(name).flag("WIDE", lanes > 1));
    let shader = grid(name, template, (rows * lanes).div_ceil(LANES), LANES, false)?;
    Ok(Shader { workgroup_bytes: if lanes > 1 { 4 * LANES as u32 } else { 0 }, ..shader })
}

fn grid(
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
        normal_tables: if normal_table { vec![0] } else { vec![] },
    })
}
