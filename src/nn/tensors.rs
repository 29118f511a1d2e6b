//! The tensors that training changes: parameters and states.

use super::init::Init;
use crate::base::tensor::Shape;

/// A trained tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// `state_dict` name.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Initialisation.
    pub init: Init,
    /// Whether weight decay applies.
    pub decay: bool,
    /// The order of its elements in memory, if it is not that of `shape`.
    pub arrangement: Option<Arrangement>,
}

impl Parameter {
    /// Elements in the order of `shape` as they lie in memory.
    pub fn arranged<T: Copy>(&self, data: Vec<T>) -> Vec<T> {
        let Some(arrangement) = &self.arrangement else { return data };
        arrangement.places().map(|place| data[place]).collect()
    }

    /// Elements as they lie in memory, in the order of `shape`.
    pub fn in_order<T: Copy + Default>(&self, data: Vec<T>) -> Vec<T> {
        let Some(arrangement) = &self.arrangement else { return data };
        let mut ordered = vec![T::default(); data.len()];
        for (place, x) in arrangement.places().zip(data) {
            ordered[place] = x;
        }
        ordered
    }

    /// The shape that graphs read: that of its memory.
    pub fn shape_in_memory(&self) -> Shape {
        self.arrangement.as_ref().map_or_else(|| self.shape.clone(), Arrangement::shape)
    }
}

/// An order of a parameter's elements in memory: that in which kernels read them, so that no step moves
/// them. Files have the order of the parameter's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrangement {
    /// The parameter's shape, axes split as far as needed.
    pub split: Shape,
    /// Which axis of `split` each axis in memory is.
    pub order: Vec<usize>,
}

impl Arrangement {
    /// The shape in memory.
    fn shape(&self) -> Shape {
        self.order.iter().map(|&axis| self.split[axis]).collect()
    }

    /// For each element in memory, its place in the order of the parameter's shape.
    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let shape = self.shape();
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

/// A tensor that training updates without a gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// `state_dict` name.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Initial value.
    pub initial: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arranged_elements_are_those_of_the_axes_in_another_order() {
        let arrangement = Arrangement { split: vec![2, 3, 2], order: vec![2, 0, 1] };
        let parameter = Parameter {
            name: "0.weight".into(),
            shape: vec![2, 6],
            init: Init::Constant(0.0),
            decay: true,
            arrangement: Some(arrangement),
        };
        let data: Vec<f32> = (0..12).map(|i| i as f32).collect();
        assert_eq!(parameter.shape_in_memory(), [2, 2, 3]);
        let lying = parameter.arranged(data.clone());
        assert_eq!(lying, [0., 2., 4., 6., 8., 10., 1., 3., 5., 7., 9., 11.]);
        assert_eq!(parameter.in_order(lying), data);
    }
}
