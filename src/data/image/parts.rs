//! Folders of pictures that are split already: `train`, `val` or `validation`, and `test`, each with the
//! folders of the classes inside.

use std::path::{Path, PathBuf};

use super::array::bad;
use super::folder;
use crate::base::files::is_dir;
use crate::data::DataError;
use crate::data::config::{DataConfig, ITSELF, SplitConfig, Validation};

/// The settings with the split of the folder `path` itself, and a note about it; `None` if it is not split.
///
/// # Errors
/// If it is, but `data.split` says otherwise.
pub fn of_folder(config: &DataConfig, path: &Path) -> Result<Option<(DataConfig, String)>, DataError> {
    if !is_dir(path) {
        return Ok(None);
    }
    let contents = folder::contents(path)?;
    let named = |names: &[&str]| {
        let found =
            |inside: &&PathBuf| inside.file_name().is_some_and(|n| names.iter().any(|&name| n == name));
        contents.iter().filter(found).collect::<Vec<_>>()
    };
    let (train, validation, test) = (named(&["train"]), named(&["val", "validation"]), named(&["test"]));
    let parts = train.len() + validation.len() + test.len();
    let target = config.pixel_target();
    // Pictures directly inside would make these the names of two classes, if pictures have classes.
    let holds_classes = |part: &PathBuf| {
        let inner = || folder::contents(part).is_ok_and(|inner| inner.iter().any(|class| is_dir(class)));
        is_dir(part) && (target.is_some() || inner())
    };
    let [train] = train[..] else { return Ok(None) };
    if parts != contents.len() || parts < 2 || validation.len() > 1 || !contents.iter().all(holds_classes) {
        return Ok(None);
    }
    let text = |part: &PathBuf| part.to_string_lossy().into_owned();
    if config.split != SplitConfig::default() {
        let reason = format!(
            "its folders are the parts of a split; remove [data.split] to use that split, or set `data.source` to one of them, such as {}",
            train.display()
        );
        return Err(bad(path, reason));
    }
    // Targets of pixels lie in folders of the same names.
    let masks = target.filter(|target| *target != ITSELF);
    let beside = |part: &PathBuf| {
        let name = part.file_name().map(|name| name.to_string_lossy().into_owned());
        Some(format!("{}/{}", masks?, name?))
    };
    let split = SplitConfig::Files {
        seed: 0,
        validation: validation.first().map_or_else(Validation::default, |v| Validation::File(text(v))),
        test: test.first().map(|t| text(t)),
        validation_labels: validation.first().and_then(|v| beside(v)),
        test_labels: test.first().and_then(|t| beside(t)),
    };
    let mut config = config.clone();
    if let (Some(image), Some(of_train)) = (&mut config.image, beside(train)) {
        image.target = Some(of_train);
    }
    let names: Vec<&str> = contents.iter().filter_map(|part| part.file_name()?.to_str()).collect();
    let note = format!("the folders {} of {} are the split", names.join(", "), path.display());
    Ok(Some((DataConfig { source: text(train), split, ..config }, note)))
}
