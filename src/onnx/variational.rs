//! Variational autoencoders: the mean code of each row, what it decodes to, and the anomaly score, the
//! negative evidence lower bound as a mean over draws of the code.
//!
//! Predictions draw the noise of the codes by the position of a row in its file, which a graph does not know.
//! It is the input `noise` with draws that the file holds: unless others are given, every row is scored with
//! the same ones, so that a score depends on its row alone.

use super::assembly::{Assembly, Extent, Port, ROWS};
use super::builder::{int, integers, texts};
use super::emit::{Emitter, Held};
use super::inputs::prepare;
use super::proto::element;
use super::trace::{Dim, Trace, refusal};
use super::{Request, refuse, scale};
use crate::base::rng::{self, RandomKind, streams};
use crate::base::step::StepRecord;
use crate::data::{Encoding, FittedScaling};
use crate::graph::{Graph, Op, Source, ValueId};
use crate::nn::config::variational::Decoder;
use crate::nn::inputs::{X, Y};
use crate::nn::vae::{KL, RECONSTRUCTION};
use crate::nn::{Model, Vae};
use crate::tasks::autoencoder::DRAWS;
use crate::train::TrainError;

pub(super) const ONE_ROW: Dim = Dim { factor: 1, rows: true, steps: false };

/// Writes an autoencoder; returns what it does.
///
/// # Errors
/// If it has an operator that ONNX does not have.
pub fn write(assembly: &mut Assembly, request: &Request) -> Result<String, TrainError> {
    let fitted = request.fitted;
    let mut prepared = prepare(assembly, request)?;
    let image = fitted.image.as_ref().map(|image| image.shape);
    let features = prepared.sample.width();
    let config = request.settings.model;
    let not = || refuse("the model is no autoencoder");
    let vae = Vae::new(config, features, image, fitted.target.outputs()).ok_or_else(not)?;
    let latent = vae.settings.latent;
    let (name, extents) = prepared.x.clone().ok_or_else(not)?;
    if vae.settings.decoder == Decoder::Bernoulli {
        // As the run does with rows that it did not train on.
        let b = &mut assembly.builder;
        let [low, high] = [0.0, 1.0].map(|bound| b.number(bound));
        let clipped = b.node("Clip", &[&name, &low, &high], vec![]);
        prepared.x = Some((clipped, extents));
    }
    let class = (vae.classes > 0).then(|| class(assembly, request));
    let (full, decoder) = (vae.clone(), vae.decoder());
    let trace = Trace::of(|rows, _| Ok(full.graph(rows, false)?))?;
    let drawn = Drawn::of(trace.graph(), trace.model.predictions)?;
    let part = |name: &str| {
        let found = trace.model.parts.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| *value).ok_or_else(not)
    };
    let (kl, reconstruction) = (part(KL)?, part(RECONSTRUCTION)?);

    let mut emitter = Emitter::new(&mut assembly.builder, &trace, request.weights);
    prepared.bind(&mut emitter);
    bind_class(&mut emitter, class.as_deref());
    let found = emitter.emit(&[trace.model.predictions, drawn.deviation, kl])?;
    let [mean, deviation, kl] = [0, 1, 2].map(|at| found[at].name.clone());

    let Some((x, _)) = &prepared.x else { return Err(not()) };
    let row = Row { x, features, class: class.as_deref(), mean: &mean, deviation: &deviation, latent };
    let expected = expected(assembly, request, &trace, [drawn.code, reconstruction], &row)?;
    let anomaly = assembly.builder.node("Add", &[&expected, &kl], vec![]);

    let decoded = decode(assembly, request, &decoder, &mean, class.as_deref())?;
    let decoded = own_units(assembly, request, features, &decoded)?;
    let meaning = "the negative evidence lower bound in nats: how unusual the row is";
    assembly.output("anomaly", &anomaly, element::FLOAT, &[ROWS], meaning);
    let shape = [ROWS, Extent::Fixed(latent)];
    assembly.output("latent", &mean, element::FLOAT, &shape, "the mean of the latent code");
    let shape: Vec<Extent> = match image.filter(|_| decoded.as_image) {
        Some(image) => [image.channels, image.height, image.width].map(Extent::Fixed).to_vec(),
        None => vec![Extent::Fixed(features)],
    };
    let shape: Vec<Extent> = [ROWS].into_iter().chain(shape).collect();
    let meaning = "what the mean code decodes to, in the units of the data";
    let meaning = if request.raw { "what the mean code decodes to, scaled" } else { meaning };
    assembly.output("reconstruction", &decoded.name, element::FLOAT, &shape, meaning);
    Ok("Scores rows by how unusual they are, and encodes and decodes them.".into())
}

