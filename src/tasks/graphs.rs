//! Rows, or series, that are the nodes of a graph, and rows that are graphs: the keys that go together.

use std::ffi::OsStr;
use std::path::Path;

use super::Settings;
use crate::nn::config::Family;
use crate::nn::layers::{GlobalPool, LayerConfig, Pooling};

/// Checks `[data.graph]`, and that layers of graphs have one.
pub(super) fn check(settings: Settings) -> Result<(), (&'static str, String)> {
    let Settings { data, model, train } = settings;
    if data.graph.is_none() {
        let reads = model.layers.iter().find(|layer| layer.layer().mixes_nodes().is_some());
        return match reads {
            None => Ok(()),
            Some(layer) => {
                let name = layer.layer().name();
                let reason = format!(
                    "has a `{name}` layer, which reads the neighbours of nodes; say in [data.graph] where edges are"
                );
                Err(("model.layer", reason))
            }
        };
    }
    let refuse = |reason: &str| Err(("data.graph", reason.to_string()));
    if data.text.is_some() || data.image.is_some() {
        return refuse("is for the rows of tables and for series, not for images or texts; remove it");
    }
    if model.variational().is_some() || model.adversarial().is_some() {
        return refuse("is for models that predict a target, and this family predicts none; remove it");
    }
    if model.from.is_some() {
        return refuse(
            "is for layers of this program, which `model.from` has none of; remove one of the two",
        );
    }
    if model.family != Family::Mlp {
        let reason = "does not suit nodes of graphs, which have no order; leave it out, and list layers such as \
                      `graph_conv` in [[model.layer]]";
        return Err(("model.family", reason.into()));
    }
    let weighted = data.graph.as_ref().is_some_and(|graph| graph.weight.is_some());
    if weighted && model.layers.iter().any(|layer| matches!(layer, LayerConfig::GraphAttention(_))) {
        let reason = "is not read by `graph_attention` layers, which weigh edges themselves; remove it, or use `graph_conv` \
                      or `graph_sage`";
        return Err(("data.graph.weight", reason.into()));
    }
    if data.graph.as_ref().is_some_and(|graph| graph.nodes.is_some()) {
        return check_whole(settings);
    }
    let targets = data.target.as_ref().map_or(&[][..], |targets| targets.names());
    let near = data.graph.as_ref().map_or(&[][..], |graph| &graph.coordinates);
    if let Some(target) = targets.iter().find(|target| near.contains(target)) {
        let reason = format!("has the target `{target}`, which is not known of new nodes; leave it out");
        return Err(("data.graph.coordinates", reason));
    }
    if data.window.is_none() && targets.len() > 1 {
        let reason =
            "names several columns, and the nodes of a graph have one target; train a model for each";
        return Err(("data.target", reason.into()));
    }
    if train.adversarial.is_some() && data.window.is_none() {
        let reason =
            "moves what single rows hold, and a node's prediction depends on other nodes too; remove it";
        return Err(("train.adversarial", reason.into()));
    }
    if data.augment.noise != 0.0 && data.window.is_none() {
        let reason =
            "changes what single rows hold, and all nodes of a graph are read at once; use a `dropout` layer";
        return Err(("data.augment.noise", reason.into()));
    }
    if let Some(layer) = model.layers.iter().find(|layer| !of_nodes(layer)) {
        let name = layer.layer().name();
        let reason = format!(
            "has a `{name}` layer, which would take nodes for the steps of a sequence or the pixels of an image; with \
             [data.graph] use graph layers and those of single nodes"
        );
        return Err(("model.layer", reason));
    }
    Ok(())
}

/// Checks what goes with rows that are graphs.
fn check_whole(Settings { data, model, train }: Settings) -> Result<(), (&'static str, String)> {
    let refuse = |key: &'static str, reason: &str| Err((key, reason.to_string()));
    let name = |path: &str| Path::new(path).file_name().map(OsStr::to_owned);
    let of = |path: Option<&String>| path.and_then(|path| name(path));
    let graph = data.graph.as_ref();
    let [nodes, edges] = [graph.and_then(|g| g.nodes.as_ref()), graph.and_then(|g| g.edges.as_ref())].map(of);
    if nodes == edges || [nodes, edges].contains(&name(&data.source)) {
        return refuse(
            "data.graph.nodes",
            "and `edges` need names that differ from each other's and from that of `data.source`, even in folders of their \
             own: those of new rows are looked for beside them by these names",
        );
    }
    if data.reshape.is_some() {
        return refuse(
            "data.reshape",
            "makes rows of others, and rows are graphs, whose nodes it does not know; remove it",
        );
    }
    if train.adversarial.is_some() {
        return refuse(
            "train.adversarial",
            "moves what rows hold, and what graphs hold are their nodes; remove it",
        );
    }
    if data.augment.noise != 0.0 {
        return refuse(
            "data.augment.noise",
            "changes what rows hold, and what graphs hold are their nodes; use a `dropout` layer",
        );
    }
    let pools = |layer: &LayerConfig| matches!(layer, LayerConfig::GlobalPool(_));
    let Some(pool) = model.layers.iter().position(pools) else {
        let reason = "has no `global_pool` layer, which makes a row of the nodes of each graph; add one, such as \
                      { type = \"global_pool\", kind = \"average\" }, after the graph layers (\"average\", \"max\" or \
                      \"sum\")";
        return refuse("model.layer", reason);
    };
    if let LayerConfig::GlobalPool(GlobalPool { kind: Pooling::Last }) = &model.layers[pool] {
        let reason = "has a `global_pool` layer of kind = \"last\", and nodes have no order; use \"average\", \"max\" or \
                      \"sum\"";
        return refuse("model.layer", reason);
    }
    let (before, after) = (&model.layers[..pool], &model.layers[pool + 1..]);
    if let Some(layer) = before.iter().find(|layer| !of_nodes(layer)) {
        let name = layer.layer().name();
        let reason = format!(
            "has a `{name}` layer before `global_pool`, which would take nodes for the steps of a sequence or the pixels \
             of an image; use graph layers and those of single nodes there"
        );
        return Err(("model.layer", reason));
    }
    if let Some(layer) = after.iter().find(|layer| !of_nodes(layer) || layer.layer().mixes_nodes().is_some())
    {
        let name = layer.layer().name();
        let reason = format!(
            "has a `{name}` layer after `global_pool`, where each graph is a row of numbers and has no nodes; put it before"
        );
        return Err(("model.layer", reason));
    }
    Ok(())
}

/// Whether a layer is of single nodes or of a graph.
fn of_nodes(layer: &LayerConfig) -> bool {
    matches!(
        layer,
        LayerConfig::Dense(_)
            | LayerConfig::Activation(_)
            | LayerConfig::Dropout(_)
            | LayerConfig::LayerNorm(_)
            | LayerConfig::RmsNorm(_)
            | LayerConfig::BatchNorm(_)
            | LayerConfig::GraphConv(_)
            | LayerConfig::GraphSage(_)
            | LayerConfig::GraphAttention(_)
    )
}
