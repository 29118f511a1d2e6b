//! Training on changed inputs: it holds up better under attack, and is resumed exactly.

use std::fmt::Write;
use std::path::Path;

use gridlight::base::rng;
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::job::Options;
use gridlight::run::robustness::{Request, robustness};
use gridlight::run::trainer;

use crate::silent::Silent;

/// A weak but honest number and many that are each shifted a little by the class: a network that adds those up is
/// right on the rows as they are, and wrong once each moves a little (after Tsipras et al. 2019, arXiv:1805.12152).
fn table(rows: usize) -> String {
    let normal = |stream, i: usize| f64::from(rng::normal(rng::word([8, 0], stream, 0, i as u32)));
    let mut text = "strong".to_string();
    (0..12).for_each(|at| write!(text, ",weak{at}").unwrap());
    text += ",class\n";
    for i in 0..rows {
        let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
        write!(text, "{}", 2.5 * sign + normal(1, i)).unwrap();
        (0..12).for_each(|at| write!(text, ",{}", 0.45 * sign + normal(2 + at, i)).unwrap());
        writeln!(text, ",{}", if sign > 0.0 { "up" } else { "down" }).unwrap();
    }
    text
}

fn experiment(folder: &Path, more: &str) -> Experiment {
    let source = folder.join("table.csv");
    if !source.exists() {
        std::fs::write(&source, table(900)).unwrap();
    }
    let text = format!(
        "name = \"hardened\"\n[data]\nsource = '{}'\ntarget = \"class\"\n[model]\nhidden = [16]\n[train]\nepochs = 12\n\
         batch_size = 32\nlearning_rate = 0.01\nloss = \"cross_entropy\"\n{more}",
        source.display()
    );
    Experiment::parse(&text, "experiment.toml", &[]).unwrap()
}

#[test]
fn a_network_trained_under_attack_holds_up_better() {
    let folder = tempfile::tempdir().unwrap();
    let device = CpuDevice::new(Some(2));
    let attacked = |name: &str, more: &str| {
        let experiment = experiment(folder.path(), more);
        let data = trainer::load_data(&experiment, Path::new("")).unwrap();
        let options = Options { out: folder.path().join(name), without_report: true, ..Options::default() };
        trainer::train(&experiment, &data, &device, &options, &mut Silent).unwrap();
        let request =
            Request { radii: &[0.4], radii_l2: &[1.2], metric: Some("accuracy"), ..Request::default() };
        let found = robustness(&options.out, &request, &device).unwrap().found;
        let pgd = |norm| {
            let of = found.attacks.iter().find(|of| of.change == "pgd" && of.norm == Some(norm));
            of.unwrap().values[0].0
        };
        [found.clean.0, pgd("linf"), pgd("l2")]
    };
    let plain = attacked("plain", "");
    for (method, norm, at) in
        [("pgd", "linf", 1), ("fgsm", "linf", 1), ("trades", "linf", 1), ("pgd", "l2", 2)]
    {
        let radius = if norm == "l2" { 1.2 } else { 0.4 };
        let keys = format!("adversarial = {{ method = \"{method}\", radius = {radius}, norm = \"{norm}\" }}");
        let hardened = attacked(&format!("{method}-{norm}"), &keys);
        assert!(hardened[at] > plain[at] + 0.02, "{method} {norm}: {hardened:?}, plain {plain:?}");
        assert!(hardened[0] > 0.85, "{method} {norm}: {hardened:?}");
    }
}

#[test]
fn a_resumed_adversarial_training_has_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    for keys in ["method = \"pgd\", norm = \"l2\", steps = 2", "method = \"trades\", steps = 2"] {
        let more = format!("adversarial = {{ {keys}, radius = 0.3 }}");
        let experiment = experiment(folder.path(), &more);
        let data = trainer::load_data(&experiment, Path::new("")).unwrap();
        let train = |name: &str, threads, max_steps, resume| {
            let out = folder.path().join(name);
            let options =
                Options { out: out.clone(), max_steps, resume, without_report: true, ..Options::default() };
            trainer::train(&experiment, &data, &CpuDevice::new(Some(threads)), &options, &mut Silent)
                .unwrap();
            std::fs::read(out.join("best.safetensors")).unwrap()
        };
        let whole = train("whole", 2, Some(60), false);
        train("cut", 1, Some(25), false);
        assert_eq!(train("cut", 2, Some(60), true), whole, "{keys}");
        std::fs::remove_dir_all(folder.path().join("cut")).unwrap();
        std::fs::remove_dir_all(folder.path().join("whole")).unwrap();
    }
}

#[test]
fn what_cannot_be_trained_on_changed_inputs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("table.csv");
    std::fs::write(&source, "a,y\nx,1.5\nz,2.5\nx,3.25\nz,4.5\nx,5.125\nz,6.5\nx,7\nz,8\nx,9\nz,10\n")
        .unwrap();
    let parsed = |more: &str| {
        let text = format!("name = \"x\"\n[data]\nsource = '{}'\ntarget = \"y\"\n{more}", source.display());
        Experiment::parse(&text, "experiment.toml", &[])
    };
    let refused = |more: &str, reason: &str| {
        let said = parsed(more).unwrap_err().to_string();
        assert!(said.contains(reason), "{more}: {said}");
    };
    refused("[train]\nadversarial = { radius = 0 }", "radius");
    refused("[train]\nadversarial = { radius = 0.1, method = \"trades\" }", "probabilities of classes");
    refused("[train]\nadversarial = { radius = 0.1, beta = 2 }", "only for method = \"trades\"");
    refused("[train]\nadversarial = { radius = 0.1, method = \"fgsm\", steps = 3 }", "takes one");
    refused("[model]\nfamily = \"vae\"\n[train]\nadversarial = { radius = 0.1 }", "predicts no target");
    // No column is a number.
    let experiment = parsed("[train]\nbatch_size = 2\nadversarial = { radius = 0.1 }").unwrap();
    let data = trainer::load_data(&experiment, Path::new("")).unwrap();
    let said = trainer::model_of(&experiment, &data.fitted, &data.train).unwrap_err().to_string();
    assert!(said.contains("no column that the model reads is such a number"), "{said}");
}
