//! `study.jsonl`: what a study has come to, one JSON object a line. Lines are only ever added, so that the file is
//! complete at every instant but for a torn last line, which is dropped.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::search::Setting;
use crate::train::TrainError;
use crate::train::checkpoint;

/// Name of the file.
pub const NAME: &str = "study.jsonl";
/// Version of its lines.
const FORMAT: u32 = 2;
/// Larger files are rejected before they are read.
const MAX_BYTES: u64 = 1 << 30;

/// What a study was begun with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// Version of the lines.
    pub format: u32,
    /// Name of the study.
    pub study: String,
    /// All that trials depend on.
    pub fingerprint: String,
    /// Digest of the data, where all trials have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_digest: Option<String>,
    /// The device's name.
    pub device: String,
}

impl Begun {
    /// The first line of a study.
    pub fn new(study: String, fingerprint: String, data_digest: Option<String>, device: String) -> Self {
        Self { format: FORMAT, study, fingerprint, data_digest, device }
    }
}

/// A setting to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposed {
    /// Number of the trial, from 1.
    pub trial: usize,
    /// Its bracket, of Hyperband.
    pub bracket: usize,
    /// The numbers of the setting, as the sampler counts them.
    pub numbers: Setting,
    /// The keys with their values.
    pub settings: Map<String, Value>,
}

/// How a trial stands after a part of its training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It stands at a rung, from which it may go on.
    Paused,
    /// It was trained to the end.
    Finished,
    /// Its numbers were no longer finite.
    Diverged,
    /// It cannot be trained: its batch is larger than the data, or it does not fit the device.
    Refused,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Diverged => "diverged",
            Self::Refused => "refused",
        }
    }

    /// Whether the trial came to nothing.
    pub fn has_failed(self) -> bool {
        matches!(self, Self::Diverged | Self::Refused)
    }
}

/// What a part of a trial's training came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Number of the trial, from 1.
    pub trial: usize,
    /// Number of the rung, from 0.
    pub level: usize,
    /// How it stands.
    pub state: State,
    /// The metric of the epoch with the best weights so far, over folds the mean; absent if the trial failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Epochs trained, all parts together.
    pub epochs: usize,
    /// Seconds of this part.
    pub seconds: f64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line {
    Study(Begun),
    Proposed(Proposed),
    /// What trains at the same time: numbers of trials and of the rungs that they are to come to.
    Together {
        jobs: Vec<(usize, usize)>,
    },
    Ended(Ended),
}

/// A trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What is tried.
    pub proposed: Proposed,
    /// What came of it, rung by rung.
    pub parts: Vec<Ended>,
}

impl Trial {
    /// How it stands; `None` if it was not trained yet.
    pub fn last(&self) -> Option<&Ended> {
        self.parts.last()
    }
}

/// The file, with all that stands in it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// What the study was begun with.
    pub begun: Begun,
    /// All trials in order.
    pub trials: Vec<Trial>,
    /// The parts of their trainings, in the order of time.
    pub course: Vec<Ended>,
    /// What was begun last, at the same time: trials and rungs.
    together: Vec<(usize, usize)>,
}

impl Journal {
    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(directory: &Path, begun: Begun) -> Result<Self, TrainError> {
        let path = directory.join(NAME);
        checkpoint::write_atomically(&path, text(&path, &Line::Study(begun))?.as_bytes())?;
        Self::open(directory)
    }

    /// Whether a study was begun in a directory.
    pub fn exists(directory: &Path) -> bool {
        directory.join(NAME).exists()
    }

    /// Reads a file, and drops a torn last line.
    ///
    /// # Errors
    /// If another line is damaged, or the file cannot be read or written.
    pub fn open(directory: &Path) -> Result<Self, TrainError> {
        let path = directory.join(NAME);
        let io = |e: std::io::Error| TrainError::io(&path, &e);
        let size = std::fs::metadata(&path).map_err(io)?.len();
        if size > MAX_BYTES {
            return Err(TrainError::unusable(&path, format!("{size} bytes are more than a study can have")));
        }
        let bytes = std::fs::read(&path).map_err(io)?;
        let Found { begun, trials, course, together, whole } = read(&path, &bytes)?;
        if whole < bytes.len() {
            checkpoint::write_atomically(&path, &bytes[..whole])?;
        }
        let file = File::options().append(true).open(&path).map_err(io)?;
        Ok(Self { path, file, begun, trials, course, together })
    }

    /// Adds trials, and what is to be trained at the same time: trials and rungs.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn begin_together(
        &mut self,
        proposed: Vec<Proposed>,
        jobs: Vec<(usize, usize)>,
    ) -> Result<(), TrainError> {
        for new in proposed {
            self.add(&Line::Proposed(new.clone()))?;
            self.trials.push(Trial { proposed: new, parts: vec![] });
        }
        self.add(&Line::Together { jobs: jobs.clone() })?;
        self.together = jobs;
        Ok(())
    }

    /// What was begun together and has not ended.
    pub fn left(&self) -> Vec<(usize, usize)> {
        let is_left = |(trial, level): &&(usize, usize)| {
            self.trials[trial - 1].last().is_none_or(|part| part.level < *level && !part.state.has_failed())
        };
        self.together.iter().filter(is_left).copied().collect()
    }

    /// Adds what a trial came to.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn end(&mut self, ended: Ended) -> Result<(), TrainError> {
        self.add(&Line::Ended(ended.clone()))?;
        if let Some(trial) = self.trials.get_mut(ended.trial.wrapping_sub(1)) {
            trial.parts.push(ended.clone());
        }
        self.course.push(ended);
        Ok(())
    }

    fn add(&mut self, line: &Line) -> Result<(), TrainError> {
        let text = text(&self.path, line)?;
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|e| TrainError::io(&self.path, &e))
    }
}

