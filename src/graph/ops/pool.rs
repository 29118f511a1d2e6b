//! Pooling and its gradients. Each of the two operators is the other's gradient, so that gradients can be
//! differentiated again.

use super::{EvalContext, Lowering, Op, OpDef, check_f32, operands};
use crate::base::tensor::{DType, Tensor, TensorType};
use crate::graph::pooling::PoolSpec;
use crate::graph::samples::{Collection, Draw};
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::pool::{Collect, Divisor, PoolAxis, Pooling};
use crate::kernels::{Kernel, pool};
use crate::oracle;
use crate::oracle::window::Axis;
use crate::scalar::UnaryFn;

/// What a window gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// Its largest element; NaN if any is NaN.
    Max,
    /// Which tap that is (`u32`, row-major): the first of equal ones, the last NaN, as PyTorch's.
    MaxTap,
    /// The element that the second operand `u32[N, P, Q, C]` names by its tap; 0 if there is none.
    Pick,
    /// Its average.
    Average(Divisor),
}

/// Windows of `x` `[N, H, W, C]` -> `[N, P, Q, C]`.
///
/// Gradients: of a maximum, each element adds the gradients of the windows that chose it; of an average, its
/// share of all that contain it ([`PoolGrad`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Up and down, then left and right.
    pub axes: [PoolAxis; 2],
    /// What a window gives.
    pub kind: PoolKind,
}

/// What the windows `[N, P, Q, C]` send to the elements `[N, H, W, C]` they contain. For [`Collect::Chosen`]
/// the operands are the taps and the gradients, for an average the gradients alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolGrad {
    /// Up and down, then left and right.
    pub axes: [PoolAxis; 2],
    /// What is sent.
    pub collect: Collect,
}

fn check_axes(axes: &[PoolAxis; 2]) -> Result<(), String> {
    for (axis, name) in axes.iter().zip(["line", "column"]) {
        let numbers = [axis.positions, axis.taps, axis.extent, axis.stride, axis.dilation];
        if numbers.contains(&0) {
            return Err(format!("window, stride and dilation must be at least 1: {axis:?}"));
        }
        if let Some(p) = (0..axis.positions).find(|&p| axis.inside(p).is_empty()) {
            return Err(format!(
                "window {p} contains no {name} of the image, only padding ({} {name}s and {} of padding \
                 before); use less padding",
                axis.extent, axis.before
            ));
        }
    }
    Ok(())
}

impl Pool {
    fn results(&self, x: &[usize]) -> Vec<usize> {
        vec![x[0], self.axes[0].positions, self.axes[1].positions, x[3]]
    }
}

/// The windows of the reference.
fn windows(axes: &[PoolAxis; 2], images: usize, channels: usize) -> oracle::pool::Pool {
    let axis = |d: usize| {
        let PoolAxis { positions, taps, extent, stride, dilation, before, after: _ } = axes[d];
        Axis { positions, taps, extent, stride, step: dilation as isize, origin: -(before as isize), up: 1 }
    };
    oracle::pool::Pool { images, axes: [axis(0), axis(1)], channels }
}

/// What the reference divides by: taps count in the image, or in its padding as well.
fn divisor(axes: &[PoolAxis; 2], divisor: Divisor) -> oracle::pool::Divisor {
    match divisor {
        Divisor::Fixed(number) => oracle::pool::Divisor::Fixed(f64::from(number)),
        Divisor::Inside => oracle::pool::Divisor::Taps([0, 1].map(|d| 0..axes[d].extent as isize)),
        Divisor::Padded => oracle::pool::Divisor::Taps([0, 1].map(|d| {
            let PoolAxis { extent, before, after, .. } = axes[d];
            -(before as isize)..(extent + after) as isize
        })),
    }
}

impl OpDef for Pool {
    fn name(&self) -> &'static str {
        match self.kind {
            PoolKind::Max => "max_pool",
            PoolKind::MaxTap => "max_pool_tap",
            PoolKind::Pick => "max_pool_pick",
            PoolKind::Average(_) => "avg_pool",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let (x, taps) = match self.kind {
            PoolKind::Pick => {
                let [x, taps] = operands(inputs)?;
                (x, Some(taps))
            }
            _ => (operands::<1>(inputs)?[0], None),
        };
        check_f32(&[x])?;
        let [y_axis, x_axis] = &self.axes;
        if x.shape.len() != 4 || x.shape[1..3] != [y_axis.extent, x_axis.extent] {
            return Err(format!("expected images `[N, {}, {}, C]`", y_axis.extent, x_axis.extent));
        }
        check_axes(&self.axes)?;
        let shape = self.results(&x.shape);
        if taps.is_some_and(|t| t.dtype != DType::U32 || t.shape != shape) {
            return Err(format!("expected taps u32{shape:?}"));
        }
        let dtype = if self.kind == PoolKind::MaxTap { DType::U32 } else { DType::F32 };
        Ok(TensorType { shape, dtype })
    }

