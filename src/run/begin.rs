//! The weights that a training starts from, by name.

use std::collections::BTreeMap;
use std::path::Path;

use super::directory::TOKENS;
use super::job::Options;
use crate::data::Fitted;
use crate::nn::lora::ENDS;
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;
use crate::train::engine::Engine;
use crate::train::events::Observer;
use crate::train::foreign;

/// The embedding of a language model.
const EMBEDDING: &str = "embedding.weight";
/// Names that messages list at most.
const MOST: usize = 12;

/// What a file has of a model's tensors.
#[derive(Debug, Default, PartialEq)]
struct Match {
    /// Tensors that both have, with their values.
    found: Vec<NamedTensor>,
    /// Names that only the model has.
    missing: Vec<String>,
    /// Names that only the file has.
    left_over: Vec<String>,
    /// Names that only the file has, of tensors with the bits of one that was found, and the name of that one.
    tied: Vec<(String, String)>,
    /// Names that both have, the shape in the file, and that in the model.
    unlike: Vec<(String, Vec<usize>, Vec<usize>)>,
}

/// Sets the weights of an engine to those of a file; `fitted` is what its own data gave.
///
/// # Errors
/// If they are not those of the model, and it was not said that some will do; or if they are of other symbols.
pub(super) fn from_file(
    engine: &mut Engine,
    fitted: &Fitted,
    path: &Path,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let (mut tensors, meta) = foreign::load(path)?;
    let theirs = meta.as_ref().and_then(|meta| meta.fitted.symbols());
    if let (Some(theirs), Some(own)) = (theirs, fitted.symbols())
        && (&theirs.vocabulary, &theirs.tokens) != (&own.vocabulary, &own.tokens)
    {
        let reason = format!(
            "was trained on other symbols, {} of them instead of {}, so its embedding would be read wrongly; use the same \
             ones, with `data.text.tokens` = {{ file = \"{TOKENS}\" }} of that run, or \"bytes\" in both",
            theirs.symbols(),
            own.symbols()
        );
        return Err(TrainError::unusable(path, reason));
    }
    let maps = maps(&options.init_map)?;
    for (name, ..) in &mut tensors {
        *name = mapped(name, &maps);
    }
    tensors = without_copies(tensors);
    if let Some(pair) = twice(&tensors) {
        let problem = format!("has two tensors called `{pair}` after --init-map");
        return Err(TrainError::unusable(path, problem));
    }
    // Without values: what the model has now.
    let own = engine.weights()?;
    let mut found = matched(tensors, &own);
    if meta.is_some() {
        // A checkpoint holds more than weights; another file should not. Without their adapters, weights are others.
        found.left_over.retain(|name| ENDS.iter().any(|end| name.ends_with(end)));
    }
    let whole = found.missing.is_empty() && found.unlike.is_empty() && found.left_over.is_empty();
    if !whole && !options.init_partial {
        return Err(TrainError::unusable(path, found.problem(own.len())));
    }
    if found.found.is_empty() {
        return Err(TrainError::unusable(path, found.problem(own.len())));
    }
    for (name, of) in found.tied.iter().take(MOST) {
        observer.note(&format!(
            "{}: `{name:.80}` holds the bits of `{of:.80}`, to which it is tied",
            path.display()
        ));
    }
    if !whole {
        observer.note(&format!("{}: {}", path.display(), found.table(own.len())));
    }
    let kept = own.into_iter().map(|tensor| {
        let given = found.found.iter().position(|(name, ..)| *name == tensor.0);
        given.map_or(tensor, |at| found.found[at].clone())
    });
    engine.restore(&kept.collect::<Vec<_>>(), false)
}

