//! Operands of native kernels: the one place that hands out disjoint parts of shared buffers.
#![allow(unsafe_code, reason = "kernels run on several threads over disjoint parts of the program's buffers")]

/// Words of a buffer.
#[derive(Clone, Copy)]
pub struct Part {
    start: *mut f32,
    words: usize,
}

impl Part {
    /// All of `words`.
    pub fn of(words: &mut [f32]) -> Self {
        Self { start: words.as_mut_ptr(), words: words.len() }
    }

    /// Words `start..start + len`.
    ///
    /// # Safety
    /// The memory is live, and while the slice lives no other slice of these words exists.
    ///
    /// # Panics
    /// If the range does not lie in the part.
    unsafe fn slice<'a>(self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start + len <= self.words, "{} words, asked for {start}+{len}", self.words);
        // SAFETY: in bounds by the assertion, live and exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// A kernel's own buffer, of which threads write disjoint parts.
pub struct Shared<'a> {
    part: Part,
    buffer: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: access through `write` alone, whose callers promise that parts are disjoint.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// All of `buffer`.
    pub fn new(buffer: &'a mut [f32]) -> Self {
        Self { part: Part::of(buffer), buffer: std::marker::PhantomData }
    }

    /// Words `start..start + len`.
    ///
    /// # Safety
    /// While the slice lives no other slice of these words exists: each thread asks for parts of its own.
    ///
    /// # Panics
    /// If the range does not lie in the buffer.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts are written from several threads")]
    pub unsafe fn write(&self, start: usize, len: usize) -> &mut [f32] {
        // SAFETY: the buffer is borrowed as long as `self`; exclusive by the caller's promise.
        unsafe { self.part.slice(start, len) }
    }
}

/// Where the operands of one dispatch lie.
///
/// `Program::validate` has shown that no write overlaps another operand. Kernels keep the second half of the
/// contract: while one dispatch runs, each element of a write is handed to one thread.
pub struct Operands {
    reads: Vec<Part>,
    writes: Vec<Part>,
}

// SAFETY: the pointers lead into buffers that outlive the session's dispatches, and access follows the
// contract above.
unsafe impl Send for Operands {}
// SAFETY: as above.
unsafe impl Sync for Operands {}

impl Operands {
    /// Operands that lie in these parts.
    ///
    /// # Safety
    /// The memory outlives the operands, and no part of `writes` overlaps another part.
    pub unsafe fn new(reads: Vec<Part>, writes: Vec<Part>) -> Self {
        Self { reads, writes }
    }

    /// How many operands are read.
    pub fn reads(&self) -> usize {
        self.reads.len()
    }

    /// How many operands are written.
    pub fn writes(&self) -> usize {
        self.writes.len()
    }

    /// A read operand.
    pub fn read(&self, operand: usize) -> &[f32] {
        let part = self.reads[operand];
        // SAFETY: the part lies in a live buffer, and nothing writes to read operands during the dispatch.
        unsafe { std::slice::from_raw_parts(part.start, part.words) }
    }

    /// A read operand of integers.
    pub fn read_words(&self, operand: usize) -> &[u32] {
        bytemuck::cast_slice(self.read(operand))
    }

    /// Words `start..start + len` of a written operand.
    ///
    /// # Safety
    /// While the slice lives no other slice of these words exists: kernels ask for each part once.
    ///
    /// # Panics
    /// If the range does not lie in the operand.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts are written from several threads")]
    pub unsafe fn write(&self, operand: usize, start: usize, len: usize) -> &mut [f32] {
        // SAFETY: the part lies in a live buffer; exclusive by the caller's promise.
        unsafe { self.writes[operand].slice(start, len) }
    }
}
