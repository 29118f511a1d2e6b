//! Reverse-mode differentiation, graph to graph.
//!
//! Walks the graph from the result back to the leaves. Every value carries a *cotangent*: the derivative of
//! the result with respect to that value. The result's own cotangent is given. Each operator's rule turns the
//! cotangent of its result into those of its operands, as further nodes of the same graph; a value with
//! several uses sums their contributions. Because the rules only append nodes, a gradient can be
//! differentiated again.

use super::{Graph, GraphError, ValueId};

/// Gradient of the scalar `loss` with respect to each of `wrt`, appended to `graph`.
///
/// # Errors
/// If `loss` is not a scalar, or a gradient rule is ill-typed (a bug).
pub fn gradients(graph: &mut Graph, loss: ValueId, wrt: &[ValueId]) -> Result<Vec<ValueId>, GraphError> {
    if graph.ty(loss).elements() != 1 {
        let reason = "only a scalar has a gradient; take the sum or mean of the losses first".to_owned();
        return Err(graph.error("gradients", &[loss], reason));
    }
    let one = graph.scalar(1.0)?;
    let shape = graph.shape(loss).clone();
    let seed = graph.reshape(one, &shape)?;
    vjp(graph, loss, seed, wrt)
}

/// Gradient of `sum(y * dy)` with respect to each of `wrt`; zero for values that `y` does not depend on.
///
/// # Errors
/// If a gradient rule is ill-typed (a bug).
pub fn vjp(graph: &mut Graph, y: ValueId, dy: ValueId, wrt: &[ValueId]) -> Result<Vec<ValueId>, GraphError> {
    graph.check_known("gradients", &[y, dy])?;
    graph.check_known("gradients", wrt)?;
    let count = y.index() + 1;
    // Only values between `wrt` and `y` need a cotangent.
    let mut needed = vec![false; count];
    for i in 0..count {
        needed[i] = wrt.contains(&ValueId(i as u32)) || any_needed(graph, i, &needed);
    }
    let layer = graph.layer.clone();
    let mut cotangents: Vec<Option<ValueId>> = vec![None; count];
    cotangents[y.index()] = Some(dy);
    for i in (0..count).rev() {
        let Some(cotangent) = cotangents[i] else { continue };
        if !any_needed(graph, i, &needed) {
            continue;
        }
        let node = graph.nodes[i].clone();
        graph.set_layer(node.layer.clone());
        let sent = node.op.def().vjp(graph, &node.inputs, ValueId(i as u32), cotangent)?;
        for (&input, sent) in node.inputs.iter().zip(sent) {
            let Some(sent) = sent.filter(|_| needed[input.index()]) else { continue };
            let total = match cotangents[input.index()] {
                None => sent,
                Some(so_far) => graph.add(so_far, sent)?,
            };
            cotangents[input.index()] = Some(total);
        }
    }
    graph.set_layer(layer);
    let mut results = vec![];
    for &value in wrt {
        let found = cotangents.get(value.index()).copied().flatten();
        results.push(match found {
            Some(cotangent) => cotangent,
            None => {
                let zero = graph.scalar(0.0)?;
                let shape = graph.shape(value).clone();
                graph.broadcast(zero, &shape)?
            }
        });
    }
    Ok(results)
}

/// Whether any operand of node `i` needs a cotangent.
fn any_needed(graph: &Graph, i: usize, needed: &[bool]) -> bool {
    graph.nodes[i].inputs.iter().any(|x| needed[x.index()])
}
