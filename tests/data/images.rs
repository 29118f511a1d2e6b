//! Images from every kind of file become rows of pixels as documented; files that are damaged, or not what
//! the experiment expects, are reported by name.

use std::borrow::Cow;
use std::path::Path;

use gridlight::base::image::ImageShape;
use gridlight::data::{self, DataConfig, Goal, Loaded, Target};

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/data/images");

fn load_in(directory: &Path, config: &str) -> Result<Loaded, String> {
    let config: DataConfig = toml::from_str(config).map_err(|e| e.to_string())?;
    data::load(&config, directory, Goal::Classes).map_err(|e| e.to_string())
}

fn labels(data: &data::Dataset) -> &[u32] {
    match &data.target {
        Some(Target::Labels(labels)) => labels,
        other => panic!("expected labels, found {other:?}"),
    }
}

/// The features of all rows.
fn features(data: &data::Dataset) -> Cow<'_, [f32]> {
    data.features_of(0..data.rows)
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
    // Row 0 of the file starts 0,0,5,13 and is a 0; one scaling maps all pixels of the training rows to 0..1.
    let (part, at) = [&loaded.train, &loaded.validation]
        .into_iter()
        .find_map(|p| Some((p, p.source_rows.iter().position(|&r| r == 0)?)))
        .unwrap();
    let found: Vec<f64> =
        features(part)[64 * at..][..4].iter().map(|&x| image.scaling[0].invert(f64::from(x))).collect();
    assert!(found.iter().zip([0.0, 0.0, 5.0, 13.0]).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}");
    assert_eq!(labels(part)[at], 0);
    let x = features(&loaded.train);
    let count = x.len() as f64;
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let square = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / count;
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

const CLOTHES: &str = r#"
source = "fashion-train5000-images-idx3-ubyte"
target = "label"
split = { by = "files", validation = 0.1, test = "fashion-t10k1000-images-idx3-ubyte" }
"#;

#[test]
fn idx_files_are_images_with_the_labels_beside_them() {
    let names = "image = { classes = [\"T-shirt\", \"trousers\", \"pullover\", \"dress\", \"coat\", \
                 \"sandal\", \"shirt\", \"sneaker\", \"bag\", \"boot\"] }";
    let loaded = load_in(Path::new(ASSETS), &format!("{CLOTHES}{names}")).unwrap();
    let image = loaded.fitted.image.as_ref().unwrap();
    assert_eq!(image.shape, ImageShape { channels: 1, height: 28, width: 28 });
    assert_eq!((loaded.train.rows, loaded.validation.rows, loaded.test.rows), (4500, 500, 1000));
    assert_eq!((image.range, image.scaling.len()), ([0.0, 255.0], 1));
    // Classes in the given order: the first test image is a boot.
    assert_eq!(labels(&loaded.test)[0], 9);
    let bytes = std::fs::read(Path::new(ASSETS).join("fashion-t10k1000-images-idx3-ubyte")).unwrap();
    for (at, &x) in features(&loaded.test)[..784].iter().enumerate() {
        let found = image.scaling[0].invert(f64::from(x));
        assert!((found - f64::from(bytes[16 + at])).abs() < 1e-3, "{at}: {found}");
    }
    // Another file for a trained run, with and without labels.
    let test = Path::new(ASSETS).join("fashion-t10k1000-images-idx3-ubyte");
    let again = data::load_with(&loaded.fitted, &test, true).unwrap();
    assert_eq!((&again.pixels, &again.target), (&loaded.test.pixels, &loaded.test.target));
    assert!(again.pixels.is_some() && again.x.is_empty(), "bytes stay bytes");
    assert_eq!(data::load_with(&loaded.fitted, &test, false).unwrap().target, None);
}

