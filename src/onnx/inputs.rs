//! What a model reads, from raw values: columns of tables, windows of series, images.

use super::assembly::{Assembly, Extent, ROWS};
use super::builder::{floats, int, integers, texts};
use super::cells::Cells;
use super::columns::{Features, Rows, no_scaling};
use super::emit::{Emitter, Held};
use super::proto::element;
use super::text::Texts;
use super::trace::Dim;
use super::{Request, refuse, scale};
use crate::base::image::ImageShape;
use crate::data::config::Missing;
use crate::data::{
    CategoryIds, Dataset, Fitted, FittedGraph, FittedImage, FittedScaling, FittedWindow, Windows,
};
use crate::graph::Source;
use crate::nn::inputs::{X, category_source};
use crate::train::TrainError;

/// The inputs of a network, before they are bound to its graph.
#[derive(Debug)]
pub struct Prepared {
    /// The features of a sample as they lie, and their extents without the rows.
    pub x: Option<(String, Vec<usize>)>,
    /// Columns of embeddings: name, number of indices, indices `[N]`.
    pub categories: Vec<(String, usize, String)>,
    /// Rows like those the network reads, without any.
    pub sample: Dataset,
    /// Scalings of a series by itself, by target: shift and scale `[N, 1]`.
    pub members: Option<Vec<[String; 2]>>,
    /// The texts of rows.
    pub texts: Option<Texts>,
}

impl Prepared {
    fn new(x: Option<(String, Vec<usize>)>, features: usize, fitted: &Fitted, rest: Features) -> Self {
        let ids = |(name, vocabulary, _): &(String, usize, String)| CategoryIds {
            name: name.clone(),
            vocabulary: *vocabulary,
            ids: vec![],
        };
        let windows = fitted
            .window
            .as_ref()
            .map(|window| Windows { length: window.config.length, ..Windows::default() });
        let sample = Dataset {
            features: vec![String::new(); features],
            categories: rest.categories.iter().map(ids).collect(),
            windows,
            ..Dataset::default()
        };
        Self { x, categories: rest.categories, sample, members: None, texts: None }
    }

    /// Says in a graph what its batches are.
    pub fn bind(&self, emitter: &mut Emitter) {
        let rows = Dim { factor: 1, rows: true, steps: false };
        if let (Some((name, extents)), Some(value)) = (&self.x, emitter.source(&Source::Batch(X.into()))) {
            let mut dims = vec![rows];
            dims.extend(extents.iter().map(|&extent| Dim::fixed(extent)));
            let flat = [rows, Dim::fixed(extents.iter().product())];
            // Rows by rows: it can always be said.
            if let Some(name) = emitter.reshaped(name, &dims, &flat) {
                emitter.bind(value, Held::new(name, flat.to_vec()));
            }
        }
        if let Some(texts) = &self.texts {
            texts.bind(emitter);
        }
        for (column, _, ids) in &self.categories {
            if let Some(value) = emitter.source(&Source::Batch(category_source(column))) {
                emitter.bind(value, Held::new(ids.clone(), vec![rows]));
            }
        }
    }
}

/// Declares the inputs and prepares them as the run does the rows of a file.
///
/// # Errors
/// If a column is encoded in a way that ONNX does not have.
pub fn prepare(assembly: &mut Assembly, request: &Request) -> Result<Prepared, TrainError> {
    let fitted = request.fitted;
    if let Some(image) = &fitted.image {
        let shape = image.shape;
        let extents = vec![shape.channels, shape.height, shape.width];
        if image.scaling.len() != shape.channels {
            return Err(refuse("the channels of images have no scaling each"));
        }
        let x = image_input(assembly, image, request.raw);
        return Ok(Prepared::new(Some((x, extents)), shape.values(), fitted, Features::default()));
    }
    if let Some(documents) = &fitted.documents {
        let texts = Some(Texts::declare(assembly, &documents.text));
        return Ok(Prepared { texts, ..Prepared::new(None, 0, fitted, Features::default()) });
    }
    let wrong = |reason: String| refuse(&reason);
    let cells = Cells::of(fitted);
    if let Some(window) = &fitted.window {
        return windows(assembly, request, window, &cells);
    }
    if let Some(graph) = &fitted.graph {
        return Ok(nodes(assembly, fitted, graph, request.raw));
    }
    let rows = Rows { window: None, ahead: None };
    let features = match request.raw {
        // Only their number and kind are wanted.
        true => raw_columns(assembly, fitted)?,
        false => assembly.columns(&fitted.columns, &rows, &cells).map_err(wrong)?,
    };
    let width = features.width;
    let x = joined(assembly, &features.parts);
    Ok(Prepared::new(x.map(|x| (x, vec![width])), width, fitted, features))
}

