//! Kernels: what devices run. Each is plain data (geometry, operands, fused scalar body) in a folder of its
//! own, which holds all there is to know about it ([`KernelDef`]): `mod.rs` geometry and cost, `native.rs`
//! the CPU implementation, `shader.rs` the choice of WGSL file and specialisation, `oracle.rs` what every
//! implementation is measured by, `sample.rs` random samples for tests.
//!
//! Operands are positions in the dispatch's `reads` and `writes`; all are contiguous row-major buffers of
//! 32-bit words. A kernel's `Body` says how loads and stores map onto them.

pub mod attention;
pub mod augment;
pub mod batch;
pub mod cross_entropy;
pub mod edges;
pub mod gather;
pub mod half;
pub mod matmul;
pub mod native;
pub mod norm;
pub mod optimizer;
pub mod oracle;
pub mod pointwise;
pub mod pool;
pub mod recurrence;
pub mod reduce;
pub mod samples;
pub mod shader;
pub mod signature;
pub mod softmax;
pub mod storage;
pub mod store;

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::base::target::Target;
use crate::oracle::Approx;
use crate::scalar::{Body, Inst};
use native::NativeRun;
use oracle::Operands;
use samples::Family;
use shader::{Shader, ShaderError};
use signature::Signature;

/// What a kernel costs at least: for reports and for splitting work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes that must cross the memory interface if every operand is moved once.
    pub bytes: u64,
}

/// What a kernel owes. One implementation per kernel, in its folder; nothing has a default, so that nothing
/// is forgotten.
pub trait KernelDef: Listed + Plain {
    /// Family name, as shown by `plan`, `verify` and `bench`.
    fn name(&self) -> &'static str;

    /// Sizes, for people: `32x128x64 NT +bias relu`.
    fn shape(&self) -> String;

    /// Floating-point operations and least bytes.
    fn cost(&self) -> Cost;

    /// The matrix products that it consists of, each as a kernel that writes its result to memory: what `gridlight bench`
    /// holds its speed against. None if it is no more than one product.
    fn products(&self) -> Vec<Kernel> {
        vec![]
    }

    /// The operands: how many words each has, and which values make sense in them.
    fn signature(&self) -> Signature;

    /// The scalar bodies over the dispatch's operands; none if what the kernel computes is fixed, or if its
    /// body has conventions of its own.
    fn bodies(&self) -> Vec<&Body> {
        vec![]
    }

    /// The same kernel writing only the given outputs (ascending), which become its writes in that order; none if it
    /// has a single one, or always writes all.
    fn keep_outputs(&self, _outputs: &[usize]) -> Option<Kernel> {
        None
    }

    /// Loop iterations that one invocation of the shader runs at most; drivers may stop an invocation that
    /// runs more than [`Target::max_loop_iterations`].
    fn iterations(&self, target: &Target) -> usize;

    /// The kernel prepared for the CPU: bodies compiled, loop order chosen; with the same bits as every other
    /// device if `exact`.
    fn native(&self, exact: bool) -> Box<dyn NativeRun>;

    /// What the kernel computes, and how far a device may be from it: changes `writes`, which hold what they
    /// held before, where the kernel writes.
    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>])
    where
        Self: Sized;

    /// The shader for a GPU.
    ///
    /// # Errors
    /// If the kernel exceeds what one dispatch can do.
    fn shader(&self, target: &Target) -> Result<Shader, ShaderError>;

    /// Random samples, for tests and `gridlight verify`.
    fn samples() -> &'static [Family]
    where
        Self: Sized;

    /// What `gridlight bench` times: from the sizes of small tables to those of large networks.
    fn benchmarks() -> Vec<Self>
    where
        Self: Sized;
}

/// A kernel of the list below.
pub trait Listed {}

/// The list of kernels. One that is not here does not compile.
macro_rules! kernels {
    ($($kernel:path),* $(,)?) => {
        $(impl Listed for $kernel {})*

        /// The samples of every kernel.
        fn families() -> impl Iterator<Item = &'static Family> {
            [$(<$kernel>::samples()),*].into_iter().flatten()
        }

        /// [`KernelDef::oracle`] of any kernel. It goes by this list, not through what a kernel carries along, so that a
        /// program that measures no kernel holds none of it.
        fn measure(kernel: &dyn KernelDef, operands: &Operands, writes: &mut [Vec<Approx>]) {
            let any: &dyn Any = kernel;
            $(if let Some(kernel) = any.downcast_ref::<$kernel>() {
                return kernel.oracle(operands, writes);
            })*
        }

        /// What `gridlight bench` times of every kernel.
        pub fn benchmarks() -> Vec<Kernel> {
            let mut all = vec![];
            $(all.extend(<$kernel>::benchmarks().into_iter().map(Kernel::new));)*
            all
        }
    };
}

kernels![
    attention::Attention,
    attention::AttentionGrad,
    batch::Batch,
    augment::Augment,
    matmul::MatMul,
    pointwise::Pointwise,
    reduce::Reduce,
    softmax::Softmax,
    cross_entropy::CrossEntropy,
    gather::Gather,
    gather::GatherGrad,
    gather::steps::GradientStep,
    edges::NeighbourSum,
    edges::EdgeDot,
    edges::EdgeSoftmax,
    pool::Pool,
    pool::PoolGrad,
    recurrence::Recurrence,
    recurrence::RecurrenceGrad,
    norm::GradientNorm,
    half::Half,
    optimizer::Optimizer,
    store::Store,
];

/// What every kernel can do because it is plain data.
pub trait Plain: Any + fmt::Debug + Send + Sync {
    /// Whether `other` is a kernel of the same type with the same contents.
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<K: Any + fmt::Debug + PartialEq + Send + Sync> Plain for K {
    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<K>() == Some(self)
    }
}

/// Any kernel: one dispatch as data, cheap to clone.
#[derive(Clone)]
pub struct Kernel(Arc<dyn KernelDef>);

impl Kernel {
    /// `kernel` as one of any.
    pub fn new(kernel: impl KernelDef) -> Self {
        Self(Arc::new(kernel))
    }

    /// The kernel as a `K`, if it is one: for code that is about one family.
    pub fn downcast<K: KernelDef>(&self) -> Option<&K> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }
}

impl Deref for Kernel {
    type Target = dyn KernelDef;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(&*other.0)
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bytes moved by a fused body over `elements`: each store once and each load at its own footprint.
pub(crate) fn body_bytes(body: &Body, shape: &[usize]) -> u64 {
    let footprint = |strides: &[isize]| -> u64 {
        (0..shape.len()).filter(|&d| strides[d] != 0).map(|d| shape[d] as u64).product()
    };
    let loads: u64 = body
        .insts
        .iter()
        .map(|inst| match inst {
            Inst::Load { view, .. } => footprint(&view.strides),
            Inst::Previous { .. } => shape.iter().map(|&s| s as u64).product(),
            _ => 0,
        })
        .sum();
    let elements: u64 = shape.iter().map(|&s| s as u64).product();
    4 * (loads + elements * body.stores.len() as u64)
}
