//! Writes files in the background while training continues: one job at a time, in order.

use std::thread::{Builder, JoinHandle};

use super::TrainError;

/// A write job.
pub type Job = Box<dyn FnOnce() -> Result<(), TrainError> + Send>;

/// Runs jobs one after the other on a background thread. At most one is in progress, so that no more than one
/// snapshot of the weights is held in memory. Dropping it waits for the job.
#[derive(Default)]
pub struct Writer {
    pending: Option<JoinHandle<Result<(), TrainError>>>,
}

impl Writer {
    /// Starts a job once the previous one has finished.
    ///
    /// # Errors
    /// If the previous job failed; this one is then not started.
    pub fn start(&mut self, job: Job) -> Result<(), TrainError> {
        self.finish()?;
        // The job goes through a channel, so that it is not lost if no thread can be started.
        let (sender, receiver) = std::sync::mpsc::sync_channel::<Job>(1);
        let work = move || receiver.recv().map_or(Ok(()), |job| job());
        match Builder::new().name("writer".into()).spawn(work) {
            Ok(thread) => {
                self.pending = Some(thread);
                sender.send(job).map_err(|_| stopped())
            }
            Err(_) => job(),
        }
    }

    /// Reports whether a job has failed in the meantime.
    ///
    /// # Errors
    /// If one has.
    pub fn check(&mut self) -> Result<(), TrainError> {
        let done = self.pending.as_ref().is_some_and(JoinHandle::is_finished);
        if done { self.finish() } else { Ok(()) }
    }

    /// Waits for the current job.
    ///
    /// # Errors
    /// If it failed.
    pub fn finish(&mut self) -> Result<(), TrainError> {
        self.pending.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(|_| Err(stopped())))
    }
}

fn stopped() -> TrainError {
    TrainError::Io { path: "checkpoints".into(), reason: "the thread that writes files stopped".into() }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Training ends for another reason, which is the one to report.
        let _ = self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::train::ErrorKind;

    #[test]
    fn jobs_run_in_order_and_errors_are_told_once() {
        let written = Arc::new(Mutex::new(vec![]));
        let mut writer = Writer::default();
        for i in 0..5 {
            let written = written.clone();
            let job = move || {
                std::thread::sleep(Duration::from_millis(5 - i));
                written.lock().unwrap().push(i);
                Ok(())
            };
            writer.start(Box::new(job)).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(*written.lock().unwrap(), [0, 1, 2, 3, 4]);
        writer.start(Box::new(|| Err(TrainError::Input("full".into())))).unwrap();
        assert!(writer.start(Box::new(|| Ok(()))).is_err());
        assert!(writer.check().is_ok() && writer.finish().is_ok());
    }

    #[test]
    fn dropping_waits_for_the_job_and_a_panic_is_an_error() {
        let written = Arc::new(Mutex::new(false));
        let mut writer = Writer::default();
        let flag = written.clone();
        let job = move || {
            std::thread::sleep(Duration::from_millis(20));
            *flag.lock().unwrap() = true;
            Ok(())
        };
        writer.start(Box::new(job)).unwrap();
        drop(writer);
        assert!(*written.lock().unwrap());
        let mut writer = Writer::default();
        writer.start(Box::new(|| panic!("boom"))).unwrap();
        assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::File);
    }
}
