//! From graphs to a program: the dispatches of every phase in order, and a single memory plan for all of
//! them.

use std::collections::{BTreeMap, BTreeSet};

use super::builder::Builder;
use super::draft::{Draft, Place};
use super::drafter::Drafter;
use super::launch;
use super::memory::{self, Lifetimes};
use super::settle::{self, Settled};
use super::spec::{Compiled, Layout, PassSpec, PhaseLayout, PlanError, ProgramSpec, ResultLayout};
use super::{BufferClass, BufferId, Dispatch, Phase, Program, Slice, halves};
use crate::base::order::Order;
use crate::base::target::Target;
use crate::kernels::Kernel;
use crate::kernels::store::Store;

/// Compiles `spec` with its graphs as they are, the sums of gradients among them.
///
/// # Errors
/// As [`super::compile`], but for names.
pub(super) fn compile_as_it_is(spec: &ProgramSpec, target: &Target) -> Result<Compiled, PlanError> {
    let mut builder = Builder { spec, target, program: Program::default(), layout: Layout::default() };
    builder.place_regions();
    builder.place_data();
    let (mut drafts, mut launches, mut lifetimes) = (vec![], vec![], vec![]);
    for at in 0..spec.phases.len() {
        let (phase, late, temps) = builder.draft_phase(at)?;
        let (phase, numbers) = launch::group(phase, &late, target);
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
    let activation_bytes = arenas.used.iter().map(|&words| 4 * words as u64).collect();
    let (program, layout) = (builder.program, builder.layout);
    Ok(Compiled {
        program,
        layout,
        naive_activation_bytes: naive,
        activation_bytes,
        saved: None,
        update: None,
    })
}

/// Rejects duplicate names, because phases and graphs refer to things by name, and values of other graphs.
pub(super) fn check_names(spec: &ProgramSpec) -> Result<(), PlanError> {
    let unique = |kind, names: Vec<&String>| {
        let mut seen = BTreeSet::new();
        match names.into_iter().find(|name| !seen.insert(name.as_str())) {
            Some(name) => Err(PlanError::Twice { kind, name: name.clone() }),
            None => Ok(()),
        }
    };
    unique("parameter", spec.parameters().map(|p| &p.name).collect())?;
    unique("state", spec.states.iter().map(|s| &s.name).collect())?;
    unique("set of parameters", spec.sets.iter().map(|s| &s.name).collect())?;
    unique("data set", spec.data.iter().map(|d| &d.name).collect())?;
    unique("phase", spec.phases.iter().map(|p| &p.name).collect())?;
    for pass in spec.phases.iter().filter_map(|phase| phase.pass.as_ref()) {
        let outputs = pass.results.iter().chain(&pass.gradients).chain(&pass.states);
        if let Some((name, _)) =
            outputs.into_iter().find(|(_, value)| value.index() >= pass.graph.nodes.len())
        {
            return Err(PlanError::Unknown {
                kind: "value of the graph for",
                name: name.clone(),
                known: String::new(),
            });
        }
    }
    Ok(())
}

/// The dispatches of a phase, the positions of those that run late, and the sizes of its temporaries in words.
type Drafted = (Vec<Draft>, Vec<usize>, Vec<usize>);

impl Builder<'_> {
    fn place_regions(&mut self) {
        self.place_parameters();
        if !self.spec.states.is_empty() {
            self.layout.states = self.add_region("states", BufferClass::State, &self.spec.states);
        }
        self.place_gradients();
    }

    fn draft_phase(&mut self, at: usize) -> Result<Drafted, PlanError> {
        let spec = self.spec;
        let phase = &spec.phases[at];
        self.layout.phases.push(PhaseLayout { name: phase.name.clone(), ..PhaseLayout::default() });
        let (mut drafts, mut late, mut temporaries) = (self.clear(phase)?, vec![], vec![]);
        if let Some(pass) = &phase.pass {
            let mut drafter = Drafter::new(self, &phase.name, pass)?;
            drafter.batch()?;
            drafter.groups()?;
            drafter.outputs();
            let forward = if spec.halves { drafter.forward() } else { vec![] };
            let (mut computed, stores);
            (computed, late, temporaries, stores) = drafter.finish();
            computed = halves::halved(computed, &mut late, &mut temporaries, &forward);
            let settled = settle::settled(&mut computed, &mut late, &stores, &temporaries);
            late.iter_mut().for_each(|at| *at += drafts.len());
            drafts.extend(computed);
            self.settle(&phase.name, pass, settled, &mut drafts);
        }
        if let Some(update) = &phase.update {
            self.update(&phase.name, update, &mut drafts)?;
        }
        Ok((drafts, late, temporaries))
    }

    /// The dispatches that put values in place at the end of a pass, and the places of its results.
    fn settle(&mut self, phase: &str, pass: &PassSpec, settled: Vec<Settled>, drafts: &mut Vec<Draft>) {
        let mut layouts: Vec<ResultLayout> = vec![];
        let mut places = vec![];
        for Settled { stored, to, label, .. } in &settled {
            places.push(to.unwrap_or_else(|| {
                let total = stored.words * pass.slots.max(1);
                let buffer = self.add_buffer(format!("{phase} {label}"), BufferClass::Results, total);
                let slice = Slice { buffer, start: 0, words: total };
                layouts.push(ResultLayout { name: label.clone(), slice, words: stored.words });
                Place::Fixed(slice)
            }));
        }
        let per_dispatch = (self.target.max_storage_buffers / 2).max(1);
        for (settled, places) in settled.chunks(per_dispatch).zip(places.chunks(per_dispatch)) {
            let mut labels: Vec<&str> = settled.iter().map(|settled| settled.label.as_str()).collect();
            labels.dedup();
            drafts.push(Draft {
                kernel: Kernel::new(Store { values: settled.iter().map(|settled| settled.stored).collect() }),
                reads: settled.iter().map(|settled| settled.from).collect(),
                writes: places.to_vec(),
                label: labels.join(" + "),
            });
        }
        if let Some(phase) = self.layout.phases.last_mut() {
            phase.results = layouts;
        }
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
        sizes.order_by_key(|(name, bytes)| (std::cmp::Reverse(*bytes), name.clone()));
        let named: Vec<String> =
            sizes.iter().take(3).map(|(name, bytes)| format!("{name} ({bytes} bytes)")).collect();
        named.join(", ")
    }
}
