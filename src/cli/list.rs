//! `gridlight list`

use std::path::{Path, PathBuf};

use clap::Args;
use gridlight::base::number::shown;
use gridlight::nn::config::Family;
use gridlight::plan::align;
use gridlight::run::list::{self, Listed, Score};

use super::output::tell;
use super::{Failure, print, print_json};

/// List the runs in a directory with their results, the newest first.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight list runs")]
pub struct List {
    /// Directory that holds run directories.
    #[arg(default_value = "runs")]
    directory: PathBuf,
    /// Print one JSON array on standard output.
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(self) -> Result<(), Failure> {
        let runs = list::list(&self.directory)?;
        if self.json {
            return print_json(&runs);
        }
        if runs.is_empty() {
            tell(format_args!("there are no runs in {}", self.directory.display()));
            return Ok(());
        }
        print(&text(&runs))
    }
}

/// The runs as a table; what is wrong with damaged ones follows.
fn text(runs: &[Listed]) -> String {
    let head =
        ["run", "state", "written (UTC)", "family", "data", "epochs", "best", "metric", "validation", "test"];
    let mut table = vec![head.map(String::from).to_vec()];
    table.extend(runs.iter().map(row));
    let damages = runs.iter().filter_map(|run| Some(format!("\n{}: {}", run.run, run.damage.as_ref()?)));
    align(&table, &[5, 6, 8, 9]) + &damages.collect::<String>()
}

fn row(run: &Listed) -> Vec<String> {
    let value = |score: &Option<Score>| score.as_ref().map_or_else(String::new, |s| shown(s.value.0));
    // An experiment may be trained into a directory of another name.
    let directory = Path::new(&run.run).file_name().map(|name| name.to_string_lossy().into_owned());
    let directory = directory.unwrap_or_else(|| run.run.clone());
    let name = if directory == run.name { directory } else { format!("{directory} ({})", run.name) };
    let source =
        Path::new(&run.data).file_name().map_or_else(|| run.data.clone().into(), |n| n.to_string_lossy());
    let epochs =
        if run.family.is_some() { format!("{}/{}", run.epochs, run.epochs_asked) } else { String::new() };
    vec![
        name,
        run.state.name().into(),
        run.when.clone(),
        run.family.map_or_else(String::new, |family| family_name(family).into()),
        source.into_owned(),
        epochs,
        run.best_epoch.map_or_else(String::new, |epoch| epoch.to_string()),
        run.validation.as_ref().map_or_else(String::new, |score| score.metric.clone()),
        value(&run.validation),
        value(&run.test),
    ]
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::Mlp => "mlp",
        Family::Cnn => "cnn",
        Family::Resnet => "resnet",
        Family::Alexnet => "alexnet",
        Family::Rnn => "rnn",
        Family::Tcn => "tcn",
        Family::Transformer => "transformer",
        Family::Unet => "unet",
        Family::Vae => "vae",
        Family::Gan => "gan",
    }
}
