//! Damaged or malicious tables, experiments and files of runs are read or refused as [`attack`] asks.

use std::path::{Path, PathBuf};

use gridlight::data::{self, DataConfig, Goal};
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::audit::Record;
use gridlight::run::directory::RunDirectory;
use gridlight::run::evaluate;
use gridlight::train::{checkpoint, history};
use parquet::basic::Encoding;
use sha2::{Digest, Sha256};

use crate::attack::{COUNT, attack, mutated};
use crate::interruptions::Bench;
use crate::mutate::mutate;
use crate::parquet_table::parquet_table;

const EXPERIMENT: &str = r#"name = "all"
seed = 7
[data]
source = "table.csv"
target = "y"
exclude = ["e"]
[data.types]
a = "number"
[data.clean]
numbers = "median"
indicators = true
[data.transform]
numbers = "standardise"
[data.augment]
noise = 0.1
[data.split]
by = "random"
validation = 0.2
test = 0.2
[model]
hidden = [64, 32]
activation = "relu"
dropout = 0.1
[train]
epochs = 3
batch_size = 16
optimizer = { type = "adam", betas = [0.9, 0.99] }
learning_rate = 1e-3
schedule = { type = "cosine", warmup_steps = 10 }
early_stopping = { patience = 3 }
"#;

#[test]
fn experiments() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("experiment.toml");
    Experiment::parse(EXPERIMENT, "experiment.toml", &[]).unwrap();
    let refused = attack(&path, mutated(EXPERIMENT.into()), |path| {
        let experiment = Experiment::read(path, &[]).map_err(|e| e.to_string())?;
        Experiment::parse(&experiment.resolved(), "experiment.toml", &[])
            .map_err(|e| format!("resolved: {e}"))
            .map(drop)
    });
    assert!(refused > 300, "{refused} refused");
}

/// Numbers, names, times and booleans, with gaps.
fn table() -> String {
    let mut text = "n,name,time,flag,y\n".to_string();
    for row in 0..60 {
        let (name, flag) = (["red", "green", "blue"][row % 3], row % 2 == 0);
        let gap = if row % 11 == 0 { String::new() } else { format!("{}.5", row * 7 % 13) };
        text += &format!("{gap},{name},2024-01-{:02} 12:30,{flag},{}\n", 1 + row % 28, row * 3 % 17);
    }
    text
}

fn config(source: &str) -> DataConfig {
    let more = "target = \"y\"\n[split]\nby = \"random\"\nvalidation = 0.2\ntest = 0.2\n";
    toml::from_str(&format!("source = \"{source}\"\n{more}")).unwrap()
}

fn load(path: &Path) -> Result<(), String> {
    let config = config(path.file_name().unwrap().to_str().unwrap());
    let loaded = data::load(&config, path.parent().unwrap(), Goal::Regression).map_err(|e| e.to_string())?;
    for set in [&loaded.train, &loaded.validation, &loaded.test] {
        if let Some(x) = set.x.iter().find(|x| !x.is_finite()) {
            return Err(format!("accepted {x} as a feature"));
        }
    }
    data::load_with(&loaded.fitted, path, false).map(drop).map_err(|e| e.to_string())
}

#[test]
fn csv_tables() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.csv");
    std::fs::write(&path, table()).unwrap();
    load(&path).unwrap();
    let refused = attack(&path, mutated(table().into()), load);
    assert!(refused > 100, "{refused} refused");
}

#[test]
fn parquet_tables() {
    use parquet::basic::{Compression, ZstdLevel};
    let directory = tempfile::tempdir().unwrap();
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let (raw, snappy) = (Compression::UNCOMPRESSED, Compression::SNAPPY);
    for (name, compression, version, encoded) in [
        ("plain", raw, 1, None),
        ("snappy", snappy, 2, None),
        ("zstd", zstd, 1, None),
        ("lengths", raw, 1, Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)),
        ("prefixes", raw, 2, Some(Encoding::DELTA_BYTE_ARRAY)),
    ] {
        let path = directory.path().join(format!("{name}.parquet"));
        parquet_table(&path, compression, version, encoded);
        load(&path).unwrap();
        let refused = attack(&path, mutated(std::fs::read(&path).unwrap()), load);
        assert!(refused > 100, "{name}: {refused} refused");
    }
}

#[test]
fn a_page_that_says_it_is_huge_is_refused_before_it_is_allocated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("huge.parquet");
    parquet_table(&path, parquet::basic::Compression::SNAPPY, 1, None);
    let valid = std::fs::read(&path).unwrap();
    // The first page starts after the magic: field 1 (its type), then field 2, the uncompressed size.
    assert_eq!((valid[4], valid[6]), (0x15, 0x15));
    let rest = 7 + valid[7..].iter().position(|byte| *byte < 0x80).unwrap() + 1;
    let bytes = [&valid[..7], &[0xfe, 0xff, 0xff, 0xff, 0x0f], &valid[rest..]].concat();
    let refused = attack(&path, std::iter::once(bytes), |path| {
        let error = load(path).unwrap_err();
        assert!(error.contains("2147483647 bytes"), "{error}");
        Err(error)
    });
    assert_eq!(refused, 1);
}

