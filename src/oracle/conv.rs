//! Convolution and the gradient of its weights: one loop for each index.

use std::ops::Range;

use super::Real;
use super::window::Axis;

/// Sizes of a convolution of images `x` `[N, H, W, G C]` with weights `w` `[kH, kW, C, G O]`.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// `N`
    pub images: usize,
    /// Up and down, then left and right.
    pub axes: [Axis; 2],
    /// `G`
    pub groups: usize,
    /// Input channels of a group, `C`.
    pub channels: usize,
    /// Output channels of a group, `O`.
    pub outputs: usize,
}

impl Conv {
    /// Element of `x` for image `n`, line `y`, column `x` and channel `c` of group `g`.
    fn pixel(&self, n: usize, y: usize, x: usize, g: usize, c: usize) -> usize {
        let [down, along] = &self.axes;
        ((n * down.extent + y) * along.extent + x) * self.groups * self.channels + g * self.channels + c
    }

    /// `y[g, n, p, q, o] = sum_{s, t, c} x[n, line(p, s), line(q, t), g C + c] w[s, t, c, g O + o]`,
    /// `[G, N, P, Q, O]`, over those `(s, t, c)` whose number in row-major order is in `window`: all for the
    /// convolution, some for a part of its sums.
    pub fn forward<T: Real>(&self, x: &[f64], w: &[f64], window: Range<usize>) -> Vec<T> {
        let ([down, along], outputs) = (&self.axes, self.groups * self.outputs);
        let (mut result, mut terms) = (vec![], vec![]);
        for g in 0..self.groups {
            for n in 0..self.images {
                for p in 0..down.positions {
                    for q in 0..along.positions {
                        for o in 0..self.outputs {
                            for s in 0..down.taps {
                                let Some(line) = down.line(p, s) else { continue };
                                for t in 0..along.taps {
                                    let Some(column) = along.line(q, t) else { continue };
                                    for c in 0..self.channels {
                                        let tap = (s * along.taps + t) * self.channels + c;
                                        if window.contains(&tap) {
                                            let x = x[self.pixel(n, line, column, g, c)];
                                            let w = w[tap * outputs + g * self.outputs + o];
                                            terms.push(T::exact(x) * T::exact(w));
                                        }
                                    }
                                }
                            }
                            result.push(T::sum(terms.drain(..)));
                        }
                    }
                }
            }
        }
        result
    }

    /// `dw[g, s, t, c, o] = sum_{n, p, q} x[n, line(p, s), line(q, t), g C + c] dy[n, p, q, g O + o]`,
    /// `[G, kH, kW, C, O]`, over those `(n, p, q)` whose number in row-major order is in `positions`.
    pub fn weight_gradient<T: Real>(&self, x: &[f64], dy: &[f64], positions: Range<usize>) -> Vec<T> {
        let ([down, along], outputs) = (&self.axes, self.groups * self.outputs);
        let (mut result, mut terms) = (vec![], vec![]);
        for g in 0..self.groups {
            for s in 0..down.taps {
                for t in 0..along.taps {
                    for c in 0..self.channels {
                        for o in 0..self.outputs {
                            for n in 0..self.images {
                                for p in 0..down.positions {
                                    let Some(line) = down.line(p, s) else { continue };
                                    for q in 0..along.positions {
                                        let Some(column) = along.line(q, t) else { continue };
                                        let position = (n * down.positions + p) * along.positions + q;
                                        if positions.contains(&position) {
                                            let x = x[self.pixel(n, line, column, g, c)];
                                            let dy = dy[position * outputs + g * self.outputs + o];
                                            terms.push(T::exact(x) * T::exact(dy));
                                        }
                                    }
                                }
                            }
                            result.push(T::sum(terms.drain(..)));
                        }
                    }
                }
            }
        }
        result
    }
}
