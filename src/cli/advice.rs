//! How to go on after an error, in flags of the command line.

use gridlight::device::DeviceError;
use gridlight::train::TrainError;

/// The message of an error, with the flags that help.
pub fn in_flags(error: &TrainError) -> String {
    let advice = match error {
        TrainError::Setting { run, name, problem } => {
            let run = run.as_ref().map_or_else(String::new, |run| format!("{}: ", run.display()));
            return format!("{run}--{name} {problem}");
        }
        TrainError::Changed { .. } => return format!("--resume: {error} without --resume"),
        TrainError::Lost { .. } => ", go on with --resume, or with --resume --device cpu",
        TrainError::InUse { .. } | TrainError::Occupied { .. } => " with --out",
        TrainError::Diverged { origin, .. } if origin.is_empty() => "; --anomaly names the operator",
        TrainError::DoesNotFit { fitting: Some((batch, _)), .. } => {
            return format!("{error}; set it with --set train.batch_size={batch}");
        }
        TrainError::DoesNotFit { fitting: None, cause, .. } => match **cause {
            TrainError::Device(DeviceError::HostMemory { .. }) => "",
            _ => " (--device cpu)",
        },
        TrainError::Interrupted { .. } | TrainError::StudyInterrupted { .. } => ", go on with --resume",
        TrainError::Experiment(_)
        | TrainError::Data(_)
        | TrainError::Graph(_)
        | TrainError::Plan(_)
        | TrainError::Device(_)
        | TrainError::Unusable { .. }
        | TrainError::Tensor { .. }
        | TrainError::Input(_)
        | TrainError::Format { .. }
        | TrainError::Diverged { .. }
        | TrainError::Io { .. }
        | TrainError::StudyFailed { .. }
        | TrainError::ReplayInterrupted
        | TrainError::Mpi(_) => "",
    };
    format!("{error}{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_flags_that_help() {
        let (device, cause) = ("GPU".to_string(), "reset".to_string());
        let setting = |run| TrainError::Setting { run, name: "count", problem: "0 is not in 1..=9".into() };
        let diverged = |origin: &str| TrainError::Diverged {
            step: 3,
            what: "training loss".into(),
            value: f64::NAN,
            origin: origin.into(),
        };
        let cases = [
            (setting(None), "--count 0 is not in 1..=9"),
            (setting(Some("runs/a".into())), "runs/a: --count 0 is not in 1..=9"),
            (TrainError::Lost { device, cause }, "kept, go on with --resume, or with --resume --device cpu"),
            (TrainError::InUse { run: "runs/a".into() }, "or choose another directory with --out"),
            (TrainError::Occupied { directory: "a".into() }, "choose another directory with --out"),
            (
                TrainError::Changed { begun: "a".into(), now: "b".into() },
                "--resume: the run was begun with `a`",
            ),
            (diverged(""), "clip_norm = 1.0; --anomaly names the operator"),
            (diverged("in the forward pass"), "or clip_norm = 1.0"),
            (TrainError::Interrupted { step: 3, run: "a".into() }, "directory a), go on with --resume"),
        ];
        for (error, part) in cases {
            let message = in_flags(&error);
            assert!(message.contains(part), "{message}");
            assert!(!error.to_string().contains("--"), "the library names a flag: {error}");
        }
        assert!(!in_flags(&diverged("in the forward pass")).contains("--"));
    }
}
