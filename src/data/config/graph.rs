//! The `[data.graph]` table: rows, or series, that are the nodes of a graph, or rows that are graphs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows of the table are the nodes of a graph; with `[data.window]`, the targets are, each with its past; with `nodes`,
/// rows are graphs. Layers such as `graph_conv` read the neighbours of a node. Edges come from a file (`edges`), from
/// coordinates (`nearest` or `radius`), or, of series, from their `correlation`: exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { id = \"paper\", edges = \"cites.csv\" }")]
pub struct GraphConfig {
    /// The column with the name of each node, or, with `nodes`, of each graph, in all three tables; it is no feature. Not
    /// with `[data.window]`, where the targets are the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A table with a node in each row, in any format of tables, of which each row of `data.source` is a whole graph:
    /// columns `id` with its graph, `node` with its name, and features. The path is relative to the experiment file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
    /// Its column with the name of a node, which is one of its graph's only (default `node`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its columns that nodes have as features (default all others; if there are none, the number of neighbours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
    /// A table with an edge in each row, in any format of tables. The path is relative to the experiment file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edges: Option<String>,
    /// Its column with the node that an edge leaves.
    #[serde(default = "source")]
    pub source: String,
    /// Its column with the node that an edge leads to, of which the source then is a neighbour.
    #[serde(default = "target")]
    pub target: String,
    /// Its column with the weight of an edge, a number from 0 up; by default all weigh 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Whether an edge leads from its source to its target alone, instead of both ways.
    #[serde(default)]
    pub directed: bool,
    /// An edge from each of the nearest nodes, as many as this, by the distance of `coordinates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<usize>,
    /// An edge between nodes that are no further apart than this, by the distance of `coordinates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radius: Option<f64>,
    /// The columns with the coordinates of nodes, for `nearest` and `radius`: distances are straight and in the units of
    /// the columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coordinates: Vec<String>,
    /// With `[data.window]`: an edge from each of the targets, as many as this, whose training rows are most correlated
    /// with a target's, by the absolute value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<usize>,
    /// Whether a node has one more feature for each node, 1 for itself and 0 for the others: of graphs whose nodes have
    /// no other features, or to tell nodes apart (at most 4096 nodes).
    #[serde(default)]
    pub identity: bool,
}

fn source() -> String {
    "source".into()
}

fn target() -> String {
    "target".into()
}

impl GraphConfig {
    /// The column with the name of a node in the table of nodes.
    pub fn node(&self) -> &str {
        self.node.as_deref().unwrap_or("node")
    }

    /// Key and reason, if keys do not go together with rows that are graphs.
    fn problem_of_graphs(&self, windows: bool) -> Option<(&'static str, String)> {
        let refuse = |key, reason: &str| Some((key, reason.to_string()));
        if self.nodes.is_none() {
            return match (&self.node, &self.features) {
                (Some(_), _) => {
                    refuse("data.graph.node", "is a column of `nodes`; say where these are, or remove it")
                }
                (_, Some(_)) => {
                    refuse("data.graph.features", "are columns of `nodes`; say where these are, or remove it")
                }
                (None, None) => None,
            };
        }
        if windows {
            return refuse(
                "data.graph.nodes",
                "makes rows graphs, and [data.window] makes them series; remove one",
            );
        }
        if self.edges.is_none() {
            let reason = "needs `edges`, the table with the edges of all graphs";
            return refuse("data.graph.nodes", reason);
        }
        if self.identity {
            let reason =
                "tells the nodes of one graph apart, and nodes of several have nothing in common; remove it";
            return refuse("data.graph.identity", reason);
        }
        let id = self.id.as_deref().unwrap_or_default();
        let features = self.features.iter().flatten();
        if let Some(name) = features.clone().find(|name| *name == id || *name == self.node()) {
            return refuse(
                "data.graph.features",
                &format!("names `{name}`, which names nodes or graphs; remove it"),
            );
        }
        let features: Vec<&String> = features.collect();
        let again = features.iter().enumerate().find(|(at, name)| features[..*at].contains(name));
        if let Some((_, name)) = again {
            return refuse("data.graph.features", &format!("names `{name}` twice; leave one out"));
        }
        (id == self.node()).then(|| {
            ("data.graph.node", format!("is `{id}`, as `id` is; a node has a name beside its graph's"))
        })
    }

    /// Key and reason, if a value is out of range or keys do not go together; `windows` with `[data.window]`.
    pub fn problem(&self, windows: bool) -> Option<(&'static str, String)> {
        let ways = [
            ("edges", self.edges.is_some()),
            ("nearest", self.nearest.is_some()),
            ("radius", self.radius.is_some()),
            ("correlation", self.correlation.is_some()),
        ];
        let given: Vec<&str> = ways.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
        if given.len() != 1 {
            let found = if given.is_empty() { "none".into() } else { given.join(" and ") };
            let reason = format!(
                "takes exactly one of `edges`, `nearest`, `radius` and `correlation`, which say where edges are; \
                 found {found}"
            );
            return Some(("data.graph", reason));
        }
        if let Some(problem) = self.problem_of_graphs(windows) {
            return Some(problem);
        }
        let near = self.nearest.is_some() || self.radius.is_some();
        if windows {
            if self.id.is_some() {
                let reason =
                    "is of nodes that are rows; with [data.window] the targets are the nodes; remove it";
                return Some(("data.graph.id", reason.into()));
            }
            if near {
                let reason = "has `nearest` or `radius`, which are of nodes that are rows; for the targets of \
                              [data.window] use `edges` or `correlation`";
                return Some(("data.graph", reason.into()));
            }
        } else if self.id.is_none() {
            let what = if self.nodes.is_some() { "graph" } else { "node" };
            return Some(("data.graph", format!("is missing `id`, the column with the name of each {what}")));
        } else if self.correlation.is_some() {
            let reason = "is of series; it needs [data.window]";
            return Some(("data.graph.correlation", reason.into()));
        }
        if near == self.coordinates.is_empty() {
            let reason = match near {
                true => "is missing; name the columns whose distance `nearest` or `radius` are of",
                false => "is for `nearest` and `radius`; remove it",
            };
            return Some(("data.graph.coordinates", reason.into()));
        }
        if self.edges.is_none() && self.weight.is_some() {
            return Some(("data.graph.weight", "is a column of `edges`; remove it".into()));
        }
        let none = |key: &str, count: Option<usize>| (count == Some(0)).then(|| format!("= 0 {key}"));
        if let Some(reason) = none("is no neighbour; it must be at least 1", self.nearest) {
            return Some(("data.graph.nearest", reason));
        }
        if let Some(reason) = none("is no neighbour; it must be at least 1", self.correlation) {
            return Some(("data.graph.correlation", reason));
        }
        let radius = self.radius.filter(|radius| !(*radius > 0.0 && radius.is_finite()));
        radius.map(|radius| ("data.graph.radius", format!("= {radius} must be a finite number above 0")))
    }
}
