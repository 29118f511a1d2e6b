//! Custom training loops on any device, compared with the same loops in plain `f64`.

use gridlight::base::rng::RandomKind;
use gridlight::device::Device;
use gridlight::graph::expression::{Expression, Workspace};
use gridlight::graph::{Graph, Source, ValueId};
use gridlight::nn::init::Init;
use gridlight::optim::{Optimizer, Sgd};
use gridlight::train::custom::{Data, Loop, Phase, Recipe, Set};

const ROWS: usize = 8;
const WIDTH: usize = 3;

fn sgd(momentum: f64) -> Optimizer {
    Optimizer::Sgd(Sgd { momentum, ..Sgd::default() })
}

fn parameter(workspace: &Workspace, name: &str, shape: &[usize]) -> Expression {
    workspace.source(Source::Parameter(name.into()), shape)
}

fn near(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= tolerance * expected.abs().max(1.0), "{what}[{at}]: {found}, expected {expected}");
    }
}

/// A player `w` that descends and a player `v` that ascends on `mean(u w . u v) + w . w / 2 - v . v / 2` over
/// rows `u`.
struct Game {
    rows: Vec<[f64; WIDTH]>,
    w: [f64; WIDTH],
    v: [f64; WIDTH],
    velocity: [f64; WIDTH],
    mean: [f64; WIDTH],
    square: [f64; WIDTH],
}

const DOWN: f64 = 0.05;
const UP: f64 = 0.02;
const MOMENTUM: f64 = 0.5;
const CLIP: f64 = 0.3;

impl Game {
    fn new() -> Self {
        let number = |i: usize| ((i * 37 % 19) as f64 - 9.0) / 8.0;
        let zero = [0.0; WIDTH];
        Self {
            rows: (0..ROWS).map(|r| std::array::from_fn(|c| number(r * WIDTH + c))).collect(),
            w: [1.0, -0.5, 0.25],
            v: [0.5, 0.5, -1.0],
            velocity: zero,
            mean: zero,
            square: zero,
        }
    }

    /// The mean over the rows of a batch of `(u . a) u`.
    fn product(&self, batch: &[usize], a: [f64; WIDTH]) -> [f64; WIDTH] {
        let dot = |u: &[f64; WIDTH]| u.iter().zip(a).map(|(u, a)| u * a).sum::<f64>();
        let part = |c: usize| batch.iter().map(|&r| dot(&self.rows[r]) * self.rows[r][c]).sum::<f64>();
        std::array::from_fn(|c| part(c) / batch.len() as f64)
    }

    fn value(&self, batch: &[usize]) -> f64 {
        let product = self.product(batch, self.v);
        let sum = |of: &dyn Fn(usize) -> f64| (0..WIDTH).map(of).sum::<f64>();
        sum(&|c| self.w[c] * product[c] + 0.5 * self.w[c] * self.w[c] - 0.5 * self.v[c] * self.v[c])
    }

    /// Descent with momentum.
    fn descend(&mut self, batch: &[usize]) {
        let product = self.product(batch, self.v);
        for (c, along) in product.into_iter().enumerate() {
            self.velocity[c] = MOMENTUM * self.velocity[c] + along + self.w[c];
            self.w[c] -= DOWN * self.velocity[c];
        }
    }

    /// Adam on the negated value, with a clipped gradient.
    fn ascend(&mut self, batch: &[usize], step: i32) {
        let product = self.product(batch, self.w);
        let gradient: [f64; WIDTH] = std::array::from_fn(|c| self.v[c] - product[c]);
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let factor = (CLIP / (norm + 1e-6)).min(1.0);
        for (c, g) in gradient.into_iter().enumerate() {
            let g = factor * g;
            self.mean[c] = 0.9 * self.mean[c] + 0.1 * g;
            self.square[c] = 0.999 * self.square[c] + 0.001 * g * g;
            let mean = self.mean[c] / (1.0 - 0.9f64.powi(step));
            let square = self.square[c] / (1.0 - 0.999f64.powi(step));
            self.v[c] -= UP * mean / (square.sqrt() + 1e-8);
        }
    }
}

/// The game's value and its negation, over a batch of four rows.
fn game() -> (Graph, Vec<ValueId>) {
    let workspace = Workspace::new();
    let u = workspace.source(Source::Batch("u".into()), &[4, WIDTH]);
    let (w, v) = (parameter(&workspace, "w", &[WIDTH, 1]), parameter(&workspace, "v", &[WIDTH, 1]));
    let of = |x: &Expression| (x * x).sum(&[0, 1]);
    let value = (u.matmul(&w) * u.matmul(&v)).mean(&[0, 1]) + 0.5 * of(&w) - 0.5 * of(&v);
    workspace.finish(&[&value, &-&value]).unwrap()
}

