//! Burn: the steps that `gridlight bench` times, with the same networks, batches and optimizer.
//!
//! Build: `cargo build --release --features cpu`, a quarter of an hour on two cores; or `--features gpu`, most of an hour.
//! Run: `target/release/peer-burn --backend flex WORKLOAD` on the CPU, and on a GPU `--backend wgpu`; or in turn with
//! Gridlight, `gridlight bench WORD --report FILE --peer 'benches/peers/burn/target/release/peer-burn --backend flex'`.
//!
//! Workloads: mlp32 mlp1024 cnn rnn lstm vae resblock matmul{512,1024,2048} conv_fwd conv_fwdbwd. `rnn` and `lstm` are
//! written out, the products with the inputs taken before the loop and all gates in one; `rnn_module` and `lstm_module`
//! are Burn's own layers. The faster of the two is the one to quote.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Linear, LinearConfig, Lstm, LstmConfig, PaddingConfig2d, Rnn, RnnConfig,
};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Int, Tensor};
use peer_driver::{Args, drive, stop};

const PEER: &str = "burn-0.22.1";
const NORMAL: Distribution = Distribution::Normal(0.0, 1.0);

#[derive(Module, Debug)]
struct Mlp {
    a: Linear,
    b: Linear,
    c: Linear,
}

#[derive(Module, Debug)]
struct Cnn {
    c1: Conv2d,
    c2: Conv2d,
    pool: MaxPool2d,
    f1: Linear,
    f2: Linear,
}

#[derive(Module, Debug)]
struct Recurrent {
    input: Linear,
    hidden: Linear,
    head: Linear,
}

#[derive(Module, Debug)]
struct RnnModule {
    rnn: Rnn,
    head: Linear,
}

#[derive(Module, Debug)]
struct LstmModule {
    lstm: Lstm,
    head: Linear,
}

#[derive(Module, Debug)]
struct Vae {
    encoder: Linear,
    mean: Linear,
    log_variance: Linear,
    d1: Linear,
    d2: Linear,
}

#[derive(Module, Debug)]
struct Block {
    c1: Conv2d,
    n1: BatchNorm,
    c2: Conv2d,
    n2: BatchNorm,
    down: Option<Conv2d>,
}

#[derive(Module, Debug)]
struct Resnet {
    stem: Conv2d,
    norm: BatchNorm,
    blocks: Vec<Block>,
    head: Linear,
}

