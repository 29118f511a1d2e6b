//! Explains the predictions of a run.

mod attributed;
mod files;
mod maps;
mod nearest;

use std::path::Path;

use super::opened::{Opened, open};
pub use super::studied::Selection;
use super::studied::Studied;
use crate::base::number::{Number, numbers};
use crate::device::Device;
use crate::explain::Network;
use crate::explain::curves::{Curves, GRID, curves};
use crate::explain::found::{ByMetric, ColumnImportance, Effect, Effects, Explanation, Permutation};
use crate::explain::path::Baseline;
use crate::explain::permutation::{Importances, importances};
use crate::explain::response::Response;
use crate::report::explained;
use crate::train::TrainError;
use crate::train::metrics::Predictions;
pub use files::{File, files};

/// A way to explain predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Permutation importance.
    Permutation,
    /// Shapley values.
    Shap,
    /// Integrated gradients.
    IntegratedGradients,
    /// Partial dependence and accumulated local effects.
    Effects,
    /// Saliency maps.
    Saliency,
    /// SmoothGrad.
    SmoothGrad,
    /// Grad-CAM.
    GradCam,
    /// Occlusion.
    Occlusion,
    /// Attention rollout.
    Rollout,
    /// The nearest training rows.
    Nearest,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 10] = [
        Self::Permutation,
        Self::Shap,
        Self::IntegratedGradients,
        Self::Effects,
        Self::Saliency,
        Self::SmoothGrad,
        Self::GradCam,
        Self::Occlusion,
        Self::Rollout,
        Self::Nearest,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permutation => "permutation",
            Self::Shap => "shap",
            Self::IntegratedGradients => "integrated-gradients",
            Self::Effects => "effects",
            Self::Saliency => "saliency",
            Self::SmoothGrad => "smoothgrad",
            Self::GradCam => "grad-cam",
            Self::Occlusion => "occlusion",
            Self::Rollout => "rollout",
            Self::Nearest => "nearest",
        }
    }
}

impl std::str::FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|method| method.name() == text);
        known.ok_or_else(|| {
            let hint = crate::base::names::nearest(text, Self::ALL.iter().map(|method| method.name()));
            format!("there is no method `{text}`{hint}")
        })
    }
}

/// What is to be explained, and how.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Which rows.
    pub selection: Selection<'a>,
    /// Methods; all that suit the rows if empty.
    pub methods: &'a [Method],
    /// Columns that are treated as one, each a list of names separated by commas.
    pub groups: &'a [String],
    /// Permutations of each column.
    pub repeats: usize,
    /// The metric that permutation importance ranks columns by; by default the first.
    pub metric: Option<&'a str>,
    /// Background rows of Shapley values at most.
    pub background: usize,
    /// Where integrated gradients begin.
    pub baseline: Option<Baseline>,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            methods: &[],
            groups: &[],
            repeats: 5,
            metric: None,
            background: 100,
            baseline: None,
            seed: 0,
        }
    }
}

/// Rows permuted at least, if there are as many, and at most.
const LEAST_PERMUTED: usize = 500;
const PERMUTED: usize = 10_000;
/// Rows that curves are averaged over.
const LEAST_AVERAGED: usize = 50;
const AVERAGED: usize = 500;

/// An explanation, and its page.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What was found.
    pub found: Explanation,
    /// A self-contained HTML page.
    pub html: String,
    /// Pictures with their maps, by file name.
    pub pictures: Vec<(String, Vec<u8>)>,
}

