//! `gridlight explain`

use std::path::PathBuf;

use clap::Args;
use gridlight::base::number::shown;
use gridlight::device::DeviceChoice;
use gridlight::explain::found::{Attributed, Explanation, Permutation};
use gridlight::explain::path::Baseline;
use gridlight::plan::align;
use gridlight::run::explain::{self, Explained, Method, Request, Selection};

use super::input::Input;
use super::results::{Place, write_files};
use super::{Failure, is_exact, open_device, print, print_json, tell};

/// Explain predictions: which columns matter, what moves single predictions, where in a picture they come
/// from.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight explain runs/houses\n  \
                  gridlight explain runs/houses --method permutation --group \"lat,lon\" --repeats 20\n  \
                  gridlight explain runs/digits --rows 1..20 --method grad-cam,occlusion --output why\n\n\
                  Methods: permutation (importance), shap, integrated-gradients and effects (partial \
                  dependence and accumulated local effects) for tables; permutation and \
                  integrated-gradients for series; saliency, smoothgrad, integrated-gradients, grad-cam \
                  and occlusion for pictures; rollout for transformers of all three; nearest (training rows) \
                  for all of them, if asked for.")]
pub struct Explain {
    /// Run directory.
    run: PathBuf,
    /// Explain the rows of this file instead of a split of the run's own data; `-` reads a table from
    /// standard input.
    #[arg(long, conflicts_with = "split")]
    input: Option<PathBuf>,
    /// Split to explain: train, validation or test; by default test, or validation if there are no test rows.
    #[arg(long)]
    split: Option<String>,
    /// Explain these rows only: the first and the last, counted from 1.
    #[arg(long, value_name = "A..B", value_parser = range)]
    rows: Option<(usize, usize)>,
    /// Methods, separated by commas; by default all that suit the rows.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    method: Vec<Method>,
    /// Columns that are shuffled and counted together, separated by commas; repeat it for more groups.
    #[arg(long, value_name = "COLUMN,...")]
    group: Vec<String>,
    /// Permutations of each column.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// The metric that permutation importance ranks columns by [default: the first that `evaluate` prints].
    #[arg(long)]
    metric: Option<String>,
    /// Training rows that Shapley values compare with, at most.
    #[arg(long, default_value_t = 100)]
    background: usize,
    /// Where integrated gradients begin: mean or median of the training rows, or black for pictures [default:
    /// mean; black for pictures].
    #[arg(long, value_parser = baseline)]
    baseline: Option<Baseline>,
    /// Seed of permutations, samples and noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write the page and the numbers: a folder for all of them, or an .html or .json file [default:
    /// the folder `explain` in the run directory; nothing with --json].
    #[arg(long)]
    output: Option<PathBuf>,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Reads `A..B`.
pub(super) fn range(text: &str) -> Result<(usize, usize), String> {
    let ends =
        text.split_once("..").and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    ends.ok_or_else(|| "expected the first and the last row, such as 1..20".into())
}

fn baseline(text: &str) -> Result<Baseline, String> {
    match text {
        "mean" => Ok(Baseline::Mean),
        "median" => Ok(Baseline::Median),
        "black" => Ok(Baseline::Black),
        _ => Err("expected mean, median or black".into()),
    }
}

impl Explain {
    pub fn run(self) -> Result<(), Failure> {
        let place = Place::of(self.output.as_deref(), &self.run, "explain", self.json)?;
        let exact = is_exact(&self.run)?;
        let input = self.input.as_deref().map(Input::open).transpose()?;
        let device = open_device(self.device, exact)?;
        let request = Request {
            selection: Selection {
                input: input.as_ref().map(Input::path),
                split: self.split.as_deref(),
                rows: self.rows,
            },
            methods: &self.method,
            groups: &self.group,
            repeats: self.repeats,
            metric: self.metric.as_deref(),
            background: self.background,
            baseline: self.baseline,
            seed: self.seed,
        };
        let explained = explain::explain(&self.run, &request, &*device);
        let mut explained = explained.map_err(|e| match &input {
            Some(input) => input.blame(e),
            None => e.into(),
        })?;
        if let Some(input) = &input {
            explained.found.split = input.named(&explained.found.split);
            explained.html = input.named(&explained.html);
        }
        for note in &explained.found.notes {
            tell(format_args!("note: {note}"));
        }
        self.finish(&explained, place)
    }

