//! Results of several files: where they go, and writing them.

use std::path::{Path, PathBuf};

use gridlight::run::explain::File;
use gridlight::train::{TrainError, output};

use super::Failure;
use super::output::{is_standard_output, save, tell};

/// Where results go.
pub enum Place {
    /// All files, into a folder.
    Folder(PathBuf),
    /// The one with this ending.
    File(PathBuf, &'static str),
}

impl Place {
    /// The place that the user named; without one, the folder `name` in the run directory, or none if the
    /// results are printed as JSON.
    ///
    /// # Errors
    /// If standard output would have two results.
    pub fn of(output: Option<&Path>, run: &Path, name: &str, json: bool) -> Result<Option<Self>, Failure> {
        let Some(output) = output else {
            return Ok((!json).then(|| Self::Folder(run.join(name))));
        };
        if is_standard_output(output) {
            let reason = "--output is a folder, or an .html or .json file; --json prints on standard output";
            return Err(Failure::input(reason));
        }
        let ending = output.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        Ok(Some(match ending.as_deref() {
            Some("html") => Self::File(output.into(), ".html"),
            Some("json") => Self::File(output.into(), ".json"),
            _ => Self::Folder(output.into()),
        }))
    }
}

/// Writes files to a place, and says so.
///
/// # Errors
/// If they cannot be written.
pub fn write_files(what: &str, place: &Place, files: &[File]) -> Result<(), Failure> {
    match place {
        Place::File(path, ending) => match files.iter().find(|file| file.name.ends_with(ending)) {
            Some(file) => save(what, path, &file.bytes),
            None => Ok(()),
        },
        Place::Folder(folder) => {
            if folder.exists() && !folder.is_dir() {
                return Err(TrainError::Unusable {
                    path: folder.clone(),
                    reason: "is a file; name a folder, or a file that ends in .html or .json".into(),
                }
                .into());
            }
            std::fs::create_dir_all(folder)
                .map_err(|e| TrainError::Io { path: folder.clone(), reason: e.to_string() })?;
            for file in files {
                output::write(&folder.join(&file.name), &file.bytes)?;
            }
            let page = files.first().map_or_else(String::new, |file| file.name.clone());
            tell(format_args!("{what} written to {}", folder.join(page).display()));
            Ok(())
        }
    }
}
