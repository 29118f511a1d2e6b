//! How alike two sets of samples are in a space of features: the Frechet distance, and precision and recall. In
//! `f64`, in a fixed order.

/// Neighbours that say how large the surroundings of a sample are (Kynkaanniemi et al. 2019, section 2).
pub const NEIGHBOURS: usize = 3;
/// Samples of each set that precision and recall look at: their time grows with the square.
const MOST: usize = 5000;
/// Sweeps of [`eigen`], each of which at least halves what is off the diagonal; more than ever needed.
const SWEEPS: usize = 60;

/// The Frechet distance between the normal distributions with the means and covariances of two sets of rows of
/// `width` features, `|m - n|^2 + tr(S + T - 2 (S T)^(1/2))` (Heusel et al. 2017, arXiv:1706.08500): 0 for equal
/// ones. NaN if a set has fewer than two rows.
pub fn frechet(real: &[f32], drawn: &[f32], width: usize) -> f64 {
    let ([m, s], [n, t]) = (moments(real, width), moments(drawn, width));
    let means: f64 = m.iter().zip(&n).map(|(m, n)| (m - n).powi(2)).sum();
    let trace = |matrix: &[f64]| (0..width).map(|i| matrix[i * width + i]).sum::<f64>();
    // (S T)^(1/2) has the trace of (S^(1/2) T S^(1/2))^(1/2), whose matrix is symmetric.
    let (values, vectors) = eigen(s.clone(), width);
    let roots: Vec<f64> = values.iter().map(|value| value.max(0.0).sqrt()).collect();
    let mut root = vec![0.0; width * width];
    for i in 0..width {
        for j in 0..width {
            let part = |k: usize| vectors[i * width + k] * roots[k] * vectors[j * width + k];
            root[i * width + j] = (0..width).map(part).sum();
        }
    }
    let product = times(&times(&root, &t, width), &root, width);
    let (values, _) = eigen(product, width);
    let common: f64 = values.iter().map(|value| value.max(0.0).sqrt()).sum();
    means + trace(&s) + trace(&t) - 2.0 * common
}

/// The part of drawn rows that lie in the surroundings of a real one (precision: how many look real), and the part
/// of real rows that lie in those of a drawn one (recall: how much of what is real is drawn); Kynkaanniemi et al.
/// 2019, arXiv:1904.06991. NaN if a set has too few rows for neighbours.
pub fn precision_and_recall(real: &[f32], drawn: &[f32], width: usize) -> [f64; 2] {
    let of = |rows: &[f32]| -> Vec<Vec<f64>> {
        let rows = rows.chunks_exact(width.max(1)).take(MOST);
        rows.map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
    };
    let (real, drawn) = (of(real), of(drawn));
    [within(&real, &drawn), within(&drawn, &real)]
}

/// The part of `others` that are no further from some row than its surroundings reach.
fn within(rows: &[Vec<f64>], others: &[Vec<f64>]) -> f64 {
    if rows.len() <= NEIGHBOURS || others.is_empty() {
        return f64::NAN;
    }
    let reach = |row: &Vec<f64>| {
        let mut distances: Vec<f64> = rows.iter().map(|other| distance(row, other)).collect();
        // The row itself is the nearest.
        *distances.select_nth_unstable_by(NEIGHBOURS, f64::total_cmp).1
    };
    let reaches: Vec<f64> = rows.iter().map(reach).collect();
    let lies =
        |other: &&Vec<f64>| rows.iter().zip(&reaches).any(|(row, reach)| distance(row, other) <= *reach);
    others.iter().filter(lies).count() as f64 / others.len() as f64
}

/// The squared distance.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Mean `[width]` and covariance `[width, width]` of rows.
fn moments(rows: &[f32], width: usize) -> [Vec<f64>; 2] {
    let count = rows.len() / width.max(1);
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact(width.max(1)) {
        mean.iter_mut().zip(row).for_each(|(m, &x)| *m += f64::from(x) / count as f64);
    }
    let mut covariance = vec![0.0; width * width];
    for row in rows.chunks_exact(width.max(1)) {
        let off: Vec<f64> = row.iter().zip(&mean).map(|(&x, m)| f64::from(x) - m).collect();
        for (line, a) in covariance.chunks_exact_mut(width).zip(&off) {
            line.iter_mut().zip(&off).for_each(|(c, b)| *c += a * b / (count as f64 - 1.0));
        }
    }
    [mean, covariance]
}

/// The product of two square matrices.
fn times(a: &[f64], b: &[f64], width: usize) -> Vec<f64> {
    let mut product = vec![0.0; width * width];
    for (line, a) in product.chunks_exact_mut(width).zip(a.chunks_exact(width)) {
        for (a, b) in a.iter().zip(b.chunks_exact(width)) {
            line.iter_mut().zip(b).for_each(|(p, b)| *p += a * b);
        }
    }
    product
}

