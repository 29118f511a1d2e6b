//! Shapes, element types and host tensors.

use std::fmt;

/// Extents of a tensor, outermost first; `[]` is a scalar.
pub type Shape = Vec<usize>;

/// Element type on the device. Every element is one 32-bit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 single precision.
    F32,
    /// Unsigned 32-bit integer: class labels, category indices, row numbers.
    U32,
}

/// Shape and element type of a value, known before anything runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Extents, outermost first.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl TensorType {
    /// A tensor of `f32`.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into(), dtype: DType::F32 }
    }

    /// A tensor of `u32`.
    pub fn u32(shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into(), dtype: DType::U32 }
    }

    /// Number of elements (1 for a scalar).
    pub fn elements(&self) -> usize {
        elements(&self.shape)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtype = match self.dtype {
            DType::F32 => "f32",
            DType::U32 => "u32",
        };
        write!(f, "{dtype}{:?}", self.shape)
    }
}

/// Number of elements of `shape` (1 for a scalar).
pub fn elements(shape: &[usize]) -> usize {
    shape.iter().fold(1, |count, &extent| count.saturating_mul(extent))
}

/// Strides of a contiguous row-major tensor, in elements.
pub fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    strides
}

/// A host tensor in double precision, row-major and contiguous; the reference computes with these. Integer
/// values (labels, indices) are stored as integral `f64`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Extents, outermost first.
    pub shape: Shape,
    /// Elements in row-major order.
    pub data: Vec<f64>,
}

impl Tensor {
    /// Creates a tensor from its elements; `data.len()` must be the product of `shape`.
    ///
    /// # Panics
    /// If the element count does not match (a bug in the caller).
    pub fn new(shape: impl Into<Shape>, data: Vec<f64>) -> Self {
        let shape = shape.into();
        assert_eq!(elements(&shape), data.len(), "element count must match shape {shape:?}");
        Self { shape, data }
    }

    /// A tensor filled with one value.
    pub fn full(shape: impl Into<Shape>, value: f64) -> Self {
        let shape = shape.into();
        let data = vec![value; elements(&shape)];
        Self { shape, data }
    }

    /// A scalar.
    pub fn scalar(value: f64) -> Self {
        Self { shape: vec![], data: vec![value] }
    }
}
