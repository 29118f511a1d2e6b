//! Operator cases of pooling and resampling: images `[N, C, H, W]`, with the attributes of PyTorch's
//! functions.

use serde_json::Value;

use super::{Operands, Skip};
use crate::graph::pooling::PoolSpec;
use crate::graph::upsampling::{ResampleSpec, Resampling};
use crate::graph::{GraphError, ValueId};

impl Operands<'_> {
    /// A parameter that is one number for both axes or one for each.
    fn pair(&self, key: &str) -> Result<Option<[f64; 2]>, Skip> {
        let wrong = || format!("{key} is neither a number nor two numbers");
        match self.case.params.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(list)) => {
                let numbers: Vec<f64> = list.iter().filter_map(Value::as_f64).collect();
                if numbers.len() != list.len() {
                    return Err(wrong());
                }
                match numbers[..] {
                    [both] => Ok(Some([both, both])),
                    [down, along] => Ok(Some([down, along])),
                    _ => Err(wrong()),
                }
            }
            Some(one) => one.as_f64().map(|x| Some([x, x])).ok_or_else(wrong),
        }
    }

    fn extents(&self, key: &str, default: Option<[usize; 2]>) -> Result<[usize; 2], Skip> {
        match self.pair(key)? {
            Some(pair) if pair.iter().all(|x| *x >= 0.0 && x.fract() == 0.0) => Ok(pair.map(|x| x as usize)),
            Some(pair) => Err(format!("{key} = {pair:?} are not integers")),
            None => default.ok_or_else(|| format!("{key} is not given")),
        }
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.case.params.get(key).and_then(Value::as_bool).unwrap_or(default)
    }
}

/// The result of `maxpool2d`, `avgpool2d`, `upsample` or `interpolate`.
pub(super) fn build(o: &mut Operands, op: &str) -> Result<Vec<ValueId>, Skip> {
    let say = |e: GraphError| e.to_string();
    let x = o.get("x")?;
    let [_, _, height, width] = o.graph.shape(x)[..] else { return Err("x is not `[N, C, H, W]`".into()) };
    let images = o.graph.permute(x, &[0, 2, 3, 1]).map_err(say)?;
    let y = if op.ends_with("pool2d") {
        let window = o.extents("kernel", None)?;
        let spec = PoolSpec {
            window,
            stride: o.extents("stride", Some(window))?,
            dilation: o.extents("dilation", Some([1, 1]))?,
            padding: o.extents("padding", Some([0, 0]))?.map(|p| [p, p]),
            ceil_mode: o.flag("ceil_mode", false),
            count_include_pad: o.flag("count_include_pad", true),
            divisor_override: o.pair("divisor_override")?.map(|[count, _]| count as u32),
        };
        if op == "maxpool2d" { o.graph.max_pool(images, &spec) } else { o.graph.avg_pool(images, &spec) }
    } else {
        let align_corners = o.flag("align_corners", false);
        let resampling = match o.case.params.get("mode").and_then(Value::as_str) {
            None | Some("nearest") => Resampling::Nearest,
            Some("bilinear" | "linear") => Resampling::Linear { align_corners },
            Some(other) => return Err(format!("mode = {other} is not supported, only nearest and bilinear")),
        };
        let spec = match o.pair("scale_factor")? {
            Some(scale) => ResampleSpec::scaled([height, width], scale, resampling),
            None => ResampleSpec::new(o.extents("size", None)?, resampling),
        };
        o.graph.resample(images, &spec)
    };
    o.graph.permute(y.map_err(say)?, &[0, 3, 1, 2]).map(|y| vec![y]).map_err(say)
}
