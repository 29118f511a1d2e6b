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
    text: String,
    directory: tempfile::TempDir,
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
        Self { name, text, directory, experiment, data, binding }
    }

    /// The bytes of the best weights after some steps.
    fn train(&self, data: &Loaded, device: &Binding) -> Vec<u8> {
        self.train_in_two(&self.experiment, data, device, None)
    }

    /// As `train`, of another experiment, stopped after some steps and resumed.
    fn train_in_two(
        &self,
        experiment: &Experiment,
        data: &Loaded,
        device: &dyn Device,
        stop: Option<u64>,
    ) -> Vec<u8> {
        let scratch = tempfile::tempdir().unwrap();
        let whole = Options {
            out: scratch.path().join("run"),
            max_steps: Some(150),
            without_report: true,
            ..Options::default()
        };
        let run = |options: &Options| {
            trainer::train(experiment, data, device, options, &mut Silent)
                .unwrap_or_else(|e| panic!("{}: {e}", self.name));
        };
        if stop.is_some() {
            run(&Options { max_steps: stop, ..whole.clone() });
        }
        run(&Options { resume: stop.is_some(), ..whole.clone() });
        let name = Path::new("best.safetensors");
        std::fs::read(whole.out.join(name)).unwrap()
    }

    /// The experiment with other keys, and its data.
    fn with(&self, overrides: &[String]) -> (Experiment, Result<Loaded, String>) {
        let experiment = Experiment::parse(&self.text, "experiment.toml", overrides).unwrap();
        let data = trainer::load_data(&experiment, self.directory.path()).map_err(|e| e.to_string());
        (experiment, data)
    }

    /// Rows that stream from memory train the same bits, with less of them on the device.
    fn check_streams(&self, device: &dyn Device, expected: &[u8], whole: &Binding) {
        let mut streaming = self.data.clone();
        for set in [&mut streaming.train, &mut streaming.validation, &mut streaming.test] {
            set.store();
            set.sent_bytes = 700;
        }
        let few = Binding::of(device, None);
        assert!(self.train(&streaming, &few) == expected, "{}: streams train other bits", self.name);
        if self.name == "series" {
            // Windows that overlap are sent one by one, and those that validate are one batch.
            return;
        }
        let bytes = |device: &Binding| device.data.lock().unwrap().iter().map(|sizes| sizes.0).max();
        assert!(bytes(&few).map(|bytes| 2 * bytes) < bytes(whole), "{}: {:?}", self.name, bytes(&few));
    }

    /// Rows in a file are encoded as in memory, and train the same bits in the same order.
    fn check_disk(&self, device: &dyn Device) {
        let memory = |shuffle: bool, mib: f64| {
            let place = self.directory.path().display();
            let memory =
                format!("data.memory={{rows=\"disk\",host_mib={mib},device_mib=0.002,scratch=\"{place}\"}}");
            self.with(&[format!("train.shuffle={shuffle}"), memory])
        };
        let (experiment, loaded) = memory(false, 0.003);
        let data = match (self.name, loaded) {
            ("series" | "text" | "colours", Err(error)) => {
                assert!(error.contains("`data.memory.rows` = \"disk\" is not for these data"), "{error}");
                return;
            }
            (name, loaded) => loaded.unwrap_or_else(|e| panic!("{name}: {e}")),
        };
        let (straight, held) = self.with(&["train.shuffle=false".into()]);
        let held = held.unwrap();
        assert_eq!(data.fitted, held.fitted, "{}", self.name);
        assert_eq!((&data.digest, data.dropped), (&held.digest, held.dropped));
        for (own, other) in
            [(&data.train, &held.train), (&data.validation, &held.validation), (&data.test, &held.test)]
        {
            assert_eq!((own.rows, &own.features, &own.target), (other.rows, &other.features, &other.target));
            assert_eq!(
                (&own.categories, &own.weights, &own.filled),
                (&other.categories, &other.weights, &other.filled)
            );
            assert!(own.x.is_empty() && own.stored.as_ref().is_some_and(|stored| stored.is_file()));
            let all = 0..own.rows;
            assert!(own.features_of(all.clone()) == other.features_of(all), "{}: other features", self.name);
        }
        let expected = self.train_in_two(&straight, &held, device, None);
        assert!(self.train_in_two(&experiment, &data, device, None) == expected, "{}: disk", self.name);
        // Shuffled by blocks: another order, in which a resumed run goes on.
        let (experiment, data) = memory(true, 0.003);
        let data = data.unwrap();
        assert!(data.train.stored.as_ref().unwrap().blocks().is_some(), "{}: one pool holds all", self.name);
        let shuffled = self.train_in_two(&experiment, &data, device, None);
        assert!(shuffled != expected, "{}: not shuffled", self.name);
        assert!(
            self.train_in_two(&experiment, &data, device, Some(37)) == shuffled,
            "{}: resumed",
            self.name
        );
        // Where one pool holds all, the order is that of memory.
        let (experiment, data) = memory(true, 8.0);
        let whole = self.train_in_two(&self.experiment, &self.data, device, None);
        let found = self.train_in_two(&experiment, &data.unwrap(), device, None);
        assert!(found == whole, "{}: shuffled as in memory", self.name);
    }

    fn check(&self, device: &dyn Device) {
        let whole = Binding::of(device, None);
        let expected = self.train(&self.data, &whole);
        let largest = whole.data.lock().unwrap().iter().map(|sizes| sizes.1).max();
        assert!(largest > Some(self.binding), "{}: {largest:?} bytes need no parts", self.name);
        self.check_streams(device, &expected, &whole);
        self.check_disk(device);
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
    let mut mixed = "when,a,kind,place,flag,y,w\n".to_string();
    let mut table = "a,b,c,y\n".to_string();
    let mut series = "t,v,w\n".to_string();
    for i in 0..500 {
        let [a, b, c] = [0, 1, 2].map(|column| rng::normal(word(column, i)));
        writeln!(table, "{a},{b},{c},{}", a * b - c).unwrap();
        let (day, hour) = (1 + i / 24, i % 24);
        let [kind, place, gap] = [5, 6, 7].map(|stream| word(stream, i) % 11);
        let number = if gap == 0 { "NA".to_string() } else { format!("{a:.3}") };
        let label =
            if gap == 1 { String::new() } else { format!("{}", f64::from(a * c) - 0.5 * f64::from(kind)) };
        let flag = if gap == 2 {
            ""
        } else if b > 0.0 {
            "yes"
        } else {
            "no"
        };
        writeln!(
            mixed,
            "2024-02-{:02},{number},k{kind},{},{flag},{label},{}",
            1 + i % 28,
            if place == 0 { "-".to_string() } else { format!("p{}", place * (1 + u32::from(i > 400))) },
            1 + i % 3
        )
        .unwrap();
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
            "mixed",
            "mixed.csv",
            mixed.as_bytes(),
            &format!(
                "target = \"y\"\nweight = \"w\"\n[data.clean]\nindicators = true\ncolumns = {{ flag = \"forward_fill\" \
                 }}\n[data.transform]\ntarget = \"quantile\"\ncolumns = {{ a = \"quantile\" }}\ncategories = \
                 \"embedding\"\n{split}[model]\nhidden = [3]\n{train}"
            ),
            4096,
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
