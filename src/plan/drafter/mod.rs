//! From groups of nodes to dispatches whose intermediate values have no address yet.

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::access::Nodes;
use super::builder::Builder;
use super::draft::{Draft, Place, StoredResult};
use super::emit::Emitted;
use super::forward::Forward;
use super::groups::{Anchor, Fusion};
use super::spec::{PassSpec, PlanError};
use super::{Slice, gather, recurrence, stage};
use crate::base::target::Target;
use crate::base::tensor::{DType, Shape};
use crate::graph::ops::Lowering;
use crate::graph::{Op, Source, ValueId};
use crate::scalar::{Body, Inst, View};

/// Drafts one phase.
pub(super) struct Drafter<'b, 's> {
    builder: &'b mut Builder<'s>,
    pass: &'s PassSpec<'s>,
    /// Columns of the batch written by the host.
    inputs: Vec<(String, Slice)>,
    target: &'s Target,
    drafts: Vec<Draft>,
    /// The drafts that compute values once more, by position: they run as late as possible.
    late: Vec<usize>,
    /// Words per temporary.
    temporaries: Vec<usize>,
    places: BTreeMap<ValueId, Place>,
    /// Outputs whose value is elsewhere and must be copied at the end: value, place.
    late_copies: Vec<(ValueId, Place)>,
    nodes: Rc<Nodes<'s>>,
    stored_results: Vec<(String, ValueId)>,
}

impl<'b, 's> Drafter<'b, 's> {
    pub fn new(builder: &'b mut Builder<'s>, name: &str, pass: &'s PassSpec<'s>) -> Result<Self, PlanError> {
        let values = |list: &[(String, ValueId)]| list.iter().map(|(_, v)| *v).collect::<Vec<_>>();
        let outputs = [values(&pass.results), values(&pass.gradients), values(&pass.states)].concat();
        let nodes = Rc::new(Nodes::new(pass.graph, &outputs));
        let target = builder.target;
        let mut drafter = Self {
            builder,
            pass,
            inputs: vec![],
            target,
            drafts: vec![],
            late: vec![],
            temporaries: vec![],
            places: BTreeMap::new(),
            late_copies: vec![],
            nodes,
            stored_results: vec![],
        };
        drafter.place_sources(name)?;
        drafter.place_outputs()?;
        Ok(drafter)
    }

    fn temporary(&mut self, words: usize) -> Place {
        self.temporaries.push(words);
        Place::Temporary(self.temporaries.len() - 1)
    }

    /// Whether the state of this name takes its new value at the end of the pass, by a copy: if a separate kernel computes
    /// the value, which may read the state and so cannot also write it, or if something needs both the old and the new one.
    fn is_copied(&self, name: &str, stored: ValueId) -> bool {
        matches!(self.nodes.lowering(stored), Lowering::Kernel { .. }) || self.needs_both(name, stored)
    }

    /// Whether a value depends on the new value `stored` of a state and, not through it, on the old one.
    fn needs_both(&self, name: &str, stored: ValueId) -> bool {
        let nodes = &self.pass.graph.nodes;
        let (mut old, mut new) = (vec![false; nodes.len()], vec![false; nodes.len()]);
        for (at, node) in nodes.iter().enumerate() {
            if at == stored.index() {
                new[at] = true;
                continue;
            }
            let is_state =
                matches!(&node.op, Op::Source(op) if matches!(&op.source, Source::State(n) if n == name));
            old[at] = is_state || node.inputs.iter().any(|input| old[input.index()]);
            new[at] = node.inputs.iter().any(|input| new[input.index()]);
            if old[at] && new[at] {
                return true;
            }
        }
        false
    }

    /// The dispatches of all groups, in dependency order.
    pub fn groups(&mut self) -> Result<(), PlanError> {
        let nodes = Rc::clone(&self.nodes);
        let mut outputs: Vec<ValueId> = self.stored_results.iter().map(|r| r.1).collect();
        let kept = self.pass.gradients.iter().chain(&self.pass.states);
        outputs.extend(kept.map(|(_, v)| nodes.stored(*v)));
        outputs.retain(|v| !matches!(nodes.lowering(*v), Lowering::Leaf));
        let fusion = Fusion::new(&nodes, &outputs, self.target.max_storage_buffers);
        let emitted: Vec<Option<Emitted>> = (0..fusion.groups.len()).map(|g| fusion.emit(g)).collect();
        let mut stored: BTreeSet<ValueId> = outputs.into_iter().collect();
        for (group, parts) in emitted.iter().enumerate() {
            if let Some(parts) = parts {
                stored.extend(&parts.reads);
                self.keep_apart(&fusion.groups[group].values(), &parts.reads);
            }
        }
        for group in self.order(&fusion, &emitted) {
            let writes: Vec<ValueId> =
                fusion.groups[group].values().into_iter().filter(|v| stored.contains(v)).collect();
            if writes.is_empty() {
                continue;
            }
            let Some(parts) = &emitted[group] else {
                let label = self.label(&fusion, group);
                return Err(PlanError::Internal(format!("group {group} ({label}) has no body")));
            };
            for &value in &writes {
                if !self.places.contains_key(&value) {
                    let words = self.pass.graph.ty(value).elements();
                    let place = self.temporary(words);
                    self.places.insert(value, place);
                }
            }
            self.draft_group(&fusion, group, parts, &writes)?;
        }
        Ok(())
    }

