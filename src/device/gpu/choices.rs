//! The tuner's choices on disk: which geometry a launch has on an adapter with a driver. Best effort: what is
//! missing, damaged, or not among today's geometries is as if it had never been measured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cache;
use crate::base::target::{Family, Geometry};
use crate::device::tuning::Tuned;

/// Choices by the digest of a launch's shader in its usual geometry, which holds its kernels and their shapes.
#[derive(Debug, Default)]
pub struct Choices {
    known: BTreeMap<String, Tuned>,
    /// Where they are kept, and for which adapter.
    file: Option<(PathBuf, String, Family)>,
}

/// The contents of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// What was measured, for people who look.
    adapter: String,
    choices: BTreeMap<String, Tuned>,
}

impl Choices {
    /// The choices for an adapter; empty if there are none or no cache directory.
    pub fn open(info: &wgpu::AdapterInfo, family: Family) -> Self {
        let adapter = cache::driver(info);
        let name = format!("tuning_{}.json", cache::digest(&adapter));
        cache::directory().map(|d| Self::at(d.join(name), adapter, family)).unwrap_or_default()
    }

    fn at(path: PathBuf, adapter: String, family: Family) -> Self {
        Self { known: read(&path, &adapter, family), file: Some((path, adapter, family)) }
    }

    /// The geometry chosen for the launch whose usual shader is `source`.
    pub fn of(&self, source: &str) -> Option<Geometry> {
        self.tuned(source).map(|tuned| tuned.chosen)
    }

    /// What was measured of the launch whose usual shader is `source`.
    pub fn tuned(&self, source: &str) -> Option<&Tuned> {
        self.known.get(&cache::digest(source))
    }

    /// Notes a choice.
    pub fn set(&mut self, source: &str, tuned: Tuned) {
        self.known.insert(cache::digest(source), tuned);
    }

    /// Writes the choices, with those that another process has written since. A failure is not an error: the
    /// next run measures again.
    pub fn save(&self) {
        let Some((path, adapter, family)) = &self.file else { return };
        let mut choices = read(path, adapter, *family);
        choices.extend(self.known.clone());
        if let Ok(text) = serde_json::to_vec_pretty(&Stored { adapter: adapter.clone(), choices }) {
            let _ = cache::write(path, &text);
        }
    }
}

/// The choices in a file, if it is of this adapter; those that this build does not offer are left out.
fn read(path: &Path, adapter: &str, family: Family) -> BTreeMap<String, Tuned> {
    let stored = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Stored>(&bytes).ok());
    let mut choices = stored.filter(|s| s.adapter == adapter).map(|s| s.choices).unwrap_or_default();
    let offered = Geometry::all(family);
    choices.retain(|_, tuned| offered.contains(&tuned.chosen));
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(chosen: Geometry) -> Tuned {
        Tuned { launch: "a product".into(), chosen, tried: vec![] }
    }

    #[test]
    fn damaged_foreign_and_unknown_choices_are_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tuning.json");
        let of = |adapter| read(&path, adapter, Family::Registers);
        assert!(of("a").is_empty(), "missing");
        std::fs::write(&path, "{\"adapter\": \"a\", \"choi").unwrap();
        assert!(of("a").is_empty(), "cut off");
        let usual = Geometry::usual(Family::Registers);
        let other = Geometry { row_groups: 4, ..usual };
        let strange = Geometry { row_groups: 1000, ..usual };
        let [other, strange] = [other, strange].map(taken);
        let choices = BTreeMap::from([("x".to_string(), other.clone()), ("y".to_string(), strange)]);
        let text = serde_json::to_vec(&Stored { adapter: "a".into(), choices }).unwrap();
        std::fs::write(&path, text).unwrap();
        assert!(of("b").is_empty(), "of another adapter");
        assert_eq!(of("a"), BTreeMap::from([("x".to_string(), other)]));
    }

    #[test]
    fn two_processes_share_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tuning.json");
        let of = || Choices::at(path.clone(), "a".into(), Family::Registers);
        let (mut one, mut two) = (of(), of());
        let usual = taken(Geometry::usual(Family::Registers));
        one.set("first", usual.clone());
        two.set("second", usual);
        one.save();
        two.save();
        assert_eq!(of().of("first").into_iter().chain(of().of("second")).count(), 2);
    }
}
