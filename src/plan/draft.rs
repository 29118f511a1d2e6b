//! From groups of nodes to dispatches whose intermediate values have no address yet.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::access::Nodes;
use super::compile::Builder;
use super::emit::Emitted;
use super::fuse::{Anchor, Fusion};
use super::spec::{PhaseSpec, PlanError};
use super::{Slice, recurrence, stage};
use crate::base::target::Target;
use crate::base::tensor::Shape;
use crate::graph::ops::Lowering;
use crate::graph::{Op, Source, ValueId};
use crate::kernels::Kernel;
use crate::kernels::augment::Augment;
use crate::kernels::batch::{Batch, BatchColumn};
use crate::scalar::{Body, Inst, View};

/// Where an operand lies: in a buffer of its own kind, or in memory shared over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Fixed(Slice),
    Temporary(usize),
}

/// A dispatch before memory is planned.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub kernel: Kernel,
    pub reads: Vec<Place>,
    pub writes: Vec<Place>,
    pub label: String,
}

/// A result to store: name, place, words.
pub(super) type StoredResult = (String, Place, usize);

/// Drafts one phase.
pub(super) struct Drafter<'b, 's> {
    builder: &'b mut Builder<'s>,
    phase: &'s PhaseSpec<'s>,
    target: &'s Target,
    drafts: Vec<Draft>,
    /// Words of each temporary.
    temporaries: Vec<usize>,
    places: BTreeMap<ValueId, Place>,
    /// Outputs whose value lies elsewhere and is copied at the end: value, place.
    late_copies: Vec<(ValueId, Place)>,
    nodes: Rc<Nodes<'s>>,
    stored_results: Vec<(String, ValueId)>,
}

impl<'b, 's> Drafter<'b, 's> {
    pub fn new(builder: &'b mut Builder<'s>, phase: &'s PhaseSpec<'s>) -> Result<Self, PlanError> {
        let values = |list: &[(String, ValueId)]| list.iter().map(|(_, v)| *v).collect::<Vec<_>>();
        let outputs = [values(&phase.results), values(&phase.gradients), values(&phase.updates)].concat();
        let nodes = Rc::new(Nodes::new(phase.graph, &outputs));
        let target = builder.target;
        let mut drafter = Self {
            builder,
            phase,
            target,
            drafts: vec![],
            temporaries: vec![],
            places: BTreeMap::new(),
            late_copies: vec![],
            nodes,
            stored_results: vec![],
        };
        drafter.place_sources()?;
        drafter.place_outputs()?;
        Ok(drafter)
    }

    fn temporary(&mut self, words: usize) -> Place {
        self.temporaries.push(words);
        Place::Temporary(self.temporaries.len() - 1)
    }

    fn place_sources(&mut self) -> Result<(), PlanError> {
        for value in self.nodes.iter().collect::<Vec<_>>() {
            let node = self.phase.graph.node(value);
            let words = node.ty.elements();
            let place = match &node.op {
                Op::Source(op) => match &op.source {
                    Source::Batch(_) => self.temporary(words),
                    Source::Parameter(name) => {
                        Place::Fixed(find("parameter", name, &self.builder.layout.parameters)?)
                    }
                    Source::State(name) => Place::Fixed(find("state", name, &self.builder.layout.states)?),
                },
                Op::Constant(constant) => Place::Fixed(self.builder.place_constant(&constant.data)),
                _ => continue,
            };
            self.places.insert(value, place);
        }
        Ok(())
    }