    /// Orders groups so that each comes after those it reads; a state is updated after its other readers.
    fn order(&self, fusion: &Fusion, emitted: &[Option<Emitted>]) -> Vec<usize> {
        let mut before: Vec<BTreeSet<usize>> = fusion.groups.iter().map(|g| g.dependencies.clone()).collect();
        for (name, value) in &self.pass.states {
            let stored = fusion.nodes.stored(*value);
            let Some(writer) = fusion.group_of(stored).filter(|_| !self.is_copied(name, stored)) else {
                continue;
            };
            for (reader, parts) in emitted.iter().enumerate() {
                let reads = parts.iter().flat_map(|p| &p.reads);
                let is_state = |v: &ValueId| matches!(fusion.source(*v), Some(Source::State(n)) if n == name);
                if reader != writer && reads.clone().any(is_state) {
                    before[writer].insert(reader);
                }
            }
        }
        let (mut order, mut placed) = (vec![], vec![false; fusion.groups.len()]);
        fn visit(group: usize, before: &[BTreeSet<usize>], placed: &mut [bool], order: &mut Vec<usize>) {
            if std::mem::replace(&mut placed[group], true) {
                return;
            }
            for &earlier in &before[group] {
                visit(earlier, before, placed, order);
            }
            order.push(group);
        }
        for group in 0..fusion.groups.len() {
            visit(group, &before, &mut placed, &mut order);
        }
        order
    }

    fn label(&self, fusion: &Fusion, group: usize) -> String {
        let mut layers: Vec<&str> = vec![];
        for value in fusion.groups[group].values() {
            let layer = self.pass.graph.node(value).layer.as_str();
            if !layer.is_empty() && !layers.contains(&layer) {
                layers.push(layer);
            }
        }
        layers.join(" + ")
    }

    fn place(&self, value: ValueId) -> Result<Place, PlanError> {
        let node = self.pass.graph.node(value);
        let missing =
            || PlanError::Internal(format!("{} {} has no memory", node.layer, node.op.def().name()));
        self.places.get(&value).copied().ok_or_else(missing)
    }

    fn draft_group(
        &mut self,
        fusion: &Fusion,
        group: usize,
        parts: &Emitted,
        writes: &[ValueId],
    ) -> Result<(), PlanError> {
        let reads: Vec<Place> = parts.reads.iter().map(|&v| self.place(v)).collect::<Result<_, _>>()?;
        let mut places: Vec<Place> = writes.iter().map(|&v| self.place(v)).collect::<Result<_, _>>()?;
        let mut body = parts.body.clone();
        for (at, value) in writes.iter().enumerate() {
            if let Some(&register) = parts.registers.get(value) {
                body.stores.push((register, at));
            }
        }
        let label = self.label(fusion, group);
        let limit = stage::Limits::of(self.target);
        let drafts = match &fusion.groups[group].anchor {
            Anchor::None => {
                let reads = in_place(&mut [&mut body], reads, &places, 0);
                vec![stage::pointwise(parts.shape.clone(), body, reads, places, label)]
            }
            Anchor::MatMul { value, sums } => {
                let product = super::emit::matrix_product(fusion, *value)
                    .ok_or_else(|| PlanError::Internal("matrix product without geometry".into()))?;
                let sums = sums.and_then(|v| writes.iter().position(|&w| w == v));
                let reads = in_place(&mut [&mut body], reads, &places, 2);
                stage::matmul(&product, body, sums, reads, places, label, &limit, &mut self.temporaries)
            }
            Anchor::Reduce(_) => {
                let Some(prologue) = &parts.prologue else {
                    return Err(PlanError::Internal("reduction without prologue".into()));
                };
                let mut prologue = prologue.clone();
                let reads = in_place(&mut [&mut body, &mut prologue.body], reads, &places, 0);
                stage::reduce(prologue, body, reads, places, label, &mut self.temporaries)
            }
            Anchor::Kernel(outputs) => {
                let Lowering::Kernel { kernel, .. } = fusion.nodes.lowering(outputs[0].0) else {
                    return Err(PlanError::Internal("kernel group without kernel".into()));
                };
                let used: Vec<usize> =
                    outputs.iter().filter(|(v, _)| writes.contains(v)).map(|(_, output)| *output).collect();
                let in_order = outputs.iter().filter_map(|(v, _)| writes.iter().position(|w| w == v));
                places = in_order.map(|at| places[at]).collect();
                let kernel = kernel.keep_outputs(&used).unwrap_or_else(|| kernel.clone());
                let draft = Draft { kernel, reads, writes: places, label };
                let steps = gather::in_steps(draft, self.target, &mut self.temporaries);
                let in_parts = |step| recurrence::in_parts(step, self.target, &mut self.temporaries);
                steps.into_iter().flat_map(in_parts).collect()
            }
        };
        if fusion.groups[group].values().iter().any(|&value| fusion.round(value) > 0) {
            self.late.extend(self.drafts.len()..self.drafts.len() + drafts.len());
        }
        self.drafts.extend(drafts);
        Ok(())
    }

