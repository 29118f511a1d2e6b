//! Asks the samplers for settings of functions of one's own and tells them what came of each:
//! `cargo run --release --example search [TRIALS] [SEEDS]`. Prints the mean over seeds of the least value found.

use gridlight::search::sampler::{Sampler, Seen, propose};
use gridlight::search::{Condition, Domain, Parameter, Setting};

fn number(low: f64, high: f64, log: bool, step: Option<f64>) -> Parameter {
    Parameter { domain: Domain::Number { low, high, log, step }, when: vec![] }
}

fn choice(count: usize) -> Parameter {
    Parameter { domain: Domain::Choice { count }, when: vec![] }
}

/// The least value that a search finds.
fn least(sampler: Sampler, space: &[Parameter], seed: u64, trials: usize, f: &dyn Fn(&[f64]) -> f64) -> f64 {
    let mut found: Vec<(Setting, f64)> = vec![];
    for trial in 0..trials {
        let seen: Vec<Seen> =
            found.iter().map(|(s, loss)| Seen { setting: s, level: 0, loss: *loss }).collect();
        let Some(setting) = propose(sampler, space, seed, trial, &seen) else { break };
        // Where a parameter does not exist, functions do not read it.
        let values: Vec<f64> = setting.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        found.push((setting, f(&values)));
    }
    found.iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min)
}

/// Branin's function, whose least value is 0.397887.
fn branin(v: &[f64]) -> f64 {
    let (x, y, pi) = (v[0], v[1], std::f64::consts::PI);
    (y - 5.1 / (4.0 * pi * pi) * x * x + 5.0 / pi * x - 6.0).powi(2)
        + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * x.cos()
        + 10.0
}

/// Something like the loss of a network: learning rate, width, dropout, optimizer, momentum.
fn network(v: &[f64]) -> f64 {
    let best = if v[3] == 0.0 { -3.0 } else { -1.5 - 5.0 * (v[4] - 0.9).max(0.0) };
    let momentum = if v[3] == 0.0 { 0.1 } else { 2.0 * (v[4] - 0.9).powi(2) };
    0.3 * (v[0].log10() - best).powi(2)
        + 0.05 * (v[1].log2() - 7.0).powi(2)
        + (v[2] - 0.15).powi(2)
        + momentum
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (trials, seeds) = (arguments.next().unwrap_or(60) as usize, arguments.next().unwrap_or(100));
    let sphere = vec![number(-5.0, 5.0, false, None); 5];
    let momentum =
        Parameter { when: vec![Condition { parent: 3, allowed: vec![1] }], ..number(0.5, 0.99, false, None) };
    let layers = [
        number(1e-5, 1.0, true, None),
        number(8.0, 1024.0, true, Some(1.0)),
        number(0.0, 0.5, false, Some(0.05)),
        choice(2),
        momentum,
    ];
    let trap = [choice(10), number(0.0, 1.0, false, None)];
    type Function<'a> = (&'a str, &'a [Parameter], &'a dyn Fn(&[f64]) -> f64);
    let functions: [Function; 4] = [
        ("sphere", &sphere, &|v| v.iter().map(|x| (x - 1.0).powi(2)).sum()),
        ("branin", &[number(-5.0, 10.0, false, None), number(0.0, 15.0, false, None)], &branin),
        ("network", &layers, &network),
        ("trap", &trap, &|v| {
            let depth = (v[1] - 0.3).abs();
            if v[0] == 7.0 { depth } else { 0.5 + 0.1 * depth }
        }),
    ];
    for (name, space, f) in functions {
        for sampler in [Sampler::Tpe, Sampler::Random] {
            let all: Vec<f64> = (0..seeds).map(|seed| least(sampler, space, seed, trials, f)).collect();
            let mean = all.iter().sum::<f64>() / seeds as f64;
            let square = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (seeds - 1).max(1) as f64;
            println!("{name} {sampler:?} {mean:.5} ± {:.5}", (square / seeds as f64).sqrt());
        }
    }
}
