//! Image classifiers from the command line: trained on a folder of pictures with random augmentation,
//! evaluated, used, and reported; layers that do not fit are reported before anything is written.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::silent::Silent;
use gridlight::device::Device;
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::job::Options;
use gridlight::run::trainer;
use gridlight::train::checkpoint;

/// Runs `gridlight` in `directory`: exit code, standard output, standard error.
fn gridlight(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gridlight"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const EXPERIMENT: &str = r#"name = "stripes"
[data]
source = "pictures"
target = "direction"
[data.augment]
noise = 0.05
flip_horizontal = true
flip_vertical = true
shift = 1
rotation = 10
brightness = 0.2
contrast = 0.2
cutout = 2
[data.split]
by = "random"
validation = 0.2
test = 0.2
[model]
family = "cnn"
channels = [4]
hidden = [8]
[train]
epochs = 12
batch_size = 8
loss = "cross_entropy"
learning_rate = 1e-2
"#;

/// 60 greyscale pictures of vertical and horizontal stripes of random phase.
fn workplace() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (class, upright) in [("lying", false), ("upright", true)] {
        fs::create_dir_all(directory.path().join("pictures").join(class)).unwrap();
        for at in 0..30usize {
            let pixel = |i: usize| if upright { i % 8 } else { i / 8 };
            let values: Vec<u8> =
                (0..64).map(|i| if (pixel(i) + at) / 2 % 2 == 0 { 200 + at as u8 } else { 10 }).collect();
            let file =
                fs::File::create(directory.path().join(format!("pictures/{class}/{at:02}.png"))).unwrap();
            let mut encoder = png::Encoder::new(file, 8, 8);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.write_header().unwrap().write_image_data(&values).unwrap();
        }
    }
    fs::write(directory.path().join("stripes.toml"), EXPERIMENT).unwrap();
    directory
}

