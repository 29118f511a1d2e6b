//! The features of a row as the inputs of a model of others: numbers in the order of its inputs, categories by name.

use std::collections::BTreeSet;

use super::Imported;
use super::build::{Builder, Held, Value};
use super::known::Kind;
use super::model::{Port, Side};
use crate::base::tensor::elements;
use crate::nn::imported::Feeds;

/// Binds the inputs that are read by the nodes numbered in `wanted`, or are what predicts.
///
/// # Errors
/// If the data have other features.
pub fn feed(
    model: &Imported,
    builder: &mut Builder,
    feeds: &Feeds,
    wanted: &BTreeSet<usize>,
    name: &str,
) -> Result<(), String> {
    let source = &model.source;
    // A new head may read the input itself.
    let read = |port: &&Port| {
        port.name == name
            || wanted.iter().any(|&at| {
                let node = &source.nodes[at];
                node.inputs.contains(&port.name) || super::captured(node).contains(&port.name.as_str())
            })
    };
    let ports: Vec<&Port> = source.inputs.iter().filter(read).collect();
    let (floats, others): (Vec<&Port>, Vec<&Port>) = ports.into_iter().partition(|port| port.is_float());
    let mut start: usize = 0;
    for port in &floats {
        let shape = shape_of(port, feeds, floats.len() == 1)?;
        let count = elements(&shape[1..]);
        let numbers = feeds.numbers.filter(|_| start.saturating_add(count) <= feeds.width);
        let numbers = numbers.ok_or_else(|| mismatch(&floats, feeds))?;
        let part = builder.net.graph.slice(numbers, &[0, start], &[feeds.batch, count]);
        let value = part.and_then(|part| builder.net.graph.reshape(part, &shape)).map_err(|e| e.reason)?;
        builder.bind(&port.name, Held::new(value).into());
        start += count;
    }
    if start != feeds.width {
        return Err(mismatch(&floats, feeds));
    }
    for (at, port) in others.iter().enumerate() {
        let named = feeds.categories.iter().find(|(name, _)| *name == port.name);
        let by_order = feeds.categories.get(at).filter(|_| others.len() == feeds.categories.len());
        let ids = named.or(by_order).filter(|_| Kind::of(port.elements) == Some(Kind::Int));
        let Some(&(_, ids)) = ids else {
            return Err(format!(
                "its input `{:.80}` ({}) is no number and no column of categories is called so",
                port.name,
                port.describe()
            ));
        };
        let shape = match port.shape.as_ref().map_or(1, Vec::len) {
            1 => vec![feeds.batch],
            rank => [vec![feeds.batch], vec![1; rank - 1]].concat(),
        };
        let ids = builder.net.graph.reshape(ids, &shape).map_err(|e| e.reason)?;
        builder.bind(&port.name, Value::Graph(Builder::index_input(None, ids)));
    }
    if others.len() != feeds.categories.len() {
        let names: Vec<&str> = feeds.categories.iter().map(|(name, _)| name.as_str()).collect();
        return Err(format!(
            "it reads {} columns of categories, the data have {} (`{:.200}`); leave them out with data.exclude, \
             or encode them as numbers",
            others.len(),
            names.len(),
            names.join("`, `")
        ));
    }
    Ok(())
}

fn mismatch(ports: &[&Port], feeds: &Feeds) -> String {
    let shown: Vec<String> =
        ports.iter().map(|port| format!("`{:.60}` {}", port.name, port.describe())).collect();
    format!("it reads {}, and rows of the data have {} numbers", shown.join(", "), feeds.width)
}

/// The extents of an input of numbers; those that the file leaves open follow from the data.
fn shape_of(port: &Port, feeds: &Feeds, alone: bool) -> Result<Vec<usize>, String> {
    let sides = port.shape.as_ref().filter(|sides| !sides.is_empty());
    let sides =
        sides.ok_or_else(|| format!("the file does not say what shape its input `{:.80}` has", port.name))?;
    let mut shape = vec![feeds.batch];
    let mut open = vec![];
    for (axis, side) in sides.iter().enumerate().skip(1) {
        if *side == Side::Fixed(0) {
            return Err(format!("its input `{:.80}` has an extent of 0", port.name));
        }
        shape.push(match side {
            Side::Fixed(n) => *n,
            _ => {
                open.push(axis);
                1
            }
        });
    }
    let of_data: Option<Vec<usize>> = match (shape.len(), feeds.image, feeds.sequence) {
        (4, Some(image), _) => Some(image.to_vec()),
        (3, _, Some(sequence)) => Some(sequence.to_vec()),
        _ => None,
    };
    match (&open[..], of_data) {
        ([], _) => {}
        (_, Some(known)) => open.iter().for_each(|&axis| shape[axis] = known[axis - 1]),
        ([axis], None) if alone && feeds.width.is_multiple_of(elements(&shape[1..]).max(1)) => {
            shape[*axis] = feeds.width / elements(&shape[1..]).max(1);
        }
        _ => {
            let described = port.describe();
            return Err(format!(
                "the extents of its input `{:.80}` {described} do not follow from the data",
                port.name
            ));
        }
    }
    Ok(shape)
}
