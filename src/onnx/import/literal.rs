//! A model as its file says it, for inputs of certain shapes: what `import --inputs` runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::{Builder, Value};
use super::known::Known;
use super::mend::{Freed, Mends, PROBE};
use super::model::Side;
use super::{Imported, bind_input, problem_text};
use crate::graph::{Graph, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::network::Network;
use crate::nn::tensors::Parameter;

/// A model with everything computed as its file says, for inputs of certain shapes.
#[derive(Debug)]
pub struct Literal {
    /// Its graph; inputs are named by [`source_name`] and [`index_name`].
    pub graph: Graph,
    /// Outputs by name: what they are, if that is known, or the value.
    pub outputs: Vec<(String, Result<Known, ValueId>)>,
    /// Tensors of the file, in the order of their shapes.
    pub given: Vec<(String, Arc<Vec<f32>>)>,
    parameters: Vec<Parameter>,
}

impl Literal {
    /// The order in memory of a tensor.
    pub fn arrangement(&self, name: &str) -> Arrangement {
        let found = self.parameters.iter().find(|parameter| parameter.name == name);
        found.map(|parameter| parameter.arrangement.clone()).unwrap_or_default()
    }
}

impl Imported {
    /// The model for inputs of these shapes.
    ///
    /// # Errors
    /// What is not supported, and where.
    pub fn literal(&self, shapes: &BTreeMap<String, Vec<usize>>) -> Result<Literal, String> {
        let rows = self.source.inputs.first().and_then(|port| shapes.get(&port.name)?.first().copied());
        let exported = self.exported_rows().filter(|&exported| exported > 0);
        let freed = exported.zip(rows).map(|(exported, rows)| Freed { exported, rows });
        let freed = freed.filter(|freed| freed.exported != freed.rows);
        let mut mends = Mends::default();
        if let Some(freed) = freed {
            mends.probing = true;
            let mut probe = shapes.clone();
            for shape in probe.values_mut().filter(|shape| !shape.is_empty()) {
                shape[0] = PROBE;
            }
            self.built(&probe, Some(Freed { rows: PROBE, ..freed }), &mut mends)?;
            mends.probing = false;
        }
        self.built(shapes, freed, &mut mends)
    }

    fn built(
        &self,
        shapes: &BTreeMap<String, Vec<usize>>,
        freed: Option<Freed>,
        mends: &mut Mends,
    ) -> Result<Literal, String> {
        let mut graph = Graph::new();
        let mut net = Network::new(&mut graph, false);
        let mut builder: Builder = self.builder(&mut net, freed, mends);
        for port in &self.source.inputs {
            let missing = || format!("the input `{:.80}` is missing", port.name);
            let shape = shapes.get(&port.name).ok_or_else(missing)?;
            if let Some(said) = &port.shape {
                let fits = |(axis, (side, &n)): (usize, (&Side, &usize))| match side {
                    Side::Fixed(fixed) => *fixed == n || (axis == 0 && freed.is_some()),
                    _ => true,
                };
                if said.len() != shape.len() || !said.iter().zip(shape).enumerate().all(fits) {
                    let described = port.describe();
                    return Err(format!("the input `{:.80}` is {described}, {shape:?} is given", port.name));
                }
            }
            bind_input(&mut builder, port, shape)?;
        }
        builder.run(&self.source.nodes, &|_| true);
        if !builder.problems.is_empty() {
            return Err(problem_text(&builder.problems));
        }
        let mut outputs = vec![];
        for port in &self.source.outputs {
            let missing = |_| format!("the output `{:.80}` is not computed", port.name);
            let value = match builder.named(&port.name) {
                Value::Known(known) => Ok((*known).clone()),
                value => {
                    let held = builder.hold(&value).map_err(missing)?;
                    Err(builder.first(&held).map_err(missing)?)
                }
            };
            outputs.push((port.name.clone(), value));
        }
        let Network { parameters, given, .. } = net;
        let parameters = parameters.into_iter().map(|(parameter, _)| parameter).collect();
        Ok(Literal { graph, outputs, given, parameters })
    }
}
