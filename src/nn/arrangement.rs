//! The order of a tensor's elements in memory.

use crate::base::tensor::Shape;

/// An order of elements in memory: that in which kernels read them, so that no step moves them. Files have
/// the order of the tensor's shape, as PyTorch's `state_dict`; so has memory, by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrangement {
    /// The tensor's shape, axes split as far as needed.
    split: Shape,
    /// Which axis of `split` each axis in memory is; empty for the order of the shape.
    order: Vec<usize>,
}

impl Arrangement {
    /// Memory in which axis `i` is axis `order[i]` of `split`, to which the tensor's shape can be reshaped.
    pub fn new(split: &[usize], order: &[usize]) -> Self {
        Self { split: split.to_vec(), order: order.to_vec() }
    }

    /// The shape in memory of a tensor of this shape, as graphs read it.
    pub fn shape(&self, shape: &[usize]) -> Shape {
        match self.order[..] {
            [] => shape.to_vec(),
            _ => self.order.iter().map(|&axis| self.split[axis]).collect(),
        }
    }

    /// The tensor's shape with axes split, and which of these each axis in memory is; `None` if memory has the order of
    /// the shape.
    pub fn parts(&self) -> Option<(&[usize], &[usize])> {
        (!self.order.is_empty()).then_some((&self.split[..], &self.order[..]))
    }

    /// Elements in the order of the tensor's shape as they lie in memory.
    pub fn to_memory<T: Copy>(&self, data: Vec<T>) -> Vec<T> {
        match self.order[..] {
            [] => data,
            _ => self.places().map(|place| data[place]).collect(),
        }
    }

    /// Elements as they lie in memory, in the order of the tensor's shape.
    pub fn from_memory<T: Copy + Default>(&self, data: Vec<T>) -> Vec<T> {
        if self.order.is_empty() {
            return data;
        }
        let mut ordered = vec![T::default(); data.len()];
        for (place, x) in self.places().zip(data) {
            ordered[place] = x;
        }
        ordered
    }

    /// For each element in memory, its place in the order of the tensor's shape.
    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let shape = self.shape(&[]);
        let strides: Vec<usize> =
            self.order.iter().map(|&axis| self.split[axis + 1..].iter().product()).collect();
        (0..shape.iter().product()).map(move |mut at: usize| {
            let mut place = 0;
            for (extent, stride) in shape.iter().zip(&strides).rev() {
                place += at % extent * stride;
                at /= extent;
            }
            place
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arranged_elements_are_those_of_the_axes_in_another_order() {
        let arrangement = Arrangement::new(&[2, 3, 2], &[2, 0, 1]);
        let data: Vec<f32> = (0..12).map(|i| i as f32).collect();
        assert_eq!(arrangement.shape(&[2, 6]), [2, 2, 3]);
        let lying = arrangement.to_memory(data.clone());
        assert_eq!(lying, [0., 2., 4., 6., 8., 10., 1., 3., 5., 7., 9., 11.]);
        assert_eq!(arrangement.from_memory(lying), data);
        let plain = Arrangement::default();
        assert_eq!((plain.shape(&[2, 6]), plain.to_memory(data.clone())), (vec![2, 6], data));
    }
}
