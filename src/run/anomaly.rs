//! Finds the operator that produced the first non-finite number, by repeating the failing step with every
//! value of its graph kept.

use super::epochs::Trainer;
use super::job::Job;
use crate::base::step::StepRecord;
use crate::base::tensor::DType;
use crate::graph::{Graph, Op, Source, ValueId};
use crate::nn::model::ModelGraph;
use crate::plan::Part;
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;
use crate::train::engine::{Engine, Training};

/// The values of a training step that can be inspected: all numbers that the step computes or reads as its
/// batch.
fn values(graph: &ModelGraph) -> Vec<(String, ValueId)> {
    let mut needed = vec![false; graph.graph.nodes.len()];
    let mut open = vec![graph.loss];
    open.extend(graph.gradients.iter().chain(&graph.updates).map(|(_, value)| *value));
    while let Some(value) = open.pop() {
        if !std::mem::replace(&mut needed[value.index()], true) {
            open.extend(&graph.graph.node(value).inputs);
        }
    }
    let ids = (0..graph.graph.nodes.len() as u32).map(ValueId).filter(|v| needed[v.index()]);
    ids.filter(|&v| {
        let node = graph.graph.node(v);
        let computed = match &node.op {
            Op::Source(source) => matches!(source.source, Source::Batch(_)),
            Op::Constant(_) | Op::StepScalar(_) => false,
            _ => true,
        };
        computed && node.ty.dtype == DType::F32
    })
    .map(|v| (v.0.to_string(), v))
    .collect()
}

/// The earliest value on the way to `from` that is not finite.
fn origin(graph: &Graph, bad: impl Fn(ValueId) -> bool, from: ValueId) -> ValueId {
    let mut at = from;
    // Intentionally non-finite values (of masks) are not on the way.
    while let Some(&earlier) = graph.node(at).inputs.iter().find(|&&input| bad(input)) {
        at = earlier;
    }
    at
}

impl Trainer<'_> {
    /// Runs the step after `self.progress` from the weights `before` and describes where its first non-finite
    /// number comes from.
    ///
    /// # Errors
    /// If all values of the step together do not fit the device, or it fails.
    pub(super) fn anomaly(
        &mut self,
        before: &[NamedTensor],
        step: StepRecord,
        order: &[u32],
    ) -> Result<String, TrainError> {
        let Job { device, model, training, data, .. } = self.task;
        if self.engine.plays() {
            return Ok(
                "the parts of a `gan` are trained in turns, of which single operators are not kept".into()
            );
        }
        let graph = model.graph(training.rows(), true)?;
        // By this process alone.
        let training = &Training { part: Part::default(), ..training.clone() };
        let mut engine = Engine::watching(device, model, Some(training), &data.validation, &values)?;
        engine.restore(before, true)?;
        engine.set_order(0, order)?;
        engine.train(&mut [step])?;
        // The first micro-batch with a non-finite number.
        for micro_batch in 0..training.accumulate.max(1) {
            let found = Found::new(&graph, engine.results(micro_batch)?);
            if let Some(end) = found.end(&graph) {
                let first = step.batch_start as usize + micro_batch * training.rows();
                return Ok(found.tell(&graph, end, order.get(first..).unwrap_or_default()));
            }
        }
        Ok("every value and gradient of the step is finite, so that it is the update of the weights that \
            overflows"
            .into())
    }
}

/// The recorded values of a micro-batch, by node.
struct Found(Vec<Option<Vec<f32>>>);

impl Found {
    fn new(graph: &ModelGraph, results: Vec<(String, Vec<f32>)>) -> Self {
        let mut found = vec![None; graph.graph.nodes.len()];
        for (name, numbers) in results {
            if let Some(place) = name.parse().ok().and_then(|at: usize| found.get_mut(at)) {
                *place = Some(numbers);
            }
        }
        Self(found)
    }

    /// The first non-finite element of a value.
    fn bad_at(&self, value: ValueId) -> Option<usize> {
        self.0[value.index()].as_ref()?.iter().position(|x| !x.is_finite())
    }

    /// A loss, gradient or state with a non-finite number.
    fn end(&self, graph: &ModelGraph) -> Option<ValueId> {
        let kept = graph.gradients.iter().chain(&graph.updates).map(|(_, value)| *value);
        std::iter::once(graph.loss).chain(kept).find(|&value| self.bad_at(value).is_some())
    }

    /// Describes where the non-finite number in `end` comes from; `rows` are those of the micro-batch.
    fn tell(&self, graph: &ModelGraph, end: ValueId, rows: &[u32]) -> String {
        let at = origin(&graph.graph, |value| self.bad_at(value).is_some(), end);
        let element = self.bad_at(at).unwrap_or_default();
        let value = self.0[at.index()].as_ref().map_or(f32::NAN, |numbers| numbers[element]);
        let node = graph.graph.node(at);
        let place = position(element, &node.ty.shape);
        if let Op::Source(source) = &node.op {
            let (Source::Batch(name)
            | Source::Parameter(name)
            | Source::State(name)
            | Source::Gradient(name)) = &source.source;
            let row = rows.get(place.first().copied().unwrap_or(0));
            let row = row.map_or_else(String::new, |row| format!(" of training row {row}, counted from 0"));
            return format!("`{name}` is {value} at {place:?} of its batch {}{row}", node.ty);
        }
        let pass = if at > graph.loss { "backward" } else { "forward" };
        let operand = |v: &ValueId| {
            let ty = graph.graph.ty(*v);
            let largest =
                self.0[v.index()].as_ref().map(|numbers| numbers.iter().fold(0f32, |m, x| m.max(x.abs())));
            largest.map_or_else(|| ty.to_string(), |m| format!("{ty} of at most {m:e} in magnitude"))
        };
        let operands: Vec<String> = node.inputs.iter().map(operand).collect();
        format!(
            "in the {pass} pass, `{}` of {} gives {value} at {place:?} of {}; its operands: {}",
            node.op.def().name(),
            if node.layer.is_empty() { "the model" } else { &node.layer },
            node.ty,
            if operands.is_empty() { "none".into() } else { operands.join(", ") }
        )
    }
}

/// The multi-dimensional index of element `element`.
fn position(element: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = element;
    let mut indices: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&extent| {
            let index = rest % extent.max(1);
            rest /= extent.max(1);
            index
        })
        .collect();
    indices.reverse();
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_row_major() {
        assert_eq!(position(0, &[]), Vec::<usize>::new());
        assert_eq!(position(23, &[2, 3, 4]), [1, 2, 3]);
        assert_eq!(position(5, &[2, 3, 4]), [0, 1, 1]);
    }
}
