//! Operations of phases on whole sets of parameters: clearing gradients, accumulating them over
//! micro-batches, and updating parameters.

use std::ops::Range;

use super::builder::{Builder, aligned};
use super::draft::{Draft, Place};
use super::spec::{
    Entry, Gradients, ParameterSet, Part, PassSpec, PhaseSpec, PlanError, ProgramSpec, SetLayout, UpdateSpec,
};
use super::trust::Adapting;
use super::{BufferClass, Slice, stage};
use crate::base::tensor::DType;
use crate::graph::{Graph, GraphError, Source, ValueId};
use crate::kernels::Kernel;
use crate::kernels::norm::GradientNorm;
use crate::kernels::optimizer::Optimizer;
use crate::optim::Adapts;
use crate::scalar::Body;

/// A graph that ends in sums of gradients, and these sums by parameter name.
type Summed = (Graph, Vec<(String, ValueId)>);

/// For each phase whose gradients are accumulated: its graph with the sums.
pub(super) fn summed(spec: &ProgramSpec) -> Result<Vec<Option<Summed>>, PlanError> {
    let sums = spec.phases.iter().map(|phase| match &phase.pass {
        Some(pass @ PassSpec { into: Gradients::Add(weight), .. }) => {
            let internal = |e: GraphError| PlanError::Internal(e.to_string());
            add_gradients(pass, *weight).map(Some).map_err(internal)
        }
        _ => Ok(None),
    });
    sums.collect()
}

fn add_gradients(pass: &PassSpec, weight: f32) -> Result<Summed, GraphError> {
    let mut graph = pass.graph.clone();
    let mut sums = vec![];
    for (name, gradient) in &pass.gradients {
        let (shape, layer) = (graph.shape(*gradient).clone(), graph.node(*gradient).layer.clone());
        graph.set_layer(layer);
        let so_far = graph.source(Source::Gradient(name.clone()), &shape, DType::F32)?;
        let part = graph.mul_scalar(*gradient, f64::from(weight))?;
        sums.push((name.clone(), graph.add(so_far, part)?));
    }
    Ok((graph, sums))
}

/// `spec` with the graphs and gradients replaced by `sums`.
pub(super) fn with_sums<'a>(spec: &ProgramSpec<'a>, sums: &'a [Option<Summed>]) -> ProgramSpec<'a> {
    let mut spec = spec.clone();
    for (phase, sums) in spec.phases.iter_mut().zip(sums) {
        if let (Some(pass), Some((graph, gradients))) = (&mut phase.pass, sums) {
            pass.graph = graph;
            pass.gradients = gradients.clone();
        }
    }
    spec
}

