//! Plans for display and as JSON: the output of `gridlight plan`.

use serde::Serialize;

use super::{BufferClass, Compiled, Saved};
use crate::kernels::Cost;

/// The plan of a step, as the JSON object of `plan --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanReport {
    /// Trained elements.
    pub parameters: u64,
    /// Kernels per step.
    pub kernels_per_step: usize,
    /// Launches per step: on a GPU, independent kernels share one.
    pub launches_per_step: usize,
    /// Floating-point operations per step.
    pub flops_per_step: u64,
    /// Minimum bytes moved per step.
    pub bytes_per_step: u64,
    /// Total bytes of all buffers, as allocated.
    pub peak_bytes: u64,
    /// Total bytes if no intermediate values shared memory.
    pub naive_bytes: u64,
    /// Bytes by kind of buffer, in a fixed order.
    pub bytes_by_kind: Vec<KindBytes>,
    /// What `train.recompute` and `train.precision` save and cost, where they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<Saved>,
    /// What the host keeps, if it updates the parameters (`train.optimizer_state = "host"`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostBytes>,
    /// Kernels in order.
    pub kernels: Vec<KernelReport>,
}

/// Bytes of one kind of buffer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KindBytes {
    /// `parameters`, `gradients`, ...
    pub kind: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// What an update on the host keeps there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HostBytes {
    /// Bytes of the optimizer's state.
    pub optimizer_state_bytes: u64,
    /// Bytes of all, copies of parameters and gradients among them.
    pub bytes: u64,
}

/// One kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelReport {
    /// Number of its launch, from 1.
    pub launch: usize,
    /// Kernel family.
    pub name: String,
    /// Sizes.
    pub shape: String,
    /// The layers it computes.
    pub layer: String,
    /// Workgroups in x, y, z (1 on the CPU backend).
    pub workgroups: [u32; 3],
    /// Floating-point operations.
    pub flops: u64,
    /// Minimum bytes moved.
    pub bytes: u64,
    /// Number of runs per step, if more than one: one per micro-batch.
    #[serde(skip_serializing_if = "is_once")]
    pub times: usize,
}

fn is_once(times: &usize) -> bool {
    *times == 1
}

const KINDS: [(BufferClass, &str); 8] = [
    (BufferClass::Parameters, "parameters"),
    (BufferClass::Gradients, "gradients"),
    (BufferClass::OptimizerState, "optimizer state"),
    (BufferClass::State, "running statistics"),
    (BufferClass::Constants, "constants"),
    (BufferClass::Data, "data"),
    (BufferClass::Results, "results"),
    (BufferClass::Activations, "activations"),
];

impl Compiled {
    /// The report of a step that runs each phase the given number of times; `workgroups` returns a kernel's
    /// grid on the current device.
    pub fn report(
        &self,
        step: &[(usize, usize)],
        workgroups: impl Fn(&crate::kernels::Kernel) -> [u32; 3],
    ) -> PlanReport {
        let (mut kernels, mut kernels_per_step, mut launches_per_step) = (vec![], 0, 0);
        let (mut cost, mut launches) = (Cost::default(), 0);
        for &(phase, times) in step {
            let Some(phase) = self.program.phases.get(phase) else { continue };
            kernels.extend(phase.dispatches.iter().map(|d| KernelReport {
                launch: launches + d.launch + 1,
                name: d.kernel.name().into(),
                shape: d.kernel.shape(),
                layer: d.label.clone(),
                workgroups: workgroups(&d.kernel),
                flops: d.kernel.cost().flops,
                bytes: d.kernel.cost().bytes,
                times,
            }));
            launches += phase.launches().count();
            launches_per_step += times * phase.launches().count();
            kernels_per_step += times * phase.dispatches.len();
            cost.flops += times as u64 * phase.cost().flops;
            cost.bytes += times as u64 * phase.cost().bytes;
        }
        let activations = self.program.class_bytes(BufferClass::Activations);
        let by_kind =
            KINDS.iter().map(|&(class, kind)| KindBytes { kind, bytes: self.program.class_bytes(class) });
        PlanReport {
            parameters: self.layout.parameters().map(|(_, s)| s.words as u64).sum(),
            kernels_per_step,
            launches_per_step,
            flops_per_step: cost.flops,
            bytes_per_step: cost.bytes,
            peak_bytes: self.program.bytes(),
            naive_bytes: self.program.bytes() - activations + self.naive_activation_bytes,
            bytes_by_kind: by_kind.filter(|k| k.bytes > 0).collect(),
            saved: self.saved,
            host: self.update.as_ref().map(|update| HostBytes {
                optimizer_state_bytes: update.program.class_bytes(BufferClass::OptimizerState),
                bytes: update.program.bytes(),
            }),
            kernels,
        }
    }
}