/// What a row is drawn and scored with.
struct Row<'a> {
    /// Its features, as they lie.
    x: &'a str,
    /// Their number.
    features: usize,
    /// Its class, `[N]`.
    class: Option<&'a str>,
    /// Mean of its code, `[N, latent]`.
    mean: &'a str,
    /// Standard deviation of its code.
    deviation: &'a str,
    /// Dimension of a code.
    latent: usize,
}

/// The part of the loss that depends on the code, `[N]`, as a mean over draws. Every draw is of all rows, so
/// that the network reads draws times rows.
fn expected(
    assembly: &mut Assembly,
    request: &Request,
    trace: &Trace,
    [code, part]: [ValueId; 2],
    row: &Row,
) -> Result<String, TrainError> {
    let noise = noise(assembly, row.latent);
    let (features, latent) = (row.features as i64, row.latent as i64);
    let b = &mut assembly.builder;
    let spread = b.node("Mul", &[row.deviation, &noise], vec![]);
    let codes = b.node("Add", &[row.mean, &spread], vec![]);
    let shape = b.node("Shape", &[&codes], vec![int("end", 2)]);
    let codes = b.reshape(&codes, &[-1, latent]);
    let rows = b.reshape(row.x, &[-1, features]);
    let width = b.integers(&[features]);
    let repeated = b.node("Concat", &[&shape, &width], vec![int("axis", 0)]);
    let rows = b.node("Expand", &[&rows, &repeated], vec![]);
    let rows = b.reshape(&rows, &[-1, features]);
    let classes = row.class.map(|class| {
        let repeated = b.node("Expand", &[class, &shape], vec![]);
        b.reshape(&repeated, &[-1])
    });
    let mut emitter = Emitter::new(b, trace, request.weights);
    emitter.bind(code, Held::new(codes, vec![ONE_ROW, Dim::fixed(row.latent)]));
    if let Some(value) = emitter.source(&Source::Batch(X.into())) {
        emitter.bind(value, Held::new(rows, vec![ONE_ROW, Dim::fixed(row.features)]));
    }
    bind_class(&mut emitter, classes.as_deref());
    let found = emitter.emit(&[part])?;
    let b = &mut assembly.builder;
    let draws = b.node("Reshape", &[&found[0].name, &shape], vec![]);
    let axes = super::builder::ints("axes", [0]);
    Ok(b.node("ReduceMean", &[&draws], vec![axes, int("keepdims", 0)]))
}

/// Where a graph draws codes.
struct Drawn {
    /// The standard deviations of the codes.
    deviation: ValueId,
    /// The codes.
    code: ValueId,
}

impl Drawn {
    /// `code = mean + noise deviation`, in a graph that draws noise once.
    fn of(graph: &Graph, mean: ValueId) -> Result<Self, TrainError> {
        let values = || (0..graph.nodes.len() as u32).map(ValueId);
        let reads = |value: ValueId, other: ValueId| graph.node(value).inputs.contains(&other);
        let is_drawn = |value: &ValueId| matches!(graph.node(*value).op, Op::Random(_));
        let wrong = || refusal(graph, mean, "is the mean of a code that is drawn");
        let drawn: Vec<ValueId> = values().filter(is_drawn).collect();
        let [noise] = drawn[..] else { return Err(wrong()) };
        let spread =
            values().find(|&v| reads(v, noise) && values().any(|code| reads(code, v) && reads(code, mean)));
        let spread = spread.ok_or_else(wrong)?;
        let code = values().find(|&v| reads(v, spread) && reads(v, mean)).ok_or_else(wrong)?;
        let deviation = graph.node(spread).inputs.iter().copied().find(|&v| v != noise);
        Ok(Self { deviation: deviation.ok_or_else(wrong)?, code })
    }
}

/// The class of each row, `[N]`; that of an unknown name is none that the model has, which ends in an error.
pub(super) fn class(assembly: &mut Assembly, request: &Request) -> String {
    let target = &request.fitted.target;
    let names = target.classes();
    if request.raw {
        return assembly.input("class", element::INT64, &[ROWS], "number of the class");
    }
    let column = target.name().unwrap_or("class");
    let meaning = format!("column `{column}`, which the model is conditioned on: {}", names.join(", "));
    let name = assembly.input(column, element::STRING, &[ROWS, Extent::Fixed(1)], &meaning);
    let count = names.len() as i64;
    let attributes = vec![
        texts("keys_strings", names.iter().map(String::as_str)),
        integers("values_int64s", 0..count),
        int("default_int64", count),
    ];
    let b = &mut assembly.builder;
    let labels = b.node("LabelEncoder", &[&name], attributes);
    b.squeeze(&labels, 1)
}

