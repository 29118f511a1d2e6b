//! The networks and data of graphs.py in this folder, trained here and compared with PyTorch's losses.

use std::collections::BTreeMap;
use std::sync::Arc;

use gridlight::base::edges::{Edge, averaged, normalised, with_loops};
use gridlight::base::nodes::Nodes;
use gridlight::base::packed::Packed;
use gridlight::base::step::StepRecord;
use gridlight::data::{CategoryIds, Dataset, Graphs, Target};
use gridlight::device::Device;
use gridlight::nn::config::ModelConfig;
use gridlight::nn::inputs::{GraphShape, Inputs, SequenceShape};
use gridlight::nn::losses::{ClassWeights, Loss};
use gridlight::nn::{Model, Supervised};
use gridlight::optim::Optimizer;
use gridlight::train::engine::{Engine, Training};

const NODES: usize = 12;
const BATCH: usize = 6;

/// The generator of graphs.py.
fn integers(count: usize, seed: u64) -> Vec<u64> {
    let mut x = seed;
    let mut next = || {
        x = (1_103_515_245 * x + 12_345) % (1 << 31);
        x >> 16
    };
    (0..count).map(|_| next()).collect()
}

fn numbers(count: usize, seed: u64, scale: f32) -> Vec<f32> {
    integers(count, seed).into_iter().map(|x| ((x % 128) as f32 - 64.0) / 64.0 * scale).collect()
}

/// The edges of graphs.py between as many nodes.
fn edges(nodes: usize, seed: u64) -> Nodes {
    let mut found = BTreeMap::new();
    for (at, draw) in integers(4 * nodes, seed).into_iter().enumerate() {
        let (source, target) = ((at % (nodes - 1)) as u32, (draw % (nodes as u64 - 1)) as u32);
        if source != target {
            found.insert((target, source), (1 + draw / 16 % 4) as f32 / 4.0);
        }
    }
    found.insert((3, 3), 0.5);
    Nodes {
        names: (0..nodes).map(|node| node.to_string()).collect(),
        sources: found.keys().map(|edge| edge.1).collect(),
        targets: found.keys().map(|edge| edge.0).collect(),
        weights: found.values().copied().collect(),
        ..Nodes::default()
    }
}

/// The edges of a graph as layers weigh them, and how many nodes there are.
struct Weighed {
    nodes: usize,
    looped: Vec<Edge>,
    shares: Vec<f32>,
}

impl Weighed {
    fn of(graph: &Nodes) -> Self {
        let (nodes, own) = (graph.count(), graph.edges().collect::<Vec<Edge>>());
        let looped = with_loops(nodes, graph.edges(), true);
        let shares = averaged(nodes, &own);
        let share =
            |edge: &Edge| own.iter().position(|e| (e.0, e.1) == (edge.0, edge.1)).map_or(0.0, |e| shares[e]);
        let shares = looped.iter().map(share).collect();
        Self { nodes, looped, shares }
    }

    fn ends(&self) -> Vec<[u32; 2]> {
        self.looped.iter().map(|edge| [edge.0, edge.1]).collect()
    }
}

