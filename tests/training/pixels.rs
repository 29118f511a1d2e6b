//! Models that predict something for each pixel: classes from masks, and images without their noise.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs `gridlight` in `directory` on the CPU: exit code, standard output, standard error.
fn gridlight(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridlight"));
    let output = command.args(arguments).args(["--device", "cpu"]).current_dir(directory).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn png(path: &Path, values: &[u8], [height, width]: [usize; 2], colours: bool) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width as u32, height as u32);
    encoder.set_color(if colours { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.write_header().unwrap().write_image_data(values).unwrap();
}

const SIZE: [usize; 2] = [10, 13];

const EXPERIMENT: &str = r#"name = "seen"
[data]
source = "photos"
image = { target = "masks" }
[model]
family = "unet"
channels = [4, 8]
[train]
epochs = 25
batch_size = 8
learning_rate = 1e-2
"#;

/// Photos of a bright square on a dark ground, and masks with 7 there and 200 elsewhere.
fn workplace() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    fs::create_dir(place.join("photos")).unwrap();
    fs::create_dir(place.join("masks")).unwrap();
    for at in 0..40usize {
        let (top, left) = (at * 5 % 7, at * 3 % 10);
        let within = |i: usize| {
            let (y, x) = (i / SIZE[1], i % SIZE[1]);
            (top..top + 3).contains(&y) && (left..left + 3).contains(&x)
        };
        let pixels = SIZE[0] * SIZE[1];
        let photo: Vec<u8> = (0..pixels)
            .flat_map(|i| {
                let light = if within(i) { 190 } else { 60 };
                [light + (i * 7 % 40) as u8, light, 60 + (i * 11 % 30) as u8]
            })
            .collect();
        let mask: Vec<u8> = (0..pixels).map(|i| if within(i) { 7 } else { 200 }).collect();
        png(&place.join(format!("photos/{at:02}.png")), &photo, SIZE, true);
        png(&place.join(format!("masks/{at:02}_mask.png")), &mask, SIZE, false);
    }
    fs::write(place.join("seen.toml"), EXPERIMENT).unwrap();
    directory
}

