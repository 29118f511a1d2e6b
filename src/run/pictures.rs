//! Predictions that are pictures, as files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::data::PixelValues;
use crate::data::image::npy;
use crate::report::picture::{SOFTWARE, png, png_of_16_bits};
use crate::tasks::Picture;
use crate::train::{TrainError, output};

/// Bytes of a file in which it says which program made it.
const START: usize = 256;

/// Writes pictures to a folder, each called as what it was predicted for: PNG files with the values that files for
/// training have; of numbers that those cannot hold, `.npy` files `[C, H, W]` with a PNG of them as they are shown.
/// Returns what the user should know.
///
/// # Errors
/// If there are none, files of others would be overwritten, or the disk is full; nothing is then written.
pub fn save(
    pictures: &[Picture],
    run: &Path,
    input: &Path,
    folder: &Path,
) -> Result<Option<String>, TrainError> {
    let refuse = |path: &Path, reason: &str| Err(TrainError::unusable(path, reason));
    let Some(first) = pictures.first() else {
        return refuse(run, "predicts no pictures (--pictures); that is for models of `data.image.target`");
    };
    let mut files: Vec<PathBuf> = vec![];
    let mut named = BTreeSet::new();
    for picture in pictures {
        let mut file = Path::new(&picture.name).with_extension("png");
        if !named.insert(file.clone()) {
            // Another picture differs by its ending alone.
            file = PathBuf::from(format!("{}.png", picture.name));
            named.insert(file.clone());
        }
        files.push(folder.join(file));
    }
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.into());
    let input = whole(input);
    for file in &files {
        let place = whole(file);
        if place == input || (input.is_dir() && place.starts_with(&input)) {
            return refuse(
                file,
                "lies where the input does, whose pictures would be overwritten; give another folder",
            );
        }
        let array = file.with_extension("npy");
        let is_foreign = |path: &Path| path.exists() && !is_own(file);
        if is_foreign(file) || (first.kind == PixelValues::Numbers && is_foreign(&array)) {
            return refuse(
                file,
                "is there already, and was not made by `predict --pictures`; give another folder",
            );
        }
    }
    for (picture, file) in pictures.iter().zip(&files) {
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(|e| TrainError::io(parent, &e))?;
        }
        let bytes = match picture.kind {
            PixelValues::Eight => png(&bytes(picture, [0.0, 255.0]), picture.shape),
            PixelValues::Sixteen => png_of_16_bits(&picture.values, picture.shape),
            PixelValues::Numbers => {
                output::write(&file.with_extension("npy"), &npy::bytes(&picture.values, &picture.shape))?;
                png(&bytes(picture, picture.range), picture.shape)
            }
        };
        let bytes = bytes.map_err(|e| TrainError::unusable(file, e.to_string()))?;
        output::write(file, &bytes)?;
    }
    let [low, high] = first.range;
    Ok((first.kind == PixelValues::Numbers).then(|| {
        format!("the .npy files have the values; the PNG files show {low} as black and {high} as white")
    }))
}

/// The values as bytes, of which these are black and white.
fn bytes(picture: &Picture, [low, high]: [f64; 2]) -> Vec<u8> {
    let byte =
        |&x: &f32| (255.0 * (f64::from(x) - low) / (high - low).max(1e-300)).round().clamp(0.0, 255.0) as u8;
    picture.values.iter().map(byte).collect()
}

/// Whether a file is a PNG that this program made.
fn is_own(path: &Path) -> bool {
    use std::io::Read;
    let mut start = vec![];
    let read = std::fs::File::open(path).and_then(|file| file.take(START as u64).read_to_end(&mut start));
    let mark = [b"tEXtSoftware\0", SOFTWARE.as_bytes()].concat();
    read.is_ok() && start.windows(mark.len()).any(|part| part == mark)
}
