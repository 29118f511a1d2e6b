//! Attention and its gradient: operators that share two kernels.

use super::{EvalContext, Lowering, Op, OpDef, check_f32};
use crate::base::tensor::{DType, Tensor, TensorType};
use crate::graph::attention::{Attend, Heads};
use crate::graph::samples::{Collection, Draw};
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::Kernel;
use crate::kernels::attention::{self, Form, MAX_WIDTH, Sizes};
use crate::oracle::attention::Given;

/// Attention of queries `[B, T, H, D]` over keys and values `[B, S, G, D]`; with a fourth operand, `u32[B]`, over
/// the first keys of each sequence only. The formulas are at [`crate::oracle::attention`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    /// How scores become weights.
    pub attend: Attend,
    /// Which result.
    pub result: Attended,
}

/// A result of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attended {
    /// `y` `[B, T, H, D]`
    Values,
    /// The log-sums `[B, T, H]`, which the gradient needs; have no gradient themselves.
    LogSums,
}

/// A gradient of attention. Operands: the gradient `[B, T, H, D]`, queries, keys, values, the log-sums and the sums
/// of the products of result and gradient, `[B, T, H]`, and the lengths if there are any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttentionGrad {
    /// How scores become weights.
    pub attend: Attend,
    /// What the gradient is taken of.
    pub of: Attending,
}

/// What a gradient is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attending {
    /// The queries `[B, T, H, D]`.
    Queries,
    /// Keys and values, one after the other `[2, B, S, G, D]`.
    KeysAndValues,
}

impl Attend {
    /// The kernels' form for queries, keys, values and perhaps lengths.
    fn form(&self, [q, k, v]: [&TensorType; 3], lengths: Option<&TensorType>) -> Result<Form, String> {
        let ([batch, queries, heads, width], [same, keys, key_heads, other]) = (&q.shape[..], &k.shape[..])
        else {
            return Err("expected queries [B, T, H, D] and keys [B, S, G, D], each of 4 axes".into());
        };
        check_f32(&[q, k, v])?;
        if k.shape != v.shape {
            return Err(format!("expected values of the keys' shape {:?}, found {:?}", k.shape, v.shape));
        }
        if batch != same || width != other {
            return Err(format!(
                "queries {:?} and keys {:?} must have the same batch (first axis) and width (last axis)",
                q.shape, k.shape
            ));
        }
        if !heads.is_multiple_of(*key_heads) {
            return Err(format!("{heads} heads of queries cannot share {key_heads} heads of keys evenly"));
        }
        if self.causal && queries != keys {
            return Err(format!(
                "causal attention needs as many queries as keys, found {queries} queries and {keys} keys"
            ));
        }
        if *width > MAX_WIDTH {
            return Err(format!("heads are {width} wide; at most {MAX_WIDTH} is possible: use more heads"));
        }
        if let Some(lengths) = lengths
            && (lengths.dtype != DType::U32 || lengths.shape != [*batch])
        {
            return Err(format!("expected lengths u32[{batch}], found {lengths}"));
        }
        let sizes = Sizes {
            batch: *batch,
            heads: *heads,
            key_heads: *key_heads,
            queries: *queries,
            keys: *keys,
            width: *width,
            causal: self.causal,
        };
        Ok(Form { sizes, scale: self.scale, lengths: lengths.is_some(), dropout: self.dropout })
    }

    /// The factor that dropout gives a pair.
    fn factor(&self, sizes: Sizes, context: &EvalContext) -> impl Fn(usize) -> f64 {
        let (dropout, step) = (self.dropout, context.step);
        move |pair| f64::from(dropout.map_or(1.0, |dropout| dropout.of_pair(&sizes, &step, pair)))
    }
}

/// The operands of the formulas, with queries, keys and values from operand `first` on.
fn given<'a>(
    form: &Form,
    inputs: &[&'a Tensor],
    first: usize,
    factor: &'a dyn Fn(usize) -> f64,
) -> Given<'a> {
    let [q, k, v] = [0, 1, 2].map(|at| inputs[first + at].data.as_slice());
    let lengths = form.lengths.then(|| inputs[inputs.len() - 1].data.as_slice());
    Given { sizes: form.sizes, scale: f64::from(f32::from_bits(form.scale)), q, k, v, lengths, factor }
}