fn text(path: &Path, line: &Line) -> Result<String, TrainError> {
    let fail = |e: serde_json::Error| TrainError::Io { path: path.into(), reason: e.to_string() };
    Ok(serde_json::to_string(line).map_err(fail)? + "\n")
}

/// The contents of a file.
struct Found {
    begun: Begun,
    trials: Vec<Trial>,
    course: Vec<Ended>,
    together: Vec<(usize, usize)>,
    /// How many of its bytes are whole lines.
    whole: usize,
}

fn read(path: &Path, bytes: &[u8]) -> Result<Found, TrainError> {
    let (mut begun, mut trials, mut course, mut whole) = (None, Vec::<Trial>::new(), vec![], 0);
    let mut together = vec![];
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for (number, line) in lines.iter().enumerate() {
        let damaged = |reason: &str| {
            let place = PathBuf::from(format!("{}:{}", path.display(), number + 1));
            TrainError::unusable(&place, format!("{reason}; restore the file, or begin another study"))
        };
        let parsed: Result<Line, _> = serde_json::from_slice(line);
        let is_last = number + 1 == lines.len();
        match parsed {
            // Without its end, even a line that can be read may be torn: 0.12 of 0.125.
            _ if !line.ends_with(b"\n") => break,
            Err(_) if is_last && number > 0 => break,
            Err(error) => return Err(damaged(&format!("the line is damaged ({error})"))),
            Ok(Line::Study(study)) if number == 0 => {
                if study.format != FORMAT {
                    return Err(TrainError::Format { path: path.into(), found: study.format, known: FORMAT });
                }
                begun = Some(study);
            }
            Ok(Line::Proposed(proposed)) if number > 0 && proposed.trial == trials.len() + 1 => {
                trials.push(Trial { proposed, parts: vec![] });
            }
            Ok(Line::Together { jobs })
                if number > 0 && jobs.iter().all(|(trial, _)| (1..=trials.len()).contains(trial)) =>
            {
                together = jobs;
            }
            Ok(Line::Ended(ended)) if (1..=trials.len()).contains(&ended.trial) => {
                trials[ended.trial - 1].parts.push(ended.clone());
                course.push(ended);
            }
            Ok(_) => return Err(damaged("the line does not follow from those before it")),
        }
        whole += line.len();
    }
    let missing = || TrainError::unusable(path, "holds no study; remove the file to begin anew");
    Ok(Found { begun: begun.ok_or_else(missing)?, trials, course, together, whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Begun {
        Begun::new("s".into(), "all = 1\n".into(), None, "CPU".into())
    }

    fn proposed(trial: usize) -> Proposed {
        let settings = std::iter::once(("train.learning_rate".into(), 0.1.into())).collect();
        Proposed { trial, bracket: 0, numbers: vec![Some(0.1), None], settings }
    }

    fn ended(trial: usize, value: f64) -> Ended {
        let (state, reason) = (State::Finished, None);
        Ended { trial, level: 0, state, value: Some(value), epochs: 3, seconds: 0.5, reason }
    }

    #[test]
    fn a_file_torn_at_any_byte_is_read_up_to_its_last_whole_line() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::begin(directory.path(), begun()).unwrap();
        // Values that a parser which is not exact would change.
        for (trial, value) in [(1, 0.1 + 0.2), (2, 1.234_567_890_123_456_7e-30)] {
            journal.begin_together(vec![proposed(trial)], vec![(trial, 0)]).unwrap();
            assert_eq!(journal.left(), [(trial, 0)]);
            journal.end(ended(trial, value)).unwrap();
        }
        let path = directory.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        let again = Journal::open(directory.path()).unwrap();
        assert_eq!(again.left(), []);
        assert_eq!((&again.begun, &again.trials), (&journal.begun, &journal.trials));
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let opened = Journal::open(directory.path());
            if cut < first {
                assert!(opened.is_err(), "cut at {cut}");
                continue;
            }
            let mut opened = opened.unwrap();
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            // After the first line, a proposal, what trains together and its end, twice.
            let parts = opened.trials.iter().map(|trial| trial.parts.len()).sum();
            assert_eq!([opened.trials.len(), parts], [(lines + 1) / 3, (lines - 1) / 3], "cut at {cut}");
            assert_eq!(opened.left().len(), usize::from(lines % 3 == 0), "cut at {cut}");
            // What is added next does not join the torn line.
            let trial = opened.trials.len() + 1;
            opened.begin_together(vec![proposed(trial)], vec![(trial, 0)]).unwrap();
            assert_eq!(Journal::open(directory.path()).unwrap().trials.len(), trial, "cut at {cut}");
        }
    }

    #[test]
    fn damage_before_the_end_is_told_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::begin(directory.path(), begun()).unwrap();
        journal.begin_together(vec![proposed(1)], vec![(1, 0)]).unwrap();
        journal.end(ended(1, 0.5)).unwrap();
        let path = directory.path().join(NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, wanted) in [
            ("\"proposed\"", "\"proposed", ":2: the line is damaged"),
            ("\"trial\":1,\"bracket\"", "\"trial\":2,\"bracket\"", ":2: the line does not follow"),
            ("\"format\":2", "\"format\":9", "format 9"),
        ] {
            assert!(text.contains(from));
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let error = Journal::open(directory.path()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        // Zeros after a power failure.
        std::fs::write(&path, format!("{text}\0\0\0\n")).unwrap();
        assert_eq!(Journal::open(directory.path()).unwrap().trials.len(), 1);
    }
}