/// The number of the node that each row names; one that is not there is an index out of bounds, which runtimes refuse.
fn nodes(assembly: &mut Assembly, fitted: &Fitted, graph: &FittedGraph, raw: bool) -> Prepared {
    let (column, count) = (graph.id.clone().unwrap_or_default(), graph.nodes.count());
    let ids = if raw {
        let meaning = format!("number of the node that `{column}` names, in the order of the graph");
        assembly.input(&category_source(&column), element::INT64, &[ROWS], &meaning)
    } else {
        let meaning =
            format!("column `{column}`: the name of a node of the graph that the model was trained on");
        let x = assembly.input(&column, element::STRING, &[ROWS, Extent::Fixed(1)], &meaning);
        let names = graph.nodes.names.iter().map(String::as_str);
        let numbers = integers("values_int64s", 0..count as i64);
        let attributes = vec![texts("keys_strings", names), numbers, int("default_int64", count as i64)];
        let ids = assembly.builder.node("LabelEncoder", &[&x], attributes);
        assembly.builder.squeeze(&ids, 1)
    };
    let categories = vec![(column, count, ids)];
    Prepared::new(None, 0, fitted, Features { categories, ..Features::default() })
}

fn joined(assembly: &mut Assembly, parts: &[String]) -> Option<String> {
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    match names[..] {
        [] => None,
        [only] => Some(only.to_string()),
        _ => Some(assembly.builder.node("Concat", &names, vec![int("axis", -1)])),
    }
}

/// The features and indices as the network reads them.
fn raw_columns(assembly: &mut Assembly, fitted: &Fitted) -> Result<Features, TrainError> {
    let mut scratch = Assembly::default();
    let rows = Rows { window: None, ahead: None };
    // Quantiles are no matter here: what is before the network is somebody else's.
    let mut columns = fitted.columns.clone();
    for column in &mut columns {
        if let crate::data::Encoding::Number { scaling, .. } = &mut column.encoding {
            *scaling = FittedScaling::None;
        }
    }
    let counted = scratch.columns(&columns, &rows, &Cells::default()).map_err(|reason| refuse(&reason))?;
    let mut features = Features { width: counted.width, ..Features::default() };
    if counted.width > 0 {
        let shape = [ROWS, Extent::Fixed(counted.width)];
        let meaning = "the features, encoded and scaled";
        features.parts.push(assembly.input("x", element::FLOAT, &shape, meaning));
    }
    for (column, vocabulary, _) in counted.categories {
        let meaning = format!("index of the category of `{column}`; 0 for names that training did not have");
        let ids = assembly.input(&category_source(&column), element::INT64, &[ROWS], &meaning);
        features.categories.push((column, vocabulary, ids));
    }
    Ok(features)
}

/// Images `[N, C, H, W]`.
fn image_input(assembly: &mut Assembly, image: &FittedImage, raw: bool) -> String {
    let ImageShape { channels, height, width } = image.shape;
    let shape = [ROWS, Extent::Fixed(channels), Extent::Fixed(height), Extent::Fixed(width)];
    if raw {
        return assembly.input("x", element::FLOAT, &shape, "images, scaled");
    }
    let [black, white] = image.range;
    let from = if image.columns.is_empty() { "the file" } else { "the table's columns, row by row" };
    let meaning = format!("images with the values of {from}, as in training {black} to {white}");
    let x = assembly.input("image", element::FLOAT, &shape, &meaning);
    // Channels last, so that each channel has its scaling.
    if image.scaling.iter().all(|scaling| *scaling == FittedScaling::None) {
        return x;
    }
    if let [only] = &image.scaling[..] {
        return scale::apply(&mut assembly.builder, &x, &[only]).unwrap_or(x);
    }
    let scalings: Vec<&FittedScaling> = image.scaling.iter().collect();
    let b = &mut assembly.builder;
    let turned = b.node("Transpose", &[&x], vec![super::builder::ints("perm", [0, 2, 3, 1])]);
    let scaled = scale::apply(b, &turned, &scalings).unwrap_or(turned);
    b.node("Transpose", &[&scaled], vec![super::builder::ints("perm", [0, 3, 1, 2])])
}

