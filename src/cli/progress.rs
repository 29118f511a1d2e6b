//! Progress display: a bar with loss, throughput and time left, and a line per epoch.

use gridlight::base::number::shown;
use gridlight::train::events::{Event, Observer, Tick};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, output, signals};

/// Prints events as JSON or as text, and shows a bar on a terminal.
pub struct Console {
    json: bool,
    bar: ProgressBar,
    /// Validation losses, epoch by epoch.
    losses: Vec<f64>,
    /// Why standard output no longer takes events. Training goes on without them.
    lost: Option<std::io::Error>,
}

impl Console {
    /// JSON lines on standard output, or text on standard error.
    pub fn new(json: bool) -> Self {
        signals::listen();
        let bar = if is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let template = "epoch {prefix} {bar:32} {pos}/{len} steps  loss {msg}  {per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { json, bar, losses: vec![], lost: None }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// To be asked at the end.
    ///
    /// # Errors
    /// If standard output did not take all events.
    pub fn all_was_printed(&self) -> Result<(), Failure> {
        self.lost.as_ref().map_or(Ok(()), |e| Err(output::lost(e)))
    }

    fn line(&self, text: String) {
        if !self.json {
            tell_above(&self.bar, text);
        }
    }
}

/// Tells people something above the bar, if it is shown.
pub fn tell_above(bar: &ProgressBar, text: String) {
    if bar.is_hidden() { output::tell(text) } else { bar.println(text) }
}

/// A loss, and that of the discriminator if there is one.
fn both(loss: f64, discriminator: Option<f64>) -> String {
    let other = discriminator.map(|loss| format!("  discriminator {}", shown(loss)));
    shown(loss) + &other.unwrap_or_default()
}

/// The last values as a line of bars, from the least of them to the largest; nothing for a single one.
fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let last = &values[values.len().saturating_sub(16)..];
    let low = last.iter().copied().fold(f64::INFINITY, f64::min);
    let high = last.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bar = |x: &f64| BARS[(((x - low) / (high - low) * 8.0) as usize).min(7)];
    if last.len() < 2 { String::new() } else { last.iter().map(bar).collect() }
}

/// Whether people see standard error as it is written.
pub fn is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

impl Observer for Console {
    fn event(&mut self, event: &Event) {
        if self.json && self.lost.is_none() {
            self.lost = output::write(&serde_json::to_string(event).unwrap_or_default()).err();
        }
        match event {
            Event::Start {
                parameters,
                kernels_per_step,
                peak_bytes,
                train_samples,
                validation_samples,
                resumed_from_step,
                ..
            } => {
                let resumed = if *resumed_from_step > 0 {
                    format!(", resumed at step {resumed_from_step}")
                } else {
                    String::new()
                };
                self.line(format!(
                    "{train_samples} training rows, {validation_samples} validation rows, {parameters} \
                     parameters, {kernels_per_step} kernels per step, {} bytes on the device{resumed}",
                    gridlight::plan::quantity(*peak_bytes)
                ));
            }
            Event::Epoch { epoch, train, validation, .. } => {
                self.losses.extend(validation.get("loss"));
                let numbers: Vec<String> =
                    validation.0.iter().map(|(name, x)| format!("{name} {}", shown(*x))).collect();
                let loss = train.get("loss").unwrap_or(f64::NAN);
                self.line(format!(
                    "epoch {epoch:>4}  train loss {}  validation {}",
                    both(loss, train.get("discriminator")),
                    numbers.join("  ")
                ));
            }
            Event::Step { step, loss, discriminator, learning_rate } => {
                self.line(format!(
                    "step {step:>7}  loss {}  learning rate {learning_rate:.3e}",
                    both(loss.0, discriminator.map(|loss| loss.0))
                ));
            }
            Event::End { .. } => self.clear(),
        }
    }

    fn tick(&mut self, tick: &Tick) {
        if self.bar.length() != Some(tick.steps) {
            self.bar.set_length(tick.steps);
            self.bar.set_position(tick.step);
            self.bar.reset_eta();
        }
        self.bar.set_prefix(tick.epoch.to_string());
        let message = both(tick.loss, tick.discriminator);
        self.bar.set_message(match sparkline(&self.losses) {
            line if line.is_empty() => message,
            line => format!("{message}  validation {line}"),
        });
        self.bar.set_position(tick.step);
    }

    fn note(&mut self, text: &str) {
        self.line(text.to_string());
    }

    fn interrupted(&mut self) -> bool {
        signals::asked()
    }
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn bars_span_the_values() {
        assert_eq!(sparkline(&[1.0]), "");
        assert_eq!(sparkline(&[8.0, 4.0, 0.0, 1.0]), "█▅▁▂");
        assert_eq!(sparkline(&[3.0, 3.0]), "▁▁");
        assert_eq!(sparkline(&(0..100).map(f64::from).collect::<Vec<_>>()).chars().count(), 16);
    }
}
