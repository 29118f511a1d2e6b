//! A file's graph in plain terms: nodes with functions written out, tensors by name, inputs and outputs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::proto::{self, element, kind};
use super::known::{self, Kind, Known, type_name};

/// A tensor of a file.
#[derive(Clone, Debug)]
pub enum Stored {
    /// Numbers in single precision: parameters, or constants.
    Weights {
        /// Extents.
        shape: Vec<usize>,
        /// Elements.
        data: Arc<Vec<f32>>,
    },
    /// Integers or truth values.
    Known(Known),
    /// Texts: names of classes.
    Texts {
        /// Extents.
        shape: Vec<usize>,
        /// Elements.
        data: Arc<Vec<String>>,
    },
    /// One that cannot be read, and why.
    Refused(String),
}

/// An extent of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// A number.
    Fixed(usize),
    /// Any number; the same wherever it has this name.
    Named(String),
    /// Any number.
    Free,
}

/// What goes in or comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its elements: [`element`].
    pub elements: i32,
    /// Its extents, if the file tells how many there are.
    pub shape: Option<Vec<Side>>,
}

/// An operation.
#[derive(Debug, Default)]
pub struct Node {
    /// The operator; with its domain, unless it is a standard one.
    pub op: String,
    /// Its name, or that of its first result.
    pub name: String,
    /// Operands; empty for those left out.
    pub inputs: Vec<String>,
    /// Results; empty for those left out.
    pub outputs: Vec<String>,
    /// Version of the operator set.
    pub opset: i64,
    /// Its attributes.
    pub attributes: Vec<proto::Attribute>,
    /// Graphs among its attributes, by attribute.
    pub graphs: Vec<(String, Body)>,
    /// Attributes that were looked at, and of those that are of another type than the operator's, which that is.
    pub(super) looked_at: Mutex<BTreeMap<String, Option<&'static str>>>,
}

/// The graph of a node.
#[derive(Debug, Default)]
pub struct Body {
    /// Its nodes in order.
    pub nodes: Vec<Node>,
    /// Its results.
    pub outputs: Vec<String>,
    /// Its tensors.
    pub tensors: BTreeMap<String, Stored>,
}

/// A model of a file.
#[derive(Debug, Default)]
pub struct Source {
    /// Nodes in order.
    pub nodes: Vec<Node>,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, Stored>,
    /// What the file says of values in between, by name.
    pub between: BTreeMap<String, Port>,
    /// Whether it computes in double precision anywhere.
    pub has_doubles: bool,
    /// Version of the standard operators.
    pub opset: i64,
    /// The program that wrote it.
    pub producer: String,
}

impl Node {
    /// A node with one result and no graphs, called as its result.
    pub fn plain(
        op: &str,
        output: &str,
        inputs: Vec<String>,
        opset: i64,
        attributes: Vec<proto::Attribute>,
    ) -> Self {
        let (op, name, outputs) = (op.to_string(), output.to_string(), vec![output.to_string()]);
        Self { op, name, inputs, outputs, opset, attributes, ..Self::default() }
    }

    /// How messages call it.
    pub fn label(&self) -> String {
        format!("node `{:.120}` ({:.60})", self.name, self.op)
    }

    /// The attribute of this name; it then counts as looked at.
    pub fn attribute(&self, name: &str) -> Option<&proto::Attribute> {
        self.looked_at().entry(name.to_string()).or_insert(None);
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The attribute of this name, if it is of a type, one of [`kind`]. Of another one it is a problem of the node.
    fn typed(&self, name: &str, kind: i32, what: &'static str) -> Option<&proto::Attribute> {
        let found = self.attribute(name)?;
        if found.is(kind) {
            return Some(found);
        }
        self.looked_at().insert(name.to_string(), Some(what));
        None
    }

    fn looked_at(&self) -> MutexGuard<'_, BTreeMap<String, Option<&'static str>>> {
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is such an attribute.
    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// The integer `name`; some programs leave out a 0.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.typed(name, kind::INT, "an integer").map_or(default, |a| a.i.unwrap_or(0))
    }

    /// The number `name`.
    pub fn float(&self, name: &str, default: f64) -> f64 {
        // As it was meant: 1e-5 is stored as the nearest number of single precision.
        let number = |x: f32| x.to_string().parse().unwrap_or(f64::from(x));
        self.typed(name, kind::FLOAT, "a number").map_or(default, |a| number(a.f.unwrap_or(0.0)))
    }

    /// The numbers `name`.
    pub fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.typed(name, kind::FLOATS, "a list of numbers").map(|a| a.floats.clone())
    }

