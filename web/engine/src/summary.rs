//! A training as JSON, for the page.

use gridlight::base::number::Numbers;
use gridlight::run::live::Live;
use gridlight::train::history::HistoryRow;
use serde_json::{Value, json};

/// What is trained on what.
pub fn about(live: &mut Live, notes: &[String]) -> Value {
    let device = live.device();
    let engine = live.engine();
    let parameters: u64 = engine.compiled.layout.parameters().map(|(_, slice)| slice.words as u64).sum();
    let kernels = engine.kernels_per_step();
    let layers: Vec<Value> =
        engine.graph.summary.iter().map(|(name, shape, count)| json!([name, shape, count])).collect();
    let (data, experiment) = (live.data(), live.experiment());
    let fitted = &data.fitted;
    let image = fitted.image.as_ref().map(|image| json!({"shape": image.shape, "columns": image.columns}));
    let kind = match (&fitted.target.text(), &image, &fitted.window) {
        _ if experiment.model.variational().is_some() => "vae",
        _ if experiment.model.adversarial().is_some() => "gan",
        (Some(_), ..) => "text",
        (_, Some(_), _) => "images",
        (.., Some(_)) => "series",
        _ => "table",
    };
    json!({
        "name": experiment.name,
        "kind": kind,
        "device": device,
        "parameters": parameters,
        "kernels_per_step": kernels,
        "layers": layers,
        "rows": [data.train.rows, data.validation.rows, data.test.rows],
        "batch_size": experiment.train.batch_size,
        "epochs": experiment.train.epochs,
        "steps": live.steps().1,
        "image": image,
        "target": experiment.data.target,
        "classes": fitted.target.classes(),
        "columns": fitted.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>(),
        "notes": notes,
        "experiment": experiment.resolved(),
    })
}

/// How far a training is.
pub fn status(live: &Live) -> Value {
    let (step, steps) = live.steps();
    json!({
        "step": step,
        "steps": steps,
        "ended": live.has_ended(),
        "history": live.history().iter().map(epoch).collect::<Vec<_>>(),
        "best": live.best().map(|(epoch, numbers)| json!({"epoch": epoch, "validation": numbers})),
        "digest": live.weights_digest(),
    })
}

fn epoch(row: &HistoryRow) -> Value {
    let validation: &Numbers = &row.validation;
    json!({
        "epoch": row.epoch,
        "step": row.step,
        "train_loss": row.train_loss,
        "discriminator": row.discriminator,
        "learning_rate": row.learning_rate,
        "validation": validation,
    })
}
