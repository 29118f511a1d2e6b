//! The page of a study: the best so far, which settings matter, and the metric against each of them.

use std::fmt::Write;

use super::bars::{Bar, bars};
use super::svg::{Axis as Scale, Plot, Series, escape};
use super::tables::table;
use super::{head, section};
use crate::base::number::figure;

/// Keys shown one by one at most.
const SLICES: usize = 16;
/// Characters of a choice that fit.
const NAME: usize = 22;

/// A searched key.
pub struct Axis {
    /// The key.
    pub name: String,
    /// What may be chosen; empty for numbers.
    pub choices: Vec<String>,
    /// Whether numbers are searched by factors.
    pub logarithmic: bool,
    /// The least and the largest number.
    pub ends: (f64, f64),
}

/// A trial.
pub struct Trial {
    /// Its number, from 1.
    pub number: usize,
    /// How it stands.
    pub state: &'static str,
    /// The metric; `None` if it failed.
    pub value: Option<f64>,
    /// Whether it was trained to the end.
    pub finished: bool,
    /// Epochs it was trained.
    pub epochs: usize,
    /// Seconds it was trained.
    pub seconds: f64,
    /// The numbers of its setting; the number of a choice.
    pub numbers: Vec<Option<f64>>,
    /// Where they lie in their range, from 0 to 1.
    pub places: Vec<Option<f64>>,
}

/// A part of the training of a trial, in the order of time.
pub struct Part {
    /// Epochs of all trials up to here.
    pub spent: usize,
    /// The metric of the trial at its end.
    pub value: f64,
    /// Whether the trial was trained to its end.
    pub finished: bool,
}

