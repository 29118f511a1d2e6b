//! Low-rank adapters of the weights that a file's products multiply by.

use super::build::Builder;
use super::value::Outcome;
use crate::graph::{Op, ValueId};
use crate::nn::init::Init;
use crate::nn::lora::ENDS;

impl Builder<'_, '_, '_> {
    /// The product `y` of `x` `[..., in]` and a weight, each with its last two axes exchanged where `exchanged` says so,
    /// with what the adapter of the weight adds, if it has one. `A` and `B` lie as the weight does: `[r, in]` and
    /// `[out, r]` beside `[out, in]`, as in PEFT; `[in, r]` and `[r, out]` beside `[in, out]`.
    pub fn adapted(
        &mut self,
        [x, weight]: [ValueId; 2],
        [x_exchanged, weight_exchanged]: [bool; 2],
        y: ValueId,
    ) -> Outcome<ValueId> {
        let Some(lora) = self.net.lora.clone() else { return Ok(y) };
        let graph = &self.net.graph;
        let (stored, turned) = match &graph.node(weight).op {
            Op::Permute(permute) if permute.permutation == [1, 0] => (graph.node(weight).inputs[0], true),
            _ => (weight, false),
        };
        let found = self.net.parameters.iter().find(|(_, value)| *value == stored);
        let Some((parameter, _)) = found else { return Ok(y) };
        let Ok([rows, columns]) = <[usize; 2]>::try_from(&parameter.shape[..]) else { return Ok(y) };
        let layer = parameter.name.strip_suffix(".weight").unwrap_or(&parameter.name).to_string();
        if graph.shape(x).len() < 2 || !lora.layers.matches(&layer) {
            return Ok(y);
        }
        let outputs_first = turned != weight_exchanged;
        let [inputs, units] = if outputs_first { [columns, rows] } else { [rows, columns] };
        let rank = lora.rank;
        if !outputs_first && [inputs, units] == [rank; 2] {
            // Merging could not tell which way they lie.
            let reason = format!(
                "model.lora has rank = {rank}, no less than that of its weight `{:.80}`; give a lower one, or leave the \
                 weight out of its layers",
                parameter.name
            );
            return Err(reason.into());
        }
        let (of_a, of_b) = match outputs_first {
            true => ([rank, inputs], [units, rank]),
            false => ([inputs, rank], [rank, units]),
        };
        let bound = 1.0 / (inputs as f32).sqrt();
        let a = self.adapter(&layer, ENDS[0], of_a, Init::Uniform { bound })?;
        let b = self.adapter(&layer, ENDS[1], of_b, Init::Constant(0.0))?;
        let graph = &mut *self.net.graph;
        let low = graph.matmul_with(x, a, x_exchanged, outputs_first)?;
        let change = graph.matmul_with(low, b, false, outputs_first)?;
        let change = graph.mul_scalar(change, lora.scale)?;
        let change = graph.reshape(change, &graph.shape(y).clone())?;
        Ok(graph.add(y, change)?)
    }

    /// One of the two matrices of an adapter, declared where its weight is first read.
    fn adapter(&mut self, layer: &str, end: &str, shape: [usize; 2], init: Init) -> Outcome<ValueId> {
        let name = format!("{layer}{end}");
        if let Some(&known) = self.declared.get(&name) {
            return Ok(known);
        }
        let id = self.net.parameter(name.clone(), &shape, init, true)?;
        self.declared.insert(name, id);
        Ok(id)
    }
}
