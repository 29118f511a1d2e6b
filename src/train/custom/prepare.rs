//! Compiles a recipe to a program.

use super::position;
use super::recipe::{Data, Phase, Recipe, Set};
use crate::base::target::Target;
use crate::graph::{Graph, Op, Source, ValueId, autodiff};
use crate::nn::tensors::Parameter;
use crate::plan::{
    self, Batches, Compiled, DataColumn, DataSpec, Entry, Gradients, OptimizerSpec, ParameterSet, PassSpec,
    PhaseSpec, ProgramSpec, UpdateSpec,
};
use crate::train::TrainError;

/// The program of a recipe.
pub(super) struct Prepared {
    pub compiled: Compiled,
    pub phases: Vec<Runs>,
}

/// The phases of the program that implement one phase of a recipe.
#[derive(Clone)]
pub(super) struct Runs {
    pub name: String,
    /// In order, each with the set that it updates. A run has the learning rate of a single set.
    pub phases: Vec<(usize, Option<usize>)>,
    /// The phase with the graph.
    pub pass: usize,
    /// Position of the data set it reads, and the batch size.
    pub batches: Option<(usize, usize)>,
}

/// Compiles a recipe.
pub(super) fn prepare(recipe: &Recipe, target: &Target) -> Result<Prepared, TrainError> {
    check(recipe)?;
    let graphs: Vec<Option<Differentiated>> =
        recipe.phases.iter().map(|phase| differentiate(recipe, phase)).collect::<Result<_, _>>()?;
    let (mut specs, mut phases) = (vec![], vec![]);
    for (phase, graph) in recipe.phases.iter().zip(&graphs) {
        let first = specs.len();
        let sets = recipe.sets.iter().map(|set| set.name.as_str());
        let updated: Vec<usize> = phase
            .updates
            .iter()
            .map(|name| position("set of parameters", name, sets.clone()))
            .collect::<Result<_, _>>()?;
        let update = |set: usize| {
            let max_norm = recipe.sets[set].clip_norm.map(|norm| norm as f32);
            UpdateSpec { set: recipe.sets[set].name.clone(), max_norm }
        };
        specs.push(PhaseSpec {
            name: phase.name.clone(),
            clears: phase.clears.clone(),
            pass: graph.as_ref().map(|(graph, gradients)| pass(phase, graph, gradients)),
            update: updated.first().map(|&set| update(set)),
        });
        let mut runs = vec![(first, updated.first().copied())];
        for &set in updated.iter().skip(1) {
            runs.push((specs.len(), Some(set)));
            let name = format!("{}: update of {}", phase.name, recipe.sets[set].name);
            specs.push(PhaseSpec { name, update: Some(update(set)), ..PhaseSpec::default() });
        }
        let batches = phase.batches.as_ref().map(|(name, batch)| {
            let at = position("data set", name, recipe.data.iter().map(|data| data.name.as_str()))?;
            Ok::<_, TrainError>((at, *batch))
        });
        phases.push(Runs {
            name: phase.name.clone(),
            phases: runs,
            pass: first,
            batches: batches.transpose()?,
        });
    }
    let states = recipe.states.iter().map(|s| Entry {
        name: s.name.clone(),
        words: s.shape.iter().product(),
        decay: false,
    });
    let spec = ProgramSpec {
        sets: recipe.sets.iter().map(set_spec).collect(),
        states: states.collect(),
        data: recipe.data.iter().map(data_spec).collect(),
        phases: specs,
        ..ProgramSpec::default()
    };
    let compiled = plan::compile(&spec, target).map_err(|error| TrainError::Input(error.to_string()))?;
    Ok(Prepared { compiled, phases })
}

/// A graph with gradients, and the gradients by parameter name.
type Differentiated = (Graph, Vec<(String, ValueId)>);

fn differentiate(recipe: &Recipe, phase: &Phase) -> Result<Option<Differentiated>, TrainError> {
    let Some(mut graph) = phase.graph.clone() else { return Ok(None) };
    let mut gradients = vec![];
    for (loss, set) in &phase.losses {
        let at = position("set of parameters", set, recipe.sets.iter().map(|s| s.name.as_str()))?;
        let parameters = &recipe.sets[at].parameters;
        let values: Vec<ValueId> =
            parameters.iter().map(|p| parameter(&graph, p, phase)).collect::<Result<_, _>>()?;
        let found = autodiff::gradients(&mut graph, *loss, &values)
            .map_err(|error| wrong(phase, &error.to_string()))?;
        gradients.extend(parameters.iter().map(|p| p.name.clone()).zip(found));
    }
    Ok(Some((graph, gradients)))
}

/// The value of a parameter in a graph.
fn parameter(graph: &Graph, parameter: &Parameter, phase: &Phase) -> Result<ValueId, TrainError> {
    let named = |op: &Op| match op {
        Op::Source(op) => matches!(&op.source, Source::Parameter(name) if *name == parameter.name),
        _ => false,
    };
    let found = graph.nodes.iter().position(|node| named(&node.op));
    found
        .map(|at| ValueId(at as u32))
        .ok_or_else(|| wrong(phase, &format!("its graph does not read the parameter `{}`", parameter.name)))
}

fn wrong(phase: &Phase, reason: &str) -> TrainError {
    TrainError::Input(format!("phase `{}`: {reason}", phase.name))
}

/// Rejects losses that belong to no graph or to another one, which cannot be differentiated.
fn check(recipe: &Recipe) -> Result<(), TrainError> {
    for phase in &recipe.phases {
        let nodes = phase.graph.as_ref().map_or(0, |graph| graph.nodes.len());
        if let Some((value, _)) = phase.losses.iter().find(|(value, _)| value.index() >= nodes) {
            return Err(wrong(phase, &format!("its graph has no value {}", value.0)));
        }
        if let Some((name, batch)) = &phase.batches {
            let at = position("data set", name, recipe.data.iter().map(|data| data.name.as_str()))?;
            let rows = recipe.data[at].rows;
            if !(1..=rows).contains(batch) {
                let reason = format!("it reads batches of {batch} rows; `{name}` has {rows}");
                return Err(wrong(phase, &reason));
            }
        }
    }
    Ok(())
}

fn pass<'g>(phase: &Phase, graph: &'g Graph, gradients: &[(String, ValueId)]) -> PassSpec<'g> {
    let (batches, batch) = match &phase.batches {
        Some((name, batch)) => (Batches::Of(name.clone()), *batch),
        None => (Batches::Written, 1),
    };
    PassSpec {
        graph,
        batch,
        batches,
        augment: vec![],
        slots: 1,
        results: phase.results.clone(),
        gradients: gradients.to_vec(),
        into: phase.adds.map_or(Gradients::Replace, Gradients::Add),
        states: phase.states.clone(),
    }
}

fn set_spec(set: &Set) -> ParameterSet {
    let entry =
        |p: &Parameter| Entry { name: p.name.clone(), words: p.shape.iter().product(), decay: p.decay };
    ParameterSet {
        name: set.name.clone(),
        parameters: set.parameters.iter().map(entry).collect(),
        optimizer: Some(OptimizerSpec::of(&set.optimizer)),
    }
}

fn data_spec(data: &Data) -> DataSpec {
    let columns = data.columns.iter().map(|(name, width)| DataColumn::rows(name, *width)).collect();
    DataSpec { name: data.name.clone(), rows: data.rows, order: data.rows, columns }
}
