//! Shaders of recurrences.

use super::bindings::{declare, insert_bindings};
use super::{Shader, ShaderError, grid};
use crate::device::{Family, Target};
use crate::kernels::recurrence::{self, Cell, MOST_LANES, Recurrence, RecurrenceGrad, Scan, Seed};
use crate::shader::Template;

/// Invocations that share the units of a row.
fn lanes(scan: &Scan, target: &Target) -> usize {
    let most = match target.family {
        Family::Registers => MOST_LANES,
        _ => MOST_LANES.max((target.max_invocations as usize).min(256)),
    };
    scan.hidden.next_multiple_of(8).min(most)
}

/// Loop iterations of one invocation, at most.
pub(super) fn iterations(scan: &Scan, target: &Target) -> usize {
    scan.steps * recurrence::iterations(scan.hidden, lanes(scan, target)) + scan.hidden
}

/// Element (time, row, column) of `[.., BATCH, width]`; rows beyond the batch are the last.
fn place(row: usize, width: usize) -> String {
    format!("(t * BATCH + min(first + {row}u, BATCH - 1u)) * {width}u + column")
}

/// A function that reads `rows` rows of read operand `binding`, or gives zeros if there is none.
fn reader(name: &str, binding: Option<usize>, width: usize, rows: usize) -> String {
    let element = |row| binding.map_or("0.0".into(), |b| format!("read_{b}[{}]", place(row, width)));
    let elements: Vec<String> = (0..rows).map(element).collect();
    format!(
        "fn {name}(t: u32, first: u32, column: u32) -> Floats {{\nreturn Floats({});\n}}",
        elements.join(", ")
    )
}

/// A function that writes `rows` rows of written operand `binding`, or nothing if there is none.
fn writer(name: &str, binding: Option<usize>, width: usize, rows: usize) -> String {
    let part = |row: usize| if rows == 1 { "value".into() } else { format!("value[{row}]") };
    let store = |row: usize| {
        binding.map_or(String::new(), |b| {
            format!("if (first + {row}u < BATCH) {{\nwrite_{b}[{}] = {};\n}}\n", place(row, width), part(row))
        })
    };
    let stores: String = (0..rows).map(store).collect();
    format!("fn {name}(t: u32, first: u32, column: u32, value: Floats) {{\n{stores}}}")
}

/// Sizes and what depends on them: `states` vectors of rows lie in workgroup memory.
struct Layout {
    lanes: usize,
    rows: usize,
    bytes: usize,
}

impl Layout {
    fn new(name: &'static str, scan: &Scan, states: usize, target: &Target) -> Result<Self, ShaderError> {
        let bytes = |rows: usize| 4 * rows * states * scan.hidden;
        let limit = target.max_workgroup_bytes as usize;
        let rows = if scan.batch > 1 && bytes(4) <= limit { 4 } else { 1 };
        if bytes(rows) > limit {
            let (hidden, most) = (scan.hidden, limit / (4 * states));
            return Err(ShaderError::TooManyUnits { kernel: name, hidden, most });
        }
        Ok(Self { lanes: lanes(scan, target), rows, bytes: bytes(rows) })
    }

    fn finish(
        self,
        name: &str,
        t: Template,
        scan: &Scan,
        [reads, writes]: [usize; 2],
    ) -> Result<Shader, ShaderError> {
        let mut declared: Vec<String> = (0..writes).map(|i| declare(0, i, "f32")).collect();
        declared.extend((0..reads).map(|i| declare(1, i, "f32")));
        let time = if scan.reverse { "return STEPS - 1u - number;" } else { "return number;" };
        let cells = if scan.cell == Cell::Lstm { "var<workgroup> cells: array<Floats, HIDDEN>;" } else { "" };
        let t = insert_bindings(t, declared)
            .flag("FOUR", self.rows == 4)
            .flag("LSTM", scan.cell == Cell::Lstm)
            .flag("GRU", scan.cell == Cell::Gru)
            .flag("RELU", scan.cell == Cell::Relu)
            .set("STEPS", scan.steps)
            .set("BATCH", scan.batch)
            .set("HIDDEN", scan.hidden)
            .set("GATES", scan.cell.gates())
            .set("ROWS", self.rows)
            .set("BLOCK", recurrence::written_out(scan.hidden))
            .insert("time", time)
            .insert("cells", cells);
        let shader = grid(name, t, scan.batch.div_ceil(self.rows), self.lanes, false)?;
        Ok(Shader { workgroup_bytes: self.bytes as u32, ..shader })
    }
}

pub(super) fn recurrence(k: &Recurrence, target: &Target) -> Result<Shader, ShaderError> {
    let scan = &k.scan;
    let (lstm, hidden) = (scan.cell == Cell::Lstm, scan.hidden);
    let layout = Layout::new("recurrence", scan, if lstm { 3 } else { 2 }, target)?;
    let rows = layout.rows;
    let [states, cells, saved] = k.outputs;
    let t = Template::new("recurrence")
        .insert("read_gates", reader("read_gates", Some(0), scan.width(), rows))
        .insert("read_hidden", reader("read_hidden", Some(2), hidden, rows))
        .insert("read_cell", reader("read_cell", lstm.then_some(3), hidden, rows))
        .insert("store_hidden", writer("store_hidden", states, hidden, rows))
        .insert("store_cell", writer("store_cell", cells, hidden, rows))
        .insert("store_saved", writer("store_saved", saved, 4 * hidden, rows));
    let reads = if scan.cell.saved() > 0 { 4 } else { 3 };
    layout.finish("recurrence", t, scan, [reads, k.outputs.iter().flatten().count()])
}

pub(super) fn recurrence_grad(k: &RecurrenceGrad, target: &Target) -> Result<Shader, ShaderError> {
    let scan = &k.scan;
    let (lstm, gated, hidden) = (scan.cell == Cell::Lstm, scan.cell.saved() > 0, scan.hidden);
    let states = scan.cell.gates() + if lstm { 2 } else { 1 };
    let layout = Layout::new("recurrence_grad", scan, states, target)?;
    let rows = layout.rows;
    let [gates, products, first_hidden, first_cell] = k.outputs;
    let t = Template::new("recurrence_grad")
        .flag("SEED_CELL", k.seed == Seed::Cell)
        .insert("read_seed", reader("read_seed", Some(0), hidden, rows))
        .insert("read_saved", reader("read_saved", gated.then_some(2), 4 * hidden, rows))
        .insert("read_state", reader("read_state", Some(if gated { 3 } else { 2 }), hidden, rows))
        .insert("read_first", reader("read_first", gated.then_some(4), hidden, rows))
        .insert("store_gates", writer("store_gates", gates, scan.width(), rows))
        .insert("store_products", writer("store_products", products, scan.width(), rows))
        .insert("store_hidden", writer("store_hidden", first_hidden, hidden, rows))
        .insert("store_cell", writer("store_cell", first_cell, hidden, rows));
    let reads = if gated { 5 } else { 3 };
    layout.finish("recurrence_grad", t, scan, [reads, k.outputs.iter().flatten().count()])
}
