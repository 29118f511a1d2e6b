//! The measuring loop that the peers in Rust share, as `driver.py` is of those in Python: one workload, one JSON line
//! on standard output.
//!
//! usage: `PEER [--backend B] [--seconds S] WORKLOAD`

use std::fmt::Display;
use std::time::Instant;

use serde_json::json;

/// Operations of one 3x3 convolution, padding 1, of 32x32x28x28 with 64 filters.
const CONV_FLOP: f64 = 2.0 * 32.0 * 64.0 * 28.0 * 28.0 * 32.0 * 9.0;

/// What the command line asks for.
pub struct Args {
    pub workload: String,
    pub backend: String,
    /// Seconds of the measurement, after the warm-up.
    pub seconds: f64,
    start: Instant,
}

impl Args {
    /// To be called first: what takes time from here on counts as part of the first step.
    pub fn parse(default_backend: &str) -> Self {
        let start = Instant::now();
        let mut args = Self { workload: String::new(), backend: default_backend.into(), seconds: 5.0, start };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| stop(format_args!("{word} needs a value")));
            match word.as_str() {
                "--backend" => args.backend = value(),
                "--seconds" => {
                    args.seconds = value().parse().unwrap_or_else(|e| stop(format_args!("--seconds: {e}")))
                }
                _ => args.workload = word,
            }
        }
        args
    }

    /// Batch size of a training workload.
    pub fn batch(&self) -> usize {
        match self.workload.as_str() {
            "mlp32" | "resblock" => 32,
            "mlp1024" => 1024,
            "vae" => 128,
            _ => 64,
        }
    }

    /// Operations of one step of a kernel workload.
    fn flop(&self) -> Option<f64> {
        match self.workload.as_str() {
            "conv_fwd" => Some(CONV_FLOP),
            "conv_fwdbwd" => Some(3.0 * CONV_FLOP),
            word => Some(2.0 * word.strip_prefix("matmul")?.parse::<f64>().ok()?.powi(3)),
        }
    }
}

/// Ends the program with `why` as its last line, which a report of `gridlight bench` then quotes.
pub fn stop(why: impl Display) -> ! {
    eprintln!("{why}");
    std::process::exit(1)
}

/// Measures and prints. `step` starts one step and returns a handle of its result; `read` waits for it and returns the value.
pub fn drive<R>(peer: &str, args: &Args, mut step: impl FnMut() -> R, read: impl Fn(R) -> f32) {
    let since = |start: Instant| start.elapsed().as_secs_f64();
    let first_loss = read(step());
    let first_step_s = since(args.start);
    // Five steps and a second, or twenty seconds, may still compile; one more does not.
    let (mut warm, start) = (0, Instant::now());
    while (warm < 5 || since(start) < 1.0) && (warm == 0 || since(start) < 20.0) {
        read(step());
        warm += 1;
    }
    let mean = since(start) / f64::from(warm);
    let start = Instant::now();
    read(step());
    // The result is read four times a second.
    let chunk = ((0.25 / mean.min(since(start))) as u32).max(1);
    let (mut steps, mut best, start) = (0, 0.0_f64, Instant::now());
    let last_loss = loop {
        let chunk_start = Instant::now();
        for _ in 1..chunk {
            step();
        }
        let loss = read(step());
        steps += chunk;
        best = best.max(f64::from(chunk) / since(chunk_start));
        if since(start) >= args.seconds {
            break loss;
        }
    };
    let rate = f64::from(steps) / since(start);
    let mut line = json!({
        "peer": peer,
        "backend": args.backend,
        "workload": args.workload,
        "steps_per_s": rate,
        "best_chunk_steps_per_s": best,
        "first_step_s": first_step_s,
        "peak_rss_mib": peak_rss_mib(),
    });
    match args.flop() {
        Some(flop) => line["gflops"] = json!(flop * rate / 1e9),
        None => {
            line["first_loss"] = json!(first_loss);
            line["last_loss"] = json!(last_loss);
        }
    }
    println!("{line}");
}

/// The most memory that this process has had, where the system says it.
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
