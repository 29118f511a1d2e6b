//! Generators of adversarial pairs: codes to rows or images, in the units of the data.

use super::assembly::{Assembly, Extent, ROWS};
use super::emit::{Emitter, Held};
use super::inputs::prepare;
use super::proto::element;
use super::trace::{Dim, Trace};
use super::variational::{ONE_ROW, bind_class, class, own_units};
use super::{Request, refuse};
use crate::graph::Source;
use crate::nn::inputs::X;
use crate::nn::{Gan, Model};
use crate::tasks;
use crate::train::TrainError;

/// Writes a generator; returns what it does. The discriminator is left out.
///
/// # Errors
/// If it has an operator that ONNX does not have.
pub fn write(assembly: &mut Assembly, request: &Request) -> Result<String, TrainError> {
    let (fitted, settings) = (request.fitted, request.settings);
    let image = fitted.image.as_ref().map(|image| image.shape);
    // Rows are not read; only their width is wanted.
    let features = prepare(&mut Assembly::default(), request)?.sample.width();
    let outputs = fitted.target.outputs();
    let gan = Gan::new(settings.model, features, image, outputs, tasks::opponent(settings));
    let generator = gan.ok_or_else(|| refuse("the model has no generator"))?.generator();
    let latent = generator.settings.latent;
    let meaning = "codes to draw from: independent standard normal numbers";
    let codes = assembly.input("code", element::FLOAT, &[ROWS, Extent::Fixed(latent)], meaning);
    let class = (generator.classes > 0).then(|| class(assembly, request));
    let trace = Trace::of(|rows, _| Ok(generator.graph(rows, false)?))?;
    let mut emitter = Emitter::new(&mut assembly.builder, &trace, request.weights);
    if let Some(value) = emitter.source(&Source::Batch(X.into())) {
        emitter.bind(value, Held::new(codes, vec![ONE_ROW, Dim::fixed(latent)]));
    }
    bind_class(&mut emitter, class.as_deref());
    let found = emitter.emit(&[trace.model.predictions])?;
    let drawn = found.first().map(|held| held.name.clone()).unwrap_or_default();
    let drawn = own_units(assembly, request, features, &drawn)?;
    let shape: Vec<Extent> = match image.filter(|_| drawn.as_image) {
        Some(image) => [image.channels, image.height, image.width].map(Extent::Fixed).to_vec(),
        None => vec![Extent::Fixed(features)],
    };
    let shape: Vec<Extent> = [ROWS].into_iter().chain(shape).collect();
    let meaning =
        if request.raw { "what it draws, scaled" } else { "what it draws, in the units of the data" };
    assembly.output("drawn", &drawn.name, element::FLOAT, &shape, meaning);
    Ok("Draws rows like those of the data from codes.".into())
}
