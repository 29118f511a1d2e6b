//! Recomputation of activations: of a forward pass, only what later parts of it begin with is kept for the backward
//! pass, which computes the rest once more when it comes to it (Chen et al. 2016, arXiv:1604.06174; keeping what is
//! dear to compute: Korthikanti et al. 2022, arXiv:2205.05198).
//!
//! [`super::forward`] finds what the backward pass needs of the forward pass and where that may be cut, `rewrite` makes the
//! graph that computes parts again, and this file chooses by compiling: how much memory a plan takes is known only once
//! it is made.

mod rewrite;

use super::compile::{check_names, compile_as_it_is};
use super::forward::{Cuts, Forward};
use super::saving::{Recompute, Saved};
use super::spec::{Compiled, PassSpec, PlanError, ProgramSpec};
use super::update;
use crate::base::order::Order;
use crate::base::target::Target;
use crate::graph::{Graph, GraphError, ValueId};

/// Most that `auto` computes: this times the floating-point operations of a plain step.
const MOST_FLOPS: f64 = 1.35;
/// How many ways of cutting a forward pass are compiled, of those estimated to take the least memory.
const TRIED: usize = 3;

/// Which parts of a forward pass are computed again, and what is kept of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// Number of parts.
    parts: usize,
    /// How many of them, from the first, are computed again; the last never is, because the backward pass begins
    /// with it.
    again: usize,
    /// Whether what is dear to compute is kept in these too.
    keeps_dear: bool,
}

/// Compiles `spec` for `target`, computing parts of forward passes again, and keeping values in half precision, as it
/// says.
///
/// # Errors
/// [`PlanError`] if the graphs refer to unknown columns or tensors, or the program exceeds the device's
/// limits or the memory that `spec` allows for intermediate values.
pub fn compile(spec: &ProgramSpec, target: &Target) -> Result<Compiled, PlanError> {
    check_names(spec)?;
    let sums = update::summed(spec)?;
    choose(&update::with_sums(spec, &sums), target)
}

/// [`compile`], with the sums of gradients in the graphs.
fn choose(spec: &ProgramSpec, target: &Target) -> Result<Compiled, PlanError> {
    let forwards: Vec<Option<Forward>> =
        spec.phases.iter().map(|p| p.pass.as_ref().and_then(Forward::of)).collect();
    let plain = ProgramSpec { halves: false, ..spec.clone() };
    let saves = spec.halves || spec.recompute != Recompute::Off;
    if !saves || forwards.iter().all(Option::is_none) {
        return compile_as_it_is(&plain, target);
    }
    let search = Search { spec, target, forwards: &forwards };
    let plain = search.tried(&plain, 0);
    match (spec.recompute, plain) {
        (Recompute::Within(limit), plain) => search.within(limit, plain),
        (_, plain) => search.least(plain),
    }
}

struct Search<'a> {
    spec: &'a ProgramSpec<'a>,
    target: &'a Target,
    forwards: &'a [Option<Forward>],
}

/// A compiled program, and the bytes and operations of its phases with gradients.
struct Tried {
    compiled: Compiled,
    bytes: u64,
    flops: u64,
    parts: usize,
    halves: bool,
}

