//! Data sets as bytes or numbers, in one buffer or in several: on any device, the trained bits are the same.

use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;

use gridlight::base::rng;
use gridlight::base::target::Target;
use gridlight::data::{Dataset, Loaded};
use gridlight::device::{Device, DeviceError, DeviceInfo, Session};
use gridlight::experiment::Experiment;
use gridlight::graph::Source;
use gridlight::graph::expression::Workspace;
use gridlight::plan::{BufferClass, Program};
use gridlight::run::job::Options;
use gridlight::run::trainer;
use gridlight::train::custom::{Data, Loop, Phase, Recipe};

use crate::silent::Silent;

/// A device that binds no more bytes at once than `target` says.
struct Binding<'a> {
    inner: &'a dyn Device,
    target: Target,
    /// Bytes of the data of the programs loaded: of all buffers, and of the largest.
    data: Mutex<Vec<(u64, u64)>>,
}

impl<'a> Binding<'a> {
    fn of(inner: &'a dyn Device, bytes: Option<u64>) -> Self {
        let whole = inner.target();
        let max_binding_bytes = bytes.unwrap_or(whole.max_binding_bytes);
        Self { inner, target: Target { max_binding_bytes, ..whole.clone() }, data: Mutex::default() }
    }
}

impl Device for Binding<'_> {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn load(&self, program: &Program) -> Result<Box<dyn Session>, DeviceError> {
        let sizes =
            program.buffers.iter().filter(|b| b.class == BufferClass::Data).map(|b| 4 * b.words as u64);
        self.data.lock().unwrap().push((sizes.clone().sum(), sizes.max().unwrap_or(0)));
        let session = self.inner.load(program)?;
        assert_eq!(session.allocated_bytes(), program.bytes(), "what is planned is allocated");
        Ok(session)
    }
}

/// An experiment and its data.
struct Case {
    name: &'static str,
    experiment: Experiment,
    data: Loaded,
    /// Bytes that a device binds, if few: less than the largest block of the data.
    binding: u64,
}

impl Case {
    fn new(name: &'static str, file: &str, contents: &[u8], text: &str, binding: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(file), contents).unwrap();
        if file.contains("-idx3-") {
            let images = u32::from_be_bytes(contents[4..8].try_into().unwrap());
            let labels: Vec<u8> =
                (0..images).map(|i| (contents[16 + 35 * i as usize] > 127).into()).collect();
            let file = file.replace("images-idx3", "labels-idx1");
            std::fs::write(directory.path().join(file), idx(&[images], &labels)).unwrap();
        }
        let text = format!("name = \"{name}\"\n[data]\nsource = \"{file}\"\n{text}");
        let experiment = Experiment::parse(&text, "experiment.toml", &[]).unwrap();
        let data = trainer::load_data(&experiment, directory.path()).unwrap();
        Self { name, experiment, data, binding }
    }

    /// The bytes of the best weights after some steps, and the sizes of the data of the programs.
    fn train(&self, data: &Loaded, device: &Binding) -> Vec<u8> {
        let scratch = tempfile::tempdir().unwrap();
        let options = Options {
            out: scratch.path().join("run"),
            max_steps: Some(150),
            without_report: true,
            ..Options::default()
        };
        trainer::train(&self.experiment, data, device, &options, &mut Silent)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let name = Path::new("best.safetensors");
        std::fs::read(options.out.join(name)).unwrap()
    }

    fn check(&self, device: &dyn Device) {
        let whole = Binding::of(device, None);
        let expected = self.train(&self.data, &whole);
        let largest = whole.data.lock().unwrap().iter().map(|sizes| sizes.1).max();
        assert!(largest > Some(self.binding), "{}: {largest:?} bytes need no parts", self.name);
        let few = Binding::of(device, Some(self.binding));
        assert!(self.train(&self.data, &few) == expected, "{}: parts train other bits", self.name);
        let all = few.data.lock().unwrap().clone();
        assert!(all.iter().all(|sizes| sizes.1 <= self.binding), "{}: {all:?}", self.name);
        if self.data.train.pixels.is_none() {
            return;
        }
        let mut numbers = self.data.clone();
        for set in [&mut numbers.train, &mut numbers.validation, &mut numbers.test] {
            unpack(set);
        }
        let device = Binding::of(device, None);
        assert!(self.train(&numbers, &device) == expected, "{}: bytes train other bits", self.name);
        let bytes = |device: &Binding| device.data.lock().unwrap().iter().map(|sizes| sizes.0).max();
        assert!(bytes(&device) > bytes(&whole).map(|bytes| 2 * bytes), "{}", self.name);
    }
}

/// Stores the features as numbers.
fn unpack(set: &mut Dataset) {
    set.x = set.features_of(0..set.rows).into_owned();
    set.pixels = None;
}

fn word(stream: u32, i: u32) -> u32 {
    rng::word([3, 8], stream, 0, i)
}

