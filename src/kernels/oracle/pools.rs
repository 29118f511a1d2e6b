//! Pooling: windows one tap after the other.

use super::{Approx, Operands, ROUNDOFF, sum};
use crate::kernels::pool::{Collect, Divisor, Pool, PoolAxis, PoolGrad, Pooling};

/// A window: image, position, channel.
type Window = [usize; 4];

/// Numbers of `[N, P, Q, C]` element `linear`.
fn window(linear: usize, axes: &[PoolAxis; 2], channels: usize) -> Window {
    let (q, p) = (axes[1].positions, axes[0].positions);
    [linear / channels / q / p, linear / channels / q % p, linear / channels % q, linear % channels]
}

/// Element of the image and tap, for every tap of the window that the image has.
fn taps(axes: &[PoolAxis; 2], channels: usize, [n, p, q, c]: Window) -> Vec<(usize, usize)> {
    let [y, x] = axes;
    let mut found = vec![];
    for s in 0..y.taps {
        for t in 0..x.taps {
            if let (Some(line), Some(column)) = (y.line(p, s), x.line(q, t)) {
                let element = ((n * y.extent + line) * x.extent + column) * channels + c;
                found.push((element, s * x.taps + t));
            }
        }
    }
    found
}

/// What an average over the window is divided by.
fn count(axes: &[PoolAxis; 2], divisor: Divisor, [_, p, q, _]: Window) -> f64 {
    let along = |axis: &PoolAxis, position: usize| {
        let lines = (0..axis.taps).map(|t| position * axis.stride + t * axis.dilation);
        let (low, high) = match divisor {
            Divisor::Inside => (axis.before, axis.before + axis.extent),
            _ => (0, axis.before + axis.extent + axis.after),
        };
        lines.filter(|line| (low..high).contains(line)).count() as f64
    };
    match divisor {
        Divisor::Fixed(count) => f64::from(count),
        _ => along(&axes[0], p) * along(&axes[1], q),
    }
}

pub(super) fn pool(kernel: &Pool, operands: &Operands, writes: &mut [Vec<Approx>]) {
    let image = &operands.reads[0];
    for linear in 0..kernel.results() {
        let window = window(linear, &kernel.axes, kernel.channels);
        let taps_of_window = taps(&kernel.axes, kernel.channels, window);
        match kernel.pooling {
            Pooling::Max { values, taps } => {
                let (mut best, mut chosen) = (f64::NEG_INFINITY, taps_of_window[0].1);
                for (element, tap) in taps_of_window {
                    if image[element] > best || image[element].is_nan() {
                        (best, chosen) = (image[element], tap);
                    }
                }
                if let Some(output) = values {
                    writes[output][linear] = Approx::exact(best);
                }
                if let Some(output) = taps {
                    writes[output][linear] = Approx::exact(chosen as f64);
                }
            }
            Pooling::Pick => {
                let named = taps_of_window.iter().find(|(_, tap)| *tap as f64 == operands.reads[1][linear]);
                writes[0][linear] = Approx::exact(named.map_or(0.0, |(element, _)| image[*element]));
            }
            Pooling::Average(divisor) => {
                let total = sum(taps_of_window.iter().map(|(element, _)| Approx::exact(image[*element])));
                let count = count(&kernel.axes, divisor, window);
                let average = Approx { value: total.value / count, error: total.error / count };
                writes[0][linear] = average.rounded(8.0 * ROUNDOFF);
            }
        }
    }
}

pub(super) fn pool_grad(kernel: &PoolGrad, operands: &Operands, writes: &mut [Vec<Approx>]) {
    let mut terms = vec![vec![]; kernel.pixels()];
    for linear in 0..kernel.results() {
        let window = window(linear, &kernel.axes, kernel.channels);
        for (element, tap) in taps(&kernel.axes, kernel.channels, window) {
            match kernel.collect {
                Collect::Chosen if operands.reads[0][linear] == tap as f64 => {
                    terms[element].push(Approx::exact(operands.reads[1][linear]));
                }
                Collect::Chosen => {}
                Collect::Average(divisor) => {
                    let share = operands.reads[0][linear] / count(&kernel.axes, divisor, window);
                    terms[element].push(Approx::exact(share).rounded(8.0 * ROUNDOFF));
                }
            }
        }
    }
    for (out, terms) in writes[0].iter_mut().zip(terms) {
        *out = sum(terms.into_iter());
    }
}
