//! Shaders of recurrences.

use super::{Cell, Part, Path, Recurrence, RecurrenceGrad, Scan, Seed};
use crate::base::target::{Family, Target};
use crate::kernels::shader::bindings::{declare, insert_bindings};
use crate::kernels::shader::{Shader, ShaderError, VECTOR_LANES, grid};
use crate::shader::Template;

/// Maximum loop iterations of one invocation.
pub(super) fn iterations(scan: &Scan, part: &Part) -> usize {
    part.count.max(1) * super::parts::iterations(scan) + MOST_VECTORS
}

/// Maximum invocations per workgroup.
const MOST_LANES: usize = 256;
/// Maximum vectors of rows per workgroup.
const MOST_VECTORS: usize = 4;
/// Rows per vector.
const SIZE: usize = 4;
/// Invocations of a workgroup that takes a block of the units.
const BLOCK_LANES: usize = 64;
/// Maximum units whose states such a workgroup holds in its memory.
const CHUNK: usize = 128;
/// Maximum sums of products per invocation: more do not stay in registers.
const MOST_SUMS: usize = 64;

/// An operand by its position.
#[derive(Clone, Copy)]
enum Operand {
    Read(usize),
    Written(usize),
}

/// How the work of a kernel is divided among workgroups and invocations.
struct Tile {
    lanes: usize,
    /// Adjacent units per invocation.
    units: usize,
    /// Vectors of rows.
    vectors: usize,
    /// Rows per vector.
    size: usize,
    /// Units whose states are held in workgroup memory.
    chunk: usize,
    /// Workgroups that share the units.
    blocks: usize,
    /// Whether the units of a row are read and written four at a time.
    wide: bool,
    /// Whether the invocations of a subgroup exchange what they load.
    broadcast: bool,
}

impl Tile {
    /// A tile for a kernel with `sums` sums of products per unit, whose invocations preferably have `units`
    /// units.
    fn new(scan: &Scan, path: Path, [units, sums]: [usize; 2], target: &Target) -> Self {
        let hidden = scan.hidden;
        let most_lanes = match path {
            Path::Sequence => MOST_LANES,
            Path::Step => BLOCK_LANES,
        };
        let most_lanes = most_lanes.min(target.max_invocations as usize);
        // More units than a workgroup has invocations are divided evenly, among invocations or workgroups.
        let least = match (path, hidden.div_ceil(most_lanes)) {
            (Path::Step, _) => 1,
            (Path::Sequence, least @ 0..=2) => least,
            (Path::Sequence, least) => least.next_multiple_of(4),
        };
        let units = units.max(least);
        let lanes = hidden.div_ceil(units).next_multiple_of(VECTOR_LANES).min(most_lanes);
        let chunk = match path {
            Path::Sequence => lanes * units,
            Path::Step => (lanes * units).min(CHUNK),
        };
        let bytes = |rows: usize| 4 * rows * chunk;
        let limit = target.max_workgroup_bytes as usize;
        // Several vectors reuse each load of the weights more often, but leave fewer workgroups.
        let vectors = match (target.family, scan.batch) {
            (Family::Registers, 32..) => MOST_VECTORS,
            (Family::Registers, 5..) => 2,
            _ => 1,
        };
        let fits = |vectors: usize| {
            bytes(SIZE * vectors) <= limit && (vectors == 1 || SIZE * vectors * units * sums <= MOST_SUMS)
        };
        let vectors = [4, 2, 1].into_iter().find(|&v| v <= vectors && scan.batch > 1 && fits(v));
        Self {
            lanes,
            units,
            vectors: vectors.unwrap_or(1),
            size: if vectors.is_some() { SIZE } else { 1 },
            chunk,
            blocks: if path == Path::Step { hidden.div_ceil(lanes * units) } else { 1 },
            wide: hidden.is_multiple_of(4) && units.is_multiple_of(4),
            broadcast: target.subgroup_size as usize == VECTOR_LANES,
        }
    }

    fn rows(&self) -> usize {
        self.vectors * self.size
    }