/// Graphs of 4 to 10 nodes, of which each gets two numbers.
fn many(pool: &str) -> (Box<dyn Model>, Dataset) {
    let layers = format!(
        r#"{{ type = "graph_conv", units = 6 }}, {{ type = "batch_norm" }},
           {{ type = "activation", function = "tanh" }}, {{ type = "graph_attention", units = 4, heads = 2 }},
           {{ type = "activation", function = "tanh" }}, {{ type = "graph_sage", units = 6 }},
           {{ type = "activation", function = "tanh" }}, {pool}"#
    );
    let all: Vec<Weighed> = (0..NODES).map(|g| Weighed::of(&edges(4 + 5 * g % 7, 20 + g as u64))).collect();
    let packed = all.iter().fold(Packed::default(), |packed, graph| packed.with(graph.nodes, &graph.ends()));
    let mut graphs =
        Graphs { packed, features: (0..5).map(|i| format!("x{i}")).collect(), ..Graphs::default() };
    for (at, graph) in all.iter().enumerate() {
        graphs.counts.push(graph.nodes as u32);
        graphs.x.extend(numbers(graph.nodes * 5, 40 + at as u64, 1.0));
        graphs.x.resize((at + 1) * packed.nodes * 5, 0.0);
        packed.pack(&graph.ends(), &mut graphs.links);
        graphs.normalised.extend(normalised(graph.nodes, &graph.looped));
        graphs.averaged.extend(&graph.shares);
        for weights in [&mut graphs.normalised, &mut graphs.averaged] {
            weights.resize((at + 1) * packed.edges, 0.0);
        }
    }
    let shape = GraphShape { packed, features: 5, categories: vec![] };
    let inputs = Inputs { graphs: Some(shape), ..Inputs::default() };
    let data = Dataset {
        rows: NODES,
        graphs: Some(graphs),
        target: Some(Target::Numbers(numbers(NODES * 2, 6, 1.0))),
        targets: 2,
        source_rows: (0..NODES).collect(),
        ..Dataset::default()
    };
    (Box::new(Supervised::new(&config(&layers), inputs, 2, Loss::Mse {})), data)
}

fn config(layers: &str) -> ModelConfig {
    toml::from_str(&format!("layer = [{layers}]")).expect("a model table")
}

/// Nodes of three classes.
fn classes(layers: &str) -> (Box<dyn Model>, Dataset) {
    let nodes = Nodes {
        features: (0..5).map(|i| format!("x{i}")).collect(),
        x: numbers(NODES * 5, 2, 1.0),
        ..edges(NODES, 7)
    };
    let categories = vec![("node".to_string(), NODES)];
    let inputs = Inputs { categories, graph: Some(Arc::new(nodes)), ..Inputs::default() };
    let loss = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: ClassWeights::default() };
    let labels = integers(NODES, 3).into_iter().map(|x| (x % 3) as u32).collect();
    let ids = (0..NODES as u32).collect();
    let data = Dataset {
        rows: NODES,
        categories: vec![CategoryIds { name: "node".into(), vocabulary: NODES, ids }],
        target: Some(Target::Labels(labels)),
        source_rows: (0..NODES).collect(),
        ..Dataset::default()
    };
    (Box::new(Supervised::new(&config(layers), inputs, 3, loss)), data)
}

/// Windows of four stations and a column of all.
fn stations() -> (Box<dyn Model>, Dataset) {
    let layers = r#"{ type = "graph_conv", units = 6 }, { type = "activation", function = "tanh" }"#;
    let nodes = Nodes { identity: true, ..edges(4, 8) };
    let sequence = Some(SequenceShape { length: 5, width: 5 });
    let inputs = Inputs { features: 25, sequence, graph: Some(Arc::new(nodes)), ..Inputs::default() };
    let data = Dataset {
        rows: NODES,
        features: (0..25).map(|i| format!("x{i}")).collect(),
        x: numbers(NODES * 25, 4, 1.0),
        target: Some(Target::Numbers(numbers(NODES * 8, 5, 1.0))),
        targets: 8,
        source_rows: (0..NODES).collect(),
        ..Dataset::default()
    };
    (Box::new(Supervised::new(&config(layers), inputs, 8, Loss::Mse {})), data)
}

/// The weights of graphs.py.
fn weights(model: &dyn Model) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let graph = model.graph(BATCH, true).expect("a graph");
    let mut shapes: Vec<(String, Vec<usize>)> =
        graph.parameters.iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
    shapes.sort();
    let fill = |(at, (name, shape)): (usize, (String, Vec<usize>))| {
        let data = numbers(shape.iter().product(), 100 + at as u64, 0.5);
        (name, shape, data)
    };
    let states = graph.states.into_iter().map(|state| {
        let values = vec![state.initial; state.shape.iter().product()];
        (state.name, state.shape, values)
    });
    shapes.into_iter().enumerate().map(fill).chain(states).collect()
}

