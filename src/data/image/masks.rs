//! Reads the pictures that images are to become: masks, or values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::array::bad;
use super::files::{self, ImageSet};
use super::folder::{self, Entry, Reading};
use super::{Images, Pixels};
use crate::base::files::is_dir;
use crate::base::image::ImageShape;
use crate::data::DataError;
use crate::data::config::ImageFit;
use crate::data::fitted::PixelValues;

/// Targets of images, in their order.
pub struct Masks {
    /// Their values as stored in the files: 0 to 255, or of pictures with 16 bits a value 0 to 65,535.
    pub images: Images,
    /// Their files within the folder; none of an array.
    pub files: Vec<String>,
    /// What kind of values they are.
    pub values: PixelValues,
    /// What the user should know.
    pub note: Option<String>,
}

impl Masks {
    /// How messages call the target of an image.
    pub fn name(&self, row: usize) -> String {
        self.files.get(row).map_or_else(|| format!("of image {row} (from 0)"), |file| format!("`{file}`"))
    }

    /// The targets of images of this `shape`, which lie in `source`.
    ///
    /// # Errors
    /// If one cannot be read, is missing, or is of another size.
    pub(super) fn read(
        path: &Path,
        (source, of): (&Path, &ImageSet),
        shape: ImageShape,
        as_classes: bool,
        given: Reading,
    ) -> Result<Self, DataError> {
        if !is_dir(path) {
            return of_array(path, of, shape);
        }
        if of.files.is_empty() {
            let reason = "it is a folder, and the images are an array; give their targets as an array too";
            return Err(bad(path, reason));
        }
        if same(path, source) {
            let reason = "it is also the folder of the images, which would be their own targets; put the targets in a \
                          folder of their own, called as the images";
            return Err(bad(path, reason));
        }
        let mut found = of_folder(path, &of.files, shape, as_classes, given)?;
        for ((own, target), (image, file)) in
            found.shapes.iter().zip(&found.entries).zip(of.shapes.iter().zip(&of.files))
        {
            if given.shape.is_some() && !alike([image.height, image.width], [own.height, own.width]) {
                return Err(bad(
                    &target.0,
                    format!(
                        "it has {} x {} pixels, and its picture `{file}` {} x {} as it is shown: they would be squeezed in \
                         different ways; turn or cut one of them",
                        own.height, own.width, image.height, image.width
                    ),
                ));
            }
        }
        let images = &mut found.images;
        let values = of_files(images);
        if as_classes {
            one_channel(images);
        }
        let files = found.entries.iter().map(|(file, _)| folder::name(path, file)).collect();
        Ok(Self { images: found.images, files, values, note: None })
    }
}

/// Pictures of a folder, with their files and own shapes.
struct Found {
    images: Images,
    entries: Vec<Entry>,
    shapes: Vec<ImageShape>,
}

fn of_array(path: &Path, of: &ImageSet, shape: ImageShape) -> Result<Masks, DataError> {
    if files::ending(path) == "npz" {
        return Err(bad(
            path,
            "targets are read of .npy and IDX files, and of folders of pictures; save the array by itself",
        ));
    }
    let images = files::array(path)?.images(path, None)?;
    check_size(path, images.shape, shape)?;
    let count = of.images.count();
    if images.count() != count {
        return Err(bad(path, format!("it holds {} targets, but there are {count} images", images.count())));
    }
    let values = match &images.pixels {
        Pixels::Bytes(_) => PixelValues::Eight,
        Pixels::Floats(_) => PixelValues::Numbers,
    };
    let note = (!of.files.is_empty()).then(|| {
        let first: Vec<&str> = of.files.iter().take(4).map(String::as_str).collect();
        format!(
            "the targets in {} are those of the pictures in the order of their names: {}, ...",
            path.display(),
            first.join(", ")
        )
    });
    Ok(Masks { images, files: vec![], values, note })
}