    /// Gives gradients and updated states the place where they belong.
    fn place_outputs(&mut self) -> Result<(), PlanError> {
        let gradients = self.phase.gradients.iter().map(|o| (o, true));
        for ((name, value), gradient) in gradients.chain(self.phase.updates.iter().map(|o| (o, false))) {
            let slice = if gradient {
                find("parameter", name, &self.builder.layout.gradients)?
            } else {
                find("state", name, &self.builder.layout.states)?
            };
            let stored = self.nodes.stored(*value);
            // Several gradients may be the same value, as those of a recurrent layer's two biases are.
            let same = self.phase.gradients.iter().filter(|(_, other)| self.nodes.stored(*other) == stored);
            let shared = gradient && same.count() > 1 && !self.places.contains_key(&stored);
            if shared || (!gradient && self.is_of_a_kernel(stored)) {
                self.late_copies.push((stored, Place::Fixed(slice)));
                continue;
            }
            match self.places.entry(stored) {
                Entry::Occupied(_) => self.late_copies.push((stored, Place::Fixed(slice))),
                Entry::Vacant(free) => {
                    free.insert(Place::Fixed(slice));
                }
            }
        }
        for (name, value) in &self.phase.results {
            self.stored_results.push((name.clone(), self.nodes.stored(*value)));
        }
        Ok(())
    }

    /// Whether a kernel of its own gives the value. It may read the state that the value updates, and cannot write it too:
    /// the state gets a copy at the end.
    fn is_of_a_kernel(&self, stored: ValueId) -> bool {
        matches!(self.nodes.lowering(stored), Lowering::Kernel { .. })
    }

    /// The dispatches that assemble the batch.
    pub fn batch(&mut self) -> Result<(), PlanError> {
        let data = &self.builder.layout.data[self.phase.data];
        let spec = &self.builder.spec.data[self.phase.data];
        let mut columns = vec![];
        for (&value, &place) in &self.places {
            let Op::Source(op) = &self.phase.graph.node(value).op else { continue };
            let Source::Batch(name) = &op.source else { continue };
            let source = find("column", name, &data.columns)?;
            let noise = self.phase.augment.iter().find(|n| n.column == *name);
            if let Some(change) = noise
                && let (Some(images), Some(order)) = (&change.images, data.order)
            {
                let kernel = Augment {
                    batch: self.phase.batch,
                    shape: images.shape,
                    changes: images.changes,
                    fill: images.fill.iter().map(|x| x.to_bits()).collect(),
                    stream: images.stream,
                    noise: change.deviation.to_bits(),
                    noise_stream: change.stream,
                };
                self.drafts.push(Draft {
                    kernel: Kernel::new(kernel),
                    reads: vec![Place::Fixed(order), Place::Fixed(source)],
                    writes: vec![place],
                    label: name.clone(),
                });
                continue;
            }
            let width = op.ty.elements() / self.phase.batch.max(1);
            let known = spec.columns.iter().find(|c| c.name == *name && c.width == width);
            let (stride, offset) = known.map_or((width, 0), |c| (c.stride, c.offset));
            let column = BatchColumn {
                width,
                stride,
                offset,
                noise: noise.map_or(0, |n| n.deviation.to_bits()),
                stream: noise.map_or(0, |n| n.stream),
            };
            columns.push((column, Place::Fixed(source), place, name.clone()));
        }
        let Some(order) = data.order else { return Ok(()) };
        let per_dispatch = (self.target.max_storage_buffers.saturating_sub(2) / 2).max(1);
        for part in columns.chunks(per_dispatch) {
            let kernel =
                Batch { batch: self.phase.batch, columns: part.iter().map(|c| c.0.clone()).collect() };
            self.drafts.push(Draft {
                kernel: Kernel::new(kernel),
                reads: std::iter::once(Place::Fixed(order)).chain(part.iter().map(|c| c.1)).collect(),
                writes: part.iter().map(|c| c.2).collect(),
                label: part.iter().map(|c| c.3.as_str()).collect::<Vec<_>>().join("+"),
            });
        }
        Ok(())
    }

