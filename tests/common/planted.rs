//! A device whose results are wrong in one element.

use gridlight::base::step::StepRecord;
use gridlight::base::target::Target;
use gridlight::device::{Device, DeviceError, DeviceInfo, Run, Session};
use gridlight::kernels::samples;
use gridlight::plan::{BufferId, Program};
use gridlight::verify::kernels::check;

/// Makes the last element of every read wrong by `error`, relative to itself or to 1.
struct Wrong<'a> {
    inner: &'a dyn Device,
    error: f32,
}

struct WrongSession {
    inner: Box<dyn Session>,
    error: f32,
}

impl Device for Wrong<'_> {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn target(&self) -> &Target {
        self.inner.target()
    }

    fn load(&self, program: &Program) -> Result<Box<dyn Session>, DeviceError> {
        Ok(Box::new(WrongSession { inner: self.inner.load(program)?, error: self.error }))
    }
}

impl Session for WrongSession {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn write(&mut self, buffer: BufferId, start: usize, words: &[u32]) -> Result<(), DeviceError> {
        self.inner.write(buffer, start, words)
    }

    fn read(&mut self, buffer: BufferId, start: usize, words: usize) -> Result<Vec<u32>, DeviceError> {
        let mut words = self.inner.read(buffer, start, words)?;
        if let Some(last) = words.last_mut().filter(|_| self.error != 0.0) {
            let x = f32::from_bits(*last);
            let wrong = x + self.error * (x.abs() + 1.0);
            *last = if x.is_finite() { wrong } else { 1.0 }.to_bits();
        }
        Ok(words)
    }

    fn run_all(&mut self, runs: &[Run]) -> Result<(), DeviceError> {
        self.inner.run_all(runs)
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        self.inner.wait()
    }

    fn profile(&mut self, phase: usize, step: &StepRecord) -> Result<Vec<f64>, DeviceError> {
        self.inner.profile(phase, step)
    }

    fn allocated_bytes(&self) -> u64 {
        self.inner.allocated_bytes()
    }

    fn traffic(&self) -> (u64, u64) {
        self.inner.traffic()
    }
}

/// The check of `verify` passes every family on `device` itself, and fails it if one element is wrong by 1 %,
/// except for samples so ill-conditioned that rounding alone may cause such an error.
pub fn one_wrong_element_is_found(device: &dyn Device) {
    for family in samples::families() {
        let mut found = 0;
        for seed in 0..8 {
            let sample = samples::random_kernel(family, seed).unwrap();
            let as_it_is = check(&Wrong { inner: device, error: 0.0 }, &sample).unwrap();
            assert!(as_it_is.passed, "{family} {seed}: {as_it_is:?}");
            let wrong = check(&Wrong { inner: device, error: 0.01 }, &sample).unwrap();
            // Bodies with many random operations have wide error bounds.
            assert!(!wrong.passed || wrong.tolerance.0 > 0.1, "{family} {seed}: {wrong:?}");
            found += usize::from(!wrong.passed);
        }
        assert!(found >= 5, "{family}: found {found} of 8");
    }
}