/// What a file has of a model's tensors.
fn matched(tensors: Vec<NamedTensor>, own: &[NamedTensor]) -> Match {
    let mut of = Match::default();
    for (name, shape, _) in own {
        if !tensors.iter().any(|(known, ..)| known == name) {
            // Adapters begin at nothing, whatever they adapt.
            if !ENDS.iter().any(|end| name.ends_with(end)) {
                of.missing.push(name.clone());
            }
        } else if let Some((_, other, _)) =
            tensors.iter().find(|(known, other, _)| known == name && other != shape)
        {
            of.unlike.push((name.clone(), other.clone(), shape.clone()));
        }
    }
    let mut others = vec![];
    for tensor in tensors {
        match own.iter().find(|(name, ..)| *name == tensor.0) {
            None => others.push(tensor),
            Some((_, shape, _)) if *shape == tensor.1 => of.found.push(tensor),
            Some(_) => {}
        }
    }
    // A file has tied weights under both of their names, such as those of an embedding and of the output layer.
    for other in others {
        match of.found.iter().find(|found| same(found, &other)) {
            Some((name, ..)) => of.tied.push((other.0, name.clone())),
            None => of.left_over.push(other.0),
        }
    }
    of
}

/// Whether two tensors hold the same bits.
fn same((_, shape, a): &NamedTensor, (_, other, b): &NamedTensor) -> bool {
    shape == other && a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()))
}

/// Tensors without those that have the name and the bits of one before: tied weights that one map gave one name.
fn without_copies(tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
    let mut kept: Vec<NamedTensor> = vec![];
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for tensor in tensors {
        match places.get(&tensor.0) {
            Some(&at) if same(&kept[at], &tensor) => {}
            _ => {
                places.insert(tensor.0.clone(), kept.len());
                kept.push(tensor);
            }
        }
    }
    kept
}

impl Match {
    /// What was found and what was not, of `all` tensors of the model.
    fn table(&self, all: usize) -> String {
        let mut parts = vec![format!("{} of {all} tensors found", self.found.len())];
        let listed = |names: &[String]| {
            let more =
                if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
            names.iter().take(MOST).map(|name| format!("`{name:.80}`")).collect::<Vec<_>>().join(", ") + &more
        };
        if !self.missing.is_empty() {
            parts.push(format!("missing in the file: {}", listed(&self.missing)));
        }
        let shapes =
            self.unlike.iter().map(|(name, file, model)| format!("{name} {file:?} instead of {model:?}"));
        if !self.unlike.is_empty() {
            parts.push(format!("of another shape: {}", listed(&shapes.collect::<Vec<_>>())));
        }
        if !self.left_over.is_empty() {
            parts.push(format!("not in the model: {}", listed(&self.left_over)));
        }
        parts.join("; ")
    }

    /// Whether the file is of a language model with tied weights, and the model has them apart.
    fn is_half_tied(&self) -> bool {
        let embeds = |(name, ..): &NamedTensor| name == EMBEDDING;
        let embedding = self.found.iter().find(|tensor| embeds(tensor));
        let is_alone = self.unlike.is_empty() && self.left_over.is_empty();
        embedding.is_some() && is_alone && (1..=2).contains(&self.missing.len())
    }

    /// The error that a file has not exactly the model's tensors.
    fn problem(&self, all: usize) -> String {
        let adapters = self.left_over.iter().any(|name| ENDS.iter().any(|end| name.ends_with(end)));
        let advice = match self.found.is_empty() {
            _ if adapters => {
                "the file has adapters: give the weights that `gridlight export` writes, in which they are merged, or set \
                 model.lora"
            }
            _ if self.is_half_tied() => {
                "the embedding is there, and no output layer, which some programs tie to it: set model.tied = true, or take \
                 what fits with --init-partial"
            }
            true => "rename its tensors with --init-map 'old.*=new.*'",
            false => "rename tensors with --init-map 'old.*=new.*', or take what fits with --init-partial",
        };
        format!("{}; {advice}", self.table(all))
    }
}

/// A pattern of names and what takes its place: texts before and after a `*`.
type Map = ([String; 2], [String; 2], bool);