    /// The dispatches of all groups, in dependency order.
    pub fn groups(&mut self) -> Result<(), PlanError> {
        let nodes = Rc::clone(&self.nodes);
        let mut outputs: Vec<ValueId> = self.stored_results.iter().map(|r| r.1).collect();
        let kept = self.phase.gradients.iter().chain(&self.phase.updates);
        outputs.extend(kept.map(|(_, v)| nodes.stored(*v)));
        outputs.retain(|v| !matches!(nodes.lowering(*v), Lowering::Leaf));
        let fusion = Fusion::new(&nodes, &outputs, self.target.max_storage_buffers);
        let emitted: Vec<Option<Emitted>> = (0..fusion.groups.len()).map(|g| fusion.emit(g)).collect();
        let mut stored: BTreeSet<ValueId> = outputs.into_iter().collect();
        for group in emitted.iter().flatten() {
            stored.extend(&group.reads);
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
                    let words = self.phase.graph.ty(value).elements();
                    let place = self.temporary(words);
                    self.places.insert(value, place);
                }
            }
            self.draft_group(&fusion, group, parts, &writes)?;
        }
        Ok(())
    }

    /// Groups so that each comes after those it reads; a state is updated after its other readers.
    fn order(&self, fusion: &Fusion, emitted: &[Option<Emitted>]) -> Vec<usize> {
        let mut before: Vec<BTreeSet<usize>> = fusion.groups.iter().map(|g| g.dependencies.clone()).collect();
        for (name, value) in &self.phase.updates {
            let stored = fusion.nodes.stored(*value);
            let Some(writer) = fusion.group_of(stored).filter(|_| !self.is_of_a_kernel(stored)) else {
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
            let layer = self.phase.graph.node(value).layer.as_str();
            if !layer.is_empty() && !layers.contains(&layer) {
                layers.push(layer);
            }
        }
        layers.join(" + ")
    }

    fn place(&self, value: ValueId) -> Result<Place, PlanError> {
        let node = self.phase.graph.node(value);
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
            Anchor::MatMul { value, row_sums } => {
                let product = super::emit::matrix_product(fusion, *value)
                    .ok_or_else(|| PlanError::Internal("matrix product without geometry".into()))?;
                let row_sums = row_sums.and_then(|v| writes.iter().position(|&w| w == v));
                let reads = in_place(&mut [&mut body], reads, &places, 2);
                stage::matmul(&product, body, row_sums, reads, places, label, &limit, &mut self.temporaries)
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
                let draft =
                    Draft { kernel: kernel.clone().keep_outputs(&used), reads, writes: places, label };
                recurrence::in_parts(draft, self.target, &mut self.temporaries)
            }
        };
        self.drafts.extend(drafts);
        Ok(())
    }

    /// Outputs that are leaves, or that are wanted in two places, get a copy of their own.
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
            let shape: Shape = self.phase.graph.shape(value).clone();
            let label = self.phase.graph.node(value).layer.clone();
            let copy = |from, to: Vec<Place>| {
                let mut body = Body::default();
                let register = body.push(Inst::Load { operand: 0, view: View::contiguous(&shape) });
                body.stores = (0..to.len()).map(|output| (register, output)).collect();
                stage::pointwise(shape.clone(), body, vec![from], to, label.clone())
            };
            // A dispatch cannot read the buffer that it writes.
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

    /// The drafts, the temporaries' words, and the results to store: name, place, words.
    pub fn finish(self) -> (Vec<Draft>, Vec<usize>, Vec<StoredResult>) {
        let mut results = vec![];
        for (name, value) in &self.stored_results {
            if let Some(&place) = self.places.get(value) {
                results.push((name.clone(), place, self.phase.graph.ty(*value).elements()));
            }
        }
        (self.drafts, self.temporaries, results)
    }
}

/// Loads of a place that the same dispatch writes become reads of the old value (`Previous`), and the place
/// is no longer bound for reading. The first `fixed` reads are operands of the kernel itself.
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

fn find(kind: &'static str, name: &str, places: &[(String, Slice)]) -> Result<Slice, PlanError> {
    places.iter().find(|(known, _)| known == name).map(|(_, slice)| *slice).ok_or_else(|| {
        PlanError::Unknown {
            kind,
            name: name.into(),
            known: places.iter().map(|(known, _)| known.as_str()).collect::<Vec<_>>().join(", "),
        }
    })
}
