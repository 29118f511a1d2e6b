//! Places of a pass's inputs, and of the values that outlive it.

use std::collections::btree_map::Entry;
use std::ops::Range;

use super::Drafter;
use crate::graph::ops::Lowering;
use crate::graph::{Op, Source, ValueId};
use crate::kernels::Kernel;
use crate::kernels::augment::Augment;
use crate::kernels::batch::{Batch, BatchColumn};
use crate::plan::columns::{DataColumn, DataPart};
use crate::plan::draft::{Draft, Place};
use crate::plan::spec::{Batches, PlanError};
use crate::plan::{BufferClass, Slice};

impl Drafter<'_, '_> {
    /// Assigns places to parameters, states, constants and the batch.
    pub(super) fn place_sources(&mut self, phase: &str) -> Result<(), PlanError> {
        for value in self.nodes.iter().collect::<Vec<_>>() {
            let node = self.pass.graph.node(value);
            let words = node.ty.elements();
            let place = match &node.op {
                Op::Source(op) => match &op.source {
                    Source::Batch(name) if self.pass.batches == Batches::Written => {
                        self.place_input(phase, name, words)?
                    }
                    Source::Batch(_) => self.temporary(words),
                    Source::Parameter(name) => {
                        let place = find("parameter", name, self.builder.layout.parameters())?;
                        Place::Fixed(sized("parameter", name, place, words)?)
                    }
                    Source::Gradient(name) => {
                        Place::Fixed(sized("gradient", name, self.gradient(name)?, words)?)
                    }
                    Source::State(name) => {
                        let place = find("state", name, &self.builder.layout.states)?;
                        Place::Fixed(sized("state", name, place, words)?)
                    }
                },
                Op::Constant(constant) => Place::Fixed(self.builder.place_constant(&constant.data)),
                _ => continue,
            };
            self.places.insert(value, place);
        }
        Ok(())
    }

    /// The place of a batch column written by the host.
    fn place_input(&mut self, phase: &str, name: &str, words: usize) -> Result<Place, PlanError> {
        if self.inputs.iter().any(|(known, _)| known == name) {
            return Err(PlanError::Twice { kind: "column", name: name.into() });
        }
        let buffer = self.builder.add_buffer(format!("{phase} {name}"), BufferClass::Data, words);
        let slice = Slice { buffer, start: 0, words };
        self.inputs.push((name.into(), slice));
        Ok(Place::Fixed(slice))
    }

    /// The place of a parameter's gradient.
    fn gradient(&self, name: &str) -> Result<Slice, PlanError> {
        let layout = &self.builder.layout;
        let place = find("parameter", name, layout.parameters())?;
        // Every set that a pass differentiates has gradients.
        let set = layout.sets.iter().find(|set| set.parameters.iter().any(|(known, _)| known == name));
        let buffer = set.and_then(|set| set.gradients);
        let missing = || PlanError::Internal(format!("the gradient of `{name}` has no memory"));
        Ok(Slice { buffer: buffer.ok_or_else(missing)?, ..place })
    }

