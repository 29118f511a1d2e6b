//! The mathematics of an adversarial pair: the turns of a training step, and the evaluation.

use super::{DISCRIMINATOR, DISCRIMINATOR_LOSS, GENERATOR, Gan};
use crate::base::rng::{RandomKind, streams};
use crate::base::step::StepScalar;
use crate::base::tensor::DType;
use crate::graph::{Graph, GraphError, Source, ValueId, autodiff};
use crate::nn::config::adversarial::GanLoss;
use crate::nn::inputs::{X, Y};
use crate::nn::layers::{Dense, LayerConfig};
use crate::nn::losses::Losses;
use crate::nn::model::{ModelGraph, Turn, graph_of};
use crate::nn::network::{AVERAGE, Network, Spectral};
use crate::nn::tensors::Parameter;
use crate::scalar::UnaryFn;

/// Added to the squared length of a gradient, whose root has no derivative at 0.
pub const PENALTY_EPS: f64 = 1e-12;

/// Streams of the layers' random numbers: a part that is applied to other rows draws others.
const OF_GENERATED: u32 = streams::LAYERS + 0x8000;
const OF_BETWEEN: u32 = streams::LAYERS + 0xC000;

/// The evaluation form of the pair, or its generator.
pub(super) fn of(gan: &Gan, batch: usize) -> Result<ModelGraph, GraphError> {
    graph_of(gan, batch, false)
}

/// Parameters of both parts and the summary of their layers, without averages.
pub(super) fn declared(gan: &Gan) -> Result<ModelGraph, GraphError> {
    let plain = Gan {
        settings: crate::nn::config::adversarial::Adversarial { average: 0.0, ..gan.settings },
        ..gan.clone()
    };
    of(&plain, 1)
}

/// Real rows and generated ones, in evaluation: predictions are the generated rows `[B, features]`, one for each
/// real row and of its class. The loss is the generator's.
pub(super) fn evaluation(net: &mut Network, gan: &Gan, batch: usize) -> Result<Losses, GraphError> {
    net.graph.set_layer("input");
    let x = net.graph.source(Source::Batch(X.into()), &[batch, gan.features], DType::F32)?;
    let class = class_of_rows(net.graph, gan, batch)?;
    let code = code(net.graph, gan, batch)?;
    net.averaged = gan.settings.average > 0.0;
    let drawn = draw(net, gan, code, class)?;
    net.averaged = false;
    let real = judge(net, gan, x, class, streams::LAYERS)?;
    net.again = true;
    let generated = judge(net, gan, drawn, class, OF_GENERATED)?;
    net.again = false;
    net.graph.set_layer("loss");
    let rows = generators_loss(net.graph, gan.settings.loss, generated)?;
    let judging = discriminators_loss(net.graph, gan.settings.loss, real, generated)?;
    let mean = net.graph.mean(rows, &[0], false)?;
    Ok(Losses { predictions: drawn, rows, mean, parts: vec![(DISCRIMINATOR_LOSS, judging)] })
}

/// Maps codes `[B, latent]` to features. The loss of a code is 0.
pub(super) fn generator_only(net: &mut Network, gan: &Gan, batch: usize) -> Result<Losses, GraphError> {
    net.graph.set_layer("input");
    let code = net.graph.source(Source::Batch(X.into()), &[batch, gan.settings.latent], DType::F32)?;
    let class = class_of_rows(net.graph, gan, batch)?;
    net.averaged = gan.settings.average > 0.0;
    let predictions = draw(net, gan, code, class)?;
    let nothing = net.graph.mul_scalar(code, 0.0)?;
    let rows = net.graph.sum(nothing, &[1], false)?;
    let mean = net.graph.mean(rows, &[0], false)?;
    Ok(Losses { predictions, rows, mean, parts: vec![] })
}