/// Two models, two optimizers and two losses in turn: 200 rounds match those in `f64`.
pub fn alternating_updates_follow_a_plain_loop(device: &dyn Device) {
    let (graph, values) = game();
    let recipe = Recipe::new()
        .set(Set::new("down", sgd(MOMENTUM), DOWN).parameter("w", &[WIDTH, 1], Init::Constant(0.0)))
        .set(Set::new("up", Optimizer::default(), UP).clip_norm(CLIP).parameter(
            "v",
            &[WIDTH, 1],
            Init::Constant(0.0),
        ))
        .data(Data::new("rows", ROWS).column("u", WIDTH))
        .phase(
            Phase::of("descend", graph.clone())
                .reads("rows", 4)
                .keep("value", values[0])
                .minimise(values[0], "down"),
        )
        .phase(Phase::of("ascend", graph).reads("rows", 4).minimise(values[1], "up"));
    let mut game = Game::new();
    let mut training = Loop::new(device, &recipe).unwrap();
    training.initialise(1).unwrap();
    let single = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    training.write_data("rows", "u", &single(&game.rows.concat())).unwrap();
    training.set_parameter("w", &single(&game.w)).unwrap();
    training.set_parameter("v", &single(&game.v)).unwrap();
    for round in 1..=200 {
        training.run("descend").unwrap();
        training.run("ascend").unwrap();
        // The two phases share the passes over the rows.
        near("value", &training.result("descend", "value").unwrap(), &[game.value(&[0, 1, 2, 3])], 1e-5);
        game.descend(&[0, 1, 2, 3]);
        game.ascend(&[4, 5, 6, 7], round);
        near("w", &training.parameter("w").unwrap(), &game.w, 1e-5);
        near("v", &training.parameter("v").unwrap(), &game.v, 1e-5);
    }
    assert!(game.w[0].abs() < 0.9, "nothing was learned: {:?}", game.w);
}

/// The gradients of `sum(a w) + sum(a b)` for a batch `a` written by the host, in separate phases.
fn host_recipe() -> Recipe {
    let workspace = Workspace::new();
    let a = workspace.source(Source::Batch("a".into()), &[2, WIDTH]);
    let (w, b) = (parameter(&workspace, "w", &[2, WIDTH]), parameter(&workspace, "b", &[WIDTH]));
    let loss = (&a * &w).sum(&[0, 1]) + (&a * &b).sum(&[0, 1]);
    let (graph, values) = workspace.finish(&[&loss]).unwrap();
    let set = Set::new("all", sgd(0.0), 0.5).parameter("w", &[2, WIDTH], Init::Constant(1.0)).parameter(
        "b",
        &[WIDTH],
        Init::Constant(2.0),
    );
    Recipe::new()
        .set(set)
        .phase(Phase::of("gradients", graph.clone()).keep("loss", values[0]).differentiate(values[0], "all"))
        .phase(Phase::of("more", graph).differentiate(values[0], "all").adding(0.25))
        .phase(Phase::clear("clear", "all"))
        .phase(Phase::update("update", "all"))
}

/// Between gradients and update, the host reads and replaces the range of all gradients.
pub fn the_host_replaces_gradients(device: &dyn Device) {
    let mut training = Loop::new(device, &host_recipe()).unwrap();
    training.initialise(1).unwrap();
    let a = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    training.write_batch("gradients", "a", &a).unwrap();
    training.run("gradients").unwrap();
    assert_eq!(training.result("gradients", "loss").unwrap(), [21.0 + 42.0]);
    let gradients = training.gradients("all").unwrap();
    assert_eq!(gradients[..6], a, "the gradient of w is the batch");
    assert_eq!(gradients[64..67], [5.0, 7.0, 9.0], "that of b its sum over the rows");
    assert_eq!(training.parameter("w").unwrap(), [1.0; 6], "nothing is updated yet");
    let negated: Vec<f32> = gradients.iter().map(|g| -2.0 * g).collect();
    training.set_gradients("all", &negated).unwrap();
    training.run("update").unwrap();
    assert_eq!(training.parameter("w").unwrap(), a.map(|a| 1.0 + a));
    assert_eq!(training.parameter("b").unwrap(), [7.0, 9.0, 11.0]);
    assert!(training.set_gradients("all", &[1.0]).is_err());
}

/// Gradients accumulate, starting from 0.
pub fn gradients_add_up(device: &dyn Device) {
    let mut training = Loop::new(device, &host_recipe()).unwrap();
    training.initialise(1).unwrap();
    training.run("clear").unwrap();
    for part in 1..=3 {
        training.write_batch("more", "a", &[part as f32; 6]).unwrap();
        training.run("more").unwrap();
    }
    let gradients = training.gradients("all").unwrap();
    assert_eq!(gradients[..6], [1.5; 6]);
    assert_eq!(gradients[64..67], [3.0; 3]);
    training.run("clear").unwrap();
    assert!(training.gradients("all").unwrap().iter().all(|&g| g == 0.0));
}

