//! Products of matrices, convolutions and normalisations.

use super::super::builder::{float, int, ints};
use super::super::trace::{Dim, refusal};
use super::{Constant, Emitted, Emitter, Held, Value};
use crate::graph::ValueId;
use crate::graph::ops::{Conv, ConvAxis};

/// Where the axes of images `[N, H, W, C]` lie in ONNX: channels first.
pub(super) const CHANNELS_FIRST: [usize; 4] = [0, 2, 3, 1];

impl Emitter<'_> {
    /// `a b + bias`. Images are flattened channel by channel, and the weights' columns are put in that order.
    pub(super) fn gemm(
        &mut self,
        value: ValueId,
        [a, b]: [ValueId; 2],
        bias: Option<ValueId>,
        transposed: [bool; 2],
    ) -> Emitted<Held> {
        let mut names = match self.dims(a)?[..] {
            [rows, high, wide, channels] => self.flattened([rows, high, wide, channels], a, b)?,
            _ => vec![self.whole(a)?.name, self.whole(b)?.name],
        };
        if let Some(bias) = bias {
            names.push(self.operand(bias)?);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let marks = ["transA", "transB"].into_iter().zip(transposed).filter(|(_, is)| *is);
        let attributes = marks.map(|(name, _)| int(name, 1)).collect();
        Ok(Held::new(self.builder.node("Gemm", &names, attributes), self.dims(value)?))
    }

    /// Images as rows of planes, and weights `[units, H W C]` with their columns in that order.
    fn flattened(&mut self, dims: [Dim; 4], images: ValueId, weights: ValueId) -> Emitted<Vec<String>> {
        let known: Option<Vec<usize>> = dims[1..].iter().map(|dim| dim.known()).collect();
        let refused = || refusal(self.trace.graph(), images, "flattens images in a way");
        let [high, wide, channels] = known.ok_or_else(refused)?[..] else { return Err(refused()) };
        let weights = self.weight(weights)?.clone();
        let (units, features) = (weights.shape[0], high * wide * channels);
        let split = Constant { shape: vec![units, high, wide, channels], ..weights };
        let weights = Constant { shape: vec![units, features], ..split.permuted(&[0, 3, 1, 2]) };
        let held = self.complete(images)?;
        let held = self.turn(&held, &CHANNELS_FIRST);
        let rows = self.reshaped(&held.name, &held.dims, &[dims[0], Dim::fixed(features)]);
        let rows = rows.ok_or_else(|| refusal(self.trace.graph(), images, "groups rows in a way"))?;
        Ok(vec![rows, self.initializer(&weights)])
    }

    /// A product of stacks of matrices.
    pub(super) fn matmul(
        &mut self,
        value: ValueId,
        operands: [ValueId; 2],
        transposed: [bool; 2],
    ) -> Emitted<Held> {
        let mut constant = [false; 2];
        for (operand, is) in operands.into_iter().zip(&mut constant) {
            *is = matches!(self.known(operand)?, Value::Constant(_));
        }
        // A constant repeats by itself along the leading axes that the other operand has.
        let lazy = [constant[0], constant[1] && !constant[0]];
        let mut names = vec![];
        for ((operand, lazy), transposed) in operands.into_iter().zip(lazy).zip(transposed) {
            let mut held = if lazy { self.in_order(operand)? } else { self.whole(operand)? };
            let rank = held.order.len();
            if transposed {
                // Read with its last two axes exchanged, then brought in order.
                held.order.swap(rank - 2, rank - 1);
                held = self.turn_to_order(&held);
            }
            names.push(held.name);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(Held::new(self.builder.node("MatMul", &names, vec![]), self.dims(value)?))
    }

    /// Normalisation by running statistics; `vectors` are weight, bias, mean and variance.
    pub(super) fn batch_norm(&mut self, x: ValueId, vectors: [ValueId; 4], eps: f64) -> Emitted<Held> {
        let mut held = self.complete(x)?;
        held = match held.order.len() {
            4 => self.turn(&held, &CHANNELS_FIRST),
            _ => self.turn_to_order(&held),
        };
        let mut names = vec![held.name.clone()];
        for vector in vectors {
            names.push(self.operand(vector)?);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = self.builder.node("BatchNormalization", &names, vec![float("epsilon", eps)]);
        Ok(Held { name, ..held })
    }

    /// Normalisation of rows; `vectors` are weight and bias.
    pub(super) fn layer_norm(&mut self, x: ValueId, vectors: [ValueId; 2], eps: f64) -> Emitted<Held> {
        let held = self.whole(x)?;
        let [weight, bias] = [self.operand(vectors[0])?, self.operand(vectors[1])?];
        let attributes = vec![int("axis", -1), float("epsilon", eps)];
        let name = self.builder.node("LayerNormalization", &[&held.name, &weight, &bias], attributes);
        Ok(Held { name, ..held })
    }

    /// A convolution or a transposed one, with PyTorch's weights.
    pub(super) fn convolution(
        &mut self,
        value: ValueId,
        [x, w]: [ValueId; 2],
        bias: Option<ValueId>,
        conv: &Conv,
    ) -> Emitted<Held> {
        let held = self.complete(x)?;
        let held = self.turn(&held, &CHANNELS_FIRST);
        let shape = self.numbers(w)?;
        let taps = [shape[0], shape[1]];
        let transposed = conv.axes.iter().all(|axis| axis.step < 0 && axis.stride == 1);
        let mut names = vec![held.name, self.kernel(w, transposed, conv.groups)?];
        if let Some(bias) = bias {
            names.push(self.operand(bias)?);
        }
        let extents = [held.dims[2].known(), held.dims[3].known()];
        let axes: Option<Vec<Axis>> = (0..2)
            .map(|d| match transposed {
                true => Axis::transposed(&conv.axes[d], taps[d], extents[d]?),
                false => Axis::forward(&conv.axes[d], taps[d], extents[d]?),
            })
            .collect();
        let axes = axes.ok_or_else(|| refusal(self.trace.graph(), value, "moves its window in a way"))?;
        let mut attributes = vec![
            ints("kernel_shape", taps),
            ints("strides", axes.iter().map(|axis| axis.stride)),
            ints("dilations", axes.iter().map(|axis| axis.dilation)),
            ints("pads", axes.iter().map(|axis| axis.before).chain(axes.iter().map(|axis| axis.after))),
            int("group", conv.groups as i64),
        ];
        if transposed {
            attributes.push(ints("output_padding", axes.iter().map(|axis| axis.more)));
        }
        let op = if transposed { "ConvTranspose" } else { "Conv" };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = self.builder.node(op, &names, attributes);
        self.channels_first(value, name)
    }

    /// The weights of a convolution or a transposed one as ONNX has them.
    fn kernel(&mut self, w: ValueId, transposed: bool, groups: usize) -> Emitted<String> {
        if let Value::Constant(weight) = self.known(w)? {
            let weight =
                if transposed { transposed_weights(weight, groups) } else { weight.permuted(&[3, 2, 0, 1]) };
            return Ok(self.initializer(&weight));
        }
        if !transposed || groups == 1 {
            let held = self.complete(w)?;
            return Ok(self.turn(&held, if transposed { &[2, 3, 0, 1] } else { &[2, 3, 1, 0] }).name);
        }
        let held = self.whole(w)?;
        let shape = self.numbers(w)?;
        let [high, wide, channels, outputs] = [0, 1, 2, 3].map(|axis| shape[axis] as i64);
        let (groups, per_group) = (groups as i64, outputs / groups as i64);
        let b = &mut *self.builder;
        let split = b.reshape(&held.name, &[high, wide, channels, groups, per_group]);
        let turned = b.node("Transpose", &[&split], vec![ints("perm", [3, 2, 4, 0, 1])]);
        Ok(b.reshape(&turned, &[groups * channels, per_group, high, wide]))
    }

    /// A result of an operator of images.
    pub(super) fn channels_first(&mut self, value: ValueId, name: String) -> Emitted<Held> {
        let dims = self.dims(value)?;
        let mut lying = vec![Dim::fixed(1); 4];
        for (axis, &place) in CHANNELS_FIRST.iter().enumerate() {
            lying[place] = dims[axis];
        }
        Ok(Held { name, dims: lying, order: CHANNELS_FIRST.to_vec(), truth: None })
    }
}

/// Weights `[kH, kW, C / groups, groups O]` as `[C, O, kH, kW]`.
fn transposed_weights(weight: &Constant, groups: usize) -> Constant {
    let [high, wide, channels, outputs] = [0, 1, 2, 3].map(|axis| weight.shape[axis]);
    let per_group = outputs / groups.max(1);
    let split = Constant { shape: vec![high, wide, channels, groups, per_group], ..weight.clone() };
    Constant { shape: vec![groups * channels, per_group, high, wide], ..split.permuted(&[3, 2, 4, 0, 1]) }
}

/// One axis of a convolution in ONNX's terms.
pub(super) struct Axis {
    pub stride: usize,
    pub dilation: usize,
    pub before: usize,
    pub after: usize,
    /// Lines added at the end.
    pub more: usize,
}

impl Axis {
    /// The axis of a convolution; `None` if it is none of ONNX's.
    fn forward(axis: &ConvAxis, taps: usize, extent: usize) -> Option<Self> {
        let dilation = usize::try_from(axis.step).ok().filter(|_| axis.up == 1)?;
        let before = usize::try_from(-axis.origin).ok()?;
        let reach = (axis.positions - 1) * axis.stride + (taps - 1) * dilation + 1;
        let after = reach.saturating_sub(extent + before);
        let found = (extent + before + after - reach) / axis.stride;
        (found == 0).then_some(Self { stride: axis.stride, dilation, before, after, more: 0 })
    }

    /// The axis of a transposed convolution; `None` if it is none of ONNX's.
    fn transposed(axis: &ConvAxis, taps: usize, extent: usize) -> Option<Self> {
        let dilation = usize::try_from(-axis.step).ok()?;
        let before = usize::try_from(axis.origin).ok()?;
        let whole = (extent - 1) * axis.up + (taps - 1) * dilation + 1;
        Some(Self::spread(axis.up, dilation, [before, axis.positions], whole))
    }

    /// An axis that spreads its lines over `whole`, of which `positions` from line `before` on are wanted.
    pub(super) fn spread(
        stride: usize,
        dilation: usize,
        [before, positions]: [usize; 2],
        whole: usize,
    ) -> Self {
        let wanted = positions + before;
        // Cropped as much at the end as at the beginning, and what is then too short is added; fewer lines than a
        // stride can be.
        let after = before.min(whole.saturating_sub(1));
        let found = [after, 0].into_iter().find_map(|after| {
            let more = (wanted + after).checked_sub(whole)?;
            (more < stride.max(1)).then_some((after, more))
        });
        let (after, more) = found.unwrap_or((whole.saturating_sub(wanted), wanted.saturating_sub(whole)));
        Self { stride, dilation, before, after, more }
    }
}
