//! The shaders of the kernels on edges: one invocation per result, of the softmax one per row and head.

use super::{EdgeDot, EdgeSoftmax, NeighbourSum, Weights};
use crate::base::target::Target;
use crate::kernels::shader::{Shader, ShaderError, grid, lanes};
use crate::shader::Template;

pub(super) fn sum(k: &NeighbourSum, target: &Target) -> Result<Shader, ShaderError> {
    let (places, _) = k.ends();
    let t = Template::new("neighbour_sum")
        .flag("WEIGHTED", k.weights != Weights::None)
        .flag("NUMBERED", k.numbered)
        .flag("EACH", k.weights == Weights::Each)
        .set("BATCH", k.batch)
        .set("ROWS", k.rows)
        .set("COLUMNS", k.columns)
        .set("EDGES", k.edges)
        .set("WIDTH", k.width)
        .set("HEADS", k.heads)
        .set("STRIDE", places.stride)
        .set("STARTS", places.starts)
        .set("OTHERS", places.others)
        .set("NUMBERS", places.numbers);
    let invocations = k.batch * k.rows * k.width;
    let lanes = lanes(invocations, target);
    let shader = grid("neighbour_sum", t, invocations.div_ceil(lanes), lanes, false)?;
    Ok(Shader { in_storage: true, ..shader })
}

pub(super) fn dot(k: &EdgeDot, target: &Target) -> Result<Shader, ShaderError> {
    let [stride, row, column] = k.places();
    let t = Template::new("edge_dot")
        .flag("OWN", k.own)
        .set("STRIDE", stride)
        .set("FROM", row)
        .set("TO", column)
        .set("ROWS", k.rows)
        .set("COLUMNS", k.columns)
        .set("EDGES", k.edges)
        .set("WIDTH", k.width)
        .set("HEADS", k.heads)
        .set("BATCH", k.batch);
    let invocations = k.batch * k.edges * k.heads;
    let lanes = lanes(invocations, target);
    let shader = grid("edge_dot", t, invocations.div_ceil(lanes), lanes, false)?;
    Ok(Shader { in_storage: true, ..shader })
}

pub(super) fn softmax(k: &EdgeSoftmax, target: &Target) -> Result<Shader, ShaderError> {
    let (places, _) = k.ends();
    let t = Template::new("edge_softmax")
        .flag("OWN", k.own)
        .set("STRIDE", places.stride)
        .set("ROWS", k.rows)
        .set("EDGES", k.edges)
        .set("HEADS", k.heads)
        .set("BATCH", k.batch);
    let invocations = k.batch * k.rows * k.heads;
    let lanes = lanes(invocations, target);
    let shader = grid("edge_softmax", t, invocations.div_ceil(lanes), lanes, false)?;
    Ok(Shader { in_storage: true, ..shader })
}
