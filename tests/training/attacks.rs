//! Attacks on models whose answer is known, and certificates.

use std::fmt::Write;

use gridlight::device::cpu::CpuDevice;
use gridlight::explain::attack::{Attack, Attacker, Norm, Room};
use gridlight::explain::network::{Given, Wanted};
use gridlight::explain::response::Response;
use gridlight::explain::smoothing::certify;
use gridlight::explain::{Network, Points, Space};

use crate::explain::{Case, table};

#[test]
fn attacks_on_a_linear_model_are_known_and_stay_within_their_bounds() {
    let case = Case::new(&table(120), "[model]\nhidden = []\n[train]\nloss = \"mae\"\n");
    let (model, weights, fitted, train) = case.untrained();
    let (device, space) = (CpuDevice::new(Some(2)), Space::of(&fitted, &train, &weights).unwrap());
    let network = Network { model: &*model, weights: &weights, device: &device, space: &space };
    let response = Response { target: &fitted.target, quantiles: &[] };
    let points = Points::of(&space, &train, &(0..60).collect::<Vec<_>>());
    let width = space.width();
    // The two numbers may move.
    let mut room = Room { scale: vec![0.0; width], range: vec![[-100.0, 100.0]; width] };
    (room.scale[0], room.scale[1]) = (1.0, 0.5);
    let mut attacker = Attacker::new(&network, &points, &room, &response, None, 1).unwrap();
    let mut probe = network.probe(Wanted::Outputs, points.count).unwrap();
    let clean = probe.run(&points.x, Given { y: &points.y, ..Given::default() }).unwrap().swap_remove(1);
    let slopes = [f64::from(weights[0].2[0]), 0.5 * f64::from(weights[0].2[1])];
    let growth = |norm, radius: f64| match norm {
        Norm::Infinity => radius * (slopes[0].abs() + slopes[1].abs()),
        Norm::Two => radius * (slopes[0].powi(2) + slopes[1].powi(2)).sqrt(),
    };
    for norm in [Norm::Infinity, Norm::Two] {
        for attack in [Attack::Noise, Attack::Fgsm, Attack::Pgd { steps: 10, restarts: 3 }] {
            let found = attacker.run(attack, norm, 0.3).unwrap();
            for (row, clean) in clean.iter().enumerate() {
                let grown = f64::from(found.losses[row] - clean);
                match attack {
                    Attack::Noise => assert!(grown < growth(norm, 0.3) + 1e-5),
                    _ => assert!((grown - growth(norm, 0.3)).abs() < 1e-5, "{attack:?} {norm:?}: {grown}"),
                }
                let at = row * width..(row + 1) * width;
                let change = |i: usize| f64::from(found.x[at.start + i] - points.x[at.start + i]);
                let changes = [change(0), change(1) / 0.5];
                let size = match norm {
                    Norm::Infinity => changes[0].abs().max(changes[1].abs()),
                    Norm::Two => changes[0].hypot(changes[1]),
                };
                assert!(size < 0.3 + 1e-5, "{attack:?} {norm:?}: {size}");
                assert_eq!(found.x[at.clone()][2..], points.x[at][2..], "what stays");
            }
        }
    }
    room.range = vec![[-0.5, 0.5]; width];
    let mut bounded = Attacker::new(&network, &points, &room, &response, None, 1).unwrap();
    let found = bounded.run(Attack::Pgd { steps: 4, restarts: 2 }, Norm::Infinity, 5.0).unwrap();
    for (x, clean) in found.x.chunks(width).zip(points.x.chunks(width)) {
        let inside = |i: usize| x[i] >= clean[i].min(-0.5) && x[i] <= clean[i].max(0.5);
        assert!(inside(0) && inside(1));
    }
}

/// Of a linear model, the distance to where the class changes is known: no certificate is larger, and few are much
/// smaller.
#[test]
fn certificates_of_a_linear_model_are_below_its_margin() {
    let mut text = "a,b,y\n".to_string();
    for i in 0..200 {
        let (a, b) = ((i as f64 * 0.7).sin(), (i as f64 * 1.3).cos());
        writeln!(text, "{a},{b},{}", if a + 0.5 * b > 0.1 { "up" } else { "down" }).unwrap();
    }
    let case = Case::new(&text, "[model]\nhidden = []\n[train]\nloss = \"cross_entropy\"\n");
    let (model, weights, fitted, train) = case.untrained();
    let (device, space) = (CpuDevice::new(Some(2)), Space::of(&fitted, &train, &weights).unwrap());
    let network = Network { model: &*model, weights: &weights, device: &device, space: &space };
    let points = Points::of(&space, &train, &(0..60).collect::<Vec<_>>());
    let room = Room { scale: vec![1.0, 0.5], range: vec![[-100.0, 100.0]; 2] };
    let mut probe = network.probe(Wanted::Outputs, points.count).unwrap();
    let raw = probe.run(&points.x, Given { y: &points.y, ..Given::default() }).unwrap().swap_remove(0);
    let of = |class: usize, at: usize| f64::from(weights[0].2[class * 2 + at]);
    let slope = [0, 1].map(|at| (of(1, at) - of(0, at)) * f64::from(room.scale[at]));
    let deviation = 0.5;
    let (mut close, mut wrong) = (0, 0);
    for seed in 1..6 {
        let found = certify(&mut probe, &points, &room, None, (deviation, 1000), seed).unwrap();
        for (raw, certificate) in raw.chunks(2).zip(found) {
            let margin = f64::from(raw[1] - raw[0]);
            let distance = margin.abs() / slope[0].hypot(slope[1]);
            let Some((class, radius)) = certificate else {
                assert!(distance < 0.2 * deviation, "uncertain at a distance of {distance}");
                continue;
            };
            assert_eq!(class, usize::from(margin > 0.0));
            assert!(radius < 1.05 * distance, "{radius} of {distance}");
            wrong += usize::from(radius > distance);
            close += usize::from(radius > 0.75 * distance.min(2.0 * deviation));
        }
    }
    // Each is wrong with a probability of at most 0.001: of 300, more than two are not by chance.
    assert!(wrong <= 2, "{wrong}");
    assert!(close >= 225, "{close}");
}