    /// The integers `name`.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.typed(name, kind::INTS, "a list of integers").map(|a| a.ints.clone())
    }

    /// The text `name`.
    pub fn text(&self, name: &str, default: &str) -> String {
        let text = self.typed(name, kind::STRING, "a text").map(|a| a.s.as_deref().unwrap_or_default());
        text.map_or_else(|| default.to_string(), |s| String::from_utf8_lossy(s).into_owned())
    }

    /// The texts `name`.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let strings = self.typed(name, kind::STRINGS, "a list of texts").map(|a| a.strings.clone());
        strings.unwrap_or_default().iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect()
    }

    /// The attribute that is of another type than the operator's, if one is.
    pub fn mistyped(&self) -> Option<String> {
        let looked_at = self.looked_at();
        let (name, what) = looked_at.iter().find_map(|(name, what)| Some((name, (*what)?)))?;
        Some(format!("its attribute `{name:.80}` is not {what}"))
    }

    /// Why its attributes are not all supported, if they are not: of one that nothing looked at, or of another type, not
    /// everything that it says is done.
    pub fn refused_attributes(&self) -> Option<String> {
        if let Some(reason) = self.mistyped() {
            return Some(reason);
        }
        let looked_at = self.looked_at();
        let names = self.attributes.iter().map(|attribute| attribute.name.as_str());
        let names: Vec<&str> = names.filter(|name| !looked_at.contains_key(*name)).collect();
        (!names.is_empty()).then(|| format!("the attribute `{:.200}` is not supported", names.join("`, `")))
    }
}

/// A tensor of a file: floating-point numbers as weights.
pub fn stored(tensor: &proto::Tensor, directory: &Path) -> Stored {
    if tensor.data_type == element::STRING {
        return match known::read_texts(tensor) {
            Ok((shape, data)) => Stored::Texts { shape, data: Arc::new(data) },
            Err(reason) => Stored::Refused(reason),
        };
    }
    match known::read(tensor, directory) {
        Ok(Known { kind: Kind::Float, shape, data }) => {
            let large = |x: &&f64| x.is_finite() && !(**x as f32).is_finite();
            if let Some(x) = data.iter().find(large) {
                return Stored::Refused(format!("it holds {x}, which is too large for single precision"));
            }
            Stored::Weights { shape, data: Arc::new(data.into_iter().map(|x| x as f32).collect()) }
        }
        Ok(known) => Stored::Known(known),
        Err(reason) => Stored::Refused(reason),
    }
}

impl Port {
    /// Its type and shape, for people: `float [N, 3, 224, 224]`.
    pub fn describe(&self) -> String {
        let side = |side: &Side| match side {
            Side::Fixed(n) => n.to_string(),
            Side::Named(name) => name.chars().take(40).collect(),
            Side::Free => "?".into(),
        };
        let elements = if self.elements == 0 { "no tensor".into() } else { type_name(self.elements) };
        match &self.shape {
            Some(shape) => format!("{elements} [{}]", shape.iter().map(side).collect::<Vec<_>>().join(", ")),
            None => elements,
        }
    }

    /// Whether its elements are numbers of any precision.
    pub fn is_float(&self) -> bool {
        matches!(self.elements, element::FLOAT | element::DOUBLE | element::FLOAT16 | element::BFLOAT16)
    }
}
