//! Attention and its gradient: operators that share two kernels.

use super::{EvalContext, Lowering, Op, OpDef, check_f32};
use crate::base::tensor::{DType, Tensor, TensorType};
use crate::graph::attention::{Attend, Heads};
use crate::graph::samples::{Collection, Draw};
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::Kernel;
use crate::kernels::attention::{self, Form, MAX_WIDTH, Sizes};
use crate::oracle::attention::Given;

/// Attention of queries `[B, T, H, D]` over keys and values `[B, S, G, D]`, or of one packed tensor
/// `[B, T, H + 2 G, D]`; with a last operand, `u32[B]`, over the first keys of each sequence only. The formulas are at
/// [`crate::oracle::attention`].
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

/// A gradient of attention. Operands: the gradient `[B, T, H, D]`, queries, keys, values or the packed tensor, the
/// log-sums and the sums of the products of result and gradient, `[B, T, H]`, and the lengths if there are any.
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
    /// The queries `[B, T, H, D]`, or all that is packed.
    Queries,
    /// Keys and values, one after the other `[2, B, S, G, D]`.
    KeysAndValues,
}

impl Attend {
    /// Operands with queries, keys and values.
    fn tensors(&self) -> usize {
        if self.packed.is_some() { 1 } else { 3 }
    }

    /// The kernels' form for queries, keys and values, or the packed tensor, and perhaps lengths.
    fn form(&self, inputs: &[&TensorType]) -> Result<Form, String> {
        let count = self.tensors();
        if inputs.len() != count && inputs.len() != count + 1 {
            return Err(format!("expected {count} operands and perhaps lengths, found {}", inputs.len()));
        }
        let (tensors, lengths) = inputs.split_at(count);
        check_f32(tensors)?;
        let sizes = match (self.packed, tensors) {
            (Some(heads), [all]) => self.packed_sizes(heads, &all.shape)?,
            (None, [q, k, v]) if k.shape == v.shape => self.sizes(&q.shape, &k.shape)?,
            (_, all) => return Err(format!("expected keys and values of one shape, found {}", all.len())),
        };
        if !sizes.heads.is_multiple_of(sizes.key_heads) {
            let Sizes { heads, key_heads, .. } = sizes;
            return Err(format!("{heads} heads of queries cannot share {key_heads} heads of keys evenly"));
        }
        if sizes.width > MAX_WIDTH {
            let width = sizes.width;
            return Err(format!("heads are {width} wide; at most {MAX_WIDTH} is possible: use more heads"));
        }
        if let [lengths] = lengths
            && (lengths.dtype != DType::U32 || lengths.shape != [sizes.batch])
        {
            return Err(format!("expected lengths u32[{}], found {lengths}", sizes.batch));
        }
        Ok(Form { sizes, scale: self.scale, lengths: !lengths.is_empty(), dropout: self.dropout })
    }

    fn sizes(&self, q: &[usize], k: &[usize]) -> Result<Sizes, String> {
        let (&[batch, queries, heads, width], &[same, keys, key_heads, other]) = (q, k) else {
            return Err("expected queries [B, T, H, D] and keys and values [B, S, G, D]".into());
        };
        if batch != same || width != other {
            return Err(format!(
                "queries {q:?} and keys {k:?} must have the same batch (first axis) and width (last axis)"
            ));
        }
        if self.causal && queries != keys {
            return Err(format!(
                "causal attention needs as many queries as keys, found {queries} queries and {keys} keys"
            ));
        }
        let (causal, alibi) = (self.causal, self.alibi);
        Ok(Sizes { batch, heads, key_heads, queries, keys, width, causal, alibi, packed: false })
    }

