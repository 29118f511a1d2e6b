//! The GPU backend behaves as documented, whatever the program or the driver does: steps run in order,
//! uploads are counted, what does not fit is rejected by name, and failures are error values.

use gridlight::base::step::StepRecord;
use gridlight::device::gpu::{GpuDevice, GpuOptions};
use gridlight::device::{Device, DeviceError, Session};
use gridlight::kernels::Kernel;
use gridlight::kernels::pointwise::Pointwise;
use gridlight::kernels::shader::Shader;
use gridlight::kernels::store::{Store, Stored};
use gridlight::plan::{BufferClass, BufferId, BufferSpec, Dispatch, Phase, Program, Slice};
use gridlight::scalar::{BinaryFn, Body, Inst, View};
use libtest_mimic::{Failed, Trial};

use crate::harness;

/// `state[i] = 3 * state[i] + step * input[i]`: the result depends on the order of the steps.
const RECURRENCE: &str = "
@group(0) @binding(0) var<storage, read_write> state: array<u32>;
@group(1) @binding(0) var<storage, read> input: array<u32>;
@group(2) @binding(0) var<uniform> step: array<vec4<u32>, 4>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    state[id.x] = 3u * state[id.x] + step[0].x * input[id.x];
}";

pub fn trials() -> Vec<Trial> {
    harness::trials(&[
        ("steps_run_in_order_across_submissions_and_calls", steps_run_in_order),
        ("a_run_uploads_its_step_records_and_nothing_else", uploads_are_counted),
        ("memory_is_what_the_plan_says_and_zeroed", memory_is_planned_and_zeroed),
        ("large_reads_and_writes_arrive_whole", large_transfers),
        ("what_does_not_fit_is_refused_with_names", limits_are_errors),
        ("a_refused_shader_is_an_error_and_the_device_goes_on", refused_shader),
        ("operands_that_the_shader_does_not_have_are_refused", unknown_operands),
        ("ranges_outside_a_buffer_are_errors", ranges_are_checked),
        ("a_lost_device_is_an_error_everywhere", lost_device),
        ("a_profile_has_a_time_for_each_dispatch", profile),
    ])
}

fn slice(buffer: u32, words: usize) -> Slice {
    Slice { buffer: BufferId(buffer), start: 0, words }
}

/// One phase of `dispatches` equal dispatches that read buffer 0 and write buffer 1, of `words` words each.
fn program(words: usize, dispatches: usize) -> Program {
    let buffer = |name: &str| BufferSpec { name: name.into(), class: BufferClass::State, words };
    let dispatch = |launch| Dispatch {
        kernel: Kernel::new(Store { values: vec![Stored::result(words)] }),
        reads: vec![slice(0, words)],
        writes: vec![slice(1, words)],
        label: "test layer".into(),
        launch,
    };
    Program {
        buffers: vec![buffer("input"), buffer("state")],
        phases: vec![Phase { name: "train".into(), dispatches: (0..dispatches).map(dispatch).collect() }],
    }
}

/// The sum of `reads` operands of 64 words, which is what the planner's checks ask a kernel with as many
/// operands for.
fn sum_of(reads: usize) -> Kernel {
    let mut body = Body::default();
    let load = |operand| Inst::Load { operand, view: View::contiguous(&[64]) };
    let mut sum = body.push(load(0));
    for operand in 1..reads {
        let next = body.push(load(operand));
        sum = body.push(Inst::Binary(BinaryFn::Add, sum, next));
    }
    body.stores.push((sum, 0));
    Kernel::new(Pointwise { shape: vec![64], body })
}

fn load(device: &GpuDevice, program: &Program, source: &str) -> Result<Box<dyn Session>, DeviceError> {
    device.load_with(program, &|launch, _| {
        let groups = launch[0].writes[0].words.div_ceil(64) as u32;
        Ok(Shader {
            source: source.into(),
            workgroups: [groups, 1, 1],
            name: "test".into(),
            ..Shader::default()
        })
    })
}

fn records(steps: std::ops::Range<u32>) -> Vec<StepRecord> {
    steps.map(|step| StepRecord { step, ..StepRecord::default() }).collect()
}

