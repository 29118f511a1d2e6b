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
}
