//! `gridlight web`

use std::path::{Path, PathBuf};

use clap::Args;
use gridlight::run::page;

use super::{Failure, tell};

/// Write a folder for a web server: a page that trains your model on your data in the visitor's browser.
///
/// Nothing leaves the visitor's machine: the folder holds the data, and the page trains on the visitor's GPU through
/// WebGPU, or on the processor where there is none. A run's best weights go with it, so that the page predicts at once.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight web runs/traffic --out page --engine web/pkg\n  \
                  python3 -m http.server --directory page")]
pub struct Web {
    /// Experiments (TOML files) and run directories; the page offers each.
    #[arg(required = true, value_name = "RUN|EXPERIMENT")]
    sources: Vec<PathBuf>,
    /// The folder to write; it must not exist.
    #[arg(long)]
    out: PathBuf,
    /// The folder of the engine that web/build.sh built; by default `web` beside the program, or the one built into it.
    #[arg(long)]
    engine: Option<PathBuf>,
}

impl Web {
    pub fn run(self) -> Result<(), Failure> {
        let beside = || std::env::current_exe().ok()?.parent().map(|folder| folder.join("web"));
        let has_engine = |folder: &Path| page::ENGINE.iter().all(|name| folder.join(name).is_file());
        let folder = self.engine.or_else(|| beside().filter(|folder| has_engine(folder)));
        let engine = page::engine(folder.as_deref())?;
        let bytes = page::write(&self.sources, engine, &self.out)?;
        let shown = self.out.display();
        tell(format_args!(
            "a page was written to {shown} ({:.1} MB); look at it with: python3 -m http.server --directory {shown}",
            bytes as f64 / 1e6
        ));
        Ok(())
    }
}
