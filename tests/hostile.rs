//! Files that are damaged or made to do harm: whatever is in them, reading ends soon, with a value or with an
//! error that names the file; it does not panic and asks for no more than 1 GiB at once.
#![allow(unsafe_code, reason = "an allocator that refuses huge requests")]

mod interruptions;
mod mutate;
mod synthetic;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use gridlight::data::{self, DataConfig, Task};
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::train::audit::Record;
use gridlight::train::run::RunDirectory;
use gridlight::train::{checkpoint, evaluate, history};
use interruptions::Bench;
use mutate::mutate;
use sha2::{Digest, Sha256};

/// Refuses requests above 1 GiB; the process then ends with the size in its message, and the input is the last
/// one written (see [`attack`]).
struct Bounded;

const LARGEST: usize = 1 << 30;

// SAFETY: every request is passed on to the system's allocator unchanged, or refused with a null pointer, which
// `GlobalAlloc` allows.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises about `layout` are the system allocator's.
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
        // SAFETY: `pointer` came from the system allocator with `layout`, for all requests go there.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// Writes every input to `path` and reads it there, each within 5 s. Gives how many were refused.
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
        // The input is kept for a look if something is wrong with it.
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

/// Numbers, names, times and truth values, with gaps.
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
        data::load(&config, path.parent().unwrap(), Task::Regression, [1, 2]).map_err(|e| e.to_string())?;
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

/// The table as Parquet.
fn parquet_table(path: &Path, compression: parquet::basic::Compression, version: i32) {
    use parquet::data_type::{BoolType, ByteArrayType, DoubleType, Int32Type, Int64Type};
    use parquet::file::properties::{WriterProperties, WriterVersion};
    let schema = "message table { optional double n; required byte_array name (UTF8); \
                  required int64 time (TIMESTAMP(MILLIS,true)); required boolean flag; required int32 y; }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let version = if version == 2 { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
    let properties = WriterProperties::builder().set_compression(compression).set_writer_version(version);
    let file = std::fs::File::create(path).unwrap();
    let writer =
        parquet::file::writer::SerializedFileWriter::new(file, schema.into(), properties.build().into());
    let mut writer = writer.unwrap();
    for _ in 0..2 {
        let mut group = writer.next_row_group().unwrap();
        let rows = 0..30;
        while let Some(mut column) = group.next_column().unwrap() {
            use parquet::column::writer::ColumnWriter;
            match column.untyped() {
                ColumnWriter::DoubleColumnWriter(_) => {
                    let levels: Vec<i16> = rows.clone().map(|r| i16::from(r % 11 != 0)).collect();
                    let values: Vec<f64> =
                        rows.clone().filter(|r| r % 11 != 0).map(|r| f64::from(r * 7 % 13)).collect();
                    column.typed::<DoubleType>().write_batch(&values, Some(&levels), None).unwrap();
                }
                ColumnWriter::ByteArrayColumnWriter(_) => {
                    let names = rows.clone().map(|r| ["red", "green", "blue"][r as usize % 3].into());
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&names.collect::<Vec<_>>(), None, None)
                        .unwrap();
                }
                ColumnWriter::Int64ColumnWriter(_) => {
                    let times: Vec<i64> =
                        rows.clone().map(|r| 1_700_000_000_000 + 3_600_000 * i64::from(r)).collect();
                    column.typed::<Int64Type>().write_batch(&times, None, None).unwrap();
                }
                ColumnWriter::BoolColumnWriter(_) => {
                    let flags: Vec<bool> = rows.clone().map(|r| r % 2 == 0).collect();
                    column.typed::<BoolType>().write_batch(&flags, None, None).unwrap();
                }
                _ => {
                    let y: Vec<i32> = rows.clone().map(|r| r * 3 % 17).collect();
                    column.typed::<Int32Type>().write_batch(&y, None, None).unwrap();
                }
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn parquet_tables() {
    use parquet::basic::{Compression, ZstdLevel};
    let directory = tempfile::tempdir().unwrap();
    let zstd = Compression::ZSTD(ZstdLevel::default());
    for (name, compression, version) in
        [("plain", Compression::UNCOMPRESSED, 1), ("snappy", Compression::SNAPPY, 2), ("zstd", zstd, 1)]
    {
        let path = directory.path().join(format!("{name}.parquet"));
        parquet_table(&path, compression, version);
        load(&path).unwrap();
        let refused = attack(&path, mutated(std::fs::read(&path).unwrap()), load);
        assert!(refused > 100, "{name}: {refused} refused");
    }
}

#[test]
fn a_page_that_says_it_is_huge_is_refused_before_it_is_allocated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("huge.parquet");
    parquet_table(&path, parquet::basic::Compression::SNAPPY, 1);
    let valid = std::fs::read(&path).unwrap();
    // The first page begins after the magic: field 1 (its type), then field 2, the size once decompressed.
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

/// A file with the right digest for its contents, as an attacker would make it.
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

/// A change within the header, whose length is corrected.
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
    // A change of any kind is noticed; a few of the mutations change nothing.
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
        evaluate::evaluate(&run, None, None, &device).map_err(|e| e.to_string())?;
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