#[test]
fn strings_that_count_more_than_their_page_are_refused_before_they_are_allocated() {
    let directory = tempfile::tempdir().unwrap();
    for (encoding, version) in [(Encoding::DELTA_LENGTH_BYTE_ARRAY, 1), (Encoding::DELTA_BYTE_ARRAY, 2)] {
        let path = directory.path().join("count.parquet");
        parquet_table(&path, parquet::basic::Compression::UNCOMPRESSED, version, Some(encoding));
        load(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        // Blocks of 128 in 4 miniblocks, with the count of 30 values in one byte: now 2^36 - 1 in six bytes,
        // overwriting what follows.
        let found: Vec<usize> =
            (0..bytes.len()).filter(|&i| bytes[i..].starts_with(&[0x80, 0x01, 4, 30])).collect();
        assert!(!found.is_empty());
        for at in found {
            bytes[at + 3..at + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        }
        let refused = attack(&path, std::iter::once(bytes), |path| {
            let error = load(path).unwrap_err();
            assert!(error.contains("more strings than its header"), "{error}");
            Err(error)
        });
        assert_eq!(refused, 1);
    }
}

/// A file with the correct digest of its contents, as an attacker would make it.
fn reseal(mut bytes: Vec<u8>) -> Vec<u8> {
    let mark = br#"{\"sha256\":\""#;
    let Some(at) = bytes.windows(mark.len()).position(|w| w == mark) else { return bytes };
    let place = at + mark.len()..at + mark.len() + 64;
    if place.end > bytes.len() {
        return bytes;
    }
    bytes[place.clone()].fill(b'0');
    let digest: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    bytes[place].copy_from_slice(digest.as_bytes());
    bytes
}

/// A mutation within the header, with the header length corrected.
fn mutated_headers(valid: Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    let length = u64::from_le_bytes(valid[..8].try_into().unwrap()) as usize;
    (0..COUNT).map(move |seed| {
        let header = mutate(&valid[8..8 + length], seed);
        reseal([&(header.len() as u64).to_le_bytes()[..], &header, &valid[8 + length..]].concat())
    })
}

#[test]
fn checkpoints() {
    let bench = Bench::new();
    bench.interrupt(&CpuDevice::new(Some(1)), "run", 37, false);
    let newest = checkpoint::list(&bench.path("run/checkpoints")).pop().unwrap().1;
    let valid = std::fs::read(&newest).unwrap();
    let path = bench.path("weights.safetensors");
    let read = |path: &Path| checkpoint::load(path).map(drop).map_err(|e| e.to_string());
    assert_eq!(reseal(valid.clone()), valid, "the digest is as documented");
    // Any change is detected; a few mutations change nothing.
    let changed = mutated(valid.clone()).filter(|m| *m != valid).count();
    let original = valid.clone();
    let refused = attack(&path, mutated(valid.clone()).filter(move |m| *m != original), read);
    assert_eq!(refused, changed);
    attack(&path, mutated(valid.clone()).map(reseal), read);
    attack(&path, mutated_headers(valid), read);
}

#[test]
fn best_weights_in_use() {
    let bench = Bench::with("epochs = 1\nbatch_size = 16\n");
    bench.train(&CpuDevice::new(Some(1)), "run").unwrap();
    let (run, input) = (bench.path("run"), bench.path("table.csv"));
    let best = run.join("best.safetensors");
    let valid = std::fs::read(&best).unwrap();
    let output = bench.path("out.csv");
    let use_it = move |_: &Path| {
        let device = CpuDevice::new(Some(1));
        evaluate::evaluate(&run, None, None, None, &device).map_err(|e| e.to_string())?;
        evaluate::predict(&run, &input, &output, &device).map(drop).map_err(|e| e.to_string())
    };
    use_it(&best).unwrap();
    attack(&best, mutated_headers(valid), use_it);
}

#[test]
fn histories() {
    let bench = Bench::new();
    bench.train(&CpuDevice::new(Some(1)), "run").unwrap();
    let path: PathBuf = bench.path("run/metrics.csv");
    let valid = std::fs::read(&path).unwrap();
    let rows = history::read(&path, 8).unwrap();
    assert_eq!(rows.len(), 8);
    let refused =
        attack(&path, mutated(valid), |path| history::read(path, 8).map(drop).map_err(|e| e.to_string()));
    assert!(refused > 100, "{refused} refused");
}

#[test]
fn records() {
    let bench = Bench::with("epochs = 1\nbatch_size = 16\n");
    bench.train(&CpuDevice::new(Some(1)), "run").unwrap();
    let path = bench.path("run/run.json");
    let valid = std::fs::read(&path).unwrap();
    let run = RunDirectory::open(&bench.path("run")).unwrap();
    let refused =
        attack(&path, mutated(valid), move |_| Record::read(&run).map(drop).map_err(|e| e.to_string()));
    assert!(refused > 100, "{refused} refused");
}