/// The contents of the page.
pub struct Page<'a> {
    /// Name of the study.
    pub name: &'a str,
    /// The metric.
    pub metric: &'a str,
    /// Whether larger values of it are better.
    pub larger_is_better: bool,
    /// The rows that judge trials.
    pub rows: String,
    /// The searched keys.
    pub axes: Vec<Axis>,
    /// All trials in order.
    pub trials: Vec<Trial>,
    /// All parts of trainings in order.
    pub parts: Vec<Part>,
    /// The number of the best trial.
    pub best: Option<usize>,
    /// The part of the variance that each key alone explains; empty if it is not known.
    pub importance: &'a [f64],
}

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let of = |state: &str| self.trials.iter().filter(|trial| trial.state == state).count();
        let counts: Vec<String> = ["finished", "paused", "diverged", "refused"]
            .into_iter()
            .filter(|state| of(state) > 0)
            .map(|state| format!("{} {state}", of(state)))
            .collect();
        let better = if self.larger_is_better { "larger" } else { "smaller" };
        let subtitle =
            format!("{} of the {}, {better} is better · {}", self.metric, self.rows, counts.join(", "));
        let mut page = head(self.name, &subtitle);
        page += &self.tiles();
        page += &section("Best so far", &self.progress());
        if !self.importance.is_empty() {
            page += &section("Which settings matter", &self.importances());
        }
        page += &section("All settings at once", &self.parallel());
        let slices: String = self.order().into_iter().take(SLICES).map(|at| self.slice(at)).collect();
        page += &section("One setting at a time", &format!("<div class=\"pictures\">\n{slices}</div>\n"));
        page += &section("Trials", &self.table());
        page + "</body>\n</html>\n"
    }

    fn tiles(&self) -> String {
        let best = self.best.and_then(|best| self.trials.iter().find(|trial| trial.number == best));
        let mut tiles = vec![];
        if let Some(best) = best {
            tiles.push((best.value.map_or_else(String::new, figure), format!("best {}", self.metric)));
            tiles.push((best.number.to_string(), "trial".into()));
            for ((axis, number), _) in self.axes.iter().zip(&best.numbers).zip(0..6) {
                if let Some(number) = number {
                    tiles.push((axis.shown(*number), axis.name.clone()));
                }
            }
        }
        let spent = self.parts.last().map_or(0, |part| part.spent);
        tiles.push((spent.to_string(), "epochs in all".into()));
        let tile = |(value, label): &(String, String)| {
            format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", escape(value), escape(label))
        };
        format!("<div class=\"tiles\">\n{}</div>\n", tiles.iter().map(tile).collect::<String>())
    }

    /// The best of the values so far, of trials that were trained to the end.
    fn best_so_far(&self, points: impl Iterator<Item = (f64, f64, bool)>) -> Vec<(f64, f64)> {
        let mut best: Option<f64> = None;
        let mut line = vec![];
        for (x, value, counts) in points {
            let better = |best: f64| if self.larger_is_better { best.max(value) } else { best.min(value) };
            if counts {
                best = Some(best.map_or(value, better));
            }
            line.extend(best.map(|best| (x, best)));
        }
        line
    }

    fn progress(&self) -> String {
        let by_trial = self.trials.iter().filter_map(|t| Some((t.number as f64, t.value?, t.finished)));
        let by_epochs = self.parts.iter().map(|part| (part.spent as f64, part.value, part.finished));
        let mut figures = String::new();
        for (title, label, points) in [
            ("By trial", "trial", by_trial.collect::<Vec<_>>()),
            ("By epochs of all trials", "epochs", by_epochs.collect()),
        ] {
            let best = self.best_so_far(points.iter().copied());
            let series =
                [Series { name: "best of those trained to the end", class: "validation", points: best }];
            let all = || points.iter().map(|p| p.1);
            let mut plot = Plot::new(
                Scale::around(points.iter().map(|p| p.0), false),
                Scale::around(all(), true),
                label,
                self.metric,
            );
            for (x, value, _) in &points {
                let (x, y) = plot.at(*x, *value);
                plot.add(&format!("<circle class=\"point\" style=\"fill-opacity: 0.7\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>"));
            }
            plot.line(&series[0]);
            plot.legend(&series);
            figures += &plot.finish(title);
        }
        format!("<div class=\"pictures\">\n{figures}</div>\n")
    }

    /// The keys by importance.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.axes.len()).collect();
        let of = |at: usize| self.importance.get(at).copied().unwrap_or(0.0);
        order.sort_by(|&a, &b| of(b).total_cmp(&of(a)).then(a.cmp(&b)));
        order
    }

    fn importances(&self) -> String {
        let all: Vec<Bar> = self
            .order()
            .into_iter()
            .map(|at| Bar { name: &self.axes[at].name, value: self.importance[at], deviation: None })
            .collect();
        format!(
            "<p>The part of the variance of the {} over the searched space that each setting explains alone: a \
             functional analysis of variance (Hutter et al. 2014) on a forest of 64 regression trees, scaled to a \
             sum of 1. It is about the whole space, bad settings included, not about the neighbourhood of the \
             best.</p>\n<div class=\"pictures\">\n{}</div>\n",
            escape(self.metric),
            bars("Importance", &all)
        )
    }

    /// Trials with a metric, the worst first, each with its place among them from 0 (best) to 1.
    fn ranked(&self) -> Vec<(f64, &Trial)> {
        let mut known: Vec<&Trial> = self.trials.iter().filter(|trial| trial.value.is_some()).collect();
        let value =
            |trial: &Trial| trial.value.unwrap_or(0.0) * if self.larger_is_better { 1.0 } else { -1.0 };
        known.sort_by(|a, b| value(a).total_cmp(&value(b)).then(b.number.cmp(&a.number)));
        let last = known.len().saturating_sub(1).max(1) as f64;
        known.into_iter().enumerate().map(|(at, trial)| (1.0 - at as f64 / last, trial)).collect()
    }

    /// Parallel coordinates: an axis for each key and one for the metric, a line for each trial.
    fn parallel(&self) -> String {
        const STEP: f64 = 150.0;
        const SIDE: f64 = 76.0;
        const TOP: f64 = 44.0;
        const HEIGHT: f64 = 240.0;
        let ranked = self.ranked();
        let values = || ranked.iter().filter_map(|(_, trial)| trial.value);
        let scale = Scale::around(values(), true);
        let width = 2.0 * SIDE + STEP * self.axes.len() as f64;
        let y = |part: f64| TOP + HEIGHT * (1.0 - part);
        let mut body = String::new();
        for (rank, trial) in &ranked {
            let places = trial.places.iter().copied().chain([trial.value.map(|value| scale.part(value))]);
            let mut path = String::new();
            for (at, place) in places.enumerate() {
                if let Some(place) = place {
                    let start = if path.is_empty() { "M" } else { "L" };
                    // Writing to a string cannot fail.
                    let _ = write!(path, "{start}{:.1} {:.1}", SIDE + STEP * at as f64, y(place));
                }
            }
            let is_best = self.best == Some(trial.number);
            let (thick, solid) = if is_best { (3.0, 1.0) } else { (1.2, 0.75 - 0.5 * rank) };
            // From orange (best) to blue.
            let hue = 28.0 + 187.0 * rank;
            let _ = writeln!(
                body,
                "<path d=\"{path}\" fill=\"none\" stroke=\"hsl({hue:.0} 75% 52%)\" stroke-width=\"{thick}\" \
                 stroke-opacity=\"{solid:.2}\"><title>trial {}: {}</title></path>",
                trial.number,
                trial.value.map_or_else(String::new, figure)
            );
        }
        let metric = (self.metric, figure(scale.low), figure(scale.high));
        let ends = |axis: &Axis| match axis.choices.is_empty() {
            true => (figure(axis.ends.0), figure(axis.ends.1)),
            false => (axis.shown(axis.ends.0), axis.shown(axis.ends.1)),
        };
        let labels = self.axes.iter().map(|axis| {
            let (low, high) = ends(axis);
            (axis.name.as_str(), low, high)
        });
        for (at, (name, low, high)) in labels.chain([metric]).enumerate() {
            let x = SIDE + STEP * at as f64;
            // Neighbouring names have a line each.
            let above = if at % 2 == 0 { 14.0 } else { 0.0 };
            let _ = writeln!(
                body,
                "<line class=\"axis\" x1=\"{x}\" x2=\"{x}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"column\" x=\"{x}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>\
                 <text x=\"{:.0}\" y=\"{:.0}\">{}</text><text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
                12.0 + above,
                escape(name),
                x + 5.0,
                TOP + 10.0,
                escape(&short(&high)),
                x + 5.0,
                TOP + HEIGHT + 14.0,
                escape(&short(&low)),
                bottom = TOP + HEIGHT,
            );
        }
        let height = TOP + HEIGHT + 22.0;
        format!(
            "<p>A line for each trial, from blue (worst) to orange (best); the best is thick. Where a setting does \
             not exist, a line passes it by.</p>\n<figure class=\"broad\"><figcaption>Trials</figcaption>\n\
             <svg viewBox=\"0 0 {width:.0} {height:.0}\" style=\"min-width: {least:.0}px\" role=\"img\" \
             aria-label=\"Trials\">\n{body}</svg></figure>\n",
            least = 0.75 * width
        )
    }

    /// The metric against a key.
    fn slice(&self, at: usize) -> String {
        let axis = &self.axes[at];
        let points: Vec<(f64, f64, bool)> = self
            .trials
            .iter()
            .filter_map(|t| Some((t.numbers[at]?, t.value?, self.best == Some(t.number))))
            .collect();
        if !axis.choices.is_empty() {
            return self.lanes(axis, &points);
        }
        let x = Scale::around(points.iter().map(|p| p.0), axis.logarithmic);
        let y = Scale::around(points.iter().map(|p| p.1), true);
        let mut plot = Plot::new(x, y, &axis.name, self.metric);
        for (number, value, is_best) in points {
            let (x, y) = plot.at(number, value);
            plot.add(&dot(x, y, is_best));
        }
        plot.finish(&axis.name)
    }

    /// The metric for each choice, a line for each.
    fn lanes(&self, axis: &Axis, points: &[(f64, f64, bool)]) -> String {
        const WIDTH: f64 = 560.0;
        const LEFT: f64 = 168.0;
        const LINE: f64 = 26.0;
        let scale = Scale::around(points.iter().map(|p| p.1), true);
        let at = |value: f64| LEFT + (WIDTH - LEFT - 20.0) * scale.part(value);
        let mut body = String::new();
        let bottom = LINE * axis.choices.len() as f64;
        for tick in scale.ticks().into_iter().step_by(2) {
            let (x, y) = (at(tick), bottom + 16.0);
            let _ = writeln!(
                body,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{bottom}\"/>\
                 <text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                figure(tick)
            );
        }
        for (line, choice) in axis.choices.iter().enumerate() {
            let middle = LINE * (line as f64 + 0.5);
            let _ = writeln!(
                body,
                "<text class=\"column\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 10.0,
                middle + 4.0,
                escape(&short(choice.trim_matches('"')))
            );
            let here = points.iter().filter(|p| p.0 as usize == line);
            for (number, (_, value, is_best)) in here.enumerate() {
                // A little up and down, so that equal values are told apart.
                let y = middle + 3.0 * (number % 5) as f64 - 6.0;
                body += &dot(at(*value), y, *is_best);
            }
        }
        let (name, metric) = (escape(&axis.name), escape(self.metric));
        format!(
            "<figure><figcaption>{name}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" \
             aria-label=\"{name}\">\n{body}<text class=\"label\" x=\"{:.0}\" y=\"{:.0}\" \
             text-anchor=\"middle\">{metric}</text></svg></figure>\n",
            bottom + 40.0,
            (LEFT + WIDTH) / 2.0,
            bottom + 34.0
        )
    }

    fn table(&self) -> String {
        let titles = ["trial", "state", "epochs", "seconds", self.metric];
        let head: Vec<&str> =
            titles.into_iter().chain(self.axes.iter().map(|axis| axis.name.as_str())).collect();
        let row = |trial: &&Trial| {
            let value = trial.value.map_or_else(|| "–".into(), figure);
            let numbers = self.axes.iter().zip(&trial.numbers);
            let settings = numbers.map(|(axis, n)| n.map_or_else(|| "–".into(), |n| axis.shown(n)));
            let fixed = [
                trial.number.to_string(),
                trial.state.into(),
                trial.epochs.to_string(),
                figure(trial.seconds),
                value,
            ];
            fixed.into_iter().chain(settings).collect::<Vec<String>>()
        };
        let mut best_first: Vec<&Trial> = self.ranked().into_iter().rev().map(|(_, trial)| trial).collect();
        best_first.sort_by_key(|trial| !trial.finished);
        best_first.extend(self.trials.iter().filter(|trial| trial.value.is_none()));
        table(&head, &best_first.iter().map(row).collect::<Vec<_>>(), 2)
    }
}

impl Axis {
    /// A value for people.
    pub fn shown(&self, number: f64) -> String {
        match self.choices.get(number as usize) {
            Some(choice) => choice.trim_matches('"').to_string(),
            None if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number}"),
            None => figure(number),
        }
    }
}

fn dot(x: f64, y: f64, is_best: bool) -> String {
    match is_best {
        true => format!("<circle class=\"curve validation\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\"/>\n"),
        false => format!(
            "<circle class=\"point\" style=\"fill-opacity: 0.7\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>\n"
        ),
    }
}

fn short(text: &str) -> String {
    match text.chars().count() {
        0..=NAME => text.into(),
        _ => text.chars().take(NAME - 1).chain(['…']).collect(),
    }
}
