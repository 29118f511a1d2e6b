//! Damaged or malicious images and their labels are read or refused as [`attack`] asks.

use std::path::Path;

use gridlight::data::{self, DataConfig, Goal};

use crate::attack::{attack, mutated};

/// The preprocessing fitted on a few RGB images of 3 x 2 pixels.
fn fitted_images(directory: &Path) -> data::Fitted {
    let values: Vec<u8> = (0..20 * 18).map(|i| (i * 37 % 251) as u8).collect();
    std::fs::write(directory.join("fit-images-idx3"), idx(&[20, 3, 2, 3], &values)).unwrap();
    let labels: Vec<u8> = (0..20).map(|i| i % 3).collect();
    std::fs::write(directory.join("fit-labels-idx1"), idx(&[20], &labels)).unwrap();
    let config: DataConfig = toml::from_str("source = \"fit-images-idx3\"\ntarget = \"label\"").unwrap();
    data::load(&config, directory, Goal::Classes).unwrap().fitted
}

fn idx(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|side| side.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// Attacks the image reader of a fitted run with a file called `name`, starting from `valid`.
fn attack_images(name: &str, valid: Vec<u8>, least_refused: usize) {
    let directory = tempfile::tempdir().unwrap();
    let fitted = fitted_images(directory.path());
    let path = directory.path().join(name);
    std::fs::write(&path, &valid).unwrap();
    let read = move |path: &Path| data::load_with(&fitted, path, false).map(drop).map_err(|e| e.to_string());
    read(&path).unwrap();
    // Cut off anywhere, then damaged.
    let step = valid.len().div_ceil(100);
    let cut = (0..valid.len()).step_by(step).map(|end| valid[..end].to_vec()).collect::<Vec<_>>();
    attack(&path, cut.into_iter(), read.clone());
    let refused = attack(&path, mutated(valid), read);
    assert!(refused >= least_refused, "{name}: {refused} refused");
}

#[test]
fn array_files() {
    use std::io::Write;
    let values: Vec<u8> = (0..20 * 18).map(|i| (i * 37 % 251) as u8).collect();
    let plain = idx(&[20, 3, 2, 3], &values);
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    encoder.write_all(&plain).unwrap();
    attack_images("hostile-idx3.gz", encoder.finish().unwrap(), 300);
    attack_images("hostile-idx3", plain, 200);
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (20, 3, 2, 3), }";
    let npy = [b"\x93NUMPY\x01\x00\x76\x00", format!("{header:<117}\n").as_bytes(), &values].concat();
    attack_images("hostile.npy", npy.clone(), 150);
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    writer.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(&npy).unwrap();
    attack_images("hostile.npz", writer.finish().unwrap().into_inner(), 200);
}

#[test]
fn labels_of_images() {
    let directory = tempfile::tempdir().unwrap();
    let fitted = fitted_images(directory.path());
    let path = directory.path().join("fit-labels-idx1");
    let images = directory.path().join("fit-images-idx3");
    let read = move |_: &Path| data::load_with(&fitted, &images, true).map(drop).map_err(|e| e.to_string());
    let refused = attack(&path, mutated(std::fs::read(&path).unwrap()), read);
    assert!(refused > 300, "{refused} refused");
}

#[test]
fn pictures() {
    let mut png = vec![];
    let mut encoder = png::Encoder::new(&mut png, 30, 20);
    encoder.set_color(png::ColorType::Rgb);
    let values: Vec<u8> = (0..1800).map(|i| (i * 37 % 251) as u8).collect();
    encoder.write_header().unwrap().write_image_data(&values).unwrap();
    attack_images("hostile.png", png, 300);
    for name in ["halves.jpg", "grey.jpg", "progressive.jpg"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name);
        attack_images(name, std::fs::read(path).unwrap(), 100);
    }
    // EXIF data that say that the picture lies on its side, 100 times over.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/halves.jpg");
    let plain = std::fs::read(path).unwrap();
    let entries = [0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0].repeat(100);
    let exif = [&b"Exif\0\0II*\0\x08\0\0\0\x64\0"[..], &entries, &[0; 4]].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let turned = [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat();
    attack_images("turned.jpg", turned, 20);
}

/// The picture in a format, with colours, transparency and 16 bits where the format has them.
fn encoded(picture: &image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(vec![]);
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn pictures_of_other_formats() {
    use image::{DynamicImage, ImageFormat, Rgba};
    let colours = |x: u32, y: u32| Rgba([(x * 8) as u8, (y * 12) as u8, (x * y) as u8, 100 + y as u8]);
    let picture = DynamicImage::ImageRgba8(image::RgbaImage::from_fn(30, 20, colours));
    for (name, format, least_refused) in [
        ("hostile.webp", ImageFormat::WebP, 100),
        ("hostile.bmp", ImageFormat::Bmp, 20),
        ("hostile.gif", ImageFormat::Gif, 50),
        ("hostile.tiff", ImageFormat::Tiff, 50),
    ] {
        attack_images(name, encoded(&picture, format), least_refused);
    }
    let deep = DynamicImage::ImageRgba16(picture.to_rgba16());
    attack_images("deep.tif", encoded(&deep, ImageFormat::Tiff), 50);
    attack_images(
        "opaque.webp",
        encoded(&DynamicImage::ImageRgb8(picture.to_rgb8()), ImageFormat::WebP),
        100,
    );
}

/// Headers that declare more than 2^30 pixels are refused before anything is allocated for them.
#[test]
fn huge_pictures_of_other_formats() {
    use image::{DynamicImage, ImageFormat};
    let picture = DynamicImage::new_rgb8(3, 2);
    let directory = tempfile::tempdir().unwrap();
    let fitted = fitted_images(directory.path());
    for (name, format, at, size) in [
        ("huge.bmp", ImageFormat::Bmp, 18, [60_000u32.to_le_bytes(), 60_000u32.to_le_bytes()].concat()),
        ("huge.gif", ImageFormat::Gif, 6, [0xff; 4].to_vec()),
    ] {
        let mut bytes = encoded(&picture, format);
        bytes[at..at + size.len()].copy_from_slice(&size);
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = data::load_with(&fitted, &path, false).unwrap_err().to_string();
        assert!(error.contains(name) && (error.contains("declares") || error.contains("large")), "{error}");
    }
}
