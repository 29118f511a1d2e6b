//! Reproducible damage to files.

use gridlight::base::rng;

/// Changes a valid file in one to four places: flips, huge lengths, cuts, insertions, copies.
pub fn mutate(valid: &[u8], seed: u32) -> Vec<u8> {
    let mut drawn = 0;
    let mut draw = |below: usize| {
        drawn += 1;
        rng::word([11, 13], seed, drawn, 0) as usize % below.max(1)
    };
    let mut bytes = valid.to_vec();
    for _ in 0..=draw(4) {
        let at = draw(bytes.len());
        let end = (at + 1 + draw(40)).min(bytes.len());
        match draw(10) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << draw(8),
            2 if !bytes.is_empty() => bytes[at] = [0, 0x7f, 0x80, 0xff, b'9', b'"', b'\n', b','][draw(8)],
            3 => overwrite(&mut bytes, at, &[0xff, 0xff, 0xff, 0x7f][..]),
            4 => overwrite(&mut bytes, at, &(1u64 << (31 + draw(33))).to_le_bytes()),
            // Parquet's variable-length integers: seven bits per byte, with the sign in the lowest bit.
            5 => overwrite(&mut bytes, at, &[0xfe, 0xff, 0xff, 0xff, 0x0f][..]),
            6 => bytes.truncate(at),
            7 => drop(bytes.splice(
                at..at,
                valid[..end.min(valid.len())].iter().rev().take(20).copied().collect::<Vec<_>>(),
            )),
            8 => drop(bytes.drain(at..end)),
            _ => {
                let chunk = bytes[at..end].to_vec();
                for _ in 0..=draw(3) {
                    bytes.splice(at..at, chunk.iter().copied());
                }
            }
        }
    }
    bytes
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes[at..].iter_mut().zip(with) {
        *byte = *new;
    }
}
