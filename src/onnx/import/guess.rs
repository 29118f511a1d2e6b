//! Values that stand in for results that are not supported, so that the nodes behind these are looked at too: all that
//! is not supported is named at once. Their shapes are those that the file gives.

use std::collections::{BTreeMap, HashSet};

use super::build::{Builder, Held, Value};
use super::mend::Freed;
use super::model::{Node, Port, Side};
use crate::base::tensor::DType;
use crate::graph::Source;

/// What is guessed.
#[derive(Debug, Default)]
pub struct Guesses {
    /// Extents by name.
    pub extents: BTreeMap<String, usize>,
    /// Values that are guessed, or computed of such.
    made: HashSet<String>,
}

impl Guesses {
    /// Whether a node reads what is guessed.
    pub fn is_behind(&self, node: &Node) -> bool {
        node.inputs.iter().any(|name| self.made.contains(name))
    }

    /// Says that values are guessed, or computed of such.
    pub fn note(&mut self, names: &[String]) {
        self.made.extend(names.iter().filter(|name| !name.is_empty()).cloned());
    }

    /// The extents that the file gives for a value, if it gives all.
    fn shape(&self, port: &Port, freed: Option<Freed>) -> Option<Vec<usize>> {
        let sides = port.shape.as_ref()?.iter().enumerate();
        let extent = |(axis, side): (usize, &Side)| match (side, freed) {
            (Side::Fixed(n), Some(freed)) if axis == 0 && *n == freed.exported => Some(freed.rows),
            (Side::Fixed(n), _) => Some(*n),
            (Side::Named(name), _) => self.extents.get(name).copied(),
            (Side::Free, _) => None,
        };
        sides.map(extent).collect()
    }
}

impl Builder<'_, '_, '_> {
    /// What stands in for a result that there is not.
    pub fn guess(&mut self, name: &str) -> Value {
        let Some(guesses) = &mut self.guesses else { return Value::Broken };
        let port = self.source.between.get(name).filter(|port| port.is_float());
        let Some(shape) = port.and_then(|port| guesses.shape(port, self.freed)) else { return Value::Broken };
        let source = Source::Parameter(format!("guess {name}"));
        match self.net.graph.source(source, &shape, DType::F32) {
            Ok(id) => {
                guesses.note(&[name.to_string()]);
                Held::new(id).into()
            }
            Err(_) => Value::Broken,
        }
    }
}