/// Every run draws different random numbers, reproducible with the same seed; shuffling yields every row once
/// per pass.
pub fn runs_draw_anew(device: &dyn Device) {
    let workspace = Workspace::new();
    let u = workspace.source(Source::Batch("u".into()), &[2, 1]);
    let noise = workspace.append(|g| g.random(RandomKind::Normal, 7, &[4]));
    let (rows, noise) = (u.reshape(&[2]) * 1.0, noise * 1.0);
    let (graph, values) = workspace.finish(&[&rows, &noise]).unwrap();
    let recipe = Recipe::new()
        .data(Data::new("rows", 6).column("u", 1).shuffled())
        .phase(Phase::of("draw", graph).reads("rows", 2).keep("rows", values[0]).keep("noise", values[1]));
    let draws = || {
        let mut training = Loop::new(device, &recipe).unwrap();
        training.initialise(5).unwrap();
        training.write_data("rows", "u", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let (mut rows, mut noise) = (vec![], vec![]);
        for _ in 0..6 {
            training.run("draw").unwrap();
            rows.push(training.result("draw", "rows").unwrap());
            noise.push(training.result("draw", "noise").unwrap());
        }
        (rows.concat(), noise)
    };
    let (rows, noise) = draws();
    for pass in rows.chunks(6) {
        let mut sorted = pass.to_vec();
        sorted.sort_by(f32::total_cmp);
        assert_eq!(sorted, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }
    assert_ne!(rows[..6], rows[6..]);
    assert!(noise.iter().enumerate().all(|(at, draw)| !noise[..at].contains(draw)), "{noise:?}");
    assert_eq!(draws(), (rows, noise));
}

/// Invalid recipes are rejected with a message, never with a panic.
#[allow(dead_code, reason = "independent of the device")]
pub fn wrong_recipes_are_refused(device: &dyn Device) {
    let (graph, values) = game();
    let set = |name: &str, parameter: &str, width: usize| {
        Set::new(name, sgd(0.0), 0.1).parameter(parameter, &[width, 1], Init::Constant(0.0))
    };
    let both = || Recipe::new().set(set("down", "w", WIDTH)).set(set("up", "v", WIDTH));
    let phase = || Phase::of("p", graph.clone());
    let kept = || phase().keep("value", values[0]);
    let rows = || Data::new("rows", ROWS).column("u", WIDTH);
    let refused = |recipe: Recipe, says: &str| {
        let error = Loop::new(device, &recipe).err().expect(says).to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(both().phase(phase().minimise(values[0], "sideways")), "no set of parameters `sideways`");
    refused(both().phase(phase().reads("row", 4)), "no data set `row`");
    refused(both().data(rows()).phase(kept().reads("rows", 9)), "reads batches of 9 rows; `rows` has 8");
    refused(both().data(rows()).phase(kept().reads("rows", 2)), "`u of a batch` has 6 elements");
    refused(both().phase(phase().keep("x", ValueId(999))), "no value of the graph for `x`");
    refused(both().phase(phase().minimise(ValueId(999), "down")), "no value 999");
    refused(both().phase(phase()).phase(phase()), "two phases are called `p`");
    refused(both().set(set("third", "w", WIDTH)).phase(phase()), "two parameters are called `w`");
    let wide = Recipe::new().set(set("down", "w", WIDTH + 1)).set(set("up", "v", WIDTH));
    refused(wide.phase(phase().keep("value", values[0])), "parameter `w` has 4 elements");
    refused(
        both().set(set("third", "z", 1)).phase(phase().minimise(values[0], "third")),
        "does not read the parameter `z`",
    );
    refused(both().phase(phase().renew("s", values[0])), "no state `s`");
    refused(both().phase(Phase::clear("c", "all")), "no set of parameters `all`");
    let empty = Recipe::new().set(Set::new("none", sgd(0.0), 0.1));
    refused(empty.phase(Phase::update("u", "none")), "has no optimizer or no parameters");
    let mut training = Loop::new(device, &both().phase(phase().keep("value", values[0]))).unwrap();
    let unknown = |error: Result<(), gridlight::train::TrainError>, says: &str| {
        let error = error.expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    };
    unknown(training.run("q"), "no phase `q`");
    unknown(training.write_batch("p", "u", &[0.0; 5]), "`u` has 12 numbers, 5 are given");
    unknown(training.write_data("rows", "u", &[]), "no data set `rows`");
    unknown(training.result("p", "loss").map(|_| ()), "no result `loss`");
    unknown(training.gradients("s").map(|_| ()), "no set of parameters `s`");
}