    fn finish(&self, explained: &Explained, place: Option<Place>) -> Result<(), Failure> {
        if let Some(place) = &place {
            let files = explain::files(explained);
            write_files("the explanation", place, &files)?;
        }
        if self.json { print_json(&explained.found) } else { print(&text(&explained.found)) }
    }
}

/// Columns shown at most; files have all.
const SHOWN: usize = 20;

fn text(found: &Explanation) -> String {
    let mut text = format!("{}: {} rows of {}\n", found.subject, found.rows, found.split);
    if let Some(permutation) = &found.permutation {
        text += &importance(permutation);
    }
    if let Some(shap) = &found.shap {
        text += &attributed("Shapley values", shap);
    }
    if let Some(gradients) = &found.integrated_gradients {
        text += &attributed("integrated gradients", gradients);
    }
    if let Some(rollout) = &found.rollout {
        text += &attributed("attention rollout", rollout);
    }
    if let Some(effects) = &found.effects {
        let (columns, rows) = (effects.columns.len(), effects.rows);
        text += &format!("\neffects: curves of {columns} columns over {rows} rows are on the page\n");
    }
    if let Some(nearest) = &found.nearest {
        let mut table = vec![["  row", "is", "nearest training rows"].map(String::from).to_vec()];
        for of in nearest.each.iter().take(SHOWN) {
            let near = of.neighbours.iter().map(|n| format!("{} (row {})", n.target, n.row));
            let near = near.collect::<Vec<_>>().join(", ");
            table.push(vec![format!("  {}", of.row), of.truth.clone().unwrap_or_default(), near]);
        }
        text += &format!("\nnearest in {} features\n{}", nearest.features, align(&table, &[0]));
    }
    if let Some(pictures) = &found.pictures {
        let mut table = vec![["  row", "is", "explained", "", "maps"].map(String::from).to_vec()];
        for picture in pictures.each.iter().take(SHOWN) {
            let maps: Vec<&str> = picture.maps.iter().map(|map| map.method).collect();
            table.push(vec![
                format!("  {}", picture.row),
                picture.truth.clone().unwrap_or_default(),
                picture.predicted.clone(),
                shown(picture.value.0),
                maps.join(", "),
            ]);
        }
        text += &format!("\npictures: {}\n{}", pictures.what, align(&table, &[0, 3]));
    }
    text
}

fn importance(found: &Permutation) -> String {
    let Some(of) = found.main() else { return String::new() };
    let largest = of.columns.iter().map(|c| c.mean.0).fold(0.0, f64::max);
    let row = |c: &gridlight::explain::found::ColumnImportance| {
        let spread = format!("± {}", shown(c.deviation.0));
        vec![format!("  {}", c.column), shown(c.mean.0), spread, bar(c.mean.0, largest)]
    };
    let rows: Vec<Vec<String>> = of.columns.iter().take(SHOWN).map(row).collect();
    format!(
        "\npermutation importance: how much worse `{}` ({}) is, {} permutations of {} rows\n{}{}",
        of.metric,
        shown(of.baseline.0),
        found.repeats,
        found.rows,
        align(&rows, &[1, 2]),
        more(of.columns.len())
    )
}

fn attributed(title: &str, found: &Attributed) -> String {
    let ranked = found.ranked();
    let largest = ranked.first().map_or(0.0, |column| column.1);
    let row = |(name, size, mean): &(&str, f64, f64)| {
        let sign = if *mean >= 0.0 { "+" } else { "" };
        vec![format!("  {name}"), shown(*size), format!("{sign}{}", shown(*mean)), bar(*size, largest)]
    };
    let head = ["  column", "mean size", "mean", ""].map(String::from).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(ranked.iter().take(SHOWN).map(row)).collect();
    let error = match found.largest_standard_error {
        Some(error) => format!("largest standard error {}", shown(error.0)),
        None => format!("sums within {} %", shown(100.0 * found.largest_error.0)),
    };
    format!(
        "\n{title} of {}, {} rows. {}; {error}\n{}{}",
        found.what,
        found.rows.len(),
        found.how,
        align(&rows, &[1, 2]),
        more(ranked.len())
    )
}

/// A bar of at most 24 characters.
pub(super) fn bar(value: f64, largest: f64) -> String {
    const LONGEST: f64 = 24.0;
    let eighths = if largest > 0.0 { (8.0 * LONGEST * value / largest).round().max(0.0) as usize } else { 0 };
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + rest
}

fn more(columns: usize) -> String {
    match columns.saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("  and {more} more columns; --json has all\n"),
    }
}