    /// Assigns gradients and updated states their final places.
    pub(super) fn place_outputs(&mut self) -> Result<(), PlanError> {
        let gradients = self.pass.gradients.iter().map(|o| (o, true));
        for ((name, value), gradient) in gradients.chain(self.pass.states.iter().map(|o| (o, false))) {
            let (kind, slice) = if gradient {
                ("gradient", self.gradient(name)?)
            } else {
                ("state", find("state", name, &self.builder.layout.states)?)
            };
            let slice = sized(kind, name, slice, self.pass.graph.ty(*value).elements())?;
            let stored = self.nodes.stored(*value);
            // Several gradients may be the same value, such as those of a recurrent layer's two biases.
            let same = self.pass.gradients.iter().filter(|(_, other)| self.nodes.stored(*other) == stored);
            let shared = gradient && same.count() > 1 && !self.places.contains_key(&stored);
            if shared || (!gradient && self.is_copied(name, stored)) {
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
        for (name, value) in &self.pass.results {
            self.stored_results.push((name.clone(), self.nodes.stored(*value)));
        }
        Ok(())
    }

    /// A dispatch cannot read a buffer that it writes, but in place. Of a group that would, with `values` and `reads`, what
    /// is read has memory of its own if the pass computes it, such as a gradient that is a term of another one; else what
    /// is written has. Both are copied to their final places at the end.
    pub(super) fn keep_apart(&mut self, values: &[ValueId], reads: &[ValueId]) {
        let fixed = |drafter: &Self, value: &ValueId| match drafter.places.get(value) {
            Some(Place::Fixed(slice)) => Some(*slice),
            _ => None,
        };
        for read in reads.iter().filter(|read| !values.contains(read)) {
            let Some(from) = fixed(self, read) else { continue };
            let places: Vec<(ValueId, Slice)> =
                values.iter().filter_map(|value| Some((*value, fixed(self, value)?))).collect();
            let in_place = places.iter().any(|(_, to)| *to == from);
            let beside: Vec<_> = places.into_iter().filter(|(_, to)| to.buffer == from.buffer).collect();
            if in_place || beside.is_empty() {
                continue;
            }
            let computed = !matches!(self.nodes.lowering(*read), Lowering::Leaf);
            for (value, place) in if computed { vec![(*read, from)] } else { beside } {
                self.places.remove(&value);
                self.late_copies.push((value, Place::Fixed(place)));
            }
        }
    }

    /// The dispatches that assemble the batch.
    pub fn batch(&mut self) -> Result<(), PlanError> {
        let Batches::Of(name) = &self.pass.batches else { return Ok(()) };
        let known = || self.builder.spec.data.iter().map(|data| data.name.as_str()).collect::<Vec<_>>();
        let found = self.builder.spec.data.iter().position(|data| data.name == *name);
        let at = found.ok_or_else(|| PlanError::Unknown {
            kind: "data set",
            name: name.clone(),
            known: known().join(", "),
        })?;
        let (data, spec) = (&self.builder.layout.data[at], &self.builder.spec.data[at]);
        if !(1..=spec.order).contains(&self.pass.batch) {
            let (name, expected, found) = (format!("{name} row order"), spec.order, self.pass.batch);
            return Err(PlanError::Size { kind: "data set", name, expected, found });
        }
        let Some(order) = data.order else { return Ok(()) };
        let (order, mut tables, mut blocks) = (Place::Fixed(order), vec![], vec![]);
        for (&value, &place) in &self.places {
            let Op::Source(op) = &self.pass.graph.node(value).op else { continue };
            let Source::Batch(name) = &op.source else { continue };
            let parts = find("column", name, &data.columns)?;
            let Some(column) = spec.columns.iter().find(|c| c.name == *name) else { continue };
            if op.ty.elements() != column.width * self.pass.batch {
                let (name, expected) = (format!("{name} of a batch"), column.width * self.pass.batch);
                return Err(PlanError::Size { kind: "column", name, expected, found: op.ty.elements() });
            }
            tables.push(column.bytes.as_ref());
            blocks.push((column, parts, place));
        }
        let tables: Vec<Option<Place>> = tables
            .into_iter()
            .map(|values| values.map(|values| Place::Fixed(self.builder.place_constant(&values.table))))
            .collect();
        let (mut together, mut apart) = (vec![], vec![]);
        for ((column, parts, place), table) in blocks.into_iter().zip(tables) {
            let is_whole = parts.len() == 1;
            for part in parts {
                let source = Block { column, part, is_whole, table, place };
                match self.augmented(order, &source) {
                    Some(draft) => self.drafts.push(draft),
                    None if is_whole => together.push(source),
                    None => apart.push(vec![source]),
                }
            }
        }
        // The order, and the table of normal numbers if there is noise.
        let most = self.target.max_storage_buffers.saturating_sub(2);
        for group in grouped(together, most).into_iter().chain(apart) {
            let draft = self.gathered(order, &group);
            self.drafts.push(draft);
        }
        Ok(())
    }

    /// The dispatch that picks and changes the images of a block, if they are to be changed.
    fn augmented(&self, order: Place, block: &Block) -> Option<Draft> {
        let change = self.pass.augment.iter().find(|n| n.column == block.column.name)?;
        let images = change.images.as_ref()?;
        let kernel = Augment {
            batch: self.pass.batch,
            shape: images.shape,
            changes: images.changes,
            fill: images.fill.iter().map(|x| x.to_bits()).collect(),
            stream: images.stream,
            noise: change.deviation.to_bits(),
            noise_stream: change.stream,
            storage: block.column.storage(),
            only: block.only(),
        };
        Some(Draft {
            kernel: Kernel::new(kernel),
            reads: [order, Place::Fixed(block.part.slice)].into_iter().chain(block.table).collect(),
            writes: vec![block.place],
            label: block.column.name.clone(),
        })
    }

    /// The dispatch that picks the rows of some blocks.
    fn gathered(&self, order: Place, blocks: &[Block]) -> Draft {
        let column = |block: &Block| {
            let (column, rows) = (block.column, &block.part.rows);
            let noise = self.pass.augment.iter().find(|n| n.column == column.name);
            BatchColumn {
                width: column.width,
                stride: column.stride,
                offset: column.offset + rows.start * column.stride - block.part.first,
                noise: noise.map_or(0, |n| n.deviation.to_bits()),
                stream: noise.map_or(0, |n| n.stream),
                storage: column.storage(),
                only: block.only(),
            }
        };
        let kernel = Batch { batch: self.pass.batch, columns: blocks.iter().map(column).collect() };
        let sources = blocks.iter().map(|block| Place::Fixed(block.part.slice));
        let tables = blocks.iter().filter_map(|block| block.table);
        Draft {
            kernel: Kernel::new(kernel),
            reads: std::iter::once(order).chain(sources).chain(tables).collect(),
            writes: blocks.iter().map(|block| block.place).collect(),
            label: blocks.iter().map(|block| block.column.name.as_str()).collect::<Vec<_>>().join("+"),
        }
    }
}

/// A part of a column block, and the place of its values in the batch.
struct Block<'a> {
    column: &'a DataColumn,
    part: DataPart,
    /// Whether it is the only part.
    is_whole: bool,
    /// What its bytes stand for.
    table: Option<Place>,
    place: Place,
}

impl Block<'_> {
    /// The rows of the block that are there, if others are not.
    fn only(&self) -> Option<Range<usize>> {
        (!self.is_whole).then(|| self.part.rows.clone())
    }

