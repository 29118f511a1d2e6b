//! Operators of training steps: losses of labels and the gradients of convolutions, pooling and rows by index. All
//! extents are numbers here.

use super::super::builder::{int, ints, text};
use super::super::trace::{Dim, refusal};
use super::layers::{Axis, CHANNELS_FIRST};
use super::{Emitted, Emitter, Held};
use crate::base::tensor::elements;
use crate::graph::ValueId;
use crate::graph::ops::{ConvAxis, ConvWeight, Pool, PoolGrad, PoolKind};
use crate::kernels::pool::{Collect, Divisor, PoolAxis};

/// Where the axes of images `[N, H, W, C]` lie with channels in front of rows: rows are what a product sums over.
const ROWS_SECOND: [usize; 4] = [1, 2, 3, 0];

/// An axis of a convolution that gives the gradient of weights: the gradient slides as a kernel.
struct Sliding {
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
}

impl Sliding {
    /// Of a kernel with `lines` lines that slides over `extent` lines to as many places as there are taps.
    fn of(stride: usize, dilation: usize, before: usize, [taps, lines, extent]: [usize; 3]) -> Self {
        let reach = (taps - 1) * stride + (lines - 1) * dilation + 1;
        Self { stride, dilation, before, after: reach.saturating_sub(extent + before) }
    }

    /// Of the images under the gradient, `None` if lines lie otherwise.
    fn forward(axis: &ConvAxis, taps: usize, extent: usize) -> Option<Self> {
        let stride = usize::try_from(axis.step).ok().filter(|_| axis.up == 1)?;
        let before = usize::try_from(-axis.origin).ok()?;
        Some(Self::of(stride, axis.stride, before, [taps, axis.positions, extent]))
    }

    /// Of the gradient under the images, for a transposed convolution.
    fn transposed(axis: &ConvAxis, taps: usize, extent: usize) -> Option<Self> {
        let stride = usize::try_from(-axis.step).ok().filter(|_| axis.stride == 1)?;
        let before = usize::try_from(axis.origin).ok()?;
        Some(Self::of(stride, axis.up, before, [taps, extent, axis.positions]))
    }
}

