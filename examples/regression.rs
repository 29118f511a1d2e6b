//! Trains a network on a table, tests it, and predicts: `cargo run --release --example regression`.

use std::path::Path;

use gridlight::device::{DeviceChoice, open::open};
use gridlight::experiment::Experiment;
use gridlight::run::{evaluate, job::Options, trainer};

const EXPERIMENT: &str = r#"
    name = "star"
    [data]
    source = "assets/data/education/star_grades.csv"
    target = "math3"
    exclude = ["read3"]
    [data.clean]
    drop_missing = ["birth_quarter", "free_lunch", "teacher_degree", "read2", "math2"]
    [train]
    epochs = 10
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let experiment = Experiment::parse(EXPERIMENT, "regression.rs", &[])?;
    let data = trainer::load_data(&experiment, Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let device = open(DeviceChoice::Auto, false)?;

    let out = std::env::temp_dir().join("gridlight-regression");
    let options = Options { out: out.clone(), ..Options::default() };
    let outcome = trainer::train(&experiment, &data, &*device, &options, &mut ())?;
    for (name, value) in &outcome.best.0 {
        println!("epoch {}: {name} of the validation rows {value:.3}", outcome.best_epoch);
    }
    println!("weights, report and predictions of the test rows are in {}", out.display());

    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/data/education/star_grades.csv");
    let predictions = out.join("all-pupils.csv");
    let rows = evaluate::predict(&out, &source, &predictions, &*device)?;
    println!("{rows} predictions are in {}", predictions.display());
    Ok(())
}
