//! A model as its file says it, for inputs of certain shapes: what `import --inputs` runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::{Builder, Value};
use super::free;
use super::known::{Kind, Known};
use super::mend::{Freed, Mends};
use super::model::Side;
use super::{Imported, bind_input, network, problem_text};
use crate::graph::{Graph, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::network::Network;
use crate::nn::tensors::Parameter;

/// Most numbers of a list that may be settings.
const MOST_SETTINGS: usize = 64;

/// A model with everything computed as its file says, for inputs of certain shapes.
#[derive(Debug)]
pub struct Literal {
    /// Its graph; inputs are named by [`source_name`] and [`index_name`].
    pub graph: Graph,
    /// What comes out.
    pub outputs: Vec<Output>,
    /// Tensors of the file, in the order of their shapes.
    pub given: Vec<(String, Arc<Vec<f32>>)>,
    parameters: Vec<Parameter>,
}

/// What comes out.
#[derive(Debug)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// What it is, if that is known, or the value.
    pub value: Result<Known, ValueId>,
    /// The texts of which the value is the places, if it is texts.
    pub texts: Option<Arc<Vec<String>>>,
}

impl Literal {
    /// The order in memory of a tensor.
    pub fn arrangement(&self, name: &str) -> Arrangement {
        let found = self.parameters.iter().find(|parameter| parameter.name == name);
        found.map(|parameter| parameter.arrangement.clone()).unwrap_or_default()
    }
}

impl Imported {
    /// The model for these inputs: of their shapes, and of the elements of integers and single numbers, which often
    /// are shapes or bounds.
    ///
    /// # Errors
    /// What is not supported, and where.
    pub fn literal(&self, inputs: &BTreeMap<String, Known>) -> Result<Literal, String> {
        let is_setting = |known: &Known| known.kind == Kind::Int || known.shape.is_empty();
        // Lists of numbers are settings, as scales are, only where nothing else will do.
        let may_be = |known: &Known| {
            is_setting(known) || (known.shape.len() == 1 && known.data.len() <= MOST_SETTINGS)
        };
        let with = |settings: &dyn Fn(&Known) -> bool| {
            let of = inputs.iter().filter(|(_, known)| settings(known));
            of.map(|(name, known)| (name.clone(), known.clone())).collect::<BTreeMap<String, Known>>()
        };
        self.check_shapes(inputs)?;
        let shapes: BTreeMap<String, Vec<usize>> =
            inputs.iter().map(|(name, known)| (name.clone(), known.shape.clone())).collect();
        let first = self.literal_with(&shapes, &with(&is_setting));
        first.or_else(|reason| self.literal_with(&shapes, &with(&may_be)).map_err(|_| reason))
    }

    /// Refuses inputs of other shapes than the file says; rows may be more or fewer if all inputs have them.
    fn check_shapes(&self, inputs: &BTreeMap<String, Known>) -> Result<(), String> {
        let free = self.exported_rows().is_some();
        for port in &self.source.inputs {
            let missing = || format!("the input `{:.80}` is missing", port.name);
            let shape = &inputs.get(&port.name).ok_or_else(missing)?.shape;
            let Some(said) = &port.shape else { continue };
            let fits = |(axis, (side, &n)): (usize, (&Side, &usize))| match side {
                Side::Fixed(fixed) => *fixed == n || (axis == 0 && free),
                _ => true,
            };
            if said.len() != shape.len() || !said.iter().zip(shape).enumerate().all(fits) {
                let described = port.describe();
                return Err(format!("the input `{:.80}` is {described}, {shape:?} is given", port.name));
            }
        }
        Ok(())
    }

    fn literal_with(
        &self,
        shapes: &BTreeMap<String, Vec<usize>>,
        settings: &BTreeMap<String, Known>,
    ) -> Result<Literal, String> {
        let rows = self.source.inputs.first().and_then(|port| shapes.get(&port.name)?.first().copied());
        let exported = self.exported_rows().filter(|&exported| exported > 0);
        let freed = exported.zip(rows).map(|(exported, rows)| Freed { exported, rows });
        let freed = freed.filter(|freed| freed.exported != freed.rows);
        let mut mends = match freed {
            None => Mends::default(),
            Some(freed) => {
                let single = settings.iter().filter(|(_, known)| known.shape.is_empty());
                let single = single.map(|(name, known)| (name.clone(), known.clone())).collect();
                self.free_rows(freed.exported, shapes, &single)?
            }
        };
        self.built(shapes, settings, freed, &mut mends)
    }

