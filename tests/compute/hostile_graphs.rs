//! Whatever is asked of the library is done or refused: random programs of calls, most of them wrong, on graphs,
//! gradients and training loops.

use gridlight::base::rng::RandomKind;
use gridlight::base::tensor::DType;
use gridlight::device::cpu::CpuDevice;
use gridlight::graph::convolution::ConvSpec;
use gridlight::graph::pooling::PoolSpec;
use gridlight::graph::recurrence::RecurrentWeights;
use gridlight::graph::upsampling::{ResampleSpec, Resampling};
use gridlight::graph::{Graph, GraphError, Source, ValueId, autodiff};
use gridlight::kernels::recurrence::Cell;
use gridlight::nn::init::Init;
use gridlight::optim::Optimizer;
use gridlight::scalar::{BinaryFn, UnaryFn};
use gridlight::train::custom::{Data, Loop, Phase, Recipe, Set};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Arbitrary numbers that decide what is called with what.
struct Tape<'t> {
    numbers: &'t [u16],
    at: usize,
}

impl Tape<'_> {
    fn next(&mut self) -> usize {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(number)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() % bound.max(1)
    }

    /// Whether what is left is needed for the training.
    fn ends(&self) -> bool {
        self.at + 16 >= self.numbers.len()
    }

    /// Mostly small; sometimes 0 or absurdly large.
    fn extent(&mut self) -> usize {
        match self.below(40) {
            0 => 0,
            1 => usize::MAX,
            2 => 1 << 31,
            3 => 70_001,
            other => 1 + other % 4,
        }
    }

    fn list(&mut self, longest: usize) -> Vec<usize> {
        (0..self.below(longest + 1)).map(|_| self.extent()).collect()
    }

    /// Axes of a tensor; mostly ascending ones that it has.
    fn axes(&mut self, rank: usize) -> Vec<usize> {
        if self.below(6) == 0 {
            return self.list(3);
        }
        let chosen = self.next();
        (0..rank).filter(|axis| chosen >> axis & 1 == 1).collect()
    }

    /// A shape near that of a tensor: the same, another order of its extents, or anything.
    fn shape_like(&mut self, shape: &[usize]) -> Vec<usize> {
        let mut shape = shape.to_vec();
        match self.below(4) {
            0 => return self.list(5),
            1 => shape.reverse(),
            2 => shape = vec![shape.iter().product()],
            _ => {}
        }
        shape
    }

    fn pair(&mut self) -> [usize; 2] {
        [self.extent(), self.extent()]
    }

    /// A value of the graph; sometimes one that it does not have.
    fn value(&mut self, graph: &Graph) -> ValueId {
        let count = graph.nodes.len();
        let beyond = usize::from(self.below(30) == 0);
        ValueId(self.below(count + beyond) as u32)
    }

    fn number(&mut self) -> f64 {
        const NUMBERS: [f64; 8] = [0.0, 1.0, -1.0, 0.5, f64::NAN, f64::INFINITY, 1e300, -1e-300];
        NUMBERS[self.below(NUMBERS.len())]
    }
}

/// Appends whatever the tape says, or fails.
fn call(graph: &mut Graph, tape: &mut Tape) -> Result<(), GraphError> {
    let (a, b, c) = (tape.value(graph), tape.value(graph), tape.value(graph));
    let shape = graph.shape(a).clone();
    let rank = shape.len();
    match tape.below(30) {
        0 => graph.source(Source::Batch("x".into()), &tape.list(5), DType::F32),
        1 => graph.source(Source::Batch("labels".into()), &tape.list(2), DType::U32),
        2 => graph.source(Source::Parameter("w".into()), &tape.list(4), DType::F32),
        3 => graph.constant(&tape.list(3), &vec![1.0; tape.below(12)]),
        4 => graph.scalar(tape.number()),
        5 => graph.random(RandomKind::Normal, 7, &tape.list(3)),
        6 => graph.unary(UnaryFn::ALL[tape.below(UnaryFn::ALL.len())], a),
        7 => graph.binary(BinaryFn::ALL[tape.below(BinaryFn::ALL.len())], a, b),
        8 => graph.select(a, b, c),
        9 => graph.reshape(a, &tape.shape_like(&shape)),
        10 => {
            let mut order = tape.axes(rank);
            order.extend((0..rank).filter(|axis| !order.contains(axis)).collect::<Vec<_>>());
            graph.permute(a, &order)
        }
        11 => graph.broadcast(a, &tape.list(5)),
        12 => {
            graph.slice(a, &shape.iter().map(|_| tape.below(2)).collect::<Vec<_>>(), &tape.shape_like(&shape))
        }
        13 => {
            let some = |tape: &mut Tape| shape.iter().map(|_| tape.below(3)).collect::<Vec<_>>();
            let (before, after) = (some(tape), some(tape));
            graph.pad(a, &before, &after)
        }
        14 => graph.concat(&[a, a, b][..tape.below(4)], tape.below(rank + 1)),
        15 => graph.sum(a, &tape.axes(rank), tape.below(2) == 0),
        16 => graph.max(a, &tape.axes(rank), tape.below(2) == 0),
        17 => graph.mean(a, &tape.axes(rank), tape.below(2) == 0),
        18 => graph.matmul_with(a, b, tape.below(2) == 0, tape.below(2) == 0),
        19 => graph.gather(a, b),
        20 => graph.cross_entropy(a, b, c, tape.number() as f32),
        21 => graph.softmax_over(a, tape.below(rank + 1)),
        22 => graph.log_softmax_over(a, tape.below(rank + 1)),
        23 | 24 => {
            let spec = ConvSpec {
                stride: tape.pair(),
                dilation: tape.pair(),
                padding: [tape.pair(), tape.pair()],
                groups: tape.extent(),
            };
            match tape.below(2) {
                0 => graph.conv2d(a, b, &spec),
                _ => graph.conv_transpose2d(a, b, &spec, tape.pair()),
            }
        }
        25 => {
            let spec = PoolSpec {
                window: tape.pair(),
                stride: tape.pair(),
                dilation: tape.pair(),
                padding: [tape.pair(), tape.pair()],
                ceil_mode: tape.below(2) == 0,
                count_include_pad: tape.below(2) == 0,
                divisor_override: (tape.below(3) == 0).then_some(tape.extent() as u32),
            };
            if tape.below(2) == 0 { graph.max_pool(a, &spec) } else { graph.avg_pool(a, &spec) }
        }
        26 => {
            let axes = tape.axes(rank);
            graph.normalise(a, &axes, tape.number(), b, c).map(|n| n.y)
        }
        27 => {
            let weights = RecurrentWeights { w_ih: a, w_hh: b, b_ih: Some(c), b_hh: None };
            let cell = [Cell::Tanh, Cell::Relu, Cell::Gru, Cell::Lstm][tape.below(4)];
            let x = tape.value(graph);
            graph.recurrent(cell, x, &weights, [None, Some(c)], tape.below(2) == 0).map(|r| r.hidden)
        }
        28 => {
            let resampling = if tape.below(2) == 0 {
                Resampling::Nearest
            } else {
                Resampling::Linear { align_corners: tape.below(2) == 0 }
            };
            let scale = (tape.below(2) == 0).then(|| [tape.number(), tape.number()]);
            graph.resample(a, &ResampleSpec { size: tape.pair(), scale, resampling })
        }
        _ => graph.gaussian_kl(a, b),
    }
    .map(|_| ())
}