    /// The temporaries that hold numbers of the forward pass; none if the pass computes no gradients.
    pub fn forward(&self) -> Vec<usize> {
        let Some(forward) = Forward::of(self.pass) else { return vec![] };
        let numbers =
            |value: &ValueId| forward.is[value.index()] && self.pass.graph.ty(*value).dtype == DType::F32;
        let places = self.places.iter().filter(|(value, _)| numbers(value));
        places
            .filter_map(|(_, place)| match place {
                Place::Temporary(at) => Some(*at),
                Place::Fixed(_) => None,
            })
            .collect()
    }

    /// Copies outputs that are leaves, that are needed in two places, or whose place could not be written yet.
    pub fn outputs(&mut self) {
        let mut copies: Vec<(ValueId, Vec<Place>)> = vec![];
        for (value, place) in std::mem::take(&mut self.late_copies) {
            match copies.iter_mut().find(|(known, _)| *known == value) {
                Some((_, places)) => places.push(place),
                None => copies.push((value, vec![place])),
            }
        }
        for (value, places) in copies {
            let Some(&from) = self.places.get(&value) else { continue };
            let shape: Shape = self.pass.graph.shape(value).clone();
            let label = self.pass.graph.node(value).layer.clone();
            let copy = |from, to: Vec<Place>| {
                let mut body = Body::default();
                let register = body.push(Inst::Load { operand: 0, view: View::contiguous(&shape) });
                body.stores = (0..to.len()).map(|output| (register, output)).collect();
                stage::pointwise(shape.clone(), body, vec![from], to, label.clone())
            };
            // A dispatch cannot read a buffer that it writes.
            let beside = |to: &Place| match (from, to) {
                (Place::Fixed(a), Place::Fixed(b)) => a.buffer == b.buffer,
                _ => false,
            };
            let (beside, mut free): (Vec<Place>, Vec<Place>) = places.into_iter().partition(beside);
            if beside.is_empty() {
                self.drafts.push(copy(from, free));
                continue;
            }
            let between = self.temporary(shape.iter().product());
            free.push(between);
            self.drafts.push(copy(from, free));
            self.drafts.push(copy(between, beside));
        }
    }

    /// The drafts, those of them that run late, the temporaries' sizes in words, and the results to store: name,
    /// place, words.
    pub fn finish(self) -> (Vec<Draft>, Vec<usize>, Vec<usize>, Vec<StoredResult>) {
        if let Some(phase) = self.builder.layout.phases.last_mut() {
            phase.inputs = self.inputs;
        }
        let mut results = vec![];
        for (name, value) in &self.stored_results {
            if let Some(&place) = self.places.get(value) {
                results.push((name.clone(), place, self.pass.graph.ty(*value).elements()));
            }
        }
        (self.drafts, self.late, self.temporaries, results)
    }
}

/// Turns loads from a place that the same dispatch writes into reads of the previous value (`Previous`), and
/// no longer binds the place for reading. The first `fixed` reads are operands of the kernel itself.
fn in_place(bodies: &mut [&mut Body], mut reads: Vec<Place>, writes: &[Place], fixed: usize) -> Vec<Place> {
    let mut operand = fixed;
    while operand < reads.len() {
        let Some(output) = writes.iter().position(|w| *w == reads[operand]) else {
            operand += 1;
            continue;
        };
        for inst in bodies.iter_mut().flat_map(|body| &mut body.insts) {
            match inst {
                Inst::Load { operand: o, .. } if *o == operand => *inst = Inst::Previous { output },
                Inst::Load { operand: o, .. } if *o > operand => *o -= 1,
                _ => {}
            }
        }
        reads.remove(operand);
    }
    reads
}
