//! A loop of one's own: two models, two optimizers, taking turns. A generative adversarial network (Goodfellow et
//! al. 2014) draws handwritten digits: `cargo run --release --example custom_loop [cpu|gpu]`.

use std::path::Path;

use gridlight::base::rng::RandomKind;
use gridlight::device::{Device, DeviceChoice, open::open};
use gridlight::graph::Source;
use gridlight::graph::expression::{Expression, Workspace};
use gridlight::nn::layers::{Dense, Dropout};
use gridlight::optim::Adam;
use gridlight::train::custom::{Data, Loop, Parameters, Phase, Recipe, Set};

const PIXELS: usize = 64;
const CODE: usize = 16;
const BATCH: usize = 64;

/// Random stream of the codes.
const CODES: u32 = 1000;

fn dense(units: usize) -> Dense {
    Dense { units, bias: true }
}

/// Codes `[B, 16]` to images `[B, 64]` in `[-1, 1]`.
fn generator(model: &Parameters, code: &Expression) -> Expression {
    let hidden = model.layer(0, &dense(128), code).relu();
    let hidden = model.layer(1, &dense(128), &hidden).relu();
    model.layer(2, &dense(PIXELS), &hidden).tanh()
}

/// Images `[B, 64]` to the logit `[B, 1]` that they are real.
fn discriminator(model: &Parameters, image: &Expression) -> Expression {
    let leaky = |x: Expression| x.maximum(0.2 * &x);
    let hidden = leaky(model.layer(0, &dense(128), image));
    let hidden = model.layer(1, &Dropout { rate: 0.3 }, &hidden);
    let hidden = leaky(model.layer(2, &dense(64), &hidden));
    model.layer(3, &dense(1), &hidden)
}

/// The two players and how they take turns.
fn game(rows: usize) -> Result<Recipe, Box<dyn std::error::Error>> {
    let workspace = Workspace::new();
    let real = workspace.source(Source::Batch("pixels".into()), &[BATCH, PIXELS]);
    let code = workspace.append(|graph| graph.random(RandomKind::Normal, CODES, &[BATCH, CODE]));
    let painter = Parameters::new(&workspace, "generator");
    let judge = Parameters::new(&workspace, "discriminator");
    let fake = generator(&painter, &code);
    let (of_real, of_fake) = (discriminator(&judge, &real), discriminator(&judge, &fake));
    // -ln(sigmoid(x)) = softplus(-x). The generator maximises ln D(G(z)), whose gradient does not vanish early on.
    let judging = (-&of_real).softplus().mean(&[0, 1]) + of_fake.softplus().mean(&[0, 1]);
    let painting = (-&of_fake).softplus().mean(&[0, 1]);
    let (graph, values) = workspace.finish(&[&judging, &painting, &fake])?;
    let [judging, painting, fake] = values[..] else { unreachable!("as many values as were asked for") };

    let adam = || Adam { betas: [0.5, 0.999], ..Adam::default() }.into();
    Ok(Recipe::new()
        .set(Set::new("generator", adam(), 2e-4).all(&painter))
        .set(Set::new("discriminator", adam(), 2e-4).all(&judge))
        .data(Data::new("digits", rows).column("pixels", PIXELS).shuffled())
        .phase(
            Phase::of("judge", graph.clone())
                .reads("digits", BATCH)
                .keep("loss", judging)
                .minimise(judging, "discriminator"),
        )
        .phase(
            Phase::of("paint", graph)
                .reads("digits", BATCH)
                .keep("loss", painting)
                .keep("images", fake)
                .minimise(painting, "generator"),
        ))
}

/// The images `[rows, 64]` of the digits, scaled to `[-1, 1]`.
pub fn digits() -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/data/images/digits8x8.csv");
    let text = std::fs::read_to_string(path)?;
    let mut pixels = vec![];
    for line in text.lines().skip(1) {
        for cell in line.split(',').take(PIXELS) {
            pixels.push(cell.trim().parse::<f32>()? / 8.0 - 1.0);
        }
    }
    Ok(pixels)
}

/// Plays `steps` rounds, and returns the last batch of images that the generator drew.
pub fn play(
    device: &dyn Device,
    pixels: &[f32],
    steps: usize,
) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let mut training = Loop::new(device, &game(pixels.len() / PIXELS)?)?;
    training.initialise(0)?;
    training.write_data("digits", "pixels", pixels)?;
    for step in 0..steps {
        training.run("judge")?;
        training.run("paint")?;
        if step % 1000 == 0 {
            let (judge, paint) = (training.result("judge", "loss")?[0], training.result("paint", "loss")?[0]);
            println!("step {step:5}: loss of the discriminator {judge:.3}, of the generator {paint:.3}");
        }
    }
    Ok(training.result("paint", "images")?)
}

#[allow(dead_code, reason = "tests call `play`")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let choice = match std::env::args().nth(1) {
        Some(name) => name.parse()?,
        None => DeviceChoice::Auto,
    };
    let device = open(choice, false)?;
    let images = play(&*device, &digits()?, 10_000)?;
    for row in 0..8 {
        let line: String = (0..4 * 8)
            .map(|column| images[column / 8 * PIXELS + row * 8 + column % 8])
            .map(|x| [' ', '.', ':', '+', '*', '#'][((x + 1.0) * 2.99) as usize])
            .flat_map(|c| [c, c])
            .collect();
        println!("{line}");
    }
    Ok(())
}
