//! The CPU backend: runs the same plan as the GPU on all cores, with the kernels' native implementations.

pub mod host;
pub mod memory;

use memory::Memory;

use super::{Device, DeviceError, DeviceInfo, Run, Session, check_phases};
use crate::base::step::StepRecord;
use crate::base::target::Target;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::pool::Pool;
use crate::plan::{BufferId, Program};

/// The CPU as a device.
pub struct CpuDevice {
    info: DeviceInfo,
    target: Target,
    threads: usize,
}

impl CpuDevice {
    /// A device with `threads` threads; by default `GRIDLIGHT_THREADS`, or all cores.
    pub fn new(threads: Option<usize>) -> Self {
        let threads = threads.unwrap_or_else(thread_count).clamp(1, 256);
        let info = DeviceInfo {
            backend: "cpu".into(),
            name: processor_name(),
            driver: format!("native, {threads} threads, {}", vectors()),
            kind: "cpu".into(),
        };
        Self { info, target: Target::native(), threads }
    }

    /// Sets exact mode: the same bits as on every other device.
    pub fn exact(self, exact: bool) -> Self {
        Self { target: Target { exact, ..self.target }, ..self }
    }
}

/// How many programs of `bytes` each run at a time, out of `count`, on `threads` threads.
fn at_a_time(count: usize, threads: usize, bytes: u64, available: Option<u64>) -> usize {
    let fit = available.map_or(u64::MAX, |available| available / bytes.max(1));
    count.min(threads).min(usize::try_from(fit).unwrap_or(usize::MAX))
}

/// The default number of threads: `GRIDLIGHT_THREADS`, or one per core.
pub fn thread_count() -> usize {
    let asked = std::env::var("GRIDLIGHT_THREADS").ok().and_then(|t| t.parse().ok());
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.unwrap_or_else(cores).clamp(1, 256)
}

/// The vector width selected for this processor, in `pulp`'s terms: `Scalar`, `V3`, `V4`.
fn vectors() -> String {
    let all = format!("{:?}", pulp::Arch::new());
    // The rest of the text lists every instruction set.
    all.split('(').next().unwrap_or_default().into()
}

/// The processor's name, where the system reports it.
fn processor_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    line.map_or_else(|| std::env::consts::ARCH.to_string(), |(_, name)| name.trim().to_string())
}

impl Device for CpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn load(&self, program: &Program) -> Result<Box<dyn Session>, DeviceError> {
        program.validate().map_err(DeviceError::Validation)?;
        let mut memory = Memory::new(program, host::available())?;
        let mut phases = vec![];
        for phase in &program.phases {
            let dispatches = phase.dispatches.iter();
            phases
                .push(dispatches.map(|d| (d.kernel.native(self.target.exact), memory.operands(d))).collect());
        }
        let pool = Pool::new(self.threads)
            .map_err(|e| DeviceError::Validation(format!("cannot start {} threads: {e}", self.threads)))?;
        Ok(Box::new(CpuSession { info: self.info.clone(), memory, phases, pool, traffic: (0, 0) }))
    }

    /// The threads of this device are shared out: small kernels gain little from several, and waiting for each
    /// other costs more. Bits do not depend on their number.
    fn together(&self, program: &Program, count: usize) -> Result<Vec<Box<dyn Device + Send>>, DeviceError> {
        let members = at_a_time(count, self.threads, program.bytes(), host::available());
        if members < 2 {
            return Ok(vec![]);
        }
        let threads = self.threads / members;
        let member = || Self { info: self.info.clone(), target: self.target.clone(), threads };
        Ok((0..members).map(|_| Box::new(member()) as Box<dyn Device + Send>).collect())
    }

    fn needs_equal_programs(&self) -> bool {
        false
    }
}

struct CpuSession {
    info: DeviceInfo,
    memory: Memory,
    phases: Vec<Vec<(Box<dyn NativeRun>, Operands)>>,
    pool: Pool,
    traffic: (u64, u64),
}

impl Session for CpuSession {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn write(&mut self, buffer: BufferId, start: usize, words: &[u32]) -> Result<(), DeviceError> {
        self.traffic.0 += 4 * words.len() as u64;
        let target = &mut self.memory.words(buffer.0 as usize)[start..start + words.len()];
        target.copy_from_slice(bytemuck::cast_slice(words));
        Ok(())
    }

    fn read(&mut self, buffer: BufferId, start: usize, words: usize) -> Result<Vec<u32>, DeviceError> {
        self.traffic.1 += 1;
        Ok(bytemuck::cast_slice(&self.memory.words(buffer.0 as usize)[start..start + words]).to_vec())
    }

    fn read_into(&mut self, buffer: BufferId, start: usize, words: &mut [u32]) -> Result<(), DeviceError> {
        self.traffic.1 += 1;
        let found = &self.memory.words(buffer.0 as usize)[start..start + words.len()];
        words.copy_from_slice(bytemuck::cast_slice(found));
        Ok(())
    }

    fn words(&mut self, buffer: BufferId) -> Option<&mut [u32]> {
        Some(bytemuck::cast_slice_mut(self.memory.words(buffer.0 as usize)))
    }

    fn run_all(&mut self, runs: &[Run]) -> Result<(), DeviceError> {
        check_phases(runs, self.phases.len())?;
        let (phases, pool) = (&self.phases, &self.pool);
        pool.enter(|| {
            for Run { phase, step } in runs {
                for (kernel, operands) in &phases[*phase] {
                    kernel.run(operands, step, pool);
                }
            }
        });
        Ok(())
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn profile(&mut self, phase: usize, step: &StepRecord) -> Result<Vec<f64>, DeviceError> {
        let (kernels, pool) = (&self.phases[phase], &self.pool);
        Ok(pool.enter(|| {
            let timed = kernels.iter().map(|(kernel, operands)| {
                let start = std::time::Instant::now();
                kernel.run(operands, step, pool);
                start.elapsed().as_secs_f64()
            });
            timed.collect()
        }))
    }

    fn allocated_bytes(&self) -> u64 {
        self.memory.bytes()
    }

    fn traffic(&self) -> (u64, u64) {
        self.traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_and_memory_are_shared_out() {
        assert_eq!(at_a_time(32, 4, 100, None), 4);
        assert_eq!(at_a_time(3, 4, 100, None), 3);
        assert_eq!(at_a_time(32, 4, 100, Some(299)), 2, "only two fit");
        assert_eq!(at_a_time(32, 4, 100, Some(99)), 0);
        let of = |threads, count| {
            let members = CpuDevice::new(Some(threads)).together(&Program::default(), count);
            members.unwrap().len()
        };
        assert_eq!([of(1, 8), of(2, 8), of(5, 2), of(4, 1)], [0, 2, 2, 0]);
    }
}
