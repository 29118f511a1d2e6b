//! Pooling and enlargement of images.

use super::super::builder::{int, ints, text};
use super::super::trace::refusal;
use super::layers::CHANNELS_FIRST;
use super::{Emitted, Emitter, Held};
use crate::graph::ValueId;
use crate::graph::ops::{Pool, PoolGrad, PoolKind};
use crate::kernels::pool::{Collect, Divisor, PoolAxis};

impl Emitter<'_> {
    pub(super) fn pool(&mut self, value: ValueId, x: ValueId, pool: &Pool) -> Emitted<Held> {
        let axes = &pool.axes;
        let refuse = |why| Err(refusal(self.trace.graph(), value, why));
        // Windows that reach over the padding are those of a mode that no layer has.
        let plain = |axis: &PoolAxis| {
            let padded = axis.extent + axis.before + axis.after;
            let window = (axis.taps - 1) * axis.dilation + 1;
            padded >= window && (padded - window) / axis.stride + 1 == axis.positions
        };
        if !axes.iter().all(plain) {
            return refuse("has windows that reach over the padding");
        }
        let undilated = axes.iter().all(|axis| axis.dilation == 1);
        let mut attributes = vec![
            ints("kernel_shape", axes.iter().map(|axis| axis.taps)),
            ints("strides", axes.iter().map(|axis| axis.stride)),
            ints("pads", axes.iter().map(|axis| axis.before).chain(axes.iter().map(|axis| axis.after))),
        ];
        let op = match pool.kind {
            PoolKind::Max => {
                attributes.push(ints("dilations", axes.iter().map(|axis| axis.dilation)));
                "MaxPool"
            }
            PoolKind::Average(Divisor::Padded) if undilated => {
                attributes.push(int("count_include_pad", 1));
                "AveragePool"
            }
            PoolKind::Average(Divisor::Inside) if undilated => "AveragePool",
            _ => return refuse("gives something of windows"),
        };
        let held = self.complete(x)?;
        let held = self.turn(&held, &CHANNELS_FIRST);
        let name = self.builder.node(op, &[&held.name], attributes);
        self.channels_first(value, name)
    }

    /// Images whose pixels are repeated: the gradient of a sum over windows side by side.
    pub(super) fn enlarge(&mut self, value: ValueId, x: ValueId, repeat: &PoolGrad) -> Emitted<Held> {
        let side_by_side = repeat.axes.iter().all(|axis| {
            (axis.taps, axis.dilation, axis.before, axis.after) == (axis.stride, 1, 0, 0)
                && axis.extent == axis.positions * axis.stride
        });
        if !side_by_side || repeat.collect != Collect::Average(Divisor::Fixed(1)) {
            return Err(refusal(self.trace.graph(), value, "is a gradient"));
        }
        let held = self.complete(x)?;
        let held = self.turn(&held, &CHANNELS_FIRST);
        let scales: Vec<f32> =
            [1, 1].into_iter().chain(repeat.axes.iter().map(|a| a.stride)).map(|n| n as f32).collect();
        let scales = self.builder.numbers(&[4], &scales);
        let attributes = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ];
        let name = self.builder.node("Resize", &[&held.name, "", &scales], attributes);
        self.channels_first(value, name)
    }
}