/// Explains the predictions of `run` for some rows.
///
/// # Errors
/// If the run or the rows cannot be read, its model predicts no target, a method does not suit it, or the
/// device fails.
pub fn explain(run: &Path, request: &Request, device: &dyn Device) -> Result<Explained, TrainError> {
    check(request)?;
    let opened = open(run)?.folded();
    let mut studied = Studied::new(&opened, request.selection, request.seed)?;
    studied.space.group(request.groups)?;
    let methods = methods(&opened, &mut studied, request.methods, device)?;
    let mut found = Explanation {
        run: run.display().to_string(),
        split: studied.split.clone(),
        rows: studied.count(),
        subject: opened.task().subject(),
        seed: request.seed,
        permutation: None,
        shap: None,
        integrated_gradients: None,
        rollout: None,
        effects: None,
        pictures: None,
        nearest: None,
        notes: vec![],
    };
    let maps: Vec<Method> = methods.iter().copied().filter(|method| is_map(&opened, *method)).collect();
    for method in &methods {
        match method {
            Method::Permutation => {
                found.permutation = Some(permutation(&opened, &mut studied, request, device)?);
            }
            Method::Shap => found.shap = Some(attributed::shap(&opened, &mut studied, request, device)?),
            Method::IntegratedGradients if opened.fitted.image.is_none() => {
                found.integrated_gradients =
                    Some(attributed::gradients(&opened, &mut studied, request, device)?);
            }
            Method::Rollout if opened.fitted.image.is_none() => {
                found.rollout = Some(attributed::rollout(&opened, &mut studied, request, device)?);
            }
            Method::Effects => found.effects = Some(effects(&opened, &mut studied, request, device)?),
            Method::Nearest => {
                found.nearest = Some(nearest::nearest(&opened, &mut studied, request, device)?)
            }
            _ => {}
        }
    }
    if !maps.is_empty() {
        found.pictures = Some(maps::pictures(&opened, &mut studied, &maps, request, device)?);
    }
    found.notes = studied.notes;
    let html = explained::page(&opened.experiment.name, &found, opened.fitted.image.as_ref());
    let pictures = match (&found.pictures, &opened.fitted.image) {
        (Some(pictures), Some(image)) => explained::pngs(pictures, image),
        _ => vec![],
    };
    Ok(Explained { found, html, pictures })
}

/// Refuses numbers that are out of range.
fn check(request: &Request) -> Result<(), TrainError> {
    let wrong = |name, problem: String| Err(TrainError::Setting { run: None, name, problem });
    if !(1..=100).contains(&request.repeats) {
        return wrong("repeats", format!("{} is not in 1..=100", request.repeats));
    }
    if !(1..=10_000).contains(&request.background) {
        return wrong("background", format!("{} is not in 1..=10000", request.background));
    }
    Ok(())
}

fn is_map(opened: &Opened, method: Method) -> bool {
    match method {
        Method::Saliency | Method::SmoothGrad | Method::GradCam | Method::Occlusion => true,
        Method::IntegratedGradients | Method::Rollout => opened.fitted.image.is_some(),
        Method::Permutation | Method::Shap | Method::Effects | Method::Nearest => false,
    }
}

/// The methods that were asked for, or those that suit the rows.
fn methods(
    opened: &Opened,
    studied: &mut Studied,
    asked: &[Method],
    device: &dyn Device,
) -> Result<Vec<Method>, TrainError> {
    use Method::{
        Effects, GradCam, IntegratedGradients, Nearest, Occlusion, Permutation, Rollout, Saliency, Shap,
        SmoothGrad,
    };
    let (kind, suiting) = match (&opened.fitted.image, &opened.fitted.window) {
        (Some(_), _) => (
            "pictures",
            vec![Saliency, SmoothGrad, IntegratedGradients, GradCam, Occlusion, Rollout, Nearest],
        ),
        (None, Some(_)) => ("windows of series", vec![Permutation, IntegratedGradients, Rollout, Nearest]),
        (None, None) if opened.fitted.target.numbers().len() > 1 => {
            let note = "there are several targets: the errors are their means, and single predictions are explained \
                        of models with one target only";
            studied.notes.push(note.into());
            ("rows with several targets", vec![Permutation, Nearest])
        }
        (None, None) => {
            ("rows of a table", vec![Permutation, Shap, IntegratedGradients, Rollout, Effects, Nearest])
        }
    };
    let wrong = |problem: String| Err(TrainError::Setting { run: None, name: "method", problem });
    for method in asked {
        if !suiting.contains(method) {
            let names: Vec<&str> = suiting.iter().map(|method| method.name()).collect();
            return wrong(format!(
                "{} is not for {kind}; there {} can be had",
                method.name(),
                names.join(", ")
            ));
        }
        if *method == Permutation && !studied.has_target() {
            return wrong("permutation needs the true target, which these rows do not have".into());
        }
    }
    if !asked.is_empty() {
        return Ok(suiting.into_iter().filter(|method| asked.contains(method)).collect());
    }
    let (convolves, attends) = {
        let network = network(opened, studied, device);
        (network.convolves()?, network.attends()?)
    };
    if !studied.has_target() && suiting.contains(&Permutation) {
        studied
            .notes
            .push("permutation importance needs the true target, which these rows do not have".into());
    }
    let can = |method: &Method| match method {
        Permutation => studied.has_target(),
        GradCam => convolves,
        Rollout => attends,
        // It is about the data as much as about the model, and reads all of them: only if asked.
        Nearest => false,
        _ => true,
    };
    Ok(suiting.into_iter().filter(can).collect())
}