fn of_folder(
    path: &Path,
    names: &[String],
    image: ImageShape,
    as_classes: bool,
    given: Reading,
) -> Result<Found, DataError> {
    let entries = beside(path, names)?;
    let (first, file) = folder::shape(path, &entries, Reading::default())?;
    // Pictures of any size are brought to the shape that the experiment gives; their targets likewise.
    let shape = match given.shape {
        Some(_) => ImageShape { channels: first.channels, ..image },
        None => first,
    };
    check_size(file, shape, image)?;
    if as_classes && given.fit == ImageFit::Pad && given.shape.is_some() {
        let reason = "`data.image.fit` = \"pad\" would surround masks by a class that they do not have; use \"crop\" or \
                      \"squash\"";
        return Err(bad(path, reason));
    }
    let shape = given.shape.map(|_| shape);
    let reading = Reading { shape, fit: given.fit, nearest: as_classes, skips: false };
    let folder::Pictures { images, shapes, .. } = folder::read(path, &entries, reading)?;
    let other = shapes.iter().position(|own| own.channels != first.channels);
    if let Some(at) = other.filter(|_| as_classes) {
        let of = |channels: usize| if channels == 1 { "grey" } else { "in colours" };
        let reason = format!(
            "it is {}, and the first target ({}) is {}; save all masks alike",
            of(shapes[at].channels),
            file.display(),
            of(first.channels)
        );
        return Err(bad(&entries[at].0, reason));
    }
    Ok(Found { images, entries, shapes })
}

/// The kind of values that files of pictures have; those of 16 bits, which are read as parts of 255, are put right.
fn of_files(images: &mut Images) -> PixelValues {
    let Pixels::Floats(floats) = &mut images.pixels else { return PixelValues::Eight };
    floats.iter_mut().for_each(|x| *x = (*x * 257.0).round());
    PixelValues::Sixteen
}

/// Colours that are all grey become grey.
fn one_channel(images: &mut Images) {
    let ImageShape { channels, .. } = images.shape;
    let (plane, values) = (images.shape.plane(), images.shape.values());
    let Pixels::Bytes(bytes) = &mut images.pixels else { return };
    let is_grey = |image: &[u8]| (1..channels).all(|c| image[c * plane..(c + 1) * plane] == image[..plane]);
    if channels > 1 && bytes.chunks_exact(values).all(is_grey) {
        *bytes = bytes.chunks_exact(values).flat_map(|image| image[..plane].iter().copied()).collect();
        images.shape.channels = 1;
    }
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Whether two sizes have the same ratio, but for the rounding of a pixel.
fn alike([h, w]: [usize; 2], [high, wide]: [usize; 2]) -> bool {
    let expected = high as f64 * w as f64 / wide.max(1) as f64;
    (expected - h as f64).abs() <= 1.0 + 0.01 * h as f64
}

fn check_size(path: &Path, target: ImageShape, image: ImageShape) -> Result<(), DataError> {
    if [target.height, target.width] == [image.height, image.width] {
        return Ok(());
    }
    let reason = format!(
        "it is a target of {} x {} pixels for images of {} x {}; bring pictures to one size with `data.image.shape`",
        target.height, target.width, image.height, image.width
    );
    Err(bad(path, reason))
}

/// The target of each picture: the picture of its name, whatever its ending, or with `_mask` after it.
fn beside(path: &Path, names: &[String]) -> Result<Vec<Entry>, DataError> {
    let stem = |name: &str| Path::new(name).with_extension("").to_string_lossy().into_owned();
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (file, _) in folder::list(path)? {
        if !files::is_picture(&file) {
            continue;
        }
        let name = stem(&folder::name(path, &file));
        if let Some(other) = found.insert(name.clone(), file.clone()) {
            let reason =
                format!("it and {} are both called as the target `{name}`; remove one", other.display());
            return Err(bad(&file, reason));
        }
    }
    let of = |name: &String| {
        let name = stem(name);
        let target = match (found.get(&name), found.get(&format!("{name}_mask"))) {
            (Some(one), Some(other)) => {
                let reason =
                    format!("it and {} may both be the target of `{name}`; remove one", one.display());
                return Err(bad(other, reason));
            }
            (one, other) => one.or(other),
        };
        let missing = || {
            bad(
                path,
                format!("it holds no target for the picture `{name}`, a picture called so or `{name}_mask`"),
            )
        };
        Ok((target.ok_or_else(missing)?.clone(), None))
    };
    names.iter().map(of).collect()
}
