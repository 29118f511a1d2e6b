//! Places of a pass's inputs, and of the values that outlive it.

use std::collections::btree_map::Entry;

use super::Drafter;
use crate::graph::{Op, Source};
use crate::kernels::Kernel;
use crate::kernels::augment::Augment;
use crate::kernels::batch::{Batch, BatchColumn};
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
        for (name, value) in &self.pass.results {
            self.stored_results.push((name.clone(), self.nodes.stored(*value)));
        }
        Ok(())
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
        let mut columns = vec![];
        for (&value, &place) in &self.places {
            let Op::Source(op) = &self.pass.graph.node(value).op else { continue };
            let Source::Batch(name) = &op.source else { continue };
            let source = find("column", name, &data.columns)?;
            let column = spec.columns.iter().find(|c| c.name == *name);
            let (width, stride, offset) = column.map_or((0, 0, 0), |c| (c.width, c.stride, c.offset));
            if op.ty.elements() != width * self.pass.batch {
                let (name, expected) = (format!("{name} of a batch"), width * self.pass.batch);
                return Err(PlanError::Size { kind: "column", name, expected, found: op.ty.elements() });
            }
            let noise = self.pass.augment.iter().find(|n| n.column == *name);
            if let Some(change) = noise
                && let (Some(images), Some(order)) = (&change.images, data.order)
            {
                let kernel = Augment {
                    batch: self.pass.batch,
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
                Batch { batch: self.pass.batch, columns: part.iter().map(|c| c.0.clone()).collect() };
            self.drafts.push(Draft {
                kernel: Kernel::new(kernel),
                reads: std::iter::once(Place::Fixed(order)).chain(part.iter().map(|c| c.1)).collect(),
                writes: part.iter().map(|c| c.2).collect(),
                label: part.iter().map(|c| c.3.as_str()).collect::<Vec<_>>().join("+"),
            });
        }
        Ok(())
    }
}

/// `place`, if its size matches the graph's tensor.
fn sized(kind: &'static str, name: &str, place: Slice, found: usize) -> Result<Slice, PlanError> {
    if place.words == found {
        return Ok(place);
    }
    Err(PlanError::Size { kind, name: name.into(), expected: place.words, found })
}

fn find<'a>(
    kind: &'static str,
    name: &str,
    places: impl IntoIterator<Item = &'a (String, Slice), IntoIter: Clone>,
) -> Result<Slice, PlanError> {
    let places = places.into_iter();
    let found = places.clone().find(|(known, _)| known == name).map(|(_, slice)| *slice);
    found.ok_or_else(|| PlanError::Unknown {
        kind,
        name: name.into(),
        known: places.map(|(known, _)| known.as_str()).collect::<Vec<_>>().join(", "),
    })
}
