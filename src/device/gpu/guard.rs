//! Every call into wgpu that can fail goes through here, so that each kind of failure becomes an error value.
//!
//! wgpu 30 fails in four ways. Errors reach the innermost error scope of the thread; without a scope, they
//! reach a handler that panics by default; a lost device is reported to a single callback, after which
//! submissions silently do nothing; and `Device::poll` on a lost device panics. [`Guard::call`] sets scopes
//! and catches panics, [`Health`] records what the callbacks report, and [`Guard::wait`] checks it before
//! trusting a result.
//!
//! In a browser nothing can be waited for, and errors arrive after the call: [`Guard::call`] has none to return but
//! those known by then, and whoever awaits results checks again when they are there.

#[cfg(not(target_family = "wasm"))]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(not(target_family = "wasm"))]
use std::time::Duration;

use crate::device::DeviceError;

/// Longest wait for one submission. Submissions are sized to take a tenth of a second at most (`pace`).
#[cfg(not(target_family = "wasm"))]
const TIMEOUT: Duration = Duration::from_secs(120);

/// The first fatal event that a callback reported.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<DeviceError>>);

impl Health {
    fn report(&self, error: DeviceError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// # Errors
    /// If the device has been lost, or an error occurred outside any scope.
    pub fn check(&self) -> Result<(), DeviceError> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// A device whose failures are returned as error values.
#[derive(Debug)]
pub struct Guard {
    device: wgpu::Device,
    health: Arc<Health>,
}

impl Guard {
    /// Installs the callbacks of `device`.
    pub fn new(device: wgpu::Device) -> Self {
        let health = Arc::new(Health::default());
        let (lost, uncaptured) = (health.clone(), health.clone());
        device.set_device_lost_callback(move |reason, message| {
            lost.report(DeviceError::Lost(format!("{message} ({reason:?})")));
        });
        device.on_uncaptured_error(Arc::new(move |error| {
            uncaptured.report(error_value(&error, "a buffer", 0));
        }));
        Self { device, health }
    }

    /// The device, for calls inside [`Guard::call`].
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// # Errors
    /// If the device is known to be lost.
    pub fn check(&self) -> Result<(), DeviceError> {
        self.health.check()
    }

    /// Runs `work`; its errors are known later.
    ///
    /// # Errors
    /// What was reported before.
    #[cfg(target_family = "wasm")]
    pub fn call<T>(
        &self,
        _purpose: &str,
        _bytes: u64,
        work: impl FnOnce(&wgpu::Device) -> T,
    ) -> Result<T, DeviceError> {
        self.health.check()?;
        Ok(work(&self.device))
    }

    /// Runs `work`, catching errors and panics. `purpose` and `bytes` describe what is allocated, if
    /// anything.
    ///
    /// # Errors
    /// The first of: device lost, out of memory, validation failure, internal error, panic.
    #[cfg(not(target_family = "wasm"))]
    pub fn call<T>(
        &self,
        purpose: &str,
        bytes: u64,
        work: impl FnOnce(&wgpu::Device) -> T,
    ) -> Result<T, DeviceError> {
        self.health.check()?;
        let filters =
            [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
        let mut scopes: Vec<_> = filters.into_iter().map(|f| self.device.push_error_scope(f)).collect();
        let result = without_report(|| catch_unwind(AssertUnwindSafe(|| work(&self.device))));
        let mut error = None;
        while let Some(scope) = scopes.pop() {
            error = error.or(pollster::block_on(scope.pop()));
        }
        if error.is_some() || result.is_err() {
            // A loss is reported only to its callback, and some losses only from `poll`; elsewhere they
            // surface as misleading errors.
            quietly(|| drop(self.device.poll(wgpu::PollType::Poll)));
        }
        match self.health.check() {
            // wgpu reports conditions it cannot recover from as a loss, including running out of memory while
            // compiling.
            Err(DeviceError::Lost(text)) if text.to_lowercase().contains("out of memory") => {
                return Err(DeviceError::OutOfMemory { bytes, purpose: purpose.into() });
            }
            health => health?,
        }
        if let Some(error) = error {
            return Err(error_value(&error, purpose, bytes));
        }
        result.map_err(|panic| {
            let text = panic_text(&*panic);
            if text.contains("lost") {
                DeviceError::Lost(format!("while {purpose}: {text}"))
            } else {
                DeviceError::Validation(format!("wgpu failed while {purpose}: {text}"))
            }
        })
    }

    /// Waits for nothing.
    ///
    /// # Errors
    /// What was reported before.
    #[cfg(target_family = "wasm")]
    pub fn wait(&self, _submission: Option<wgpu::SubmissionIndex>) -> Result<(), DeviceError> {
        self.health.check()
    }

    /// Waits until `submission` (or the newest one) is done.
    ///
    /// # Errors
    /// If the device is lost or does not finish in time.
    #[cfg(not(target_family = "wasm"))]
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<(), DeviceError> {
        let wait = wgpu::PollType::Wait { submission_index: submission, timeout: Some(TIMEOUT) };
        match self.call("waiting for the GPU", 0, |device| device.poll(wait))? {
            Ok(_) => self.health.check(),
            Err(wgpu::PollError::Timeout) => Err(DeviceError::Timeout { seconds: TIMEOUT.as_secs() }),
            Err(error) => Err(DeviceError::Validation(error.to_string())),
        }
    }
}

fn error_value(error: &wgpu::Error, purpose: &str, bytes: u64) -> DeviceError {
    match error {
        wgpu::Error::OutOfMemory { .. } => DeviceError::OutOfMemory { bytes, purpose: purpose.into() },
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            DeviceError::Validation(format!("{purpose}: {}", description.trim()))
        }
    }
}

#[cfg(not(target_family = "wasm"))]
pub use panics::quietly;
#[cfg(not(target_family = "wasm"))]
use panics::{panic_text, without_report};

/// Panics as values.
#[cfg(not(target_family = "wasm"))]
mod panics {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Once;

    pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown reason").trim().to_string()
    }

    thread_local! {
        static EXPECTED: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs `work` and discards its panics.
    pub fn quietly(work: impl FnOnce()) {
        let _ = without_report(|| catch_unwind(AssertUnwindSafe(work)));
    }

    /// Runs `work`, turning panics into error values without the panic hook printing them.
    pub fn without_report<T>(work: impl FnOnce() -> T) -> T {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                if !EXPECTED.get() {
                    usual(info);
                }
            }));
        });
        let before = EXPECTED.replace(true);
        let result = work();
        EXPECTED.set(before);
        result
    }
}