/// The losses of some steps, and what is trained.
fn play(device: &dyn Device, model: &dyn Model, data: &Dataset, steps: u32) -> (Vec<f32>, Engine) {
    let optimizer: Optimizer = toml::from_str("type = \"sgd\"\nmomentum = 0.9").expect("an optimizer table");
    let training = Training::new(data, BATCH, optimizer);
    let mut engine = Engine::new(device, model, Some(&training), data).expect("an engine");
    engine.restore(&weights(model), false).expect("PyTorch's names and shapes");
    engine.set_order(0, &(0..NODES as u32).collect::<Vec<u32>>()).expect("an order");
    let mut found = vec![];
    for step in 1..=steps {
        let mut record = [StepRecord {
            step,
            batch_start: BATCH as u32 * ((step - 1) % 2),
            learning_rate: 0.05,
            optimizer: engine.optimizer_scalars(u64::from(step)),
            ..StepRecord::default()
        }];
        found.extend(engine.train(&mut record).expect("a step"));
    }
    (found, engine)
}

/// A name in graphs.json, the network and its data.
type Case = (&'static str, (Box<dyn Model>, Dataset));

fn cases() -> [Case; 7] {
    let tanh = r#"{ type = "activation", function = "tanh" }"#;
    let conv = r#"{ type = "graph_conv", units = 8 }, { type = "activation", function = "relu" },
                  { type = "graph_conv", units = 3 }"#;
    let sage = format!(
        r#"{{ type = "graph_sage", units = 8 }}, {tanh}, {{ type = "graph_sage", units = 4 }}, {tanh}"#
    );
    let attention = format!(
        r#"{{ type = "graph_attention", units = 4, heads = 2 }}, {tanh},
           {{ type = "graph_attention", units = 3, heads = 2, concat = false }}"#
    );
    [
        ("graph_conv", classes(conv)),
        ("graph_sage", classes(&sage)),
        ("graph_attention", classes(&attention)),
        ("stations", stations()),
        ("many_averaged", many(r#"{ type = "global_pool", kind = "average" }"#)),
        ("many_largest", many(r#"{ type = "global_pool", kind = "max" }"#)),
        ("many_summed", many(r#"{ type = "global_pool", kind = "sum" }, { type = "layer_norm" }"#)),
    ]
}

/// The bits of everything that a checkpoint keeps of each network after a few steps.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
pub fn bits(device: &dyn Device) -> Vec<(String, Vec<u32>)> {
    let mut all = vec![];
    for (name, (model, data)) in cases() {
        let (_, mut engine) = play(device, &*model, &data, 6);
        let mut tensors = engine.weights().expect("weights");
        tensors.extend(engine.optimizer_state().expect("state"));
        for (tensor, _, data) in tensors {
            all.push((format!("{name} {tensor}"), data.into_iter().map(f32::to_bits).collect()));
        }
    }
    all
}

/// Trains each network and compares each of 50 losses, with relative `tolerance`.
pub fn check_graphs(device: &dyn Device, tolerance: f64) -> Result<(), String> {
    let figures: BTreeMap<String, Vec<f64>> =
        serde_json::from_str(include_str!("graphs.json")).map_err(|e| e.to_string())?;
    for (name, (model, data)) in cases() {
        let found = play(device, &*model, &data, 50).0;
        let expected = figures.get(name).ok_or("no figures of this name")?;
        for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs() / expected.abs();
            if error > tolerance || !found.is_finite() {
                return Err(format!(
                    "{name} on {}, step {}: loss {found}, PyTorch {expected}: relative error {error:.2e}",
                    device.info().name,
                    step + 1
                ));
            }
        }
        if expected.len() != found.len() {
            return Err(format!("{name}: {} losses, PyTorch has {}", found.len(), expected.len()));
        }
    }
    Ok(())
}