fn steps_run_in_order() -> Result<(), Failed> {
    for checked in [true, false] {
        let device = harness::device(&GpuOptions { checked: Some(checked), ..GpuOptions::default() })?;
        let mut session = load(&device, &program(64, 1), RECURRENCE)?;
        let input: Vec<u32> = (1..=64).collect();
        session.write(BufferId(0), 0, &input)?;
        let mut expected = vec![0u32; 64];
        // More steps than the table of records holds, in calls of different lengths.
        for range in [0..1, 1..2500, 2500..2503, 2503..2503, 2503..4000] {
            session.run(0, &records(range.clone()))?;
            for step in range {
                for (state, x) in expected.iter_mut().zip(&input) {
                    *state = state.wrapping_mul(3).wrapping_add(step.wrapping_mul(*x));
                }
            }
        }
        assert_eq!(session.read(BufferId(1), 0, 64)?, expected, "checked: {checked}");
        session.write(BufferId(1), 2, &[7])?;
        assert_eq!(session.read(BufferId(1), 1, 3)?, [expected[1], 7, expected[3]], "a part is written");
    }
    Ok(())
}

fn uploads_are_counted() -> Result<(), Failed> {
    let device = harness::device(&GpuOptions::default())?;
    let mut session = load(&device, &program(64, 3), RECURRENCE)?;
    session.write(BufferId(0), 0, &[1; 64])?;
    assert_eq!(session.traffic(), (256, 0));
    session.run(0, &records(0..100))?;
    session.wait()?;
    let (bytes, reads) = session.traffic();
    let per_step = (bytes - 256) as f64 / 100.0;
    assert!((64.0..=256.0).contains(&per_step), "a step record takes 64 to 256 bytes, found {per_step}");
    assert_eq!(reads, 0, "running reads nothing back");
    session.read(BufferId(1), 0, 1)?;
    assert_eq!(session.traffic(), (bytes, 1));
    Ok(())
}

fn memory_is_planned_and_zeroed() -> Result<(), Failed> {
    let device = harness::device(&GpuOptions::default())?;
    let program = program(640, 1);
    let mut session = load(&device, &program, RECURRENCE)?;
    assert_eq!(session.allocated_bytes(), program.bytes());
    assert_eq!(session.read(BufferId(1), 0, 640)?, vec![0; 640]);
    Ok(())
}

fn large_transfers() -> Result<(), Failed> {
    let device = harness::device(&GpuOptions::default())?;
    // More than one chunk in either direction: 80 MiB.
    let words = 20 << 20;
    let mut program = program(words, 0);
    program.buffers.truncate(1);
    let mut session = load(&device, &program, RECURRENCE)?;
    let data: Vec<u32> = (0..words as u32).map(|i| i.wrapping_mul(0x9E37_79B1)).collect();
    session.write(BufferId(0), 0, &data)?;
    let (start, len) = (1000, words - 2000);
    assert!(session.read(BufferId(0), start, len)? == data[start..start + len], "words differ");
    Ok(())
}

fn limits_are_errors() -> Result<(), Failed> {
    let device = harness::device(&GpuOptions::default())?;
    let limit = device.target().max_buffer_bytes;
    let mut large = program(64, 1);
    large.buffers[0].words = (limit as usize / 4 + 64).next_multiple_of(64);
    let error = load(&device, &large, RECURRENCE).err().ok_or("a buffer above the limit was accepted")?;
    let expected =
        matches!(&error, DeviceError::Limit { what, limit: l, .. } if what.contains("input") && *l == limit);
    assert!(expected, "{error:?}");

    let many = device.load_with(&program(64, 1), &|_, _| {
        let workgroups = [1, device.target().max_workgroups + 1, 1];
        Ok(Shader { source: RECURRENCE.into(), workgroups, name: "test".into(), ..Shader::default() })
    });
    let error = many.err().ok_or("too many workgroups were accepted")?;
    assert!(error.to_string().contains("test layer: workgroups"), "{error}");

    let mut wide = program(64, 1);
    let reads = device.target().max_storage_buffers;
    wide.phases[0].dispatches[0].kernel = sum_of(reads);
    wide.phases[0].dispatches[0].reads = vec![slice(0, 64); reads];
    let error = load(&device, &wide, RECURRENCE).err().ok_or("too many bindings were accepted")?;
    assert!(error.to_string().contains("test layer: storage buffers"), "{error}");

    let mut overlapping = program(64, 1);
    overlapping.phases[0].dispatches[0].reads = vec![slice(1, 64)];
    let error = load(&device, &overlapping, RECURRENCE).err().ok_or("an invalid program was accepted")?;
    assert!(matches!(error, DeviceError::Validation(_)), "{error:?}");
    Ok(())
}