#[test]
fn a_folder_of_pictures_is_trained_judged_used_and_shown() {
    let directory = workplace();
    let run = |arguments: &[&str]| gridlight(directory.path(), &[arguments, &["--device", "cpu"]].concat());
    let (code, out, err) = run(&["train", "stripes.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let (_, text, _) = run(&["evaluate", "runs/stripes"]);
    assert!(out.ends_with(&text), "train ends with what evaluate says: {out}");
    for wanted in ["precision", "recall", "true \\ predicted", "  lying", "  upright"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let (_, json, _) = run(&["evaluate", "runs/stripes", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["samples"].as_u64(), json["split"].as_str()), (Some(12), Some("test")));
    assert!(json["metrics"]["accuracy"].as_f64().unwrap() > 0.9, "{json}");
    assert_eq!(json["classes"], serde_json::json!(["lying", "upright"]));
    let rows: u64 =
        json["per_class"].as_array().unwrap().iter().map(|c| c["samples"].as_u64().unwrap()).sum();
    assert_eq!(rows, 12);
    // Another folder with labels; and one without, whose pictures are identified by name.
    let (code, text, err) = run(&["evaluate", "runs/stripes", "--data", "pictures"]);
    assert!(code == Some(0) && text.contains("60 rows"), "{text}{err}");
    let (code, _, err) = run(&["predict", "runs/stripes", "--input", "pictures", "--output", "out.csv"]);
    assert_eq!(code, Some(0), "{err}");
    let table = fs::read_to_string(directory.path().join("out.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 61);
    assert_eq!(lines[0], "image,direction,probability lying,probability upright");
    assert!(
        lines[1].starts_with("lying/00.png,lying,0.") && lines[60].starts_with("upright/29.png,upright,")
    );
    let input = "pictures/upright/07.png";
    let (code, _, err) = run(&["predict", "runs/stripes", "--input", input, "--output", "one.csv"]);
    assert_eq!(code, Some(0), "{err}");
    let one = fs::read_to_string(directory.path().join("one.csv")).unwrap();
    assert!(one.lines().count() == 2 && one.contains("\n07.png,upright,"), "{one}");
    let report = fs::read_to_string(directory.path().join("runs/stripes/report.html")).unwrap();
    assert!(report.contains("Filters of the first convolution (<code>0.weight</code>)"));
    assert!(report.matches("data:image/png;base64,").count() >= 4, "four filters");
}

#[test]
fn an_mlp_reads_pictures_and_damaged_ones_are_told_and_left_out() {
    let directory = workplace();
    let changed = EXPERIMENT
        .replace("family = \"cnn\"\nchannels = [4]", "family = \"mlp\"")
        .replace("target = \"direction\"", "image = { shape = [1, 8, 8], on_error = \"skip\" }");
    fs::write(directory.path().join("stripes.toml"), changed).unwrap();
    fs::write(directory.path().join("pictures/lying/99.jpg"), "hello").unwrap();
    let run = |arguments: &[&str]| gridlight(directory.path(), &[arguments, &["--device", "cpu"]].concat());
    let (code, _, err) = run(&["train", "stripes.toml"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("1 of 61 files left out") && err.contains("99.jpg: it is a text file"), "{err}");
    let weights = checkpoint::load(&directory.path().join("runs/stripes/best.safetensors")).unwrap().0;
    assert!(weights.iter().any(|(name, shape, _)| name == "0.weight" && shape[..] == [8, 64]));
    let report = fs::read_to_string(directory.path().join("runs/stripes/report.html")).unwrap();
    assert!(report.contains("1 of 61 files left out"));
    let (code, text, err) = run(&["evaluate", "runs/stripes", "--json"]);
    assert!(code == Some(0) && text.contains("\"samples\":12"), "{text}{err}");
    let (code, _, err) = run(&["predict", "runs/stripes", "--input", "pictures", "--output", "out.csv"]);
    assert!(code == Some(2) && err.contains("99.jpg"), "{code:?} {err}");
    fs::remove_file(directory.path().join("pictures/lying/99.jpg")).unwrap();
    let (code, _, err) = run(&["predict", "runs/stripes", "--input", "pictures", "--output", "out.csv"]);
    assert_eq!(code, Some(0), "{err}");
    let table = fs::read_to_string(directory.path().join("out.csv")).unwrap();
    assert!(table.starts_with("image,label,probability lying,probability upright\nlying/00.png,"), "{table}");
}

#[test]
fn the_experiments_of_images_that_are_shipped_train() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["digits-cnn", "digits-resnet", "fashion-cnn"] {
        let path = format!("{}/assets/experiments/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let (code, out, err) =
            gridlight(directory.path(), &["train", &path, "--device", "cpu", "--max-steps", "4"]);
        assert!(code == Some(0) && out.contains("precision"), "{name}: {out}{err}");
    }
}

#[test]
fn changed_images_are_the_same_for_any_number_of_threads_and_after_an_interruption() {
    let directory = workplace();
    let experiment = Experiment::parse(EXPERIMENT, "stripes.toml", &["train.epochs=3".to_string()]).unwrap();
    let data = trainer::load_data(&experiment, directory.path()).unwrap();
    let train = |device: &dyn Device, options: &Options, experiment: &Experiment| {
        trainer::train(experiment, &data, device, options, &mut Silent).unwrap();
        checkpoint::load(&options.out.join("best.safetensors")).unwrap().0
    };
    let options = |name: &str| Options { out: directory.path().join(name), ..Options::default() };
    let (one, two) = (CpuDevice::new(Some(1)), CpuDevice::new(Some(2)));
    let whole = train(&one, &options("one"), &experiment);
    assert_eq!(whole, train(&two, &options("two"), &experiment));
    // 36 training images make 4 steps per epoch: within the first epoch, and within the second.
    for stop in [2, 7] {
        let name = format!("stopped-{stop}");
        train(&one, &Options { max_steps: Some(stop), ..options(&name) }, &experiment);
        let resumed = train(&one, &Options { resume: true, ..options(&name) }, &experiment);
        assert_eq!(whole, resumed, "stopped at {stop}");
    }
    let mut plain = experiment.clone();
    plain.data.augment = gridlight::data::config::AugmentConfig::default();
    assert_ne!(whole, train(&one, &options("plain"), &plain));
}

#[test]
fn layers_that_do_not_fit_and_changes_out_of_range_are_told_and_nothing_is_written() {
    let directory = workplace();
    let table =
        "a,b,y\n".to_string() + &(0..40).map(|i| format!("{},{},{}\n", i, i % 7, i % 2)).collect::<String>();
    fs::write(directory.path().join("table.csv"), table).unwrap();
    let layer = |text: &str| format!("model.layer=[{{ {text} }}]");
    let whole = fs::read_to_string(directory.path().join("stripes.toml")).unwrap();
    let bare = whole.replace("channels = [4]\nhidden = [8]\n", "");
    fs::write(directory.path().join("bare.toml"), bare).unwrap();
    for (set, wanted) in [
        (vec![layer("type = \"conv2d\", channels = 4, kernel = 9")], vec!["layer 0", "conv2d", "9"]),
        (vec![layer("type = \"conv2d\", channels = 4, groups = 3")], vec!["layer 0", "conv2d", "3"]),
        (
            vec![layer("type = \"conv2d\", channels = 4, kernel = 13, padding = 2")],
            vec!["layer 0", "conv2d", "13"],
        ),
        (vec!["data.augment.rotation=200".into()], vec!["data.augment.rotation", "0..=180"]),
        (vec!["data.augment.contrast=-1".into()], vec!["data.augment.contrast"]),
        (
            vec![
                "data.source=\"table.csv\"".into(),
                "data.target=\"y\"".into(),
                "model.family=\"mlp\"".into(),
            ],
            vec!["data.augment", "data.image.shape"],
        ),
    ] {
        // Keys of the family are refused beside layers, and in another family.
        let other = set.iter().any(|set| set.starts_with("model.layer") || set.starts_with("model.family"));
        let file = if other { "bare.toml" } else { "stripes.toml" };
        let mut arguments = vec!["train", file, "--device", "cpu"];
        for set in &set {
            arguments.extend(["--set", set]);
        }
        let (code, _, err) = gridlight(directory.path(), &arguments);
        assert_eq!(code, Some(2), "{set:?}: {err}");
        for wanted in wanted {
            assert!(err.contains(wanted), "{set:?}: no {wanted} in {err}");
        }
        assert!(!directory.path().join("runs").exists(), "{set:?}");
    }
}
