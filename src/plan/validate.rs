//! Checks the invariants of a program; runs on every plan before a device sees it.

use super::{Dispatch, Program, Slice};
use crate::kernels::signature::OperandSpec;
use crate::scalar::{Body, Inst};

impl Program {
    /// Checks that every slice is in its buffer at an aligned start, that no launch reads a buffer it writes,
    /// that its writes do not overlap, and that bodies refer to exactly the operands that are bound.
    ///
    /// # Errors
    /// A sentence naming the phase and dispatch.
    pub fn validate(&self) -> Result<(), String> {
        for phase in &self.phases {
            for (at, dispatch) in phase.dispatches.iter().enumerate() {
                self.check(dispatch).map_err(|why| {
                    format!(
                        "phase {}, dispatch {at} ({}, {}): {why}",
                        phase.name,
                        dispatch.kernel.name(),
                        dispatch.label
                    )
                })?;
            }
            for launch in phase.launches() {
                check_launch(launch)
                    .map_err(|why| format!("phase {}, {}: {why}", phase.name, launch[0].label))?;
            }
        }
        Ok(())
    }

    fn check(&self, dispatch: &Dispatch) -> Result<(), String> {
        for slice in dispatch.reads.iter().chain(&dispatch.writes) {
            let Some(buffer) = self.buffers.get(slice.buffer.0 as usize) else {
                return Err(format!("no buffer {:?}", slice.buffer));
            };
            if slice.start % 64 != 0 || slice.words == 0 || slice.start + slice.words > buffer.words {
                return Err(format!("{slice:?} does not lie in `{}` of {} words", buffer.name, buffer.words));
            }
        }
        for body in dispatch.kernel.bodies() {
            check_body(body, dispatch)?;
        }
        let signature = dispatch.kernel.signature();
        check_operands("reads", &signature.reads, dispatch.reads.len())?;
        check_operands("writes", &signature.writes, dispatch.writes.len())
    }
}

/// Checks that a dispatch binds exactly the operands that its kernel has: a shader has no binding for others,
/// and those of kernels sharing its launch would be mistaken for them.
fn check_operands(what: &str, operands: &[OperandSpec], bound: usize) -> Result<(), String> {
    let there: Vec<usize> = (0..operands.len()).filter(|&at| operands[at].words > 0).collect();
    if there.iter().copied().eq(0..bound) {
        return Ok(());
    }
    Err(format!("the kernel {what} operands {there:?} of {bound}"))
}

fn check_launch(launch: &[Dispatch]) -> Result<(), String> {
    let writes: Vec<&Slice> = launch.iter().flat_map(|d| &d.writes).collect();
    for (i, write) in writes.iter().enumerate() {
        let mut reads = launch.iter().flat_map(|d| &d.reads);
        if let Some(read) = reads.find(|r| r.buffer == write.buffer) {
            return Err(format!("reads {read:?} and writes {write:?} of one buffer"));
        }
        if let Some(other) = writes[..i].iter().find(|o| overlap(o, write)) {
            return Err(format!("writes {other:?} and {write:?} overlap"));
        }
    }
    Ok(())
}

fn overlap(a: &Slice, b: &Slice) -> bool {
    a.buffer == b.buffer && a.start < b.start + b.words && b.start < a.start + a.words
}

fn check_body(body: &Body, dispatch: &Dispatch) -> Result<(), String> {
    for (at, inst) in body.insts.iter().enumerate() {
        let earlier = |r: &u32| (*r as usize) < at;
        let right = match inst {
            Inst::Load { operand, .. } => *operand < dispatch.reads.len(),
            Inst::Previous { output } => *output < dispatch.writes.len(),
            Inst::Unary(_, a) => earlier(a),
            Inst::Binary(_, a, b) => earlier(a) && earlier(b),
            Inst::Select(c, a, b) => earlier(c) && earlier(a) && earlier(b),
            Inst::Accumulator | Inst::Const(_) | Inst::Step(_) | Inst::Random { .. } => true,
        };
        if !right {
            return Err(format!("instruction {at} ({inst:?}) refers to something that does not exist"));
        }
    }
    let names = |s: &(u32, usize)| (s.0 as usize) < body.insts.len() && s.1 < dispatch.writes.len();
    if !body.stores.iter().all(names) {
        return Err("a store refers to something that does not exist".into());
    }
    Ok(())
}
