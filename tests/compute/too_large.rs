//! An operator case too large for the device is skipped with the reason; other failures end the comparison.

use gridlight::base::target::Target;
use gridlight::device::cpu::CpuDevice;
use gridlight::device::{Device, DeviceError, DeviceInfo, Session};
use gridlight::plan::Program;
use gridlight::verify::cases::{OperatorCase, OperatorResult, run_case};

/// A device that takes no program.
struct Full(CpuDevice, DeviceError);

impl Device for Full {
    fn info(&self) -> &DeviceInfo {
        self.0.info()
    }

    fn target(&self) -> &Target {
        self.0.target()
    }

    fn load(&self, _program: &Program) -> Result<Box<dyn Session>, DeviceError> {
        Err(self.1.clone())
    }
}

#[test]
fn a_case_too_large_for_the_device_is_skipped() {
    let tensor = r#"{"shape":[1,1],"dtype":"f32","data":[1.0]}"#;
    let line = format!(
        r#"{{"name":"n","op":"matmul","params":{{}},"inputs":{{"a":{tensor},"b":{tensor}}},"dy":[]}}"#
    );
    let case: OperatorCase = serde_json::from_str(&line).unwrap();
    let run = |error: DeviceError| run_case(&case, &Full(CpuDevice::new(Some(1)), error));
    let large = [
        DeviceError::OutOfMemory { bytes: 9, purpose: "y".into() },
        DeviceError::HostMemory { bytes: 9, available: 3 },
    ];
    for error in large {
        let Ok(OperatorResult::Skipped { skip, .. }) = run(error.clone()) else { panic!("{error}") };
        assert_eq!(skip, error.to_string());
    }
    assert!(run(DeviceError::Lost("reset".into())).is_err());
}
