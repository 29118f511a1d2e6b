//! Adapters in a network under construction.

use super::arrangement::Arrangement;
use super::init::Init;
use super::lora::ENDS;
use super::network::Network;
use crate::graph::{GraphError, ValueId};

impl Network<'_> {
    /// The product `y` `[B, out]` of `x` `[B, in]` and the weight of the layer `name`, with what its adapter adds, if
    /// it has one: `A` `[r, in]` is uniform in `+-1/sqrt(in)`, `B` `[out, r]` zero at first, as in PEFT. `A` lies in
    /// memory as the features of `x` do.
    pub(super) fn adapted(
        &mut self,
        name: &str,
        arrangement: Arrangement,
        x: ValueId,
        y: ValueId,
    ) -> Result<ValueId, GraphError> {
        let Some(lora) = self.lora.clone().filter(|lora| lora.layers.matches(name)) else { return Ok(y) };
        let (inputs, units) = (self.graph.shape(x)[1], self.graph.shape(y)[1]);
        let init = Init::Uniform { bound: 1.0 / (inputs as f32).sqrt() };
        let [a, b] = ENDS.map(|end| format!("{name}{end}"));
        let a = self.arranged(a, &[lora.rank, inputs], init, arrangement)?;
        let a = self.graph.reshape(a, &[lora.rank, inputs])?;
        let b = self.parameter(b, &[units, lora.rank], Init::Constant(0.0), true)?;
        let low = self.graph.matmul_with(x, a, false, true)?;
        let change = self.graph.matmul_with(low, b, false, true)?;
        let change = self.graph.mul_scalar(change, lora.scale)?;
        self.graph.add(y, change)
    }
}
