//! The program of a model: its phases, and the data each of them needs.

use super::feed::Sent;
use super::training::{ALL, LOSS_SLOTS, TRAINING, Training, entry};
use super::turns;
use crate::base::target::Target;
use crate::data::{Dataset, Graphs};
use crate::graph::ValueId;
use crate::nn::inputs;
use crate::nn::model::{Model, ModelGraph, Turn};
use crate::nn::tensors::{Parameter, State};
use crate::optim::Decay;
use crate::plan::{
    self, Batches, ByteValues, Compiled, DataColumn, DataSpec, Gradients, OptimizerSpec, ParameterSet,
    PassSpec, PhaseSpec, PlanError, ProgramSpec,
};
use crate::train::optimizer_state::OptimizerState;
use crate::train::precision::Precision;
use crate::train::{TrainError, groups};

/// Rows per evaluation batch; halved repeatedly until the plan fits the device.
const EVALUATION_BATCH: usize = 512;
/// Maximum streams of a text evaluated in parallel.
const EVALUATION_STREAMS: usize = 32;
/// Minimum rows per stream: the first characters of a stream lack the context before them.
const ROWS_OF_A_STREAM: usize = 16;

/// The name of the set of those that training leaves as they are.
const FROZEN: &str = "frozen";
/// Data sets.
const EVALUATION: &str = "evaluation";

/// The phases of a training step, and how often each runs: one phase that computes gradients and updates; or
/// one that clears the gradients, one that accumulates those of each micro-batch, and one that updates, unless that is
/// done elsewhere.
pub fn step(accumulate: usize, updates: bool) -> Vec<(usize, usize)> {
    match (accumulate, updates) {
        (0 | 1, _) => vec![(0, 1)],
        (_, true) => vec![(0, 1), (1, accumulate), (2, 1)],
        (_, false) => vec![(0, 1), (1, accumulate)],
    }
}

/// The phases of a training step of `model`, and how often each runs: those of [`step`], or one for each of the
/// model's turns.
///
/// # Errors
/// If layer sizes do not match.
pub fn phases(model: &dyn Model, training: &Training) -> Result<Vec<(usize, usize)>, TrainError> {
    let turns = model.turns(training.rows())?;
    Ok(match turns.is_empty() {
        true => step(training.accumulate, training.updates()),
        false => turns.iter().map(|turn| turn.times).enumerate().collect(),
    })
}

/// Position of the phase that computes losses and gradients.
pub(super) fn pass(accumulate: usize) -> usize {
    usize::from(accumulate > 1)
}

/// Selects values of the training graph to keep, besides the loss.
pub type Watched<'a> = dyn Fn(&ModelGraph) -> Vec<(String, ValueId)> + 'a;

/// Compiles the program of a model: the first phases train if `training` is given (see [`step`]), the last
/// evaluates `evaluation`.
///
/// # Errors
/// If layer sizes do not match, or the program does not fit the target.
pub fn compile(
    model: &dyn Model,
    training: Option<&Training>,
    evaluation: &Dataset,
    target: &Target,
) -> Result<(Compiled, ModelGraph), TrainError> {
    let streams = Streams::of(training, evaluation);
    let built = compile_watching(model, training, evaluation, target, &|_| vec![], streams)?;
    Ok((built.compiled, built.graph))
}

/// Which rows are sent to the device as they are needed: those that train, and those that are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams(pub bool, pub bool);

impl Streams {
    /// Those that are kept elsewhere.
    pub fn of(training: Option<&Training>, evaluation: &Dataset) -> Self {
        let streams = |data: &Dataset| data.streams || data.stored.is_some();
        Self(training.is_some_and(|t| streams(t.data)), streams(evaluation))
    }

    /// All that may be.
    pub fn all(model: &dyn Model, training: Option<&Training>, evaluation: &Dataset) -> Self {
        let may = |data: &Dataset| data.stored.is_some() || !data.on_device;
        Self(training.is_some_and(|t| may(t.data)), may(evaluation) && !model.generates())
    }
}

/// The result of [`compile`], and more.
pub(super) struct Built {
    pub(super) compiled: Compiled,
    pub(super) graph: ModelGraph,
    /// The carried states of training and evaluation.
    pub(super) carried: [Vec<State>; 2],
    pub(super) evaluation_batch: usize,
    /// The turns of a training step, one for each of the first phases; none if [`step`] says what they are.
    pub(super) turns: Vec<Turn>,
    /// Of each data set how its rows lie where they are kept, and how they are sent, if they are.
    pub(super) sent: Vec<Option<(DataSpec, Sent)>>,
}

