//! Tensors whose elements are known before anything runs: constants, shapes, and what is computed of them.

use std::path::Path;

use super::super::proto::{self, element};
use crate::base::number::{brain, half};
use crate::base::tensor::{contiguous_strides, elements};

/// What the elements of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Numbers of any precision.
    Float,
    /// Integers.
    Int,
    /// Truth values, as 0 and 1.
    Bool,
}

impl Kind {
    /// The kind of elements of a type of [`element`]; `None` if there is none here.
    pub fn of(data_type: i32) -> Option<Self> {
        Some(match data_type {
            element::FLOAT | element::FLOAT16 | element::DOUBLE | element::BFLOAT16 => Self::Float,
            element::BOOL => Self::Bool,
            element::UINT8..=element::INT64 | element::UINT32 | element::UINT64 => Self::Int,
            _ => return None,
        })
    }
}

/// Maximum elements of a tensor that is computed before anything runs.
pub const MOST: usize = 1 << 24;

/// A tensor whose elements are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// What they are.
    pub kind: Kind,
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements, row-major; integers beyond 2^53 are rounded.
    pub data: Vec<f64>,
}

impl Known {
    /// A list of integers.
    pub fn ints(data: impl IntoIterator<Item = i64>) -> Self {
        let data: Vec<f64> = data.into_iter().map(|x| x as f64).collect();
        Self { kind: Kind::Int, shape: vec![data.len()], data }
    }

    /// The elements as integers.
    pub fn integers(&self) -> Vec<i64> {
        self.data.iter().map(|&x| x as i64).collect()
    }

    /// The only element.
    pub fn one(&self) -> Option<f64> {
        match self.data[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The elements in single precision.
    pub fn floats(&self) -> Vec<f32> {
        self.data.iter().map(|&x| x as f32).collect()
    }

    /// A function of each element.
    pub fn map(&self, kind: Kind, f: impl Fn(f64) -> f64) -> Self {
        Self { kind, shape: self.shape.clone(), data: self.data.iter().map(|&x| f(x)).collect() }
    }

    /// A tensor of `shape` whose element at each index is that of this one at the index that `from` makes of it.
    ///
    /// # Errors
    /// If it would be too large.
    pub fn reindexed(
        &self,
        shape: Vec<usize>,
        from: impl Fn(&[usize], &mut [usize]),
    ) -> Result<Self, String> {
        check_size(&shape)?;
        let strides = contiguous_strides(&self.shape);
        let (mut index, mut source) = (vec![0; shape.len()], vec![0; self.shape.len()]);
        let mut data = Vec::with_capacity(elements(&shape));
        for _ in 0..elements(&shape) {
            from(&index, &mut source);
            let at: usize = source.iter().zip(&strides).map(|(i, s)| i * s).sum();
            data.push(*self.data.get(at).ok_or("an index is out of range")?);
            advance(&mut index, &shape);
        }
        Ok(Self { kind: self.kind, shape, data })
    }

    /// Repeats extents of 1 and adds leading axes.
    ///
    /// # Errors
    /// If `shape` is none that it broadcasts to, or too large.
    pub fn broadcast(&self, shape: &[usize]) -> Result<Self, String> {
        let added = shape.len().checked_sub(self.shape.len()).ok_or("it has more axes than the result")?;
        let fits = |(&from, &to): (&usize, &usize)| from == to || from == 1;
        if !self.shape.iter().zip(&shape[added..]).all(fits) {
            return Err(format!("{:?} does not broadcast to {shape:?}", self.shape));
        }
        self.reindexed(shape.to_vec(), |index, source| {
            for (axis, place) in source.iter_mut().enumerate() {
                *place = if self.shape[axis] == 1 { 0 } else { index[axis + added] };
            }
        })
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// If it has another number of elements.
    pub fn reshaped(&self, shape: Vec<usize>) -> Result<Self, String> {
        if elements(&shape) != self.data.len() {
            return Err(format!("cannot reshape {:?} to {shape:?}", self.shape));
        }
        Ok(Self { shape, ..self.clone() })
    }
}

/// The next index of `shape` in row-major order.
fn advance(index: &mut [usize], shape: &[usize]) {
    for axis in (0..shape.len()).rev() {
        index[axis] += 1;
        if index[axis] < shape[axis] {
            return;
        }
        index[axis] = 0;
    }
}

/// Refuses shapes of more than [`MOST`] elements.
///
/// # Errors
/// If it has more.
pub fn check_size(shape: &[usize]) -> Result<(), String> {
    match shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent)) {
        Some(count) if count <= MOST => Ok(()),
        _ => Err(format!("a constant of shape {shape:?} has more than {MOST} elements")),
    }
}

/// The elements of a tensor of a file, and their kind; `directory` is where external data lie.
///
/// # Errors
/// If they are of a type that is not read, or not as many as the shape says.
pub fn read(tensor: &proto::Tensor, directory: &Path) -> Result<Known, String> {
    let kind = Kind::of(tensor.data_type)
        .ok_or_else(|| format!("elements of the type {} are not read", type_name(tensor.data_type)))?;
    let shape: Result<Vec<usize>, _> = tensor.dims.iter().map(|&n| usize::try_from(n)).collect();
    let shape = shape.map_err(|_| format!("the shape {:?} has an extent below 0", tensor.dims))?;
    let count = shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
    let count = count.ok_or_else(|| format!("the shape {shape:?} is too large"))?;
    let width = match tensor.data_type {
        element::UINT8 | element::INT8 | element::BOOL => 1,
        element::UINT16 | element::INT16 | element::FLOAT16 | element::BFLOAT16 => 2,
        element::FLOAT | element::INT32 | element::UINT32 => 4,
        _ => 8,
    };
    let external;
    let raw = if tensor.data_location == 1 {
        external = super::file::external(tensor, directory, count.saturating_mul(width))?;
        Some(&external)
    } else {
        tensor.raw_data.as_ref()
    };
    let data: Vec<f64> = match raw {
        Some(raw) => {
            if Some(raw.len()) != count.checked_mul(width) {
                return Err(format!("{} bytes are not the {count} elements of {shape:?}", raw.len()));
            }
            raw.chunks_exact(width).map(|bytes| of_bytes(bytes, tensor.data_type)).collect()
        }
        None => of_fields(tensor),
    };
    if data.len() != count {
        return Err(format!("{} elements are not the {count} of {shape:?}", data.len()));
    }
    Ok(Known { kind, shape, data })
}

/// The texts of a tensor of a file.
///
/// # Errors
/// If they are not as many as the shape says, or no UTF-8.
pub fn read_texts(tensor: &proto::Tensor) -> Result<(Vec<usize>, Vec<String>), String> {
    let shape: Result<Vec<usize>, _> = tensor.dims.iter().map(|&n| usize::try_from(n)).collect();
    let shape = shape.map_err(|_| format!("the shape {:?} has an extent below 0", tensor.dims))?;
    let count = shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
    if count != Some(tensor.string_data.len()) {
        return Err(format!("{} texts are not the elements of {shape:?}", tensor.string_data.len()));
    }
    let text =
        |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).map_err(|_| "a text is no UTF-8".to_string());
    let data: Result<Vec<String>, String> = tensor.string_data.iter().map(text).collect();
    Ok((shape, data?))
}

