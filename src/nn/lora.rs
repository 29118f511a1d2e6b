//! Low-rank adapters of dense layers and of attention's projections (Hu et al. 2021, arXiv:2106.09685): the change of a
//! weight `[out, in]` is a product of two small matrices, `y = x W^T + (alpha / r) x A^T B^T`.

pub use super::config::lora::ENDS;
use super::config::lora::LoraConfig;
use super::patterns::Patterns;

/// Which layers have adapters.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// Rows of `A`.
    pub rank: usize,
    /// `alpha / r`
    pub scale: f64,
    /// Names of layers.
    pub layers: Patterns,
}

impl Lora {
    /// The adapters of a configuration.
    pub fn of(config: &LoraConfig) -> Self {
        // Checked when the experiment was read.
        let layers = Patterns::new(&config.layers).unwrap_or_default();
        Self { rank: config.rank, scale: config.scale(), layers }
    }
}

/// Adds each adapter's product, times `scale`, to the weight that it changes, and leaves the adapters out: the same
/// network without them. Beside a weight `[out, in]` lie `A` `[r, in]` and `B` `[out, r]`, beside one `[in, out]` of
/// an imported network `[in, r]` and `[r, out]`.
pub fn merge(weights: &mut Vec<(String, Vec<usize>, Vec<f32>)>, scale: f64) {
    let adapters: Vec<_> = {
        let is_adapter = |(name, ..): &(String, _, _)| ENDS.iter().any(|end| name.ends_with(end));
        let (adapters, others) = std::mem::take(weights).into_iter().partition(is_adapter);
        *weights = others;
        adapters
    };
    for (name, a_shape, a) in &adapters {
        let Some(layer) = name.strip_suffix(ENDS[0]) else { continue };
        let other = format!("{layer}{}", ENDS[1]);
        let Some((_, b_shape, b)) = adapters.iter().find(|(name, ..)| *name == other) else { continue };
        let names = [format!("{layer}.weight"), format!("{layer}.in_proj_weight"), layer.to_string()];
        let Some((_, shape, weight)) = weights.iter_mut().find(|(name, ..)| names.contains(name)) else {
            continue;
        };
        // The matrix with the weight's rows, and that with its columns.
        let outputs_first = b_shape[0] == shape[0] && a_shape[1] == shape[1];
        let (rows, columns, rank) = if outputs_first { (b, a, a_shape[0]) } else { (a, b, a_shape[1]) };
        let width = shape[1];
        for (weight, row) in weight.chunks_mut(width).zip(rows.chunks(rank)) {
            for (column, w) in weight.iter_mut().enumerate() {
                let terms = row
                    .iter()
                    .enumerate()
                    .map(|(r, x)| f64::from(*x) * f64::from(columns[r * width + column]));
                *w = (f64::from(*w) + scale * terms.sum::<f64>()) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_weights_have_the_products_of_their_adapters() {
        let of =
            |name: &str, shape: [usize; 2], data: &[f32]| (name.to_string(), shape.to_vec(), data.to_vec());
        let mut weights = vec![
            of("0.weight", [2, 3], &[1.0; 6]),
            of("0.lora_A.weight", [1, 3], &[1.0, 2.0, 3.0]),
            of("0.lora_B.weight", [2, 1], &[10.0, -1.0]),
            of("1.self_attn.in_proj_weight", [1, 1], &[5.0]),
            of("1.self_attn.lora_A.weight", [1, 1], &[2.0]),
            of("1.self_attn.lora_B.weight", [1, 1], &[3.0]),
        ];
        merge(&mut weights, 0.5);
        assert_eq!(
            weights,
            [
                of("0.weight", [2, 3], &[6.0, 11.0, 16.0, 0.5, 0.0, -0.5]),
                of("1.self_attn.in_proj_weight", [1, 1], &[8.0]),
            ]
        );
    }
}
