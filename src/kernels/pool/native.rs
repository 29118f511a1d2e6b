//! Pooling on the CPU: one line of the result at a time, with channels in vectors.
#![allow(unsafe_code, reason = "lines are written in parts")]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::{Collect, Divisor, Pool, PoolAxis, PoolGrad, Pooling};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool as Threads;
use crate::scalar::exact;
use crate::scalar::native::vectors::vectorised;

/// Channels held in registers at once.
const LANES: usize = 16;

/// A kernel of this family; in exact mode if `exact`.
pub struct NativePool<K> {
    kernel: K,
    exact: bool,
}

impl<K> NativePool<K> {
    /// Prepares `kernel`.
    pub fn new(kernel: K, exact: bool) -> Self {
        Self { kernel, exact }
    }
}

/// The arithmetic of a mode.
trait Arithmetic {
    fn add(a: f32, b: f32) -> f32;
    fn mul(a: f32, b: f32) -> f32;
    fn div(a: f32, b: f32) -> f32;
}

struct Fast;
struct Exact;

impl Arithmetic for Fast {
    #[inline(always)]
    fn add(a: f32, b: f32) -> f32 {
        a + b
    }

    #[inline(always)]
    fn mul(a: f32, b: f32) -> f32 {
        a * b
    }

    #[inline(always)]
    fn div(a: f32, b: f32) -> f32 {
        a / b
    }
}

impl Arithmetic for Exact {
    #[inline(always)]
    fn add(a: f32, b: f32) -> f32 {
        exact::add(a, b)
    }

    #[inline(always)]
    fn mul(a: f32, b: f32) -> f32 {
        exact::mul(a, b)
    }

    #[inline(always)]
    fn div(a: f32, b: f32) -> f32 {
        exact::div(a, b)
    }
}

/// The reciprocal of the divisor of the window at (`p`, `q`).
#[inline(always)]
fn share<A: Arithmetic>(axes: &[PoolAxis; 2], divisor: Divisor, p: usize, q: usize) -> f32 {
    let count = match divisor {
        Divisor::Fixed(count) => count as usize,
        other => axes[0].counted(p, other) * axes[1].counted(q, other),
    };
    A::div(1.0, count as f32)
}

impl NativeRun for NativePool<Pool> {
    fn run(&self, operands: &Operands, _step: &StepRecord, threads: &Threads) {
        let kernel = &self.kernel;
        let lines = kernel.images * kernel.axes[0].positions;
        let work = kernel.results() * kernel.axes[0].taps * kernel.axes[1].taps + kernel.results();
        let parts = parts_for(work / 8, lines);
        threads.run(parts, |part| {
            let lines = part_range(lines, parts, part);
            vectorised(Lines { kernel, operands, lines, exact: self.exact });
        });
    }
}

/// Lines (of all images) of the result.
struct Lines<'a> {
    kernel: &'a Pool,
    operands: &'a Operands,
    lines: Range<usize>,
    exact: bool,
}

impl WithSimd for Lines<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for line in self.lines.clone() {
            match self.kernel.pooling {
                Pooling::Max { values, taps } => self.max(line, values, taps),
                Pooling::Pick => self.pick(line),
                Pooling::Average(divisor) if self.exact => self.average::<Exact>(line, divisor),
                Pooling::Average(divisor) => self.average::<Fast>(line, divisor),
            }
        }
    }
}