impl Builder<'_> {
    /// The dispatches that set the gradients of the phase's sets to 0.
    pub fn clear(&self, phase: &PhaseSpec) -> Result<Vec<Draft>, PlanError> {
        let mut drafts = vec![];
        for name in &phase.clears {
            let (_, layout) = self.set(name)?;
            let Some(gradients) = layout.gradient_range() else { continue };
            let mut body = Body::default();
            let zero = body.constant(0.0);
            body.stores.push((zero, 0));
            let label = format!("all gradients{}", self.suffix(&layout.name));
            let shape = vec![gradients.words];
            drafts.push(stage::pointwise(shape, body, vec![], vec![Place::Fixed(gradients)], label));
        }
        Ok(drafts)
    }

    /// The dispatches that update a set of parameters.
    pub fn update(
        &mut self,
        phase: &str,
        update: &UpdateSpec,
        drafts: &mut Vec<Draft>,
    ) -> Result<(), PlanError> {
        let (set, layout) = self.set(&update.set)?;
        let (set, layout, suffix) = (set.clone(), layout.clone(), self.suffix(&layout.name));
        let updated = layout.updated.clone();
        let (start, words) = (updated.start, updated.len());
        let parameters = layout.parameters.first().map(|(_, slice)| Slice { start, words, ..*slice });
        let (Some(optimizer), Some(parameters), Some(all)) =
            (set.optimizer.clone(), parameters, layout.gradient_range())
        else {
            return Err(PlanError::NoOptimizer { phase: phase.into(), set: update.set.clone() });
        };
        if updated.is_empty() {
            return Ok(());
        }
        let gradients = Slice { start, words, ..all };
        let blocks = start / Optimizer::BLOCK..updated.end / Optimizer::BLOCK;
        let mask = match &optimizer.decays {
            Some(decays) => by_block(&layout, decays.iter().copied()),
            None => decay_mask(&set, &layout),
        };
        let mask = self.place_constant(&mask[blocks.clone()]);
        let mut reads = vec![Place::Fixed(gradients), Place::Fixed(mask)];
        if let Some(max_norm) = update.max_norm {
            // Of all gradients, whichever part of the parameters is updated.
            let norm = |stage| GradientNorm { len: all.words, stage, max_norm: max_norm.to_bits() };
            let partials = norm(0).partials();
            let class = BufferClass::Gradients;
            let squares = self.add_buffer(format!("gradient squares{suffix}"), class, partials);
            let factor = self.add_buffer(format!("clipping factor{suffix}"), class, 2);
            let squares = Place::Fixed(Slice { buffer: squares, start: 0, words: partials });
            let factor = Place::Fixed(Slice { buffer: factor, start: 0, words: 2 });
            for (stage, read, write) in [(0, Place::Fixed(all), squares), (1, squares, factor)] {
                let kernel = Kernel::new(norm(stage));
                let label = format!("clip{suffix}");
                drafts.push(Draft { kernel, reads: vec![read], writes: vec![write], label });
            }
            reads.push(factor);
        }
        let rates = optimizer.rates.as_ref().map(|rates| by_block(&layout, rates.iter().copied()));
        if let (Some(rates), None) = (&rates, optimizer.adapts) {
            reads.push(Place::Fixed(self.place_constant(&rates[blocks])));
        }
        let grouped = rates.is_some() && optimizer.adapts.is_none();
        let mut writes = vec![Place::Fixed(parameters)];
        for &buffer in &layout.optimizer_state {
            writes.push(Place::Fixed(Slice { buffer, start: 0, words }));
        }
        let clipped = update.max_norm.is_some();
        let cuts = cuts(&layout);
        let Some(adapts) = optimizer.adapts else {
            let (slots, body) = (optimizer.slots, optimizer.body);
            let kernel = Kernel::new(Optimizer { len: words, slots, clipped, grouped, body, cuts });
            drafts.push(Draft { kernel, reads, writes, label: format!("all parameters{suffix}") });
            return Ok(());
        };
        let steps = self.add_buffer(format!("steps{suffix}"), BufferClass::Gradients, words);
        let steps = Slice { buffer: steps, start: 0, words };
        writes.push(Place::Fixed(steps));
        let (slots, body) = (optimizer.slots + 1, optimizer.body);
        let kernel = Kernel::new(Optimizer { len: words, slots, clipped, grouped, body, cuts });
        drafts.push(Draft { kernel, reads, writes, label: format!("all steps{suffix}") });
        let adapting = |at: usize, entry: &Entry| match (adapts, &optimizer.decays) {
            (Adapts::None, _) => false,
            (Adapts::Decayed, Some(decays)) => decays[at] > 0.0,
            (Adapts::Decayed, None) => entry.decay,
            (Adapts::All, _) => true,
        };
        let tensors = set.parameters.iter().zip(&layout.parameters).enumerate();
        // Parts end where tensors do.
        let tensors = tensors.filter(|(_, (_, (_, place)))| updated.contains(&place.start));
        let tensors: Vec<Adapting> = tensors
            .map(|(at, (entry, (name, place)))| {
                let words = aligned(entry.words);
                Adapting {
                    name: name.clone(),
                    place: Slice { words, ..*place },
                    step: Slice { start: place.start - start, words, ..steps },
                    adapts: adapting(at, entry),
                    rate: optimizer.rates.as_ref().map(|rates| rates[at]),
                }
            })
            .collect();
        self.descend(&tensors, &suffix, drafts);
        Ok(())
    }

    /// Allocates a region of parameters for each set.
    pub fn place_parameters(&mut self) {
        let spec = self.spec;
        for set in &spec.sets {
            let words = aligned(set.parameters.iter().map(|p| aligned(p.words)).sum());
            let mut layout = SetLayout { name: set.name.clone(), words, ..SetLayout::default() };
            if !set.parameters.is_empty() {
                let name = format!("parameters{}", self.suffix(&set.name));
                layout.parameters = self.add_region(&name, BufferClass::Parameters, &set.parameters);
            }
            let part = set.optimizer.as_ref().map_or(Part::default(), |optimizer| optimizer.part);
            let is_whole = set.optimizer.as_ref().is_some_and(|optimizer| optimizer.adapts.is_some());
            layout.parts = parts(&layout, part.of, is_whole);
            layout.updated = layout.parts.get(part.number).cloned().unwrap_or_default();
            let updates = spec.phases.iter().filter_map(|phase| phase.update.as_ref());
            let is_clipped = updates.filter(|update| update.set == set.name).any(|u| u.max_norm.is_some());
            layout.needed = if is_clipped { 0..words } else { layout.updated.clone() };
            self.layout.sets.push(layout);
        }
    }

    /// For each region of trained parameters, allocates one for gradients and one per state slot.
    pub fn place_gradients(&mut self) {
        let spec = self.spec;
        let passes = spec.phases.iter().filter_map(|phase| phase.pass.as_ref());
        let differentiated: Vec<&String> =
            passes.flat_map(|pass| &pass.gradients).map(|(name, _)| name).collect();
        for (at, set) in spec.sets.iter().enumerate().filter(|(_, set)| !set.parameters.is_empty()) {
            let (suffix, words) = (self.suffix(&set.name), self.layout.sets[at].words);
            if set.optimizer.is_some() || set.parameters.iter().any(|p| differentiated.contains(&&p.name)) {
                let name = format!("gradients{suffix}");
                let buffer = self.add_buffer(name, BufferClass::Gradients, words);
                self.layout.sets[at].gradients = Some(buffer);
            }
            let updated = self.layout.sets[at].updated.len();
            let slots = set.optimizer.as_ref().map_or(0, |optimizer| optimizer.slots);
            for slot in 0..slots {
                let name = format!("optimizer state {slot}{suffix}");
                let buffer = self.add_buffer(name, BufferClass::OptimizerState, updated);
                self.layout.sets[at].optimizer_state.push(buffer);
            }
        }
    }

    fn set(&self, name: &str) -> Result<(&ParameterSet, &SetLayout), PlanError> {
        let found = self.spec.sets.iter().zip(&self.layout.sets).find(|(set, _)| set.name == name);
        found.ok_or_else(|| PlanError::Unknown {
            kind: "set of parameters",
            name: name.into(),
            known: self.spec.sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// ` of <name>` where there are several sets.
    fn suffix(&self, set: &str) -> String {
        if self.spec.sets.len() > 1 { format!(" of {set}") } else { String::new() }
    }
}

/// Words of a tensor of which several threads each take a part.
const LARGE: usize = 1 << 14;

/// Where large tensors begin and end among the words that are updated.
fn cuts(layout: &SetLayout) -> Vec<usize> {
    let updated = &layout.updated;
    let large = layout.parameters.iter().map(|(_, place)| place).filter(|place| place.words >= LARGE);
    let mut cuts: Vec<usize> =
        large.flat_map(|place| [place.start, place.start + aligned(place.words)]).collect();
    cuts.dedup();
    cuts.retain(|&cut| updated.start < cut && cut < updated.end);
    cuts.iter_mut().for_each(|cut| *cut -= updated.start);
    cuts
}

/// The ranges of the words of `layout` that are as many parts of it: about equal, and of whole blocks, or of whole tensors.
fn parts(layout: &SetLayout, count: usize, of_tensors: bool) -> Vec<Range<usize>> {
    let cut = |number: usize| {
        let least = layout.words * number / count;
        let mut starts = layout.parameters.iter().map(|(_, place)| place.start);
        match of_tensors {
            true => starts.find(|&start| start >= least).unwrap_or(layout.words),
            false => least.next_multiple_of(Optimizer::BLOCK),
        }
    };
    (0..count).map(|number| cut(number)..cut(number + 1)).collect()
}

/// One `f32` per block of the region: 1 where weight decay applies, else 0.
fn decay_mask(set: &ParameterSet, layout: &SetLayout) -> Vec<u32> {
    by_block(layout, set.parameters.iter().map(|entry| f32::from(u8::from(entry.decay))))
}

/// One number per block of the region, from one for each parameter.
fn by_block(layout: &SetLayout, numbers: impl Iterator<Item = f32>) -> Vec<u32> {
    let mut blocks = vec![0f32.to_bits(); layout.words / Optimizer::BLOCK];
    for ((_, place), number) in layout.parameters.iter().zip(numbers) {
        let own = place.start / Optimizer::BLOCK..(place.start + aligned(place.words)) / Optimizer::BLOCK;
        blocks[own].fill(number.to_bits());
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::BufferId;

    #[test]
    fn parts_are_all_words_once() {
        let sizes = [1usize, 700, 64, 65, 3, 1000];
        let mut parameters = vec![];
        let mut start = 0;
        for (at, words) in sizes.into_iter().enumerate() {
            parameters.push((at.to_string(), Slice { buffer: BufferId(0), start, words }));
            start += aligned(words);
        }
        let starts: Vec<usize> = parameters.iter().map(|(_, place)| place.start).chain([start]).collect();
        let layout = SetLayout { parameters, words: start, ..SetLayout::default() };
        for count in [1, 2, 3, 7, 100] {
            for of_tensors in [false, true] {
                let parts = parts(&layout, count, of_tensors);
                assert_eq!((parts.len(), parts[0].start, parts[count - 1].end), (count, 0, start));
                assert!(parts.windows(2).all(|two| two[0].end == two[1].start), "{parts:?}");
                assert!(
                    parts.iter().all(|part| part.start <= part.end && part.start % Optimizer::BLOCK == 0)
                );
                assert!(!of_tensors || parts.iter().all(|part| starts.contains(&part.start)), "{parts:?}");
                let most = parts.iter().map(Range::len).max().unwrap();
                assert!(of_tensors || most < start / count + 2 * Optimizer::BLOCK, "{parts:?}");
            }
        }
    }
}
