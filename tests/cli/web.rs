//! `gridlight web`: the folder that it writes has all that the page reads. (The page itself, in a browser:
//! `tests/long/web.py`.)

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::refusals::assert_refused;
use super::{EXPERIMENT, gridlight, table};

/// Stripes, four pixels wide and high, that differ by class and number.
fn picture(path: &Path, class: usize, number: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let bright = |i: usize| if class == 0 { i % 4 } else { i / 4 } + number;
    let values: Vec<u8> = (0..16).map(|i| if bright(i) % 2 == 0 { 200 + number as u8 } else { 9 }).collect();
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), 4, 4);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&values).unwrap();
}

/// An experiment on pictures, whose classes are the folders that they lie in.
fn experiment(source: &str) -> String {
    format!(
        "name = \"stripes\"\n\n[data]\nsource = \"{source}\"\ntarget = \"label\"\n\n[model]\nfamily = \"cnn\"\n\
         channels = [2, 2]\n\n[train]\nloss = \"cross_entropy\"\nepochs = 2\nbatch_size = 8\n"
    )
}

/// A folder with an engine, which is only copied.
fn workplace() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("engine")).unwrap();
    for name in ["gridlight_web.js", "gridlight_web_bg.wasm"] {
        fs::write(place.path().join("engine").join(name), name).unwrap();
    }
    place
}