/// The network of a run.
pub(super) fn network<'a>(opened: &'a Opened, studied: &'a Studied, device: &'a dyn Device) -> Network<'a> {
    Network { model: &*studied.model, weights: &opened.weights, device, space: &studied.space }
}

/// What the outputs of a run stand for.
pub(super) fn response<'a>(opened: &'a Opened, studied: &'a Studied) -> Response<'a> {
    Response { target: &opened.fitted.target, quantiles: studied.model.quantiles() }
}

fn permutation(
    opened: &Opened,
    studied: &mut Studied,
    request: &Request,
    device: &dyn Device,
) -> Result<Permutation, TrainError> {
    let each = studied.space.units.len() * request.repeats;
    let (what, rows) = ("permutation importance", [LEAST_PERMUTED, PERMUTED]);
    let points = studied.affordable(what, rows, each, (opened, device), request.seed)?;
    let task = opened.task();
    let metrics = |predictions: &Predictions| task.metrics(predictions);
    let found =
        importances(&network(opened, studied, device), &points, &metrics, request.repeats, request.seed)?;
    let first = found.first().map_or("", |of| of.metric);
    let metric = match request.metric {
        None => first,
        Some(name) => found.iter().find(|of| of.metric == name).map(|of| of.metric).ok_or_else(|| {
            let known: Vec<&str> = found.iter().map(|of| of.metric).collect();
            let problem = format!("`{name}` is not measured; there are {}", known.join(", "));
            TrainError::Setting { run: None, name: "metric", problem }
        })?,
    };
    let by_metric = |of: &Importances| {
        let column = |c: &crate::explain::permutation::Importance| ColumnImportance {
            column: c.column.clone(),
            mean: Number(c.mean()),
            deviation: Number(c.deviation()),
        };
        let mut columns: Vec<ColumnImportance> = of.columns.iter().map(column).collect();
        columns.sort_by(|a, b| b.mean.0.total_cmp(&a.mean.0));
        ByMetric { metric: of.metric, baseline: Number(of.baseline), columns }
    };
    Ok(Permutation {
        metric,
        rows: points.count,
        repeats: request.repeats,
        by_metric: found.iter().map(by_metric).collect(),
    })
}

fn effects(
    opened: &Opened,
    studied: &mut Studied,
    request: &Request,
    device: &dyn Device,
) -> Result<Effects, TrainError> {
    let each = studied.space.units.len() * GRID;
    let points =
        studied.affordable("effects", [LEAST_AVERAGED, AVERAGED], each, (opened, device), request.seed)?;
    let response = response(opened, studied);
    let found = curves(&network(opened, studied, device), &opened.fitted, &points, &response)?;
    let all = |curves: &[Vec<f64>]| curves.iter().map(|curve| numbers(curve)).collect();
    let effect = |of: Curves| Effect {
        at: numbers(&of.at),
        partial_dependence: all(&of.partial),
        accumulated_local_effects: all(&of.local),
        column: of.column,
        names: of.names,
    };
    Ok(Effects {
        rows: points.count,
        predicted: response.names(),
        columns: found.into_iter().map(effect).collect(),
    })
}
