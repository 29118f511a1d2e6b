//! What comes out of a network: numbers in their own units, classes by name with their probabilities.

use super::assembly::{Assembly, Extent, ROWS};
use super::builder::{Builder, int, integers, ints, texts};
use super::emit::Emitter;
use super::inputs::{Prepared, prepare};
use super::proto::element;
use super::trace::Trace;
use super::{Request, refuse, scale};
use crate::base::image::ImageShape;
use crate::data::{FittedPixels, FittedScaling, FittedTarget};
use crate::tasks;
use crate::train::TrainError;

/// Writes a model that predicts a target; returns what it does.
///
/// # Errors
/// If something in or around the network has no form in ONNX.
pub fn write(assembly: &mut Assembly, request: &Request) -> Result<String, TrainError> {
    let prepared = prepare(assembly, request)?;
    let model = tasks::model(request.settings, request.fitted, &prepared.sample);
    let trace = Trace::of(|rows, _| Ok(model.graph(rows, false)?))?;
    let mut emitter = Emitter::new(&mut assembly.builder, &trace, request.weights);
    prepared.bind(&mut emitter);
    let found = emitter.emit(&[trace.model.predictions])?;
    let raw = found.first().map(|held| held.name.clone()).unwrap_or_default();
    let target = &request.fitted.target;
    let quantiles = request.settings.train.loss.quantiles();
    let shape = [ROWS, Extent::Fixed(target.outputs() * quantiles.len().max(1))];
    let name = target.columns().join("`, `");
    if let Some(pixels) = target.pixels() {
        by_pixel(assembly, pixels, request.raw, &raw)?;
        return Ok("Predicts something of each pixel.".into());
    }
    if request.raw {
        let meaning = "the network's outputs: scaled numbers, or logits of classes";
        assembly.output("output", &raw, element::FLOAT, &shape, meaning);
    } else if target.classes().is_empty() {
        if quantiles.len() > 1 {
            return Err(refuse("several quantiles of one prediction are put in order"));
        }
        let value = own_units(assembly, target, &prepared, &raw)?;
        let titles = target.titles().join(", ");
        let meaning = format!("predicted {titles}, in the units of the data");
        assembly.output("prediction", &value, element::FLOAT, &shape, &meaning);
    } else {
        classes(assembly, target, request.fitted.threshold, &raw);
    }
    Ok(format!("Predicts `{name}`."))
}

/// Outputs for pixels as images `[N, C, H, W]`: probabilities of classes and labels `[N, H, W]`, or values.
fn by_pixel(
    assembly: &mut Assembly,
    pixels: &FittedPixels,
    is_raw: bool,
    raw: &str,
) -> Result<(), TrainError> {
    let ImageShape { height, width, .. } = pixels.shape;
    let each = pixels.each();
    let shape = [ROWS, Extent::Fixed(each), Extent::Fixed(height), Extent::Fixed(width)];
    let b = &mut assembly.builder;
    let images = |b: &mut Builder, name: &str, sides: [usize; 3]| {
        let sides = b.integers(&[&[-1], &sides.map(|side| side as i64)[..]].concat());
        b.node("Reshape", &[name, &sides], vec![])
    };
    if pixels.classes.is_empty() {
        let values = images(b, raw, [each, height, width]);
        if is_raw {
            assembly.output(
                "output",
                &values,
                element::FLOAT,
                &shape,
                "the network's outputs: scaled values",
            );
            return Ok(());
        }
        // Channels last, so that each has its scaling.
        let scalings: Vec<&FittedScaling> = pixels.scaling.iter().collect();
        let last = b.node("Transpose", &[&values], vec![ints("perm", [0, 2, 3, 1])]);
        let values = scale::invert(b, &last, &scalings);
        let values = values.ok_or_else(|| refuse("the channels of images are scaled in different ways"))?;
        let values = b.node("Transpose", &[&values], vec![ints("perm", [0, 3, 1, 2])]);
        assembly.output(
            "prediction",
            &values,
            element::FLOAT,
            &shape,
            "predicted values, in the units of the data",
        );
        return Ok(());
    }
    let last = images(b, raw, [height, width, each]);
    let scores = b.node("Transpose", &[&last], vec![ints("perm", [0, 3, 1, 2])]);
    if is_raw {
        assembly.output(
            "output",
            &scores,
            element::FLOAT,
            &shape,
            "the network's outputs: logits of classes",
        );
        return Ok(());
    }
    let probabilities = b.node("Softmax", &[&scores], vec![int("axis", 1)]);
    let label = b.node("ArgMax", &[&scores], vec![int("axis", 1), int("keepdims", 0)]);
    let names: Vec<&str> = pixels.classes.iter().map(|class| class.name.as_str()).collect();
    let names = names.join(", ");
    let meaning = format!("the number of the likeliest class of each pixel: {names}");
    let of_pixels = [ROWS, Extent::Fixed(height), Extent::Fixed(width)];
    assembly.output("label", &label, element::INT64, &of_pixels, &meaning);
    let meaning = format!("the probability of each class: {names}");
    assembly.output("probabilities", &probabilities, element::FLOAT, &shape, &meaning);
    Ok(())
}

