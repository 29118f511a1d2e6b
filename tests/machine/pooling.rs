//! Pooling and resampling match PyTorch's figures (tests/pytorch/pooling.py) on both backends, including
//! ties, NaN and infinities; windows that do not fit are reported.

use std::collections::BTreeMap;
use std::sync::Arc;

use gridlight::base::step::StepRecord;
use gridlight::base::tensor::{DType, Tensor};
use gridlight::device::Device;
use gridlight::graph::pooling::PoolSpec;
use gridlight::graph::upsampling::{ResampleSpec, Resampling};
use gridlight::graph::{Graph, Source, ValueId, autodiff};
use gridlight::verify::{Case, relative_error, run};
use libtest_mimic::Trial;
use serde::Deserialize;

use crate::everywhere;

/// A tensor `[N, C, H, W]`.
#[derive(Clone, Deserialize)]
struct Given {
    shape: [usize; 4],
    data: Vec<serde_json::Value>,
}

#[derive(Clone, Deserialize)]
struct Figures {
    op: String,
    #[serde(default)]
    window: [usize; 2],
    #[serde(default)]
    stride: [usize; 2],
    #[serde(default)]
    padding: [usize; 2],
    #[serde(default)]
    dilation: [usize; 2],
    #[serde(default)]
    ceil_mode: bool,
    #[serde(default)]
    count_include_pad: bool,
    divisor: Option<u32>,
    size: Option<[usize; 2]>,
    scale: Option<[f64; 2]>,
    #[serde(default)]
    align_corners: bool,
    x: Given,
    y: Given,
    dy: Given,
    dx: Given,
}

impl Given {
    fn tensor(&self) -> Tensor {
        let number = |v: &serde_json::Value| match v.as_f64() {
            Some(x) => x,
            None => v.as_str().and_then(|text| text.parse().ok()).expect("a number or its name"),
        };
        Tensor::new(self.shape, self.data.iter().map(number).collect())
    }
}

impl Figures {
    fn build(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, gridlight::graph::GraphError> {
        let [_, _, height, width] = self.x.shape;
        let resampling = match self.op.as_str() {
            "nearest" => Resampling::Nearest,
            "linear" => Resampling::Linear { align_corners: self.align_corners },
            op => {
                let spec = PoolSpec {
                    window: self.window,
                    stride: self.stride,
                    dilation: self.dilation,
                    padding: self.padding.map(|p| [p, p]),
                    ceil_mode: self.ceil_mode,
                    count_include_pad: self.count_include_pad,
                    divisor_override: self.divisor,
                };
                return if op == "max" { g.max_pool(x, &spec) } else { g.avg_pool(x, &spec) };
            }
        };
        let spec = match (self.size, self.scale) {
            (Some(size), _) => ResampleSpec::new(size, resampling),
            (None, Some(scale)) => ResampleSpec::scaled([height, width], scale, resampling),
            _ => panic!("a case has a size or a scale"),
        };
        g.resample(x, &spec)
    }

    /// Result and gradient match the figures; exactly where nothing is rounded.
    fn check(&self, device: &dyn Device) -> Result<(), String> {
        let mut graph = Graph::new();
        let mut bindings = BTreeMap::new();
        let mut bind = |g: &mut Graph, name: &str, given: &Given| {
            let value = g.source(Source::Parameter(name.into()), &given.shape, DType::F32).unwrap();
            bindings.insert(value, given.tensor());
            value
        };
        let (x, dy) = (bind(&mut graph, "x", &self.x), bind(&mut graph, "dy", &self.dy));
        let images = graph.permute(x, &[0, 2, 3, 1]).unwrap();
        let y = self.build(&mut graph, images).map_err(|e| e.to_string())?;
        let y = graph.permute(y, &[0, 3, 1, 2]).unwrap();
        let dx = autodiff::vjp(&mut graph, y, dy, &[x]).unwrap()[0];
        let case = Case {
            name: self.op.clone(),
            graph,
            bindings,
            outputs: vec![y, dx],
            step: StepRecord::default(),
            magnitude: 0.0,
        };
        let found = run(device, &case).map_err(|e| e.to_string())?;
        let allowed = if self.op == "linear" { 1e-5 } else { 1e-6 };
        for (what, found, expected) in [("y", &found[0], &self.y), ("dx", &found[1], &self.dx)] {
            let expected = expected.tensor();
            let error = relative_error(&expected.data, &found.data, 0.0);
            if found.shape != expected.shape || error.is_nan() || error > allowed {
                return Err(format!("{what} is off by {error:e}: {expected:?}, found {found:?}"));
            }
        }
        Ok(())
    }
}

pub fn trials() -> Vec<Trial> {
    let figures: Vec<Figures> =
        serde_json::from_str(include_str!("../pytorch/pooling.json")).expect("the file of figures is JSON");
    let mut trials: Vec<Trial> = vec![
        Trial::test("windows_that_do_not_fit_are_refused", || {
            refused();
            Ok(())
        }),
        Trial::test("one_window_over_everything_is_a_mean", || {
            global();
            Ok(())
        }),
    ];
    for (at, case) in figures.into_iter().enumerate() {
        let name = format!("{at:02}_{}", case.op);
        trials.extend(everywhere::on_every_backend(&name, Arc::new(move |device| case.check(device))));
    }
    trials
}

fn image(g: &mut Graph, shape: &[usize]) -> ValueId {
    g.source(Source::Batch("x".into()), shape, DType::F32).unwrap()
}

fn refused() {
    let message = |shape: &[usize], spec: PoolSpec| {
        let mut g = Graph::new();
        let x = image(&mut g, shape);
        g.set_layer("layer 3 (max_pool)");
        g.max_pool(x, &spec).unwrap_err().to_string()
    };
    let of = PoolSpec::new;
    assert_eq!(
        message(&[1, 4, 4, 2], of([5, 2])),
        "layer 3 (max_pool): max_pool(f32[1, 4, 4, 2]): a window 5 high (with dilation) is larger than the \
         input, 4 high and 0 of padding; use a smaller window or more padding"
    );
    let padded = message(&[1, 4, 4, 2], of([2, 2]).padded([0, 3]));
    assert!(padded.contains("contains no column of the image, only padding"), "{padded}");
    for spec in [of([0, 1]), of([1, 1]).every([0, 1]), of([1, 1 << 40]), of([1, 1]).padded([usize::MAX, 0])] {
        assert!(message(&[1, 4, 4, 2], spec).contains("must be from 1 to 1048576"));
    }
    assert!(message(&[4, 4], of([2, 2])).contains("expected images `[N, H, W, C]`"));
    let mut g = Graph::new();
    let x = image(&mut g, &[1, 4, 4, 2]);
    let zero = PoolSpec { divisor_override: Some(0), ..of([2, 2]) };
    assert!(g.avg_pool(x, &zero).unwrap_err().to_string().contains("cannot divide by 0"));
    for (size, scale) in [([0, 4], None), ([1 << 40, 1], None), ([4, 4], Some([f64::NAN, 1.0]))] {
        let spec = ResampleSpec { size, scale, resampling: Resampling::Nearest };
        assert!(g.resample(x, &spec).unwrap_err().to_string().contains("cannot make images of"));
    }
}

fn global() {
    let mut g = Graph::new();
    let x = image(&mut g, &[2, 300, 400, 3]);
    let mean = g.avg_pool(x, &PoolSpec::new([300, 400])).unwrap();
    assert_eq!(g.shape(mean), &[2, 1, 1, 3]);
    assert_eq!(Some(mean), g.mean(x, &[1, 2], true).ok());
}
