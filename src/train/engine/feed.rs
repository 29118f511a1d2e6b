//! Rows that are not all on the device: some at a time are sent to it, while it works on those that were sent before.
//!
//! The device has two places for them, which take turns, and a thread gathers the next ones from where they are kept.
//! Batches hold the same words as if all rows were there, so that every result has the same bits.

use std::sync::Arc;

use crate::data::stored::Stored;
use crate::data::{Dataset, Target};
use crate::device::{Run, Session};
use crate::nn::inputs;
use crate::plan::{DataLayout, DataSpec};
use crate::train::TrainError;

/// Bytes of rows sent at once, unless the data say.
const SENT: usize = 8 << 20;

/// The rows of a data set, and which of them are on the device.
pub(super) struct Feed {
    columns: Vec<Column>,
    /// First stored row of each sample; empty where each sample is one row.
    starts: Vec<u32>,
    /// The samples in the order in which batches take them.
    order: Vec<u32>,
    sent: Sent,
    /// What each place holds: these rows of the order, counted in parts as large as a place.
    there: Vec<Option<usize>>,
    /// The next part, as words of each column.
    ahead: Option<(usize, Vec<Vec<u32>>)>,
}

/// How rows are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Rows sent at once, whole steps.
    pub rows: usize,
    /// Places for as many: 1 where they are all, else 2.
    pub places: usize,
}

impl Sent {
    /// How rows of `data`, laid out as `spec` says, are sent in `total` rows of `unit` rows each.
    pub fn of(data: &Dataset, spec: &DataSpec, unit: usize, total: usize) -> Self {
        let words: usize = spec.columns.iter().map(|column| column.row_words()).sum();
        let bytes = if data.sent_bytes == 0 { SENT } else { data.sent_bytes };
        let units = total.div_ceil(unit.max(1)).max(1);
        let count = (bytes / (4 * words * unit).max(1)).clamp(1, units);
        Self { rows: count * unit.max(1), places: if count == units { 1 } else { 2 } }
    }

    /// Rows that are on the device.
    pub fn room(&self) -> usize {
        self.rows * self.places
    }
}

/// Where the words of a column of batches are.
struct Column {
    name: String,
    words: Words,
    /// Words of a row that a sample begins with, words before the first, and words of a sample.
    stride: usize,
    offset: usize,
    width: usize,
    bounds: bool,
}

enum Words {
    Stored(Arc<Stored>),
    Memory(Vec<u32>),
}

impl Words {
    fn of(data: &Dataset, name: &str) -> Self {
        match &data.stored {
            Some(stored) if name == inputs::X => Self::Stored(stored.clone()),
            _ => Self::Memory(words(data, name)),
        }
    }
}

impl Column {
    /// Appends the words of samples that begin at these rows.
    fn gather(&self, rows: impl Iterator<Item = usize>, words: &mut Vec<u32>) -> std::io::Result<()> {
        match &self.words {
            Words::Stored(stored) => stored.read(rows, self.width / stored.width().max(1), words),
            Words::Memory(all) => {
                for row in rows {
                    let end = words.len() + self.width;
                    let start = (row * self.stride + self.offset).min(all.len());
                    words.extend_from_slice(&all[start..(start + self.width).min(all.len())]);
                    words.resize(end, 0);
                }
                Ok(())
            }
        }
    }
}

impl Feed {
    /// Sends the rows of `data`, which `spec` lays out as if all were on the device.
    pub fn new(data: &Dataset, spec: &DataSpec, sent: Sent) -> Self {
        let columns = spec.columns.iter().map(|column| {
            let width = column.row_words();
            let words = Words::of(data, &column.name);
            let bounds = data.bounds.is_some() && data.pixels.is_none() && column.name == inputs::X;
            let (stride, offset) = (column.stride, column.offset);
            Column { name: column.name.clone(), words, stride, offset, width, bounds }
        });
        Self {
            columns: columns.collect(),
            starts: starts(data),
            order: vec![],
            sent,
            there: vec![None; sent.places],
            ahead: None,
        }
    }

    /// Batches from another order of samples.
    pub fn set_order(&mut self, order: &[u32]) {
        self.order = order.to_vec();
        self.forget();
    }

