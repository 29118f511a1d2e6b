//! Gridlight in a browser: training on the visitor's GPU through WebGPU, or on the processor where there is none.
//!
//! Everything here is for `worker.js`, which runs it beside the page. Files are given by [`put_file`] and stay in the
//! browser's memory; results are JSON, bytes of files, or HTML.

mod summary;

use std::path::Path;

use gridlight::base::files;
use gridlight::data::{self, DataConfig};
use gridlight::device::Device;
use gridlight::device::cpu::CpuDevice;
use gridlight::device::gpu::browser;
use gridlight::experiment::{Experiment, starter};
use gridlight::run::live::Live;
use gridlight::run::trainer::load_data;
use gridlight::tasks::{Drawn, Input, Request};
use wasm_bindgen::prelude::*;

/// The name of an experiment in messages.
const PLACE: &str = "experiment.toml";
/// The name of rows to predict.
const ROWS: &str = "rows-to-predict.csv";

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn complain(text: &str);
}

/// Errors as the text that the program would print.
fn wrong(error: impl std::fmt::Display) -> JsError {
    JsError::new(&error.to_string())
}

/// Sends the text of panics, which end the worker, to the console.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|info| complain(&format!("the engine stopped: {info}"))));
}

/// The version of the program.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// Keeps a file under its name, which may have folders (`photos/cat/1.png`).
#[wasm_bindgen]
pub fn put_file(name: &str, bytes: Vec<u8>) {
    files::put(name, bytes);
}

/// Forgets all files.
#[wasm_bindgen]
pub fn clear_files() {
    files::clear();
}

/// The names of the files and folders that an experiment reads, as JSON.
///
/// # Errors
/// If the experiment is wrong, or two of them have one name, as they lie side by side here.
#[wasm_bindgen]
pub fn files_of(toml: &str, overrides: Vec<String>) -> Result<String, JsError> {
    let experiment = Experiment::parse(toml, PLACE, &overrides).map_err(wrong)?;
    let names = experiment.data.names().map_err(wrong)?;
    serde_json::to_string(&names).map_err(wrong)
}

/// The style sheet of what [`Training::sections`] shows.
#[wasm_bindgen]
pub fn style() -> String {
    gridlight::report::STYLE.into()
}

/// A training in the browser.
#[wasm_bindgen]
pub struct Training {
    live: Live,
    /// Where predictions and samples are computed: small work, whose results are wanted at once.
    processor: CpuDevice,
    notes: Vec<String>,
}

#[wasm_bindgen]
impl Training {
    /// Prepares the training of an experiment on the files that were given, on the GPU or on the processor.
    ///
    /// # Errors
    /// If the experiment, its data or the device is wrong.
    pub async fn open(
        toml: String,
        overrides: Vec<String>,
        on_gpu: bool,
        max_steps: Option<u32>,
    ) -> Result<Training, JsError> {
        let experiment = Experiment::parse(&toml, PLACE, &overrides).map_err(wrong)?;
        let data = load_data(&experiment, Path::new("")).map_err(wrong)?;
        let exact = experiment.train.exact;
        let processor = CpuDevice::new(Some(1)).exact(exact);
        let gpu;
        let device: &dyn Device = if on_gpu {
            gpu = browser::open(exact).await.map_err(wrong)?;
            &gpu
        } else {
            &processor
        };
        let mut notes = vec![];
        let live = Live::new(&experiment, data, device, max_steps.map(u64::from), &mut |text| {
            notes.push(text.to_string());
        });
        Ok(Training { live: live.map_err(wrong)?, processor, notes })
    }

    /// Starts from the weights of a file that was given.
    ///
    /// # Errors
    /// If they are not those of the model.
    pub async fn start_from(&mut self, file: String) -> Result<(), JsError> {
        self.live.start_from(Path::new(&file)).await.map_err(wrong)
    }

    /// Runs at most `count` steps, up to the end of an epoch; returns their losses.
    ///
    /// # Errors
    /// If training diverges or the device fails.
    pub async fn step(&mut self, count: usize) -> Result<Vec<f32>, JsError> {
        self.live.step(count).await.map_err(wrong)
    }

    /// What is trained on what, as JSON.
    pub fn about(&mut self) -> String {
        summary::about(&mut self.live, &self.notes).to_string()
    }