/// An IDX file of bytes.
fn idx(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|side| side.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Pixels of `count` images of `values` each, all different.
fn pixels(count: usize, values: usize) -> Vec<u8> {
    (0..count * values).map(|i| (i * 37 % 251) as u8).collect()
}

#[test]
fn compressed_files_and_numpys_hold_the_same_images() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (count, labels) = (20usize, (0..20u8).map(|i| i % 3).collect::<Vec<u8>>());
    let values = pixels(count, 12);
    std::fs::write(at("images-idx3"), idx(&[20, 3, 4], &values)).unwrap();
    std::fs::write(at("labels-idx1"), idx(&[20], &labels)).unwrap();
    std::fs::write(at("images-idx3.gz"), gzip(&idx(&[20, 3, 4], &values))).unwrap();
    std::fs::write(at("labels-idx1.gz"), gzip(&idx(&[20], &labels))).unwrap();
    let load = |source: &str, more: &str| {
        load_in(directory.path(), &format!("source = \"{source}\"\ntarget = \"label\"\n{more}")).unwrap()
    };
    let plain = load("images-idx3", "");
    assert_eq!(plain.train.rows + plain.validation.rows + plain.test.rows, 20);
    let compressed = load("images-idx3.gz", "");
    assert_eq!((&plain.train, &plain.fitted), (&compressed.train, &compressed.fitted));
    // NumPy files, as bytes and as numbers, with labels given by name.
    let npy = |kind: &str, shape: &str, bytes: &[u8]| {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
        let header = format!("{header:<117}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), bytes].concat()
    };
    std::fs::write(at("x.npy"), npy("|u1", "(20, 3, 4)", &values)).unwrap();
    let wide: Vec<u8> = labels.iter().flat_map(|&l| i64::from(l).to_le_bytes()).collect();
    std::fs::write(at("y.npy"), npy("<i8", "(20,)", &wide)).unwrap();
    assert_eq!(load("x.npy", "labels = \"y.npy\"").train, plain.train);
    let floats: Vec<u8> = values.iter().flat_map(|&b| f32::from(b).to_le_bytes()).collect();
    std::fs::write(at("images.npy"), npy("<f4", "(20, 12)", &floats)).unwrap();
    std::fs::write(at("labels.npy"), npy("<i8", "(20,)", &wide)).unwrap();
    let loaded = load("images.npy", "image = { shape = [1, 3, 4] }");
    assert_eq!(features(&loaded.train), features(&plain.train));
    // Both in one archive, stored and deflated.
    let archive = |file: &str, label: &str| {
        let mut writer = zip::ZipWriter::new(std::fs::File::create(at(file)).unwrap());
        for (name, bytes, method) in [
            (&"x.npy".to_string(), npy("|u1", "(20, 3, 4)", &values), zip::CompressionMethod::Stored),
            (&format!("{label}.npy"), npy("<i8", "(20,)", &wide), zip::CompressionMethod::Deflated),
        ] {
            use std::io::Write;
            let options = zip::write::SimpleFileOptions::default().compression_method(method);
            writer.start_file(name.as_str(), options).unwrap();
            writer.write_all(&bytes).unwrap();
        }
        writer.finish().unwrap();
    };
    archive("both.npz", "label");
    assert_eq!(load("both.npz", "").train, plain.train);
    // The only array of one axis is the labels, if the target has no name.
    archive("other.npz", "y");
    assert_eq!(load_in(directory.path(), "source = \"other.npz\"").unwrap().train, plain.train);
    assert!(load_in(directory.path(), "source = \"other.npz\"\ntarget = \"z\"").is_err());
}

#[test]
fn files_that_lie_are_told_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
    write("labels-idx1", &idx(&[20], &(0..20).map(|i| i % 3).collect::<Vec<u8>>()));
    let load = |more: &str| {
        load_in(directory.path(), &format!("source = \"images-idx3\"\ntarget = \"label\"\n{more}"))
            .unwrap_err()
    };
    let good = idx(&[20, 3, 4], &pixels(20, 12));
    for (bytes, expected) in [
        (good[..good.len() - 1].to_vec(), "240 bytes, but 239 follow"),
        ([&good[..], &[1, 2]].concat(), "240 bytes, but 241 follow"),
        (idx(&[u32::MAX, u32::MAX, 4], &[]), "at most"),
        (idx(&[0, 3, 4], &[]), "no images"),
        (idx(&[20, 0, 4], &[]), "array of [20, 0, 4]"),
        (good[..9].to_vec(), "header cannot be read"),
        (vec![1, 2, 3, 4, 5], "not an IDX file: it begins with the bytes [01, 02, 03, 04]"),
        (gzip(b"a,b\n1,2\n"), "it holds text: a table must not have"),
        (vec![0, 0, 7, 1, 0, 0, 0, 0], "0x7"),
        (gzip(&good)[..60].to_vec(), "cannot be read"),
        (idx(&[19, 3, 4], &pixels(19, 12)), "labels of [20], but there are 19 images"),
        (idx(&[20, 2, 4], &pixels(20, 8)), "it holds an array of [20, 2, 4]; expected images of [1, 3, 4]"),
    ] {
        write("images-idx3", &bytes);
        let error = load("image = { shape = [1, 3, 4] }");
        assert!(error.contains("-idx") && error.contains(expected), "{expected}: {error}");
    }
    write("images-idx3", &good);
    assert!(load("labels = \"none\"").contains("none"));
    assert!(load("image = { classes = [\"a\", \"b\"] }").contains("label 2 has no name"));
    assert!(load("image = { fit = \"pad\" }").contains("images-idx3: `data.image.fit` is for pictures"));
    assert!(load("exclude = [\"a\"]").contains("`data.exclude` concerns columns of a table"));
    write("labels-idx1", &idx(&[20], &[7; 20]));
    assert!(load("").contains("nothing to learn"));
    std::fs::remove_file(directory.path().join("labels-idx1")).unwrap();
    assert!(load("").contains("data.labels"));
}

