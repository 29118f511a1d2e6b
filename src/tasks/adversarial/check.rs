//! Defaults and checks of experiments with an adversarial pair.

use crate::base::number::is_positive;
use crate::data::DataConfig;
use crate::data::config::{CategoryEncoding, Scaling};
use crate::nn::config::adversarial::{Adversarial, GanLoss, OutputRange};
use crate::nn::config::{ModelConfig, Norm};
use crate::nn::layers::LayerConfig;
use crate::nn::losses::Loss;
use crate::optim::{Adam, Optimizer, RmsProp};
use crate::tasks::autoencoder::MAX_LATENT;
use crate::tasks::{Settings, opponent};
use crate::train::config::{DiscriminatorConfig, TrainConfig};

/// Maximum steps of the discriminator for each of the generator.
const MOST_STEPS: usize = 1000;

/// Fills in the defaults of a `gan` that follow from the data, and those of its training: Adam as in DCGAN
/// (Radford et al. 2016, arXiv:1511.06434), or as in the papers of the Wasserstein losses.
pub(in crate::tasks) fn fill_in(
    data: &DataConfig,
    model: &mut ModelConfig,
    train: &mut TrainConfig,
    is_given: &dyn Fn(&str) -> bool,
) {
    let Some(gan) = model.adversarial() else { return };
    let range = match data.transform.numbers {
        Scaling::MinMax => OutputRange::Sigmoid,
        _ => OutputRange::Linear,
    };
    model.output.get_or_insert(range);
    let adam = |betas| Optimizer::from(Adam { betas, ..Adam::default() });
    let (optimizer, rate) = match gan.loss {
        GanLoss::Original | GanLoss::LeastSquares => (adam([0.5, 0.999]), 2e-4),
        GanLoss::Wasserstein => (RmsProp::default().into(), 5e-5),
        GanLoss::WassersteinGp => (adam([0.0, 0.9]), 1e-4),
    };
    if !is_given("optimizer") {
        train.optimizer = optimizer;
    }
    if !is_given("learning_rate") {
        train.learning_rate = rate;
    }
    let own = train.discriminator.get_or_insert_default();
    own.optimizer.get_or_insert_with(|| train.optimizer.clone());
    own.learning_rate.get_or_insert(train.learning_rate);
    own.clip_norm = own.clip_norm.or(train.clip_norm);
}

