//! What the nodes of a graph are in the field's terms. Layers are built from small operators; where these
//! make a whole that ONNX has a name for (`Gemm`, `BatchNormalization`, `LSTM`), the whole is recognised by
//! its last node. A node that is not recognised is exported as the operator it is, with the same result:
//! nothing depends on recognition but recurrences and convolutions, which have no smaller parts.

mod recurrent;

pub use recurrent::{Recurrent, States};

use crate::graph::ops::Conv;
use crate::graph::{Graph, Op, Source, ValueId};
use crate::scalar::{BinaryFn, ReduceKind, UnaryFn};

/// A node in the field's terms, with the values it reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// The operator as it is.
    Plain,
    /// `a b + bias` of matrices, either transposed on request; `a` may be images `[N, H, W, C]`, which stand
    /// for their rows of pixels.
    Gemm { a: ValueId, b: ValueId, bias: Option<ValueId>, transposed: [bool; 2] },
    /// Normalisation by running statistics along the last axis.
    BatchNorm { x: ValueId, mean: ValueId, variance: ValueId, weight: ValueId, bias: ValueId, eps: f64 },
    /// Normalisation of rows.
    LayerNorm { x: ValueId, weight: ValueId, bias: ValueId, eps: f64 },
    /// Mean over axes; the result has the node's shape.
    Mean { x: ValueId, axes: Vec<usize> },
    /// `x` where positive, else `slope x`.
    LeakyRelu { x: ValueId, slope: f64 },
    /// `x` where positive, else `alpha (e^x - 1)`.
    Elu { x: ValueId, alpha: f64 },
    /// A convolution of `[N, H, W, C]`, its groups already in place, with or without a bias per channel.
    Conv { x: ValueId, w: ValueId, bias: Option<ValueId>, conv: Conv },
    /// States of a recurrent layer.
    Recurrent(Recurrent),
}

impl Form {
    /// The values it reads; `None` for those of the node itself.
    pub fn operands(&self) -> Option<Vec<ValueId>> {
        Some(match self {
            Self::Plain => return None,
            Self::Gemm { a, b, bias, .. } => [*a, *b].into_iter().chain(*bias).collect(),
            Self::BatchNorm { x, mean, variance, weight, bias, .. } => {
                vec![*x, *mean, *variance, *weight, *bias]
            }
            Self::LayerNorm { x, weight, bias, .. } => vec![*x, *weight, *bias],
            Self::Mean { x, .. } | Self::LeakyRelu { x, .. } | Self::Elu { x, .. } => vec![*x],
            Self::Conv { x, w, bias, .. } => [*x, *w].into_iter().chain(*bias).collect(),
            Self::Recurrent(r) => {
                let all = [r.x, r.w_ih, r.w_hh].into_iter().chain(r.biases.into_iter().flatten());
                all.chain(r.first.into_iter().flatten()).collect()
            }
        })
    }
}

/// What a node is.
pub fn form(graph: &Graph, value: ValueId) -> Form {
    let g = Look(graph);
    let found = match &graph.node(value).op {
        Op::Binary(binary) if binary.0 == BinaryFn::Add => {
            g.batch_norm(value).or_else(|| g.gemm(value)).or_else(|| g.conv_with_bias(value))
        }
        Op::Binary(binary) if binary.0 == BinaryFn::Mul => g.mean(value),
        Op::MatMul(_) => g.gemm(value),
        Op::Normalise(_) => g.layer_norm(value),
        Op::Select(_) => g.leaky(value),
        Op::Reshape(_) => g.conv(value),
        Op::Recurrence(_) => g.recurrent(value, States::All),
        Op::Slice(_) => g.last_state(value),
        _ => None,
    };
    found.unwrap_or(Form::Plain)
}

/// What a node of a training step is: all operators are as they are but convolutions, whose groups are put in place
/// at once.
pub fn form_in_step(graph: &Graph, value: ValueId) -> Form {
    let found = match &graph.node(value).op {
        Op::Reshape(_) => Look(graph).conv(value),
        _ => None,
    };
    found.unwrap_or(Form::Plain)
}

/// Reads a graph from its results to their operands.
struct Look<'a>(&'a Graph);

