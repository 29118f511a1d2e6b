//! Average pooling to a given size.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::Pair;
use super::{Layer, Place};
use crate::graph::pooling::PoolSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Average pooling of images of any size to images of one: PyTorch's `AdaptiveAvgPool2d`. Pixel `i` of `n` is the
/// mean of lines `floor(i size / n)` to `ceil((i + 1) size / n)`; smaller images are repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdaptivePool {
    /// Height and width of the result.
    pub size: Pair,
}

/// Largest height and width of the result.
const MOST: usize = 1024;

impl Layer for AdaptivePool {
    fn name(&self) -> &'static str {
        "adaptive_pool"
    }

    fn check(&self) -> Result<(), String> {
        match self.size.get().into_iter().find(|n| !(1..=MOST).contains(n)) {
            Some(n) => Err(format!("has size = {n}; allowed are 1 to {MOST} pixels")),
            None => Ok(()),
        }
    }

    fn build(&self, net: &mut Network, _place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [_, height, width, _] = net.extents("adaptive_pool", x)?;
        let [high, wide] = self.size.get();
        if height.is_multiple_of(high) && width.is_multiple_of(wide) {
            return match [height / high, width / wide] {
                [1, 1] => Ok(x),
                window => net.graph.avg_pool(x, &PoolSpec::new(window)),
            };
        }
        let x = net.means_along(x, 1, high)?;
        net.means_along(x, 2, wide)
    }
}

impl Network<'_> {
    /// Means of `lines` stretches of an axis of images.
    fn means_along(&mut self, x: ValueId, axis: usize, lines: usize) -> Result<ValueId, GraphError> {
        let shape = self.graph.shape(x).clone();
        let extent = shape[axis];
        let mut parts = vec![];
        for line in 0..lines {
            let (mut from, mut to) = (vec![0; 4], shape.to_vec());
            from[axis] = line * extent / lines;
            to[axis] = ((line + 1) * extent).div_ceil(lines) - from[axis];
            let stretch = self.graph.slice(x, &from, &to)?;
            parts.push(self.graph.mean(stretch, &[axis], true)?);
        }
        self.graph.concat(&parts, axis)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, numbers, run};
    use super::*;
    use crate::base::tensor::Tensor;

    #[test]
    fn stretches_are_those_of_pytorch() {
        let channels = 2;
        for ([height, width], [high, wide]) in
            [([5, 7], [3, 6]), ([6, 4], [3, 2]), ([1, 1], [6, 6]), ([4, 9], [4, 9]), ([6, 5], [3, 2])]
        {
            let x = numbers(height * width * channels, 0.3);
            let mut expected = vec![];
            for row in 0..high {
                let rows = row * height / high..((row + 1) * height).div_ceil(high);
                for column in 0..wide {
                    let columns = column * width / wide..((column + 1) * width).div_ceil(wide);
                    for c in 0..channels {
                        let of = |r: usize| columns.clone().map(move |w| (r, w));
                        let cells: Vec<f64> = rows
                            .clone()
                            .flat_map(of)
                            .map(|(r, w)| x[(r * width + w) * channels + c])
                            .collect();
                        expected.push(cells.iter().sum::<f64>() / cells.len() as f64);
                    }
                }
            }
            let layer = AdaptivePool { size: Pair::Each([high, wide]) };
            let found = run(&layer, Tensor::new([1, height, width, channels], x), &[]);
            assert_eq!(found.shape, [1, high, wide, channels]);
            assert_near(&found.data, &expected);
        }
    }
}