/// The maps of `old=new` arguments, each with a `*` on both sides or on none.
fn maps(arguments: &[String]) -> Result<Vec<Map>, TrainError> {
    let parse = |argument: &String| {
        let (old, new) = argument.split_once('=')?;
        let split = |text: &str| match text.split_once('*') {
            Some((before, after)) if !after.contains('*') => {
                Some(([before.to_string(), after.to_string()], true))
            }
            None => Some(([text.to_string(), String::new()], false)),
            Some(_) => None,
        };
        let ((old, starred), (new, other)) = (split(old)?, split(new)?);
        (starred == other).then_some((old, new, starred))
    };
    let wrong = |argument: &String| {
        let reason = "give OLD=NEW, with one * on both sides or on none, such as 'backbone.*=*'";
        TrainError::Input(format!("--init-map {argument}: {reason}"))
    };
    arguments.iter().map(|argument| parse(argument).ok_or_else(|| wrong(argument))).collect()
}

/// A name as the first map says that is of it.
fn mapped(name: &str, maps: &[Map]) -> String {
    for ([before, after], [new_before, new_after], starred) in maps {
        if !starred {
            if name == before {
                return new_before.clone();
            }
            continue;
        }
        let middle = name.strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()));
        if let Some(middle) = middle {
            return format!("{new_before}{middle}{new_after}");
        }
    }
    name.to_string()
}

fn twice(tensors: &[NamedTensor]) -> Option<&str> {
    let mut seen = std::collections::BTreeSet::new();
    tensors.iter().map(|(name, ..)| name.as_str()).find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped() {
        let maps = maps(&["module.*=*".into(), "*.gamma=*.weight".into(), "fc=head".into()]).unwrap();
        assert_eq!(mapped("module.0.weight", &maps), "0.weight");
        assert_eq!(mapped("bn.gamma", &maps), "bn.weight");
        assert_eq!(mapped("fc", &maps), "head");
        assert_eq!(mapped("other", &maps), "other");
        for wrong in ["a", "a*=b", "a=b*", "a*b*=c*"] {
            assert!(super::maps(&[wrong.into()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tied_weights_may_come_under_both_names() {
        let tensor = |name: &str, x: f32| (name.to_string(), vec![2], vec![x; 2]);
        let own = [tensor("embedding.weight", 0.0), tensor("a", 0.0)];
        let of = matched(
            vec![tensor("embedding.weight", 1.0), tensor("lm_head.weight", 1.0), tensor("a", 2.0)],
            &own,
        );
        assert_eq!((of.left_over.len(), of.missing.len()), (0, 0));
        assert_eq!(of.tied, [("lm_head.weight".to_string(), "embedding.weight".to_string())]);
        // Weights of their own are no copies.
        let of = matched(
            vec![tensor("embedding.weight", 1.0), tensor("lm_head.weight", 3.0), tensor("a", 2.0)],
            &own,
        );
        assert_eq!(of.left_over, ["lm_head.weight"]);
        let copies = vec![tensor("a", 1.0), tensor("b", 1.0), tensor("a", 1.0)];
        assert_eq!(without_copies(copies).len(), 2);
        assert_eq!(twice(&without_copies(vec![tensor("a", 1.0), tensor("a", 2.0)])), Some("a"));
        // The other way round: what the model has apart, and the file does not.
        let own = [tensor("embedding.weight", 0.0), tensor("5.weight", 0.0), tensor("5.bias", 0.0)];
        let of = matched(vec![tensor("embedding.weight", 1.0)], &own);
        assert!(of.problem(3).contains("model.tied"), "{}", of.problem(3));
    }

    #[test]
    fn what_a_file_has_is_told_apart() {
        let tensor = |name: &str, n: usize| (name.to_string(), vec![n], vec![0.0; n]);
        let of = matched(
            vec![tensor("a", 2), tensor("b", 3), tensor("d", 1)],
            &[tensor("a", 2), tensor("b", 2), tensor("c", 1)],
        );
        assert_eq!(of.found, [tensor("a", 2)]);
        assert_eq!(
            (of.missing.clone(), of.left_over.clone()),
            (vec!["c".to_string()], vec!["d".to_string()])
        );
        let text = of.table(3);
        for part in ["1 of 3", "missing in the file: `c`", "`b [3] instead of [2]`", "not in the model: `d`"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}