/// Like [`compile`]; with `watched` values, only one training step's results are kept.
pub(super) fn compile_watching(
    model: &dyn Model,
    training: Option<&Training>,
    evaluation: &Dataset,
    target: &Target,
    watched: &Watched,
    streams: Streams,
) -> Result<Built, TrainError> {
    let mut batch = batch_of(model, evaluation);
    let mut first = None;
    let saves = training.is_some_and(|t| !t.recompute.is_off() || t.precision == Precision::Mixed);
    let alone = |batch: usize| {
        let built = compile_batches(model, None, evaluation, batch, target, watched, streams)?;
        Ok::<u64, TrainError>(built.compiled.activation_bytes.iter().sum())
    };
    loop {
        match compile_batches(model, training, evaluation, batch, target, watched, streams) {
            // What a step saves is not taken by the evaluation.
            Ok(built) if saves && evaluation.text.is_none() => {
                let most = most_activations(&built.compiled);
                let whole = batch;
                while batch > 1 && alone(batch)? > most {
                    batch /= 2;
                }
                return match batch == whole {
                    true => Ok(built),
                    false => compile_batches(model, training, evaluation, batch, target, watched, streams),
                };
            }
            Ok(built) => return Ok(built),
            // Texts keep their number of streams.
            Err(error @ TrainError::Plan(PlanError::TooLarge { .. }))
                if batch > 1 && evaluation.text.is_none() =>
            {
                first.get_or_insert(error);
                batch /= 2;
            }
            // If nothing fits, report the first error.
            Err(error) => return Err(first.unwrap_or(error)),
        }
    }
}

/// Bytes that the intermediate values of the largest phase of a training step take.
fn most_activations(compiled: &Compiled) -> u64 {
    let used = &compiled.activation_bytes;
    used.split_last().and_then(|(_, others)| others.iter().max()).copied().unwrap_or(0)
}

/// Like [`compile_watching`], with evaluation batches of `evaluation_batch` rows.
fn compile_batches(
    model: &dyn Model,
    training: Option<&Training>,
    evaluation: &Dataset,
    evaluation_batch: usize,
    target: &Target,
    watched: &Watched,
    streams: Streams,
) -> Result<Built, TrainError> {
    let evaluating = model.graph(evaluation_batch, false)?;
    let turns = training.map(|t| model.turns(t.rows())).transpose()?.unwrap_or_default();
    let whole = training.filter(|_| turns.is_empty());
    let trained = whole.map(|t| model.graph(t.rows(), true)).transpose()?;
    let mut data = vec![];
    let mut sent = vec![];
    let mut phases = vec![];
    if let Some(t) = training {
        let spec = data_spec(TRAINING, t.data, t.data.rows.next_multiple_of(t.batch));
        // The batches of a step are sent together.
        let unit = t.batch * turns.iter().map(|turn| turn.times).max().unwrap_or(1).max(1);
        let how = streams.0.then(|| Sent::of(t.data, &spec, unit, t.data.rows));
        data.push(how.map_or_else(|| spec.clone(), |how| sent_spec(&spec, how.room())));
        sent.push(how.map(|how| (spec, how)));
        phases = match &trained {
            Some(graph) => training_phases(t, graph, watched(graph)),
            None => turns::phases(t, &turns),
        };
    }
    let all = (evaluation.rows.div_ceil(evaluation_batch) * evaluation_batch).max(1);
    let spec = data_spec(EVALUATION, evaluation, all);
    // Their results are read before others are sent.
    let how = streams.1.then(|| Sent { places: 1, ..Sent::of(evaluation, &spec, evaluation_batch, all) });
    let batches = how.map_or(all, |how| how.rows).div_ceil(evaluation_batch);
    let mut results =
        vec![("predictions".into(), evaluating.predictions), ("losses".into(), evaluating.loss_rows)];
    results.extend(evaluating.parts.iter().map(|(name, value)| (name.to_string(), *value)));
    data.push(how.map_or_else(|| spec.clone(), |how| sent_spec(&spec, how.room())));
    sent.push(how.map(|how| (spec, how)));
    let pass = PassSpec {
        graph: &evaluating.graph,
        batch: evaluation_batch,
        batches: Batches::Of(EVALUATION.into()),
        augment: vec![],
        slots: batches.max(1),
        results,
        gradients: vec![],
        into: Gradients::Replace,
        states: evaluating.updates.clone(),
    };
    phases.push(PhaseSpec { name: "evaluate".into(), pass: Some(pass), ..PhaseSpec::default() });
    let sets = match (training, &turns[..]) {
        (Some(t), [_, ..]) => turns::sets(t, &turns, &evaluating.parameters),
        _ => whole_sets(training, trained.as_ref(), &evaluating.parameters),
    };
    let spec = ProgramSpec {
        sets,
        states: evaluating
            .states
            .iter()
            .chain(trained.iter().flat_map(|t| &t.carried))
            .chain(&evaluating.carried)
            .map(|s| entry(&s.name, &s.shape, false))
            .collect(),
        data,
        phases,
        recompute: training.map(|t| t.recompute).unwrap_or_default(),
        halves: training.is_some_and(|t| t.precision == Precision::Mixed),
    };
    let mut compiled = plan::compile(&spec, target)?;
    if let Some(t) = training.filter(|t| !t.updates()) {
        let update = update_on_the_host(t, trained.as_ref(), &evaluating.parameters, target.exact)?;
        compiled.update = Some(Box::new(update));
    }
    let carried = [trained.map(|t| t.carried).unwrap_or_default(), evaluating.carried.clone()];
    Ok(Built { compiled, graph: evaluating, carried, evaluation_batch, turns, sent })
}

