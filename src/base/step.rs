//! What varies from one step to the next.

/// A value that changes from step to step, read from the [`StepRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepScalar {
    /// Learning rate of this step.
    LearningRate,
    /// Optimizer scalar by number (for example Adam's bias corrections); see `optim`.
    Optimizer(u8),
    /// Weight of the part of a loss that training fades in (a variational autoencoder's KL term).
    LossWeight,
}

/// Declares the step record in Rust and in WGSL, where a field of several words is as many fields.
macro_rules! step_record {
    ($($(#[$about:meta])* $name:ident: $kind:ident $([$count:literal])?,)*) => {
        /// Everything that varies from one step to the next: 16 words in a uniform with a dynamic offset.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct StepRecord {
            $($(#[$about])* pub $name: step_record!(@ $kind $($count)?),)*
        }

        impl StepRecord {
            /// Fields in order: name, scalar type (the same in WGSL), and the number of words if it is an
            /// array.
            pub const FIELDS: &'static [(&'static str, &'static str, Option<usize>)] =
                &[$((stringify!($name), stringify!($kind), step_record!(# $($count)?)),)*];
        }
    };
    (@ $kind:ident) => { $kind };
    (@ $kind:ident $count:literal) => { [$kind; $count] };
    (#) => { None };
    (# $count:literal) => { Some($count) };
}

step_record! {
    /// Step number from the start of training (0 for evaluation); the RNG counter.
    step: u32,
    /// First entry of this batch in the row order.
    batch_start: u32,
    /// Where `Store` kernels put this step's results, in units of their row count.
    slot: u32,
    /// Low word of the seed.
    seed_low: u32,
    /// High word of the seed.
    seed_high: u32,
    /// Learning rate.
    learning_rate: f32,
    /// Optimizer scalars, computed on the host in `f64` and rounded once.
    optimizer: f32 [4],
    /// Weight of the part of a loss that training fades in.
    loss_weight: f32,
    /// Position of this micro-batch among those whose gradients one update adds up; 0 where a batch is not
    /// cut.
    micro_batch: u32,
    /// The copy of the program that this run is of, where several models run as copies of one.
    copy: u32,
    /// Unused; keeps the record at 16 words.
    reserved: u32 [2],
    /// Always 0, which no shader compiler can know: exact arithmetic passes the bits of its results through
    /// it.
    zero: u32,
}

impl StepRecord {
    /// The random element that element `at` of the `count` drawn for a micro-batch takes: micro-batches
    /// number theirs one after the other, so that rows have the numbers they would have in the whole batch.
    #[inline(always)]
    pub fn element(&self, at: usize, count: usize) -> u32 {
        self.micro_batch.wrapping_mul(count as u32).wrapping_add(at as u32)
    }

    /// The value of a scalar of the step.
    pub fn scalar(&self, scalar: StepScalar) -> f32 {
        match scalar {
            StepScalar::LearningRate => self.learning_rate,
            StepScalar::Optimizer(i) => self.optimizer[usize::from(i) % self.optimizer.len()],
            StepScalar::LossWeight => self.loss_weight,
        }
    }

    /// The record as WGSL: the structure, and the uniform `step`.
    pub fn wgsl() -> String {
        format!("{}@group(2) @binding(0) var<uniform> step: StepRecord;\n", Self::structure())
    }

    /// As [`StepRecord::wgsl`], for at most `copies` copies that run at once: the uniform `steps` has the record
    /// of each, of which an invocation puts its own into `step`.
    pub fn wgsl_of(copies: usize) -> String {
        format!(
            "{}@group(2) @binding(0) var<uniform> steps: array<StepRecord, {copies}>;\n\
             var<private> step: StepRecord;\n",
            Self::structure()
        )
    }

    fn structure() -> String {
        let mut fields = String::new();
        for (name, kind, count) in Self::FIELDS {
            match count {
                None => fields += &format!("    {name}: {kind},\n"),
                Some(count) => (0..*count).for_each(|i| fields += &format!("    {name}_{i}: {kind},\n")),
            }
        }
        format!("struct StepRecord {{\n{fields}}}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::StepRecord;
    use std::mem::{offset_of, size_of};

    #[test]
    fn both_languages_lay_it_out_alike() {
        let module = naga::front::wgsl::parse_str(&StepRecord::wgsl()).unwrap();
        let record = module.types.iter().find_map(|(_, t)| match &t.inner {
            naga::TypeInner::Struct { members, span } => Some((members.clone(), *span)),
            _ => None,
        });
        let (members, span) = record.unwrap();
        assert_eq!(span as usize, size_of::<StepRecord>());
        let at = |name: &str| {
            let member = members.iter().find(|m| m.name.as_deref() == Some(name)).unwrap();
            let kind = match module.types[member.ty].inner {
                naga::TypeInner::Scalar(naga::Scalar::U32) => "u32",
                naga::TypeInner::Scalar(naga::Scalar::F32) => "f32",
                _ => panic!("{name} is no word"),
            };
            (kind, member.offset as usize)
        };
        assert_eq!(at("step"), ("u32", offset_of!(StepRecord, step)));
        assert_eq!(at("batch_start"), ("u32", offset_of!(StepRecord, batch_start)));
        assert_eq!(at("slot"), ("u32", offset_of!(StepRecord, slot)));
        assert_eq!(at("seed_low"), ("u32", offset_of!(StepRecord, seed_low)));
        assert_eq!(at("seed_high"), ("u32", offset_of!(StepRecord, seed_high)));
        assert_eq!(at("learning_rate"), ("f32", offset_of!(StepRecord, learning_rate)));
        for i in 0..4 {
            assert_eq!(at(&format!("optimizer_{i}")), ("f32", offset_of!(StepRecord, optimizer) + 4 * i));
        }
        assert_eq!(at("loss_weight"), ("f32", offset_of!(StepRecord, loss_weight)));
        assert_eq!(at("micro_batch"), ("u32", offset_of!(StepRecord, micro_batch)));
        assert_eq!(at("copy"), ("u32", offset_of!(StepRecord, copy)));
        assert_eq!(at("zero"), ("u32", offset_of!(StepRecord, zero)));
    }
}
