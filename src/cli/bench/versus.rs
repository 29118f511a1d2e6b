//! `gridlight bench --report`: training steps beside those of other programs, in turn.
//!
//! Every measurement is a process of its own, ours too, which runs one workload and prints one JSON line: `steps_per_s`,
//! and if it can `peer`, `backend`, `first_step_s` and `peak_rss_mib`.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use gridlight::base::number::shown;
use gridlight::bench::steps;
use gridlight::bench::workloads::Workload;
use gridlight::device::{Device, DeviceChoice};
use gridlight::train::TrainError;
use serde::{Deserialize, Serialize};

use super::super::{Failure, print, tell};

/// What a program says of one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    #[serde(default)]
    peer: String,
    #[serde(default)]
    backend: String,
    #[serde(default)]
    workload: String,
    steps_per_s: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best_chunk_steps_per_s: Option<f64>,
    /// Seconds from the start of the program to the end of the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_step_s: Option<f64>,
    /// Most memory of the process, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peak_rss_mib: Option<f64>,
}

/// Runs `workload` for `seconds` and prints its line.
pub fn line(device: &dyn Device, workload: &Workload, seconds: f64, start: Instant) -> Result<(), Failure> {
    let mut first = None;
    let measured = steps::sustained(device, workload, seconds, &mut || first = Some(start.elapsed()))?;
    let line = Line {
        peer: "gridlight".into(),
        backend: device.info().name.clone(),
        workload: workload.word.into(),
        steps_per_s: measured.steps_per_s,
        best_chunk_steps_per_s: Some(measured.best_chunk_steps_per_s),
        first_step_s: first.map(|first| first.as_secs_f64()),
        peak_rss_mib: peak_mib(),
    };
    let text = serde_json::to_string(&line).map_err(Failure::input)?;
    print(&text)
}

/// The most memory that this process has had, where the system says it.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

/// What is compared, and how.
pub struct Versus<'a> {
    pub workloads: Vec<Workload>,
    pub device: DeviceChoice,
    /// Commands of the other programs, to which a workload's word is added.
    pub peers: &'a [String],
    pub rounds: usize,
    /// Seconds of each measurement.
    pub seconds: f64,
}

/// A program's measurements of a workload.
struct Measured {
    lines: Vec<Line>,
    /// Why there are none.
    failure: Option<String>,
}