/// Elements that a graph's largest tensor may have for it to be run.
const SMALL: usize = 100_000;

/// Compiles and runs what was built as a training loop, with sets, data and phases that may not fit.
fn train(graph: &Graph, loss: ValueId, tape: &mut Tape) {
    let shape = |wanted: &str| {
        let found = graph.nodes.iter().find(|node| {
            let gridlight::graph::Op::Source(op) = &node.op else { return false };
            matches!(&op.source, Source::Parameter(name) if name == wanted)
        });
        found.map_or_else(|| vec![2], |node| node.ty.shape.clone())
    };
    let shape = if tape.below(8) == 0 { tape.list(3) } else { shape("w") };
    if shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e)).is_none_or(|n| n > SMALL) {
        return;
    }
    let rows = [4, 1, 0, 5][tape.below(4)];
    let kept = tape.value(graph);
    let mut phase = Phase::of("all", graph.clone()).keep("kept", kept);
    if tape.below(2) == 0 {
        phase = phase.reads("rows", [2, 1, 0, 5][tape.below(4)]);
    }
    phase = match tape.below(4) {
        0 => phase.minimise(loss, "set"),
        1 => phase.differentiate(loss, "set").adding(0.5),
        2 => phase.minimise(loss, "other"),
        _ => phase,
    };
    let recipe = Recipe::new()
        .set(Set::new("set", Optimizer::default(), 0.1 + tape.number()).parameter("w", &shape, Init::Normal))
        .data(Data::new("rows", rows).column("x", [3, 1, 2, 0][tape.below(4)]).shuffled())
        .phase(phase);
    let Ok(mut training) = Loop::new(&CpuDevice::new(Some(1)), &recipe) else { return };
    let _ = training.initialise(1);
    for _ in 0..2 {
        if training.run("all").is_err() {
            return;
        }
    }
    let _ = training.result("all", "kept");
}

fn play(numbers: &[u16]) {
    let mut tape = Tape { numbers, at: 0 };
    let mut graph = Graph::new();
    let sizes: [&[usize]; 4] = [&[2, 3], &[3, 2], &[1, 4, 4, 2], &[2]];
    for (at, shape) in sizes.iter().enumerate() {
        let name = ["x", "w", "v", "u"][at];
        let source = if at == 1 { Source::Parameter(name.into()) } else { Source::Batch(name.into()) };
        graph.source(source, shape, DType::F32).unwrap();
    }
    while !tape.ends() && graph.nodes.len() < 60 {
        let _ = call(&mut graph, &mut tape);
    }
    let wrt = tape.value(&graph);
    let mut loss = tape.value(&graph);
    if tape.below(4) > 0 {
        let axes: Vec<usize> = (0..graph.shape(loss).len()).collect();
        loss = graph.sum(loss, &axes, false).unwrap_or(loss);
    }
    let _ = autodiff::gradients(&mut graph, loss, &[wrt, wrt]);
    let large = |node: &gridlight::graph::Node| node.ty.shape.iter().product::<usize>() > SMALL;
    if !graph.nodes.iter().any(large) {
        train(&graph, loss, &mut tape);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(12),
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_calls_give_a_graph_or_an_error(numbers in proptest::collection::vec(any::<u16>(), 0..250)) {
        play(&numbers);
    }
}
