//! A model that was exported with a fixed number of rows, for any number of them: where its shapes hold the rows is
//! found ([`super::mend`]), and that it then gives for each row what the file gives for that row is checked in
//! numbers, on the reference.
//!
//! Of a shape that does not tell where the rows lie, every axis that may hold them is tried, in order, together with
//! those of all other such shapes, until a model fits together and passes the check.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mend::{Mends, PROBE};
use super::{index_port, source_port};
use crate::base::rng;
use crate::base::tensor::{DType, Tensor, elements};
use crate::graph::ops::{EvalContext, Lowering};
use crate::graph::reference::evaluate;
use crate::graph::{Graph, Op, Source, ValueId};
use crate::nn::network::Network;

/// How many ways are tried at most.
const WAYS: usize = 512;
/// Multiplications and other steps of all checks at most, where shapes leave a choice.
const MOST_WORK: f64 = 1e9;
/// The same where they do not: what takes more is not checked.
const MOST_WORK_WITHOUT_CHOICE: f64 = 5e7;
/// Elements of all values of a check at most.
const MOST_ELEMENTS: f64 = 3e7;
/// How many times the rows of the file are checked at once.
const TIMES: usize = 3;
/// Largest difference, of the size of the outputs: both are computed in double precision.
const TOLERANCE: f64 = 1e-9;

/// A model built for a number of rows.
pub struct Built {
    graph: Graph,
    outputs: Vec<ValueId>,
    given: BTreeMap<String, Vec<f64>>,
}

impl Built {
    /// The model that a network is.
    pub fn of(net: Network, outputs: Vec<ValueId>) -> Self {
        let Network { graph, parameters, given, .. } = net;
        let graph = std::mem::take(graph);
        let in_memory = |(name, data): &(String, Arc<Vec<f32>>)| {
            let found = parameters.iter().find(|(parameter, _)| parameter.name == *name);
            let data: Vec<f64> = data.iter().map(|&x| f64::from(x)).collect();
            let data = match found {
                Some((parameter, _)) => parameter.arrangement.to_memory(data),
                None => data,
            };
            (name.clone(), data)
        };
        let given = given.iter().map(in_memory).collect();
        Self { graph, outputs, given }
    }

    /// Elements of all values.
    fn elements(&self) -> f64 {
        self.graph.nodes.iter().map(|node| node.ty.elements() as f64).sum()
    }

    /// Multiplications and other steps of an evaluation, at most.
    fn work(&self) -> f64 {
        let mut work = 0.0;
        for node in &self.graph.nodes {
            let types: Vec<_> = node.inputs.iter().map(|&input| self.graph.ty(input)).collect();
            let count = node.ty.elements() as f64;
            let read: f64 = types.iter().map(|ty| ty.elements() as f64).sum();
            work += match node.op.def().lower(&types, &node.ty) {
                Lowering::MatMul { .. } | Lowering::Conv { .. } | Lowering::Kernel { .. } => {
                    let columns = node.ty.shape.last().copied().unwrap_or(1).max(1);
                    let other = types.get(1).map_or(1, |ty| ty.elements() / columns).max(1);
                    count * other as f64
                }
                _ => count + read,
            };
        }
        work
    }

    /// The outputs for rows from `first` on, of which there are `rows`.
    fn run(&self, first: usize, rows: usize) -> Result<Vec<Tensor>, String> {
        let least = |node: &crate::graph::Node| match node.op {
            Op::Gather(_) => self.graph.shape(node.inputs[0]).first().copied(),
            _ => None,
        };
        let categories = self.graph.nodes.iter().filter_map(least).min().unwrap_or(1).max(1);
        let sources = || {
            let source = |(at, node): (usize, &'_ crate::graph::Node)| match &node.op {
                Op::Source(op) => Some((ValueId(at as u32), op.source.clone(), node.ty.clone())),
                _ => None,
            };
            self.graph.nodes.iter().enumerate().filter_map(source)
        };
        let indices: Vec<String> = sources()
            .filter(|(.., ty)| ty.dtype == DType::U32)
            .filter_map(|(_, source, _)| input_of(&source).map(str::to_string))
            .collect();
        let mut bindings = BTreeMap::new();
        for (id, source, ty) in sources() {
            let count = ty.elements();
            let (Source::Batch(name)
            | Source::Parameter(name)
            | Source::State(name)
            | Source::Gradient(name)) = &source;
            let data = match (self.given.get(name), input_of(&source)) {
                (Some(data), _) => data.clone(),
                (None, Some(port)) => {
                    let width = count / rows.max(1);
                    let is_index = indices.iter().any(|name| name == port);
                    let number = |at: usize| drawn(port, first * width + at, is_index.then_some(categories));
                    (0..count).map(number).collect()
                }
                (None, None) => return Err(format!("`{name:.80}` has no value")),
            };
            bindings.insert(id, Tensor { shape: ty.shape, data });
        }
        evaluate(&self.graph, &bindings, &EvalContext::default(), &self.outputs)
            .map_err(|error| error.to_string())
    }
}

/// The input of the model that a source is, if it is one.
fn input_of(source: &Source) -> Option<&str> {
    match source {
        Source::Batch(name) => Some(name),
        Source::Parameter(name) => source_port(name).or_else(|| index_port(name)),
        _ => None,
    }
}