impl Versus<'_> {
    /// Measures everything, and writes the tables to `report`.
    pub fn run(&self, device: &str, report: &Path) -> Result<(), Failure> {
        let io = |e: std::io::Error| TrainError::Io { path: report.into(), reason: e.to_string() };
        // Before anything is measured, which may take an hour.
        OpenOptions::new().append(true).create(true).open(report).map_err(io)?;
        let own = std::env::current_exe().map_err(Failure::input)?;
        let mut rows = vec![];
        for workload in &self.workloads {
            let mut measured: Vec<Measured> =
                (0..=self.peers.len()).map(|_| Measured { lines: vec![], failure: None }).collect();
            for round in 1..=self.rounds {
                tell(format_args!("{}: round {round} of {}", workload.word, self.rounds));
                for (at, measured) in measured.iter_mut().enumerate() {
                    if measured.failure.is_some() {
                        continue;
                    }
                    let command = match at {
                        0 => self.own(&own, workload),
                        _ => shell(&self.peers[at - 1], workload.word),
                    };
                    match once(command) {
                        Ok(line) => measured.lines.push(line),
                        Err(reason) => measured.failure = Some(reason),
                    }
                }
            }
            rows.push((workload, measured));
        }
        let text = self.text(device, &rows);
        // Shown first, so that a full disk loses nothing.
        print(&text)?;
        Ok(std::fs::write(report, &text).map_err(io)?)
    }

    fn own(&self, program: &Path, workload: &Workload) -> Command {
        let mut command = Command::new(program);
        command.args(["bench", "--line", workload.word, "--device", &self.device.to_string()]);
        command.args(["--seconds", &self.seconds.to_string()]);
        command
    }

    /// Two tables: steps per second with the ratio to the best of the others, and memory and the first step.
    fn text(&self, device: &str, rows: &[(&Workload, Vec<Measured>)]) -> String {
        let name = |at: usize| {
            let of = |(_, measured): &(&Workload, Vec<Measured>)| measured[at].lines.first().cloned();
            match (at, rows.iter().find_map(of)) {
                (0, _) => "Gridlight".to_string(),
                (_, Some(line)) if !line.peer.is_empty() => format!("{} {}", line.peer, line.backend),
                _ => format!("`{}`", self.peers[at - 1]),
            }
        };
        let names: Vec<String> = (0..=self.peers.len()).map(|at| name(at).trim().to_string()).collect();
        let date = jiff::Timestamp::now().strftime("%-d %B %Y");
        let peers: String = self.peers.iter().map(|peer| format!(" --peer '{peer}'")).collect();
        let mut text = format!(
            "## Training steps beside other programs\n\n{date}; {}; Gridlight on {device}. Medians of {} rounds of \
             {} s, each in a process of its own, one program after the other in every round:\n`gridlight bench --device \
             {} --report FILE --rounds {} --seconds {}{peers}`.\n\n",
            processor(),
            self.rounds,
            self.seconds,
            self.device,
            self.rounds,
            self.seconds
        );
        text += &format!("| steps/s | {} | to the best other |\n", names.join(" | "));
        text += &format!("|---|{}---:|\n", "---:|".repeat(names.len()));
        let mut failures = vec![];
        for (workload, measured) in rows {
            let rate = |of: &Measured| median(of.lines.iter().map(|line| line.steps_per_s));
            let rates: Vec<Option<f64>> = measured.iter().map(rate).collect();
            let best = rates[1..].iter().flatten().copied().fold(0.0, f64::max);
            let ratio = rates[0].filter(|_| best > 0.0).map(|own| format!("{:.2}", own / best));
            let cells: Vec<String> = rates.iter().map(|rate| rate.map_or("-".into(), shown)).collect();
            text += &format!(
                "| {}: {} | {} | {} |\n",
                workload.word,
                workload.name,
                cells.join(" | "),
                ratio.unwrap_or("-".into())
            );
            for (name, of) in names.iter().zip(measured) {
                failures
                    .extend(of.failure.as_ref().map(|why| format!("- {}, {name}: {why}\n", workload.word)));
            }
        }
        let header: String = names.iter().map(|name| format!(" {name}, first step s | MiB |")).collect();
        text += &format!("\n| |{header}\n|---|{}\n", "---:|".repeat(2 * names.len()));
        for (workload, measured) in rows {
            let cell = |of: &Measured| {
                let first = median(of.lines.iter().filter_map(|line| line.first_step_s));
                let peak = median(of.lines.iter().filter_map(|line| line.peak_rss_mib));
                let first = first.map_or("-".into(), |s| format!("{s:.2}"));
                format!(" {first} | {} |", peak.map_or("-".into(), |mib| format!("{mib:.0}")))
            };
            let cells: String = measured.iter().map(cell).collect();
            text += &format!("| {} |{cells}\n", workload.word);
        }
        if !failures.is_empty() {
            text += &format!("\nNot measured, or not in every round:\n\n{}", failures.concat());
        }
        text
    }
}

/// A command of the user's, as the shell understands it.
fn shell(command: &str, word: &str) -> Command {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut started = Command::new(shell);
    started.arg(flag).arg(format!("{command} {word}"));
    started
}

/// Runs `command`; its last line on standard output is the measurement.
fn once(mut command: Command) -> Result<Line, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let last = printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
    let line = serde_json::from_str::<Line>(last).map_err(|e| e.to_string());
    match (line, output.status.success()) {
        (Ok(line), true) if line.steps_per_s.is_finite() && line.steps_per_s > 0.0 => Ok(line),
        (Ok(_), true) => Err("it printed no positive `steps_per_s`".into()),
        (line, _) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_string);
            let reason = said.or(line.err()).unwrap_or_default();
            Err(format!("{}: {reason}", output.status))
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    Some(0.5 * (values[middle] + values[values.len() / 2]))
}

/// The processor, its threads, and its widest vectors.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = name.map_or("unnamed processor", |(_, name)| name.trim());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {threads} threads{}", vectors())
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> &'static str {
    match (is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("avx2")) {
        (true, _) => ", AVX-512",
        (_, true) => ", AVX2",
        _ => "",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> &'static str {
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_last_line_counts_and_failures_have_reasons() {
        let line =
            once(shell("echo note; echo '{\"steps_per_s\": 4.5, \"peer\": \"x\"}' #", "mlp32")).unwrap();
        assert_eq!((line.steps_per_s, line.peer.as_str(), line.peak_rss_mib), (4.5, "x", None));
        let failure = once(shell("echo out of memory >&2; exit 3 #", "mlp32")).unwrap_err();
        assert!(failure.contains("out of memory") && failure.contains('3'), "{failure}");
        assert!(once(shell("echo '{\"steps_per_s\": 0}' #", "mlp32")).unwrap_err().contains("positive"));
        assert!(once(shell("true", "")).is_err());
    }
}