    /// Type of operands that are accessed by unit.
    fn kind(&self) -> &'static str {
        if self.wide { "vec4<f32>" } else { "f32" }
    }

    /// `let row_0 = ...;`: the first element of each row's units in `[T, B, width]`; rows beyond the batch
    /// repeat the last one.
    fn starts(&self, width: usize) -> String {
        let start = |row| {
            format!("let row_{row} = (t * BATCH + min(row + {row}u, BATCH - 1u)) * {width}u + column;\n")
        };
        (0..self.size).map(start).collect()
    }

    /// A function that reads the tile's units in one vector of rows of an operand; returns zeros if there is
    /// none.
    fn reader(&self, name: &str, from: Option<Operand>, width: usize) -> String {
        let header = format!("fn {name}(t: u32, row: u32, column: u32, unit: u32) -> Tile {{\n");
        let from = match from {
            Some(Operand::Read(binding)) => format!("read_{binding}"),
            Some(Operand::Written(binding)) => format!("write_{binding}"),
            None => {
                return format!("{header}return Tile({});\n}}", vec!["Floats(0.0)"; self.units].join(", "));
            }
        };
        let mut text = header + &self.starts(width);
        if self.wide {
            for four in (0..self.units).step_by(4) {
                text += &format!("let at_{four} = min(unit + {four}u, HIDDEN - 4u);\n");
                for row in 0..self.size {
                    text += &format!("let four_{row}_{four} = {from}[(row_{row} + at_{four}) / 4u];\n");
                }
            }
        }
        let element = |row: usize, unit: usize| match self.wide {
            true => format!("four_{row}_{}[{}]", unit / 4 * 4, unit % 4),
            false => format!("{from}[row_{row} + min(unit + {unit}u, HIDDEN - 1u)]"),
        };
        let vector = |unit: usize| {
            let rows: Vec<String> = (0..self.size).map(|row| element(row, unit)).collect();
            format!("Floats({})", rows.join(", "))
        };
        let vectors: Vec<String> = (0..self.units).map(vector).collect();
        format!("{text}return Tile({});\n}}", vectors.join(", "))
    }

    /// A function that writes the tile's units in one vector of rows of operand `binding`; does nothing if
    /// there is none.
    fn writer(&self, name: &str, binding: Option<usize>, width: usize) -> String {
        let header = format!("fn {name}(t: u32, row: u32, column: u32, unit: u32, tile: Tile) {{\n");
        let Some(binding) = binding else { return header + "}" };
        let mut text = header + &self.starts(width);
        let part = |row: usize, unit: usize| match self.size {
            1 => format!("tile[{unit}]"),
            _ => format!("tile[{unit}][{row}]"),
        };
        let (count, by) = if self.wide { (4, " / 4u") } else { (1, "") };
        for unit in (0..self.units).step_by(count) {
            for row in 0..self.size {
                let parts: Vec<String> = (unit..unit + count).map(|unit| part(row, unit)).collect();
                text += &format!(
                    "if ((unit + {unit}u < HIDDEN) & (row + {row}u < BATCH)) {{\n\
                     write_{binding}[(row_{row} + unit + {unit}u){by}] = {}({});\n}}\n",
                    self.kind(),
                    parts.join(", ")
                );
            }
        }
        text + "}"
    }

    /// Finishes the shader, with this many read and written operands; `read_kind` gives the types of the read
    /// ones.
    fn finish(
        self,
        name: &str,
        t: Template,
        scan: &Scan,
        part: &Part,
        [reads, writes]: [usize; 2],
        read_kind: impl Fn(usize) -> &'static str,
        exact: bool,
    ) -> Result<Shader, ShaderError> {
        let mut declared: Vec<String> = (0..writes).map(|i| declare(0, i, self.kind())).collect();
        declared.extend((0..reads).map(|i| declare(1, i, read_kind(i))));
        let time = if scan.reverse { "return STEPS - 1u - number;" } else { "return number;" };
        let accumulate = match (exact, self.size) {
            (false, _) => "return sum + a * b;",
            (true, 1) => "return multiply_add(a, b, sum);",
            (true, _) => {
                "return Floats(multiply_add(a.x, b, sum.x), multiply_add(a.y, b, sum.y), \
                 multiply_add(a.z, b, sum.z), multiply_add(a.w, b, sum.w));"
            }
        };
        let per_load = self.vectors.min(2);
        let t = insert_bindings(t, declared)
            .flag("FOUR", self.size == SIZE)
            .flag("LSTM", scan.cell == Cell::Lstm)
            .flag("GRU", scan.cell == Cell::Gru)
            .flag("RELU", scan.cell == Cell::Relu)
            .flag("SAVED", scan.cell.saved() > 0)
            .flag("BROADCAST", self.broadcast)
            .flag("TAIL", !scan.hidden.is_multiple_of(4))
            .flag("BY_STEP", part.path == Path::Step)
            .set("STEPS", scan.steps)
            .set("FIRST", part.first)
            .set("COUNT", part.count)
            .set("BLOCKS", self.blocks)
            .set("CHUNK", self.chunk)
            .set("BATCH", scan.batch)
            .set("HIDDEN", scan.hidden)
            .set("GATES", scan.cell.gates())
            .set("UNITS", self.units)
            .set("LOADS", self.vectors / per_load)
            .set("PER_LOAD", per_load)
            .set("SIZE", self.size)
            .insert("time", time)
            .insert("accumulate", accumulate);
        let groups = scan.batch.div_ceil(self.rows()) * self.blocks;
        let shader = grid(name, t, groups, self.lanes, false)?;
        Ok(Shader { workgroup_bytes: (4 * self.rows() * self.chunk) as u32, ..shader })
    }
}

