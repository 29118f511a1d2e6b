//! `gridlight evaluate`

use std::path::PathBuf;

use clap::Args;
use gridlight::base::number::{Number, figure, shown};
use gridlight::device::DeviceChoice;
use gridlight::plan::align;
use gridlight::run::evaluate::{self, Evaluation, Request, Tempered};
use gridlight::tasks::TargetError;
use gridlight::tasks::series::{HorizonError, SeriesError};
use gridlight::train::quantiles::Interval;
use gridlight::uncertainty::coverage::{Group, Measured};

use super::input::Input;
use super::{Failure, is_exact, open_device, print, print_json};

/// Compute the loss and metrics of a run's best checkpoint.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight evaluate runs/traffic --split validation")]
pub struct Evaluate {
    /// Run directory.
    run: PathBuf,
    /// Evaluate on this file instead of a split of the run's own data; `-` reads a table from standard
    /// input.
    #[arg(long, conflicts_with = "split")]
    data: Option<PathBuf>,
    /// Split to evaluate: train, validation or test; by default test, or validation if there are no test
    /// rows.
    #[arg(long)]
    split: Option<String>,
    /// Latent codes drawn per row of an autoencoder: metrics are means over them, and more draws tighten the
    /// `log_likelihood` estimate (default 32).
    #[arg(long)]
    draws: Option<u32>,
    /// Run of a classifier of images, in whose last hidden features the images that a `gan` draws are compared with
    /// real ones: Frechet distance, precision and recall.
    #[arg(long, value_name = "RUN")]
    features: Option<PathBuf>,
    /// Show how intervals (of numbers) or sets (of classes) hold that should cover this part of the true values, such
    /// as 0.9 [default: `uncertainty.coverage` of the experiment].
    #[arg(long, value_name = "PART")]
    coverage: Option<f64>,
    /// Average as many predictions with other units dropped each time (Monte Carlo dropout).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    dropout_samples: Option<u32>,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub fn run(self) -> Result<(), Failure> {
        let exact = is_exact(&self.run)?;
        let input = self.data.as_deref().map(Input::open).transpose()?;
        let device = open_device(self.device, exact)?;
        let request = Request {
            file: input.as_ref().map(Input::path),
            split: self.split.as_deref(),
            draws: self.draws,
            features: self.features.as_deref(),
            coverage: self.coverage,
            dropout_samples: self.dropout_samples.unwrap_or(0),
        };
        let evaluated = evaluate::evaluate_as(&self.run, &request, &*device);
        let mut evaluation = evaluated.map_err(|e| match &input {
            Some(input) => input.blame(e),
            None => e.into(),
        })?;
        if let Some(input) = &input {
            evaluation.split = input.named(&evaluation.split);
        }
        if self.json {
            print_json(&evaluation)?;
        } else {
            show(&evaluation)?;
        }
        Ok(())
    }
}

/// Prints an evaluation as a table.
///
/// # Errors
/// If it cannot be printed.
pub fn show(evaluation: &Evaluation) -> Result<(), Failure> {
    let weight =
        evaluation.weight.as_ref().map_or_else(String::new, |name| format!(", weighted by `{name}`"));
    let mut rows =
        vec![vec![format!("{} ({} rows{weight})", evaluation.split, evaluation.samples), String::new()]];
    rows.push(vec!["  loss".into(), shown(evaluation.loss.0)]);
    for (name, value) in &evaluation.metrics.0 {
        rows.push(vec![format!("  {name}"), shown(*value)]);
    }
    if let Some(threshold) = evaluation.threshold.filter(|threshold| *threshold != 0.5) {
        rows.push(vec!["  threshold".into(), shown(threshold)]);
    }
    let mut text = align(&rows, &[1]);
    if let (Some(scores), Some(classes)) = (&evaluation.per_class, &evaluation.classes) {
        let mut table = vec![["  class", "precision", "recall", "F1", "rows"].map(String::from).to_vec()];
        for (class, score) in classes.iter().zip(scores) {
            let numbers = [score.precision, score.recall, score.f1];
            let number = |x: Number| if x.0.is_nan() { "-".to_string() } else { shown(x.0) };
            let positive = if evaluation.positive.as_ref() == Some(class) { " (positive)" } else { "" };
            let mut row = vec![format!("  {class}{positive}")];
            row.extend(numbers.map(number));
            row.push(score.samples.to_string());
            table.push(row);
        }
        text += "\n";
        text += &align(&table, &[1, 2, 3, 4]);
    }
    text += &by_target(&evaluation.by_target);
    text += &evaluation.temperature.as_ref().map_or_else(String::new, tempered);
    text += &evaluation.conformal.as_ref().map_or_else(String::new, conformal);
    text += &intervals(&evaluation.intervals);
    if !evaluation.by_horizon.is_empty() {
        let head = ["  horizon", "mae", "naive mae", "seasonal mae"].map(String::from).to_vec();
        let row = |e: &HorizonError| {
            let seasonal = e.baseline_seasonal_mae.map_or_else(String::new, shown);
            vec![format!("  {}", e.horizon), shown(e.mae), shown(e.baseline_naive_mae), seasonal]
        };
        let table: Vec<Vec<String>> =
            std::iter::once(head).chain(evaluation.by_horizon.iter().map(row)).collect();
        text += &align(&table, &[1, 2, 3]);
    }
    text += &by_series(&evaluation.by_series);
    if let (Some(confusion), Some(classes)) = (&evaluation.confusion, &evaluation.classes) {
        let mut table = vec![vec!["  true \\ predicted".to_string()]];
        table[0].extend(classes.iter().cloned());
        for (class, counts) in classes.iter().zip(confusion) {
            let mut row = vec![format!("  {class}")];
            row.extend(counts.iter().map(usize::to_string));
            table.push(row);
        }
        let right: Vec<usize> = (1..=classes.len()).collect();
        text += "\n";
        text += &align(&table, &right);
    }
    print(&text)
}