/// A PNG file with 8 bits per value; `values` are `[height, width, channels]`.
fn png(channels: usize, width: u32, height: u32, values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(if channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(values).unwrap();
    bytes
}

/// A folder with two classes of eight 3 x 2 images.
fn folder() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (class, base) in [("ants", 0u8), ("bees", 100)] {
        std::fs::create_dir_all(directory.path().join("pictures").join(class)).unwrap();
        for at in 0..8u8 {
            let values: Vec<u8> = (0..18).map(|i| base + 7 * at + i).collect();
            let path = directory.path().join(format!("pictures/{class}/{at}.png"));
            std::fs::write(path, png(3, 3, 2, &values)).unwrap();
        }
    }
    std::fs::write(directory.path().join("pictures/ants/.hidden"), "left out").unwrap();
    directory
}

const FOLDER: &str = "source = \"pictures\"\ntarget = \"insect\"\n";

#[test]
fn a_folder_of_pictures_has_a_class_a_subfolder() {
    let directory = folder();
    let loaded = load_in(directory.path(), FOLDER).unwrap();
    let image = loaded.fitted.image.as_ref().unwrap();
    assert_eq!(image.shape, ImageShape { channels: 3, height: 2, width: 3 });
    for part in [&loaded.train, &loaded.validation, &loaded.test] {
        for (at, &row) in part.source_rows.iter().enumerate() {
            assert_eq!(labels(part)[at] as usize, row / 8);
            // Red of the second pixel.
            let red = image.scaling[0].invert(f64::from(features(part)[18 * at + 1]));
            let expected = if row < 8 { 7 * row + 3 } else { 100 + 7 * (row - 8) + 3 };
            assert!((red - expected as f64).abs() < 1e-3, "row {row}: {red}");
        }
    }
    // Greyscale and resized.
    let grey = load_in(directory.path(), &format!("{FOLDER}image = {{ shape = [1, 4, 4] }}")).unwrap();
    assert_eq!(grey.train.features.len(), 16);
    assert_ne!(grey.digest, "");
    // Without labels: single pictures, and folders with and without subfolders.
    for (path, rows) in [("pictures", 16), ("pictures/bees", 8), ("pictures/bees/3.png", 1)] {
        let found = data::load_with(&loaded.fitted, &directory.path().join(path), false).unwrap();
        assert_eq!((found.rows, found.target), (rows, None), "{path}");
    }
}

#[test]
fn jpeg_files_are_read_in_colour_and_in_grey() {
    let directory = tempfile::tempdir().unwrap();
    let given = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
    for name in ["halves", "grey", "progressive"] {
        for class in ["a", "b"] {
            let place = directory.path().join(name).join(class);
            std::fs::create_dir_all(&place).unwrap();
            for at in 0..6 {
                std::fs::copy(given.join(format!("{name}.jpg")), place.join(format!("{at}.jpeg"))).unwrap();
            }
        }
        let config = format!("source = \"{name}\"\ntarget = \"class\"\ntransform = {{ numbers = \"none\" }}");
        let loaded = load_in(directory.path(), &config).unwrap();
        let shape = loaded.fitted.image.as_ref().unwrap().shape;
        assert_eq!((shape.height, shape.width), (8, 16));
        let pixel = |x: usize| -> Vec<f32> {
            (0..shape.channels).map(|c| features(&loaded.train)[128 * c + x]).collect()
        };
        let (left, right): (&[f32], &[f32]) =
            if shape.channels == 3 { (&[200., 30., 60.], &[20., 90., 220.]) } else { (&[84.], &[84.]) };
        for (found, expected) in pixel(0).iter().chain(&pixel(15)).zip(left.iter().chain(right)) {
            assert!((found - expected).abs() <= 6.0, "{name}: {found} for {expected}");
        }
        assert_eq!(shape.channels, if name == "grey" { 1 } else { 3 });
    }
}

