//! What JPEG's compression (ITU-T T.81) loses: blocks of 8 by 8 pixels as cosine waves, whose sizes are rounded. The
//! lossless coding that follows there changes nothing, and colours keep their resolution.

use std::f64::consts::PI;

use crate::base::image::ImageShape;

const SIDE: usize = 8;

/// Annex K.1, table 1: brightness.
const LUMINANCE: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17,
    22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78,
    87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
/// Annex K.1, table 2: colour.
const CHROMINANCE: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

/// A picture compressed with a quality from 1 to 100, which scales the tables as the Independent JPEG Group's library
/// does. Three channels are red, green and blue; others are compressed one by one.
pub fn compressed(picture: &[f64], shape: ImageShape, quality: f64) -> Vec<f64> {
    let plane = shape.plane();
    let scale = if quality < 50.0 { 5000.0 / quality.max(1.0) } else { 200.0 - 2.0 * quality };
    let table =
        |of: &[u8; 64]| of.map(|step| ((f64::from(step) * scale + 50.0) / 100.0).floor().clamp(1.0, 255.0));
    let (luminance, chrominance) = (table(&LUMINANCE), table(&CHROMINANCE));
    let bytes: Vec<f64> = picture.iter().map(|shade| (shade * 255.0).round()).collect();
    let found = if shape.channels == 3 {
        let [red, green, blue] = [0, 1, 2].map(|channel| &bytes[channel * plane..(channel + 1) * plane]);
        let of = |weights: [f64; 3], offset: f64| -> Vec<f64> {
            let sum =
                |at: usize| weights[0] * red[at] + weights[1] * green[at] + weights[2] * blue[at] + offset;
            (0..plane).map(sum).collect()
        };
        // JFIF's transform.
        let y = rounded(&of([0.299, 0.587, 0.114], 0.0), shape, &luminance);
        let cb = rounded(&of([-0.168_736, -0.331_264, 0.5], 128.0), shape, &chrominance);
        let cr = rounded(&of([0.5, -0.418_688, -0.081_312], 128.0), shape, &chrominance);
        let back = |by_blue: f64, by_red: f64| {
            let of =
                move |((y, cb), cr): ((&f64, &f64), &f64)| y + by_blue * (cb - 128.0) + by_red * (cr - 128.0);
            y.iter().zip(&cb).zip(&cr).map(of).collect::<Vec<f64>>()
        };
        [back(0.0, 1.402), back(-0.344_136, -0.714_136), back(1.772, 0.0)].concat()
    } else {
        bytes.chunks(plane).flat_map(|one| rounded(one, shape, &luminance)).collect()
    };
    found.into_iter().map(|byte| byte.round().clamp(0.0, 255.0) / 255.0).collect()
}

/// A plane of 0 to 255 whose blocks' cosine waves are rounded to multiples of the table's numbers. Blocks beyond the
/// border go on as the plane ends.
fn rounded(plane: &[f64], shape: ImageShape, table: &[f64; 64]) -> Vec<f64> {
    let mut found = vec![0.0; plane.len()];
    for top in (0..shape.height).step_by(SIDE) {
        for left in (0..shape.width).step_by(SIDE) {
            let mut block = [[0.0; SIDE]; SIDE];
            for (y, row) in block.iter_mut().enumerate() {
                for (x, shade) in row.iter_mut().enumerate() {
                    let (y, x) = ((top + y).min(shape.height - 1), (left + x).min(shape.width - 1));
                    *shade = plane[y * shape.width + x] - 128.0;
                }
            }
            let mut waves = transposed(&along(&transposed(&along(&block, false)), false));
            for (wave, step) in waves.iter_mut().flatten().zip(table) {
                *wave = (*wave / step).round() * step;
            }
            let back = transposed(&along(&transposed(&along(&waves, true)), true));
            for (y, row) in back.iter().enumerate().take(shape.height - top) {
                for (x, shade) in row.iter().enumerate().take(shape.width - left) {
                    found[(top + y) * shape.width + left + x] = shade + 128.0;
                }
            }
        }
    }
    found
}

type Block = [[f64; SIDE]; SIDE];

/// The cosine transform (II, orthonormal) of every row, or its inverse.
fn along(block: &Block, inverse: bool) -> Block {
    let wave = |frequency: usize, place: usize| {
        let size = if frequency == 0 { (1.0 / SIDE as f64).sqrt() } else { (2.0 / SIDE as f64).sqrt() };
        size * ((2 * place + 1) as f64 * frequency as f64 * PI / (2 * SIDE) as f64).cos()
    };
    block.map(|row| {
        std::array::from_fn(|to| {
            let term = |(from, x): (usize, &f64)| x * if inverse { wave(from, to) } else { wave(to, from) };
            row.iter().enumerate().map(term).sum()
        })
    })
}

fn transposed(block: &Block) -> Block {
    std::array::from_fn(|y| std::array::from_fn(|x| block[x][y]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_larger_than_its_step_remains_and_a_smaller_one_goes() {
        let shape = ImageShape { channels: 1, height: SIDE, width: SIDE };
        // Along a row, of frequency 1: by the table 11 at quality 50, so that 40 becomes 44 and 5 becomes nothing.
        let of = |size: f64| -> Vec<f64> {
            let wave =
                |at: usize| ((2 * (at % SIDE) + 1) as f64 * PI / 16.0).cos() * size / 8.0 * 2f64.sqrt();
            (0..64).map(|at| 128.0 + wave(at)).collect()
        };
        let table = LUMINANCE.map(f64::from);
        for (size, expected) in [(40.0, 44.0), (5.0, 0.0)] {
            for (found, expected) in rounded(&of(size), shape, &table).iter().zip(of(expected)) {
                assert!((found - expected).abs() < 1e-9, "{size}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn the_best_quality_changes_a_shade_by_little_and_a_bad_one_makes_blocks() {
        let shape = ImageShape { channels: 3, height: 13, width: 10 };
        let shade = |at: usize| ((at * 7919) % 256) as f64 / 255.0;
        let picture: Vec<f64> = (0..shape.values()).map(shade).collect();
        let most = |quality| {
            let found = compressed(&picture, shape, quality);
            found.iter().zip(&picture).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        assert!(most(100.0) < 3.0 / 255.0, "{}", most(100.0));
        assert!(most(1.0) > 0.2);
        // An even surface has no waves but its own shade.
        let grey = vec![100.0 / 255.0; shape.values()];
        for found in compressed(&grey, shape, 50.0) {
            assert!((found - 100.0 / 255.0).abs() < 2.5 / 255.0, "{found}");
        }
    }
}
