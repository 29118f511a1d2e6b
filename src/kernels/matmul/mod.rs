//! Batched matrix product with a fused epilogue: `out[b,m,n] = epilogue(sum_k A[b,m,k] * B[b,k,n])`.

pub mod convolution;
pub(super) mod direct;
pub mod native;
mod oracle;
pub(in crate::kernels) mod panels;
mod product;
mod reads;
pub(in crate::kernels) mod sample;
mod shader;
pub(in crate::kernels) mod transpose;
mod wide;
mod windows;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, Signature};
use super::{Cost, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;
use crate::scalar::Body;
pub use windows::{Left, WindowAxis, Windows};

/// Where the elements of a matrix operand lie: `offset + b*batch + row*row_stride + col*col_stride`, in
/// elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatrixView {
    /// First element.
    pub offset: usize,
    /// Elements between matrices of the batch; 0 repeats one matrix.
    pub batch: usize,
    /// Elements between rows.
    pub row: usize,
    /// Elements between columns.
    pub col: usize,
}

/// One matrix product. `A` is read operand 0, `B` read operand 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MatMul {
    /// Number of matrices.
    pub batch: usize,
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Length of each dot product.
    pub k: usize,
    /// `A`: `[batch, m, k]`.
    pub a: Left,
    /// `B`: `[batch, k, n]`.
    pub b: MatrixView,
    /// What is stored, over the iteration shape `[batch, m, n]`; `Accumulator` is the dot product.
    /// Not used for the partial results when `splits > 1`.
    pub epilogue: Body,
    /// Sums of the operand that is an output gradient, if wanted: the bias gradient.
    pub sums: Option<Sums>,
    /// In how many ordered parts `k` is cut. With more than one, write 0 receives partial products
    /// `[splits, batch, m, n]`, which a `Reduce` kernel adds up in order; the epilogue then only stores the
    /// accumulator.
    pub splits: usize,
}

/// Sums over `k` that are computed along with a product: of the rows of `A`, `sum_k A[0,m,k]` (`[m]`; needs
/// `batch == 1`), if that is a matrix; if it is windows, of the columns of `B`, `sum_k B[b,k,n]`
/// (`[batch, n]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sums {
    /// Position in `writes` of the partial sums of each part, `[parts, ..]`.
    pub output: usize,
    /// In how many ordered parts `k` is cut for them; as many as `splits`, unless `A` is windows.
    pub parts: usize,
}

impl MatMul {
    /// Whether this is a convolution or the gradient of one.
    pub fn is_convolution(&self) -> bool {
        matches!(self.a, Left::Windows(_))
    }

    /// Elements of `k` in each part.
    pub fn split_len(&self) -> usize {
        self.k.div_ceil(self.splits.max(1))
    }

    /// How many [`Sums`] there are in each part.
    pub fn sums_len(&self) -> usize {
        self.a.sums_len(self.batch, self.m, self.n)
    }
}

impl KernelDef for MatMul {
    fn name(&self) -> &'static str {
        if self.is_convolution() { "conv" } else { "matmul" }
    }

    fn shape(&self) -> String {
        let batch = if self.batch > 1 { format!("{}x ", self.batch) } else { String::new() };
        let t = |v: &MatrixView| if v.col <= v.row || v.col == 1 { 'N' } else { 'T' };
        let ta = match &self.a {
            Left::Matrix(view) => t(view),
            Left::Windows(windows) if windows.swapped => 'T',
            Left::Windows(_) => 'N',
        };
        let mut text = format!("{batch}{}x{}x{} {ta}{}", self.m, self.n, self.k, t(&self.b));
        if let Left::Windows(Windows { axes: [down, along], channels, .. }) = &self.a {
            text += &format!(" windows {}x{}x{channels}", down.taps, along.taps);
        }
        if self.epilogue.flops() > 0 {
            text += &format!(" +{} ops", self.epilogue.flops());
        }
        if self.sums.is_some() {
            text += if self.is_convolution() { " +column sums" } else { " +row sums" };
        }
        if self.splits > 1 {
            text += &format!(" /{} parts", self.splits);
        }
        text
    }

    fn cost(&self) -> Cost {
        let (b, m, n, k) = (self.batch as u64, self.m as u64, self.n as u64, self.k as u64);
        let a_elements = match &self.a {
            Left::Matrix(view) => m * k * if view.batch == 0 { 1 } else { b },
            Left::Windows(windows) => b * windows.footprint() as u64,
        };
        let b_matrices = if self.b.batch == 0 { 1 } else { b };
        let operands = 4 * (a_elements + b_matrices * k * n);
        let outputs = 4 * (self.splits as u64 - 1) * b * m * n;
        let sums = if self.sums.is_some() { self.sums_len() as u64 * k } else { 0 };
        Cost {
            flops: 2 * b * m * n * k + self.epilogue.flops() * b * m * n + sums,
            bytes: operands + outputs + super::body_bytes(&self.epilogue, &[self.batch, self.m, self.n]),
        }
    }

    fn signature(&self) -> Signature {
        let end = |v: &MatrixView, rows: usize, columns: usize| {
            let last = |n: usize, stride: usize| n.saturating_sub(1) * stride;
            1 + v.offset + last(self.batch, v.batch) + last(rows, v.row) + last(columns, v.col)
        };
        let a = match &self.a {
            Left::Matrix(view) => end(view, self.m, self.k),
            Left::Windows(windows) => windows.end(self.batch),
        };
        let b = end(&self.b, self.k, self.n);
        let mut signature = Signature::new(&[(a, Content::Normal), (b, Content::Normal)], &[]);
        // Whether a weight outside the image counts is left open.
        signature.reads[1].takes_nan = !self.is_convolution();
        signature.add_body(&self.epilogue, &[self.batch, self.m, self.n]);
        let parts = self.splits.max(1);
        if parts > 1 {
            signature.add_write(0, parts * self.batch * self.m * self.n);
        }
        if let Some(sums) = self.sums {
            signature.add_write(sums.output, sums.parts * self.sums_len());
        }
        signature
    }

    fn bodies(&self) -> Vec<&Body> {
        vec![&self.epilogue]
    }

    fn iterations(&self, _target: &Target) -> usize {
        let sums = self.sums.map_or(0, |sums| self.k.div_ceil(sums.parts));
        (2 * self.split_len()).max(sums) + 64
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        match &self.a {
            Left::Matrix(a) => Box::new(native::NativeMatMul::new(self, *a, exact)),
            Left::Windows(windows) => Box::new(convolution::NativeConvolution::new(self, windows, exact)),
        }
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::matmul(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("matmul", sample::matmul), ("conv", sample::conv)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
