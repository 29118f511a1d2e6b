//! The operators, one file for each group. An operator is a line of the match in [`build`].

mod arithmetic;
mod attention;
mod convolution;
mod elementwise;
mod features;
mod gates;
mod known;
mod layout;
mod normalisation;
mod pick;
mod pooling;
mod products;
mod recurrent;
mod reduction;
mod resize;
mod scatter;
mod select;
mod unrolled;

use super::build::{Builder, Fail, Outcome, Value};
use super::model::Node;

/// The results of a node.
///
/// # Errors
/// What is not supported of it.
pub fn build(b: &mut Builder, node: &Node) -> Outcome<Vec<Value>> {
    let one = |value: Outcome<Value>| value.map(|value| vec![value]);
    if elementwise::is(&node.op) {
        return one(elementwise::unary(b, node));
    }
    if arithmetic::is(&node.op) {
        return one(arithmetic::binary(b, node));
    }
    one(match node.op.as_str() {
        "Sum" | "Mean" | "Min" | "Max" => arithmetic::several(b, node),
        "Clip" => elementwise::clip(b, node),
        "PRelu" => arithmetic::prelu(b, node),
        "Where" => arithmetic::choose(b, node),
        "Pow" => arithmetic::power(b, node),
        "Mod" => arithmetic::remainder(b, node),
        "Cast" | "CastLike" => elementwise::cast(b, node),
        "Identity" => known::same(b, node),
        "Dropout" => return elementwise::dropout(b, node),
        "Constant" => known::constant(node),
        "ConstantOfShape" => known::filled(b, node),
        "Shape" => known::shape(b, node),
        "Size" => known::size(b, node),
        "Range" => known::range(b, node),
        "EyeLike" => known::eye(b, node),
        "NonZero" => known::non_zero(b, node),
        "If" => return known::branch(b, node),
        "Reshape" => layout::reshape(b, node),
        "Flatten" => layout::flatten(b, node),
        "Squeeze" => layout::squeeze(b, node),
        "Unsqueeze" => layout::unsqueeze(b, node),
        "Transpose" => layout::transpose(b, node),
        "Concat" => layout::concat(b, node),
        "Expand" => layout::expand(b, node),
        "Tile" => layout::tile(b, node),
        "DepthToSpace" | "SpaceToDepth" => layout::depth_and_space(b, node),
        "Split" => return pick::split(b, node),
        "Slice" => pick::slice(b, node),
        "Gather" => pick::gather(b, node),
        "Pad" => pick::pad(b, node),
        "Compress" => pick::compress(b, node),
        "Trilu" => select::triangle(b, node),
        "OneHot" => select::one_hot(b, node),
        "ArgMax" | "ArgMin" => select::arg_max(b, node),
        "TopK" => return scatter::top(b, node),
        "GatherND" => scatter::gather_slices(b, node),
        "GatherElements" => scatter::gather_elements(b, node),
        "ScatterND" | "ScatterElements" | "Scatter" => scatter::scatter(b, node),
        "Hardmax" => select::hardmax(b, node),
        "CumSum" => select::running_sum(b, node),
        "MatMul" => products::matmul(b, node),
        "Gemm" => products::gemm(b, node),
        "Einsum" => products::einsum(b, node),
        "DequantizeLinear" => products::dequantise(b, node),
        "Attention" => return attention::attention(b, node),
        "Conv" => convolution::conv(b, node),
        "ConvTranspose" => convolution::transposed(b, node),
        "MaxPool" | "AveragePool" => pooling::windows(b, node),
        "GlobalAveragePool" | "GlobalMaxPool" => pooling::global(b, node),
        "BatchNormalization" => return normalisation::batch(b, node),
        "InstanceNormalization" => normalisation::instance(b, node),
        "LayerNormalization" => return normalisation::layer(b, node),
        "GroupNormalization" => normalisation::group(b, node),
        "RMSNormalization" => normalisation::root_mean_square(b, node),
        "LpNormalization" => normalisation::unit_length(b, node),
        "LRN" => normalisation::across_channels(b, node),
        "Softmax" | "LogSoftmax" => reduction::softmax(b, node),
        op if op.starts_with("Reduce") => reduction::reduce(b, node),
        "Resize" | "Upsample" => resize::resize(b, node),
        "RNN" | "LSTM" | "GRU" => return recurrent::recurrent(b, node),
        "Loop" | "Scan" => {
            return Err("it repeats a graph a number of times that the inputs may decide".into());
        }
        op => match op.strip_prefix("ai.onnx.ml.") {
            Some(name) => features::build(b, node, name),
            None => return Err(Fail::Reason("this operator is not supported".into())),
        },
    })
}

/// An axis from 0 up, of one that may count from the end.
///
/// # Errors
/// If there is no such axis.
fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    let found = usize::try_from(from_start).ok().filter(|&axis| axis < rank);
    found.ok_or_else(|| format!("there is no axis {axis}; the axes are 0..{rank}"))
}

/// As [`axis_of`], of several; ascending and without doubles.
fn axes_of(axes: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut found = axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Where a channels-first axis lies in a value whose channels lie last.
fn axis_last(axis: usize, rank: usize) -> usize {
    match axis {
        0 => 0,
        1 => rank - 1,
        axis => axis - 1,
    }
}

/// Axes that an attribute gives in old operator sets, and operand `at` in new ones.
fn axes_given(b: &Builder, node: &Node, at: usize) -> Outcome<Option<Vec<i64>>> {
    Ok(match node.ints("axes") {
        Some(axes) => Some(axes),
        None => b.integers(node, at)?,
    })
}
