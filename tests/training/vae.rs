//! Variational autoencoders: their formulas at the extremes, how many kernels they take, interrupted and
//! resumed training, what they reject, and the commands that use them.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use gridlight::device::cpu::CpuDevice;
use gridlight::train::checkpoint::{self, NamedTensor};
use gridlight::verify::cases::{OperatorCase, run_case};

/// Runs an operator case on the CPU backend; returns its first result and the gradients by name.
fn case(op: &str, inputs: &[(&str, &[f64])]) -> (f64, serde_json::Value) {
    let tensor = |data: &[f64]| serde_json::json!({"shape": [1, data.len()], "dtype": "f32", "data": data});
    let inputs: serde_json::Map<String, serde_json::Value> =
        inputs.iter().map(|(name, data)| (name.to_string(), tensor(data))).collect();
    let dy = serde_json::json!([{"shape": [], "dtype": "f32", "data": [1.0]}]);
    let case: OperatorCase = serde_json::from_value(
        serde_json::json!({"name": op, "op": op, "params": {}, "inputs": inputs, "dy": dy}),
    )
    .unwrap();
    let result = serde_json::to_value(run_case(&case, &CpuDevice::new(Some(1))).unwrap()).unwrap();
    let y = result["y"][0][0].as_f64().unwrap_or_else(|| panic!("{op}: {result}"));
    (y, result["grads"].clone())
}

fn close(found: &serde_json::Value, expected: f64, what: &str) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{what} is {found}"));
    assert!(
        (found - expected).abs() <= 1e-5 * expected.abs().max(1.0),
        "{what}: {found}, expected {expected}"
    );
}

#[test]
fn a_standard_normal_posterior_costs_nothing() {
    let (kl, gradients) = case("kl_gauss", &[("mu", &[0.0; 7]), ("logvar", &[0.0; 7])]);
    assert!(kl.abs() < 1e-6, "{kl}");
    for at in 0..7 {
        close(&gradients["mu"][at], 0.0, "gradient of the mean");
        close(&gradients["logvar"][at], 0.0, "gradient of the log-variance");
    }
}

#[test]
fn extreme_log_variances_and_logits_stay_finite() {
    // KL = (e^l + mu^2 - 1 - l) / 2, its gradients mu and (e^l - 1) / 2.
    let (kl, gradients) = case("kl_gauss", &[("mu", &[3.0]), ("logvar", &[-40.0])]);
    close(&kl.into(), (9.0 - 1.0 + 40.0) / 2.0, "KL at -40");
    close(&gradients["logvar"][0], -0.5, "its gradient");
    let (kl, gradients) = case("kl_gauss", &[("mu", &[3.0]), ("logvar", &[40.0])]);
    let expected = 40f64.exp();
    close(&(kl / expected).into(), 0.5, "KL at 40");
    close(&(gradients["logvar"][0].as_f64().unwrap() / expected).into(), 0.5, "its gradient");
    // -ln p = softplus(l) - l x, its gradient sigmoid(l) - x.
    for (logit, x, loss, gradient) in
        [(80.0, 0.0, 80.0, 1.0), (80.0, 1.0, 0.0, 0.0), (-80.0, 1.0, 80.0, -1.0), (-80.0, 0.0, 0.0, 0.0)]
    {
        let (y, gradients) = case("bce_with_logits", &[("x", &[logit]), ("target", &[x])]);
        close(&y.into(), loss, "cross-entropy");
        close(&gradients["x"][0], gradient, "its gradient");
    }
}

/// 200 rows of three numbers on a curve, a constant one, and a class.
fn table() -> String {
    let mut text = String::from("a,b,c,same,class\n");
    for row in 0..200 {
        let t = f64::from(row * 37 % 200) / 200.0;
        let class = if t > 0.5 { "high" } else { "low" };
        writeln!(text, "{},{},{},4,{class}", t, t * t, (7.0 * t).sin()).unwrap();
    }
    text
}

fn workplace(data: &str, model: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("table.csv"), table()).unwrap();
    let text = format!(
        "name = \"rows\"\nseed = 5\n[data]\nsource = \"table.csv\"\n{data}\n[model]\nfamily = \"vae\"\n\
         hidden = [8]\nlatent = 2\n{model}\n[train]\nepochs = 6\nbatch_size = 20\nlearning_rate = 1e-2\n\
         checkpoint_every_steps = 5\n"
    );
    std::fs::write(directory.path().join("rows.toml"), text).unwrap();
    directory
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gridlight")).args(arguments).current_dir(directory).output().unwrap()
}

