//! A plan that is too large for the device is rejected with what is too large, the total, and the batch size
//! that fits.

use gridlight::base::target::{Family, Target};
use gridlight::device::cpu::CpuDevice;
use gridlight::device::{Device, DeviceError, DeviceInfo, Session};
use gridlight::plan::{BufferClass, Program};
use gridlight::train::{ErrorKind, TrainError};

use crate::interruptions::Bench;

/// A device with the limits of `target` and `memory` bytes.
struct Small {
    target: Target,
    memory: u64,
    inner: CpuDevice,
}

impl Small {
    fn new(target: Target, memory: u64) -> Self {
        Self { target, memory, inner: CpuDevice::new(Some(1)) }
    }
}

impl Device for Small {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn load(&self, program: &Program) -> Result<Box<dyn Session>, DeviceError> {
        let mut left = self.memory;
        for buffer in &program.buffers {
            let bytes = 4 * buffer.words as u64;
            let purpose = format!("buffer `{}`", buffer.name);
            left = left.checked_sub(bytes).ok_or(DeviceError::OutOfMemory { bytes, purpose })?;
        }
        self.inner.load(program)
    }
}

fn bench(batch: usize) -> Bench {
    Bench::with(&format!("batch_size = {batch}\nepochs = 1\n"))
}

/// Bytes of the buffers that training with `batch` takes without limits: activations only, and all.
fn needed(batch: usize) -> (u64, u64) {
    struct Measure(CpuDevice, std::sync::Mutex<Vec<(u64, u64)>>);
    impl Device for Measure {
        fn info(&self) -> &DeviceInfo {
            self.0.info()
        }

        fn target(&self) -> &Target {
            self.0.target()
        }

        fn load(&self, program: &Program) -> Result<Box<dyn Session>, DeviceError> {
            let sizes = program.buffers.iter().filter(|b| b.class == BufferClass::Activations);
            let largest = sizes.map(|b| 4 * b.words as u64).max().unwrap_or(0);
            self.1.lock().unwrap().push((largest, program.bytes()));
            self.0.load(program)
        }
    }
    let device = Measure(CpuDevice::new(Some(1)), std::sync::Mutex::default());
    bench(batch).train(&device, "run").unwrap();
    device.1.lock().unwrap()[0]
}

/// The batch size that the refusal of `batch` names.
fn named(device: &Small, batch: usize, kind: ErrorKind) -> Option<usize> {
    let bench = bench(batch);
    let error = bench.train(device, "run").unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let TrainError::DoesNotFit { batch: told, bytes, fitting, .. } = &error else { panic!("{error}") };
    assert!(*told == batch && *bytes > 0, "{error}");
    assert!(!bench.path("run").exists(), "nothing is written");
    if let Some((fitting, less)) = fitting {
        assert!(less < bytes, "{error}");
        assert!(error.to_string().contains(&format!("train.batch_size={fitting} would fit")), "{error}");
    }
    fitting.map(|(batch, _)| batch)
}

#[test]
fn a_buffer_above_the_limit_is_refused_with_the_batch_size_that_fits() {
    let (activations, _) = needed(200);
    let limits = Target { max_buffer_bytes: activations - 4, ..Target::native() };
    let device = Small::new(limits.clone(), u64::MAX);
    let error = bench(200).train(&device, "run").unwrap_err().to_string();
    assert!(error.contains("activations") && error.contains("in all"), "{error}");
    let batch = named(&device, 200, ErrorKind::Input).expect("a smaller batch fits");
    bench(batch).train(&device, "run").unwrap();
    assert_eq!(named(&device, batch + 1, ErrorKind::Input), Some(batch));
    // The same on a device with shaders.
    let limits = Target { max_buffer_bytes: activations / 2, ..Target::webgpu_minimum(Family::Workgroup) };
    assert!(named(&Small::new(limits, u64::MAX), 200, ErrorKind::Input).is_some());
}

#[test]
fn want_of_memory_is_told_with_the_batch_size_that_fits() {
    let (_, all) = needed(240);
    let device = Small::new(Target::native(), all - 4);
    let batch = named(&device, 240, ErrorKind::Device).expect("a smaller batch fits");
    assert!((1..240).contains(&batch));
    bench(batch).train(&device, "run").unwrap();
    let error = bench(240).train(&device, "run").unwrap_err().to_string();
    assert!(error.contains("out of device memory") && error.contains("buffer `"), "{error}");
}

#[test]
fn where_no_batch_fits_that_is_said() {
    let device = Small::new(Target::native(), 2_000);
    assert_eq!(named(&device, 200, ErrorKind::Device), None);
    let error = bench(200).train(&device, "run").unwrap_err().to_string();
    assert!(error.contains("no smaller train.batch_size would fit"), "{error}");
}
