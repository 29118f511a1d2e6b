//! Residual blocks of causal convolutions over the steps of a sequence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::activation::{Activation, activation};
use super::attention::check_rate;
use super::convolution::{Kernel, KernelInit};
use super::keys::{check_units, once, three_steps, yes};
use super::{Layer, Place};
use crate::graph::convolution::ConvSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Residual block of a temporal convolutional network (Bai et al. 2018, arXiv:1803.01271, figure 1b): two causal
/// convolutions over the steps of sequences, or over the rows of images, each followed by ReLU and dropout, whose
/// result is added to their input. A step sees itself and `2 (kernel - 1) dilation` steps before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemporalBlock {
    /// Output features of a step.
    pub channels: usize,
    /// Steps that a convolution reads.
    #[serde(default = "three_steps")]
    pub kernel: usize,
    /// How far apart these steps are.
    #[serde(default = "once")]
    pub dilation: usize,
    /// Dropout rate after each convolution.
    #[serde(default)]
    pub dropout: f64,
    /// Whether weights are a direction and a length (Salimans and Kingma 2016, arXiv:1602.07868), `weight_v` and
    /// `weight_g`.
    #[serde(default = "yes")]
    pub weight_norm: bool,
}

/// Largest kernel and dilation, in steps.
const MOST: usize = 65_536;

impl Layer for TemporalBlock {
    fn name(&self) -> &'static str {
        "temporal_block"
    }

    fn check(&self) -> Result<(), String> {
        check_units(self.channels)?;
        for (key, value) in [("kernel", self.kernel), ("dilation", self.dilation)] {
            if !(1..=MOST).contains(&value) {
                return Err(format!("has {key} = {value}; allowed are 1 to {MOST} steps"));
            }
        }
        check_rate(self.dropout)
    }

    fn reads_steps(&self) -> bool {
        true
    }

    /// Names follow the authors' `TemporalBlock`: `conv1`, `conv2`, `downsample`.
    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [batch, steps, across, values] = net.graph.shape(x)[..] else {
            let reason = "expected sequences or images; cut windows from a series with [data.window], or give rows a \
                          shape with `data.image.shape`";
            return Err(net.graph.error("temporal_block", &[x], reason.into()));
        };
        let x = net.graph.reshape(x, &[batch, steps, 1, across * values])?;
        let Self { channels, kernel, dilation, dropout, weight_norm } = *self;
        let name = &place.name;
        let of = |steps: usize, bias: bool| Kernel {
            channels,
            taps: [steps, 1],
            bias,
            init: KernelInit::Default,
            flat: true,
        };
        let before = [(kernel - 1) * dilation, 0];
        let causal = ConvSpec { dilation: [dilation, 1], padding: [before, [0, 0]], ..ConvSpec::default() };
        let mut h = x;
        for number in [1, 2u32] {
            let name = format!("{name}.conv{number}");
            h = match weight_norm {
                true => net.normed_convolution(&name, of(kernel, true), &causal, h)?,
                false => net.convolution(&name, of(kernel, true), &causal, h)?,
            };
            h = activation(net.graph, Activation::Relu, h)?;
            h = net.drop(net.stream_of(place, number - 1), dropout, h)?;
        }
        let mut shortcut = x;
        if across * values != channels {
            let name = format!("{name}.downsample");
            shortcut = net.convolution(&name, of(1, true), &ConvSpec::default(), x)?;
        }
        let sum = net.graph.add(h, shortcut)?;
        activation(net.graph, Activation::Relu, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, numbers, run};
    use super::*;
    use crate::base::tensor::Tensor;

    /// A causal convolution of `x` `[steps][inputs]` with `weight` `[outputs, inputs, taps]`, and ReLU.
    fn convolved(
        x: &[Vec<f64>],
        weight: &[f64],
        bias: &[f64],
        taps: usize,
        dilation: usize,
    ) -> Vec<Vec<f64>> {
        let inputs = x[0].len();
        let at = |step: usize, output: usize| {
            let mut sum = bias[output];
            for tap in 0..taps {
                let Some(from) = step.checked_sub((taps - 1 - tap) * dilation) else { continue };
                for input in 0..inputs {
                    sum += weight[(output * inputs + input) * taps + tap] * x[from][input];
                }
            }
            sum
        };
        (0..x.len()).map(|step| (0..bias.len()).map(|output| at(step, output).max(0.0)).collect()).collect()
    }

    #[test]
    fn it_is_the_formula_of_the_paper_and_no_step_sees_later_ones() {
        let (steps, inputs, channels, kernel, dilation) = (7, 2, 3, 3, 2);
        let x = numbers(steps * inputs, 0.2);
        let sizes = [
            channels * inputs * kernel,   // conv1.weight_v
            channels,                     // conv1.weight_g
            channels,                     // conv1.bias
            channels * channels * kernel, // conv2.weight_v
            channels,
            channels,
            channels * inputs, // downsample.weight
            channels,
        ];
        let weights: Vec<Vec<f64>> =
            sizes.iter().enumerate().map(|(at, &size)| numbers(size, at as f64)).collect();
        let normed = |v: &[f64], g: &[f64]| -> Vec<f64> {
            let row = v.len() / g.len();
            let scale = |at: usize| {
                let norm = v[at * row..(at + 1) * row].iter().map(|x| x * x).sum::<f64>().sqrt();
                g[at] / norm
            };
            v.iter().enumerate().map(|(at, x)| x * scale(at / row)).collect()
        };
        let rows: Vec<Vec<f64>> = x.chunks(inputs).map(<[f64]>::to_vec).collect();
        let first = convolved(&rows, &normed(&weights[0], &weights[1]), &weights[2], kernel, dilation);
        let second = convolved(&first, &normed(&weights[3], &weights[4]), &weights[5], kernel, dilation);
        let mut expected = vec![];
        for step in 0..steps {
            for output in 0..channels {
                let short: f64 =
                    (0..inputs).map(|i| weights[6][output * inputs + i] * rows[step][i]).sum::<f64>();
                expected.push((second[step][output] + short + weights[7][output]).max(0.0));
            }
        }
        let layer = TemporalBlock { channels, kernel, dilation, dropout: 0.3, weight_norm: true };
        let found = run(&layer, Tensor::new([1, steps, 1, inputs], x.clone()), &weights);
        assert_eq!(found.shape, [1, steps, 1, channels]);
        assert_near(&found.data, &expected);
        let mut later = x;
        later[5 * inputs] += 3.0;
        let changed = run(&layer, Tensor::new([1, steps, 1, inputs], later), &weights);
        assert_eq!(changed.data[..5 * channels], found.data[..5 * channels]);
        assert_ne!(changed.data[5 * channels..], found.data[5 * channels..]);
    }
}