/// The errors of each target, as a table.
fn by_target(errors: &[TargetError]) -> String {
    if errors.is_empty() {
        return String::new();
    }
    let head = ["  target", "mae", "rmse", "r2", "baseline mae", "baseline rmse"].map(String::from).to_vec();
    let row = |e: &TargetError| {
        let numbers = [e.mae, e.rmse, e.r2, e.baseline_mae, e.baseline_rmse].map(|x| shown(x.0));
        std::iter::once(format!("  {}", e.target)).chain(numbers).collect()
    };
    let table: Vec<Vec<String>> = std::iter::once(head).chain(errors.iter().map(row)).collect();
    format!("\n{}", align(&table, &[1, 2, 3, 4, 5]))
}

/// What a temperature changed.
fn tempered(found: &Tempered) -> String {
    format!(
        "\n  temperature {}: ece was {} and log_loss {} without it\n",
        shown(found.temperature),
        shown(found.ece_before.0),
        shown(found.log_loss_before.0)
    )
}

/// How intervals or sets hold that were asked for, on the whole and by group, as a table.
fn conformal(found: &Measured) -> String {
    const SHOWN: usize = 40;
    let percent = |x: f64| format!("{} %", figure(100.0 * x));
    let asked = &found.asked;
    let (what, size) = match asked.mean_size {
        Some(size) => ("sets", size),
        None => ("intervals", asked.mean_width.unwrap_or(Number(f64::NAN))),
    };
    let unit = if asked.mean_size.is_some() { "mean classes" } else { "mean width" };
    let title = format!("  {what} of {}", percent(asked.level));
    let mut table = vec![[&title, "values", "coverage", unit].map(String::from).to_vec()];
    table.push(vec!["  all".into(), String::new(), percent(asked.coverage.0), shown(size.0)]);
    let row = |group: &Group| {
        let name = format!("  {}", group.group);
        vec![name, group.values.to_string(), percent(group.coverage.0), shown(group.mean_size.0)]
    };
    table.extend(found.by_target.iter().chain(&found.by_group).take(SHOWN).map(row));
    let more = match (found.by_target.len() + found.by_group.len()).saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("  and {more} more groups; --json has all\n"),
    };
    let how = if found.adaptive { ", and with the errors made so far" } else { "" };
    let empty = asked.empty.filter(|part| part.0 > 0.0);
    let empty = empty.map_or_else(String::new, |part| format!("; {} of the sets are empty", percent(part.0)));
    format!(
        "\n{}{more}  calibrated with {} validation rows{how}{empty}\n",
        align(&table, &[1, 2, 3]),
        found.calibration_rows
    )
}

/// How well intervals hold, as a table.
fn intervals(intervals: &[Interval]) -> String {
    if intervals.is_empty() {
        return String::new();
    }
    let head = ["  interval", "coverage", "mean width"].map(String::from).to_vec();
    let row = |i: &Interval| {
        vec![format!("  {} %", figure(100.0 * i.level)), shown(i.coverage.0), shown(i.mean_width.0)]
    };
    let table: Vec<Vec<String>> = std::iter::once(head).chain(intervals.iter().map(row)).collect();
    align(&table, &[1, 2])
}

/// The errors of each series as a table: of so many at most that one reads it.
fn by_series(errors: &[SeriesError]) -> String {
    const SHOWN: usize = 20;
    if errors.is_empty() {
        return String::new();
    }
    let mut table = vec![
        ["  series", "rows", "mae", "smape", "mase", "naive mae", "seasonal mae"].map(String::from).to_vec(),
    ];
    let number = |x: Option<f64>| x.map_or_else(String::new, |x| format!("{x:.4}"));
    for e in errors.iter().take(SHOWN) {
        let numbers =
            [Some(e.mae), Some(e.smape), e.mase, Some(e.baseline_naive_mae), e.baseline_seasonal_mae];
        let mut row = vec![format!("  {}", e.series), e.samples.to_string()];
        row.extend(numbers.map(number));
        table.push(row);
    }
    let more = match errors.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("  and {more} more series; --json has all\n"),
    };
    format!("\n{}{more}", align(&table, &[1, 2, 3, 4, 5, 6]))
}
