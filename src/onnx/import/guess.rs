//! Values that stand in for results that are not supported, so that the nodes behind these are looked at too: all that
//! is not supported is named at once. Their shapes are those that the file gives.

use std::collections::{BTreeMap, HashSet};

use super::mend::Freed;
use super::model::{Node, Port, Side};

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
    pub fn shape(&self, port: &Port, freed: Option<Freed>) -> Option<Vec<usize>> {
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