    /// Steps, epochs and the best epoch so far, as JSON.
    pub fn status(&self) -> String {
        summary::status(&self.live).to_string()
    }

    /// SHA-256 of the best weights, if there are any.
    pub fn digest(&self) -> Option<String> {
        self.live.weights_digest()
    }

    /// The bytes of `best.safetensors`.
    ///
    /// # Errors
    /// If nothing was validated yet.
    pub fn weights(&self) -> Result<Vec<u8>, JsError> {
        self.live.safetensors().map_err(wrong)
    }

    /// The bytes of the model as ONNX.
    ///
    /// # Errors
    /// If nothing was validated yet, or something in it has no form in ONNX.
    pub fn onnx(&self) -> Result<Vec<u8>, JsError> {
        Ok(self.live.onnx().map_err(wrong)?.bytes)
    }

    /// Why there is no ONNX of the model, if something in it has no form there.
    pub fn onnx_refused(&self) -> Option<String> {
        self.live.onnx().err().map(|error| error.to_string())
    }

    /// Predictions for rows of a table, both as CSV.
    ///
    /// # Errors
    /// If nothing was validated yet, or the rows are not like those that trained.
    pub fn predict(&self, rows: Vec<u8>) -> Result<String, JsError> {
        files::put(ROWS, rows);
        let input = Input { file: Path::new(ROWS), future: None };
        let table = self.live.predict(input, &self.processor).map_err(wrong)?;
        String::from_utf8(table.csv().map_err(wrong)?).map_err(wrong)
    }

    /// Some rows to predict, as JSON: the names of the columns, and rows of the table that trained.
    ///
    /// # Errors
    /// If it is gone.
    pub fn examples(&self, count: usize) -> Result<String, JsError> {
        serde_json::to_string(&self.live.examples(count).map_err(wrong)?).map_err(wrong)
    }

    /// A picture of samples as PNG.
    ///
    /// # Errors
    /// If nothing was validated yet, or the model generates no images.
    pub fn pictures(&self, count: usize, seed: u32) -> Result<Vec<u8>, JsError> {
        let output = Some(Path::new("samples.png"));
        let request = Request { count: Some(count), seed: u64::from(seed), output, ..Request::default() };
        match self.live.sample(&request, &self.processor).map_err(wrong)? {
            Drawn::File(_, bytes) => Ok(bytes),
            Drawn::Text(text) => Err(wrong(format!("the model writes text: {text}"))),
        }
    }

    /// A new text.
    ///
    /// # Errors
    /// If nothing was validated yet, the model writes no text, or does not know a character of the prompt.
    pub fn text(
        &self,
        length: usize,
        temperature: f64,
        prompt: String,
        seed: u32,
    ) -> Result<String, JsError> {
        let request = Request {
            seed: u64::from(seed),
            length: Some(length),
            temperature: Some(temperature),
            prompt: (!prompt.is_empty()).then_some(prompt),
            ..Request::default()
        };
        match self.live.sample(&request, &self.processor).map_err(wrong)? {
            Drawn::Text(text) => Ok(text),
            Drawn::File(..) => Err(wrong("the model writes no text")),
        }
    }

    /// What a report shows of the best model, as HTML.
    ///
    /// # Errors
    /// If nothing was validated yet.
    pub fn sections(&self) -> Result<String, JsError> {
        self.live.sections(&self.processor).map_err(wrong)
    }
}

/// An experiment for a file that was given, with what can be seen of it, as TOML; the target is by default the last
/// column of a table.
///
/// # Errors
/// If the file is no table and no text, or has no such column.
#[wasm_bindgen]
pub fn starter(file: &str, target: Option<String>) -> Result<String, JsError> {
    starter::text(Path::new(file), target.as_deref(), &[]).map_err(wrong)
}

/// The columns of a table that was given, as JSON: names, kinds, and what they hold.
///
/// # Errors
/// If it is no table.
#[wasm_bindgen]
pub fn columns(file: &str) -> Result<String, JsError> {
    let config = DataConfig::of(file);
    let understood = data::look(&config, Path::new("")).map_err(wrong)?;
    let understood = understood.ok_or_else(|| wrong(format!("{file}: this is no table")))?;
    let column = |column: &data::Column| serde_json::json!({"name": column.name, "values": column.values});
    Ok(serde_json::Value::from(understood.columns.iter().map(column).collect::<Vec<_>>()).to_string())
}