impl Look<'_> {
    fn op(&self, value: ValueId) -> &Op {
        &self.0.node(value).op
    }

    fn inputs(&self, value: ValueId) -> &[ValueId] {
        &self.0.node(value).inputs
    }

    /// What a value repeats or shows in another shape.
    fn origin(&self, mut value: ValueId) -> ValueId {
        while let Op::Broadcast(_) | Op::Reshape(_) = self.op(value) {
            value = self.inputs(value)[0];
        }
        value
    }

    /// What a value repeats.
    fn repeated(&self, mut value: ValueId) -> ValueId {
        while let Op::Broadcast(_) = self.op(value) {
            value = self.inputs(value)[0];
        }
        value
    }

    /// The number that every element is.
    fn number(&self, value: ValueId) -> Option<f64> {
        match self.op(self.origin(value)) {
            Op::Constant(constant) => {
                super::trace::uniform(&constant.data).map(|bits| f64::from(f32::from_bits(bits)))
            }
            _ => None,
        }
    }

    fn binary(&self, value: ValueId, f: BinaryFn) -> Option<[ValueId; 2]> {
        match self.op(value) {
            Op::Binary(binary) if binary.0 == f => self.inputs(value).try_into().ok(),
            _ => None,
        }
    }

    fn unary(&self, value: ValueId, f: UnaryFn) -> Option<ValueId> {
        match self.op(value) {
            Op::Unary(unary) if unary.0 == f => self.inputs(value).first().copied(),
            _ => None,
        }
    }

    /// A parameter or a running statistic of one axis.
    fn vector(&self, value: ValueId) -> Option<ValueId> {
        let origin = self.origin(value);
        let one_axis = self.0.shape(origin).len() == 1;
        matches!(self.op(origin), Op::Source(_)).then_some(origin).filter(|_| one_axis)
    }

    /// Whether a vector lies along the last axis of `like`, and is repeated along the others.
    fn is_along_last(&self, value: ValueId, like: ValueId) -> bool {
        let (shape, like) = (self.0.shape(self.repeated(value)), self.0.shape(like));
        let Some((last, others)) = shape.split_last() else { return false };
        Some(last) == like.last() && others.iter().all(|&extent| extent == 1)
    }

    /// `(x - mean) / sqrt(variance + eps) * weight + bias`, with running statistics.
    fn batch_norm(&self, value: ValueId) -> Option<Form> {
        let [scaled, bias] = self.binary(value, BinaryFn::Add)?;
        let [normal, weight] = self.binary(scaled, BinaryFn::Mul)?;
        let [centred, deviation] = self.binary(normal, BinaryFn::Div)?;
        let [x, mean] = self.binary(centred, BinaryFn::Sub)?;
        let spread = self.unary(self.repeated(deviation), UnaryFn::Sqrt)?;
        let [variance, eps] = self.binary(spread, BinaryFn::Add)?;
        let all = [mean, weight, bias];
        if !all.iter().all(|&v| self.is_along_last(v, x)) || !self.is_along_last(deviation, x) {
            return None;
        }
        let [mean, weight, bias] = [self.vector(mean)?, self.vector(weight)?, self.vector(bias)?];
        let variance = self.vector(variance)?;
        let is_state = |v: ValueId| match self.op(v) {
            Op::Source(source) => matches!(source.source, Source::State(_)),
            _ => false,
        };
        let eps = self.number(eps)?;
        let rank = self.0.shape(x).len();
        (is_state(mean) && is_state(variance) && [2, 4].contains(&rank)).then_some(Form::BatchNorm {
            x,
            mean,
            variance,
            weight,
            bias,
            eps,
        })
    }

    /// A product of matrices, with or without a bias per column.
    fn gemm(&self, value: ValueId) -> Option<Form> {
        let (product, bias) = match self.binary(value, BinaryFn::Add) {
            Some([product, bias]) => {
                let along = self.is_along_last(bias, product);
                (product, Some(self.vector(bias).filter(|_| along)?))
            }
            None => (value, None),
        };
        let Op::MatMul(matmul) = self.op(product) else { return None };
        let &[a, b] = self.inputs(product) else { return None };
        // Stacks of matrices are products of their own.
        if self.0.shape(a).len() != 2 {
            return None;
        }
        let transposed = [matmul.transpose_a, matmul.transpose_b];
        let a = self.images(a).filter(|_| transposed == [false, true]).unwrap_or(a);
        Some(Form::Gemm { a, b, bias, transposed })
    }

    /// The images `[N, H, W, C]` that a matrix is, row by row.
    fn images(&self, rows: ValueId) -> Option<ValueId> {
        let Op::Reshape(_) = self.op(rows) else { return None };
        let image = self.inputs(rows)[0];
        let [n, high, wide, channels] = self.0.shape(image)[..] else { return None };
        let is_image = channels > 1 && high * wide > 1;
        (is_image && self.0.shape(rows)[..] == [n, high * wide * channels]).then_some(image)
    }

    /// Rows normalised over their last axis; the operands say `x`, `weight` and `bias`.
    fn layer_norm(&self, value: ValueId) -> Option<Form> {
        let Op::Normalise(normalise) = self.op(value) else { return None };
        let &[_, x, _, inverse, weight, bias] = self.inputs(value) else { return None };
        let last = self.0.shape(x).len() - 1;
        let along = [weight, bias].iter().all(|&v| self.is_along_last(v, x));
        if normalise.axes != [last] || !along {
            return None;
        }
        let deviation = self.unary(self.repeated(inverse), UnaryFn::Reciprocal)?;
        let spread = self.unary(self.repeated(deviation), UnaryFn::Sqrt)?;
        let [_, eps] = self.binary(spread, BinaryFn::Add)?;
        let [weight, bias] = [self.vector(weight)?, self.vector(bias)?];
        Some(Form::LayerNorm { x, weight, bias, eps: self.number(eps)? })
    }

    /// A sum divided by the number of its terms.
    fn mean(&self, value: ValueId) -> Option<Form> {
        let [sum, factor] = self.binary(value, BinaryFn::Mul)?;
        let factor = self.number(factor)?;
        let inner = match self.op(sum) {
            Op::Reshape(_) => self.inputs(sum)[0],
            _ => sum,
        };
        let Op::Reduce(reduce) = self.op(inner) else { return None };
        let x = self.inputs(inner)[0];
        let count: usize = reduce.axes.iter().map(|&axis| self.0.shape(x)[axis]).product();
        let shape = self.0.shape(x);
        let removed: Vec<usize> =
            (0..shape.len()).filter(|d| !reduce.axes.contains(d)).map(|d| shape[d]).collect();
        let kept = self.0.shape(value) == self.0.shape(inner);
        let same = kept || *self.0.shape(value) == removed;
        (reduce.kind == ReduceKind::Sum && same && factor == f64::from((1.0 / count as f64) as f32))
            .then(|| Form::Mean { x, axes: reduce.axes.clone() })
    }

    /// `x` where positive, else a function of it.
    fn leaky(&self, value: ValueId) -> Option<Form> {
        let &[condition, x, below] = self.inputs(value) else { return None };
        let [zero, tested] = self.binary(self.repeated(condition), BinaryFn::Less)?;
        if self.number(zero) != Some(0.0) || tested != x {
            return None;
        }
        if let Some(alpha) = self.elu(below, x, 1.0) {
            return Some(Form::Elu { x, alpha });
        }
        let [scaled, slope] = self.binary(below, BinaryFn::Mul)?;
        if let Some(alpha) = self.number(slope).and_then(|alpha| self.elu(scaled, x, alpha)) {
            return Some(Form::Elu { x, alpha });
        }
        (scaled == x).then_some(Form::LeakyRelu { x, slope: self.number(slope)? })
    }

    /// `alpha`, if a value is `e^min(x, 0) - 1`.
    fn elu(&self, value: ValueId, x: ValueId, alpha: f64) -> Option<f64> {
        let least = self.unary(value, UnaryFn::ExpM1)?;
        let [tested, zero] = self.binary(least, BinaryFn::Min)?;
        (tested == x && self.number(zero) == Some(0.0)).then_some(alpha)
    }

    /// A convolution, whose groups a reshape puts in place.
    fn conv(&self, value: ValueId) -> Option<Form> {
        let mut inner = self.inputs(value)[0];
        if let Op::Permute(permute) = self.op(inner) {
            if permute.permutation != [1, 2, 3, 0, 4] {
                return None;
            }
            inner = self.inputs(inner)[0];
        } else if self.0.shape(inner).first() != Some(&1) {
            return None;
        }
        let Op::Conv(conv) = self.op(inner) else { return None };
        let &[x, w] = self.inputs(inner) else { return None };
        let [groups, n, p, q, o] = self.0.shape(inner)[..] else { return None };
        (*self.0.shape(value) == [n, p, q, groups * o]).then(|| Form::Conv {
            x,
            w,
            bias: None,
            conv: conv.clone(),
        })
    }

    fn conv_with_bias(&self, value: ValueId) -> Option<Form> {
        let [sum, bias] = self.binary(value, BinaryFn::Add)?;
        if !matches!(self.op(sum), Op::Reshape(_)) || !self.is_along_last(bias, sum) {
            return None;
        }
        let bias = self.vector(bias)?;
        match self.conv(sum)? {
            Form::Conv { x, w, bias: None, conv } => Some(Form::Conv { x, w, bias: Some(bias), conv }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tensor::DType;

    fn input(g: &mut Graph, shape: &[usize]) -> ValueId {
        g.source(Source::Batch("x".into()), shape, DType::F32).unwrap()
    }

    #[test]
    fn composed_activations_are_what_they_are_called() {
        let mut g = Graph::new();
        let x = input(&mut g, &[3, 4]);
        let (leaky, elu) = (g.leaky_relu(x, 0.01).unwrap(), g.elu(x, 1.0).unwrap());
        let half = g.elu(x, 0.5).unwrap();
        assert_eq!(form(&g, leaky), Form::LeakyRelu { x, slope: f64::from(0.01f32) });
        assert_eq!(form(&g, elu), Form::Elu { x, alpha: 1.0 });
        assert_eq!(form(&g, half), Form::Elu { x, alpha: 0.5 });
    }

    #[test]
    fn a_sum_over_its_number_of_terms_is_a_mean_and_another_is_none() {
        let mut g = Graph::new();
        let x = input(&mut g, &[3, 4, 5]);
        let mean = g.mean(x, &[1], false).unwrap();
        let sum = g.sum(x, &[1], false).unwrap();
        let third = g.mul_scalar(sum, 1.0 / 3.0).unwrap();
        assert_eq!(form(&g, mean), Form::Mean { x, axes: vec![1] });
        assert_eq!(form(&g, third), Form::Plain);
    }
}
