//! Counter-based random numbers with the same bits on the CPU and on every GPU.
//!
//! Threefry2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): the
//! random word of an element is a function of (seed, stream, step, element), so nothing is stored and the
//! order of computation does not matter. The key is the seed, with its high word mixed with the stream; the
//! counter is (step, element / 2), and the element takes output word `element % 2`.

use std::sync::OnceLock;

use crate::base::step::StepRecord;

/// The distribution of a counter-based random element. Its bits depend only on (seed, step, stream, element).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RandomKind {
    /// Uniform in `[0, 1)`, a multiple of `2^-24`.
    Uniform,
    /// Standard normal from the exact quantile table.
    Normal,
    /// 1 with probability `threshold / 2^32`, else 0.
    Mask {
        /// The result is 1 if the random word is below this.
        threshold: u32,
    },
}

/// Streams used by the project itself; layers use [`streams::LAYERS`] and up.
pub mod streams {
    /// Order of the training rows.
    pub const SHUFFLE: u32 = 1;
    /// Noise on the features.
    pub const NOISE: u32 = 2;
    /// Random splits of the data.
    pub const SPLIT: u32 = 3;
    /// Image augmentation.
    pub const AUGMENT: u32 = 4;
    /// Noise added to latent codes in training and evaluation.
    pub const LATENT: u32 = 5;
    /// Latent codes drawn from the prior.
    pub const SAMPLE: u32 = 6;
    /// Places between real and generated rows, where a critic's gradient is penalised.
    pub const BETWEEN: u32 = 7;
    /// Rows, permutations and noise of explanations.
    pub const EXPLAIN: u32 = 8;
    /// Noise and starting points of attacks.
    pub const ATTACK: u32 = 9;
    /// Settings that a search proposes.
    pub const SEARCH: u32 = 10;
    /// Which class is the last one of a randomised set.
    pub const CONFORMAL: u32 = 11;
    /// Which symbols are hidden from a masked language model.
    pub const MASKED: u32 = 12;
    /// What takes the place of those that become other ones.
    pub const REPLACED: u32 = 13;
    /// Rows among the blocks of a file that are read together.
    pub const BLOCKS: u32 = 14;
    /// Initial parameters: one stream each, numbered from here.
    pub const PARAMETERS: u32 = 0x1_0000;
    /// Dropout masks and other random draws of layers: one stream each, numbered from here.
    pub const LAYERS: u32 = 0x2_0000;
    /// Dropout masks between the layers of recurrent stacks.
    pub const RECURRENT: u32 = 0x4_0000;
    /// Dropout of attention and of what is around it: four streams for each layer, numbered from here.
    pub const ATTENTION: u32 = 0x8_0000;
}

/// The two output words of Threefry2x32-20.
#[inline(always)]
pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const FIRST: [u32; 4] = [13, 15, 26, 6];
    const SECOND: [u32; 4] = [17, 29, 16, 24];
    let third = key[0] ^ key[1] ^ 0x1BD1_1BDA;
    let x = [counter[0].wrapping_add(key[0]), counter[1].wrapping_add(key[1])];
    let x = four_rounds(x, FIRST, [key[1], third.wrapping_add(1)]);
    let x = four_rounds(x, SECOND, [third, key[0].wrapping_add(2)]);
    let x = four_rounds(x, FIRST, [key[0], key[1].wrapping_add(3)]);
    let x = four_rounds(x, SECOND, [key[1], third.wrapping_add(4)]);
    four_rounds(x, FIRST, [third, key[0].wrapping_add(5)])
}

/// Four rounds, then the key injection. Written without loops so that callers' loops over counters vectorise.
#[inline(always)]
fn four_rounds(x: [u32; 2], rotations: [u32; 4], keys: [u32; 2]) -> [u32; 2] {
    let x = round(x, rotations[0]);
    let x = round(x, rotations[1]);
    let x = round(x, rotations[2]);
    let x = round(x, rotations[3]);
    [x[0].wrapping_add(keys[0]), x[1].wrapping_add(keys[1])]
}

