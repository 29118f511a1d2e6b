//! Metrics of rows that count differently.

use crate::data::{FittedScaling, FittedTarget};
use crate::nn::losses::{ClassWeights, Loss};
use crate::train::metrics::{Metric, Predictions, auc, classes, regression};
use crate::train::scores;
use crate::train::threshold::{Criterion, Threshold};

const WEIGHTS: [f64; 6] = [2.0, 0.0, 1.0, 0.5, 3.0, 1.5];
const POSITIVE: [f64; 6] = [0.1, 0.4, 0.35, 0.8, 0.4, 0.9];
const TRUTH: [f64; 6] = [0.0, 0.0, 1.0, 1.0, 1.0, 0.0];

fn rows() -> Predictions {
    Predictions {
        raw: POSITIVE.iter().map(|p| (p / (1.0 - p)).ln() as f32).collect(),
        outputs: 1,
        truth: TRUTH.to_vec(),
        weights: WEIGHTS.to_vec(),
        ..Predictions::default()
    }
}

fn near(metrics: &[Metric], expected: &[(&str, f64)]) {
    for (name, value) in expected {
        let found = metrics.iter().find(|metric| metric.name == *name).unwrap().value;
        assert!((found - value).abs() < 1e-7, "{name}: {found}, scikit-learn has {value}");
    }
}

/// What scikit-learn 1.9 computes with `sample_weight`.
#[test]
fn metrics_are_those_of_scikit_learn() {
    let rows = rows();
    let mut metrics = classes(&rows.weighted_confusion(2, None));
    metrics.push(Metric { name: "auc", value: auc(&POSITIVE, &TRUTH, rows.weighted()) });
    metrics.extend(scores::of_classes(&rows, 2, None));
    let expected = [
        ("accuracy", 0.3125),
        ("f1", 0.153_846_153_846_153_85),
        ("balanced_accuracy", 0.341_269_841_269_841_3),
        ("mcc", -0.363_696_483_726_654),
        ("log_loss", 0.946_858_095_823_123_2),
        ("brier", 0.344_687_5),
        ("average_precision", 0.661_111_111_111_111_1),
        ("auc", 0.571_428_571_428_571_4),
    ];
    near(&metrics, &expected);
    let of_positive = &rows.class_scores(2, None)[1];
    assert!(
        (of_positive.precision.0 - 0.25).abs() < 1e-12 && (of_positive.recall.0 - 1.0 / 9.0).abs() < 1e-12
    );
    assert_eq!(of_positive.samples, 3, "rows are counted");
    let (truth, predicted) = ([1.0, 3.0, 4.0, 2.0, 7.0, 5.0], [1.5, 3.0, 3.0, 2.5, 6.0, 7.0]);
    let expected = [("mae", 1.03125), ("rmse", 1.152_443_057_161_610_9), ("r2", 0.773_785_761_809_713_9)];
    near(&regression(&predicted, &truth, rows.weighted()), &expected);
    let quantile = Predictions {
        raw: predicted.map(|y| y as f32).to_vec(),
        quantiles: vec![0.9],
        truth: truth.to_vec(),
        ..rows
    };
    let target = FittedTarget::Number { name: "y".into(), scaling: FittedScaling::None };
    near(&quantile.quantile_metrics(&target), &[("pinball", 0.503_125)]);
}

#[test]
fn rows_twice_as_heavy_are_rows_that_are_there_twice() {
    let whole = [2usize, 1, 3, 1, 2, 1];
    let at: Vec<usize> = (0..6).flat_map(|row| std::iter::repeat_n(row, whole[row])).collect();
    let repeated = Predictions {
        raw: at.iter().map(|&row| rows().raw[row]).collect(),
        truth: at.iter().map(|&row| TRUTH[row]).collect(),
        losses: at.iter().map(|&row| row as f32).collect(),
        weights: vec![],
        ..rows()
    };
    let weighted = Predictions {
        weights: whole.iter().map(|&count| count as f64).collect(),
        losses: (0..6).map(|row| row as f32).collect(),
        ..rows()
    };
    for criterion in [Criterion::F1, Criterion::Youden] {
        let threshold = Threshold::Largest(criterion);
        assert_eq!(threshold.of(&weighted), threshold.of(&repeated), "{criterion:?}");
    }
    let class_weights = ClassWeights::Each(vec![0.5, 2.0]);
    for loss in [Loss::Mse {}, Loss::CrossEntropy { label_smoothing: 0.0, class_weights }] {
        assert!((weighted.loss(&loss) - repeated.loss(&loss)).abs() < 1e-12, "{loss:?}");
    }
    let ece = |rows: &Predictions| scores::of_classes(rows, 2, None)[4].value;
    assert!((ece(&weighted) - ece(&repeated)).abs() < 1e-12);
}
