//! Samples and benchmarks of attention.

use super::{Attention, AttentionGrad, Dropout, Form, Sizes};
use crate::kernels::samples::{Draw, Operand, Sample};

impl Form {
    /// A form whose tensors and pairs are few enough for the oracle.
    fn random(draw: &mut Draw) -> Self {
        let key_heads = draw.choice(&[1, 1, 2, 3]);
        let shared = draw.choice(&[1, 1, 2, 3]);
        let heads = key_heads * shared;
        let width = draw.choice(&[1, 3, 4, 8, 16, 17, 32, 64]);
        let queries = draw.choice(&[1, 2, 7, 17, 31, 63, 64, 65, 130]);
        let causal = draw.one_in(3);
        let keys = if causal { queries } else { draw.choice(&[1, 5, 17, 63, 64, 65, 127, 129, 260]) };
        let most = Draw::LIMIT / (heads * width * (queries.max(keys)));
        let batch = draw.choice(&[1, 2, 3]).min(most.max(1));
        let dropout = draw.one_in(3).then(|| Dropout {
            threshold: draw.choice(&[1 << 31, 3 << 30]),
            factor: 1.5f32.to_bits(),
            stream: draw.below(9) as u32,
        });
        let packed = keys == queries && draw.one_in(2);
        let alibi = draw.one_in(3);
        let sizes = Sizes { batch, heads, key_heads, queries, keys, width, causal, alibi, packed };
        let scale = draw.choice(&[(width as f32).sqrt().recip(), 1.0 / 64.0]).to_bits();
        Self { sizes, scale, lengths: draw.one_in(3), dropout }
    }

    fn read_lengths(&self, draw: &mut Draw, reads: &mut Vec<Operand>) {
        if self.lengths {
            reads.push(draw.integers(self.sizes.batch, self.sizes.keys + 1));
        }
    }
}

/// One or both outputs.
fn outputs(draw: &mut Draw, two: bool) -> [Option<usize>; 2] {
    if !two {
        return [Some(0), None];
    }
    draw.choice(&[[Some(0), Some(1)], [Some(0), Some(1)], [Some(0), None], [None, Some(0)]])
}

fn written(outputs: [Option<usize>; 2], words: [usize; 2]) -> Vec<Operand> {
    outputs
        .iter()
        .zip(words)
        .filter(|(o, _)| o.is_some())
        .map(|(_, words)| Operand::unwritten(words))
        .collect()
}

pub(super) fn attention(draw: &mut Draw) -> Sample {
    let form = Form::random(draw);
    let Form { sizes, .. } = form;
    let kernel = Attention { form, outputs: outputs(draw, true) };
    let mut reads: Vec<Operand> = form.words().into_iter().map(|n| draw.floats(n)).collect();
    form.read_lengths(draw, &mut reads);
    let writes = written(kernel.outputs, [sizes.result_words(), sizes.statistics()]);
    draw.sample(kernel, reads, writes)
}

pub(super) fn gradient(draw: &mut Draw) -> Sample {
    let form = Form::random(draw);
    let Form { sizes, .. } = form;
    let kernel = AttentionGrad { form, outputs: outputs(draw, !sizes.packed) };
    let [queries, keys, statistics] = [sizes.query_words(), sizes.key_words(), sizes.statistics()];
    let mut reads = vec![draw.floats(sizes.result_words())];
    reads.extend(form.words().into_iter().map(|n| draw.floats(n)));
    // As if most probabilities were well below 1.
    let log_sums = draw.normals(statistics).iter().map(|x| x.abs() + 2.0).collect();
    reads.extend([Operand::Floats(log_sums), draw.floats(statistics)]);
    form.read_lengths(draw, &mut reads);
    let writes = written(kernel.outputs, [queries, 2 * keys]);
    draw.sample(kernel, reads, writes)
}

/// A small text model's, a window of a series, the patches of images, and one long sequence.
fn typical() -> [Form; 4] {
    let form = |(batch, heads, length, width, causal): (usize, usize, usize, usize, bool)| {
        let sizes = Sizes {
            batch,
            heads,
            key_heads: heads,
            queries: length,
            keys: length,
            width,
            causal,
            alibi: false,
            packed: true,
        };
        Form { sizes, scale: (width as f32).sqrt().recip().to_bits(), lengths: false, dropout: None }
    };
    [(64, 4, 64, 32, true), (32, 4, 168, 16, false), (128, 4, 16, 16, false), (1, 1, 2048, 64, false)]
        .map(form)
}

pub(super) fn benchmarks() -> Vec<Attention> {
    typical().map(|form| Attention { form, outputs: [Some(0), Some(1)] }).to_vec()
}

pub(super) fn gradient_benchmarks() -> Vec<AttentionGrad> {
    typical().map(|form| AttentionGrad { form, outputs: [Some(0), None] }).to_vec()
}
