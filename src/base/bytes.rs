//! Bytes in 32-bit words, four to a word, the first in the lowest bits.

/// Words that `bytes` bytes take up.
pub fn words(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

/// Appends `bytes` as whole words; the last is filled with zeros.
pub fn pack(bytes: &[u8], words: &mut Vec<u32>) {
    words.extend(bytes.chunks(4).map(|four| {
        let shifted = |(at, &byte): (usize, &u8)| u32::from(byte) << (8 * at);
        four.iter().enumerate().map(shifted).sum::<u32>()
    }));
}

/// Byte `at` of `words`.
#[inline(always)]
pub fn byte(words: &[u32], at: usize) -> usize {
    (words[at / 4] >> (8 * (at % 4)) & 255) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_in_order_and_the_last_word_is_filled_with_zeros() {
        for count in 0..10 {
            let bytes: Vec<u8> = (0..count).map(|i| 250 - 30 * i).collect();
            let mut packed = vec![7];
            pack(&bytes, &mut packed);
            assert_eq!(packed.len(), 1 + words(bytes.len()));
            for (at, &b) in bytes.iter().enumerate() {
                assert_eq!(byte(&packed[1..], at), usize::from(b));
            }
            for at in bytes.len()..4 * words(bytes.len()) {
                assert_eq!(byte(&packed[1..], at), 0);
            }
        }
        let mut packed = vec![];
        pack(&[1, 2, 3, 4], &mut packed);
        assert_eq!(packed, [0x0403_0201]);
    }
}
