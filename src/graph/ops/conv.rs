//! Convolution and the gradient of its weights. With general positions and signs these two are closed under
//! differentiation: the input gradient of a convolution is a convolution.

use super::{EvalContext, Lowering, OpDef, check_f32, operands};
use crate::base::tensor::{DType, Shape, Tensor, TensorType, elements};
use crate::graph::convolution::ConvSpec;
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::matmul::{WindowAxis, Windows};
use crate::oracle;
use crate::oracle::window::Axis;
use crate::scalar::UnaryFn;

/// One axis of a convolution without its sizes: tap `t` at position `p` looks at coordinate
/// `p * stride + t * step + origin` of an input whose lines are `up` apart; see [`WindowAxis`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvAxis {
    /// Extent of the result.
    pub positions: usize,
    /// Coordinates from one position to the next.
    pub stride: usize,
    /// Coordinates from one tap to the next (the dilation; negative in gradients).
    pub step: isize,
    /// Coordinate of tap 0 at position 0 (the padding before, negative).
    pub origin: isize,
    /// Coordinates from one input line to the next (the stride of a transposed convolution).
    pub up: usize,
}

impl ConvAxis {
    /// The axis of the input gradient, whose result has `positions` lines.
    fn reversed(&self, positions: usize) -> Self {
        Self { positions, stride: self.up, step: -self.step, origin: -self.origin, up: self.stride }
    }

    fn window(&self, taps: usize, extent: usize) -> WindowAxis {
        let Self { positions, stride, step, origin, up } = *self;
        WindowAxis { positions, taps, extent, stride, step, origin, up }
    }
}

/// `y[g, n, p, q, o] = sum_{s, t, c} x[n, line(p, s), line(q, t), g C + c] * w[s, t, c, g O + o]` for `x`
/// `[N, H, W, G C]` and `w` `[kH, kW, C, G O]` (cross-correlation, as PyTorch's `Conv2d`; lines outside are
/// 0).
///
/// The result `[G, N, P, Q, O]` has its groups in front, as the batched product makes them;
/// [`Graph::conv2d`] puts them last.
///
/// Gradients: of `x` the same with every axis reversed and `w` with its channels exchanged; of `w`
/// [`ConvWeight`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Up and down, then left and right.
    pub axes: [ConvAxis; 2],
    /// Groups of channels.
    pub groups: usize,
}

/// Gradient of a convolution's weights, for `x` `[N, H, W, G C]` and the gradient `dy` `[N, P, Q, G O]` of
/// its result: `[G, kH, kW, C, O]`, groups in front as in [`Conv`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvWeight {
    /// The convolution.
    pub conv: Conv,
    /// Taps.
    pub taps: [usize; 2],
}

impl Conv {
    fn windows(&self, x: &[usize], taps: [usize; 2], swapped: bool) -> Windows {
        let channels = x[3] / self.groups;
        let [down, along] = &self.axes;
        Windows {
            images: x[0],
            axes: [down.window(taps[0], x[1]), along.window(taps[1], x[2])],
            channels,
            offset: 0,
            batch: channels,
            strides: [x[1] * x[2] * x[3], x[2] * x[3], x[3], 1],
            swapped,
        }
    }

    /// The convolution of images of shape `x` with weights of `taps` and `outputs` columns, for the
    /// reference.
    fn reference(&self, x: &[usize], taps: [usize; 2], outputs: usize) -> oracle::conv::Conv {
        let axis = |d: usize| {
            let ConvAxis { positions, stride, step, origin, up } = self.axes[d];
            Axis { positions, taps: taps[d], extent: x[1 + d], stride, step, origin, up }
        };
        let (groups, channels, outputs) = (self.groups, x[3] / self.groups, outputs / self.groups);
        oracle::conv::Conv { images: x[0], axes: [axis(0), axis(1)], groups, channels, outputs }
    }

    fn check(&self, x: &TensorType, outputs: usize) -> Result<(), String> {
        let [_, _, _, channels] = x.shape[..] else {
            return Err("expected images `[N, H, W, C]`".into());
        };
        if self.groups == 0 || !channels.is_multiple_of(self.groups) || !outputs.is_multiple_of(self.groups) {
            return Err(format!(
                "{} groups do not divide {channels} input channels and {outputs} output channels",
                self.groups
            ));
        }
        if self.axes.iter().any(|a| a.stride == 0 || a.up == 0 || a.step == 0 || a.positions == 0) {
            return Err(format!("stride, dilation and result must not be 0: {:?}", self.axes));
        }
        Ok(())
    }