impl Lines<'_> {
    /// Calls `f(tap, first element)` for every tap of window (`p`, `q`) of image `n` that is in the image.
    #[inline(always)]
    fn each_tap(&self, n: usize, p: usize, q: usize, mut f: impl FnMut(usize, usize)) {
        let [y, x] = &self.kernel.axes;
        let along = x.inside(q);
        for s in y.inside(p) {
            let start = (n * y.extent + p * y.stride + s * y.dilation - y.before) * x.extent;
            for t in along.clone() {
                let line = q * x.stride + t * x.dilation - x.before;
                f(s * x.taps + t, (start + line) * self.kernel.channels);
            }
        }
    }

    /// The line's part of output `output`.
    #[expect(clippy::mut_from_ref, reason = "disjoint lines are written from several threads")]
    fn out(&self, output: usize, line: usize) -> &mut [f32] {
        let width = self.kernel.axes[1].positions * self.kernel.channels;
        // SAFETY: each line is computed by exactly one part, which requests it once.
        unsafe { self.operands.write(output, line * width, width) }
    }

    #[inline(always)]
    fn max(&self, line: usize, values: Option<usize>, taps: Option<usize>) {
        let Pool { axes: [y, x], channels, .. } = *self.kernel;
        let (n, p) = (line / y.positions, line % y.positions);
        let image = self.operands.read(0);
        let mut values = values.map(|output| self.out(output, line));
        let mut taps: Option<&mut [u32]> =
            taps.map(|output| bytemuck::cast_slice_mut(self.out(output, line)));
        for q in 0..x.positions {
            let at = q * channels;
            let mut first = 0;
            while first < channels {
                let store = |best: &[f32], chosen: &[u32]| {
                    let range = at + first..at + first + best.len();
                    if let Some(values) = &mut values {
                        values[range.clone()].copy_from_slice(best);
                    }
                    if let Some(taps) = &mut taps {
                        taps[range].copy_from_slice(chosen);
                    }
                };
                first += match channels - first {
                    LANES.. => self.largest::<LANES>(image, [n, p, q, first], store),
                    4.. => self.largest::<4>(image, [n, p, q, first], store),
                    _ => self.largest::<1>(image, [n, p, q, first], store),
                };
            }
        }
    }

    /// Computes the largest elements of `L` channels from `first`, and their taps; returns `L`.
    #[inline(always)]
    fn largest<const L: usize>(
        &self,
        image: &[f32],
        [n, p, q, first]: [usize; 4],
        store: impl FnOnce(&[f32], &[u32]),
    ) -> usize {
        let (mut best, mut chosen, mut found) = ([0.0f32; L], [0u32; L], false);
        self.each_tap(n, p, q, |tap, start| {
            let mut elements = [0.0; L];
            elements.copy_from_slice(&image[start + first..start + first + L]);
            if !std::mem::replace(&mut found, true) {
                (best, chosen) = (elements, [tap as u32; L]);
                return;
            }
            for c in 0..L {
                let better = (elements[c] > best[c]) | elements[c].is_nan();
                best[c] = if better { elements[c] } else { best[c] };
                chosen[c] = if better { tap as u32 } else { chosen[c] };
            }
        });
        store(&best, &chosen);
        L
    }

    #[inline(always)]
    fn pick(&self, line: usize) {
        let Pool { axes: [y, x], channels, .. } = *self.kernel;
        let (n, p) = (line / y.positions, line % y.positions);
        let image = self.operands.read(0);
        let taps = &self.operands.read_words(1)[line * x.positions * channels..];
        let out = self.out(0, line);
        out.fill(0.0);
        for q in 0..x.positions {
            let window = q * channels..(q + 1) * channels;
            let (out, taps) = (&mut out[window.clone()], &taps[window]);
            self.each_tap(n, p, q, |tap, start| {
                for ((out, chosen), x) in out.iter_mut().zip(taps).zip(&image[start..start + channels]) {
                    *out = if *chosen == tap as u32 { *x } else { *out };
                }
            });
        }
    }

    #[inline(always)]
    fn average<A: Arithmetic>(&self, line: usize, divisor: Divisor) {
        let Pool { axes: [y, x], channels, .. } = *self.kernel;
        let (n, p) = (line / y.positions, line % y.positions);
        let image = self.operands.read(0);
        let out = self.out(0, line);
        out.fill(0.0);
        for q in 0..x.positions {
            let out = &mut out[q * channels..(q + 1) * channels];
            self.each_tap(n, p, q, |_, start| {
                for (sum, x) in out.iter_mut().zip(&image[start..start + channels]) {
                    *sum = A::add(*sum, *x);
                }
            });
            let share = share::<A>(&self.kernel.axes, divisor, p, q);
            for sum in out {
                *sum = A::mul(*sum, share);
            }
        }
    }
}

impl NativeRun for NativePool<PoolGrad> {
    fn run(&self, operands: &Operands, _step: &StepRecord, threads: &Threads) {
        let kernel = &self.kernel;
        let lines = kernel.images * kernel.axes[0].extent;
        let work = kernel.results() * kernel.axes[0].taps * kernel.axes[1].taps + kernel.pixels();
        let parts = parts_for(work / 8, lines);
        threads.run(parts, |part| {
            for line in part_range(lines, parts, part) {
                vectorised(GradLine { kernel, operands, line, exact: self.exact });
            }
        });
    }
}

/// A line (of all images) of the gradient.
struct GradLine<'a> {
    kernel: &'a PoolGrad,
    operands: &'a Operands,
    line: usize,
    exact: bool,
}

impl WithSimd for GradLine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.exact {
            true => self.collect::<Exact>(),
            false => self.collect::<Fast>(),
        }
    }
}

impl GradLine<'_> {
    #[inline(always)]
    fn collect<A: Arithmetic>(&self) {
        let PoolGrad { axes: [y, x], channels, .. } = *self.kernel;
        let (n, line) = (self.line / y.extent, self.line % y.extent + y.before);
        let width = x.extent * channels;
        // SAFETY: each line is computed by exactly one part.
        let out = unsafe { self.operands.write(0, self.line * width, width) };
        out.fill(0.0);
        let last = line / y.stride;
        for p in (last + 1).saturating_sub(y.overlap())..(last + 1).min(y.positions) {
            let distance = line - p * y.stride;
            if !distance.is_multiple_of(y.dilation) || distance / y.dilation >= y.taps {
                continue;
            }
            let first = (n * y.positions + p) * x.positions * channels;
            self.add_windows::<A>(out, p, distance / y.dilation, first);
        }
    }

    /// Adds the contribution of tap line `s` of the windows at position `p`, from element `first` on.
    #[inline(always)]
    fn add_windows<A: Arithmetic>(&self, out: &mut [f32], p: usize, s: usize, first: usize) {
        let PoolGrad { axes, channels, collect, .. } = self.kernel;
        let (x, channels) = (&axes[1], *channels);
        for q in 0..x.positions {
            let window = first + q * channels..first + (q + 1) * channels;
            let share = match collect {
                Collect::Chosen => 1.0,
                Collect::Average(divisor) => share::<A>(axes, *divisor, p, q),
            };
            for t in x.inside(q) {
                let at = (q * x.stride + t * x.dilation - x.before) * channels;
                let out = &mut out[at..at + channels];
                match collect {
                    Collect::Chosen => {
                        let taps = &self.operands.read_words(0)[window.clone()];
                        let dy = &self.operands.read(1)[window.clone()];
                        let tap = (s * x.taps + t) as u32;
                        for ((sum, chosen), dy) in out.iter_mut().zip(taps).zip(dy) {
                            *sum = A::add(*sum, if *chosen == tap { *dy } else { 0.0 });
                        }
                    }
                    Collect::Average(_) => {
                        for (sum, dy) in out.iter_mut().zip(&self.operands.read(0)[window.clone()]) {
                            *sum = A::add(*sum, A::mul(*dy, share));
                        }
                    }
                }
            }
        }
    }
}