pub(super) fn bind_class(emitter: &mut Emitter, class: Option<&str>) {
    if let (Some(class), Some(value)) = (class, emitter.source(&Source::Batch(Y.into()))) {
        emitter.bind(value, Held::new(class.into(), vec![ONE_ROW]));
    }
}

/// The input `noise` `[draws, rows, latent]`, with the draws of a file's first row as its default.
fn noise(assembly: &mut Assembly, latent: usize) -> String {
    let draw = |draw: u32| {
        let step = StepRecord { seed_low: draw, ..StepRecord::default() };
        (0..latent as u32).map(move |at| rng::element(RandomKind::Normal, &step, streams::LATENT, at))
    };
    let draws: Vec<f32> = (0..DRAWS).flat_map(draw).collect();
    let name = assembly.builder.weights("noise", &[DRAWS as usize, 1, latent], &draws);
    let meaning = format!(
        "draws of standard normal noise for the codes, of all rows alike (1) or of each; unless given, the \
         same {DRAWS} draws for every row"
    );
    let shape = vec![Extent::Symbol("draws"), Extent::Symbol("N or 1"), Extent::Fixed(latent)];
    assembly.inputs.push(Port { name: name.clone(), elements: element::FLOAT, shape, meaning });
    name
}

/// What codes decode to, `[N, features]`, scaled.
fn decode(
    assembly: &mut Assembly,
    request: &Request,
    decoder: &Vae,
    codes: &str,
    class: Option<&str>,
) -> Result<String, TrainError> {
    let trace = Trace::of(|rows, _| Ok(decoder.graph(rows, false)?))?;
    let mut emitter = Emitter::new(&mut assembly.builder, &trace, request.weights);
    if let Some(value) = emitter.source(&Source::Batch(X.into())) {
        let dims = vec![ONE_ROW, Dim::fixed(decoder.settings.latent)];
        emitter.bind(value, Held::new(codes.into(), dims));
    }
    bind_class(&mut emitter, class);
    let found = emitter.emit(&[trace.model.predictions])?;
    Ok(found.first().map(|held| held.name.clone()).unwrap_or_default())
}

/// Decoded rows, as images if they are.
pub(super) struct Decoded {
    pub(super) name: String,
    pub(super) as_image: bool,
}

/// Decoded features in the units of the data; parts of dates and indicators remain.
pub(super) fn own_units(
    assembly: &mut Assembly,
    request: &Request,
    features: usize,
    scaled: &str,
) -> Result<Decoded, TrainError> {
    let b = &mut assembly.builder;
    if let Some(image) = &request.fitted.image {
        let (shape, plane) = (image.shape, image.shape.plane());
        let each = |scaling| std::iter::repeat_n(scaling, plane);
        let scalings: Vec<&FittedScaling> = match &image.scaling[..] {
            [only] => vec![only],
            all => all.iter().flat_map(each).collect(),
        };
        let own = if request.raw { None } else { scale::invert(b, scaled, &scalings) };
        let own = own.unwrap_or_else(|| scaled.to_string());
        let extents = [shape.channels, shape.height, shape.width].map(|extent| extent as i64);
        let name = b.reshape(&own, &[0, extents[0], extents[1], extents[2]]);
        return Ok(Decoded { name, as_image: true });
    }
    let as_it_is = FittedScaling::None;
    let mut scalings: Vec<&FittedScaling> = vec![];
    for column in &request.fitted.columns {
        match &column.encoding {
            Encoding::Number { scaling, indicator, .. } => {
                scalings.push(scaling);
                scalings.extend(indicator.then_some(&as_it_is));
            }
            Encoding::OneHot { names, .. } => scalings.extend(names.iter().map(|_| &as_it_is)),
            Encoding::Calendar { parts, cyclic } => {
                let width: usize =
                    parts.iter().map(|part| super::columns::calendar_width(*part, *cyclic)).sum();
                scalings.extend(std::iter::repeat_n(&as_it_is, width));
            }
            Encoding::Embedding { .. } => {}
        }
    }
    if request.raw {
        return Ok(Decoded { name: scaled.into(), as_image: false });
    }
    let mixed = || refuse("several features are scaled in different ways, or by their quantiles");
    let fits = scalings.len() == features;
    let own = fits.then(|| scale::invert(b, scaled, &scalings)).flatten().ok_or_else(mixed)?;
    Ok(Decoded { name: own, as_image: false })
}