/// The program that updates the parameters on the CPU: its only phase.
fn update_on_the_host(
    training: &Training,
    graph: Option<&ModelGraph>,
    parameters: &[Parameter],
    exact: bool,
) -> Result<Compiled, PlanError> {
    let here = Training { optimizer_state: OptimizerState::Sharded, ..training.clone() };
    let mut sets = whole_sets(Some(&here), graph, parameters);
    sets.truncate(1);
    let phases =
        vec![PhaseSpec { update: Some(here.update()), name: "update".into(), ..PhaseSpec::default() }];
    plan::compile(
        &ProgramSpec { sets, phases, ..ProgramSpec::default() },
        &Target { exact, ..Target::native() },
    )
}

/// All parameters as one set, and those that are not trained as another.
fn whole_sets(
    training: Option<&Training>,
    graph: Option<&ModelGraph>,
    parameters: &[Parameter],
) -> Vec<ParameterSet> {
    let decays_all = training.is_some_and(|t| t.decay == Decay::All);
    let is_trained =
        |p: &&Parameter| graph.is_none_or(|g| g.gradients.iter().any(|(name, _)| *name == p.name));
    let (own, frozen): (Vec<&Parameter>, Vec<&Parameter>) = parameters.iter().partition(is_trained);
    let grouped = training.filter(|t| !t.groups.is_empty());
    let rates = grouped.map(|t| own.iter().map(|p| groups::rate(&t.groups, &p.name)).collect());
    let decay = |t: &Training, p: &Parameter| match p.decay || decays_all {
        true => groups::weight_decay(&t.groups, &t.optimizer, &p.name),
        false => 0.0,
    };
    let decaying = grouped.filter(|t| groups::have_decays(&t.groups));
    let decays = decaying.map(|t| own.iter().map(|p| decay(t, p)).collect());
    let entries =
        |of: &[&Parameter]| of.iter().map(|p| entry(&p.name, &p.shape, p.decay || decays_all)).collect();
    let optimizer = training.filter(|t| t.updates()).map(|t| {
        let rule = if decaying.is_some() { groups::rule(&t.optimizer) } else { t.optimizer.clone() };
        OptimizerSpec { rates, decays, part: t.part, ..OptimizerSpec::of(&rule) }
    });
    let mut sets = vec![ParameterSet { name: ALL.into(), parameters: entries(&own), optimizer }];
    if !frozen.is_empty() {
        sets.push(ParameterSet { name: FROZEN.into(), parameters: entries(&frozen), optimizer: None });
    }
    sets
}

