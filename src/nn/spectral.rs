//! Spectral normalisation: weights divided by the largest factor by which their matrix lengthens a vector.

use crate::base::tensor::Shape;
use crate::graph::{GraphError, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::network::{Network, Spectral};
use crate::nn::tensors::State;
use crate::scalar::UnaryFn;

/// Least length that a vector is divided by, as PyTorch's.
const LEAST_LENGTH: f64 = 1e-12;

impl Network<'_> {
    /// The name of a layer's weights.
    pub fn weight_name(&self, layer: &str) -> String {
        match self.spectral {
            Spectral::Off => format!("{layer}.weight"),
            Spectral::Kept | Spectral::Renewed => format!("{layer}.weight_orig"),
        }
    }

    /// The weights of a layer divided by `u^T W v` (Miyato et al. 2018, arXiv:1802.05957), where `W` is the matrix
    /// `[O, K]` of all weights of each output, and the states `weight_u` and `weight_v` are renewed by a step of power
    /// iteration where training asks for it, as PyTorch's `spectral_norm` does; without a gradient through them.
    ///
    /// `weight` has its outputs along axis `outputs`, the first or the last one; the other axes are `inputs` in memory.
    pub fn spectrally_normed(
        &mut self,
        layer: &str,
        weight: ValueId,
        outputs: usize,
        inputs: Arrangement,
    ) -> Result<ValueId, GraphError> {
        if self.spectral == Spectral::Off {
            return Ok(weight);
        }
        if let Some((_, found)) = self.normed.iter().find(|(name, _)| name == layer) {
            return Ok(*found);
        }
        let shape: Shape = self.graph.shape(weight).clone();
        let count = shape[outputs];
        let others = shape.iter().product::<usize>() / count;
        let outputs_last = outputs > 0;
        let as_matrix = if outputs_last { [others, count] } else { [count, others] };
        let matrix = self.graph.reshape(weight, &as_matrix)?;
        let [u_name, v_name] = ["weight_u", "weight_v"].map(|name| format!("{layer}.{name}"));
        let even = |length: usize| 1.0 / (length as f32).sqrt();
        let mut u = self.state(u_name.clone(), &[count], even(count))?;
        let mut v = self.declare_state(State {
            name: v_name.clone(),
            shape: vec![others],
            initial: even(others),
            arrangement: inputs.clone(),
        })?;
        let lies = inputs.shape(&[others]);
        u = self.graph.reshape(u, &[count, 1])?;
        v = self.graph.reshape(v, &[others, 1])?;
        if self.spectral == Spectral::Renewed && self.training && !self.is_frozen(&self.weight_name(layer)) {
            let held = self.graph.unary(UnaryFn::StopGradient, matrix)?;
            v = self.graph.matmul_with(held, u, !outputs_last, false)?;
            v = self.of_length_one(v)?;
            u = self.graph.matmul_with(held, v, outputs_last, false)?;
            u = self.of_length_one(u)?;
            let stored = [(u_name, u, vec![count]), (v_name, v, lies)];
            for (name, value, shape) in stored {
                let value = self.graph.reshape(value, &shape)?;
                self.updates.push((name, value));
            }
        }
        let lengthened = self.graph.matmul_with(matrix, v, outputs_last, false)?;
        let along = self.graph.mul(u, lengthened)?;
        let sigma = self.graph.sum(along, &[0, 1], true)?;
        let sigma = self.graph.reshape(sigma, &vec![1; shape.len()])?;
        let normed = self.graph.div(weight, sigma)?;
        self.normed.push((layer.into(), normed));
        Ok(normed)
    }

    /// A column divided by its length.
    fn of_length_one(&mut self, x: ValueId) -> Result<ValueId, GraphError> {
        let squares = self.graph.unary(UnaryFn::Square, x)?;
        let sum = self.graph.sum(squares, &[0, 1], true)?;
        self.graph.formula([x, sum], |[x, sum]| x / sum.sqrt().maximum(LEAST_LENGTH))
    }
}
