//! Layers in sequence: appends them to a network under construction.

use super::{Layer, LayerConfig, Place};
use crate::base::tensor::Shape;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

impl Network<'_> {
    /// Appends `layers`, numbered from `first`.
    pub fn layers(
        &mut self,
        layers: &[LayerConfig],
        first: usize,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let mut h = x;
        for (number, layer) in (first..).zip(layers) {
            let before = self.parameters.len();
            h = self.layer(number, layer.layer(), h)?;
            let trained =
                self.parameters[before..].iter().map(|(p, _)| p.shape.iter().product::<usize>()).sum();
            let shape = public_shape(self.graph.shape(h));
            self.summary.push((layer.layer().name().to_string(), shape, trained));
        }
        Ok(h)
    }

    /// Appends layer number `number` to `x`.
    ///
    /// # Errors
    /// If the layer does not accept the shape of `x`.
    pub fn layer(&mut self, number: usize, layer: &dyn Layer, x: ValueId) -> Result<ValueId, GraphError> {
        let known = self.names.get(number).cloned();
        let numbered = known.is_none() && self.prefix.is_empty();
        let name = known.unwrap_or_else(|| format!("{}{number}", self.prefix));
        let place = Place { number, name };
        self.graph.set_layer(match numbered {
            true => format!("layer {number} ({})", layer.name()),
            false if place.name.is_empty() => layer.name().into(),
            false => format!("{} ({})", place.name, layer.name()),
        });
        layer.check().map_err(|reason| self.graph.error(layer.name(), &[x], reason))?;
        layer.build(self, &place, x)
    }
}

/// A shape without the batch, with images as `[C, H, W]`.
fn public_shape(shape: &[usize]) -> Shape {
    match *shape {
        [_, height, width, channels] => vec![channels, height, width],
        _ => shape[1..].to_vec(),
    }
}
