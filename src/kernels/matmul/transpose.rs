//! Transposing a matrix operand for [`super::direct`].

/// Rows and columns per block: what 8 AVX registers hold.
const BLOCK: usize = 8;

/// Writes `B` (element (l, j) at `j * stride + l`) to `to`, `[k, n]` row-major.
pub(in crate::kernels) fn transpose(from: &[f32], stride: usize, [n, k]: [usize; 2], to: &mut [f32]) {
    let to = &mut to[..n * k];
    let (whole_n, whole_k) = (n - n % BLOCK, k - k % BLOCK);
    #[cfg(target_arch = "x86_64")]
    let done = avx::blocks(from, stride, [n, whole_n, whole_k], to);
    #[cfg(not(target_arch = "x86_64"))]
    let done = false;
    let (first_n, first_k) = if done { (whole_n, whole_k) } else { (0, 0) };
    for j in 0..n {
        let row = &from[j * stride..j * stride + k];
        let first = if j < first_n { first_k } else { 0 };
        for (l, x) in row.iter().enumerate().skip(first) {
            to[l * n + j] = *x;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx {
    use pulp::{NullaryFnOnce, cast, x86::V3};
    use std::arch::x86_64::__m256;

    use super::BLOCK;

    /// Transposes the whole blocks, if the processor supports AVX2.
    pub fn blocks(from: &[f32], stride: usize, extents: [usize; 3], to: &mut [f32]) -> bool {
        V3::try_new().map(|simd| simd.vectorize(Blocks { simd, from, stride, extents, to })).is_some()
    }

    struct Blocks<'a> {
        simd: V3,
        from: &'a [f32],
        stride: usize,
        /// Columns of `to`, then the rows and columns of `from` that fill whole blocks.
        extents: [usize; 3],
        to: &'a mut [f32],
    }

    impl NullaryFnOnce for Blocks<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let [n, whole_n, whole_k] = self.extents;
            for j in (0..whole_n).step_by(BLOCK) {
                // Slices of one known length are checked once, and not for every block.
                let rows: [&[[f32; BLOCK]]; BLOCK] = std::array::from_fn(|r| {
                    let start = (j + r) * self.stride;
                    self.from[start..start + whole_k].as_chunks().0
                });
                let count = whole_k / BLOCK;
                let rows = rows.map(|row| &row[..count]);
                for (l, to) in self.to.chunks_exact_mut(BLOCK * n).take(count).enumerate() {
                    let columns = block(self.simd, rows.map(|row| cast(row[l])));
                    for (to, column) in to.chunks_exact_mut(n).zip(columns) {
                        let column: [f32; BLOCK] = cast(column);
                        to[j..j + BLOCK].copy_from_slice(&column);
                    }
                }
            }
        }
    }

    /// Swaps pairs, then quadruples, then halves of rows.
    #[inline(always)]
    fn block(simd: V3, r: [__m256; BLOCK]) -> [__m256; BLOCK] {
        let avx = simd.avx;
        let low = |i: usize| avx._mm256_unpacklo_ps(r[i], r[i + 1]);
        let high = |i: usize| avx._mm256_unpackhi_ps(r[i], r[i + 1]);
        let pairs = [low(0), high(0), low(2), high(2), low(4), high(4), low(6), high(6)];
        let first = |a: usize, b: usize| avx._mm256_shuffle_ps::<0b01_00_01_00>(pairs[a], pairs[b]);
        let second = |a: usize, b: usize| avx._mm256_shuffle_ps::<0b11_10_11_10>(pairs[a], pairs[b]);
        let upper = [first(0, 2), second(0, 2), first(1, 3), second(1, 3)];
        let lower = [first(4, 6), second(4, 6), first(5, 7), second(5, 7)];
        let left = |i: usize| avx._mm256_permute2f128_ps::<0x20>(upper[i], lower[i]);
        let right = |i: usize| avx._mm256_permute2f128_ps::<0x31>(upper[i], lower[i]);
        [left(0), left(1), left(2), left(3), right(0), right(1), right(2), right(3)]
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_element_changes_places() {
        for (n, k) in [(1, 1), (8, 8), (9, 17), (64, 40), (7, 130), (33, 8)] {
            let stride = k + 3;
            let from: Vec<f32> = (0..n * stride).map(|i| i as f32).collect();
            let mut to = vec![f32::NAN; n * k];
            super::transpose(&from, stride, [n, k], &mut to);
            for (l, j) in (0..k).flat_map(|l| (0..n).map(move |j| (l, j))) {
                assert_eq!(to[l * n + j], from[j * stride + l], "{n}x{k}: {l}, {j}");
            }
        }
    }
}