    /// Buffers that a dispatch binds for it.
    fn bindings(&self) -> usize {
        2 + usize::from(self.table.is_some())
    }
}

/// Blocks in groups that bind at most `most` buffers, if more than one.
fn grouped(blocks: Vec<Block>, most: usize) -> Vec<Vec<Block>> {
    let mut groups: Vec<Vec<Block>> = vec![];
    let mut bound = usize::MAX;
    for block in blocks {
        bound = bound.saturating_add(block.bindings());
        match groups.last_mut().filter(|_| bound <= most) {
            Some(group) => group.push(block),
            None => {
                bound = block.bindings();
                groups.push(vec![block]);
            }
        }
    }
    groups
}

/// `place`, if its size matches the graph's tensor.
fn sized(kind: &'static str, name: &str, place: Slice, found: usize) -> Result<Slice, PlanError> {
    if place.words == found {
        return Ok(place);
    }
    Err(PlanError::Size { kind, name: name.into(), expected: place.words, found })
}

fn find<'a, P: Clone + 'a>(
    kind: &'static str,
    name: &str,
    places: impl IntoIterator<Item = &'a (String, P), IntoIter: Clone>,
) -> Result<P, PlanError> {
    let places = places.into_iter();
    let found = places.clone().find(|(known, _)| known == name).map(|(_, place)| place.clone());
    found.ok_or_else(|| PlanError::Unknown {
        kind,
        name: name.into(),
        known: places.map(|(known, _)| known.as_str()).collect::<Vec<_>>().join(", "),
    })
}