/// The discriminator's turn: real rows of a batch against as many generated ones.
pub(super) fn discriminators_turn(gan: &Gan, batch: usize) -> Result<Turn, GraphError> {
    let mut graph = Graph::new();
    let mut net = Network::new(&mut graph, true);
    net.graph.set_layer("input");
    let x = net.graph.source(Source::Batch(X.into()), &[batch, gan.features], DType::F32)?;
    let class = class_of_rows(net.graph, gan, batch)?;
    let code = code(net.graph, gan, batch)?;
    let drawn = draw(&mut net, gan, code, class)?;
    // Running statistics of the generator are those of its own turn.
    net.updates.clear();
    let real = judge(&mut net, gan, x, class, streams::LAYERS)?;
    let updates = net.updates.clone();
    net.again = true;
    let generated = judge(&mut net, gan, drawn, class, OF_GENERATED)?;
    net.graph.set_layer("loss");
    let rows = discriminators_loss(net.graph, gan.settings.loss, real, generated)?;
    let mut loss = net.graph.mean(rows, &[0], false)?;
    if gan.settings.loss == GanLoss::WassersteinGp {
        let penalty = penalty(&mut net, gan, [x, drawn], class)?;
        loss = net.graph.add(loss, penalty)?;
    }
    let parameters = net.parameters;
    let mut turn = trained(graph, "discriminator", DISCRIMINATOR, loss, &parameters)?;
    turn.times = gan.settings.critic_steps;
    turn.updates = updates;
    turn.opponent = Some(gan.opponent.clone());
    Ok(turn)
}

/// The generator's turn: generated rows alone, of the classes of a batch.
pub(super) fn generators_turn(gan: &Gan, batch: usize) -> Result<Turn, GraphError> {
    let mut graph = Graph::new();
    let mut net = Network::new(&mut graph, true);
    let class = class_of_rows(net.graph, gan, batch)?;
    let code = code(net.graph, gan, batch)?;
    let drawn = draw(&mut net, gan, code, class)?;
    let updates = net.updates.clone();
    let generated = judge(&mut net, gan, drawn, class, OF_GENERATED)?;
    net.graph.set_layer("loss");
    let rows = generators_loss(net.graph, gan.settings.loss, generated)?;
    let loss = net.graph.mean(rows, &[0], false)?;
    let parameters = net.parameters;
    let mut turn = trained(graph, "generator", GENERATOR, loss, &parameters)?;
    turn.updates = updates;
    Ok(turn)
}

/// The running averages of the generator's weights: `average = decay average + (1 - decay) weight`.
pub(super) fn averaging(gan: &Gan) -> Result<Turn, GraphError> {
    let mut graph = Graph::new();
    let mut updates = vec![];
    graph.set_layer("average");
    let decay = graph.step_scalar(StepScalar::LossWeight)?;
    for parameter in declared(gan)?.parameters.iter().filter(|p| p.name.starts_with(GENERATOR)) {
        let name = format!("{AVERAGE}{}", parameter.name);
        let shape = parameter.arrangement.shape(&parameter.shape);
        let now = graph.source(Source::Parameter(parameter.name.clone()), &shape, DType::F32)?;
        let average = graph.source(Source::State(name.clone()), &shape, DType::F32)?;
        let renewed = graph.formula([now, average, decay], |[now, average, decay]| {
            &decay * average + (1.0 - &decay) * now
        })?;
        updates.push((name, renewed));
    }
    Ok(Turn { name: "average", times: 1, graph, loss: None, gradients: vec![], updates, opponent: None })
}

/// A turn that minimises `loss` over the parameters whose names begin with `part`.
fn trained(
    mut graph: Graph,
    name: &'static str,
    part: &str,
    loss: ValueId,
    parameters: &[(Parameter, ValueId)],
) -> Result<Turn, GraphError> {
    let own = || parameters.iter().filter(|(parameter, _)| parameter.name.starts_with(part));
    let values: Vec<ValueId> = own().map(|(_, value)| *value).collect();
    let found = autodiff::gradients(&mut graph, loss, &values)?;
    let gradients = own().map(|(parameter, _)| parameter.name.clone()).zip(found).collect();
    Ok(Turn { name, times: 1, graph, loss: Some(loss), gradients, updates: vec![], opponent: None })
}