#[inline(always)]
fn round(x: [u32; 2], rotation: u32) -> [u32; 2] {
    let sum = x[0].wrapping_add(x[1]);
    [sum, x[1].rotate_left(rotation) ^ sum]
}

/// The key of a stream.
fn stream_key(seed: [u32; 2], stream: u32) -> [u32; 2] {
    [seed[0], seed[1] ^ stream.wrapping_mul(0x9E37_79B1)]
}

/// The random word of one element.
pub fn word(seed: [u32; 2], stream: u32, step: u32, element: u32) -> u32 {
    threefry(stream_key(seed, stream), [step, element / 2])[element as usize % 2]
}

/// A multiple of `2^-24` in `[0, 1)`.
pub fn uniform(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A standard normal number: the sum of two quantiles of `N(0, 1/2)` from a table whose entries are multiples
/// of `2^-20`, so that the sum is exact on every device.
pub fn normal(word: u32) -> f32 {
    sum_of_quantiles(normal_table(), word)
}

fn sum_of_quantiles(table: &[f32; 4096], word: u32) -> f32 {
    table[word as usize & 4095] + table[(word >> 12) as usize & 4095]
}

/// One random element of the given kind, stream and step.
pub fn element(kind: RandomKind, step: &StepRecord, stream: u32, element: u32) -> f32 {
    let word = word([step.seed_low, step.seed_high], stream, step.step, element);
    match kind {
        RandomKind::Uniform => uniform(word),
        RandomKind::Normal => normal(word),
        RandomKind::Mask { threshold } => f32::from(u8::from(word < threshold)),
    }
}

/// Random elements `first..first + out.len()`, bit-identical to [`element`] but computed many counters at a
/// time.
#[inline(always)]
pub fn fill(kind: RandomKind, step: &StepRecord, stream: u32, first: u32, out: &mut [f32]) {
    const PAIRS: usize = 128;
    let key = stream_key([step.seed_low, step.seed_high], stream);
    let (mut firsts, mut seconds, mut words) = ([0u32; PAIRS], [0u32; PAIRS], [0u32; 2 * PAIRS]);
    // Each counter yields two words; an odd start skips the first word of its counter.
    let mut skip = (first % 2) as usize;
    let mut pair = first / 2;
    let mut rest = out;
    while !rest.is_empty() {
        let pairs = (skip + rest.len()).div_ceil(2).min(PAIRS);
        for (lane, (a, b)) in firsts[..pairs].iter_mut().zip(&mut seconds).enumerate() {
            [*a, *b] = threefry(key, [step.step, pair.wrapping_add(lane as u32)]);
        }
        for (both, (a, b)) in words.chunks_exact_mut(2).zip(firsts.iter().zip(&seconds)) {
            both[0] = *a;
            both[1] = *b;
        }
        let (part, after) = rest.split_at_mut((2 * PAIRS - skip).min(rest.len()));
        let words = &words[skip..skip + part.len()];
        match kind {
            RandomKind::Uniform => part.iter_mut().zip(words).for_each(|(o, w)| *o = uniform(*w)),
            RandomKind::Normal => {
                let table = normal_table();
                part.iter_mut().zip(words).for_each(|(o, w)| *o = sum_of_quantiles(table, *w));
            }
            RandomKind::Mask { threshold } => {
                part.iter_mut().zip(words).for_each(|(o, w)| *o = if *w < threshold { 1.0 } else { 0.0 });
            }
        }
        (skip, pair, rest) = (0, pair.wrapping_add(PAIRS as u32), after);
    }
}

/// The quantile table of [`normal`]: mid-point quantiles of `N(0, 1/2)`, rounded to multiples of `2^-20`.
pub fn normal_table() -> &'static [f32; 4096] {
    static TABLE: OnceLock<[f32; 4096]> = OnceLock::new();
    TABLE.get_or_init(|| {
        let quantiles: Vec<f64> = (0..4096).map(|i| normal_quantile((f64::from(i) + 0.5) / 4096.0)).collect();
        // Mid-points truncate the tails slightly; scaling restores a variance of 1/2.
        let second = quantiles.iter().map(|z| z * z).sum::<f64>() / 4096.0;
        let scale = (0.5 / second).sqrt();
        std::array::from_fn(|i| ((quantiles[i] * scale * 1_048_576.0).round() / 1_048_576.0) as f32)
    })
}

