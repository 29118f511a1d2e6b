//! What scikit-learn's converter puts around models: the operators of `ai.onnx.ml` that scale, fill in and choose
//! numbers. Strings come out, as names of classes; they do not go in.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::Kind;
use super::super::model::Node;
use super::pick;
use crate::graph::ValueId;

/// The results of an operator of `ai.onnx.ml`.
///
/// # Errors
/// What is not supported of it.
pub fn build(b: &mut Builder, node: &Node, name: &str) -> Outcome<Value> {
    match name {
        "Scaler" => scaler(b, node),
        "Normalizer" => normalizer(b, node),
        "Binarizer" => binarizer(b, node),
        "Imputer" => imputer(b, node),
        "ArrayFeatureExtractor" => extractor(b, node),
        "FeatureVectorizer" => vectorizer(b, node),
        "OneHotEncoder" => one_hot(b, node),
        "ZipMap" => zip_map(b, node),
        "LinearClassifier" | "LinearRegressor" => Err(super::super::linear::refusal(node).into()),
        "TreeEnsemble" | "TreeEnsembleClassifier" | "TreeEnsembleRegressor" => {
            Err("decision trees are no neural network and have no gradient; they are not imported".into())
        }
        "SVMClassifier" | "SVMRegressor" => {
            Err("support vector machines with kernels are not imported; linear ones are".into())
        }
        "LabelEncoder" | "CategoryMapper" | "DictVectorizer" => {
            Err("it looks up texts or keys, which are not \
             inputs here; encode them before the model"
                .into())
        }
        _ => Err("this operator is not supported".into()),
    }
}

/// Operand `at` as numbers, integers too.
fn numbers(b: &mut Builder, node: &Node, at: usize) -> Outcome<ValueId> {
    let held = b.held(node, at)?;
    if !b.is_float(held.id) {
        return Err("it computes with indices that are not known before it runs".into());
    }
    b.first(&held)
}

/// The numbers of an attribute, one for all features or one for each, that broadcast over rows.
fn for_features(b: &mut Builder, node: &Node, name: &str, x: ValueId, default: f64) -> Outcome<ValueId> {
    let data = node.floats(name).unwrap_or_default();
    let features = b.net.graph.shape(x).last().copied().unwrap_or(1);
    match data[..] {
        [] => Ok(b.net.graph.scalar(default)?),
        [only] => Ok(b.net.graph.scalar(f64::from(only))?),
        _ if data.len() == features => Ok(b.net.graph.constant(&[features], &data)?),
        _ => {
            Err(format!("its {} numbers `{name}` are not one for each of {features} features", data.len())
                .into())
        }
    }
}

/// `(x - offset) scale`.
fn scaler(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let x = numbers(b, node, 0)?;
    let offset = for_features(b, node, "offset", x, 0.0)?;
    let scale = for_features(b, node, "scale", x, 1.0)?;
    let id = b.net.graph.formula([x, offset, scale], |[x, offset, scale]| (x - offset) * scale)?;
    Ok(Held::new(id).into())
}

/// Rows divided by their largest element, the sum of their sizes, or their length; rows of zeros remain.
fn normalizer(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let x = numbers(b, node, 0)?;
    let g = &mut *b.net.graph;
    let axis = g.shape(x).len().checked_sub(1).ok_or("its operand is a single number")?;
    let size = match node.text("norm", "MAX").as_str() {
        "MAX" => g.max(x, &[axis], true)?,
        "L1" => {
            let sizes = g.formula([x], |[x]| x.abs())?;
            g.sum(sizes, &[axis], true)?
        }
        "L2" => {
            let squares = g.formula([x], |[x]| x.square())?;
            let sum = g.sum(squares, &[axis], true)?;
            // Rows of zeros have no direction, hence no slope.
            g.formula([sum], |[sum]| sum.equal(0.0).select(1.0, &sum).sqrt())?
        }
        other => return Err(format!("norm = \"{other:.40}\" is not supported").into()),
    };
    let id = g.formula([x, size], |[x, size]| &x / size.equal(0.0).select(1.0, &size))?;
    Ok(Held::new(id).into())
}

