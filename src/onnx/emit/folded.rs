//! Weights that are computed of others, such as those of a weight normalisation: one constant.

use std::collections::BTreeMap;

use super::super::recognise::Form;
use super::{Constant, Emitted, Emitter, Value};
use crate::base::tensor::Tensor;
use crate::graph::ops::EvalContext;
use crate::graph::{Op, Source, ValueId, reference};
use crate::train::TrainError;

impl Emitter<'_> {
    /// Computes the weights of a layer that are written in another order, or as the layer's own.
    ///
    /// # Errors
    /// If they do not fit.
    pub(super) fn fold_weights(&mut self, form: &Form) -> Emitted<()> {
        match form {
            Form::Conv { w, .. } => self.fold(*w),
            Form::Recurrent(layer) => {
                let weights = [layer.w_ih, layer.w_hh].into_iter();
                weights.chain(layer.biases.into_iter().flatten()).try_for_each(|value| self.fold(value))
            }
            _ => Ok(()),
        }
    }

    /// Computes a value that depends on weights alone; leaves others as they are.
    ///
    /// # Errors
    /// If the weights do not fit.
    fn fold(&mut self, value: ValueId) -> Emitted<()> {
        let graph = self.trace.graph();
        if matches!(graph.node(value).op, Op::Source(_) | Op::Constant(_)) || self.values.contains_key(&value)
        {
            return Ok(());
        }
        let (mut bindings, mut last, mut open) = (BTreeMap::new(), String::new(), vec![value]);
        while let Some(value) = open.pop() {
            let node = graph.node(value);
            open.extend(&node.inputs);
            let source = match &node.op {
                Op::Source(source) => source,
                Op::Random(_) | Op::StepScalar(_) => return Ok(()),
                _ => continue,
            };
            if !matches!(source.source, Source::Parameter(_) | Source::State(_)) {
                return Ok(());
            }
            let Value::Constant(weights) = self.source_value(value, &source.source, &source.ty.shape)? else {
                return Ok(());
            };
            let data = weights.data.iter().map(|&x| f64::from(x)).collect();
            bindings.insert(value, Tensor::new(weights.shape, data));
            // Of `weight_g` and `weight_v` the latter.
            last = std::cmp::max(last, weights.name);
        }
        let found = reference::evaluate(graph, &bindings, &EvalContext::default(), &[value]);
        let found = found.map_err(|error| TrainError::Input(error.to_string()))?;
        for Tensor { shape, data } in found {
            let data = data.into_iter().map(|x| x as f32).collect();
            let name = last.trim_end_matches("_v").to_string();
            self.values.insert(value, Value::Constant(Constant { name, shape, data }));
        }
        Ok(())
    }
}
