//! Pooling of images and its gradients, window by window.

use std::ops::Range;

use super::Real;
use super::window::Axis;

/// What the sum over a window is divided by for an average.
#[derive(Clone, Debug)]
pub enum Divisor {
    /// The number of taps at these coordinates of each axis.
    Taps([Range<isize>; 2]),
    /// This number.
    Fixed(f64),
}

/// Sizes of pooling from images `[N, H, W, C]` to `[N, P, Q, C]`.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// `N`
    pub images: usize,
    /// Up and down, then left and right.
    pub axes: [Axis; 2],
    /// `C`
    pub channels: usize,
}

/// A tap of a window that lies in the image.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    /// Element of the images.
    pub element: usize,
    /// Number of the tap in the window, row-major.
    pub tap: usize,
}

/// A window: where it is, and what it contains, in row-major order.
struct Window {
    p: usize,
    q: usize,
    taps: Vec<Tap>,
}

impl Pool {
    /// All windows, in the order of the result `[N, P, Q, C]`.
    fn windows(&self) -> Vec<Window> {
        let [down, along] = &self.axes;
        let mut windows = vec![];
        for n in 0..self.images {
            for p in 0..down.positions {
                for q in 0..along.positions {
                    for c in 0..self.channels {
                        let mut taps = vec![];
                        for s in 0..down.taps {
                            let Some(y) = down.line(p, s) else { continue };
                            for t in 0..along.taps {
                                let Some(x) = along.line(q, t) else { continue };
                                let element = ((n * down.extent + y) * along.extent + x) * self.channels + c;
                                taps.push(Tap { element, tap: s * along.taps + t });
                            }
                        }
                        windows.push(Window { p, q, taps });
                    }
                }
            }
        }
        windows
    }

    fn divisor(&self, window: &Window, divisor: &Divisor) -> f64 {
        let count = |d: usize, position: usize, counts: &Range<isize>| {
            let axis = &self.axes[d];
            (0..axis.taps).filter(|&t| counts.contains(&axis.coordinate(position, t))).count() as f64
        };
        match divisor {
            Divisor::Taps([lines, columns]) => count(0, window.p, lines) * count(1, window.q, columns),
            Divisor::Fixed(number) => *number,
        }
    }

    /// The tap with the largest element of each window: the first of equal ones, the last NaN if there is
    /// any, as PyTorch's; nothing for a window that lies outside the image.
    pub fn largest(&self, x: &[f64]) -> Vec<Option<Tap>> {
        let larger = |a: Tap, b: Tap| {
            if x[b.element] > x[a.element] || x[b.element].is_nan() { b } else { a }
        };
        self.windows().into_iter().map(|window| window.taps.into_iter().reduce(larger)).collect()
    }

    /// The element that `taps` names in each window; 0 if it has no such tap.
    pub fn pick(&self, x: &[f64], taps: &[f64]) -> Vec<f64> {
        let named = |(window, name): (Window, &f64)| {
            window.taps.iter().find(|tap| tap.tap as f64 == *name).map_or(0.0, |tap| x[tap.element])
        };
        self.windows().into_iter().zip(taps).map(named).collect()
    }

    /// The average of each window.
    pub fn average<T: Real>(&self, x: &[f64], divisor: &Divisor) -> Vec<T> {
        let average = |window: Window| {
            let total = T::sum(window.taps.iter().map(|tap| T::exact(x[tap.element])));
            // Devices multiply by the reciprocal.
            (total / T::exact(self.divisor(&window, divisor))).rounded(4.0)
        };
        self.windows().into_iter().map(average).collect()
    }

    /// Gradient of [`Pool::pick`], and with the largest taps of the maximum: each element's sum of the
    /// gradients `dy` of the windows whose tap it is.
    pub fn pick_gradient<T: Real>(&self, taps: &[f64], dy: &[f64]) -> Vec<T> {
        let mut terms = self.no_terms();
        for ((window, name), &dy) in self.windows().iter().zip(taps).zip(dy) {
            for tap in window.taps.iter().filter(|tap| tap.tap as f64 == *name) {
                terms[tap.element].push(T::exact(dy));
            }
        }
        sums(terms)
    }

    /// Gradient of [`Pool::average`]: each element's share of all windows that contain it.
    pub fn average_gradient<T: Real>(&self, dy: &[f64], divisor: &Divisor) -> Vec<T> {
        let mut terms = self.no_terms();
        for (window, &dy) in self.windows().iter().zip(dy) {
            let share = (T::exact(dy) / T::exact(self.divisor(window, divisor))).rounded(4.0);
            for tap in &window.taps {
                terms[tap.element].push(share);
            }
        }
        sums(terms)
    }

    /// A list for each element of the images.
    fn no_terms<T: Real>(&self) -> Vec<Vec<T>> {
        let [down, along] = &self.axes;
        vec![vec![]; self.images * down.extent * along.extent * self.channels]
    }
}

fn sums<T: Real>(terms: Vec<Vec<T>>) -> Vec<T> {
    terms.into_iter().map(|terms| T::sum(terms.into_iter())).collect()
}