/// 1 above a threshold, else 0.
fn binarizer(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let threshold = node.float("threshold", 0.0);
    let x = numbers(b, node, 0)?;
    let id = b.net.graph.formula([x], |[x]| (-x).less(-threshold))?;
    Ok(Held::new(id).into())
}

/// What stands for a missing number, NaN or another, replaced by the feature's.
fn imputer(b: &mut Builder, node: &Node) -> Outcome<Value> {
    if node.has("imputed_value_int64s") || node.has("replaced_value_int64") {
        return Err("it fills in integers; numbers alone are supported".into());
    }
    let missing = node.float("replaced_value_float", 0.0);
    let x = numbers(b, node, 0)?;
    let instead = for_features(b, node, "imputed_value_floats", x, 0.0)?;
    let id = b.net.graph.formula([x, instead], |[x, instead]| match missing.is_nan() {
        true => x.equal(&x).select(&x, &instead),
        false => x.equal(missing).select(&instead, &x),
    })?;
    Ok(Held::new(id).into())
}

/// Elements of the last axis by their places; of a list, as one row.
fn extractor(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let (table, places) = (b.value(node, 0)?, b.value(node, 1)?);
    let rank = b.extents(&table)?.len();
    let axis = rank.checked_sub(1).ok_or("its operand is a single number")?;
    let row = |b: &mut Builder, found: Value| super::layout::as_row(b, &found);
    match &places {
        Value::Known(places) => {
            let at: Option<Vec<usize>> =
                places.integers().iter().map(|&at| usize::try_from(at).ok()).collect();
            let found = pick::take(b, &table, axis, &at.ok_or("a place is below 0")?)?;
            if rank == 1 { row(b, found) } else { Ok(found) }
        }
        _ if rank == 1 => {
            let found = pick::by_place(b, &table, &places)?;
            row(b, found)
        }
        _ => Err("its places are computed, of a table of several rows".into()),
    }
}

/// Features side by side.
fn vectorizer(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let _ = node.ints("inputdimensions");
    let parts = (0..node.inputs.len()).map(|at| numbers(b, node, at)).collect::<Outcome<Vec<ValueId>>>()?;
    let ranks: Vec<usize> = parts.iter().map(|&part| b.net.graph.shape(part).len()).collect();
    if ranks.iter().any(|&rank| rank != 2) {
        return Err("its operands are no rows of features".into());
    }
    Ok(Held::new(b.net.graph.concat(&parts, 1)?).into())
}

/// 1 at the place of an integer in a list, else 0, on a new last axis.
fn one_hot(b: &mut Builder, node: &Node) -> Outcome<Value> {
    if !node.texts("cats_strings").is_empty() {
        return Err(
            "its categories are texts, which are not inputs here; encode them before the model".into()
        );
    }
    let categories =
        node.ints("cats_int64s").filter(|list| !list.is_empty()).ok_or("it has no categories")?;
    let data: Vec<f32> = categories.iter().map(|&x| x as f32).collect();
    if categories.iter().zip(&data).any(|(&x, &f)| f as i64 != x) {
        return Err("it has categories that single precision does not have".into());
    }
    // Without zeros, a category that is not in the list is an error of the run.
    if node.int("zeros", 1) == 0 {
        return Err("it fails at categories that it does not know (zeros = 0), which is not supported".into());
    }
    let x = numbers(b, node, 0)?;
    let mut shape = b.net.graph.shape(x).clone();
    shape.push(1);
    let x = b.net.graph.reshape(x, &shape)?;
    let categories = b.net.graph.constant(&[data.len()], &data)?;
    Ok(Held::new(b.net.graph.equal(x, categories)?).into())
}

/// The same numbers; that each belongs to a class is said where the classes are.
fn zip_map(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let _ = (node.ints("classlabels_int64s"), node.texts("classlabels_strings"));
    let x = numbers(b, node, 0)?;
    Ok(Held::new(x).of(Kind::Float).into())
}