    fn packed_sizes(&self, heads: usize, all: &[usize]) -> Result<Sizes, String> {
        let &[batch, steps, rows, width] = all else {
            return Err("expected queries, keys and values packed as [B, T, H + 2 G, D]".into());
        };
        let keys = rows.checked_sub(heads).filter(|&rest| heads > 0 && rest >= 2 && rest.is_multiple_of(2));
        let Some(keys) = keys else {
            return Err(format!(
                "{rows} rows of a step cannot be {heads} heads of queries and as many of keys as of values"
            ));
        };
        let (key_heads, causal, alibi) = (keys / 2, self.causal, self.alibi);
        Ok(Sizes { batch, heads, key_heads, queries: steps, keys: steps, width, causal, alibi, packed: true })
    }

    /// The formulas' operands, with queries, keys and values from operand `first` on.
    fn given<'a>(
        &self,
        form: &Form,
        inputs: &[&'a Tensor],
        first: usize,
        factor: &'a dyn Fn(usize) -> f64,
    ) -> Given<'a> {
        let tensors = &inputs[first..first + self.tensors()];
        let [q, k, v] = [0, 1, 2].map(|at| tensors[at.min(tensors.len() - 1)].data.as_slice());
        let lengths = form.lengths.then(|| inputs[inputs.len() - 1].data.as_slice());
        Given { sizes: form.sizes, scale: f64::from(f32::from_bits(form.scale)), q, k, v, lengths, factor }
    }

    /// The factor that dropout gives a pair.
    fn factor(&self, sizes: Sizes, context: &EvalContext) -> impl Fn(usize) -> f64 {
        let (dropout, step) = (self.dropout, context.step);
        move |pair| f64::from(dropout.map_or(1.0, |dropout| dropout.of_pair(&sizes, &step, pair)))
    }
}

/// The types of evaluated operands: integers where lengths are.
fn types(inputs: &[&Tensor], floats: usize) -> Vec<TensorType> {
    let of = |(at, tensor): (usize, &&Tensor)| TensorType {
        shape: tensor.shape.clone(),
        dtype: if at < floats { DType::F32 } else { DType::U32 },
    };
    inputs.iter().enumerate().map(of).collect()
}

/// `[B, T, H, D]`
fn result(sizes: &Sizes) -> [usize; 4] {
    [sizes.batch, sizes.queries, sizes.heads, sizes.width]
}

