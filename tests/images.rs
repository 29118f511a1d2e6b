//! Images become rows of pixels as documented, from every kind of file; and files that are damaged, or not what the
//! experiment says, are told by name.

use std::path::Path;

use gridlight::data::{self, DataConfig, ImageShape, Loaded, Target, Task};

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/data/images");

fn load_in(directory: &Path, config: &str) -> Result<Loaded, String> {
    let config: DataConfig = toml::from_str(config).map_err(|e| e.to_string())?;
    data::load(&config, directory, Task::Classes, [5, 0]).map_err(|e| e.to_string())
}

fn labels(data: &data::Dataset) -> &[u32] {
    match &data.target {
        Some(Target::Labels(labels)) => labels,
        other => panic!("expected labels, found {other:?}"),
    }
}

const DIGITS: &str = "source = \"digits8x8.csv\"\ntarget = \"label\"\nsplit = { by = \"rows\", every = 5 }\n";

#[test]
fn a_table_of_pixels_is_images_with_one_scaling_a_channel() {
    let config = format!("{DIGITS}image = {{ shape = [1, 8, 8] }}");
    let loaded = load_in(Path::new(ASSETS), &config).unwrap();
    let image = loaded.fitted.image.as_ref().unwrap();
    assert_eq!(image.shape, ImageShape { channels: 1, height: 8, width: 8 });
    assert_eq!((image.scaling.len(), image.range), (1, [0.0, 16.0]));
    assert_eq!(loaded.test.source_rows[..3], [4, 9, 14]);
    assert_eq!(loaded.train.rows + loaded.validation.rows + loaded.test.rows, 1797);
    assert_eq!(loaded.train.features.len(), 64);
    // Row 0 of the file begins 0,0,5,13 and is a 0; one scaling takes all pixels of the training rows to 0 and 1.
    let (part, at) = [&loaded.train, &loaded.validation]
        .into_iter()
        .find_map(|p| Some((p, p.source_rows.iter().position(|&r| r == 0)?)))
        .unwrap();
    let found: Vec<f64> =
        part.x[64 * at..][..4].iter().map(|&x| image.scaling[0].invert(f64::from(x))).collect();
    assert!(found.iter().zip([0.0, 0.0, 5.0, 13.0]).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}");
    assert_eq!(labels(part)[at], 0);
    let count = loaded.train.x.len() as f64;
    let mean = loaded.train.x.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let square = loaded.train.x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / count;
    assert!(mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-5, "{mean} {square}");
}

#[test]
fn a_shape_that_is_not_the_tables_is_told() {
    let error = load_in(Path::new(ASSETS), &format!("{DIGITS}image = {{ shape = [1, 8, 9] }}")).unwrap_err();
    assert!(
        error.contains("digits8x8.csv") && error.contains("72 values") && error.contains("64"),
        "{error}"
    );
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("t.csv"), "a,b,label\n1,2,x\n3,,y\n5,6,x\n7,8,y\n").unwrap();
    let config = "source = \"t.csv\"\ntarget = \"label\"\nimage = { shape = [1, 1, 2] }\n";
    let error = load_in(directory.path(), config).unwrap_err();
    assert!(error.contains("t.csv: line 3: pixel `b` is empty"), "{error}");
}
