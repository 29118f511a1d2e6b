//! Graphs that only their edges tell apart: rings of nodes of two kinds, as many of each, whose kinds alternate or lie
//! together.

use std::fmt::Write;
use std::path::Path;

/// A ring.
#[derive(Clone, Debug)]
pub struct Ring {
    pub name: String,
    /// The kind of each node, around the ring.
    pub kinds: Vec<bool>,
    /// Whether kinds alternate.
    pub mixed: bool,
    /// In which order the nodes stand in the file.
    pub order: Vec<usize>,
}

impl Ring {
    /// The same ring, whose nodes stand in another order.
    #[allow(dead_code, reason = "not every binary turns them")]
    pub fn shuffled(&self) -> Self {
        let count = self.order.len();
        let step = (3..).find(|step| divisor(*step, count) == 1).unwrap_or(1);
        Self { order: (0..count).map(|at| (at * step + 3) % count).collect(), ..self.clone() }
    }
}

/// The greatest common divisor.
fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Rings of 4 to 14 nodes.
pub fn rings(count: usize) -> Vec<Ring> {
    let of = |at: usize| {
        let (half, mixed) = (2 + at * 7 % 6, at * 5 % 3 != 1);
        let kinds: Vec<bool> =
            (0..2 * half).map(|node| if mixed { node % 2 == 0 } else { node < half }).collect();
        Ring { name: format!("r{at}"), order: (0..kinds.len()).collect(), kinds, mixed }
    };
    (0..count).map(of).collect()
}

/// Writes `rings.csv`, `nodes.csv` and `edges.csv`.
pub fn write(folder: &Path, rings: &[Ring]) {
    let mut rows = String::from("ring,mixed\n");
    let mut nodes = String::from("ring,node,kind\n");
    let mut edges = String::from("ring,source,target\n");
    for ring in rings {
        let name = &ring.name;
        let _ = writeln!(rows, "{name},{}", if ring.mixed { "yes" } else { "no" });
        for &node in &ring.order {
            let _ = writeln!(nodes, "{name},{node},{}", if ring.kinds[node] { "a" } else { "b" });
            let _ = writeln!(edges, "{name},{node},{}", (node + 1) % ring.kinds.len());
        }
    }
    for (name, text) in [("rings.csv", rows), ("nodes.csv", nodes), ("edges.csv", edges)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// An experiment on them.
pub fn experiment(folder: &Path) -> String {
    let file = |name: &str| format!("{:?}", folder.join(name).to_str().unwrap());
    format!(
        "name = \"rings\"\nseed = 3\n[data]\nsource = {}\ntarget = \"mixed\"\n[data.graph]\nid = \"ring\"\nnodes = {}\n\
         edges = {}\n[data.split]\nby = \"random\"\nvalidation = 0.2\ntest = 0.3\n[model]\nlayer = [{{ type = \"graph_sage\", \
         units = 8 }}, {{ type = \"global_pool\" }}]\n[train]\nepochs = 60\nbatch_size = 16\nlearning_rate = 1e-2\nloss = \
         \"bce_with_logits\"\n",
        file("rings.csv"),
        file("nodes.csv"),
        file("edges.csv")
    )
}
