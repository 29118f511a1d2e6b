//! Operands of native kernels: the only place that hands out disjoint parts of shared buffers.
#![allow(unsafe_code, reason = "kernels run on several threads over disjoint parts of the program's buffers")]

/// A range of words in a buffer.
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
    /// The memory is live, and no other slice of these words exists while the slice lives.
    ///
    /// # Panics
    /// If the range is out of bounds.
    unsafe fn slice<'a>(self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start + len <= self.words, "{} words, asked for {start}+{len}", self.words);
        // SAFETY: in bounds by the assertion, live and exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// A kernel's own buffer, written by several threads in disjoint parts.
pub struct Shared<'a> {
    part: Part,
    buffer: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: all access goes through `write`, whose callers promise that parts are disjoint.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// All of `buffer`.
    pub fn new(buffer: &'a mut [f32]) -> Self {
        Self { part: Part::of(buffer), buffer: std::marker::PhantomData }
    }

    /// Words `start..start + len`.
    ///
    /// # Safety
    /// No other slice of these words exists while the slice lives: each thread requests parts of its own.
    ///
    /// # Panics
    /// If the range is out of bounds.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts are written from several threads")]
    pub unsafe fn write(&self, start: usize, len: usize) -> &mut [f32] {
        // SAFETY: the buffer is borrowed for as long as `self`; exclusive by the caller's promise.
        unsafe { self.part.slice(start, len) }
    }
}

/// The locations of one dispatch's operands.
///
/// `Program::validate` has shown that no write overlaps another operand. Kernels keep the second half of the
/// contract: while a dispatch runs, each element of a written operand is handed to exactly one thread.
pub struct Operands {
    reads: Vec<Part>,
    writes: Vec<Part>,
}

// SAFETY: the pointers refer to buffers that outlive the session's dispatches, and access follows the
// contract above.
unsafe impl Send for Operands {}
// SAFETY: as above.
unsafe impl Sync for Operands {}

impl Operands {
    /// Operands at these locations.
    ///
    /// # Safety
    /// The memory outlives the operands, and no part of `writes` overlaps another part.
    pub unsafe fn new(reads: Vec<Part>, writes: Vec<Part>) -> Self {
        Self { reads, writes }
    }

    /// The number of read operands.
    pub fn reads(&self) -> usize {
        self.reads.len()
    }

    /// The number of written operands.
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
    /// No other slice of these words exists while the slice lives: kernels request each part once.
    ///
    /// # Panics
    /// If the range is out of bounds.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts are written from several threads")]
    pub unsafe fn write(&self, operand: usize, start: usize, len: usize) -> &mut [f32] {
        // SAFETY: the part lies in a live buffer; exclusive by the caller's promise.
        unsafe { self.writes[operand].slice(start, len) }
    }
}
