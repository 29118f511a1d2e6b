//! Names of parameters in an experiment: what is frozen, grouped and adapted must be there.

use crate::experiment::Experiment;
use crate::nn::Model;
use crate::nn::config::lora::LoraConfig;
use crate::nn::lora;
use crate::nn::model::ModelGraph;
use crate::nn::patterns::Patterns;
use crate::nn::tensors::Parameter;
use crate::optim::Decay;
use crate::train::TrainError;

/// Refuses patterns of parameters that are of none, and models of which nothing is left to train.
pub fn check_names(experiment: &Experiment, model: &dyn Model) -> Result<(), TrainError> {
    let train = &experiment.train;
    let lora = experiment.model.lora.as_ref();
    if train.freeze.is_empty() && train.group.is_empty() && lora.is_none() {
        return Ok(());
    }
    let graph = model.graph(1, false)?;
    let parameters = || graph.parameters.iter().map(|p| p.name.as_str());
    let names = parameters().chain(graph.states.iter().map(|s| s.name.as_str()));
    let some: Vec<&str> = parameters().take(8).collect();
    let unused = |key: &str, pattern: &str| {
        let reason = format!(
            "has the pattern \"{pattern}\", which no parameter is called: they are `{}`",
            some.join("`, `")
        );
        experiment.wrong(key, &if parameters().count() > 8 { reason + ", ..." } else { reason })
    };
    let frozen = train.frozen();
    if let Some(pattern) = frozen.unused(names.clone()) {
        return Err(unused("train.freeze", pattern).into());
    }
    if parameters().all(|name| frozen.matches(name)) {
        return Err(experiment
            .wrong("train.freeze", "is of all parameters, so that nothing is left to train")
            .into());
    }
    if let Some(lora) = lora {
        check_adapters(experiment, lora, &graph)?;
    }
    let groups = train.groups();
    if let Some(pattern) = groups.iter().find_map(|group| group.names.unused(names.clone())) {
        return Err(unused("train.group", pattern).into());
    }
    let decays = |p: &&Parameter| p.decay || train.decay == Decay::All;
    let decaying = || graph.parameters.iter().filter(decays).map(|p| p.name.as_str());
    for group in groups.iter().filter(|group| group.weight_decay.is_some_and(|decay| decay > 0.0)) {
        if let Some(pattern) = group.names.unused(decaying()) {
            let reason = format!(
                "has a weight_decay for \"{pattern}\", of which there are only biases and norms, which `train.decay` \
                 leaves out; set train.decay = \"all\""
            );
            return Err(experiment.wrong("train.group", &reason).into());
        }
    }
    Ok(())
}

/// Refuses patterns of adapters that no layer has, and of trained parameters that are none.
fn check_adapters(experiment: &Experiment, lora: &LoraConfig, graph: &ModelGraph) -> Result<(), TrainError> {
    let names = || graph.parameters.iter().map(|p| p.name.as_str());
    let adapted: Vec<&str> = names().filter_map(|name| name.strip_suffix(lora::ENDS[0])).collect();
    let layers = Patterns::new(&lora.layers).unwrap_or_default();
    let wrong = |reason: &str| Err(experiment.wrong("model.lora", reason).into());
    if let Some(pattern) = layers.unused(adapted.iter().copied()) {
        // Weights of imported networks are called as their file calls them.
        let matrices = graph.parameters.iter().filter(|p| p.shape.len() == 2);
        let named = matrices.map(|p| p.name.strip_suffix(".weight").unwrap_or(&p.name));
        let named: Vec<&str> =
            named.filter(|name| !name.ends_with("lora_A") && !name.ends_with("lora_B")).collect();
        let some = match named[..] {
            [] => "; the network has none".into(),
            _ => {
                let more = if named.len() > 8 { ", ..." } else { "" };
                format!("; its matrices are `{}`{more}", named[..named.len().min(8)].join("`, `"))
            }
        };
        return wrong(&format!(
            "has the layer \"{pattern}\", which no dense layer or projection is called{some}"
        ));
    }
    let trained = Patterns::new(&lora.trained).unwrap_or_default();
    match trained.unused(names()) {
        Some(pattern) => wrong(&format!("trains \"{pattern}\", which no parameter is called")),
        None => Ok(()),
    }
}