/// The types of evaluated operands: integers where lengths are.
fn types(inputs: &[&Tensor], floats: usize) -> Vec<TensorType> {
    let of = |(at, tensor): (usize, &&Tensor)| TensorType {
        shape: tensor.shape.clone(),
        dtype: if at < floats { DType::F32 } else { DType::U32 },
    };
    inputs.iter().enumerate().map(of).collect()
}

impl Attention {
    fn form(&self, inputs: &[&TensorType]) -> Result<Form, String> {
        match *inputs {
            [q, k, v] => self.attend.form([q, k, v], None),
            [q, k, v, lengths] => self.attend.form([q, k, v], Some(lengths)),
            _ => Err(format!("expected queries, keys, values and perhaps lengths, found {}", inputs.len())),
        }
    }
}

impl AttentionGrad {
    fn form(&self, inputs: &[&TensorType]) -> Result<Form, String> {
        let (&[dy, q, k, v, log_sums, products], lengths) = match inputs.split_first_chunk::<6>() {
            Some((first, [])) => (first, None),
            Some((first, [lengths])) => (first, Some(*lengths)),
            _ => return Err(format!("expected 6 operands and perhaps lengths, found {}", inputs.len())),
        };
        check_f32(&[dy, log_sums, products])?;
        if dy != q || log_sums.shape != q.shape[..3] || products != log_sums {
            return Err(format!("expected gradients {q} and a log-sum and a sum of each, found {dy}"));
        }
        self.attend.form([q, k, v], lengths)
    }
}

impl OpDef for Attention {
    fn name(&self) -> &'static str {
        match self.result {
            Attended::Values => "attention",
            Attended::LogSums => "attention_log_sums",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.form(inputs)?;
        Ok(match self.result {
            Attended::Values => inputs[0].clone(),
            Attended::LogSums => TensorType::f32(&inputs[0].shape[..3]),
        })
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        if self.result == Attended::LogSums {
            return Ok(vec![None; x.len()]);
        }
        let attend = self.attend;
        let log_sums = g.push(Op::Attention(Attention { attend, result: Attended::LogSums }), x)?;
        let product = g.mul(dy, y)?;
        let products = g.sum(product, &[3], false)?;
        let mut operands = vec![dy, x[0], x[1], x[2], log_sums, products];
        operands.extend(&x[3..]);
        let mut gradient = |of| g.push(Op::AttentionGrad(AttentionGrad { attend, of }), &operands);
        let queries = gradient(Attending::Queries)?;
        let both = gradient(Attending::KeysAndValues)?;
        let shape = g.shape(x[1]).clone();
        let extents = [vec![1], shape.clone()].concat();
        let mut part = |at: usize| {
            let part = g.slice(both, &[at, 0, 0, 0, 0], &extents)?;
            g.reshape(part, &shape)
        };
        let mut gradients = vec![Some(queries), Some(part(0)?), Some(part(1)?)];
        gradients.resize(x.len(), None);
        Ok(gradients)
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, context: &EvalContext) -> Tensor {
        let types = types(inputs, 3);
        let Ok(form) = self.form(&types.iter().collect::<Vec<_>>()) else {
            // `infer` has refused it.
            return Tensor::new(ty.shape.clone(), vec![f64::NAN; ty.elements()]);
        };
        let factor = self.attend.factor(form.sizes, context);
        let [values, log_sums] = given(&form, inputs, 0, &factor).attention();
        let data = if self.result == Attended::Values { values } else { log_sums };
        Tensor::new(ty.shape.clone(), data)
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        match self.form(inputs) {
            Ok(form) => Lowering::Kernel {
                kernel: Kernel::new(attention::Attention { form, outputs: [Some(0), Some(1)] }),
                output: self.result as usize,
            },
            // `infer` has refused it.
            Err(_) => Lowering::Leaf,
        }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        // Sequences, queries, keys, heads, heads of keys, width.
        let cases = [
            [1, 1, 1, 1, 1, 1],
            [2, 3, 5, 1, 1, 4],
            [1, 5, 5, 4, 2, 3],
            [2, 7, 7, 3, 3, 4],
            [1, 65, 65, 2, 1, 8],
        ];
        for [batch, queries, keys, heads, key_heads, width] in cases {
            for (causal, lengths, dropout) in
                [(false, false, 0.0), (true, false, 0.0), (false, true, 0.0), (true, true, 0.4)]
            {
                // A lone sequence may have a lone key, whose gradient is 0 but for rounding.
                if (causal && queries != keys) || (lengths && batch == 1) {
                    continue;
                }
                let name = format!(
                    "attention {batch}x{heads}/{key_heads} {queries}x{keys}x{width}, causal {causal}, lengths \
                     {lengths}, dropout {dropout}"
                );
                all.add(name, |g| {
                    let small = Draw::Between(-1.0, 1.0);
                    let q = g.draw(&[batch, queries, heads, width], small)?;
                    let [k, v] = [(); 2].map(|()| g.draw(&[batch, keys, key_heads, width], small));
                    let heads = Heads { q, k: k?, v: v? };
                    let lengths = match lengths {
                        true => Some(g.draw(&[batch], Draw::Index(keys + 1))?),
                        false => None,
                    };
                    let attend = Attend::new(width, causal).with_dropout(dropout, 5);
                    g.graph.attention(heads, lengths, attend)
                })?;
            }
        }
        Ok(())
    }
}