/// The phases of a training step, as in [`step`]; with `watched` values, only one step's results are kept.
fn training_phases<'g>(
    t: &Training,
    graph: &'g ModelGraph,
    watched: Vec<(String, ValueId)>,
) -> Vec<PhaseSpec<'g>> {
    let slots = if watched.is_empty() { t.data.rows / t.batch } else { 1 };
    let parts = t.accumulate.max(1);
    // The loss of a step is the mean over its micro-batches, and so is its gradient.
    let into = if parts == 1 { Gradients::Replace } else { Gradients::Add(1.0 / parts as f32) };
    let pass = PassSpec {
        graph: &graph.graph,
        batch: t.rows(),
        batches: Batches::Of(TRAINING.into()),
        augment: t.augment(),
        slots: slots.clamp(1, (LOSS_SLOTS / parts).max(1)) * parts,
        results: std::iter::once(("loss".into(), graph.loss)).chain(watched).collect(),
        gradients: graph.gradients.clone(),
        into,
        states: graph.updates.clone(),
    };
    let update = t.updates().then(|| t.update());
    let named = |name: &str| PhaseSpec { name: name.into(), ..PhaseSpec::default() };
    if parts == 1 {
        return vec![PhaseSpec { pass: Some(pass), update, ..named("train") }];
    }
    let mut phases = vec![
        PhaseSpec { clears: vec![ALL.into()], ..named("clear") },
        PhaseSpec { pass: Some(pass), ..named("gradients") },
    ];
    if update.is_some() {
        phases.push(PhaseSpec { update, ..named("update") });
    }
    phases
}

/// Rows per evaluation batch.
fn batch_of(model: &dyn Model, evaluation: &Dataset) -> usize {
    match evaluation.text {
        // All generated texts, in parallel.
        Some(_) if model.generates() => evaluation.rows,
        Some(_) => (evaluation.rows / ROWS_OF_A_STREAM).clamp(1, EVALUATION_STREAMS),
        None => evaluation.rows.clamp(1, EVALUATION_BATCH),
    }
}

/// The same columns for `rows` rows that are sent.
fn sent_spec(spec: &DataSpec, rows: usize) -> DataSpec {
    let columns = spec.columns.iter().map(DataColumn::apart).collect();
    DataSpec { name: spec.name.clone(), rows, order: rows, columns }
}

/// The columns of graphs.
fn columns_of_graphs(graphs: &Graphs) -> Vec<DataColumn> {
    let packed = graphs.packed;
    let mut columns = vec![
        DataColumn::rows(inputs::LENGTH, 1),
        DataColumn::rows(inputs::LINKS, packed.words()),
        DataColumn::rows(inputs::NORMALISED, packed.edges),
        DataColumn::rows(inputs::AVERAGED, packed.edges),
    ];
    if !graphs.features.is_empty() {
        columns.push(DataColumn::rows(inputs::NODES, packed.nodes * graphs.features.len()));
    }
    let categories = graphs.categories.iter().map(|c| inputs::node_source(&c.name));
    columns.extend(categories.map(|name| DataColumn::rows(name, packed.nodes)));
    columns
}

fn data_spec(name: &str, data: &Dataset, order: usize) -> DataSpec {
    if let Some(text) = &data.text {
        let length = text.length;
        // The targets are the same text, one symbol later.
        let next =
            DataColumn { offset: 1, of: Some(inputs::X.into()), ..DataColumn::rows(inputs::Y, length) };
        let columns = vec![DataColumn::rows(inputs::X, length), next];
        return DataSpec { name: name.into(), rows: text.rows().max(1), order, columns };
    }
    let mut columns = vec![];
    if let Some(documents) = &data.documents {
        columns.push(DataColumn::rows(inputs::X, documents.length));
        columns.push(DataColumn::rows(inputs::LENGTH, 1));
    }
    if let Some(graphs) = &data.graphs {
        columns.extend(columns_of_graphs(graphs));
    }
    let windows = data.windows.as_ref();
    if let Some(pixels) = &data.pixels {
        let table = pixels.table().iter().map(|value| value.to_bits()).collect();
        let values = ByteValues { plane: pixels.plane(), table };
        columns.push(DataColumn::bytes(inputs::X, data.width(), values));
    } else if !data.features.is_empty() {
        let stride = data.features.len();
        columns.push(DataColumn { stride, ..DataColumn::rows(inputs::X, data.width()) });
    }
    columns.extend(data.categories.iter().map(|c| DataColumn::rows(inputs::category_source(&c.name), 1)));
    if !data.weights.is_empty() {
        columns.push(DataColumn::rows(inputs::WEIGHT, 1));
    }
    columns.push(windows.map_or_else(
        || DataColumn::rows(inputs::Y, data.outputs()),
        |w| DataColumn {
            stride: w.targets,
            offset: w.first_target * w.targets,
            ..DataColumn::rows(inputs::Y, w.outputs())
        },
    ));
    // Each window start counts as a row, although windows share most of their words.
    let rows = windows.map_or(data.rows, |w| (w.stored + 1).saturating_sub(w.span()));
    DataSpec { name: name.into(), rows: rows.max(1), order, columns }
}
