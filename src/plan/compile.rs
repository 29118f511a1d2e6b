//! From graphs to a program: every phase's dispatches in order and one memory plan for all of them.

use std::collections::BTreeMap;

use super::draft::{Draft, Drafter, Place, StoredResult};
use super::launch;
use super::memory::{self, Lifetimes};
use super::spec::{Compiled, DataLayout, Entry, Layout, PhaseSpec, PlanError, ProgramSpec, ResultLayout};
use super::{BufferClass, BufferId, BufferSpec, Dispatch, Phase, Program, Slice};
use crate::base::target::Target;
use crate::kernels::Kernel;
use crate::kernels::norm::GradientNorm;
use crate::kernels::optimizer::Optimizer;

/// Compiles `spec` for `target`.
///
/// # Errors
/// [`PlanError`] if the graphs name unknown columns or tensors, or the program exceeds the device.
pub fn compile(spec: &ProgramSpec, target: &Target) -> Result<Compiled, PlanError> {
    let mut builder = Builder { spec, target, program: Program::default(), layout: Layout::default() };
    builder.place_regions();
    builder.place_data();
    let (mut drafts, mut launches, mut lifetimes) = (vec![], vec![], vec![]);
    for at in 0..spec.phases.len() {
        let (phase, temps) = builder.draft_phase(at)?;
        let (phase, numbers) = launch::group(phase, target);
        lifetimes.push(Lifetimes::of(&phase, &numbers, temps));
        drafts.push(phase);
        launches.push(numbers);
    }
    let naive = lifetimes.iter().map(Lifetimes::bytes).sum();
    let arenas = memory::arrange(&drafts, &launches, &lifetimes);
    let first = builder.program.buffers.len();
    for (at, words) in arenas.words.iter().enumerate() {
        builder.add_buffer(format!("activations {at}"), BufferClass::Activations, *words);
    }
    for (phase, (drafts, places)) in drafts.into_iter().zip(&arenas.places).enumerate() {
        let resolve = |place: &Place| match *place {
            Place::Fixed(slice) => slice,
            Place::Temporary(at) => {
                let (arena, start, words) = places[at];
                Slice { buffer: BufferId((first + arena) as u32), start, words }
            }
        };
        let dispatches = drafts
            .into_iter()
            .zip(&launches[phase])
            .map(|(d, &launch)| Dispatch {
                kernel: d.kernel,
                reads: d.reads.iter().map(resolve).collect(),
                writes: d.writes.iter().map(resolve).collect(),
                label: d.label,
                launch,
            })
            .collect();
        builder.program.phases.push(Phase { name: spec.phases[phase].name.clone(), dispatches });
    }
    builder.program.validate().map_err(PlanError::Internal)?;
    builder.check_limits()?;
    Ok(Compiled { program: builder.program, layout: builder.layout, naive_activation_bytes: naive })
}

pub(super) struct Builder<'a> {
    pub spec: &'a ProgramSpec<'a>,
    pub target: &'a Target,
    pub program: Program,
    pub layout: Layout,
}

/// Words rounded up to WebGPU's binding alignment (256 bytes).
pub(super) fn aligned(words: usize) -> usize {
    words.next_multiple_of(Optimizer::BLOCK).max(Optimizer::BLOCK)
}