    /// The rows of another data set with the same columns.
    pub fn replace(&mut self, data: &Dataset) {
        for column in &mut self.columns {
            column.words = Words::of(data, &column.name);
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.there.fill(None);
        self.ahead = None;
    }

    /// Rows that are sent at once.
    pub fn rows(&self) -> usize {
        self.sent.rows
    }

    /// The words of part `part` of the order, column by column.
    fn part(&self, part: usize, bounds: &Bounds) -> Result<Vec<Vec<u32>>, TrainError> {
        let rows = self.sent.rows;
        let place = (part * rows).min(self.order.len())..((part + 1) * rows).min(self.order.len());
        self.gather(&self.order[place], bounds)
    }

    /// The words of samples, column by column.
    fn gather(&self, samples: &[u32], bounds: &Bounds) -> Result<Vec<Vec<u32>>, TrainError> {
        let row = |&sample: &u32| self.starts.get(sample as usize).copied().unwrap_or(sample) as usize;
        let mut all = vec![];
        for column in &self.columns {
            let mut words = Vec::with_capacity(samples.len() * column.width);
            column.gather(samples.iter().map(row), &mut words).map_err(|e| TrainError::Io {
                path: "the file of encoded rows".into(),
                reason: e.to_string(),
            })?;
            if let (true, Some([low, high])) = (column.bounds, bounds) {
                words.iter_mut().for_each(|word| *word = f32::from_bits(*word).clamp(*low, *high).to_bits());
            }
            all.push(words);
        }
        Ok(all)
    }

    /// Writes words of rows into a place.
    fn write(
        &self,
        session: &mut dyn Session,
        layout: &DataLayout,
        place: usize,
        words: &[Vec<u32>],
    ) -> Result<(), TrainError> {
        for (column, words) in self.columns.iter().zip(words) {
            let parts = layout.columns.iter().filter(|(name, _)| *name == column.name);
            let first = place * self.sent.rows * column.width;
            for part in parts.flat_map(|(_, parts)| parts) {
                let start = first.max(part.first);
                let end = (first + words.len()).min(part.first + part.slice.words);
                if start < end {
                    let at = part.slice.start + start - part.first;
                    session.write(part.slice.buffer, at, &words[start - first..end - first])?;
                }
            }
        }
        Ok(())
    }

    /// Runs phases for batches of the order, and sends what they need.
    pub fn run(
        &mut self,
        session: &mut dyn Session,
        layout: &DataLayout,
        runs: &[Run],
        bounds: &Bounds,
    ) -> Result<(), TrainError> {
        let rows = self.sent.rows;
        let part_of = |run: &Run| run.step.batch_start as usize / rows;
        for runs in runs.chunk_by(|a, b| part_of(a) == part_of(b)) {
            let part = part_of(&runs[0]);
            let place = part % self.sent.places;
            if self.there[place] != Some(part) {
                let words = match self.ahead.take() {
                    Some((at, words)) if at == part => words,
                    _ => self.part(part, bounds)?,
                };
                self.write(session, layout, place, &words)?;
                self.there[place] = Some(part);
            }
            let moved = |run: &Run| {
                let mut run = *run;
                run.step.batch_start = (place * rows + run.step.batch_start as usize - part * rows) as u32;
                run
            };
            let moved: Vec<Run> = runs.iter().map(moved).collect();
            let next = part + 1;
            let wanted = next * rows < self.order.len() && self.ahead.is_none();
            if !wanted || self.there.contains(&Some(next)) {
                session.run_all(&moved)?;
                continue;
            }
            let words = std::thread::scope(|scope| {
                let feed = &*self;
                let gathering = scope.spawn(move || feed.part(next, bounds));
                session.run_all(&moved)?;
                gathering.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })?;
            self.ahead = Some((next, words));
        }
        Ok(())
    }

    /// Puts these samples on the device, from the first place on.
    pub fn put(
        &mut self,
        session: &mut dyn Session,
        layout: &DataLayout,
        samples: &[u32],
        bounds: &Bounds,
    ) -> Result<(), TrainError> {
        self.forget();
        let words = self.gather(samples, bounds)?;
        self.write(session, layout, 0, &words)
    }
}

/// The range in which features count, if they are bounded.
pub(super) type Bounds = Option<[f32; 2]>;

/// The words of a column of a data set in memory.
pub(super) fn words(data: &Dataset, name: &str) -> Vec<u32> {
    if let Some(text) = &data.text {
        // The targets are the same text.
        return text.symbols.clone();
    }
    let column = data.categories.iter().find(|c| inputs::category_source(&c.name) == name);
    match (&data.target, &data.documents) {
        (_, Some(documents)) if name == inputs::LENGTH => documents.lengths.clone(),
        (_, Some(documents)) if name == inputs::X => documents.symbols.clone(),
        _ if name == inputs::X => match &data.pixels {
            Some(pixels) => pixels.words().to_vec(),
            None => bytemuck::cast_slice(&data.x).to_vec(),
        },
        (Some(target), _) if name == inputs::Y => Target::words(target),
        _ if name == inputs::WEIGHT => data.weights.iter().map(|&w| (w as f32).to_bits()).collect(),
        _ => column.map_or_else(|| words_of_graphs(data, name), |c| c.ids.clone()),
    }
}

/// The words of a column of graphs.
fn words_of_graphs(data: &Dataset, name: &str) -> Vec<u32> {
    let Some(graphs) = &data.graphs else { return vec![] };
    let floats = |floats: &[f32]| bytemuck::cast_slice(floats).to_vec();
    match name {
        inputs::LENGTH => graphs.counts.clone(),
        inputs::NODES => floats(&graphs.x),
        inputs::LINKS => graphs.links.clone(),
        inputs::NORMALISED => floats(&graphs.normalised),
        inputs::AVERAGED => floats(&graphs.averaged),
        _ => {
            let column = graphs.categories.iter().find(|c| inputs::node_source(&c.name) == name);
            column.map_or_else(Vec::new, |c| c.ids.clone())
        }
    }
}

/// First stored row of each sample; empty where each sample is one row.
pub(super) fn starts(data: &Dataset) -> Vec<u32> {
    data.windows.as_ref().map(|w| w.starts.clone()).unwrap_or_default()
}