impl PlanReport {
    /// An aligned table with totals, for display.
    pub fn table(&self) -> String {
        let header = ["launch", "kernel", "shape", "layer", "workgroups", "FLOP", "bytes"].map(String::from);
        let mut rows = vec![header.to_vec()];
        let cut = self.kernels.iter().any(|k| k.times > 1);
        if cut {
            rows[0].push("times".into());
        }
        for k in &self.kernels {
            let [x, y, z] = k.workgroups;
            rows.push(vec![
                k.launch.to_string(),
                k.name.clone(),
                k.shape.clone(),
                k.layer.clone(),
                format!("{x}x{y}x{z}"),
                quantity(k.flops),
                quantity(k.bytes),
            ]);
            if let Some(row) = rows.last_mut().filter(|_| cut) {
                row.push(k.times.to_string());
            }
        }
        let mut text = align(&rows, &[0, 5, 6, 7]);
        text += &format!(
            "\n{} parameters, {} kernels in {} launches per step, {} FLOP, {} bytes moved\n",
            self.parameters,
            self.kernels_per_step,
            self.launches_per_step,
            quantity(self.flops_per_step),
            quantity(self.bytes_per_step)
        );
        let kinds: Vec<String> =
            self.bytes_by_kind.iter().map(|k| format!("{} {}", k.kind, quantity(k.bytes))).collect();
        text += &format!(
            "memory: {} bytes ({} without sharing): {}\n",
            quantity(self.peak_bytes),
            quantity(self.naive_bytes),
            kinds.join(", ")
        );
        if let Some(host) = &self.host {
            text += &format!(
                "update: on the host, {} bytes there, {} of them the optimizer's state\n",
                quantity(host.bytes),
                quantity(host.optimizer_state_bytes)
            );
        }
        if let Some(saved) = &self.saved {
            let percent = 100.0 * saved.activation_bytes as f64 / saved.plain_activation_bytes.max(1) as f64;
            let how = match (saved.parts, saved.halves) {
                (0, _) => "values wait for the backward pass in half precision".to_string(),
                (parts, halves) => {
                    let rest = if halves { ", other values wait for it in half precision" } else { "" };
                    format!("the backward pass computes {parts} parts of the forward pass again{rest}")
                }
            };
            text += &format!(
                "saved: {how}; the activations of a step take {} bytes instead of {} ({percent:.0} %), for {} FLOP \
                 instead of {} ({:.2}x)\n",
                quantity(saved.activation_bytes),
                quantity(saved.plain_activation_bytes),
                quantity(saved.flops),
                quantity(saved.plain_flops),
                saved.flops as f64 / saved.plain_flops.max(1) as f64
            );
        }
        text
    }
}

/// `1.23 M`: three significant digits with a decimal prefix.
pub fn quantity(value: u64) -> String {
    let prefixes = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    for (unit, prefix) in prefixes {
        let scaled = value as f64 / unit;
        if scaled >= 1.0 {
            let digits = if scaled >= 100.0 {
                0
            } else if scaled >= 10.0 {
                1
            } else {
                2
            };
            return format!("{scaled:.digits$} {prefix}");
        }
    }
    value.to_string()
}

/// Aligns rows into columns as wide as their widest cell; columns in `right` are right-aligned.
pub fn align(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(c, cell)| {
            let w = widths[c];
            if right.contains(&c) { format!("{cell:>w$}") } else { format!("{cell:<w$}") }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}
