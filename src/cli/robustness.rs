//! `gridlight robustness`

use std::path::PathBuf;

use clap::Args;
use gridlight::base::number::{Number, shown};
use gridlight::device::DeviceChoice;
use gridlight::explain::found::{ColumnStress, Robustness as Found, Strengths};
use gridlight::plan::align;
use gridlight::run::explain::Selection;
use gridlight::run::robustness::{self, Request};

use super::explain::{bar, range};
use super::input::Input;
use super::results::{Place, write_files};
use super::{Failure, is_exact, open_device, print, print_json, tell};

/// Attack a model and wear its inputs: how fast the error grows with noise, adversarial changes and missing
/// values.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight robustness runs/digits --radii 0.05,0.1,0.2 --restarts 5\n  \
                  gridlight robustness runs/houses --rows 1..1000 --output robustness.html\n\n\
                  Radii are in standard deviations of each column over the training rows, and for \
                  pictures in parts of the distance from black to white.")]
pub struct Robustness {
    /// Run directory.
    run: PathBuf,
    /// Attack the rows of this file, which has the target, instead of a split of the run's own data; `-`
    /// reads a table from standard input.
    #[arg(long, conflicts_with = "split")]
    input: Option<PathBuf>,
    /// Split to attack: train, validation or test; by default test, or validation if there are no test rows.
    #[arg(long)]
    split: Option<String>,
    /// Attack these rows only: the first and the last, counted from 1 [default: 500 rows drawn at random].
    #[arg(long, value_name = "A..B", value_parser = range)]
    rows: Option<(usize, usize)>,
    /// Radii of the largest change of any input, ascending.
    #[arg(long, value_name = "R,...", value_delimiter = ',')]
    radii: Vec<f64>,
    /// Radii of the root of the sum of squared changes, ascending.
    #[arg(long, value_name = "R,...", value_delimiter = ',')]
    radii_l2: Vec<f64>,
    /// Steps of projected gradient descent.
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Its beginnings: the row itself, then random points within the radius.
    #[arg(long, default_value_t = 2)]
    restarts: usize,
    /// Certify classes by randomised smoothing with noise of this standard deviation, in the units of radii.
    #[arg(long, value_name = "DEVIATION")]
    smoothing: Option<f64>,
    /// Draws of each row for that.
    #[arg(long, default_value_t = 1000, requires = "smoothing")]
    draws: usize,
    /// The metric to show [default: the first that `evaluate` prints].
    #[arg(long)]
    metric: Option<String>,
    /// Seed of noise and beginnings.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write the page and the numbers: a folder for all of them, or an .html or .json file [default:
    /// the folder `robustness` in the run directory; nothing with --json].
    #[arg(long)]
    output: Option<PathBuf>,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl Robustness {
    pub fn run(self) -> Result<(), Failure> {
        let place = Place::of(self.output.as_deref(), &self.run, "robustness", self.json)?;
        let exact = is_exact(&self.run)?;
        let input = self.input.as_deref().map(Input::open).transpose()?;
        let device = open_device(self.device, exact)?;
        let request = Request {
            selection: Selection {
                input: input.as_ref().map(Input::path),
                split: self.split.as_deref(),
                rows: self.rows,
            },
            radii: &self.radii,
            radii_l2: &self.radii_l2,
            steps: self.steps,
            restarts: self.restarts,
            smoothing: self.smoothing,
            draws: self.draws,
            metric: self.metric.as_deref(),
            seed: self.seed,
        };
        let tested = robustness::robustness(&self.run, &request, &*device);
        let mut tested = tested.map_err(|e| match &input {
            Some(input) => input.blame(e),
            None => e.into(),
        })?;
        if let Some(input) = &input {
            tested.found.split = input.named(&tested.found.split);
            tested.html = input.named(&tested.html);
        }
        for note in &tested.found.notes {
            tell(format_args!("note: {note}"));
        }
        if let Some(place) = &place {
            write_files("the robustness", place, &tested.files())?;
        }
        if self.json { print_json(&tested.found) } else { print(&text(&tested.found)) }
    }
}

/// Columns shown at most; files have all.
const SHOWN: usize = 12;

fn text(found: &Found) -> String {
    let mut text = format!(
        "{}: {} rows of {}, `{}` {} as they are\n",
        found.subject,
        found.rows,
        found.split,
        found.metric,
        shown(found.clean.0)
    );
    for norm in ["linf", "l2"] {
        let of: Vec<&Strengths> = found.attacks.iter().filter(|of| of.norm == Some(norm)).collect();
        if let Some(first) = of.first() {
            text += &format!("\n`{}` by radius, {norm}\n", found.metric);
            text += &strengths(&first.strengths, &of);
        }
    }
    for of in &found.changes {
        text += &format!("\n`{}` by {}\n{}", found.metric, of.change, strengths(&of.strengths, &[of]));
    }
    if !found.columns.is_empty() {
        let largest = found.columns[0].worst.0;
        let row = |c: &ColumnStress| {
            let number = |x: Option<Number>| x.map_or_else(String::new, |x| shown(x.0));
            let one_off = c.shifted.iter().find(|(by, _)| *by == 1.0).map(|(_, value)| *value);
            let cells = [number(c.deviation), number(one_off), number(c.missing), shown(c.worst.0)];
            [vec![format!("  {}", c.column)], cells.to_vec(), vec![bar(c.worst.0, largest)]].concat()
        };
        let head =
            ["  column", "one dev. is", "one dev. up", "missing", "worst by", ""].map(String::from).to_vec();
        let rows: Vec<Vec<String>> =
            std::iter::once(head).chain(found.columns.iter().take(SHOWN).map(row)).collect();
        text += &format!(
            "\nweakest columns: `{}` when one is {}\n{}",
            found.metric,
            match found.columns[0].stuck.is_empty() {
                true => "missing, shifted or scaled",
                false => "shifted, stuck or late",
            },
            align(&rows, &[1, 2, 3, 4])
        );
    }
    if let Some(of) = &found.smoothing {
        let line = |name: &str, values: &[f64]| {
            std::iter::once(name.to_string()).chain(values.iter().map(|x| shown(*x))).collect::<Vec<String>>()
        };
        let rows = [line("  radius, l2", &of.radii), line("  right and certain", &of.certified)];
        text += &format!(
            "\nclasses under noise of {}, of {} draws each; {} of {} rows are uncertain\n{}",
            of.deviation,
            of.draws,
            of.abstained,
            found.rows,
            align(&rows, &(1..=of.radii.len()).collect::<Vec<usize>>())
        );
    }
    if !found.checks.is_empty() {
        text += "\nchecks of the attacks\n";
    }
    for check in &found.checks {
        let (mark, detail) = if check.holds { ("ok", "") } else { ("no", check.detail.as_str()) };
        text += &format!("  {mark}  {}{}{detail}\n", check.what, if detail.is_empty() { "" } else { ": " });
    }
    text
}

fn strengths(head: &[f64], of: &[&Strengths]) -> String {
    let first = std::iter::once(String::new()).chain(head.iter().map(f64::to_string)).collect();
    let line = |of: &&Strengths| {
        let name = std::iter::once(format!("  {}", of.change));
        name.chain(of.values.iter().map(|x| shown(x.0))).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> = std::iter::once(first).chain(of.iter().map(line)).collect();
    let right: Vec<usize> = (1..=head.len()).collect();
    align(&rows, &right)
}
