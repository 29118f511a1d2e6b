//! `gridlight sample`

use std::path::PathBuf;

use clap::Args;
use gridlight::device::DeviceChoice;
use gridlight::run::sample::{self, Drawn, Request};

use super::output::save;
use super::{Failure, is_exact, open_device, print};

/// Draw new rows or images from a generative model (`family = "vae"` or `"gan"`), or write text with a text model.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight sample runs/digits-vae --count 64 --output digits.png\n  \
                  gridlight sample runs/shakespeare --length 300 --prompt \"ROMEO.\"")]
pub struct Sample {
    /// Run directory.
    run: PathBuf,
    /// Number of samples [default: 64, or 1 text].
    #[arg(long)]
    count: Option<usize>,
    /// File to write: .png (images, in a grid), .npy or .csv; without one, text goes to standard output.
    /// `-` is standard output, for rows and images as CSV.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Class of the samples, of a model with `conditional = true` [default: each in turn].
    #[arg(long)]
    class: Option<String>,
    /// Length of a text in characters or tokens [default: 500].
    #[arg(long)]
    length: Option<usize>,
    /// Sampling temperature of text [default: 1]; 0 always takes the most likely one.
    #[arg(long, allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Text to continue from.
    #[arg(long)]
    prompt: Option<String>,
    /// Random seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

impl Sample {
    pub fn run(self) -> Result<(), Failure> {
        let device = open_device(self.device, is_exact(&self.run)?)?;
        let request = Request {
            count: self.count,
            seed: self.seed,
            output: self.output.as_deref(),
            class: self.class,
            length: self.length,
            temperature: self.temperature,
            prompt: self.prompt,
        };
        match (sample::draw(&self.run, &request, &*device)?, &self.output) {
            (Drawn::File(count, bytes), Some(output)) => save(&format!("{count} samples"), output, &bytes),
            (Drawn::Text(text), _) => print(&text),
            // Only texts are drawn without a file.
            (Drawn::File(_, bytes), None) => print(&String::from_utf8_lossy(&bytes)),
        }
    }
}
