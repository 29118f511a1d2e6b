//! What recurrent models are planned as, without a device: few launches, batches that fit, and errors.

use gridlight::base::target::{Family, Target};
use gridlight::base::tensor::DType;
use gridlight::data::{self, Dataset};
use gridlight::graph::recurrence::RecurrentWeights;
use gridlight::graph::{Graph, Source};
use gridlight::kernels::recurrence;
use gridlight::nn::config::ModelConfig;
use gridlight::nn::inputs::{Inputs, SequenceShape};
use gridlight::nn::layers::recurrent::Cell;
use gridlight::nn::losses::Loss;
use gridlight::nn::{Model, Supervised};
use gridlight::optim::Optimizer;
use gridlight::train::engine::{self, Training};

/// Launches of a training step of one layer and its head, of long sequences as of short ones; at most 15.
pub fn few_kernels() {
    let most = 15;
    let sizes = [Cell::Tanh, Cell::Lstm, Cell::Gru].map(|cell| (cell, 32, 16, [64, 256]));
    // With this many units, the steps are split into two parts.
    for (cell, hidden, batch, lengths) in sizes.into_iter().chain([(Cell::Lstm, 256, 64, [64, 63])]) {
        let counts = lengths.map(|length| {
            let config = ModelConfig {
                family: gridlight::nn::config::Family::Rnn,
                cell: Some(cell),
                hidden: vec![hidden],
                ..ModelConfig::default()
            };
            let sequence = Some(SequenceShape { length, width: 4 });
            let inputs = Inputs { features: 4 * length, sequence, ..Inputs::default() };
            let model = Supervised::new(&config, inputs, 1, Loss::Mse {});
            kernels(&model, 4 * length, batch)
        });
        // Of short sequences, sums of few parts go along with the results.
        assert!(counts.iter().all(|&count| count <= most), "{cell:?}: {counts:?}");
        assert!(counts[0].abs_diff(counts[1]) <= 1, "{cell:?}: {counts:?}");
    }
}

/// Meaningless numbers: `rows` rows of `width`, with a number to predict.
fn table(rows: usize, width: usize) -> Dataset {
    Dataset {
        rows,
        features: (0..width).map(|c| format!("x{c}")).collect(),
        x: vec![0.5; rows * width],
        categories: vec![],
        target: Some(data::Target::Numbers(vec![1.0; rows])),
        source_rows: (0..rows).collect(),
        ..Dataset::default()
    }
}

/// Where the gates of an evaluation batch of 512 rows exceed a binding, the batch has fewer rows.
pub fn wide_layers_fit() {
    let (length, hidden) = (16, 128);
    let config = ModelConfig {
        family: gridlight::nn::config::Family::Rnn,
        cell: Some(Cell::Lstm),
        hidden: vec![hidden],
        ..ModelConfig::default()
    };
    let sequence = Some(SequenceShape { length, width: 1 });
    let inputs = Inputs { features: length, sequence, ..Inputs::default() };
    let model = Supervised::new(&config, inputs, 1, Loss::Mse {});
    let data = table(600, length);
    let gates = (4 * length * 512 * 4 * hidden) as u64;
    let compile = |bytes: u64| {
        let target = Target { max_binding_bytes: bytes, ..Target::webgpu_minimum(Family::Workgroup) };
        engine::compile(&model, None, &data, &target)
    };
    for bytes in [gates, gates / 2, gates / 16] {
        assert!(compile(bytes).is_ok(), "{bytes} bytes");
    }
    // The weights themselves do not fit: the error names the largest batch.
    let message = compile(1 << 16).unwrap_err().to_string();
    assert!(message.contains(&format!("({gates} bytes)")), "{message}");
}

/// Launches of a training step of `model`, which has `width` inputs.
fn kernels(model: &dyn Model, width: usize, batch: usize) -> usize {
    let data = table(2 * batch, width);
    let optimizer = Optimizer::default();
    let training = Training::new(&data, batch, optimizer);
    let target = Target::webgpu_minimum(Family::Workgroup);
    let (compiled, _) = engine::compile(model, Some(&training), &data, &target).unwrap();
    compiled.program.phases[0].launches().count()
}

pub fn refused() {
    let mut g = Graph::new();
    let x = g.source(Source::Batch("x".into()), &[4, 2, 3], DType::F32).unwrap();
    let mut weight =
        |name: &str, shape: &[usize]| g.source(Source::Parameter(name.into()), shape, DType::F32).unwrap();
    let weights = RecurrentWeights {
        w_ih: weight("w_ih", &[8, 3]),
        w_hh: weight("w_hh", &[8, 4]),
        b_ih: None,
        b_hh: None,
    };
    let message =
        g.recurrent(recurrence::Cell::Lstm, x, &weights, [None, None], false).unwrap_err().to_string();
    assert!(message.contains("recurrence(f32[4, 2, 8]") && message.contains("expected weights"), "{message}");
    let inputs = Inputs { features: 6, ..Inputs::default() };
    let config = ModelConfig { family: gridlight::nn::config::Family::Rnn, ..ModelConfig::default() };
    let message = Supervised::new(&config, inputs, 1, Loss::Mse {}).graph(2, false).unwrap_err().to_string();
    assert!(message.contains("cut windows from a series with [data.window]"), "{message}");
}
