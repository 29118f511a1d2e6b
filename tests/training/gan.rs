//! Adversarial pairs: interrupted and resumed training, what is shown of it, what is refused, and the commands that
//! use them.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use gridlight::experiment::Experiment;

/// 120 images of 6 x 6 pixels in 0..1 with a stripe, and its direction.
fn table() -> String {
    let mut text: String = (0..36).map(|pixel| format!("p{pixel},")).collect();
    text += "direction\n";
    for row in 0..120 {
        let (upright, at) = (row % 2 == 0, row / 2 % 6);
        for pixel in 0..36 {
            let along = if upright { pixel % 6 } else { pixel / 6 };
            write!(text, "{},", if along == at { 1.0 } else { f64::from(row % 5) / 20.0 }).unwrap();
        }
        text += if upright { "upright\n" } else { "lying\n" };
    }
    text
}

/// A directory with the table and an experiment on it.
fn workplace(data: &str, model: &str, train: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("table.csv"), table()).unwrap();
    let text = format!(
        "name = \"stripes\"\nseed = 5\n[data]\nsource = \"table.csv\"\ntarget = \"direction\"\n{data}\n[model]\n\
         family = \"gan\"\nhidden = [8]\nlatent = 3\n{model}\n[train]\nepochs = 6\nbatch_size = 12\n\
         checkpoint_every_steps = 5\n{train}\n"
    );
    std::fs::write(directory.path().join("stripes.toml"), text).unwrap();
    directory
}

const IMAGES: &str = "image = { shape = [1, 6, 6] }\ntransform = { numbers = \"min_max\" }";

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gridlight")).args(arguments).current_dir(directory).output().unwrap()
}