#[test]
fn masks_are_learnt_and_predicted_as_pictures() {
    let directory = workplace();
    let place = directory.path();
    let (code, _, err) = gridlight(place, &["train", "seen.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let (_, json, _) = gridlight(place, &["evaluate", "runs/seen", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let metric = |name: &str| json["metrics"][name].as_f64().unwrap();
    assert!(metric("mean_iou") > 0.8 && metric("accuracy") > metric("baseline_accuracy"), "{json}");
    assert_eq!(json["classes"], serde_json::json!(["7", "200"]));
    let cells = json["confusion"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
    let pixels: u64 = cells.map(|cell| cell.as_u64().unwrap()).sum();
    assert_eq!(pixels, json["samples"].as_u64().unwrap() * (SIZE[0] * SIZE[1]) as u64);

    let predict =
        ["predict", "runs/seen", "--input", "photos", "--output", "shares.csv", "--pictures", "found"];
    let (code, _, err) = gridlight(place, &predict);
    assert_eq!(code, Some(0), "{err}");
    let table = fs::read_to_string(place.join("shares.csv")).unwrap();
    assert!(table.starts_with("image,share of 7,share of 200\n00.png,0."), "{table}");
    let decoder =
        png::Decoder::new(std::io::BufReader::new(fs::File::open(place.join("found/03.png")).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut values = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut values).unwrap();
    assert_eq!(values.len(), SIZE[0] * SIZE[1]);
    assert!(values.iter().all(|value| [7, 200].contains(value)) && values.contains(&7), "{values:?}");
    // Over what was predicted before, but over no file of others.
    assert_eq!(gridlight(place, &predict).0, Some(0));
    let before = fs::read(place.join("masks/03_mask.png")).unwrap();
    for (folder, wanted) in [("photos", "overwritten"), ("labels", "was not made by")] {
        fs::create_dir_all(place.join("labels")).unwrap();
        fs::copy(place.join("masks/03_mask.png"), place.join("labels/03.png")).unwrap();
        let over = ["predict", "runs/seen", "--input", "photos", "--output", "o.csv", "--pictures", folder];
        let (code, _, err) = gridlight(place, &over);
        assert!(code == Some(2) && err.contains(wanted), "{err}");
        assert!(!place.join("labels/00.png").exists(), "nothing is written before all is known to fit");
    }
    assert_eq!(fs::read(place.join("labels/03.png")).unwrap(), before);

    let (code, _, err) = gridlight(place, &["evaluate", "runs/seen", "--data", "photos"]);
    assert!(code == Some(2) && err.contains("targets of its pixels are not known"), "{err}");
    for command in ["explain", "robustness"] {
        let (code, _, err) = gridlight(place, &[command, "runs/seen"]);
        assert!(code == Some(2) && err.contains("something of each pixel"), "{command}: {err}");
    }
    // Masks whose values have changed are not those that the model learnt.
    for at in 0..40 {
        png(&place.join(format!("masks/{at:02}_mask.png")), &[[7; 65], [9; 65]].concat(), SIZE, false);
    }
    let (code, _, err) = gridlight(place, &["evaluate", "runs/seen"]);
    assert!(code == Some(2) && err.contains("data have changed"), "{err}");
    let report = fs::read_to_string(place.join("runs/seen/report.html")).unwrap();
    assert!(report.contains("intersection over union") && report.contains("what was predicted"));
}

#[test]
fn a_training_that_was_stopped_goes_on_to_the_same_bits() {
    let directory = workplace();
    let place = directory.path();
    let bits = |run: &str| fs::read(place.join(run).join("best.safetensors")).unwrap();
    let sets = ["--set", "train.epochs=4"];
    for (run, steps) in [("whole", None), ("halved", Some("6"))] {
        let mut arguments = vec!["train", "seen.toml", "--out", run];
        arguments.extend(sets);
        arguments.extend(steps.into_iter().flat_map(|steps| ["--max-steps", steps]));
        let (code, _, err) = gridlight(place, &arguments);
        assert_eq!(code, Some(0), "{err}");
    }
    let resumed = [&["train", "seen.toml", "--out", "halved", "--resume"][..], &sets].concat();
    let (code, _, err) = gridlight(place, &resumed);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(bits("halved"), bits("whole"));
}

#[test]
fn noise_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    // Smooth images in the columns of a table.
    let header: Vec<String> = (0..64).map(|i| format!("p{i}")).collect();
    let mut csv = header.join(",") + "\n";
    for row in 0..120usize {
        let value = |i: usize| ((i / 8 + row) as f64 * 0.7).sin() + ((i % 8) as f64 * 0.5 + row as f64).cos();
        csv += &((0..64).map(|i| format!("{:.3}", value(i))).collect::<Vec<_>>().join(",") + "\n");
    }
    fs::write(place.join("rows.csv"), csv).unwrap();
    let text = "name = \"clean\"\n[data]\nsource = \"rows.csv\"\naugment = { noise = 0.6 }\n\
                image = { shape = [1, 8, 8], target = \"self\" }\n[model]\nfamily = \"unet\"\nchannels = [8, 16]\n\
                [train]\nepochs = 25\nbatch_size = 16\nlearning_rate = 5e-3\n";
    fs::write(place.join("clean.toml"), text).unwrap();
    let (code, _, err) = gridlight(place, &["train", "clean.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let evaluated = |arguments: &[&str]| {
        let (_, json, _) = gridlight(place, &[&["evaluate", "runs/clean", "--json"], arguments].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        ["rmse", "baseline_input_rmse", "psnr"].map(|name| json["metrics"][name].as_f64().unwrap())
    };
    let [rmse, input, psnr] = evaluated(&[]);
    assert!(rmse < 0.6 * input, "{rmse}, without the model {input}");
    // The noise of an evaluation is always the same.
    assert_eq!(evaluated(&[]), [rmse, input, psnr]);
    // Of a file likewise; predictions take the images as they are.
    let [_, of_file, _] = evaluated(&["--data", "rows.csv"]);
    assert!((of_file / input - 1.0).abs() < 0.2);
    let predict =
        ["predict", "runs/clean", "--input", "rows.csv", "--output", "o.csv", "--pictures", "found"];
    let (code, _, err) = gridlight(place, &predict);
    assert_eq!(code, Some(0), "{err}");
    assert!(fs::read_to_string(place.join("o.csv")).unwrap().starts_with("row,mean,least,most\n1,"));
    assert!(place.join("found/120.png").is_file());
    let array = fs::read(place.join("found/120.npy")).unwrap();
    assert!(array.starts_with(b"\x93NUMPY") && array.len() == 128 + 4 * 64);
}

#[test]
fn targets_that_do_not_fit_are_refused_with_the_reason() {
    let directory = workplace();
    let place = directory.path();
    let refused = |set: &[&str], wanted: &str| {
        let sets: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
        let (code, _, err) = gridlight(place, &[&["train", "seen.toml", "--out", "x"], &sets[..]].concat());
        assert!(code == Some(2) && err.contains(wanted), "{set:?}: {err}");
    };
    refused(&["model.family=mlp", "model.channels=[]"], "data.image.target");
    refused(&["data.image.target=self"], "data.augment.noise");
    refused(&["data.augment.flip_horizontal=true"], "moves the pixels");
    refused(&["train.loss=bce_with_logits"], "not of pixels");
    refused(&["data.target=y"], "of whole rows");
    refused(&["data.image.target=nowhere"], "nowhere");
    refused(&["model.channels=[4,4,4,4,4]"], "cannot be halved");
    refused(&["model.channels=[4]"], "`model.channels` has channels for 1 sizes; allowed are 2 to 12");
    refused(&["data.image.classes=[\"a\",\"b\"]"], "has no name among the 2");
    refused(&["train.loss={type=\"cross_entropy\",class_weights=[1,2,3]}"], "3 class weights for 2 classes");
    let flat = "model={family=\"mlp\",layer=[{type=\"conv2d\",channels=4}]}";
    refused(&[flat], "another size than the target's");
    png(&place.join("masks/05_mask.png"), &[7; 4], [2, 2], false);
    refused(&[], "05_mask.png");
    fs::remove_file(place.join("masks/05_mask.png")).unwrap();
    refused(&[], "no target for the picture `05`");
    let (code, _, err) = gridlight(place, &["train", "seen.toml", "--set", "data={source=\"photos\"}"]);
    assert!(code == Some(2) && err.contains("data.image.target"), "{err}");
}

#[test]
fn values_of_16_bits_are_predicted_as_such_and_folders_of_a_split_are_the_split() {
    let directory = workplace();
    let place = directory.path();
    for (part, count) in [("train", 24), ("val", 8), ("test", 8)] {
        for kind in ["photos", "heights"] {
            fs::create_dir_all(place.join(format!("split/{kind}/{part}"))).unwrap();
        }
        for at in 0..count {
            let photo: Vec<u8> = (0..130).map(|i| ((i * 3 + at * 17) % 200) as u8).collect();
            let heights: Vec<u8> =
                photo.iter().flat_map(|&x| (5000 + 100 * u16::from(x)).to_be_bytes()).collect();
            png(&place.join(format!("split/photos/{part}/{at}.png")), &photo, SIZE, false);
            let file = fs::File::create(place.join(format!("split/heights/{part}/{at}.png"))).unwrap();
            let mut encoder = png::Encoder::new(file, SIZE[1] as u32, SIZE[0] as u32);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(png::BitDepth::Sixteen);
            encoder.write_header().unwrap().write_image_data(&heights).unwrap();
        }
    }
    let text = EXPERIMENT
        .replace("\"photos\"", "\"split/photos\"")
        .replace("\"masks\"", "\"split/heights\"")
        .replace("epochs = 25", "epochs = 6\nloss = \"mse\"");
    fs::write(place.join("heights.toml"), text).unwrap();
    let (code, _, err) = gridlight(place, &["train", "heights.toml"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("24 train, 8 validate, 8 test"), "{err}");
    let input = "split/photos/test";
    let predict = ["predict", "runs/seen", "--input", input, "--output", "h.csv", "--pictures", "found"];
    let (code, _, err) = gridlight(place, &predict);
    assert_eq!(code, Some(0), "{err}");
    let table = fs::read_to_string(place.join("h.csv")).unwrap();
    let mean: f64 = table.lines().nth(1).unwrap().split(',').nth(1).unwrap().parse().unwrap();
    assert!((5000.0..25_000.0).contains(&mean), "{table}");
    let file = std::io::BufReader::new(fs::File::open(place.join("found/0.png")).unwrap());
    let reader = png::Decoder::new(file).read_info().unwrap();
    assert_eq!(reader.info().bit_depth, png::BitDepth::Sixteen);
}