/// Windows of a series: the targets' past, columns of the rows, and columns known in advance.
fn windows(
    assembly: &mut Assembly,
    request: &Request,
    window: &FittedWindow,
    cells: &Cells,
) -> Result<Prepared, TrainError> {
    let fitted = request.fitted;
    let length = window.config.length;
    let wrong = |reason: String| refuse(&reason);
    if request.raw {
        let mut scratch = Assembly::default();
        let prepared = windows(&mut scratch, &Request { raw: false, ..*request }, window, cells)?;
        let width = prepared.sample.features.len();
        let shape = [ROWS, Extent::Fixed(length), Extent::Fixed(width)];
        let x = assembly.input("x", element::FLOAT, &shape, "windows of features, encoded and scaled");
        return Ok(Prepared::new(Some((x, vec![length, width])), width, fitted, Features::default()));
    }
    let members = members(assembly, window).map_err(wrong)?;
    let shape = [ROWS, Extent::Fixed(length), Extent::Fixed(1)];
    let mut parts = vec![];
    for (at, (name, scaling)) in window.past.iter().enumerate() {
        let meaning = format!(
            "column `{name}`: the known values of the window's rows, oldest first; none may be missing{}",
            cells.note(name)
        );
        parts.push(match &members {
            None => {
                let x = assembly.wide_input(name, &shape, &meaning, scaling);
                let x = cells.known(&mut assembly.builder, x, scale::offset(scaling).unwrap_or(0.0));
                let scaling = scale::after_offset(scaling);
                let scaled = scale::apply(&mut assembly.builder, &x, &[&scaling]);
                scaled.ok_or_else(|| wrong(no_scaling(name)))?
            }
            Some(members) => {
                let x = assembly.input(name, element::FLOAT, &shape, &meaning);
                let b = &mut assembly.builder;
                let x = cells.known(b, x, 0.0);
                let [shift, scale] = [0, 1].map(|part| b.unsqueeze(&members[at][part], 1));
                let x = logarithm(b, &x, scaling);
                let centred = b.node("Sub", &[&x, &shift], vec![]);
                b.node("Div", &[&centred, &scale], vec![])
            }
        });
    }
    if window.config.missing == Missing::Mask {
        for (name, _) in &window.past {
            let meaning = format!("1 where `{name}` was missing and its last value stands in, else 0");
            parts.push(assembly.input(&format!("{name} is missing"), element::FLOAT, &shape, &meaning));
        }
    }
    let count = fitted.columns.len();
    let (now, later) = fitted.columns.split_at(count - window.future.min(count));
    let mut width = parts.len();
    let ahead = window.config.offsets().filter(|_| !later.is_empty()).map(Some);
    for (columns, ahead) in [(now, None)].into_iter().chain(ahead.map(|ahead| (later, ahead))) {
        let rows = Rows { window: Some(length), ahead };
        let features = assembly.columns(columns, &rows, cells).map_err(wrong)?;
        if let Some((column, ..)) = features.categories.first() {
            return Err(refuse(&format!("column `{column}` is an embedding of the rows of windows")));
        }
        width += features.width;
        parts.extend(features.parts);
    }
    let x = joined(assembly, &parts);
    let prepared = Prepared::new(x.map(|x| (x, vec![length, width])), width, fitted, Features::default());
    Ok(Prepared { members, ..prepared })
}

/// `ln(1 + x)` where the scaling takes it.
fn logarithm(b: &mut super::builder::Builder, x: &str, scaling: &FittedScaling) -> String {
    match scaling {
        FittedScaling::Log1p { .. } => {
            let plain = FittedScaling::Log1p { shift: 0.0, scale: 1.0 };
            scale::apply(b, x, &[&plain]).unwrap_or_else(|| x.to_string())
        }
        _ => x.to_string(),
    }
}

/// The scalings of each series by itself, by its name; `None` if all are scaled alike.
fn members(assembly: &mut Assembly, window: &FittedWindow) -> Result<Option<Vec<[String; 2]>>, String> {
    if window.series.values().all(|series| series.scaling.is_empty()) {
        return Ok(None);
    }
    let column = window.config.group.clone().unwrap_or_else(|| "series".into());
    let meaning =
        format!("column `{column}`: the series; forecasts of series that training did not have are NaN");
    let series = assembly.input(&column, element::STRING, &[ROWS, Extent::Fixed(1)], &meaning);
    let mut found = vec![];
    for at in 0..window.past.len() {
        let of = |series: &crate::data::FittedSeries| match series.scaling.get(at) {
            Some(FittedScaling::Affine { shift, scale } | FittedScaling::Log1p { shift, scale }) => {
                Ok([*shift as f32, *scale as f32])
            }
            Some(FittedScaling::None) | None => Ok([0.0, 1.0]),
            Some(FittedScaling::Quantile { .. }) => {
                Err(format!("`{}` is scaled by the quantile in each series", window.past[at].0))
            }
        };
        let values: Vec<[f32; 2]> = window.series.values().map(of).collect::<Result<_, _>>()?;
        let encoder = |part: usize| {
            let keys = texts("keys_strings", window.series.keys().map(String::as_str));
            let values = floats("values_floats", values.iter().map(|pair| pair[part]).collect());
            vec![keys, values, super::builder::float("default_float", f64::NAN)]
        };
        found.push([0, 1].map(|part| assembly.builder.node("LabelEncoder", &[&series], encoder(part))));
    }
    Ok(Some(found))
}