/// What is wrong: the key, and the reason.
type Problem = (&'static str, String);

/// The first value of a `gan` that is out of range, or a key of it that is set for another family.
pub(in crate::tasks) fn check(settings: Settings) -> Result<(), Problem> {
    let Settings { data, model, train } = settings;
    let Some(gan) = model.adversarial() else { return check_other(model, train) };
    ranges(&gan)?;
    losses(model, &gan)?;
    layers(model, &gan)?;
    if gan.conditional && data.target.is_none() && data.image.is_none() {
        let reason = "is missing; `model.conditional = true` needs the column that names the class";
        return Err(("data.target", reason.into()));
    }
    if data.transform.categories == CategoryEncoding::Embedding {
        let reason = "= \"embedding\" has nothing to draw; `family = \"gan\"` needs \"one_hot\"";
        return Err(("data.transform.categories", reason.into()));
    }
    let scaled = !matches!(data.transform.numbers, Scaling::MinMax | Scaling::None);
    if gan.output == OutputRange::Sigmoid && scaled {
        let reason = "= \"sigmoid\" draws numbers in 0..1, and the data are scaled otherwise; set \
                      `data.transform.numbers` = \"min_max\", or write \"linear\"";
        return Err(("model.output", reason.into()));
    }
    training(settings)
}

/// Keys of a `gan` in an experiment of another family.
fn check_other(model: &ModelConfig, train: &TrainConfig) -> Result<(), Problem> {
    let reason = "is a key of `family = \"gan\"`; set the family or remove the key";
    if let Some(key) = model.adversarial_key() {
        return Err((key, reason.into()));
    }
    if train.discriminator.is_some() {
        return Err(("train.discriminator", reason.into()));
    }
    if matches!(train.loss, Loss::Adversarial {}) {
        return Err(("train.loss", "= \"adversarial\" is only for `model.family = \"gan\"`".into()));
    }
    Ok(())
}

fn ranges(gan: &Adversarial) -> Result<(), Problem> {
    if !(1..=MAX_LATENT).contains(&gan.latent) {
        return Err(("model.latent", format!("= {} is not in 1..={MAX_LATENT}", gan.latent)));
    }
    if !(1..=MOST_STEPS).contains(&gan.critic_steps) {
        return Err(("model.critic_steps", format!("= {} is not in 1..={MOST_STEPS}", gan.critic_steps)));
    }
    if !(0.0..1.0).contains(&gan.average) {
        let reason = format!("= {} must be at least 0, for no average, and below 1", gan.average);
        return Err(("model.average", reason));
    }
    for (key, x) in [("model.clip", gan.clip), ("model.penalty", gan.penalty)] {
        if !is_positive(x) {
            return Err((key, format!("= {x} must be a finite number above 0")));
        }
    }
    Ok(())
}

/// Keys of a loss that is not chosen.
fn losses(model: &ModelConfig, gan: &Adversarial) -> Result<(), Problem> {
    let others = [
        ("model.clip", model.clip.is_some(), GanLoss::Wasserstein),
        ("model.penalty", model.penalty.is_some(), GanLoss::WassersteinGp),
    ];
    for (key, given, of) in others {
        if given && gan.loss != of {
            let (of, chosen) = (of.name(), gan.loss.name());
            let reason = format!("is a key of `gan_loss = \"{of}\"`; the loss is \"{chosen}\"");
            return Err((key, reason));
        }
    }
    Ok(())
}

fn layers(model: &ModelConfig, gan: &Adversarial) -> Result<(), Problem> {
    if !model.layers.is_empty() {
        let reason = "cannot be set for `family = \"gan\"`, which has two parts; list the layers of each as \
                      [[model.generator]] and [[model.discriminator]]";
        return Err(("model.layer", reason.into()));
    }
    for (key, part) in model.parts() {
        for layer in part {
            layer.layer().check().map_err(|reason| (key, reason))?;
        }
    }
    let unread = [
        ("model.channels", model.channels.is_some() && !model.mirrored(), "both parts have"),
        ("model.kernel", model.kernel.is_some() && !model.mirrored(), "both parts have"),
        ("model.norm", model.norm != Norm::None && !model.generator.is_empty(), "the generator has"),
        ("model.dropout", model.dropout > 0.0 && !model.discriminator.is_empty(), "the discriminator has"),
    ];
    if let Some((key, _, whose)) = unread.into_iter().find(|(_, unread, _)| *unread) {
        return Err((key, format!("is not read, because {whose} layers of their own; remove the key")));
    }
    if gan.loss != GanLoss::WassersteinGp {
        return Ok(());
    }
    for layer in &model.discriminator {
        let name = layer.layer().name();
        if layer.layer().mixes_batch() {
            let reason = format!(
                "has a {name} layer, which makes the score of a row depend on the others of its batch; \
                 `gan_loss = \"wasserstein_gp\"` penalises the gradient of each row by itself: use layer_norm, \
                 group_norm, or none"
            );
            return Err(("model.discriminator", reason));
        }
        let once = matches!(
            layer,
            LayerConfig::Recurrent(_) | LayerConfig::Attention(_) | LayerConfig::Transformer(_)
        );
        if once {
            let reason = format!(
                "has a {name} layer, which has no second derivative here; `gan_loss = \"wasserstein_gp\"` needs \
                 it for the gradient penalty: use other layers, or another loss"
            );
            return Err(("model.discriminator", reason));
        }
    }
    Ok(())
}

fn training(settings: Settings) -> Result<(), Problem> {
    let train = settings.train;
    if !matches!(train.loss, Loss::Adversarial {}) {
        let reason = format!(
            "= \"{}\" is not what `family = \"gan\"` minimises; remove the key, and choose with `model.gan_loss`",
            train.loss.name()
        );
        return Err(("train.loss", reason));
    }
    if train.accumulate > 1 {
        let reason = "cannot be used with `family = \"gan\"`; use a smaller train.batch_size";
        return Err(("train.accumulate", reason.into()));
    }
    if train.early_stopping.is_some() && settings.last_is_best() {
        let reason = "cannot be used with `family = \"gan\"`: no loss of one part tells how good the samples \
                      are; set train.epochs, or model.features";
        return Err(("train.early_stopping", reason.into()));
    }
    let critic = opponent(settings);
    if critic.bound.is_some() && critic.optimizer.adapts().is_some() {
        let reason = "= \"lamb\" scales each step after it is made, and `gan_loss = \"wasserstein\"` clips the \
                      weights before that; use another optimizer or `gan_loss = \"wasserstein_gp\"`";
        return Err(("train.discriminator.optimizer", reason.into()));
    }
    let Some(DiscriminatorConfig { optimizer, learning_rate, clip_norm }) = &train.discriminator else {
        return Ok(());
    };
    if let Some((key, reason)) = optimizer.as_ref().and_then(Optimizer::problem) {
        return Err(("train.discriminator.optimizer", format!("has `{key}`: {reason}")));
    }
    let numbers = [
        ("train.discriminator.learning_rate", *learning_rate),
        ("train.discriminator.clip_norm", *clip_norm),
    ];
    for (key, x) in numbers {
        if let Some(x) = x.filter(|x| !is_positive(*x)) {
            return Err((key, format!("= {x} must be a finite number above 0")));
        }
    }
    Ok(())
}
