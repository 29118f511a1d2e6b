//! `gridlight bench --growth`: how training steps grow with their sizes.

use std::path::Path;

use gridlight::base::number::shown;
use gridlight::bench::{self, growth};
use gridlight::device::Device;
use gridlight::plan::align;
use gridlight::train::output;

use super::super::{Failure, print, print_json, tell};
use super::duration;
use crate::cli::output::{is_standard_output, save};

/// Measures, writes the page to `path` and prints the numbers.
pub fn run(device: &dyn Device, pattern: &str, path: &Path, json: bool) -> Result<(), Failure> {
    if is_standard_output(path) && json {
        let reason = "--growth - and --json would both be on standard output; name a file for the page";
        return Err(Failure::input(reason));
    }
    if !is_standard_output(path) {
        output::check(path)?;
    }
    let limits = bench::limits(device)?;
    let mut tell_each = |what: &str| tell(format_args!("{what}"));
    let curves = growth::measure(device, &limits, pattern, &mut tell_each)?;
    if curves.is_empty() {
        let reason = format!(
            "nothing that grows matches `{pattern}`; there are batch, sequence and width, of mlp, cnn, rnn, lstm and gpt"
        );
        return Err(Failure::input(reason));
    }
    save("the curves", path, growth::html(&device.info().name, &curves).as_bytes())?;
    if json {
        return print_json(&curves);
    }
    let mut text = String::new();
    for curve in &curves {
        let mut rows =
            vec![[curve.of, "a step", "a sample", "GFLOP/s", "GB/s", "of limit"].map(String::from).to_vec()];
        rows.extend(curve.points.iter().map(|point| {
            vec![
                point.size.to_string(),
                duration(point.seconds),
                duration(1e-6 * point.microseconds_per_sample),
                shown(point.gflops),
                shown(point.gigabytes),
                format!("{:.0} %", 100.0 * point.fraction),
            ]
        }));
        text += &format!("{}\n{}\n", curve.name, align(&rows, &[0, 1, 2, 3, 4, 5]));
    }
    print(&text)
}