/// Scaled outputs in the target's own units.
fn own_units(
    assembly: &mut Assembly,
    target: &FittedTarget,
    prepared: &Prepared,
    raw: &str,
) -> Result<String, TrainError> {
    let scalings: Vec<&FittedScaling> = (0..target.outputs()).filter_map(|at| target.scaling(at)).collect();
    let b = &mut assembly.builder;
    if let FittedTarget::Rate { .. } = target {
        return Ok(b.node("Exp", &[raw], vec![]));
    }
    let mixed = || refuse("several targets are scaled in different ways, or by their quantiles");
    let Some(members) = &prepared.members else {
        if scalings.len() < 2 || scale::are_alike(&scalings) {
            return scale::invert(b, raw, &scalings).ok_or_else(mixed);
        }
        let mut columns = vec![];
        for (at, scaling) in scalings.iter().enumerate() {
            let at = b.integers(&[at as i64]);
            let column = b.node("Gather", &[raw, &at], vec![int("axis", 1)]);
            columns.push(scale::invert(b, &column, &[scaling]).ok_or_else(mixed)?);
        }
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        return Ok(b.node("Concat", &columns, vec![int("axis", 1)]));
    };
    // Outputs are steps of targets; each has the scaling of its target in the row's series.
    let steps = target.outputs() / members.len().max(1);
    let [shift, factor] = [0, 1].map(|part| {
        let of: Vec<&str> = (0..steps).flat_map(|_| members.iter().map(|m| m[part].as_str())).collect();
        match of[..] {
            [only] => only.to_string(),
            _ => b.node("Concat", &of, vec![int("axis", 1)]),
        }
    });
    let scaled = b.node("Mul", &[raw, &factor], vec![]);
    let shifted = b.node("Add", &[&scaled, &shift], vec![]);
    let plain = |scaling: &&FittedScaling| match scaling {
        FittedScaling::Log1p { .. } => FittedScaling::Log1p { shift: 0.0, scale: 1.0 },
        _ => FittedScaling::None,
    };
    let plain: Vec<FittedScaling> = scalings.iter().map(plain).collect();
    scale::invert(b, &shifted, &plain.iter().collect::<Vec<_>>()).ok_or_else(mixed)
}

/// Logits as probabilities, and the name of the likeliest class; of two, the second one where its probability is
/// above `threshold`, if there is one.
fn classes(assembly: &mut Assembly, target: &FittedTarget, threshold: Option<f64>, raw: &str) {
    let names = target.classes();
    let b = &mut assembly.builder;
    let probabilities = if target.outputs() == 1 {
        // 1 - p as the sigmoid of the other sign, which keeps its digits.
        let negative = b.node("Neg", &[raw], vec![]);
        let [positive, negative] = [raw, &negative].map(|logit| b.node("Sigmoid", &[logit], vec![]));
        b.node("Concat", &[&negative, &positive], vec![int("axis", 1)])
    } else {
        b.node("Softmax", &[raw], vec![int("axis", 1)])
    };
    let class = match threshold {
        Some(threshold) => {
            let (one, threshold) = (b.integers(&[1]), b.number(threshold as f32));
            let second = b.node("Gather", &[&probabilities, &one], vec![int("axis", 1)]);
            let above = b.node("Greater", &[&second, &threshold], vec![]);
            let class = b.node("Cast", &[&above], vec![int("to", i64::from(element::INT64))]);
            b.node("Squeeze", &[&class, &one], vec![])
        }
        None => b.node("ArgMax", &[&probabilities], vec![int("axis", 1), int("keepdims", 0)]),
    };
    let keys = integers("keys_int64s", 0..names.len() as i64);
    let values = texts("values_strings", names.iter().map(String::as_str));
    let label = b.node("LabelEncoder", &[&class], vec![keys, values]);
    let meaning = match threshold {
        Some(threshold) => format!("the second class where its probability is above {threshold}"),
        None => "the likeliest class".into(),
    };
    assembly.output("label", &label, element::STRING, &[ROWS], &meaning);
    let shape = [ROWS, Extent::Fixed(names.len())];
    let meaning = format!("the probability of each class: {}", names.join(", "));
    assembly.output("probabilities", &probabilities, element::FLOAT, &shape, &meaning);
}

/// What is to be said of the target.
pub fn metadata(request: &Request) -> Vec<(String, String)> {
    let target = &request.fitted.target;
    let list = |names: &[String]| serde_json::to_string(names).unwrap_or_default();
    let mut entries = vec![];
    if target.name().is_some() {
        entries.push(("target".to_string(), target.columns().join(", ")));
    }
    if let Some(pixels) = target.pixels().filter(|pixels| !pixels.classes.is_empty()) {
        let names: Vec<String> = pixels.classes.iter().map(|class| class.name.clone()).collect();
        entries.push(("classes".to_string(), list(&names)));
    }
    if !target.classes().is_empty() {
        entries.push(("classes".to_string(), list(target.classes())));
    } else if !target.numbers().is_empty() {
        entries.push(("outputs".to_string(), list(&target.titles())));
        let units = if request.raw { "scaled" } else { "those of the target's column in the data" };
        entries.push(("units".to_string(), units.to_string()));
    }
    entries
}