/// Writes a page; returns its list of experiments.
fn write(directory: &Path, sources: &[&str], out: &str) -> Vec<Value> {
    let ended = gridlight(directory, &[&["web", "--engine", "engine", "--out", out], sources].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_slice(&fs::read(directory.join(out).join("experiments.json")).unwrap()).unwrap()
}

fn files(entry: &Value) -> Vec<&str> {
    entry["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

/// Trains; returns the digests of the data and of the weights.
fn train(directory: &Path, experiment: &str, out: &Path) -> [String; 2] {
    let out = out.to_str().unwrap();
    let ended = gridlight(directory, &["train", experiment, "--device", "cpu", "--out", out]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let record: Value = serde_json::from_slice(&fs::read(Path::new(out).join("run.json")).unwrap()).unwrap();
    ["data_digest", "weights_digest"].map(|key| record[key].as_str().unwrap().to_string())
}

#[test]
fn a_folder_of_pictures_goes_into_the_page_and_trains_there_as_where_it_lay() {
    let place = workplace();
    let at = |name: &str| place.path().join(name);
    for number in 0..20 {
        picture(&at(&format!("mine/stripes wide/lying/{number}.png")), 0, number);
        picture(&at(&format!("mine/stripes wide/upright #1/{number}.png")), 1, number);
    }
    fs::write(at("mine/stripes wide/.hidden"), "").unwrap();
    fs::write(at("mine/stripes.toml"), experiment("stripes wide")).unwrap();
    let here = train(&at("mine"), "stripes.toml", &at("runs/stripes"));

    let entries = write(place.path(), &["mine/stripes.toml", "runs/stripes"], "page");
    for entry in &entries {
        let files = files(entry);
        assert_eq!(files.len(), 40);
        assert!(
            files.contains(&"stripes wide/upright #1/19.png") && !files.iter().any(|f| f.contains("hidden"))
        );
        for file in files {
            let [written, given] =
                [at("page/data").join(file), at("mine").join(file)].map(|f| fs::read(f).unwrap());
            assert_eq!(written, given, "{file}");
        }
    }
    assert_eq!(entries[0]["weights"], Value::Null);
    assert_eq!(entries[1]["weights"], "stripes.safetensors");
    let best = fs::read(at("runs/stripes/best.safetensors")).unwrap();
    assert_eq!(fs::read(at("page/data/stripes.safetensors")).unwrap(), best);
    // The TOML of a run says nothing of where it was trained.
    for (entry, name) in entries.iter().zip(["again", "of-run"]) {
        let toml = entry["toml"].as_str().unwrap();
        assert!(!toml.contains(place.path().to_str().unwrap()), "{toml}");
        fs::write(at(&format!("page/data/{name}.toml")), toml).unwrap();
        let there = train(&at("page/data"), &format!("{name}.toml"), &at(&format!("runs/{name}")));
        assert_eq!(there, here, "{name}");
    }
}

#[test]
fn folders_that_are_split_and_labels_beside_images_go_along() {
    let place = workplace();
    let at = |name: &str| place.path().join(name);
    for number in 0..20 {
        for (class, name) in ["lying", "upright"].into_iter().enumerate() {
            picture(&at(&format!("stripes/train/{name}/{number}.png")), class, number);
            picture(&at(&format!("stripes/test/{name}/{number}.png")), class, number + 1);
        }
    }
    fs::write(
        at("split.toml"),
        experiment("stripes").replace("\"stripes\"\n\n[data]", "\"split\"\n\n[data]"),
    )
    .unwrap();
    // IDX: unsigned bytes in three dimensions and in one.
    let header = |sizes: &[u32]| {
        let (axes, bytes) = (sizes.len() as u8, sizes.iter().flat_map(|size| size.to_be_bytes()));
        [vec![0, 0, 8, axes], bytes.collect()].concat()
    };
    let images: Vec<u8> = (0..40 * 16).map(|i| (i * 7 % 251) as u8).collect();
    fs::write(at("all-images-idx3-ubyte"), [header(&[40, 4, 4]), images].concat()).unwrap();
    let labels: Vec<u8> = (0..40).map(|i| i % 2).collect();
    fs::write(at("all-labels-idx1-ubyte"), [header(&[40]), labels].concat()).unwrap();
    fs::write(at("idx.toml"), experiment("all-images-idx3-ubyte").replace("stripes", "idx")).unwrap();

    let entries = write(place.path(), &["split.toml", "idx.toml"], "page");
    assert_eq!(files(&entries[0]).len(), 80);
    assert!(files(&entries[0]).contains(&"stripes/test/upright/7.png"));
    assert_eq!(files(&entries[1]), ["all-images-idx3-ubyte", "all-labels-idx1-ubyte"]);
    for name in ["split", "idx"] {
        let toml = format!("{name}.toml");
        let here = train(place.path(), &toml, &at(&format!("runs/{name}")));
        fs::copy(at(&toml), at("page/data").join(&toml)).unwrap();
        assert_eq!(train(&at("page/data"), &toml, &at(&format!("runs/{name}-again"))), here, "{name}");
    }
}

#[test]
fn what_a_page_cannot_have_is_refused_and_leaves_nothing() {
    let place = workplace();
    let at = |name: &str| place.path().join(name);
    for folder in ["one", "two"] {
        fs::create_dir(at(folder)).unwrap();
    }
    fs::write(at("one/table.csv"), table()).unwrap();
    fs::write(at("two/table.csv"), table().replace("red", "green")).unwrap();
    let given = |source: &str| EXPERIMENT.replace("table.csv", source);
    let split =
        format!("{}\n[data.split]\nby = \"files\"\ntest = \"two/table.csv\"\n", given("one/table.csv"));
    let disk = format!("{}\n[data.memory]\nscratch = \"one\"\n", given("one/table.csv"));
    let cases: [(&str, String, &[&str]); 4] = [
        ("a pattern", given("one/*.csv"), &["one/*.csv", "pattern"]),
        ("one name", split, &["one/table.csv", "two/table.csv", "rename"]),
        ("scratch", disk, &["data.memory.scratch", "browser"]),
        ("absent", given("three.csv"), &["three.csv"]),
    ];
    for (what, text, wanted) in cases {
        fs::write(at("wrong.toml"), text).unwrap();
        let ended = gridlight(place.path(), &["web", "wrong.toml", "--engine", "engine", "--out", "page"]);
        assert_refused(&ended, wanted, what);
        assert!(!at("page").exists(), "{what}");
    }
    // Two experiments whose tables have one name and differ.
    for folder in ["one", "two"] {
        fs::write(at(folder).join("small.toml"), EXPERIMENT).unwrap();
    }
    let arguments = ["web", "one/small.toml", "two/small.toml", "--engine", "engine", "--out", "page"];
    assert_refused(&gridlight(place.path(), &arguments), &["two", "table.csv", "rename"], "two tables");
    // What exists is left as it is.
    write(place.path(), &["one/small.toml"], "page");
    let ended = gridlight(place.path(), &["web", "two/small.toml", "--engine", "engine", "--out", "page"]);
    assert_refused(&ended, &["page", "exists"], "an existing folder");
    let ended = gridlight(place.path(), &["web", "one/small.toml", "--engine", "one", "--out", "other"]);
    assert_refused(&ended, &["one", "web/build.sh"], "no engine");
}