/// The `p`-quantile of the standard normal distribution, by bisection of its distribution function: slow, but
/// obviously correct and needed only for the table.
pub fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..80 {
        let middle: f64 = 0.5 * (low + high);
        if 0.5 * libm::erfc(-middle * std::f64::consts::FRAC_1_SQRT_2) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Shuffles `order` with a counter-based Fisher-Yates shuffle selected by `stream` and `round` (the epoch).
pub fn shuffle(order: &mut [u32], seed: [u32; 2], stream: u32, round: u32) {
    for last in (1..order.len()).rev() {
        // The high half of a 64-bit product maps a word to 0..=last with a bias below 2^-32 * last.
        let draw = word(seed, stream, round, last as u32);
        let pick = (u64::from(draw) * (last as u64 + 1)) >> 32;
        order.swap(last, pick as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threefry_gives_the_published_answers() {
        assert_eq!(threefry([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry([u32::MAX; 2], [u32::MAX; 2]), [0x1cb9_96fc, 0xbb00_2be7]);
        let answer = threefry([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
        assert_eq!(answer, [0xc492_3a9c, 0x483d_f7a0]);
    }

    #[test]
    fn filling_gives_the_bits_of_single_elements() {
        let step = StepRecord { step: 9, seed_low: 3, seed_high: 4, ..StepRecord::default() };
        for kind in [RandomKind::Uniform, RandomKind::Normal, RandomKind::Mask { threshold: 1 << 30 }] {
            for (first, count) in [(0, 1), (1, 1), (5, 31), (6, 33), (101, 300)] {
                let mut out = vec![f32::NAN; count];
                fill(kind, &step, 12, first, &mut out);
                let single: Vec<f32> =
                    (0..count as u32).map(|i| element(kind, &step, 12, first + i)).collect();
                assert_eq!(out, single, "{kind:?} {first} {count}");
            }
        }
    }

    #[test]
    fn the_normal_table_has_the_moments_of_a_normal_distribution() {
        let table = normal_table();
        let mean: f64 = table.iter().map(|&x| f64::from(x)).sum::<f64>() / 4096.0;
        let second: f64 = table.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 4096.0;
        let fourth: f64 = table.iter().map(|&x| f64::from(x).powi(4)).sum::<f64>() / 4096.0;
        // Expected for the sum of two independent draws.
        let (variance, kurtosis) =
            (2.0 * second, (2.0 * fourth + 6.0 * second * second) / (4.0 * second * second));
        assert!(mean.abs() < 1e-7, "mean {mean}");
        assert!((variance - 1.0).abs() < 1e-6, "variance {variance}");
        assert!((kurtosis - 3.0).abs() < 2e-2, "kurtosis {kurtosis}");
        assert!(table.iter().all(|x| (x * 1_048_576.0).fract() == 0.0));
    }

    #[test]
    fn shuffle_permutes_and_depends_on_seed_and_round() {
        let draw = |seed, round| {
            let mut order: Vec<u32> = (0..100).collect();
            shuffle(&mut order, [seed, 0], streams::SHUFFLE, round);
            order
        };
        let mut sorted = draw(1, 0);
        assert_ne!(sorted, draw(1, 1));
        assert_ne!(sorted, draw(2, 0));
        assert_eq!(sorted, draw(1, 0));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