/// The class of each row, one-hot encoded, `[B, classes]`.
fn class_of_rows(g: &mut Graph, gan: &Gan, batch: usize) -> Result<Option<ValueId>, GraphError> {
    if gan.classes == 0 {
        return Ok(None);
    }
    let labels = g.source(Source::Batch(Y.into()), &[batch], DType::U32)?;
    g.one_hot(labels, gan.classes).map(Some)
}

/// Codes from the prior, `N(0, 1)`, `[B, latent]`.
fn code(g: &mut Graph, gan: &Gan, batch: usize) -> Result<ValueId, GraphError> {
    g.set_layer("latent");
    g.random(RandomKind::Normal, streams::LATENT, &[batch, gan.settings.latent])
}

/// What the generator makes of codes, `[B, features]`.
fn draw(net: &mut Network, gan: &Gan, code: ValueId, class: Option<ValueId>) -> Result<ValueId, GraphError> {
    net.begin(GENERATOR, streams::LAYERS);
    let mut h = match class {
        Some(class) => net.graph.concat(&[code, class], 1)?,
        None => code,
    };
    h = net.layers(&gan.generator, 0, h)?;
    let mut number = gan.generator.len();
    let batch = net.graph.shape(h)[0];
    let found = net.graph.shape(h).clone();
    let shown = gan.image.map(|image| [batch, image.height, image.width, image.channels]);
    let mut append = |net: &mut Network, layer: LayerConfig, h| {
        let y = net.layers(&[layer], number, h)?;
        number += 1;
        Ok::<_, GraphError>(y)
    };
    match found[..] {
        [_, _] => h = append(net, Dense { units: gan.features, bias: true }.into(), h)?,
        _ if shown.is_some_and(|shown| found[..] == shown) => {}
        _ => return Err(wrong_images(net.graph, gan, h)),
    }
    if let Some(layer) = gan.settings.output.layer() {
        h = append(net, layer, h)?;
    }
    net.begin("", streams::LAYERS);
    if net.graph.shape(h).len() == 2 {
        return Ok(h);
    }
    let planes = net.graph.channels_first(h)?;
    net.graph.reshape(planes, &[batch, gan.features])
}

fn wrong_images(g: &Graph, gan: &Gan, h: ValueId) -> GraphError {
    let wanted = match gan.image {
        Some(image) => format!("images {image}, channels, height and width, or rows"),
        None => "rows of numbers, because the data are no images".into(),
    };
    let found = match g.shape(h)[..] {
        [_, height, width, channels] => format!("[{channels}, {height}, {width}]"),
        _ => format!("{:?}", &g.shape(h)[1..]),
    };
    g.error("output", &[h], format!("the layers give {found} for each code; they must give {wanted}"))
}

/// The discriminator's score of each row, `[B]`. Classes are further features, or further channels that are 1 for
/// the class and 0 for the others.
fn judge(
    net: &mut Network,
    gan: &Gan,
    x: ValueId,
    class: Option<ValueId>,
    first_stream: u32,
) -> Result<ValueId, GraphError> {
    net.begin(DISCRIMINATOR, first_stream);
    if gan.settings.spectral_norm {
        // Real rows, which are judged first in the discriminator's turn, renew it.
        net.spectral = if first_stream == streams::LAYERS { Spectral::Renewed } else { Spectral::Kept };
    }
    let (updates, summary) = (net.updates.len(), net.summary.len());
    let batch = net.graph.shape(x)[0];
    let mut h = x;
    let dense = matches!(gan.discriminator.first(), Some(LayerConfig::Dense(_)));
    match (gan.image, dense) {
        (Some(image), false) => {
            h = net.images(h, image.into())?;
            if let Some(class) = class {
                let planes = net.graph.reshape(class, &[batch, 1, 1, gan.classes])?;
                let shape = [batch, image.height, image.width, gan.classes];
                let planes = net.graph.broadcast(planes, &shape)?;
                h = net.graph.concat(&[h, planes], 3)?;
            }
        }
        _ => {
            if let Some(class) = class {
                h = net.graph.concat(&[h, class], 1)?;
            }
        }
    }
    h = net.layers(&gan.discriminator, 0, h)?;
    net.spectral = Spectral::Off;
    let undivided = |p: &Parameter| {
        p.name.starts_with(DISCRIMINATOR) && p.shape.len() > 1 && !p.name.ends_with(".weight_orig")
    };
    if gan.settings.spectral_norm
        && let Some((parameter, _)) = net.parameters.iter().find(|(p, _)| undivided(p))
    {
        let reason = format!(
            "has the weights `{}`, which `model.spectral_norm` does not divide: it is for dense layers and \
             convolutions; use these, or leave it out",
            parameter.name
        );
        return Err(net.graph.error("discriminator", &[h], reason));
    }
    if net.again {
        net.updates.truncate(updates);
        net.summary.truncate(summary);
    }
    net.begin("", streams::LAYERS);
    if net.graph.shape(h).len() != 2 {
        let reason = "the layers give each row an image or a sequence, and the output takes numbers; end with a \
                      `flatten` or `global_pool` layer";
        return Err(net.graph.error("discriminator", &[h], reason.into()));
    }
    net.graph.reshape(h, &[batch])
}