    /// Where shapes hold the rows, of which the model was exported with `exported`; the first extents of `shapes`
    /// are any.
    pub(super) fn free_rows(
        &self,
        exported: usize,
        shapes: &BTreeMap<String, Vec<usize>>,
        settings: &BTreeMap<String, Known>,
    ) -> Result<Mends, String> {
        free::search(exported, |rows, mends| {
            self.with_rows(Freed { exported, rows }, shapes, settings, mends)
        })
    }

    /// Whether what it gives for a row depends on the other rows of a batch, if these are free in the file.
    pub(super) fn mixes_rows(&self, sizes: &BTreeMap<String, usize>) -> bool {
        let Some(exported) = self.exported_rows().filter(|&exported| exported == 0) else { return false };
        let Ok(shapes) = self.tried_shapes(sizes) else { return false };
        let Some(output) = network::predicting(self) else { return false };
        free::mixes_rows(|rows| {
            let mut graph = Graph::new();
            let mut net = Network::new(&mut graph, false);
            let (shapes, mut mends) = (of_rows(&shapes, rows), Mends::default());
            let mut builder = self.builder(&mut net, Some(Freed { exported, rows }), &mut mends);
            // As an experiment has it, with layers that are trained.
            builder.literal = false;
            for port in &self.source.inputs {
                if let Some(shape) = shapes.get(&port.name) {
                    bind_input(&mut builder, port, shape)?;
                }
            }
            builder.run(&self.source.nodes, &|_| true);
            let value = builder.named(output);
            let missing = |_| format!("the output `{output:.80}` is not computed");
            let held = builder.hold(&value).map_err(missing)?;
            let value = builder.first(&held).map_err(missing)?;
            Ok(free::Built::of(net, vec![value]))
        })
    }

    /// The model for a number of rows; the first extents of `shapes` are any.
    fn with_rows(
        &self,
        freed: Freed,
        shapes: &BTreeMap<String, Vec<usize>>,
        settings: &BTreeMap<String, Known>,
        mends: &mut Mends,
    ) -> Result<free::Built, String> {
        let shapes = of_rows(shapes, freed.rows);
        let mut graph = Graph::new();
        let mut net = Network::new(&mut graph, false);
        let outputs = self.appended(&mut net, &shapes, settings, Some(freed), mends)?;
        let outputs = outputs.into_iter().filter_map(|output| output.value.err()).collect();
        Ok(free::Built::of(net, outputs))
    }

    fn built(
        &self,
        shapes: &BTreeMap<String, Vec<usize>>,
        settings: &BTreeMap<String, Known>,
        freed: Option<Freed>,
        mends: &mut Mends,
    ) -> Result<Literal, String> {
        let mut graph = Graph::new();
        let mut net = Network::new(&mut graph, false);
        let outputs = self.appended(&mut net, shapes, settings, freed, mends)?;
        let Network { parameters, given, .. } = net;
        let parameters = parameters.into_iter().map(|(parameter, _)| parameter).collect();
        Ok(Literal { graph, outputs, given, parameters })
    }

    /// Appends the model to a network.
    fn appended(
        &self,
        net: &mut Network,
        shapes: &BTreeMap<String, Vec<usize>>,
        settings: &BTreeMap<String, Known>,
        freed: Option<Freed>,
        mends: &mut Mends,
    ) -> Result<Vec<Output>, String> {
        let mut builder: Builder = self.builder(net, freed, mends);
        for port in &self.source.inputs {
            let Some(shape) = shapes.get(&port.name) else { continue };
            match settings.get(&port.name) {
                Some(known) => builder.bind(&port.name, known.clone().into()),
                None => bind_input(&mut builder, port, shape)?,
            }
        }
        builder.run(&self.source.nodes, &|_| true);
        if !builder.problems.is_empty() {
            return Err(problem_text(&builder.problems));
        }
        let mut outputs = vec![];
        for port in &self.source.outputs {
            let missing = |_| format!("the output `{:.80}` is not computed", port.name);
            let (value, texts) = match builder.named(&port.name) {
                Value::Known(known) => (Ok((*known).clone()), None),
                Value::Text(held, texts) => (Err(held.id), Some(texts)),
                value => {
                    let held = builder.hold(&value).map_err(missing)?;
                    (Err(builder.first(&held).map_err(missing)?), None)
                }
            };
            outputs.push(Output { name: port.name.clone(), value, texts });
        }
        Ok(outputs)
    }
}

/// The shapes of inputs with this number of rows.
fn of_rows(shapes: &BTreeMap<String, Vec<usize>>, rows: usize) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = shapes.clone();
    for shape in shapes.values_mut().filter(|shape| !shape.is_empty()) {
        shape[0] = rows;
    }
    shapes
}
