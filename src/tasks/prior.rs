//! Samples of models that make features of codes: codes drawn from the prior and decoded, as a picture, an array
//! or a table.

use std::path::Path;

use super::table::csv;
use super::{Drawn, Request, Trained, opponent};
use crate::base::input;
use crate::base::names::nearest;
use crate::base::rng::{self, streams};
use crate::data::image::npy;
use crate::data::table::{Column, Table};
use crate::data::{Dataset, Fitted, FittedImage, Target};
use crate::nn::{Gan, Model, Vae};
use crate::report::grid;
use crate::train::TrainError;

/// Maximum samples per call.
const MOST: usize = 1_000_000;

/// Draws samples and encodes them as the file in `request`: a picture (`.png`, a grid of images), an array
/// (`.npy`, `f32` `[count, features]` or `[count, C, H, W]`) or a table (`.csv`), in the features' own units.
/// A conditional model draws the class in `request`, or cycles through all of them.
///
/// # Errors
/// If an option is only for texts or is out of range, there is no such class, or the device fails.
pub(super) fn sample(trained: &Trained, request: &Request) -> Result<Drawn, TrainError> {
    let given = [
        ("length", request.length.is_some()),
        ("temperature", request.temperature.is_some()),
        ("prompt", request.prompt.is_some()),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
        return Err(trained.unsuited(option, "is for models of text ([data.text]); this one is none"));
    }
    let Some(output) = request.output else {
        return Err(trained.unsuited("output", "is missing: the samples need a .png, .npy or .csv file"));
    };
    let wrong = |reason: &str| TrainError::unusable(output, reason);
    let fitted = trained.fitted;
    let count = request.count.unwrap_or(64);
    let form = Form::of(output)
        .or_else(|| Form::of_stream(output))
        .ok_or_else(|| wrong("the file must end in .png, .npy or .csv"))?;
    if !(1..=MOST).contains(&count) {
        let problem = format!("{count} is not in 1..={MOST}");
        return Err(TrainError::Setting { run: None, name: "count", problem });
    }
    let names = feature_names(fitted)?;
    let decoder = decoder(trained, names.len())?;
    let picture = match (form, &fitted.image) {
        (Form::Picture, None) => {
            return Err(wrong("the rows are not images; write the samples to a .csv or .npy file"));
        }
        (_, image) => image.as_ref(),
    };
    let codes = prior(count, decoder.latent, [request.seed as u32, (request.seed >> 32) as u32]);
    let classes = fitted.target.classes().len().max(1);
    let wanted = request.class.as_deref().map(|class| label(trained, class)).transpose()?;
    let labels = (0..count).map(|i| wanted.unwrap_or((i % classes) as u32)).collect();
    let values = fitted.own_units(&names, &decode(trained, &decoder, codes, labels)?);
    let bytes = match (form, picture) {
        (Form::Picture, Some(image)) => grid::png(image, &values),
        (Form::Array, image) => npy::bytes(&values, &shape(count, image, names.len())),
        (Form::Picture | Form::Table, _) => {
            let rows = values.chunks(names.len().max(1)).map(|row| row.iter().map(f32::to_string).collect());
            csv(&std::iter::once(names.clone()).chain(rows).collect::<Vec<_>>())?
        }
    };
    Ok(Drawn::File(count, bytes))
}

/// The label of a class of a conditional model.
fn label(trained: &Trained, class: &str) -> Result<u32, TrainError> {
    let settings = trained.settings;
    let conditional = settings.model.variational().map(|vae| vae.conditional);
    if !conditional.or(settings.model.adversarial().map(|gan| gan.conditional)).unwrap_or(false) {
        let problem =
            "is for models that were trained with `model.conditional = true`; this one knows no classes";
        return Err(trained.unsuited("class", problem));
    }
    let names = trained.fitted.target.classes();
    let found = names.iter().position(|name| name == class);
    found.map(|at| at as u32).ok_or_else(|| {
        let hint = nearest(class, names.iter().map(String::as_str));
        trained.unsuited("class", &format!("= \"{class}\" is none of the model's classes{hint}"))
    })
}

/// A model that makes features of codes.
pub(super) struct Decoder {
    model: Box<dyn Model>,
    /// Dimension of a code.
    pub latent: usize,
    /// Numbers it makes of each.
    pub features: usize,
}

/// The decoder or generator of a trained model for rows of `features` numbers.
///
/// # Errors
/// If the model has none.
pub(super) fn decoder(trained: &Trained, features: usize) -> Result<Decoder, TrainError> {
    let Trained { settings, fitted, .. } = *trained;
    let image = fitted.image.as_ref().map(|image| image.shape);
    let classes = fitted.target.outputs();
    if let Some(vae) = Vae::new(settings.model, features, image, classes) {
        let latent = vae.settings.latent;
        return Ok(Decoder { model: Box::new(vae.decoder()), latent, features });
    }
    let gan = Gan::new(settings.model, features, image, classes, opponent(settings));
    let gan = gan.ok_or_else(|| trained.refuse("its model has no decoder"))?;
    let latent = gan.settings.latent;
    Ok(Decoder { model: Box::new(gan.generator()), latent, features })
}

/// The file format of samples.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Picture,
    Array,
    Table,
}

impl Form {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_lowercase().as_str() {
            "png" => Some(Self::Picture),
            "npy" => Some(Self::Array),
            "csv" => Some(Self::Table),
            _ => None,
        }
    }

    /// Standard output, a pipe or a device, whose names have no ending.
    fn of_stream(path: &Path) -> Option<Self> {
        (path == Path::new("-") || input::is_special(path)).then_some(Self::Table)
    }
}

/// Codes `[count, latent]` drawn from the prior, `N(0, 1)`.
pub(super) fn prior(count: usize, latent: usize, seed: [u32; 2]) -> Vec<f32> {
    let code = |i: usize| rng::normal(rng::word(seed, streams::SAMPLE, 0, i as u32));
    (0..count * latent).map(code).collect()
}

/// Decodes codes to expected features `[codes, features]`, in scaled units; `labels` are the classes for a
/// conditional model.
///
/// # Errors
/// If the weights do not match the model, or the device fails.
pub(super) fn decode(
    trained: &Trained,
    decoder: &Decoder,
    codes: Vec<f32>,
    labels: Vec<u32>,
) -> Result<Vec<f32>, TrainError> {
    let latent = decoder.latent;
    let rows = codes.len() / latent.max(1);
    let rows = Dataset {
        rows,
        features: (1..=latent).map(|at| format!("code {at}")).collect(),
        x: codes,
        target: Some(Target::Labels(labels)),
        source_rows: (0..rows).collect(),
        ..Dataset::default()
    };
    Ok(trained.engine(&*decoder.model, &rows)?.evaluate()?.raw)
}

/// Names of the features of a run's rows.
pub(super) fn feature_names(fitted: &Fitted) -> Result<Vec<String>, TrainError> {
    if let Some(image) = &fitted.image {
        return Ok(image.names());
    }
    let names: Vec<String> = fitted.columns.iter().map(|c| c.name.clone()).collect();
    let columns = vec![Column::default(); names.len()];
    Ok(fitted.encode(&Table { names, columns, ..Table::default() }, &[], false)?.features)
}

fn shape(count: usize, image: Option<&FittedImage>, features: usize) -> Vec<usize> {
    match image {
        Some(image) => vec![count, image.shape.channels, image.shape.height, image.shape.width],
        None => vec![count, features],
    }
}
