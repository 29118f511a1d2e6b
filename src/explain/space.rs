//! The inputs of a model as one row of numbers, and the columns of the data that they come from.

use crate::data::{Dataset, Encoding, Fitted};
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;

/// A column of the data, or a group of columns, and the inputs that it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Name of the column; of a group, the names joined by ` + `.
    pub name: String,
    /// Positions in a point; of windows, those of every step.
    pub inputs: Vec<usize>,
}

/// A category column, whose names are embedded before the first layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// Column name.
    pub name: String,
    /// The trained table, `[vocabulary, width]`.
    pub table: Vec<f32>,
    /// Numbers per name.
    pub width: usize,
}

/// What the numbers of a point are: the numeric features as the model reads them (of windows, step after
/// step), followed by the embedded categories.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    /// Numeric features of a row; of windows, of all steps.
    pub features: usize,
    /// Steps of a window; 1 for other rows.
    pub steps: usize,
    /// Category columns that are embedded, in order.
    pub embedded: Vec<Embedded>,
    /// The columns of the data; empty for pictures.
    pub units: Vec<Unit>,
}

impl Space {
    /// The space of rows like those of `sample`.
    ///
    /// # Errors
    /// If the weights lack the table of a category column.
    pub fn of(fitted: &Fitted, sample: &Dataset, weights: &[NamedTensor]) -> Result<Self, TrainError> {
        let mut embedded = vec![];
        for column in &sample.categories {
            let name = format!("embedding.{}.weight", column.name);
            let table = weights.iter().find(|(known, _, _)| *known == name);
            let missing = || TrainError::Tensor {
                name: name.clone(),
                found: table.map(|(_, shape, _)| shape.clone()),
                expected: vec![column.vocabulary, 1],
            };
            let (_, shape, table) = table
                .filter(|(_, shape, _)| shape.first() == Some(&column.vocabulary))
                .ok_or_else(missing)?;
            let width = shape.get(1).copied().unwrap_or(1);
            embedded.push(Embedded { name: column.name.clone(), table: table.clone(), width });
        }
        let steps = sample.windows.as_ref().map_or(1, |w| w.length);
        let mut space = Self { features: sample.width(), steps, embedded, units: vec![] };
        if fitted.image.is_none() {
            space.units = space.columns(fitted, sample);
        }
        Ok(space)
    }

    /// Numbers of a point.
    pub fn width(&self) -> usize {
        self.features + self.embedded.iter().map(|e| e.width).sum::<usize>()
    }

    /// Numeric features of one step.
    pub fn per_step(&self) -> usize {
        self.features / self.steps.max(1)
    }

    /// The positions of embedded column `at`.
    pub fn embedding(&self, at: usize) -> std::ops::Range<usize> {
        let start = self.features + self.embedded[..at].iter().map(|e| e.width).sum::<usize>();
        start..start + self.embedded[at].width
    }

    /// The columns of the data, in the order of the model's inputs.
    fn columns(&self, fitted: &Fitted, sample: &Dataset) -> Vec<Unit> {
        let mut found: Vec<(String, Vec<usize>)> = vec![];
        let mut add = |name: &str, places: Vec<usize>| match found.iter_mut().find(|(n, _)| n == name) {
            Some((_, known)) => known.extend(places),
            None => found.push((name.into(), places)),
        };
        let mut at = 0;
        let (past, future) =
            fitted.window.as_ref().map_or((&[][..], 0), |window| (&window.past[..], window.future));
        for (name, _) in past {
            add(name, vec![at]);
            at += 1;
        }
        // Whether each of them is missing, where the model is told.
        for (name, _) in past {
            if sample.features.get(at).is_some_and(|title| *title == format!("{name} is missing")) {
                add(name, vec![at]);
                at += 1;
            }
        }
        let (now, ahead) = fitted.columns.split_at(fitted.columns.len() - future.min(fitted.columns.len()));
        for column in now {
            if let Some(of) = self.embedded.iter().position(|e| e.name == column.name) {
                add(&column.name, self.embedding(of).collect());
            } else {
                add(&column.name, (at..at + column.features()).collect());
                at += column.features();
            }
        }
        // Columns known in advance are there once for each predicted step.
        while at < sample.features.len() && ahead.iter().any(|column| column.features() > 0) {
            for column in ahead {
                add(&column.name, (at..at + column.features()).collect());
                at += column.features();
            }
        }
        let width = self.per_step();
        let over_steps = |places: Vec<usize>| -> Vec<usize> {
            let step = |step: usize| places.iter().map(move |&place| (step, place));
            let each = (0..self.steps).flat_map(step);
            each.map(|(step, place)| if place < width { step * width + place } else { place }).collect()
        };
        let units = found.into_iter().filter(|(_, places)| !places.is_empty());
        units.map(|(name, places)| Unit { name, inputs: over_steps(places) }).collect()
    }

    /// Joins columns to groups, each a list of names separated by commas.
    ///
    /// # Errors
    /// If there is no such column, or it is in two groups.
    pub fn group(&mut self, groups: &[String]) -> Result<(), TrainError> {
        for group in groups {
            let mut joined = Unit { name: String::new(), inputs: vec![] };
            let names: Vec<&str> = match self.units.iter().any(|unit| unit.name == *group) {
                true => vec![group],
                false => group.split(',').map(str::trim).collect(),
            };
            let mut place = None;
            for name in names {
                let Some(at) = self.units.iter().position(|unit| unit.name == name) else {
                    let known = self.units.iter().map(|unit| unit.name.as_str());
                    let hint = crate::base::names::nearest(name, known);
                    let problem =
                        format!("names `{name}`, which is no column of the model, or in another group{hint}");
                    return Err(TrainError::Setting { run: None, name: "group", problem });
                };
                let unit = self.units.remove(at);
                place.get_or_insert(at);
                joined.name =
                    if joined.name.is_empty() { unit.name } else { joined.name + " + " + &unit.name };
                joined.inputs.extend(unit.inputs);
            }
            let at = place.unwrap_or(0).min(self.units.len());
            self.units.insert(at, joined);
        }
        Ok(())
    }

    /// The fitted column that a unit is, unless it is a group.
    pub fn encoding<'f>(&self, fitted: &'f Fitted, unit: &Unit) -> Option<&'f Encoding> {
        fitted.columns.iter().find(|column| column.name == unit.name).map(|column| &column.encoding)
    }
}
