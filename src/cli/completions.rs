//! `gridlight completions` and `gridlight man`: what shells and readers of manuals need of the command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use gridlight::train::ErrorKind;

use super::{Failure, exit_code, output, print};

/// Print a script that completes commands and flags in a shell.
#[derive(Args)]
#[command(
    after_help = "Example:\n  gridlight completions bash > ~/.local/share/bash-completion/completions/gridlight"
)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

/// Write manual pages, one for each command.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight man ~/.local/share/man/man1\n  man gridlight-train")]
pub struct Man {
    /// Directory to write them to; it is made if it is not there.
    directory: PathBuf,
}

impl Completions {
    pub fn run(self) -> Result<(), Failure> {
        let mut script = vec![];
        clap_complete::generate(self.shell, &mut super::Arguments::command(), "gridlight", &mut script);
        let script = String::from_utf8_lossy(&script);
        output::write(script.trim_end()).map_err(|e| output::lost(&e))
    }
}

impl Man {
    pub fn run(self) -> Result<(), Failure> {
        let place = self.directory.display();
        let io = |e: std::io::Error| Failure {
            code: exit_code(ErrorKind::File),
            error: anyhow::anyhow!("cannot write manual pages to {place}: {e}"),
        };
        std::fs::create_dir_all(&self.directory).map_err(io)?;
        clap_mangen::generate_to(super::Arguments::command(), &self.directory).map_err(io)?;
        print(&format!("the manual pages are in {place}"))
    }
}