/// Eigenvalues and eigenvectors (columns) of a symmetric matrix by Jacobi's rotations, cyclic by rows (Golub and Van
/// Loan, Matrix Computations, section 8.5).
fn eigen(mut a: Vec<f64>, width: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; width * width];
    (0..width).for_each(|i| vectors[i * width + i] = 1.0);
    let total: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off: f64 =
            (0..width).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * width + j].powi(2)).sum();
        if off <= 1e-26 * total || !off.is_finite() {
            break;
        }
        for p in 0..width {
            for q in p + 1..width {
                rotate(&mut a, &mut vectors, width, [p, q]);
            }
        }
    }
    ((0..width).map(|i| a[i * width + i]).collect(), vectors)
}

/// Makes the elements at `p, q` and `q, p` zero.
fn rotate(a: &mut [f64], vectors: &mut [f64], width: usize, [p, q]: [usize; 2]) {
    let off = a[p * width + q];
    if off == 0.0 {
        return;
    }
    let tau = (a[q * width + q] - a[p * width + p]) / (2.0 * off);
    let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
    let t = if tau == 0.0 { 1.0 } else { t };
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    for k in 0..width {
        let (x, y) = (a[k * width + p], a[k * width + q]);
        (a[k * width + p], a[k * width + q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..width {
        let (x, y) = (a[p * width + k], a[q * width + k]);
        (a[p * width + k], a[q * width + k]) = (c * x - s * y, s * x + c * y);
        let (x, y) = (vectors[k * width + p], vectors[k * width + q]);
        (vectors[k * width + p], vectors[k * width + q]) = (c * x - s * y, s * x + c * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;

    fn rows(count: usize, width: usize, seed: u32, change: impl Fn(usize, f32) -> f32) -> Vec<f32> {
        let normal = |i: usize| rng::normal(rng::word([seed, 9], 0, 0, i as u32));
        (0..count * width).map(|i| change(i % width, normal(i))).collect()
    }

    #[test]
    fn eigenvectors_take_a_matrix_to_its_eigenvalues() {
        let width = 7;
        let b: Vec<f64> = (0..width * width).map(|i| (i as f64 * 1.3).sin()).collect();
        let a: Vec<f64> = (0..width * width).map(|i| b[i] + b[i % width * width + i / width]).collect();
        let (values, vectors) = eigen(a.clone(), width);
        let taken = times(&a, &vectors, width);
        for i in 0..width {
            for j in 0..width {
                assert!((taken[i * width + j] - vectors[i * width + j] * values[j]).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn the_distance_is_that_of_the_formula() {
        // Of one feature: (m - n)^2 + (s - t)^2 with standard deviations s and t.
        let (a, b) = ([1.0f32, 2.0, 3.0, 6.0], [0.0f32, 1.0, 5.0, 5.0]);
        let deviation = |x: &[f32]| {
            let mean = x.iter().sum::<f32>() / 4.0;
            f64::from(x.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 3.0).sqrt()
        };
        let expected = (3.0f64 - 2.75).powi(2) + (deviation(&a) - deviation(&b)).powi(2);
        assert!((frechet(&a, &b, 1) - expected).abs() < 1e-6);
        // Of commuting covariances, the sum over the axes they share; turned, it is the same.
        let one = rows(4000, 3, 1, |_, x| x);
        let other: Vec<f32> = one.chunks(3).flat_map(|r| [3.0 * r[0] + 1.0, 2.0 * r[1], r[2]]).collect();
        let turn = |rows: &[f32]| -> Vec<f32> {
            rows.chunks(3).flat_map(|r| [0.6 * r[0] - 0.8 * r[1], 0.8 * r[0] + 0.6 * r[1], r[2]]).collect()
        };
        let straight = frechet(&one, &other, 3);
        // 1 of the means, 4 and 1 of the deviations, as far as samples have them.
        assert!((straight - 6.0).abs() < 0.4, "{straight}");
        assert!((frechet(&turn(&one), &turn(&other), 3) - straight).abs() < 1e-4);
        assert!(frechet(&one, &one, 3).abs() < 1e-9);
        // Fewer rows than features: covariances without inverse.
        assert!(frechet(&one[..15], &one[15..30], 5).is_finite());
        assert!(frechet(&one[..3], &one, 3).is_nan());
    }

    #[test]
    fn precision_counts_what_looks_real_and_recall_what_is_drawn() {
        let real = rows(300, 2, 1, |at, x| if at == 0 { x.signum() * 10.0 + 0.1 * x } else { 0.1 * x });
        // One of the two groups alone.
        let half = rows(300, 2, 2, |at, x| if at == 0 { 10.0 + 0.1 * x.abs() } else { 0.1 * x });
        let [precision, recall] = precision_and_recall(&real, &half, 2);
        assert!(precision > 0.8 && (0.3..0.57).contains(&recall), "{precision} {recall}");
        let far: Vec<f32> = half.iter().map(|x| x + 100.0).collect();
        assert_eq!(precision_and_recall(&real, &far, 2), [0.0, 0.0]);
        assert_eq!(precision_and_recall(&real, &real, 2), [1.0, 1.0]);
        assert!(precision_and_recall(&real[..4], &real, 2)[0].is_nan());
    }
}
