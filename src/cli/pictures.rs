//! Predictions that are pictures, as PNG files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use gridlight::report::picture::png;
use gridlight::tasks::Picture;
use gridlight::train::output;

use super::Failure;
use super::output::tell;

/// Writes pictures to a folder, each called as what it was predicted for.
///
/// # Errors
/// If the model predicts none, the folder is that of the input, or the disk is full.
pub fn save(pictures: &[Picture], run: &Path, input: &Path, folder: &Path) -> Result<(), Failure> {
    if pictures.is_empty() {
        return Err(Failure::input(format!(
            "--pictures: {} predicts no pictures; that is for models of `data.image.target`",
            run.display()
        )));
    }
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(folder, input) || input.parent().is_some_and(|parent| input.is_file() && same(folder, parent)) {
        return Err(Failure::input(format!(
            "--pictures {}: that is where the input lies, whose pictures would be overwritten; give another folder",
            folder.display()
        )));
    }
    let mut written = HashSet::new();
    for picture in pictures {
        let name = Path::new(&picture.name);
        let mut file: PathBuf = name.with_extension("png");
        if !written.insert(file.clone()) {
            // Another picture differs by its ending alone.
            file = PathBuf::from(format!("{}.png", picture.name));
            written.insert(file.clone());
        }
        let bytes = png(&picture.values, picture.shape).map_err(Failure::input)?;
        let file = folder.join(file);
        if let Some(parent) = file.parent() {
            let made = std::fs::create_dir_all(parent);
            made.map_err(|e| Failure::input(format!("--pictures {}: {e}", parent.display())))?;
        }
        output::write(&file, &bytes)?;
    }
    tell(format_args!("{} pictures written to {}", pictures.len(), folder.display()));
    Ok(())
}