    /// Gradient of the input `x` from `w` and the gradient `dy` `[N, P, Q, G O]` of the result.
    fn input_gradient(
        &self,
        g: &mut Graph,
        x: &[usize],
        w: ValueId,
        dy: ValueId,
    ) -> Result<ValueId, GraphError> {
        let shape = g.shape(w).clone();
        let (taps_y, taps_x, channels, outputs) = (shape[0], shape[1], shape[2], shape[3]);
        let per_group = outputs / self.groups;
        let split = g.reshape(w, &[taps_y, taps_x, channels, self.groups, per_group])?;
        let exchanged = g.permute(split, &[0, 1, 4, 3, 2])?;
        let exchanged = g.reshape(exchanged, &[taps_y, taps_x, per_group, self.groups * channels])?;
        let [down, along] = &self.axes;
        let conv = Conv { axes: [down.reversed(x[1]), along.reversed(x[2])], groups: self.groups };
        let dx = g.conv(conv, dy, exchanged)?;
        g.groups_last(dx)
    }
}

impl OpDef for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x, w] = operands(inputs)?;
        check_f32(&[x, w])?;
        let [_, _, channels, outputs] = w.shape[..] else {
            return Err("expected weights `[kH, kW, C, O]`".into());
        };
        self.check(x, outputs)?;
        if x.shape[3] != channels * self.groups {
            return Err(format!(
                "the images have {} channels, the weights are for {} ({} in each of {} groups)",
                x.shape[3],
                channels * self.groups,
                channels,
                self.groups
            ));
        }
        let [down, along] = &self.axes;
        let shape = vec![self.groups, x.shape[0], down.positions, along.positions, outputs / self.groups];
        Ok(TensorType { shape, dtype: DType::F32 })
    }

    fn vjp(
        &self,
        g: &mut Graph,
        inputs: &[ValueId],
        _y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let (x, w) = (inputs[0], inputs[1]);
        let dy = g.groups_last(dy)?;
        let shape = g.shape(x).clone();
        let dx = self.input_gradient(g, &shape, w, dy)?;
        let taps = [g.shape(w)[0], g.shape(w)[1]];
        let dw = g.conv_weight(ConvWeight { conv: self.clone(), taps }, x, dy)?;
        Ok(vec![Some(dx), Some(dw)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let (x, w) = (inputs[0], inputs[1]);
        let conv = self.reference(&x.shape, [w.shape[0], w.shape[1]], w.shape[3]);
        let window = elements(&w.shape[..3]);
        Tensor::new(ty.shape.clone(), conv.forward(&x.data, &w.data, 0..window))
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        let (x, w) = (&inputs[0].shape, &inputs[1].shape);
        Lowering::Conv { windows: self.windows(x, [w[0], w[1]], false), groups: self.groups, outputs: w[3] }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        let plain = ConvSpec::default();
        let cases: [SampleCase; 14] = [
            ([1, 1, 1, 1], [1, 1], 1, plain),
            ([2, 5, 6, 3], [3, 3], 4, plain),
            ([2, 5, 6, 4], [3, 3], 8, plain.padded([1, 1])),
            ([1, 7, 7, 4], [3, 3], 16, ConvSpec { stride: [2, 2], ..plain.padded([1, 1]) }),
            ([1, 8, 10, 2], [3, 2], 3, ConvSpec { stride: [3, 3], ..plain }),
            ([2, 9, 8, 1], [3, 3], 5, ConvSpec { dilation: [2, 2], ..plain }),
            ([1, 9, 9, 2], [3, 3], 2, ConvSpec { dilation: [2, 1], stride: [1, 2], ..plain.padded([2, 1]) }),
            ([2, 4, 5, 6], [3, 3], 4, ConvSpec { groups: 2, ..plain.padded([1, 1]) }),
            ([2, 5, 5, 3], [3, 3], 3, ConvSpec { groups: 3, ..plain.padded([1, 1]) }),
            ([1, 5, 4, 3], [3, 3], 6, ConvSpec { groups: 3, stride: [2, 1], ..plain }),
            ([3, 4, 4, 5], [1, 1], 17, plain),
            ([2, 2, 2, 3], [5, 5], 4, plain.padded([2, 2])),
            ([2, 1, 9, 3], [1, 4], 5, ConvSpec { padding: [[0, 0], [1, 2]], ..plain }),
            ([1, 3, 4, 2], [2, 2], 3, ConvSpec { padding: [[0, 1], [2, 0]], ..plain }),
        ];
        for (image, kernel, outputs, spec) in cases {
            all.add(format!("conv2d {image:?} by {kernel:?} to {outputs}, {spec:?}"), |g| {
                let x = g.normal(&image)?;
                let w = g.normal(&[kernel[0], kernel[1], image[3] / spec.groups, outputs])?;
                g.graph.conv2d(x, w, &spec)
            })?;
        }
        let transposed: [(SampleCase, [usize; 2]); 5] = [
            (([1, 3, 4, 2], [3, 3], 3, plain), [0, 0]),
            (([2, 3, 3, 4], [2, 2], 8, ConvSpec { stride: [2, 2], ..plain }), [0, 0]),
            (([1, 4, 3, 3], [3, 3], 2, ConvSpec { stride: [2, 3], ..plain.padded([1, 1]) }), [1, 2]),
            (([1, 3, 3, 2], [3, 2], 2, ConvSpec { dilation: [2, 1], ..plain.padded([1, 0]) }), [0, 0]),
            (([1, 3, 3, 4], [3, 3], 6, ConvSpec { stride: [2, 1], groups: 2, ..plain }), [0, 0]),
        ];
        for ((image, kernel, outputs, spec), extra) in transposed {
            all.add(
                format!("conv_transpose2d {image:?} by {kernel:?} to {outputs}, {spec:?} + {extra:?}"),
                |g| {
                    let x = g.normal(&image)?;
                    let w = g.normal(&[kernel[0], kernel[1], image[3] / spec.groups, outputs])?;
                    g.graph.conv_transpose2d(x, w, &spec, extra)
                },
            )?;
        }
        for channels in [3, 4] {
            all.add(format!("conv2d + bias, tanh, of {channels} channels first"), |g| {
                let (x, w, b) =
                    (g.normal(&[2, channels, 5, 6])?, g.normal(&[5, channels, 3, 3])?, g.normal(&[5])?);
                let x = g.graph.permute(x, &[0, 2, 3, 1])?;
                let w = g.graph.permute(w, &[2, 3, 1, 0])?;
                let y = g.graph.conv2d(x, w, &plain.padded([1, 1]))?;
                let sum = g.graph.add(y, b)?;
                let y = g.graph.unary(UnaryFn::Tanh, sum)?;
                g.graph.permute(y, &[0, 3, 1, 2])
            })?;
        }
        Ok(())
    }
}

impl OpDef for ConvWeight {
    fn name(&self) -> &'static str {
        "conv_weight"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x, dy] = operands(inputs)?;
        check_f32(&[x, dy])?;
        let outputs = dy.shape.last().copied().unwrap_or(0);
        self.conv.check(x, outputs)?;
        let [down, along] = &self.conv.axes;
        let expected: Shape = vec![x.shape[0], down.positions, along.positions, outputs];
        if dy.shape != expected {
            return Err(format!("expected a gradient {expected:?}, found {:?}", dy.shape));
        }
        let groups = self.conv.groups;
        let shape = vec![groups, self.taps[0], self.taps[1], x.shape[3] / groups, outputs / groups];
        Ok(TensorType { shape, dtype: DType::F32 })
    }

    fn vjp(
        &self,
        g: &mut Graph,
        inputs: &[ValueId],
        _y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let (x, cotangent) = (inputs[0], inputs[1]);
        let w = g.groups_last(dy)?;
        let shape = g.shape(x).clone();
        let dx = self.conv.input_gradient(g, &shape, w, cotangent)?;
        let result = g.conv(self.conv.clone(), x, w)?;
        let result = g.groups_last(result)?;
        Ok(vec![Some(dx), Some(result)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let (x, dy) = (inputs[0], inputs[1]);
        let conv = self.conv.reference(&x.shape, self.taps, dy.shape[3]);
        let positions = elements(&dy.shape[..3]);
        Tensor::new(ty.shape.clone(), conv.weight_gradient(&x.data, &dy.data, 0..positions))
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        let (x, outputs) = (&inputs[0].shape, inputs[1].shape[3]);
        let windows = self.conv.windows(x, self.taps, true);
        Lowering::Conv { windows, groups: self.conv.groups, outputs }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        let axis = |positions, stride, step, origin, up| ConvAxis { positions, stride, step, origin, up };
        let plain = [axis(3, 1, 1, 0, 1), axis(4, 1, 1, 0, 1)];
        let padded = [axis(5, 1, 1, -1, 1), axis(6, 1, 1, -1, 1)];
        let apart = [axis(2, 2, 1, 0, 1), axis(2, 3, 2, -1, 1)];
        // As in the gradient of a transposed convolution.
        let between = [axis(7, 1, -1, 2, 2), axis(9, 1, -1, 2, 2)];
        for (axes, groups) in [(plain, 1), (plain, 2), (padded, 1), (apart, 2), (between, 1)] {
            all.add(format!("conv_weight {axes:?} of {groups} groups"), |g| {
                let x = g.normal(&[2, 5, 6, 2 * groups])?;
                let dy = g.normal(&[2, axes[0].positions, axes[1].positions, 3 * groups])?;
                let gradient = ConvWeight { conv: Conv { axes, groups }, taps: [3, 3] };
                g.graph.conv_weight(gradient, x, dy)
            })?;
        }
        Ok(())
    }
}

/// A sample: image `[N, H, W, C]`, kernel extents, output channels, attributes.
type SampleCase = ([usize; 4], [usize; 2], usize, ConvSpec);