impl Search<'_> {
    /// The plan with the least memory among those that compute at most [`MOST_FLOPS`] times as much.
    fn least(&self, plain: Result<Tried, PlanError>) -> Result<Compiled, PlanError> {
        let kept = if self.spec.halves { self.tried(self.spec, 0).ok() } else { None };
        let reference = kept.as_ref().or(plain.as_ref().ok());
        let most = reference.map_or(u64::MAX, |tried| (MOST_FLOPS * tried.flops as f64) as u64);
        let mut best = kept;
        let plans = if self.spec.recompute == Recompute::Off { vec![] } else { self.plans() };
        for plan in plans {
            let Ok(tried) = self.compile(plan) else { continue };
            let is_better = best.as_ref().is_none_or(|b| (tried.bytes, tried.flops) < (b.bytes, b.flops));
            if tried.flops <= most && is_better {
                best = Some(tried);
            }
        }
        match (plain, best) {
            (Ok(plain), Some(best)) if best.bytes < plain.bytes => Ok(told(best, Some(&plain))),
            (Err(_), Some(best)) => Ok(told(best, None)),
            (plain, _) => Ok(plain?.compiled),
        }
    }

    /// The plan with the fewest operations among those that take at most `limit` bytes.
    fn within(&self, limit: u64, plain: Result<Tried, PlanError>) -> Result<Compiled, PlanError> {
        let kept = if self.spec.halves { self.tried(self.spec, 0).ok() } else { None };
        let mut least = u64::MAX;
        for tried in kept.iter().chain(plain.as_ref().ok()) {
            least = least.min(tried.bytes);
        }
        match (plain, kept) {
            // What is asked for takes effect where it takes less memory.
            (plain, Some(kept))
                if kept.bytes <= limit && plain.as_ref().ok().is_none_or(|p| kept.bytes < p.bytes) =>
            {
                Ok(told(kept, plain.as_ref().ok()))
            }
            (Ok(plain), _) if plain.bytes <= limit => Ok(plain.compiled),
            (plain, _) => self.computing_again(limit, least, plain.as_ref().ok()),
        }
    }

    /// [`Search::within`], where parts have to be computed again; `least` are the fewest bytes without.
    fn computing_again(
        &self,
        limit: u64,
        mut least: u64,
        plain: Option<&Tried>,
    ) -> Result<Compiled, PlanError> {
        let mut best: Option<Tried> = None;
        for plan in self.plans() {
            let full = self.compile(plan)?;
            least = least.min(full.bytes);
            if full.bytes > limit {
                continue;
            }
            // As few parts as suffice: more of them take less memory.
            let (mut fits, mut low, mut high) = (full, 1, plan.again);
            while low < high {
                let again = low.midpoint(high);
                let tried = self.compile(Plan { again, ..plan })?;
                if tried.bytes <= limit {
                    (fits, high) = (tried, again);
                } else {
                    low = again + 1;
                }
            }
            if best.as_ref().is_none_or(|b| (fits.flops, fits.bytes) < (b.flops, b.bytes)) {
                best = Some(fits);
            }
        }
        best.map(|best| told(best, plain)).ok_or(PlanError::Recompute { least, limit })
    }

    /// The ways of cutting to try: keeping what is dear or not, with the least estimated memory.
    fn plans(&self) -> Vec<Plan> {
        let mut plans = vec![];
        for keeps_dear in [true, false] {
            let estimate = |parts: usize| -> u64 {
                let of = |f: &Forward| f.estimate(&f.cuts(parts), keeps_dear);
                self.forwards.iter().flatten().map(of).max().unwrap_or(0)
            };
            let most = self.forwards.iter().flatten().map(Forward::most_parts).max().unwrap_or(1);
            let mut numbers: Vec<(u64, usize)> = (2..=most).map(|parts| (estimate(parts), parts)).collect();
            numbers.order();
            let plan = |&(_, parts): &(u64, usize)| Plan { parts, again: parts - 1, keeps_dear };
            plans.extend(numbers.iter().take(TRIED).map(plan));
        }
        plans
    }

    fn compile(&self, plan: Plan) -> Result<Tried, PlanError> {
        let internal = |e: GraphError| PlanError::Internal(e.to_string());
        let mut rewritten: Vec<Option<(Graph, Vec<ValueId>)>> = vec![];
        let mut parts = 0;
        for (phase, forward) in self.spec.phases.iter().zip(self.forwards) {
            let pass = phase.pass.as_ref().zip(forward.as_ref());
            let new = pass.map(|(pass, forward)| {
                let cuts: Cuts = forward.cuts(plan.parts);
                // Of a short pass, as many as it has.
                let again = plan.again.min(cuts.0.len());
                parts = parts.max(again);
                rewrite::repeated(pass.graph, forward, &cuts, again, plan.keeps_dear)
            });
            rewritten.push(new.transpose().map_err(internal)?);
        }
        let mut spec = self.spec.clone();
        for (phase, new) in spec.phases.iter_mut().zip(&rewritten) {
            if let (Some(pass), Some((graph, places))) = (&mut phase.pass, new) {
                move_to(pass, graph, places);
            }
        }
        self.tried(&spec, parts)
    }

    /// `spec` compiled as it is.
    fn tried(&self, spec: &ProgramSpec, parts: usize) -> Result<Tried, PlanError> {
        let compiled = compile_as_it_is(spec, self.target)?;
        let (mut bytes, mut flops) = (0, 0);
        let phases = compiled.program.phases.iter().zip(&compiled.activation_bytes).zip(self.forwards);
        for ((phase, used), _) in phases.filter(|(_, forward)| forward.is_some()) {
            bytes = bytes.max(*used);
            flops += phase.cost().flops;
        }
        Ok(Tried { compiled, bytes, flops, parts, halves: spec.halves })
    }
}

/// The program of `best`, with what it saves and costs if the plain one can be compiled at all.
fn told(best: Tried, plain: Option<&Tried>) -> Compiled {
    let saved = plain.map(|plain| Saved {
        activation_bytes: best.bytes,
        plain_activation_bytes: plain.bytes,
        flops: best.flops,
        plain_flops: plain.flops,
        parts: best.parts,
        halves: best.halves,
    });
    Compiled { saved, ..best.compiled }
}

/// `pass` with its values in another graph.
fn move_to<'a>(pass: &mut PassSpec<'a>, graph: &'a Graph, places: &[ValueId]) {
    pass.graph = graph;
    for (_, value) in pass.results.iter_mut().chain(&mut pass.gradients).chain(&mut pass.states) {
        *value = places[value.index()];
    }
}