impl OpDef for AttentionGrad {
    fn name(&self) -> &'static str {
        match self.of {
            Attending::Queries => "attention_grad",
            Attending::KeysAndValues => "attention_grad_keys",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.form(inputs)?;
        Ok(match self.of {
            Attending::Queries => inputs[1].clone(),
            Attending::KeysAndValues => TensorType::f32([vec![2], inputs[2].shape.clone()].concat()),
        })
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _y: ValueId,
        _dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let reason = "second derivatives of attention are not supported; use first derivatives, or write it with \
                      matmul and softmax";
        Err(g.error(self.name(), x, reason.into()))
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, context: &EvalContext) -> Tensor {
        let types = types(inputs, 6);
        let Ok(form) = self.form(&types.iter().collect::<Vec<_>>()) else {
            // `infer` has refused it.
            return Tensor::new(ty.shape.clone(), vec![f64::NAN; ty.elements()]);
        };
        let factor = self.attend.factor(form.sizes, context);
        let [dy, log_sums, products] = [0, 4, 5].map(|at| inputs[at].data.as_slice());
        let [queries, both] = given(&form, inputs, 1, &factor).gradient(dy, log_sums, products);
        Tensor::new(ty.shape.clone(), if self.of == Attending::Queries { queries } else { both })
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        match self.form(inputs) {
            Ok(form) => Lowering::Kernel {
                kernel: Kernel::new(attention::AttentionGrad { form, outputs: [Some(0), Some(1)] }),
                output: self.of as usize,
            },
            // `infer` has refused it.
            Err(_) => Lowering::Leaf,
        }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for of in [Attending::Queries, Attending::KeysAndValues] {
            all.add(format!("attention_grad of {of:?}"), |g| {
                let small = Draw::Between(-1.0, 1.0);
                let (queries, keys) = ([2, 5, 4, 3], [2, 7, 2, 3]);
                let mut operands = vec![g.draw(&queries, small)?, g.draw(&queries, small)?];
                operands.extend([g.draw(&keys, small)?, g.draw(&keys, small)?]);
                operands.extend([g.draw(&queries[..3], Draw::Between(1.0, 3.0))?, g.normal(&queries[..3])?]);
                let attend = Attend::new(3, false);
                g.graph.push(Op::AttentionGrad(AttentionGrad { attend, of }), &operands)
            })?;
        }
        Ok(())
    }
}