    fn vjp(
        &self,
        g: &mut Graph,
        inputs: &[ValueId],
        _y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let gradient = |collect| Op::PoolGrad(PoolGrad { axes: self.axes, collect });
        Ok(match self.kind {
            PoolKind::Max => {
                let taps = g.push(Op::Pool(Pool { axes: self.axes, kind: PoolKind::MaxTap }), inputs)?;
                vec![Some(g.push(gradient(Collect::Chosen), &[taps, dy])?)]
            }
            PoolKind::MaxTap => vec![None],
            PoolKind::Pick => vec![Some(g.push(gradient(Collect::Chosen), &[inputs[1], dy])?), None],
            PoolKind::Average(divisor) => vec![Some(g.push(gradient(Collect::Average(divisor)), &[dy])?)],
        })
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let (windows, x) = (windows(&self.axes, ty.shape[0], ty.shape[3]), &inputs[0].data);
        let largest = |of: fn(&[f64], oracle::pool::Tap) -> f64| {
            // `infer` has refused windows outside the image.
            windows.largest(x).into_iter().map(|tap| tap.map_or(f64::NAN, |tap| of(x, tap))).collect()
        };
        let values = match self.kind {
            PoolKind::Max => largest(|x, tap| x[tap.element]),
            PoolKind::MaxTap => largest(|_, tap| tap.tap as f64),
            PoolKind::Pick => windows.pick(x, &inputs[1].data),
            PoolKind::Average(by) => windows.average(x, &divisor(&self.axes, by)),
        };
        Tensor::new(ty.shape.clone(), values)
    }

    fn lower(&self, _inputs: &[&TensorType], ty: &TensorType) -> Lowering {
        let pooling = match self.kind {
            PoolKind::Max | PoolKind::MaxTap => Pooling::Max { values: Some(0), taps: Some(1) },
            PoolKind::Pick => Pooling::Pick,
            PoolKind::Average(divisor) => Pooling::Average(divisor),
        };
        let (images, channels) = (ty.shape[0], ty.shape[3]);
        let kernel = Kernel::new(pool::Pool { images, axes: self.axes, channels, pooling });
        Lowering::Kernel { kernel, output: usize::from(self.kind == PoolKind::MaxTap) }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        let of = PoolSpec::new;
        let cases: [([usize; 4], PoolSpec); 14] = [
            ([1, 1, 1, 1], of([1, 1])),
            ([2, 4, 6, 4], of([2, 2])),
            ([1, 5, 7, 3], of([2, 2])),
            ([2, 7, 6, 4], of([3, 3]).every([2, 2]).padded([1, 1])),
            ([1, 5, 5, 2], of([3, 3]).every([1, 1]).padded([1, 1])),
            ([1, 9, 8, 5], of([2, 3]).every([3, 3])),
            ([2, 9, 9, 1], PoolSpec { dilation: [2, 2], ..of([3, 3]).every([2, 1]) }),
            ([1, 7, 5, 8], PoolSpec { ceil_mode: true, ..of([2, 2]) }),
            ([1, 6, 6, 3], PoolSpec { ceil_mode: true, ..of([3, 3]).every([2, 2]).padded([1, 1]) }),
            ([1, 2, 3, 4], of([5, 5]).every([1, 1]).padded([2, 2])),
            ([1, 1, 11, 3], PoolSpec { padding: [[0, 0], [1, 2]], ..of([1, 4]).every([1, 3]) }),
            ([1, 4, 3, 2], PoolSpec { padding: [[0, 1], [2, 0]], ..of([3, 3]).every([2, 1]) }),
            ([1, 3, 3, 4], of([3, 3])),
            ([1, 9, 9, 4], of([5, 5]).every([2, 2])),
        ];
        for (image, spec) in cases {
            all.add(format!("max_pool {image:?} {spec:?}"), |g| {
                let x = g.draw(&image, Draw::Lattice { shift: 0.0 })?;
                let y = g.graph.max_pool(x, &spec)?;
                // A function of the maxima, so that second derivatives are not all zero; none that cancels
                // far from 0.
                g.graph.unary(UnaryFn::Square, y)
            })?;
            for (count_include_pad, divisor_override) in [(true, None), (false, None), (true, Some(3))] {
                let spec = PoolSpec { count_include_pad, divisor_override, ..spec };
                all.add(format!("avg_pool {image:?} {spec:?}"), |g| {
                    let x = g.normal(&image)?;
                    let y = g.graph.avg_pool(x, &spec)?;
                    g.graph.unary(UnaryFn::Tanh, y)
                })?;
            }
        }
        all.add("max_pool_pick".into(), |g| {
            let axes = of([3, 2]).every([2, 2]).padded([1, 1]).axes([5, 6]);
            let axes = axes.map_err(|why| g.graph.error("max_pool_pick", &[], why))?;
            let x = g.normal(&[2, 5, 6, 3])?;
            let taps = g.draw(&[2, axes[0].positions, axes[1].positions, 3], Draw::Index(6))?;
            g.graph.push(Op::Pool(Pool { axes, kind: PoolKind::Pick }), &[x, taps])
        })
    }
}