impl Emitter<'_> {
    /// The gradient of a convolution's weights, `[G, kH, kW, C, O]`: a convolution whose channels are the rows.
    pub(super) fn conv_weight(
        &mut self,
        value: ValueId,
        [x, dy]: [ValueId; 2],
        gradient: &ConvWeight,
    ) -> Emitted<Held> {
        let (groups, taps) = (gradient.conv.groups, gradient.taps);
        let (images, outputs) = (self.numbers(x)?, self.numbers(dy)?);
        let transposed = gradient.conv.axes.iter().all(|axis| axis.step < 0);
        let axes: Option<Vec<Sliding>> = (0..2)
            .map(|d| {
                let (axis, extent) = (&gradient.conv.axes[d], images[1 + d]);
                if transposed {
                    Sliding::transposed(axis, taps[d], extent)
                } else {
                    Sliding::forward(axis, taps[d], extent)
                }
            })
            .collect();
        let axes = axes.ok_or_else(|| refusal(self.trace.graph(), value, "moves its window in a way"))?;
        let (channels, per_group) = (images[3] / groups, outputs[3] / groups);
        // What lies still, what slides over it, and the channels of each group of these.
        let (still, sliding) = if transposed { (dy, x) } else { (x, dy) };
        let (rows_of, columns_of) = if transposed { (per_group, channels) } else { (channels, per_group) };
        let image = self.by_channel(still, groups)?;
        let kernel = self.complete(sliding)?;
        let kernel = self.turn(&kernel, &ROWS_SECOND).name;
        let extents = self.numbers(sliding)?;
        let pads = axes.iter().map(|axis| axis.before).chain(axes.iter().map(|axis| axis.after));
        let attributes = vec![
            ints("kernel_shape", extents[1..3].iter().copied()),
            ints("strides", axes.iter().map(|axis| axis.stride)),
            ints("dilations", axes.iter().map(|axis| axis.dilation)),
            ints("pads", pads),
            int("group", groups as i64),
        ];
        let b = &mut *self.builder;
        let all = b.node("Conv", &[&image, &kernel], attributes);
        // Where lines were left over, there are more places than taps.
        let (first, last) = (b.integers(&[0, 0]), b.integers(&taps.map(|n| n as i64)));
        let places = b.integers(&[2, 3]);
        let found = b.node("Slice", &[&all, &first, &last, &places], vec![]);
        let shape = [rows_of, groups, columns_of, taps[0], taps[1]];
        let name = b.reshape(&found, &shape.map(|n| n as i64));
        let order = if transposed { vec![1, 3, 4, 2, 0] } else { vec![1, 3, 4, 0, 2] };
        let dims = shape.iter().map(|&extent| Dim::fixed(extent)).collect();
        Ok(Held { name, dims, order, truth: None })
    }

    /// Images `[N, H, W, G C]` as `[C, G N, H, W]`.
    fn by_channel(&mut self, images: ValueId, groups: usize) -> Emitted<String> {
        if groups == 1 {
            let held = self.complete(images)?;
            return Ok(self.turn(&held, &ROWS_SECOND).name);
        }
        let held = self.whole(images)?;
        let extents = self.numbers(images)?;
        let [rows, high, wide, all] = [0, 1, 2, 3].map(|axis| extents[axis] as i64);
        let (groups, channels) = (groups as i64, all / groups as i64);
        let b = &mut *self.builder;
        let split = b.reshape(&held.name, &[rows, high, wide, groups, channels]);
        let turned = b.node("Transpose", &[&split], vec![ints("perm", [4, 3, 0, 1, 2])]);
        Ok(b.reshape(&turned, &[channels, groups * rows, high, wide]))
    }

    /// The maxima of windows, or their places in the images.
    pub(super) fn max_pool(&mut self, value: ValueId, x: ValueId, pool: &Pool) -> Emitted<Held> {
        let at = usize::from(pool.kind == PoolKind::MaxTap);
        let known = self.shared.maxima.iter().find(|(of, as_here, _)| *of == x && as_here.axes == pool.axes);
        if let Some((_, _, results)) = known {
            return Ok(results[at].clone());
        }
        let maxima = self.pool(value, x, &Pool { kind: PoolKind::Max, ..pool.clone() })?;
        let places = self.builder.fresh(&format!("{}/places", maxima.name));
        if let Some(node) = self.builder.nodes.last_mut() {
            node.output.push(places.clone());
        }
        let results = [maxima.clone(), Held { name: places, ..maxima }];
        self.shared.maxima.push((x, pool.clone(), results.clone()));
        Ok(results[at].clone())
    }

    /// What windows send to the elements they contain: to the one they chose, or to each its share.
    pub(super) fn pool_gradient(
        &mut self,
        value: ValueId,
        inputs: &[ValueId],
        gradient: &PoolGrad,
    ) -> Emitted<Held> {
        match (gradient.collect, inputs) {
            (Collect::Chosen, &[places, dy]) => self.send_to_chosen(value, [places, dy]),
            (Collect::Average(divisor), &[dy]) => self.send_to_all(value, dy, &gradient.axes, divisor),
            _ => Err(refusal(self.trace.graph(), value, "has other operands")),
        }
    }

    fn send_to_chosen(&mut self, value: ValueId, operands: [ValueId; 2]) -> Emitted<Held> {
        let mut flat = vec![];
        for operand in operands {
            let held = self.complete(operand)?;
            let held = self.turn(&held, &CHANNELS_FIRST);
            flat.push(self.builder.reshape(&held.name, &[-1]));
        }
        let image = self.numbers(value)?;
        let b = &mut *self.builder;
        let zeros = b.zeros(&[elements(&image)]);
        let attributes = vec![int("axis", 0), text("reduction", "add")];
        let sums = b.node("ScatterElements", &[&zeros, &flat[0], &flat[1]], attributes);
        let [rows, high, wide, channels] = [0, 1, 2, 3].map(|axis| image[axis] as i64);
        let name = b.reshape(&sums, &[rows, channels, high, wide]);
        self.channels_first(value, name)
    }

    /// A transposed convolution of each channel by itself, with weights of 1.
    fn send_to_all(
        &mut self,
        value: ValueId,
        dy: ValueId,
        axes: &[PoolAxis; 2],
        divisor: Divisor,
    ) -> Emitted<Held> {
        let channels = self.numbers(value)?[3];
        let held = self.complete(dy)?;
        let held = self.turn(&held, &CHANNELS_FIRST);
        let [down, along] = axes;
        let counted = |p: usize, q: usize| match divisor {
            Divisor::Fixed(number) => number as f32,
            _ => (down.counted(p, divisor) * along.counted(q, divisor)) as f32,
        };
        let positions = (0..down.positions).flat_map(|p| (0..along.positions).map(move |q| (p, q)));
        let shares: Vec<f32> = positions.map(|(p, q)| 1.0 / counted(p, q)).collect();
        let spread = axes.map(|axis| {
            let whole = (axis.positions - 1) * axis.stride + (axis.taps - 1) * axis.dilation + 1;
            Axis::spread(axis.stride, axis.dilation, [axis.before, axis.extent], whole)
        });
        let b = &mut *self.builder;
        let shares = b.numbers(&[1, 1, down.positions, along.positions], &shares);
        let scaled = b.two("Mul", &held.name, &shares);
        let taps = [down.taps, along.taps];
        let ones = b.numbers(&[channels, 1, taps[0], taps[1]], &vec![1.0; channels * taps[0] * taps[1]]);
        let attributes = vec![
            ints("kernel_shape", taps),
            ints("strides", spread.iter().map(|axis| axis.stride)),
            ints("dilations", spread.iter().map(|axis| axis.dilation)),
            ints("pads", spread.iter().map(|axis| axis.before).chain(spread.iter().map(|axis| axis.after))),
            ints("output_padding", spread.iter().map(|axis| axis.more)),
            int("group", channels as i64),
        ];
        let name = b.node("ConvTranspose", &[&scaled, &ones], attributes);
        self.channels_first(value, name)
    }

    /// The weight of each class in the loss of each row, `w[c] ((1 - s) [c == label] + s / C)`, and the logits.
    fn targets(&mut self, inputs: &[ValueId], smoothing: u32) -> Emitted<[String; 2]> {
        let classes = self.numbers(inputs[0])?[1];
        let [logits, labels, weights] =
            [self.whole(inputs[0])?, self.whole(inputs[1])?, self.whole(inputs[2])?];
        let smoothing = f64::from(f32::from_bits(smoothing));
        let miss = smoothing / classes as f64;
        let b = &mut *self.builder;
        let depth = b.integers(&[classes as i64]);
        let values = b.numbers(&[2], &[miss as f32, (1.0 - smoothing + miss) as f32]);
        let targets = b.node("OneHot", &[&labels.name, &depth, &values], vec![int("axis", -1)]);
        Ok([b.two("Mul", &targets, &weights.name), logits.name])
    }

    /// `-sum_c q[c] log p[c]` of each row.
    pub(super) fn cross_entropy(
        &mut self,
        value: ValueId,
        inputs: &[ValueId],
        smoothing: u32,
    ) -> Emitted<Held> {
        let [targets, logits] = self.targets(inputs, smoothing)?;
        let b = &mut *self.builder;
        let logs = b.node("LogSoftmax", &[&logits], vec![int("axis", -1)]);
        let products = b.two("Mul", &targets, &logs);
        let axes = b.integers(&[1]);
        let sums = b.node("ReduceSum", &[&products, &axes], vec![int("keepdims", 0)]);
        Ok(Held::new(b.one("Neg", &sums), self.dims(value)?))
    }

    /// `p[c] sum(q) - q[c]` of each row.
    pub(super) fn cross_entropy_delta(
        &mut self,
        value: ValueId,
        inputs: &[ValueId],
        smoothing: u32,
    ) -> Emitted<Held> {
        let [targets, logits] = self.targets(inputs, smoothing)?;
        let b = &mut *self.builder;
        let chances = b.node("Softmax", &[&logits], vec![int("axis", -1)]);
        let totals = b.sum(&targets, &[1]);
        let expected = b.two("Mul", &chances, &totals);
        Ok(Held::new(b.two("Sub", &expected, &targets), self.dims(value)?))
    }

    /// For each row of a table the sum of the gradients of those that name it.
    pub(super) fn gather_gradient(&mut self, value: ValueId, [indices, dy]: [ValueId; 2]) -> Emitted<Held> {
        let table = self.numbers(value)?;
        let [indices, dy] = [self.whole(indices)?, self.whole(dy)?];
        let b = &mut *self.builder;
        let indices = b.reshape(&indices.name, &[-1, 1]);
        let rows = b.reshape(&dy.name, &[-1, table[1] as i64]);
        let zeros = b.zeros(&table);
        let name = b.node("ScatterND", &[&zeros, &indices, &rows], vec![text("reduction", "add")]);
        Ok(Held::new(name, self.dims(value)?))
    }
}