impl AttentionGrad {
    fn form(&self, inputs: &[&TensorType]) -> Result<Form, String> {
        let count = self.attend.tensors();
        let Some((dy, rest)) = inputs.split_first().filter(|(_, rest)| rest.len() >= count + 2) else {
            return Err(format!(
                "expected {} operands and perhaps lengths, found {}",
                count + 3,
                inputs.len()
            ));
        };
        let (tensors, rest) = rest.split_at(count);
        let (numbers, lengths) = rest.split_at(2);
        check_f32(&[*dy, numbers[0], numbers[1]])?;
        let form = self.attend.form(&[tensors, lengths].concat())?;
        let shape = result(&form.sizes);
        if dy.shape != shape || numbers.iter().any(|number| number.shape != shape[..3]) {
            let found = format!("{dy}, {} and {}", numbers[0], numbers[1]);
            return Err(format!(
                "expected a gradient {shape:?} and two numbers of each query, found {found}"
            ));
        }
        Ok(form)
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
        let shape = result(&self.attend.form(inputs)?.sizes);
        Ok(match self.result {
            Attended::Values => TensorType::f32(shape),
            Attended::LogSums => TensorType::f32(&shape[..3]),
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
        let (tensors, lengths) = x.split_at(attend.tensors());
        let operands = [&[dy], tensors, &[log_sums, products], lengths].concat();
        let mut gradient = |of| g.push(Op::AttentionGrad(AttentionGrad { attend, of }), &operands);
        let mut gradients = vec![Some(gradient(Attending::Queries)?)];
        if attend.packed.is_none() {
            let both = gradient(Attending::KeysAndValues)?;
            let shape = g.shape(x[1]).clone();
            let extents = [vec![1], shape.clone()].concat();
            for at in 0..2 {
                let part = g.slice(both, &[at, 0, 0, 0, 0], &extents)?;
                gradients.push(Some(g.reshape(part, &shape)?));
            }
        }
        gradients.resize(x.len(), None);
        Ok(gradients)
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, context: &EvalContext) -> Tensor {
        let types = types(inputs, self.attend.tensors());
        let Ok(form) = self.attend.form(&types.iter().collect::<Vec<_>>()) else {
            // `infer` has refused it.
            return Tensor::new(ty.shape.clone(), vec![f64::NAN; ty.elements()]);
        };
        let factor = self.attend.factor(form.sizes, context);
        let [values, log_sums] = self.attend.given(&form, inputs, 0, &factor).attention();
        let data = if self.result == Attended::Values { values } else { log_sums };
        Tensor::new(ty.shape.clone(), data)
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        match self.attend.form(inputs) {
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
        let cases = cases.into_iter().flat_map(|case| [(case, false), (case, true)]);
        for ([batch, queries, keys, heads, key_heads, width], packed) in cases {
            if packed && queries != keys {
                continue;
            }
            for (causal, lengths, dropout, alibi) in [
                (false, false, 0.0, false),
                (true, false, 0.0, false),
                (false, true, 0.0, false),
                (true, true, 0.4, false),
                (false, false, 0.0, true),
                (true, true, 0.4, true),
            ] {
                // A lone sequence may have a lone key, whose gradient is 0 but for rounding.
                if (causal && queries != keys) || (lengths && batch == 1) {
                    continue;
                }
                let name = format!(
                    "attention {batch}x{heads}/{key_heads} {queries}x{keys}x{width}, causal {causal}, packed {packed}, \
                     lengths {lengths}, dropout {dropout}, alibi {alibi}"
                );
                all.add(name, |g| {
                    let small = Draw::Between(-1.0, 1.0);
                    let lengths = match lengths {
                        true => Some(g.draw(&[batch], Draw::Index(keys + 1))?),
                        false => None,
                    };
                    let attend = Attend::new(width, causal).with_alibi(alibi).with_dropout(dropout, 5);
                    if packed {
                        let all = g.draw(&[batch, queries, heads + 2 * key_heads, width], small)?;
                        return g.graph.attention_packed(all, heads, lengths, attend);
                    }
                    let q = g.draw(&[batch, queries, heads, width], small)?;
                    let [k, v] = [(); 2].map(|()| g.draw(&[batch, keys, key_heads, width], small));
                    g.graph.attention(Heads { q, k: k?, v: v? }, lengths, attend)
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
        let form = self.form(inputs)?;
        match self.of {
            Attending::Queries => Ok(inputs[1].clone()),
            Attending::KeysAndValues if form.sizes.packed => Err("what is packed has one gradient".into()),
            Attending::KeysAndValues => Ok(TensorType::f32([vec![2], inputs[2].shape.clone()].concat())),
        }
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
        let types = types(inputs, self.attend.tensors() + 3);
        let Ok(form) = self.form(&types.iter().collect::<Vec<_>>()) else {
            // `infer` has refused it.
            return Tensor::new(ty.shape.clone(), vec![f64::NAN; ty.elements()]);
        };
        let factor = self.attend.factor(form.sizes, context);
        let next = 1 + self.attend.tensors();
        let [dy, log_sums, products] = [0, next, next + 1].map(|at| inputs[at].data.as_slice());
        let given = self.attend.given(&form, inputs, 1, &factor);
        let [queries, both] = given.gradient(dy, log_sums, products);
        Tensor::new(ty.shape.clone(), if self.of == Attending::Queries { queries } else { both })
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        match self.form(inputs) {
            Ok(form) => Lowering::Kernel {
                kernel: Kernel::new(attention::AttentionGrad {
                    form,
                    outputs: [Some(0), (!form.sizes.packed).then_some(1)],
                }),
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