/// A number between -1 and 1, or an index below `categories`: the same for the same place of the same input.
fn drawn(port: &str, at: usize, categories: Option<usize>) -> f64 {
    let seed = port.bytes().fold(0u32, |seed, byte| seed.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let bits = rng::word([seed, 0], 0, 0, at as u32);
    match categories {
        Some(count) => f64::from(bits % u32::try_from(count).unwrap_or(u32::MAX)),
        None => f64::from(bits) / f64::from(u32::MAX) * 2.0 - 1.0,
    }
}

/// Where a model's shapes hold the rows, of which it was exported with `exported`; `build` makes it for a number of
/// them.
///
/// # Errors
/// If it cannot be built, or no way gives for each row what the file gives for it.
pub fn search(
    exported: usize,
    mut build: impl FnMut(usize, &mut Mends) -> Result<Built, String>,
) -> Result<Mends, String> {
    let mut mends = Mends::probing();
    let mut first_reason = None;
    let mut budget = MOST_WORK;
    for way in 1.. {
        let outcome = build(PROBE, &mut mends).and_then(|_| {
            let mut found = mends.clone();
            found.probing = false;
            check(exported, &found, &mut budget, &mut build).map(|()| found)
        });
        let reason = match outcome {
            Ok(found) => return Ok(found),
            Err(reason) => reason,
        };
        if !mends.is_choice() {
            return Err(reason);
        }
        let reason = first_reason.get_or_insert(reason);
        if way == WAYS || !mends.next_way() {
            return Err(format!(
                "it was exported with {exported} rows, its shapes do not tell where those lie, and of {way} ways to free \
                 them none gives for each row what the file gives for it (the first: {reason}); export it with a \
                 dynamic batch (`dynamic_axes` or `dynamic_shapes` of torch.onnx.export)"
            ));
        }
    }
    unreachable!("the loop ends by returning")
}

/// Compares rows that are computed together with the same ones as the file computes them.
fn check(
    exported: usize,
    found: &Mends,
    budget: &mut f64,
    build: &mut impl FnMut(usize, &mut Mends) -> Result<Built, String>,
) -> Result<(), String> {
    let mut mends = found.clone();
    let file = build(exported, &mut mends)?;
    let work = file.work() * 2.0 * TIMES as f64;
    let most = if found.is_doubtful() { *budget } else { MOST_WORK_WITHOUT_CHOICE };
    if work > most || file.elements() * TIMES as f64 > MOST_ELEMENTS {
        return match found.is_doubtful() {
            true => Err(format!("it is too large to check this ({work:.0e} multiplications)")),
            false => Ok(()),
        };
    }
    *budget -= work;
    match agree(&file, &build(exported * TIMES, &mut mends)?, exported)? {
        true => Ok(()),
        false => {
            Err("rows that are computed together differ from the same ones computed as in the file".into())
        }
    }
}

/// Whether what a model gives for a row depends on the other rows of a batch; `build` makes it for a number of them.
/// What cannot be tried, or takes too long, counts as independent.
pub fn mixes_rows(mut build: impl FnMut(usize) -> Result<Built, String>) -> bool {
    // Of a single row, an axis may vanish.
    const FEW: usize = 2;
    let Ok(few) = build(FEW) else { return false };
    let work = few.work() * 2.0 * TIMES as f64;
    if work > MOST_WORK_WITHOUT_CHOICE || few.elements() * TIMES as f64 > MOST_ELEMENTS {
        return false;
    }
    build(FEW * TIMES).and_then(|many| agree(&few, &many, FEW)) == Ok(false)
}

/// Whether a model gives for many rows what it gives for the same ones, `rows` at a time.
fn agree(few: &Built, many: &Built, rows: usize) -> Result<bool, String> {
    let together = many.run(0, rows * TIMES)?;
    for at in 0..TIMES {
        let alone = few.run(at * rows, rows)?;
        if !alone.iter().zip(&together).all(|(alone, together)| is_part(alone, together, at)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether part `at` of the rows of an output is what few rows give.
fn is_part(alone: &Tensor, together: &Tensor, at: usize) -> bool {
    let (of_file, of_all) = (&alone.shape, &together.shape);
    let axes: Vec<usize> = (0..of_file.len()).filter(|&axis| of_all.get(axis) != of_file.get(axis)).collect();
    let part: Vec<f64> = match axes[..] {
        [] if of_file.len() == of_all.len() => together.data.clone(),
        [axis] if of_file.len() == of_all.len() && of_all[axis] == of_file[axis] * TIMES => {
            let run = elements(&of_file[axis..]);
            let starts = (0..elements(&of_file[..axis])).map(|outer| (outer * TIMES + at) * run);
            starts.flat_map(|start| together.data[start..start + run].iter().copied()).collect()
        }
        _ => return false,
    };
    let size = alone.data.iter().filter(|x| x.is_finite()).fold(1.0f64, |size, x| size.max(x.abs()));
    let equal = |(a, b): (&f64, &f64)| {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * size
    };
    alone.data.iter().zip(&part).all(equal)
}