/// The discriminator's loss of each pair of a real and a generated row, `[B]`, without penalty.
fn discriminators_loss(
    g: &mut Graph,
    loss: GanLoss,
    real: ValueId,
    generated: ValueId,
) -> Result<ValueId, GraphError> {
    g.formula([real, generated], |[real, generated]| match loss {
        // -ln sigmoid(x) = softplus(-x)
        GanLoss::Original => (-real).softplus() + generated.softplus(),
        GanLoss::LeastSquares => {
            let off = real - 1.0;
            (&off * &off + &generated * &generated) * 0.5
        }
        GanLoss::Wasserstein | GanLoss::WassersteinGp => generated - real,
    })
}

/// The generator's loss of each generated row, `[B]`.
fn generators_loss(g: &mut Graph, loss: GanLoss, generated: ValueId) -> Result<ValueId, GraphError> {
    g.formula([generated], |[generated]| match loss {
        GanLoss::Original => (-generated).softplus(),
        GanLoss::LeastSquares => {
            let off = generated - 1.0;
            (&off * &off) * 0.5
        }
        GanLoss::Wasserstein | GanLoss::WassersteinGp => -generated,
    })
}

/// `penalty mean((sqrt(|dD/dx|^2 + eps) - 1)^2)` at rows that lie between a real and a generated one, each at a
/// place of its own, uniform in 0..1. Its gradient is a second derivative of the discriminator.
fn penalty(
    net: &mut Network,
    gan: &Gan,
    [real, drawn]: [ValueId; 2],
    class: Option<ValueId>,
) -> Result<ValueId, GraphError> {
    let batch = net.graph.shape(real)[0];
    net.graph.set_layer("penalty");
    let place = net.graph.random(RandomKind::Uniform, streams::BETWEEN, &[batch, 1])?;
    let between =
        net.graph.formula([real, drawn, place], |[real, drawn, place]| &drawn + place * (real - &drawn))?;
    let scores = judge(net, gan, between, class, OF_BETWEEN)?;
    net.graph.set_layer("penalty");
    let sum = net.graph.sum(scores, &[0], false)?;
    let gradient = autodiff::gradients(net.graph, sum, &[between])?;
    net.graph.set_layer("penalty");
    let squares = net.graph.unary(UnaryFn::Square, gradient[0])?;
    let squares = net.graph.sum(squares, &[1], false)?;
    let squares = net.graph.add_scalar(squares, PENALTY_EPS)?;
    let length = net.graph.unary(UnaryFn::Sqrt, squares)?;
    let off = net.graph.add_scalar(length, -1.0)?;
    let off = net.graph.unary(UnaryFn::Square, off)?;
    let mean = net.graph.mean(off, &[0], false)?;
    net.graph.mul_scalar(mean, gan.settings.penalty)
}