/// What a command prints, and what it tells beside.
fn succeed(directory: &Path, arguments: &[&str]) -> [String; 2] {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

const TRAIN: [&str; 5] = ["train", "stripes.toml", "--device", "cpu", "--quiet"];

#[test]
fn every_loss_trains_and_goes_on_to_the_same_bits() {
    for (data, model) in [
        (IMAGES, "channels = [4]\nnorm = \"batch\"\ndropout = 0.2\nconditional = true"),
        (IMAGES, "gan_loss = \"least_squares\"\naverage = 0.0\nchannels = [4, 8]\nkernel = 3"),
        (IMAGES, "spectral_norm = true\nchannels = [4, 8]\nconditional = true"),
        ("", "gan_loss = \"wasserstein\"\nclip = 0.02\ncritic_steps = 2\nconditional = true"),
        (IMAGES, "gan_loss = \"wasserstein_gp\"\ncritic_steps = 2\nchannels = [4]\nconditional = true"),
    ] {
        let directory = workplace(data, model, "discriminator = { learning_rate = 1e-3 }\nclip_norm = 5.0");
        let at = directory.path();
        succeed(at, &[&TRAIN[..], &["--out", "whole"]].concat());
        succeed(at, &[&TRAIN[..], &["--out", "parts", "--max-steps", "13"]].concat());
        succeed(at, &[&TRAIN[..], &["--out", "parts", "--resume"]].concat());
        for file in ["best.safetensors", "metrics.csv"] {
            let of = |run: &str| std::fs::read(at.join(run).join(file)).unwrap();
            assert!(of("whole") == of("parts"), "{model}: {file}");
        }
        let history = std::fs::read_to_string(at.join("whole/metrics.csv")).unwrap();
        let head = "epoch,step,learning_rate,train_loss,train_discriminator,validation_loss,validation_discriminator";
        assert_eq!(history.lines().next(), Some(head), "{model}");
        assert_eq!(history.lines().count(), 7, "{model}");
        let [json, _] = succeed(at, &["evaluate", "whole", "--json", "--device", "cpu"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(json["metrics"]["discriminator"].is_number() && json["loss"].is_number(), "{model}: {json}");
        succeed(at, &["sample", "whole", "--count", "9", "--output", "new.csv", "--device", "cpu"]);
        let drawn = std::fs::read_to_string(at.join("new.csv")).unwrap();
        assert_eq!(drawn.lines().count(), 10, "{model}");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{model}: {drawn}");
        let report = std::fs::read_to_string(at.join("whole/report.html")).unwrap();
        assert!(report.contains("What it draws") && report.contains("Loss of the discriminator"), "{model}");
        let by_epoch = std::fs::read_dir(at.join("whole/samples")).map_or(0, Iterator::count);
        assert_eq!(by_epoch, if data.is_empty() { 0 } else { 6 }, "{model}");
        assert_eq!(report.contains("The same codes by epoch"), !data.is_empty(), "{model}");
    }
}

#[test]
fn the_last_epoch_is_the_best_and_both_losses_are_told() {
    let directory = workplace(IMAGES, "critic_steps = 2", "");
    let at = directory.path();
    let [events, _] = succeed(at, &[&TRAIN[..], &["--out", "run", "--json", "--log-every", "2"]].concat());
    let events: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|e| e["event"] == kind).collect::<Vec<_>>();
    // 84 training rows are three steps of two batches of 12, and a rest.
    assert_eq!(of("start")[0]["steps_per_epoch"], 3, "{}", of("start")[0]);
    assert!(of("step").iter().all(|e| e["discriminator"].is_number() && e["loss"].is_number()));
    assert!(of("epoch").iter().all(|e| e["train"]["discriminator"].is_number()));
    assert_eq!(of("end")[0]["best_epoch"], 6);
    let [list, _] = succeed(at, &["list", "run", "--json"]);
    let list: serde_json::Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    let listed = if list.is_array() { list[0].clone() } else { list };
    assert_eq!(listed["best_epoch"], 6, "{listed}");
}

#[test]
fn a_discriminator_that_knows_all_is_told_once() {
    let train = "learning_rate = 1e-9\nepochs = 30\ndiscriminator = { learning_rate = 0.03 }";
    let directory = workplace(IMAGES, "channels = [4]", &train.replace("epochs = 30\n", ""));
    let at = directory.path();
    let [_, told] = succeed(at, &[&TRAIN[..], &["--out", "run", "--epochs", "30"]].concat());
    assert_eq!(told.matches("the discriminator's loss has been below").count(), 1, "{told}");
}

#[test]
fn what_does_not_go_with_adversarial_pairs_is_refused_by_key() {
    let text = "name = \"x\"\n[data]\nsource = \"t.csv\"\ntarget = \"y\"\n";
    let says = |sets: &[&str], wanted: &str| {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let error = Experiment::parse(text, "x.toml", &sets).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(wanted), "{sets:?}: {error}");
    };
    let gan = |more: &[&'static str], wanted: &str| {
        says(&[&["model.family=gan"], more].concat(), wanted);
    };
    says(&["model.gan_loss=original"], "`model.gan_loss` is a key of `family = \"gan\"`");
    says(&["model.latent=3"], "`model.latent` is a key of `family = \"vae\"` and `\"gan\"`");
    says(
        &["train.discriminator={learning_rate=1e-3}"],
        "`train.discriminator` is a key of `family = \"gan\"`",
    );
    says(&["train.loss=adversarial"], "is only for `model.family = \"gan\"`");
    gan(&["model.beta=2.0"], "`model.beta` is a key of `family = \"vae\"`");
    gan(&["model.gan_loss=hinge"], "least_squares, wasserstein");
    gan(&["model.latent=0"], "is not in 1..=");
    gan(&["model.critic_steps=0"], "is not in 1..=1000");
    gan(&["model.average=1.0"], "below 1");
    gan(&["model.clip=0.1"], "is a key of `gan_loss = \"wasserstein\"`; the loss is \"original\"");
    gan(&["model.penalty=10.0", "model.gan_loss=wasserstein"], "is a key of `gan_loss = \"wasserstein_gp\"`");
    gan(&["model.gan_loss=wasserstein_gp", "model.penalty=-1.0"], "above 0");
    says(&["model.spectral_norm=true"], "`model.spectral_norm` is a key of `family = \"gan\"`");
    gan(&["model.output=sigmoid"], "the data are scaled otherwise");
    gan(&["model.layer=[{type=\"flatten\"}]"], "[[model.generator]] and [[model.discriminator]]");
    gan(&["model.generator=[]"], "names no layer");
    gan(&["model.generator=3"], "[[model.generator]]");
    gan(&["model.discriminator=[{type=\"dense\",units=0}]"], "units");
    gan(&["train.loss=mse"], "choose with `model.gan_loss`");
    gan(&["train.accumulate=2"], "`train.accumulate` cannot be used");
    gan(&["train.early_stopping={patience=3}"], "no loss of one part tells");
    gan(&["train.discriminator={learning_rate=0}"], "`train.discriminator.learning_rate` = 0");
    gan(&["train.discriminator={optimizer={type=\"adam\",eps=0}}"], "has `eps`");
    gan(&["train.discriminator={rate=1}"], "unknown key `rate`");
    gan(
        &["model.norm=batch", "model.generator=[{type=\"dense\",units=3}]"],
        "the generator has layers of their own",
    );
    let penalised = |layer: &str, wanted: &str| {
        let layers = format!("model.discriminator=[{layer}]");
        says(&["model.family=gan", "model.gan_loss=wasserstein_gp", &layers], wanted);
    };
    penalised("{type=\"batch_norm\"}", "penalises the gradient of each row by itself");
    penalised("{type=\"residual\",channels=4}", "penalises the gradient of each row by itself");
    penalised("{type=\"unet\",channels=[4,4]}", "penalises the gradient of each row by itself");
    penalised("{type=\"recurrent\",hidden=4}", "has no second derivative here");
    penalised("{type=\"transformer\",heads=2}", "has no second derivative here");
}

#[test]
fn commands_that_need_predictions_refuse_and_layers_must_fit() {
    let directory = workplace(IMAGES, "", "");
    let at = directory.path();
    succeed(at, &[&TRAIN[..], &["--out", "run", "--epochs", "1"]].concat());
    let refused = |arguments: &[&str], wanted: &str| {
        let output = run(at, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(wanted), "{arguments:?}: {said}");
    };
    refused(&["predict", "run", "--input", "table.csv", "--output", "p.csv"], "draw with `gridlight sample`");
    let set = |key: &str| [&TRAIN[..], &["--out", "other", "--set", key]].concat().join("\u{1}");
    let train = |key: &str, wanted: &str| {
        let arguments = set(key);
        refused(&arguments.split('\u{1}').collect::<Vec<_>>(), wanted);
    };
    train("train.batch_size=200", "is more than");
    train("model.critic_steps=90", "for each of model.critic_steps = 90");
    let unflatten = "model.generator=[{type=\"dense\",units=18},{type=\"unflatten\",shape=[2,3,3]}]";
    train(unflatten, "the layers give [2, 3, 3] for each code; they must give images [1, 6, 6]");
    train("model.generator=[{type=\"unflatten\",shape=[2,3,3]}]", "they must be as many");
    train("model.discriminator=[{type=\"conv2d\",channels=2}]", "put a `flatten`");
    let undivided = "model.discriminator=[{type=\"conv_transpose2d\",channels=2},{type=\"flatten\"}]\u{1}--set\u{1}\
                     model.spectral_norm=true";
    train(undivided, "the weights `discriminator.0.weight`, which `model.spectral_norm` does not divide");
}