pub(super) fn recurrence(k: &Recurrence, target: &Target) -> Result<Shader, ShaderError> {
    let (scan, part) = (&k.scan, &k.part);
    let (gates, lstm, hidden) = (scan.cell.gates(), scan.cell == Cell::Lstm, scan.hidden);
    let units = if target.family == Family::Registers { 4 / gates } else { 1 };
    let tile = Tile::new(scan, part.path, [units, gates], target);
    let [states, cells, saved] = k.outputs;
    // The state before the part.
    let before = |first: usize, output: Option<usize>| match part.first {
        0 => Some(Operand::Read(first)),
        _ => output.map(Operand::Written),
    };
    // Four adjacent weights of a row.
    let fours = hidden.is_multiple_of(4);
    let weights = match fours {
        true => "return read_1[at / 4u];",
        false => "return vec4<f32>(read_1[at], read_1[at + 1u], read_1[at + 2u], read_1[at + 3u]);",
    };
    let t = Template::new("recurrence")
        .set("BEGIN", part.first.checked_sub(1).map_or(0, |step| scan.time(step)))
        .insert("weights", weights)
        .insert("read_gates", tile.reader("read_gates", Some(Operand::Read(0)), scan.width()))
        .insert("read_hidden", tile.reader("read_hidden", before(2, states), hidden))
        .insert("read_cell", tile.reader("read_cell", before(3, cells).filter(|_| lstm), hidden))
        .insert("store_hidden", tile.writer("store_hidden", states, hidden))
        .insert("store_cell", tile.writer("store_cell", cells, hidden))
        .insert("store_saved", tile.writer("store_saved", saved, 4 * hidden));
    let reads = if scan.cell.saved() > 0 { 4 } else { 3 };
    let kind = tile.kind();
    let read_kind = |operand: usize| match operand {
        1 if fours => "vec4<f32>",
        1 => "f32",
        // The biases of a GRU.
        3 if !lstm => "f32",
        _ => kind,
    };
    let bindings = [reads, k.outputs.iter().flatten().count()];
    tile.finish("recurrence", t, scan, part, bindings, read_kind, target.exact)
}

pub(super) fn recurrence_grad(k: &RecurrenceGrad, target: &Target) -> Result<Shader, ShaderError> {
    let (scan, part) = (&k.scan, &k.part);
    let (gated, hidden) = (scan.cell.saved() > 0, scan.hidden);
    let units = if target.family == Family::Registers { 4 } else { 1 };
    let tile = Tile::new(scan, part.path, [units, 1], target);
    let [gates, products, first_hidden, first_cell] = k.outputs;
    let width = if tile.wide { 4 } else { 1 };
    let continues = part.end() < scan.steps;
    // What the next step left behind.
    let left = |output: Option<usize>| output.filter(|_| continues).map(Operand::Written);
    let read = |operand: usize| gated.then_some(Operand::Read(operand));
    let states = Some(Operand::Read(if gated { 3 } else { 2 }));
    let weights = match tile.wide {
        true => "let four = read_1[at / 4u];\nreturn array<f32, 4>(four.x, four.y, four.z, four.w);",
        false => "return array<f32, 1>(read_1[at]);",
    };
    let t = Template::new("recurrence_grad")
        .flag("SEED_CELL", k.seed == Seed::Cell)
        .set("CONTINUES", usize::from(continues))
        .set("NEXT", if continues { scan.time(part.end()) } else { 0 })
        .set("TURNS", part.count + usize::from(k.closes))
        .set("SPANS", tile.units / width)
        .set("WIDTH", width)
        .insert("weights", weights)
        .insert("read_seed", tile.reader("read_seed", Some(Operand::Read(0)), hidden))
        .insert("read_saved", tile.reader("read_saved", read(2), 4 * hidden))
        .insert("read_state", tile.reader("read_state", states, hidden))
        .insert("read_first", tile.reader("read_first", read(4), hidden))
        .insert("read_delta", tile.reader("read_delta", left(k.products()), scan.width()))
        .insert("read_kept", tile.reader("read_kept", left(first_hidden), hidden))
        .insert("read_cell", tile.reader("read_cell", left(first_cell), hidden))
        .insert("store_gates", tile.writer("store_gates", gates, scan.width()))
        .insert("store_products", tile.writer("store_products", products, scan.width()))
        .insert("store_hidden", tile.writer("store_hidden", first_hidden, hidden))
        .insert("store_cell", tile.writer("store_cell", first_cell, hidden));
    let reads = if gated { 5 } else { 3 };
    let kind = tile.kind();
    let bindings = [reads, k.outputs.iter().flatten().count()];
    tile.finish("recurrence_grad", t, scan, part, bindings, |_| kind, target.exact)
}
