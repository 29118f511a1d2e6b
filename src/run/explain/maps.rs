//! Where in its pictures the predictions of a run come from.

use super::attributed::most_steps;
use super::{Method, Request, network, response};
use crate::base::image::ImageShape;
use crate::base::number::{Number, numbers};
use crate::device::Device;
use crate::explain::found::{Map, Picture, Pictures};
use crate::explain::network::{Given, Wanted};
use crate::explain::path::{self, Baseline};
use crate::explain::pictures;
use crate::explain::rollout::{self, Rollout};
use crate::nn::config::transformer::TokensOf;
use crate::nn::layers::LayerConfig;
use crate::run::opened::Opened;
use crate::run::room::picture_range;
use crate::run::studied::Studied;
use crate::train::TrainError;

/// Pictures shown, unless they are selected by number.
const SHOWN: usize = 12;
/// As many if they are.
const SELECTED: usize = 200;

/// The maps of some pictures.
pub(super) fn pictures(
    opened: &Opened,
    studied: &mut Studied,
    methods: &[Method],
    request: &Request,
    device: &dyn Device,
) -> Result<Pictures, TrainError> {
    let Some(image) = &opened.fitted.image else {
        return Err(opened.refuse("its rows are no pictures"));
    };
    let shape = image.shape;
    let most = if studied.by_number { SELECTED } else { SHOWN };
    let points = studied.points("maps", most, request.seed);
    let most_steps = most_steps(studied.predictions(opened, device)?, points.count);
    let (network, response) = (network(opened, studied, device), response(opened, studied));
    let range = picture_range(image);
    let black: Vec<f32> = (0..shape.values()).map(|at| range[at / shape.plane()][0]).collect();
    let raw = network.probe(Wanted::Outputs, points.count)?.run(&points.x, Given::default())?.swap_remove(0);
    let of_gradients = response.focus(&raw, points.count, None).what;
    let values = response.of(raw, points.count);
    let chosen = response.chosen(&values);
    let explained = response.pick(&values, chosen.iter().copied());
    let mut maps: Vec<(&'static str, bool, Vec<f64>)> = vec![];
    let mut notes = vec![];
    for &method in methods {
        let signed = matches!(method, Method::IntegratedGradients | Method::Occlusion);
        let values = match method {
            Method::Saliency => pictures::saliency(&network, &points, shape, &response)?,
            Method::SmoothGrad => {
                pictures::smooth_grad(&network, &points, shape, &range, &response, request.seed)?
            }
            Method::GradCam => pictures::grad_cam(&network, &points, shape, &response)?,
            Method::Occlusion => pictures::occlusion(&network, &points, shape, &black, &response)?,
            Method::Rollout => {
                let found = rollout::rollout(&network, &points, &response)?;
                patches(opened, &found, shape)?
            }
            _ => {
                let baseline = match request.baseline {
                    None | Some(Baseline::Black) => black.clone(),
                    Some(Baseline::Mean) => path::mean(&studied.training, shape.values()),
                    Some(Baseline::Median) => path::median(&studied.training, shape.values(), &[]),
                };
                let found = path::integrated(&network, &points, &baseline, &response, most_steps)?;
                let largest = found.errors.iter().copied().fold(0.0, f64::max);
                let steps = found.steps.iter().max().copied().unwrap_or(0);
                notes.push(format!(
                    "integrated gradients sum to the difference from the baseline within {:.2} % (up to \
                     {steps} nodes)",
                    100.0 * largest
                ));
                pictures::total(&found.values, shape)
            }
        };
        maps.push((method.name(), signed, values));
    }
    let occludes = methods.contains(&Method::Occlusion);
    let what = match (occludes, methods.len()) {
        (false, _) => of_gradients,
        (true, 1) => response.subject(),
        (true, _) if of_gradients == response.subject() => of_gradients,
        (true, _) => format!("{of_gradients}; by occlusion, {}", response.subject()),
    };
    let classes = opened.fitted.target.classes();
    let names = response.names();
    let name = |at: Option<usize>| match (at, classes.len()) {
        (Some(at), 0) => names[at].clone(),
        (Some(0), 2) if names.len() == 1 => classes[1].clone(),
        (Some(at), _) => classes[at].clone(),
        (None, _) => response.subject(),
    };
    let picture = |row: usize| Picture {
        row: points.rows[row] + 1,
        truth: (studied.has_target() && !classes.is_empty())
            .then(|| classes.get(points.truth[row] as usize).cloned())
            .flatten(),
        predicted: name(chosen[row]),
        value: Number(explained[row]),
        x: points.x[row * shape.values()..(row + 1) * shape.values()].to_vec(),
        maps: maps
            .iter()
            .map(|(method, signed, values)| Map {
                method,
                signed: *signed,
                values: numbers(&values[row * shape.plane()..(row + 1) * shape.plane()]),
            })
            .collect(),
    };
    let each = (0..points.count).map(picture).collect();
    studied.notes.extend(notes);
    Ok(Pictures { what, size: [shape.height, shape.width], each })
}

/// Every pixel with a part of what attention to its patch is, `[rows, height * width]`.
fn patches(opened: &Opened, found: &Rollout, shape: ImageShape) -> Result<Vec<f64>, TrainError> {
    let layers = opened.experiment.model.layers_of(TokensOf::Patches);
    let patch = layers.iter().find_map(|layer| match layer {
        LayerConfig::Tokens(tokens) => Some(tokens.patch.get()),
        _ => None,
    });
    let [high, wide] = patch.unwrap_or([1, 1]);
    let across = shape.width / wide.max(1);
    if high * wide * found.tokens != shape.plane() || across * wide != shape.width {
        let problem =
            format!("rollout: the {} tokens of the model are no patches of its pictures", found.tokens);
        return Err(TrainError::Setting { run: None, name: "method", problem });
    }
    let pixel = |row: &[f64], at: usize| {
        let (y, x) = (at / shape.width / high, at % shape.width / wide);
        row[y * across + x] / (high * wide) as f64
    };
    let of_row = |row: &[f64]| (0..shape.plane()).map(|at| pixel(row, at)).collect::<Vec<f64>>();
    Ok(found.values.chunks(found.tokens).flat_map(of_row).collect())
}