/// An IDX file of bytes.
fn idx(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|side| side.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// Images of 5 x 7 pixels, so that rows are no whole words.
fn images(count: u32) -> Vec<u8> {
    let values: Vec<u8> = (0..35 * count).map(|i| (word(1, i) >> 24) as u8).collect();
    idx(&[count, 5, 7], &values)
}

fn cases() -> Vec<Case> {
    let split = "[data.split]\nby = \"random\"\nvalidation = 0.2\ntest = 0.1\n";
    let train = "[train]\nepochs = 2\nbatch_size = 4\nlearning_rate = 0.01\n";
    let cnn = "[model]\nfamily = \"cnn\"\nchannels = [2]\nhidden = [3]\n";
    let changes =
        "[data.augment]\nnoise = 0.1\nflip_horizontal = true\nrotation = 20\nshift = 1\ncutout = 2\n";
    let mut table = "a,b,c,y\n".to_string();
    let mut series = "t,v,w\n".to_string();
    for i in 0..500 {
        let [a, b, c] = [0, 1, 2].map(|column| rng::normal(word(column, i)));
        writeln!(table, "{a},{b},{c},{}", a * b - c).unwrap();
        let (day, hour) = (1 + i / 24, i % 24);
        writeln!(series, "2024-01-{day:02} {hour:02}:00,{},{b}", a + (i as f32 / 3.0).sin()).unwrap();
    }
    let text: String = (0..3000).map(|i| ["a", "b", "ab ", "\n"][word(4, i) as usize % 4]).collect();
    let colours: Vec<u8> = (0..400 * 36).map(|i| (word(2, i) >> 24) as u8).collect();
    let mut header = "label".to_string();
    let mut pixels = String::new();
    for i in 0..36 {
        write!(header, ",p{i}").unwrap();
    }
    for row in colours.chunks(36) {
        write!(pixels, "\n{}", u8::from(row[0] > 127)).unwrap();
        row.iter().for_each(|byte| write!(pixels, ",{byte}").unwrap());
    }
    let name = "a-images-idx3-ubyte";
    vec![
        Case::new("images", name, &images(400), &format!("{split}{cnn}{train}"), 4096),
        Case::new("changed", name, &images(400), &format!("{changes}{split}{cnn}{train}"), 4096),
        Case::new(
            "colours",
            "colours.csv",
            format!("{header}{pixels}\n").as_bytes(),
            &format!(
                "target = \"label\"\nimage = {{ shape = [3, 3, 4] }}\n[data.augment]\nnoise = 0.25\n{split}\
                 [model]\nhidden = [3]\n{train}"
            ),
            4096,
        ),
        Case::new(
            "table",
            "table.csv",
            table.as_bytes(),
            &format!("target = \"y\"\n[data.augment]\nnoise = 0.25\n{split}[model]\nhidden = [3]\n{train}"),
            2048,
        ),
        Case::new(
            "series",
            "series.csv",
            series.as_bytes(),
            &format!(
                "target = \"v\"\n[data.window]\nlength = 5\ntime = \"t\"\n[data.split]\nby = \"order\"\n\
                 validation = 0.2\ntest = 0.1\n[model]\nhidden = [3]\n{train}"
            ),
            2048,
        ),
        Case::new(
            "text",
            "text.txt",
            text.as_bytes(),
            &format!(
                "text = {{ length = 6 }}\n[data.split]\nby = \"order\"\nvalidation = 0.1\ntest = 0.1\n[model]\n\
                 family = \"rnn\"\nhidden = [4]\n{train}"
            ),
            4096,
        ),
    ]
}

/// Trains each case from one buffer and from parts, and images from bytes and from numbers.
pub fn parts_and_bytes_train_the_same_bits(device: &dyn Device) {
    for case in cases() {
        case.check(device);
    }
}

/// A loop that a program writes itself reads every row of a data set in parts.
pub fn a_custom_loop_reads_every_part(device: &dyn Device) {
    const ROWS: usize = 100;
    let workspace = Workspace::new();
    let u = workspace.source(Source::Batch("u".into()), &[4, 3]);
    let (graph, values) = workspace.finish(&[&(u.reshape(&[12]) * 1.0)]).unwrap();
    let recipe = Recipe::new()
        .data(Data::new("rows", ROWS).column("u", 3))
        .phase(Phase::of("read", graph).reads("rows", 4).keep("rows", values[0]));
    let device = Binding::of(device, Some(512));
    let mut training = Loop::new(&device, &recipe).unwrap();
    training.initialise(5).unwrap();
    let written: Vec<f32> = (0..3 * ROWS).map(|i| i as f32).collect();
    assert!(training.write_data("rows", "u", &written[1..]).is_err());
    training.write_data("rows", "u", &written).unwrap();
    let mut read = vec![];
    for _ in 0..ROWS / 4 {
        training.run("read").unwrap();
        read.extend(training.result("read", "rows").unwrap());
    }
    assert_eq!(read, written);
}
