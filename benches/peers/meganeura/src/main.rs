//! Meganeura: the steps that `gridlight bench` times, as far as it has their layers, by Vulkan or Metal.
//!
//! Build: `cargo build --release`, five minutes on two cores.
//! Run: `target/release/peer-meganeura WORKLOAD`; or in turn with Gridlight,
//! `gridlight bench WORD --report FILE --peer benches/peers/meganeura/target/release/peer-meganeura`.
//!
//! Workloads: mlp32 mlp1024 cnn rnn lstm vae. It has no recurrent layers, so that rnn and lstm are written out step by
//! step; no random numbers, so that the noise of vae is drawn here and copied before every step; and no batch
//! normalisation in training, which leaves out resblock. It spreads the gradient of a max-pool evenly, over four values
//! in a row and not over the window: the time of a step of cnn is comparable, its loss is not.

use std::cell::RefCell;

use meganeura::{Graph, NodeId, SessionConfig};
use peer_driver::{Args, drive, stop};

/// A graph under construction, and the values that its parameters and inputs start with, by name.
struct Net {
    graph: Graph,
    parameters: Vec<(String, Vec<f32>)>,
    inputs: Vec<(String, Vec<f32>)>,
    batch: usize,
}

impl Net {
    /// The next input, of `width` values each sample.
    fn input(&mut self, width: usize, values: Vec<f32>) -> NodeId {
        let name = format!("x{}", self.inputs.len());
        let node = self.graph.input(&name, &[self.batch, width]);
        self.inputs.push((name, values));
        node
    }

    /// An input of random values.
    fn noise(&mut self, width: usize) -> NodeId {
        self.input(width, normal(self.batch * width))
    }

    /// Classes in turn, one-hot.
    fn classes(&mut self) -> NodeId {
        let values = (0..self.batch * 10).map(|at| f32::from(at / 10 % 10 == at % 10));
        self.input(10, values.collect())
    }

    fn parameter(&mut self, shape: &[usize], fan_in: usize) -> NodeId {
        let name = format!("p{}", self.parameters.len());
        let node = self.graph.parameter(&name, shape);
        let bound = (fan_in as f32).powf(-0.5);
        let values = (0..shape.iter().product()).map(|_| (2.0 * fastrand::f32() - 1.0) * bound);
        self.parameters.push((name, values.collect()));
        node
    }

    fn dense(&mut self, x: NodeId, i: usize, o: usize) -> NodeId {
        let (weight, bias) = (self.parameter(&[i, o], i), self.parameter(&[o], i));
        let product = self.graph.matmul(x, weight);
        self.graph.bias_add(product, bias)
    }

    fn dense_relu(&mut self, x: NodeId, i: usize, o: usize) -> NodeId {
        let h = self.dense(x, i, o);
        self.graph.relu(h)
    }

    /// A 3x3 convolution of `i` channels of `side` x `side`, and relu.
    fn conv_relu(&mut self, x: NodeId, i: usize, o: usize, side: usize) -> NodeId {
        let (weight, bias) = (self.parameter(&[o * i * 9], i * 9), self.parameter(&[o], i * 9));
        let [batch, channels, filters, side] = [self.batch, i, o, side].map(|n| n as u32);
        let h = self.graph.conv2d(x, weight, batch, channels, side, side, filters, 3, 3, 1, 0);
        let h = self.graph.add_per_channel(h, bias, filters, (side - 2) * (side - 2));
        self.graph.relu(h)
    }

    fn mlp(&mut self) -> NodeId {
        let (x, y) = (self.noise(64), self.noise(1));
        let h = self.dense_relu(x, 64, 128);
        let h = self.dense_relu(h, 128, 64);
        let h = self.dense(h, 64, 1);
        self.graph.mse_loss(h, y)
    }

    fn cnn(&mut self) -> NodeId {
        let (x, y) = (self.noise(28 * 28), self.classes());
        let x = self.graph.reshape(x, &[self.batch * 28 * 28]);
        let h = self.conv_relu(x, 1, 32, 28);
        let h = self.conv_relu(h, 32, 64, 26);
        let h = self.graph.max_pool_2d(h, self.batch as u32, 64, 24, 24, 2, 2, 2, 0);
        let h = self.graph.reshape(h, &[self.batch, 64 * 144]);
        let h = self.dense_relu(h, 64 * 144, 128);
        let h = self.dense(h, 128, 10);
        self.graph.cross_entropy_loss(h, y)
    }

