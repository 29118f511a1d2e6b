//! Memory for many numbers, in large pages where the system has them. A processor looks up where pages lie in tables of some
//! hundred entries; a matrix of pages of 4 KiB needs one for every row or two, and waits where they run out.
#![allow(
    unsafe_code,
    reason = "memory is allocated with an alignment of its own, and libc's functions take pointers"
)]

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes of a line of the cache: the least alignment.
const LINE: usize = 64;
/// Bytes of a large page, on most systems.
const LARGE: usize = 2 << 20;

/// Numbers that begin at a line of the cache, or at a large page if they fill one.
pub struct Words {
    start: NonNull<f32>,
    words: usize,
    layout: Layout,
}

// SAFETY: it owns its numbers as a vector does.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// `words` zeros; `None` if there is not enough memory for them.
    pub fn zeroed(words: usize) -> Option<Self> {
        let bytes = words.checked_mul(size_of::<f32>())?;
        let layout = Layout::from_size_align(bytes, if bytes >= LARGE { LARGE } else { LINE }).ok()?;
        if bytes == 0 {
            return Some(Self { start: NonNull::dangling(), words, layout });
        }
        // SAFETY: the layout has a size.
        let start = NonNull::new(unsafe { std::alloc::alloc(layout) })?.cast::<f32>();
        // SAFETY: so many were allocated, and nothing else refers to them.
        prefer_large(unsafe { std::slice::from_raw_parts_mut(start.as_ptr().cast(), words) });
        // SAFETY: as above; zeros are numbers. They are written here and not asked for, since the size of a page is settled when
        // it is first written to.
        unsafe { start.write_bytes(0, words) };
        Some(Self { start, words, layout })
    }
}

impl Deref for Words {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: so many numbers were written when it was made.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl DerefMut for Words {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: it was allocated with this layout.
            unsafe { std::alloc::dealloc(self.start.as_ptr().cast(), self.layout) };
        }
    }
}

/// Asks the system for large pages in memory that was not written to yet.
#[cfg(target_os = "linux")]
pub fn prefer_large(memory: &mut [MaybeUninit<f32>]) {
    /// Of the smallest pages, or a multiple.
    const SMALL: usize = 1 << 16;
    let bytes = size_of_val(memory);
    let start = memory.as_mut_ptr().cast::<libc::c_void>();
    let skipped = start.cast::<u8>().align_offset(SMALL);
    if bytes < LARGE || skipped > bytes {
        return;
    }
    let length = (bytes - skipped) / SMALL * SMALL;
    // SAFETY: the pages lie in `memory`, and what they hold stays as it is. It is a wish: a system without large pages refuses.
    unsafe { libc::madvise(start.byte_add(skipped), length, libc::MADV_HUGEPAGE) };
}

/// The system decides.
#[cfg(not(target_os = "linux"))]
pub fn prefer_large(_: &mut [MaybeUninit<f32>]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_zero_aligned_and_theirs_alone() {
        for count in [0, 1, 15, 1000, LARGE / 4 - 1, LARGE / 4, LARGE / 4 + 17, 5 * LARGE / 4 + 3] {
            let [mut a, b] = [0; 2].map(|_| Words::zeroed(count).unwrap());
            assert_eq!(a.len(), count);
            assert!(a.iter().all(|x| x.to_bits() == 0));
            let alignment = if count >= LARGE / 4 { LARGE } else { LINE };
            assert!(count == 0 || a.as_ptr().addr().is_multiple_of(alignment), "{count}");
            a.fill(1.0);
            assert!(b.iter().all(|&x| x == 0.0), "{count}");
        }
        assert!(Words::zeroed(usize::MAX).is_none() && Words::zeroed(1 << 60).is_none());
    }
}