impl Block {
    fn new(i: usize, o: usize, stride: usize, device: &Device) -> Self {
        let norm = || BatchNormConfig::new(o).init(device);
        Self {
            c1: conv(i, o, 3, stride, device),
            n1: norm(),
            c2: conv(o, o, 3, 1, device),
            n2: norm(),
            down: (i != o).then(|| conv(i, o, 1, stride, device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = relu(self.n1.forward(self.c1.forward(x.clone())));
        let h = self.n2.forward(self.c2.forward(h));
        relu(h + self.down.as_ref().map_or(x.clone(), |down| down.forward(x)))
    }
}

/// A convolution without bias whose output is as large as its input, but for the stride.
fn conv(i: usize, o: usize, size: usize, stride: usize, device: &Device) -> Conv2d {
    let pad = size / 2;
    Conv2dConfig::new([i, o], [size, size])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(false)
        .init(device)
}

/// Measures training steps of a model by its loss. A macro, since modules have no one type of optimizer.
macro_rules! train {
    ($args:expr, $model:expr, $loss:expr) => {{
        let mut model = Some($model);
        let mut optimizer = AdamConfig::new().init();
        let step = || {
            let now = model.take().unwrap();
            let loss: Tensor<1> = $loss(&now);
            let gradients = GradientsParams::from_grads(loss.backward(), &now);
            model = Some(optimizer.step(1e-3, now, gradients));
            loss
        };
        drive(PEER, &$args, step, |loss: Tensor<1>| loss.into_scalar::<f32>());
    }};
}

fn main() {
    let args = Args::parse("wgpu");
    let base = match args.backend.as_str() {
        #[cfg(feature = "cpu")]
        "flex" => Device::flex(),
        #[cfg(feature = "gpu")]
        "wgpu" => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        other => stop(format_args!("no backend {other} in this build")),
    };
    let device = base.clone().autodiff();
    device.seed(1);
    let b = args.batch();
    let linear = |i, o| LinearConfig::new(i, o).init(&device);
    let mse = |p, y| MseLoss::new().forward(p, y, Reduction::Mean);
    let classes: Vec<i32> = (0..b as i32).map(|i| i % 10).collect();
    let classes = || Tensor::<1, Int>::from_ints(classes.as_slice(), &device);
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    let same = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    match args.workload.as_str() {
        "mlp32" | "mlp1024" => {
            let x = Tensor::<2>::random([b, 64], NORMAL, &device);
            let y = Tensor::<2>::random([b, 1], NORMAL, &device);
            let m = Mlp { a: linear(64, 128), b: linear(128, 64), c: linear(64, 1) };
            train!(args, m, |m: &Mlp| {
                let h = relu(m.b.forward(relu(m.a.forward(x.clone()))));
                mse(m.c.forward(h), y.clone())
            });
        }
        "cnn" => {
            let (x, y) = (Tensor::<4>::random([b, 1, 28, 28], NORMAL, &device), classes());
            let m = Cnn {
                c1: Conv2dConfig::new([1, 32], [3, 3]).init(&device),
                c2: Conv2dConfig::new([32, 64], [3, 3]).init(&device),
                pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
                f1: linear(64 * 144, 128),
                f2: linear(128, 10),
            };
            train!(args, m, |m: &Cnn| {
                let h = m.pool.forward(relu(m.c2.forward(relu(m.c1.forward(x.clone())))));
                let h: Tensor<2> = h.flatten(1, 3);
                cross_entropy.forward(m.f2.forward(relu(m.f1.forward(h))), y.clone())
            });
        }
        "rnn" | "lstm" => {
            let lstm = args.workload == "lstm";
            let width = if lstm { 4 * 256 } else { 256 };
            let x = Tensor::<3>::random([b, 64, 32], NORMAL, &device);
            let y = Tensor::<2>::random([b, 1], NORMAL, &device);
            let m = Recurrent {
                input: linear(32, width),
                hidden: LinearConfig::new(256, width).with_bias(false).init(&device),
                head: linear(256, 1),
            };
            train!(args, m, |m: &Recurrent| {
                let xs = m.input.forward(x.clone());
                let mut h = Tensor::<2>::zeros([b, 256], &device);
                let mut c = h.clone();
                for t in 0..64 {
                    let xt: Tensor<2> = xs.clone().slice([0..b, t..t + 1, 0..width]).reshape([b, width]);
                    let g = xt + m.hidden.forward(h.clone());
                    if lstm {
                        let gate = |i: usize| g.clone().slice([0..b, i * 256..(i + 1) * 256]);
                        c = sigmoid(gate(1)) * c + sigmoid(gate(0)) * gate(2).tanh();
                        h = sigmoid(gate(3)) * c.clone().tanh();
                    } else {
                        h = g.tanh();
                    }
                }
                mse(m.head.forward(h), y.clone())
            });
        }
        "rnn_module" => {
            let x = Tensor::<3>::random([b, 64, 32], NORMAL, &device);
            let y = Tensor::<2>::random([b, 1], NORMAL, &device);
            let m = RnnModule { rnn: RnnConfig::new(32, 256, true).init(&device), head: linear(256, 1) };
            train!(args, m, |m: &RnnModule| {
                mse(m.head.forward(m.rnn.forward(x.clone(), None).1.hidden), y.clone())
            });
        }
        "lstm_module" => {
            let x = Tensor::<3>::random([b, 64, 32], NORMAL, &device);
            let y = Tensor::<2>::random([b, 1], NORMAL, &device);
            let m = LstmModule { lstm: LstmConfig::new(32, 256, true).init(&device), head: linear(256, 1) };
            train!(args, m, |m: &LstmModule| {
                mse(m.head.forward(m.lstm.forward(x.clone(), None).1.hidden), y.clone())
            });
        }
        "vae" => {
            let x = Tensor::<2>::random([b, 784], Distribution::Bernoulli(0.25), &device);
            let m = Vae {
                encoder: linear(784, 400),
                mean: linear(400, 20),
                log_variance: linear(400, 20),
                d1: linear(20, 400),
                d2: linear(400, 784),
            };
            train!(args, m, |m: &Vae| {
                let h = relu(m.encoder.forward(x.clone()));
                let (mu, lv) = (m.mean.forward(h.clone()), m.log_variance.forward(h));
                let noise = Tensor::<2>::random([b, 20], NORMAL, &device);
                let z = mu.clone() + lv.clone().mul_scalar(0.5).exp() * noise;
                let l = m.d2.forward(relu(m.d1.forward(z)));
                let bce = (relu(l.clone()) - l.clone() * x.clone() + l.abs().neg().exp().log1p()).sum();
                let kl = (lv.clone() + 1.0 - mu.clone() * mu - lv.exp()).sum().mul_scalar(-0.5);
                (bce + kl).div_scalar(b as f64)
            });
        }
        "resblock" => {
            let (x, y) = (Tensor::<4>::random([b, 3, 32, 32], NORMAL, &device), classes());
            let m = Resnet {
                stem: conv(3, 16, 3, 1, &device),
                norm: BatchNormConfig::new(16).init(&device),
                blocks: [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
                    .map(|(i, o, stride)| Block::new(i, o, stride, &device))
                    .into(),
                head: linear(64, 10),
            };
            train!(args, m, |m: &Resnet| {
                let h = relu(m.norm.forward(m.stem.forward(x.clone())));
                let h = m.blocks.iter().fold(h, |h, block| block.forward(h));
                let h: Tensor<2> = h.mean_dim(3).mean_dim(2).flatten(1, 3);
                cross_entropy.forward(m.head.forward(h), y.clone())
            });
        }
        "conv_fwd" => {
            let x = Tensor::<4>::random([32, 32, 28, 28], NORMAL, &base);
            let w = Tensor::<4>::random([64, 32, 3, 3], NORMAL, &base);
            drive(PEER, &args, || conv2d(x.clone(), w.clone(), None, same()), first);
        }
        "conv_fwdbwd" => {
            let x = Tensor::<4>::random([32, 32, 28, 28], NORMAL, &device).require_grad();
            let w = Tensor::<4>::random([64, 32, 3, 3], NORMAL, &device).require_grad();
            let step = || {
                let gradients = conv2d(x.clone(), w.clone(), None, same()).backward();
                (x.grad(&gradients).unwrap(), w.grad(&gradients).unwrap())
            };
            drive(PEER, &args, step, |(gx, gw)| first(gx) + first(gw));
        }
        word => {
            let Some(n) = word.strip_prefix("matmul").and_then(|n| n.parse::<usize>().ok()) else {
                stop(format_args!("no workload {word}"))
            };
            let a = Tensor::<2>::random([n, n], NORMAL, &base).div_scalar((n as f64).sqrt());
            let mut c = Tensor::<2>::random([n, n], NORMAL, &base);
            let step = || {
                c = a.clone().matmul(c.clone());
                c.clone()
            };
            drive(PEER, &args, step, first);
        }
    }
}

/// The first value, which exists once all are computed.
fn first<const D: usize>(values: Tensor<D>) -> f32 {
    values.slice([(); D].map(|()| 0..1)).into_scalar::<f32>()
}