impl Builder<'_> {
    pub fn add_buffer(&mut self, name: String, class: BufferClass, words: usize) -> BufferId {
        self.program.buffers.push(BufferSpec { name, class, words: aligned(words) });
        BufferId((self.program.buffers.len() - 1) as u32)
    }

    /// A buffer with a place for each entry; gives the places.
    fn add_region(&mut self, name: &str, class: BufferClass, entries: &[Entry]) -> Vec<(String, Slice)> {
        let total = entries.iter().map(|e| aligned(e.words)).sum();
        let buffer = self.add_buffer(name.into(), class, total);
        let mut start = 0;
        let mut places = vec![];
        for entry in entries {
            places.push((entry.name.clone(), Slice { buffer, start, words: entry.words }));
            start += aligned(entry.words);
        }
        places
    }

    fn place_regions(&mut self) {
        let (parameters, states) = (&self.spec.parameters, &self.spec.states);
        if !parameters.is_empty() {
            self.layout.parameters = self.add_region("parameters", BufferClass::Parameters, parameters);
        }
        if !states.is_empty() {
            self.layout.states = self.add_region("states", BufferClass::State, states);
        }
        if let Some(optimizer) = &self.spec.optimizer {
            self.layout.gradients = self.add_region("gradients", BufferClass::Gradients, parameters);
            for slot in 0..optimizer.slots {
                let words = self.region_words();
                let name = format!("optimizer state {slot}");
                let buffer = self.add_buffer(name, BufferClass::OptimizerState, words);
                self.layout.optimizer_state.push(buffer);
            }
        }
    }

    /// Words of the parameter region.
    fn region_words(&self) -> usize {
        aligned(self.spec.parameters.iter().map(|e| aligned(e.words)).sum())
    }

    fn place_data(&mut self) {
        for data in &self.spec.data {
            let order = self.add_buffer(format!("{} row order", data.name), BufferClass::Data, data.order);
            let mut places: Vec<(String, Slice)> = vec![];
            for column in &data.columns {
                let owner = column.of.as_ref().unwrap_or(&column.name);
                let place = match places.iter().find(|(name, _)| name == owner) {
                    Some((_, shared)) => *shared,
                    None => {
                        let seen = data.columns.iter().filter(|c| c.of.as_ref().unwrap_or(&c.name) == owner);
                        let words = seen.map(|c| c.words(data.rows)).max().unwrap_or(0);
                        let name = format!("{} {owner}", data.name);
                        let buffer = self.add_buffer(name, BufferClass::Data, words);
                        Slice { buffer, start: 0, words }
                    }
                };
                places.push((column.name.clone(), place));
            }
            let order = Some(Slice { buffer: order, start: 0, words: data.order });
            self.layout.data.push(DataLayout { order, columns: places });
        }
    }

    /// A place for a constant tensor, shared by equal constants.
    pub fn place_constant(&mut self, data: &[u32]) -> Slice {
        if let Some((slice, _)) = self.layout.constants.iter().find(|(_, known)| known == data) {
            return *slice;
        }
        let name = format!("constant {}", self.layout.constants.len());
        let buffer = self.add_buffer(name, BufferClass::Constants, data.len());
        let slice = Slice { buffer, start: 0, words: data.len() };
        self.layout.constants.push((slice, data.to_vec()));
        slice
    }

    fn draft_phase(&mut self, at: usize) -> Result<(Vec<Draft>, Vec<usize>), PlanError> {
        let phase = &self.spec.phases[at];
        let mut drafter = Drafter::new(self, phase)?;
        drafter.batch()?;
        drafter.groups()?;
        drafter.outputs();
        let (mut drafts, temporaries, stores) = drafter.finish();
        self.store_results(phase, stores, &mut drafts);
        if !phase.gradients.is_empty() {
            self.optimize(&mut drafts);
        }
        Ok((drafts, temporaries))
    }

    fn store_results(&mut self, phase: &PhaseSpec, results: Vec<StoredResult>, drafts: &mut Vec<Draft>) {
        let mut layouts: Vec<ResultLayout> = vec![];
        for (name, _, words) in &results {
            let total = words * phase.slots.max(1);
            let buffer = self.add_buffer(format!("{} {name}", phase.name), BufferClass::Results, total);
            let slice = Slice { buffer, start: 0, words: total };
            layouts.push(ResultLayout { name: name.clone(), slice, words: *words });
        }
        let per_dispatch = (self.target.max_storage_buffers / 2).max(1);
        for (results, layouts) in results.chunks(per_dispatch).zip(layouts.chunks(per_dispatch)) {
            drafts.push(Draft {
                kernel: Kernel::new(crate::kernels::store::Store {
                    widths: results.iter().map(|r| r.2).collect(),
                }),
                reads: results.iter().map(|r| r.1).collect(),
                writes: layouts.iter().map(|l| Place::Fixed(l.slice)).collect(),
                label: layouts.iter().map(|l| l.name.as_str()).collect::<Vec<_>>().join("+"),
            });
        }
        self.layout.results.push(layouts);
    }

    fn optimize(&mut self, drafts: &mut Vec<Draft>) {
        let Some(optimizer) = self.spec.optimizer.clone() else { return };
        let words = self.region_words();
        let whole = |layout: &[(String, Slice)]| layout.first().map(|(_, s)| Slice { start: 0, words, ..*s });
        let (Some(parameters), Some(gradients)) =
            (whole(&self.layout.parameters), whole(&self.layout.gradients))
        else {
            return;
        };
        let mut mask = vec![0f32.to_bits(); words / Optimizer::BLOCK];
        for ((_, place), entry) in self.layout.parameters.iter().zip(&self.spec.parameters) {
            let blocks =
                place.start / Optimizer::BLOCK..(place.start + aligned(entry.words)) / Optimizer::BLOCK;
            mask[blocks].fill(f32::from(u8::from(entry.decay)).to_bits());
        }
        let mask = self.place_constant(&mask);
        let mut reads = vec![Place::Fixed(gradients), Place::Fixed(mask)];
        if let Some(max_norm) = optimizer.max_norm {
            let norm = |stage| GradientNorm { len: words, stage, max_norm: max_norm.to_bits() };
            let partials = norm(0).partials();
            let squares = self.add_buffer("gradient squares".into(), BufferClass::Gradients, partials);
            let factor = self.add_buffer("clipping factor".into(), BufferClass::Gradients, 2);
            let squares = Place::Fixed(Slice { buffer: squares, start: 0, words: partials });
            let factor = Place::Fixed(Slice { buffer: factor, start: 0, words: 2 });
            for (stage, read, write) in [(0, Place::Fixed(gradients), squares), (1, squares, factor)] {
                let kernel = Kernel::new(norm(stage));
                drafts.push(Draft { kernel, reads: vec![read], writes: vec![write], label: "clip".into() });
            }
            reads.push(factor);
        }
        let mut writes = vec![Place::Fixed(parameters)];
        for &buffer in &self.layout.optimizer_state {
            writes.push(Place::Fixed(Slice { buffer, start: 0, words }));
        }
        let (slots, clipped) = (optimizer.slots, optimizer.max_norm.is_some());
        let kernel = Kernel::new(Optimizer { len: words, slots, clipped, body: optimizer.body });
        drafts.push(Draft { kernel, reads, writes, label: "all parameters".into() });
    }

    fn check_limits(&self) -> Result<(), PlanError> {
        for buffer in &self.program.buffers {
            let needed = 4 * buffer.words as u64;
            let limit = match buffer.class {
                BufferClass::Activations => self.target.max_buffer_bytes,
                _ => self.target.max_buffer_bytes.min(self.target.max_binding_bytes),
            };
            if needed > limit {
                let what = format!("buffer `{}`", buffer.name);
                return Err(PlanError::TooLarge { what, needed, limit, largest: self.largest() });
            }
        }
        for dispatch in self.program.phases.iter().flat_map(|p| &p.dispatches) {
            for slice in dispatch.reads.iter().chain(&dispatch.writes) {
                let (needed, limit) = (4 * slice.words as u64, self.target.max_binding_bytes);
                if needed > limit {
                    let what = format!("{} ({})", dispatch.label, dispatch.kernel.name());
                    return Err(PlanError::TooLarge { what, needed, limit, largest: self.largest() });
                }
            }
            let needed = dispatch.reads.len() + dispatch.writes.len();
            if needed > self.target.max_storage_buffers {
                let (layer, limit) = (dispatch.label.clone(), self.target.max_storage_buffers);
                return Err(PlanError::TooManyBuffers { layer, needed, limit });
            }
        }
        Ok(())
    }

    /// The largest tensors of the program, for messages.
    fn largest(&self) -> String {
        let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
        for dispatch in self.program.phases.iter().flat_map(|p| &p.dispatches) {
            for slice in &dispatch.writes {
                let name = format!("{} of {}", dispatch.kernel.name(), dispatch.label);
                let bytes = sizes.entry(name).or_default();
                *bytes = (*bytes).max(4 * slice.words as u64);
            }
        }
        let mut sizes: Vec<_> = sizes.into_iter().collect();
        sizes.sort_by_key(|(name, bytes)| (std::cmp::Reverse(*bytes), name.clone()));
        let named: Vec<String> =
            sizes.iter().take(3).map(|(name, bytes)| format!("{name} ({bytes} bytes)")).collect();
        named.join(", ")
    }
}