    /// 64 steps of 32 values through 256 units, which start at 0; an LSTM has four gates.
    fn recurrent(&mut self, gates: usize) -> NodeId {
        let weights: Vec<[NodeId; 3]> = (0..gates)
            .map(|_| [&[32, 256][..], &[256], &[256, 256]].map(|shape| self.parameter(shape, 256)))
            .collect();
        let (mut h, mut c) = (None, None);
        for _ in 0..64 {
            let x = self.noise(32);
            let g = &mut self.graph;
            let sums: Vec<NodeId> = weights
                .iter()
                .map(|&[input, bias, hidden]| {
                    let product = g.matmul(x, input);
                    let sum = g.bias_add(product, bias);
                    h.map_or(sum, |h| {
                        let product = g.matmul(h, hidden);
                        g.add(sum, product)
                    })
                })
                .collect();
            h = Some(match sums[..] {
                [i, f, new, o] => {
                    let (i, new) = (g.sigmoid(i), g.tanh(new));
                    let added = g.mul(i, new);
                    let cell = c.map_or(added, |c| {
                        let f = g.sigmoid(f);
                        let kept = g.mul(f, c);
                        g.add(kept, added)
                    });
                    c = Some(cell);
                    let (o, shown) = (g.sigmoid(o), g.tanh(cell));
                    g.mul(o, shown)
                }
                _ => g.tanh(sums[0]),
            });
        }
        let y = self.noise(1);
        let out = self.dense(h.unwrap(), 256, 1);
        self.graph.mse_loss(out, y)
    }

    /// 784-400-20-400-784, Bernoulli, on ones and zeros. Its first input is the noise.
    fn vae(&mut self) -> NodeId {
        let b = self.batch;
        let noise = self.noise(20);
        let x = self.input(784, (0..b * 784).map(|_| f32::from(fastrand::f32() < 0.25)).collect());
        let h = self.dense_relu(x, 784, 400);
        let (mean, log_variance) = (self.dense(h, 400, 20), self.dense(h, 400, 20));
        let half = self.graph.constant(vec![0.5; b * 20], &[b, 20]);
        let deviation = self.graph.mul(log_variance, half);
        let deviation = self.graph.exp(deviation);
        let z = self.graph.mul(deviation, noise);
        let z = self.graph.add(mean, z);
        let h = self.dense_relu(z, 20, 400);
        let logits = self.dense(h, 400, 784);
        let g = &mut self.graph;
        // softplus(logits) - logits * x
        let (positive, product) = (g.softplus(logits, 1.0), g.mul(logits, x));
        let product = g.neg(product);
        let bernoulli = g.add(positive, product);
        let bernoulli = g.sum_all(bernoulli);
        // (mean^2 + variance - log variance - 1) / 2
        let (square, variance, log_variance) = (g.mul(mean, mean), g.exp(log_variance), g.neg(log_variance));
        let divergence = g.add(square, variance);
        let divergence = g.add(divergence, log_variance);
        let divergence = g.sum_all(divergence);
        let (less, half) = (g.scalar(-((b * 20) as f32)), g.scalar(0.5));
        let divergence = g.add(divergence, less);
        let divergence = g.mul(divergence, half);
        let (loss, per_sample) = (g.add(bernoulli, divergence), g.scalar(1.0 / b as f32));
        g.mul(loss, per_sample)
    }
}

fn main() {
    let args = Args::parse("blade");
    fastrand::seed(1);
    let mut net = Net { graph: Graph::new(), parameters: vec![], inputs: vec![], batch: args.batch() };
    let loss = match args.workload.as_str() {
        "mlp32" | "mlp1024" => net.mlp(),
        "cnn" => net.cnn(),
        "rnn" => net.recurrent(1),
        "lstm" => net.recurrent(4),
        "vae" => net.vae(),
        word => stop(format_args!("no workload {word}")),
    };
    net.graph.set_outputs(vec![loss]);
    let (mut session, _) = meganeura::build(&net.graph, SessionConfig::from_env());
    for (name, values) in &net.parameters {
        session.set_parameter(name, values);
    }
    for (name, values) in &net.inputs {
        session.set_input(name, values);
    }
    session.set_adam(1e-3, 0.9, 0.999, 1e-8);
    let session = RefCell::new(session);
    let step = || {
        let mut session = session.borrow_mut();
        if args.workload == "vae" {
            session.set_input("x0", &normal(args.batch() * 20));
        }
        session.step();
    };
    let read = |()| {
        session.borrow_mut().wait();
        session.borrow().read_loss()
    };
    drive("meganeura-0.3.0", &args, step, read);
}

/// `n` random values, normal.
fn normal(n: usize) -> Vec<f32> {
    let value = |_| {
        let (length, turn) = ((-2.0 * (1.0 - fastrand::f32()).ln()).sqrt(), fastrand::f32());
        length * (std::f32::consts::TAU * turn).cos()
    };
    (0..n).map(value).collect()
}