/// Elements that stand in fields of their type.
fn of_fields(tensor: &proto::Tensor) -> Vec<f64> {
    match tensor.data_type {
        element::FLOAT => tensor.float_data.iter().map(|&x| f64::from(x)).collect(),
        element::DOUBLE => tensor.double_data.clone(),
        element::INT64 => tensor.int64_data.iter().map(|&x| x as f64).collect(),
        element::UINT32 | element::UINT64 => tensor.uint64_data.iter().map(|&x| x as f64).collect(),
        element::FLOAT16 => tensor.int32_data.iter().map(|&x| f64::from(half(x as u16))).collect(),
        element::BFLOAT16 => tensor.int32_data.iter().map(|&x| f64::from(brain(x as u16))).collect(),
        _ => tensor.int32_data.iter().map(|&x| f64::from(x)).collect(),
    }
}

/// An element from its little-endian bytes.
fn of_bytes(bytes: &[u8], data_type: i32) -> f64 {
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(eight);
    match data_type {
        element::FLOAT => f64::from(f32::from_bits(bits as u32)),
        element::DOUBLE => f64::from_bits(bits),
        element::FLOAT16 => f64::from(half(bits as u16)),
        element::BFLOAT16 => f64::from(brain(bits as u16)),
        element::INT8 => f64::from(bits as u8 as i8),
        element::INT16 => f64::from(bits as u16 as i16),
        element::INT32 => f64::from(bits as u32 as i32),
        element::INT64 => bits as i64 as f64,
        element::BOOL => f64::from(u8::from(bits != 0)),
        _ => bits as f64,
    }
}

/// What the specification calls a type of elements.
pub fn type_name(data_type: i32) -> String {
    const NAMES: [&str; 24] = [
        "undefined",
        "float",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "double",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
        "float8e4m3fn",
        "float8e4m3fnuz",
        "float8e5m2",
        "float8e5m2fnuz",
        "uint4",
        "int4",
        "float4e2m1",
    ];
    let known = usize::try_from(data_type).ok().and_then(|at| NAMES.get(at));
    known.map_or_else(|| format!("number {data_type}"), |name| (*name).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_that_are_not_there_are_an_error() {
        let tensor = proto::Tensor { dims: vec![1 << 40, 1 << 40], data_type: 1, ..Default::default() };
        assert!(read(&tensor, Path::new("")).unwrap_err().contains("too large"));
        let tensor =
            proto::Tensor { dims: vec![3], data_type: 1, raw_data: Some(vec![0; 8]), ..Default::default() };
        assert!(read(&tensor, Path::new("")).unwrap_err().contains("8 bytes"));
        let tensor = proto::Tensor { dims: vec![-1], data_type: 1, ..Default::default() };
        assert!(read(&tensor, Path::new("")).unwrap_err().contains("below 0"));
    }
}