fn succeed(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const TRAIN: [&str; 4] = ["train", "rows.toml", "--device", "cpu"];

#[test]
fn every_decoder_trains_and_goes_on_to_the_same_bits() {
    for model in [
        "variance = \"per_feature\"",
        "variance = \"learned\"",
        "variance = 0.1",
        "variance = 0.1\nbeta = 2.0\nwarmup = 3\nfree_bits = 0.05",
        "decoder = \"bernoulli\"",
        "conditional = true",
    ] {
        let conditional = model.starts_with("conditional");
        let target = if conditional { "target = \"class\"" } else { "exclude = [\"class\"]" };
        let scaling =
            if model.contains("bernoulli") { "\n[data.transform]\nnumbers = \"min_max\"" } else { "" };
        let directory = workplace(&format!("{target}{scaling}"), model);
        let at = directory.path();
        succeed(at, &[&TRAIN[..], &["--out", "whole"]].concat());
        succeed(at, &[&TRAIN[..], &["--out", "parts", "--max-steps", "17"]].concat());
        succeed(at, &[&TRAIN[..], &["--out", "parts", "--resume"]].concat());
        let best = |run: &str| std::fs::read(at.join(run).join("best.safetensors")).unwrap();
        assert!(best("whole") == best("parts"), "{model}");
        let json: serde_json::Value =
            serde_json::from_str(&succeed(at, &["evaluate", "whole", "--json"])).unwrap();
        let metric = |name: &str| json["metrics"][name].as_f64().unwrap_or_else(|| panic!("{model}: {json}"));
        let sum = metric("reconstruction") + metric("kl");
        assert!((metric("elbo") + sum).abs() < 1e-6 * sum.abs().max(1.0), "{model}: {json}");
        assert!(metric("kl") >= 0.0, "{model}: {json}");
        // Several draws together bound the likelihood more tightly than each alone (Burda et al. 2016,
        // theorem 1).
        assert!(metric("log_likelihood") > metric("elbo"), "{model}: {json}");
        succeed(at, &["sample", "whole", "--count", "9", "--output", "new.csv"]);
        let drawn = std::fs::read_to_string(at.join("new.csv")).unwrap();
        assert_eq!(drawn.lines().count(), 10, "{model}");
        assert_eq!(drawn.lines().next().unwrap(), "a,b,c,same");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{model}: {drawn}");
        succeed(at, &["predict", "whole", "--input", "table.csv", "--output", "scores.csv"]);
        let scores = std::fs::read_to_string(at.join("scores.csv")).unwrap();
        assert!(
            scores.starts_with("row,anomaly,reconstruction,kl,log_likelihood,code 1,code 2\n"),
            "{model}: {scores:.80}"
        );
        assert_eq!(scores.lines().count(), 201, "{model}");
    }
}

#[test]
fn what_is_strange_is_told_apart() {
    let directory = workplace("exclude = [\"class\"]", "variance = 0.01");
    let at = directory.path();
    succeed(at, &[&TRAIN[..], &["--epochs", "60", "--out", "run"]].concat());
    let strange = table().replacen("0,0,0,4,low\n", "0.5,0.9,-0.9,4,low\n", 1);
    std::fs::write(at.join("new.csv"), strange).unwrap();
    succeed(at, &["predict", "run", "--input", "new.csv", "--output", "scores.csv"]);
    let scores = std::fs::read_to_string(at.join("scores.csv")).unwrap();
    let anomaly = |line: &str| line.split(',').nth(1).unwrap().parse::<f64>().unwrap();
    let most = scores.lines().skip(1).max_by(|a, b| anomaly(a).total_cmp(&anomaly(b))).unwrap();
    assert!(most.starts_with("1,"), "{most}");
}

/// `W x + b`, with the names in a checkpoint.
fn linear(weights: &[NamedTensor], name: &str, x: &[f64]) -> Vec<f64> {
    let find = |suffix: &str| &weights.iter().find(|w| w.0 == format!("{name}.{suffix}")).unwrap().2;
    let (matrix, bias) = (find("weight"), find("bias"));
    let row = |(row, b): (&[f32], &f32)| {
        row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>() + f64::from(*b)
    };
    matrix.chunks_exact(x.len()).zip(bias).map(row).collect()
}

#[test]
fn the_log_likelihood_of_many_draws_is_the_integral_over_codes() {
    let (variance, scaling) = (0.2, "\n[data.transform]\nnumbers = \"none\"");
    let directory = workplace(&format!("exclude = [\"class\", \"same\"]{scaling}"), "variance = 0.2");
    let at = directory.path();
    succeed(at, &[&TRAIN[..], &["--out", "run", "--epochs", "30", "--set", "model.latent=1"]].concat());
    std::fs::write(at.join("three.csv"), "a,b,c\n0.3,0.09,0.86\n0.9,0.81,0.02\n1.5,-0.5,0.4\n").unwrap();
    succeed(at, &["predict", "run", "--input", "three.csv", "--output", "scores.csv"]);
    let json = succeed(at, &["evaluate", "run", "--data", "three.csv", "--draws", "2000", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let (weights, _) = checkpoint::load(&at.join("run/best.safetensors")).unwrap();
    // The integral over z of N(z; 0, 1) N(x; decoder(z), variance), by the rectangle rule.
    let likelihood = |x: [f64; 3]| {
        let density = |z: f64| {
            let hidden: Vec<f64> = linear(&weights, "decoder.0", &[z]).iter().map(|h| h.max(0.0)).collect();
            let mean = linear(&weights, "decoder.2", &hidden);
            let squares: f64 = mean.iter().zip(x).map(|(m, x)| (m - x).powi(2)).sum();
            let normal = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
            normal * (-0.5 * squares / variance).exp() / (std::f64::consts::TAU * variance).powf(1.5)
        };
        let step = 1e-3;
        (-8000..8000).map(|i| density(f64::from(i) * step) * step).sum::<f64>().ln()
    };
    let rows = [[0.3, 0.09, 0.86], [0.9, 0.81, 0.02], [1.5, -0.5, 0.4]];
    let expected = rows.map(likelihood);
    let mean = expected.iter().sum::<f64>() / 3.0;
    let found = json["metrics"]["log_likelihood"].as_f64().unwrap();
    assert!((found - mean).abs() < 0.02, "{found}, by the integral {mean}");
    let scores = std::fs::read_to_string(at.join("scores.csv")).unwrap();
    for (line, expected) in scores.lines().skip(1).zip(expected) {
        let found: f64 = line.split(',').nth(4).unwrap().parse().unwrap();
        assert!((found - expected).abs() < 0.2, "{line}, by the integral {expected}");
    }
}

#[test]
fn values_outside_the_range_of_a_bernoulli_decoder_count_as_its_ends() {
    let data = "exclude = [\"class\", \"same\"]\n[data.transform]\nnumbers = \"none\"";
    let directory = workplace(data, "decoder = \"bernoulli\"");
    let at = directory.path();
    std::fs::write(at.join("table.csv"), table().replace(",-", ",")).unwrap();
    succeed(at, &[&TRAIN[..], &["--out", "run", "--epochs", "2"]].concat());
    std::fs::write(at.join("outside.csv"), "a,b,c\n1.5,-3,0.5\n1,0,0.5\n").unwrap();
    succeed(at, &["predict", "run", "--input", "outside.csv", "--output", "scores.csv"]);
    let scores = std::fs::read_to_string(at.join("scores.csv")).unwrap();
    let numbers = |line: &str| line.split_once(',').unwrap().1.split(',').nth(2).unwrap().to_string();
    let lines: Vec<&str> = scores.lines().collect();
    // The KL term and the code depend only on the row, not on the noise drawn for it.
    assert_eq!(numbers(lines[1]), numbers(lines[2]), "{scores}");
}

#[test]
fn the_strangest_days_of_electricity_are_those_on_which_clocks_change() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let experiment = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/experiments/energy-anomaly.toml");
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/data/energy/electricity_hourly.csv");
    succeed(at, &["train", experiment, "--device", "cpu", "--out", "run"]);
    succeed(at, &["predict", "run", "--input", data, "--output", "days.csv"]);
    let days = std::fs::read_to_string(at.join("days.csv")).unwrap();
    assert!(days.starts_with("date_time,anomaly,"), "{days:.80}");
    let mut scores: Vec<(f64, &str)> = days
        .lines()
        .skip(1)
        .map(|line| {
            let mut cells = line.split(',');
            let day = cells.next().unwrap();
            (cells.next().unwrap().parse().unwrap(), day)
        })
        .collect();
    assert_eq!(scores.len(), 1096);
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let strangest: Vec<&str> = scores[..12].iter().map(|s| s.1).collect();
    for changed in ["2012-03-25", "2012-10-28", "2013-03-31", "2013-10-27", "2014-03-30", "2014-10-26"] {
        assert!(strangest.contains(&changed), "{changed}: {strangest:?}");
    }
    let report = std::fs::read_to_string(at.join("run/report.html")).unwrap();
    assert!(report.contains("The most anomalous test rows") && report.contains("2014-10-26: "));
}

#[test]
fn what_cannot_be_learned_is_refused() {
    for (data, model, parts) in [
        ("exclude = [\"class\"]", "decoder = \"bernoulli\"", &["training row", "from 0 to 1", "min_max"][..]),
        (
            "exclude = [\"class\"]",
            "decoder = \"bernoulli\"\nvariance = 1.0",
            &["rows.toml:", "`model.variance`"],
        ),
        ("exclude = [\"class\"]", "variance = 0.0", &["rows.toml:", "`model.variance`"]),
        ("exclude = [\"class\"]", "channels = [4]", &["`model.channels`", "data.image.shape"]),
        ("exclude = [\"class\"]", "conditional = true", &["`data.target`"]),
        ("exclude = [\"class\"]", "beta = -1.0", &["`model.beta`"]),
    ] {
        let directory = workplace(data, model);
        let output = run(directory.path(), &[&TRAIN[..], &["--out", "run"]].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{model}: {text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{model}: {text}");
        assert!(!directory.path().join("run").exists(), "{model}");
    }
    let directory = workplace("exclude = [\"class\"]", "");
    let output = run(directory.path(), &[&TRAIN[..], &["--set", "model.latent=0"]].concat());
    assert_eq!(output.status.code(), Some(2));
    succeed(directory.path(), &[&TRAIN[..], &["--out", "run", "--epochs", "1"]].concat());
    let output = run(directory.path(), &["evaluate", "run", "--draws", "0"]);
    assert_eq!(output.status.code(), Some(2));
    for (output, part) in [("new.png", "not images"), ("new.txt", ".png, .npy or .csv")] {
        let output = run(directory.path(), &["sample", "run", "--output", output]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(part));
    }
}

#[test]
fn no_other_loss_than_the_lower_bound_is_taken() {
    let directory = workplace("exclude = [\"class\"]", "");
    let path = directory.path().join("rows.toml");
    let plain = std::fs::read_to_string(&path).unwrap();
    let with = |loss: &str| {
        std::fs::write(&path, format!("{plain}loss = {loss}\n")).unwrap();
        run(directory.path(), &[&TRAIN[..], &["--out", "run", "--max-steps", "1"]].concat())
    };
    let line = 1 + plain.lines().count();
    // The first is the default of other families.
    for (loss, name) in
        [("\"mse\"", "mse"), ("\"mae\"", "mae"), ("{ type = \"huber\", delta = 2.0 }", "huber")]
    {
        let output = with(loss);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{loss}: {text}");
        let found = format!("= \"{name}\"");
        for part in [&format!("rows.toml:{line}:1"), "`train.loss`", &found, "\"elbo\"", "remove the key"] {
            assert!(text.contains(part), "{loss}: `{part}` is missing in: {text}");
        }
        assert!(!directory.path().join("run").exists(), "{loss}");
    }
    assert!(with("\"elbo\"").status.success());
    std::fs::write(&path, plain).unwrap();
    let output = run(directory.path(), &[&TRAIN[..], &["--set", "train.loss=\"mse\""]].concat());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("--set train.loss=\"mse\": `train.loss`"), "{text}");
}

#[test]
fn a_step_of_the_digits_takes_at_most_twenty_kernels() {
    let plan =
        run(Path::new(env!("CARGO_MANIFEST_DIR")), &["plan", "assets/experiments/digits-vae.toml", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert!(plan["kernels_per_step"].as_u64().unwrap() <= 20, "{plan}");
}

#[test]
fn a_picture_of_samples_is_one_png() {
    let directory = tempfile::tempdir().unwrap();
    let experiment = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/experiments/digits-vae.toml");
    succeed(directory.path(), &["train", experiment, "--device", "cpu", "--epochs", "2", "--out", "run"]);
    succeed(directory.path(), &["sample", "run", "--count", "10", "--output", "new.png"]);
    let file = std::fs::File::open(directory.path().join("new.png")).unwrap();
    let reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
    // Four across and three down, each 8 x 8, enlarged, separated by lines.
    let (width, height) = (reader.info().width, reader.info().height);
    assert_eq!(width / 35, height / 26);
    succeed(directory.path(), &["sample", "run", "--count", "10", "--seed", "1", "--output", "other.png"]);
    let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
    assert!(read("new.png") != read("other.png"), "seeds differ");
}