fn refused_shader() -> Result<(), Failed> {
    let device = harness::device(&GpuOptions::default())?;
    for source in ["this is not WGSL", "@compute @workgroup_size(64) fn other() {}"] {
        let error = load(&device, &program(64, 1), source).err().ok_or("a wrong shader was accepted")?;
        let named = matches!(&error, DeviceError::Validation(text) if text.contains("shader `test`"));
        assert!(named, "{error:?}");
    }
    let mut session = load(&device, &program(64, 1), RECURRENCE)?;
    session.write(BufferId(0), 0, &[1; 64])?;
    session.run(0, &records(5..6))?;
    assert_eq!(session.read(BufferId(1), 0, 64)?, vec![5; 64]);
    Ok(())
}

fn unknown_operands() -> Result<(), Failed> {
    let device = harness::device(&GpuOptions::default())?;
    let mut program = program(64, 2);
    program.buffers.push(BufferSpec { name: "other".into(), class: BufferClass::State, words: 64 });
    program.phases[0].dispatches[1].kernel = sum_of(2);
    program.phases[0].dispatches[1].reads.push(slice(2, 64));
    let message = load(&device, &program, RECURRENCE).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(message.contains("declares [1, 1] written and read operands, but [1, 2] are bound"), "{message}");
    Ok(())
}

fn ranges_are_checked() -> Result<(), Failed> {
    let device = harness::device(&GpuOptions::default())?;
    let mut session = load(&device, &program(64, 1), RECURRENCE)?;
    assert!(session.write(BufferId(0), 63, &[0; 2]).is_err());
    assert!(session.write(BufferId(2), 0, &[0]).is_err());
    assert!(session.read(BufferId(0), 0, 65).is_err());
    assert!(session.read(BufferId(0), usize::MAX, 2).is_err());
    assert!(session.run(1, &records(0..1)).is_err());
    assert_eq!(session.read(BufferId(0), 63, 1)?, [0]);
    assert_eq!(session.read(BufferId(0), 0, 0)?, Vec::<u32>::new());
    Ok(())
}

fn lost_device() -> Result<(), Failed> {
    let device = harness::device(&GpuOptions::default())?;
    let mut session = load(&device, &program(64, 1), RECURRENCE)?;
    session.run(0, &records(0..10))?;
    device.destroy();
    let lost = |result: Result<(), DeviceError>, what: &str| {
        assert!(matches!(result, Err(DeviceError::Lost(_))), "{what}: {result:?}");
    };
    lost(session.run(0, &records(10..20)), "run");
    lost(session.write(BufferId(0), 0, &[1]), "write");
    lost(session.read(BufferId(1), 0, 1).map(|_| ()), "read");
    lost(session.wait(), "wait");
    lost(session.profile(0, &StepRecord::default()).map(|_| ()), "profile");
    lost(load(&device, &program(64, 1), RECURRENCE).map(|_| ()), "load");
    // Other devices are unaffected.
    let device = harness::device(&GpuOptions::default())?;
    load(&device, &program(64, 1), RECURRENCE)?.run(0, &records(0..1))?;
    Ok(())
}

fn profile() -> Result<(), Failed> {
    let device = harness::device(&GpuOptions::default())?;
    let mut session = load(&device, &program(1 << 16, 5), RECURRENCE)?;
    let seconds = session.profile(0, &StepRecord::default())?;
    assert_eq!(seconds.len(), 5);
    assert!(seconds.iter().all(|s| (0.0..1.0).contains(s)), "{seconds:?}");
    assert!(seconds.iter().any(|s| *s > 0.0), "65,536 elements take time: {seconds:?}");
    Ok(())
}