impl OpDef for PoolGrad {
    fn name(&self) -> &'static str {
        match self.collect {
            Collect::Chosen => "max_pool_grad",
            Collect::Average(_) => "avg_pool_grad",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let (taps, dy) = match self.collect {
            Collect::Chosen => {
                let [taps, dy] = operands(inputs)?;
                (Some(taps), dy)
            }
            Collect::Average(_) => (None, operands::<1>(inputs)?[0]),
        };
        check_f32(&[dy])?;
        let [y, x] = &self.axes;
        if dy.shape.len() != 4 || dy.shape[1..3] != [y.positions, x.positions] {
            return Err(format!("expected gradients `[N, {}, {}, C]`", y.positions, x.positions));
        }
        if taps.is_some_and(|t| t.dtype != DType::U32 || t.shape != dy.shape) {
            return Err("expected a tap u32 for each gradient".into());
        }
        check_axes(&self.axes)?;
        Ok(TensorType::f32([dy.shape[0], y.extent, x.extent, dy.shape[3]]))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        inputs: &[ValueId],
        _y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let windows = |kind| Op::Pool(Pool { axes: self.axes, kind });
        Ok(match self.collect {
            Collect::Chosen => vec![None, Some(g.push(windows(PoolKind::Pick), &[dy, inputs[0]])?)],
            Collect::Average(divisor) => vec![Some(g.push(windows(PoolKind::Average(divisor)), &[dy])?)],
        })
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let windows = windows(&self.axes, ty.shape[0], ty.shape[3]);
        let gradient = match self.collect {
            Collect::Chosen => windows.pick_gradient(&inputs[0].data, &inputs[1].data),
            Collect::Average(by) => windows.average_gradient(&inputs[0].data, &divisor(&self.axes, by)),
        };
        Tensor::new(ty.shape.clone(), gradient)
    }

    fn lower(&self, _inputs: &[&TensorType], ty: &TensorType) -> Lowering {
        let (images, channels) = (ty.shape[0], ty.shape[3]);
        let kernel = Kernel::new(pool::PoolGrad { images, axes: self.axes, channels, collect: self.collect });
        Lowering::Kernel { kernel, output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        let specs = [PoolSpec::new([2, 2]), PoolSpec::new([3, 2]).every([2, 1]).padded([1, 1])];
        for spec in specs {
            let divisors = [Divisor::Padded, Divisor::Inside, Divisor::Fixed(3)].map(Collect::Average);
            for collect in [Collect::Chosen].into_iter().chain(divisors) {
                all.add(format!("pool_grad {collect:?} {spec:?}"), |g| {
                    let axes = spec.axes([5, 6]).map_err(|why| g.graph.error("pool_grad", &[], why))?;
                    let shape = [2, axes[0].positions, axes[1].positions, 3];
                    let dy = g.normal(&shape)?;
                    let operands = match collect {
                        Collect::Chosen => {
                            vec![g.draw(&shape, Draw::Index(axes[0].taps * axes[1].taps))?, dy]
                        }
                        Collect::Average(_) => vec![dy],
                    };
                    g.graph.push(Op::PoolGrad(PoolGrad { axes, collect }), &operands)
                })?;
            }
        }
        Ok(())
    }
}
