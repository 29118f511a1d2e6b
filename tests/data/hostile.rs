//! Damaged or malicious files: whatever they contain, reading ends soon, with a value or an error that names
//! the file; it neither panics nor allocates more than 1 GiB at once.
#![allow(unsafe_code, reason = "an allocator that refuses huge requests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use gridlight::data::{self, DataConfig, Goal};
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::audit::Record;
use gridlight::run::directory::RunDirectory;
use gridlight::run::evaluate;
use gridlight::train::{checkpoint, history};
use parquet::basic::Encoding;
use sha2::{Digest, Sha256};

use crate::interruptions::Bench;
use crate::mutate::mutate;
use crate::parquet_table::parquet_table;

/// Refuses allocations above 1 GiB. The process then ends with the size in its message, and the culprit is
/// the last input written (see [`attack`]).
struct Bounded;

const LARGEST: usize = 1 << 30;

// SAFETY: every request is passed on to the system allocator unchanged, or refused with a null pointer, which
// `GlobalAlloc` allows.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's guarantees about `layout` are those the system allocator requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > LARGEST {
            return std::ptr::null_mut();
        }
        // SAFETY: `pointer` came from the system allocator with `layout`, because all requests go there.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// Writes every input to `path` and reads it, each within 5 s. Returns how many were rejected.
fn attack(
    path: &Path,
    inputs: impl Iterator<Item = Vec<u8>>,
    read: impl Fn(&Path) -> Result<(), String> + Send + Clone + 'static,
) -> usize {
    let name = path.file_name().unwrap().to_str().unwrap().to_string();
    let mut refused = 0;
    for (number, bytes) in inputs.enumerate() {
        std::fs::write(path, &bytes).unwrap();
        let (sender, receiver) = mpsc::channel();
        let (read, place) = (read.clone(), path.to_path_buf());
        std::thread::spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&place)));
            let _ = sender.send(result.map_err(|_| "panicked"));
        });
        // The input is kept for inspection if something goes wrong.
        let bad = |what: &str| {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}"));
            std::fs::copy(path, &kept).unwrap();
            panic!("input {number} ({}): {what}", kept.display())
        };
        match receiver.recv_timeout(Duration::from_secs(5)) {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(message))) => {
                refused += 1;
                if !message.contains(&name) {
                    bad(&format!("the error does not name the file: {message}"));
                }
            }
            Ok(Err(panicked)) => bad(panicked),
            Err(_) => bad("took more than 5 s"),
        }
    }
    refused
}

const COUNT: u32 = 500;

fn mutated(valid: Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    (0..COUNT).map(move |seed| mutate(&valid, seed))
}

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
    let loaded =
        data::load(&config, path.parent().unwrap(), Goal::Regression, [1, 2]).map_err(|e| e.to_string())?;
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

/// The preprocessing fitted on a few RGB images of 3 x 2 pixels.
fn fitted_images(directory: &Path) -> data::Fitted {
    let values: Vec<u8> = (0..20 * 18).map(|i| (i * 37 % 251) as u8).collect();
    std::fs::write(directory.join("fit-images-idx3"), idx(&[20, 3, 2, 3], &values)).unwrap();
    let labels: Vec<u8> = (0..20).map(|i| i % 3).collect();
    std::fs::write(directory.join("fit-labels-idx1"), idx(&[20], &labels)).unwrap();
    let config: DataConfig = toml::from_str("source = \"fit-images-idx3\"\ntarget = \"label\"").unwrap();
    data::load(&config, directory, Goal::Classes, [1, 2]).unwrap().fitted
}

fn idx(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|side| side.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// Attacks the image reader of a fitted run with a file called `name`, starting from `valid`.
fn attack_images(name: &str, valid: Vec<u8>, least_refused: usize) {
    let directory = tempfile::tempdir().unwrap();
    let fitted = fitted_images(directory.path());
    let path = directory.path().join(name);
    std::fs::write(&path, &valid).unwrap();
    let read = move |path: &Path| data::load_with(&fitted, path, false).map(drop).map_err(|e| e.to_string());
    read(&path).unwrap();
    let refused = attack(&path, mutated(valid), read);
    assert!(refused >= least_refused, "{name}: {refused} refused");
}

#[test]
fn array_files() {
    use std::io::Write;
    let values: Vec<u8> = (0..20 * 18).map(|i| (i * 37 % 251) as u8).collect();
    let plain = idx(&[20, 3, 2, 3], &values);
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    encoder.write_all(&plain).unwrap();
    attack_images("hostile-idx3.gz", encoder.finish().unwrap(), 300);
    attack_images("hostile-idx3", plain, 200);
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (20, 3, 2, 3), }";
    let npy = [b"\x93NUMPY\x01\x00\x76\x00", format!("{header:<117}\n").as_bytes(), &values].concat();
    attack_images("hostile.npy", npy.clone(), 150);
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    writer.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(&npy).unwrap();
    attack_images("hostile.npz", writer.finish().unwrap().into_inner(), 200);
}

#[test]
fn labels_of_images() {
    let directory = tempfile::tempdir().unwrap();
    let fitted = fitted_images(directory.path());
    let path = directory.path().join("fit-labels-idx1");
    let images = directory.path().join("fit-images-idx3");
    let read = move |_: &Path| data::load_with(&fitted, &images, true).map(drop).map_err(|e| e.to_string());
    let refused = attack(&path, mutated(std::fs::read(&path).unwrap()), read);
    assert!(refused > 300, "{refused} refused");
}

#[test]
fn pictures() {
    let mut png = vec![];
    let mut encoder = png::Encoder::new(&mut png, 30, 20);
    encoder.set_color(png::ColorType::Rgb);
    let values: Vec<u8> = (0..1800).map(|i| (i * 37 % 251) as u8).collect();
    encoder.write_header().unwrap().write_image_data(&values).unwrap();
    attack_images("hostile.png", png, 300);
    for name in ["halves.jpg", "grey.jpg", "progressive.jpg"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name);
        attack_images(name, std::fs::read(path).unwrap(), 100);
    }
}