#[test]
fn every_kind_of_png_is_read() {
    use png::{BitDepth, ColorType};
    let kinds: [(ColorType, BitDepth, &[u8], &[f32]); 5] = [
        (ColorType::Grayscale, BitDepth::One, &[0b1000_0000], &[255.0, 0.0]),
        (ColorType::Grayscale, BitDepth::Sixteen, &[200, 7, 10, 9], &[51207.0 / 257.0, 2569.0 / 257.0]),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, &[9, 0, 8, 255], &[255.0, 8.0]),
        (
            ColorType::Rgba,
            BitDepth::Eight,
            &[1, 2, 3, 51, 4, 5, 6, 255],
            &[204.0, 4.0, 204.0, 5.0, 205.0, 6.0],
        ),
        (ColorType::Indexed, BitDepth::Eight, &[1, 0], &[4.0, 1.0, 5.0, 2.0, 6.0, 3.0]),
    ];
    for (color, depth, data, expected) in kinds {
        let directory = tempfile::tempdir().unwrap();
        for class in ["a", "b"] {
            let place = directory.path().join("pictures").join(class);
            std::fs::create_dir_all(&place).unwrap();
            for at in 0..6 {
                let file = std::fs::File::create(place.join(format!("{at}.png"))).unwrap();
                let mut encoder = png::Encoder::new(file, 2, 1);
                encoder.set_color(color);
                encoder.set_depth(depth);
                if color == ColorType::Indexed {
                    encoder.set_palette(vec![1, 2, 3, 4, 5, 6]);
                }
                encoder.write_header().unwrap().write_image_data(data).unwrap();
            }
        }
        let loaded =
            load_in(directory.path(), &format!("{FOLDER}transform = {{ numbers = \"none\" }}")).unwrap();
        assert_eq!(features(&loaded.train)[..expected.len()], *expected, "{color:?} {depth:?}");
    }
}

#[test]
fn pictures_that_are_none_are_told_by_name() {
    let check = |path: &str, bytes: Option<&[u8]>, more: &str, expected: &str| {
        let directory = folder();
        let place = directory.path().join("pictures").join(path);
        match bytes {
            Some(bytes) => std::fs::write(&place, bytes).unwrap(),
            None => std::fs::create_dir_all(&place).unwrap(),
        }
        let error = load_in(directory.path(), &format!("{FOLDER}{more}")).unwrap_err();
        assert!(error.contains(path) && error.contains(expected), "{path}, {expected}: {error}");
    };
    let good = png(3, 3, 2, &[9; 18]);
    let jpeg =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/halves.jpg")).unwrap();
    check("ants/notes.txt", Some(b"hello"), "", "is a text file; pictures are read from PNG");
    check("ants/9.png", Some(&good[..good.len() - 20]), "", "damaged");
    check("ants/9.jpg", Some(&jpeg[..jpeg.len() / 2 + 100]), "image = { shape = [3, 2, 3] }", "damaged");
    check("ants/9.png", Some(&png(3, 2, 3, &[0; 18])), "", "[3, 3, 2]");
    check("ants/9.png", Some(&png(1, 3, 2, &[0; 6])), "", "[1, 2, 3]");
    check("wasps", None, "", "empty");
    check("ants/more", None, "", "within the folder of a class");
    check("loose.png", Some(&good), "", "beside the folders");
    // A few bytes that declare 2^31 x 2^31 and 30,000 x 30,000 pixels: the header check comes first.
    for (side, expected) in [(i32::MAX as u32, "2147483647"), (30_000, "30000 x 30000")] {
        let mut bomb = good.clone();
        bomb[16..24].copy_from_slice(&[side.to_be_bytes(), side.to_be_bytes()].concat());
        let checksum = crc(&bomb[12..29]).to_be_bytes();
        bomb[29..33].copy_from_slice(&checksum);
        check("ants/9.png", Some(&bomb), "", expected);
    }
    let directory = folder();
    std::fs::remove_dir_all(directory.path().join("pictures/bees")).unwrap();
    let error = load_in(directory.path(), FOLDER).unwrap_err();
    assert!(error.contains("pictures") && error.contains("nothing to learn"), "{error}");
}

/// The checksum of a PNG chunk (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })
    })
}
