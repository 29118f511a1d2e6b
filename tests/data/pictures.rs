//! Pictures become the numbers that a viewer would show: turned, on white, of any format, in a shape.

use std::path::Path;

use gridlight::base::image::ImageShape;
use gridlight::data::{self, DataConfig, Dataset, Goal, Loaded};
use image::{DynamicImage, ImageFormat, Luma, Rgb};

/// A folder `pictures` of two classes with six copies each of a picture.
fn folder(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        let place = directory.path().join("pictures").join(class);
        std::fs::create_dir_all(&place).unwrap();
        for at in 0..6 {
            std::fs::write(place.join(format!("{at}{name}")), bytes).unwrap();
        }
    }
    directory
}

fn load(directory: &Path, more: &str) -> Result<Loaded, String> {
    let config =
        format!("source = \"pictures\"\ntarget = \"class\"\ntransform = {{ numbers = \"none\" }}\n{more}");
    let config: DataConfig = toml::from_str(&config).map_err(|e| e.to_string())?;
    data::load(&config, directory, Goal::Classes).map_err(|e| e.to_string())
}

/// The values of a picture, `[channels, height, width]`, and its shape.
fn read(name: &str, bytes: &[u8]) -> (Vec<f32>, ImageShape) {
    let loaded = load(folder(name, bytes).path(), "").unwrap();
    let shape = loaded.fitted.image.unwrap().shape;
    (loaded.train.features_of(0..1).into_owned(), shape)
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(vec![]);
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// EXIF data that say nothing but how the picture is turned.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    [&b"II*\0"[..], &[8, 0, 0, 0, 1, 0], &entry, &[0; 4]].concat()
}

/// A grey PNG file of three pixels by two, 1 to 6, with EXIF data after the pixels.
fn turned_png(orientation: u8) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, 3, 2);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[1, 2, 3, 4, 5, 6]).unwrap();
    writer.write_chunk(png::chunk::eXIf, &exif(orientation)).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn pictures_are_turned_as_their_exif_data_say() {
    // The eight orientations of the EXIF standard.
    let all: [(u8, [usize; 2], [u8; 6]); 8] = [
        (1, [2, 3], [1, 2, 3, 4, 5, 6]),
        (2, [2, 3], [3, 2, 1, 6, 5, 4]),
        (3, [2, 3], [6, 5, 4, 3, 2, 1]),
        (4, [2, 3], [4, 5, 6, 1, 2, 3]),
        (5, [3, 2], [1, 4, 2, 5, 3, 6]),
        (6, [3, 2], [4, 1, 5, 2, 6, 3]),
        (7, [3, 2], [6, 3, 5, 2, 4, 1]),
        (8, [3, 2], [3, 6, 2, 5, 1, 4]),
    ];
    for (orientation, [height, width], expected) in all {
        let (values, shape) = read(".png", &turned_png(orientation));
        assert_eq!((shape.height, shape.width), (height, width), "{orientation}");
        assert_eq!(values, expected.map(f32::from), "{orientation}");
    }
    assert_eq!(read(".png", &turned_png(99)).0, [1., 2., 3., 4., 5., 6.]);
    // A photo, red on the left, that was taken with the camera on its side.
    let halves =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/halves.jpg")).unwrap();
    let said = [b"Exif\0\0", &exif(6)[..]].concat();
    let length = (said.len() as u16 + 2).to_be_bytes();
    let photo = [&halves[..2], &[0xff, 0xe1], &length, &said, &halves[2..]].concat();
    let (values, shape) = read(".jpg", &photo);
    assert_eq!((shape.height, shape.width), (16, 8));
    let reds = [values[0], values[7], values[120], values[127]];
    assert!(
        reds.iter().zip([200., 200., 20., 20.]).all(|(a, b): (&f32, f32)| (a - b).abs() < 7.0),
        "{reds:?}"
    );
}

#[test]
fn every_format_gives_the_same_numbers_whatever_its_name() {
    let colours = |x: u32, y: u32| Rgb([x as u8 * 50, y as u8 * 60, 7]);
    let picture = DynamicImage::ImageRgb8(image::RgbImage::from_fn(5, 4, colours));
    let expected: Vec<f32> = (0..3)
        .flat_map(|c| picture.to_rgb8().pixels().map(move |p| f32::from(p[c])).collect::<Vec<_>>())
        .collect();
    for format in [ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff] {
        for name in [".png", ".xyz"] {
            let (values, shape) = read(name, &encoded(&picture, format));
            assert_eq!(shape, ImageShape { channels: 3, height: 4, width: 5 }, "{format:?}");
            assert_eq!(values, expected, "{format:?}");
        }
    }
    // Transparent parts are white.
    let clear = DynamicImage::new_rgba8(5, 4);
    for format in [ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Tiff] {
        assert_eq!(read(".x", &encoded(&clear, format)).0, [255.0; 60], "{format:?}");
    }
    // 16 bits stay 16 bits, and mean the same as 8.
    let deep = image::ImageBuffer::from_fn(2, 1, |x, _| Luma([if x == 0 { 200 * 257 } else { 1000u16 }]));
    let (values, _) = read(".tif", &encoded(&DynamicImage::ImageLuma16(deep), ImageFormat::Tiff));
    assert_eq!(values, [200.0, 1000.0 / 257.0]);
}

#[test]
fn a_deep_picture_among_flat_ones_keeps_its_bits() {
    let flat =
        encoded(&DynamicImage::ImageLuma8(image::GrayImage::from_pixel(2, 1, Luma([9]))), ImageFormat::Bmp);
    let directory = folder(".bmp", &flat);
    let deep = DynamicImage::ImageLuma16(image::ImageBuffer::from_pixel(2, 1, Luma([1000u16])));
    std::fs::write(directory.path().join("pictures/b/3.bmp"), encoded(&deep, ImageFormat::Tiff)).unwrap();
    let loaded = load(directory.path(), "image = { shape = [1, 1, 2] }").unwrap();
    let mut seen = 0;
    for part in [&loaded.train, &loaded.validation, &loaded.test] {
        for (name, values) in part.row_names.iter().zip(part.features_of(0..part.rows).chunks(2)) {
            let expected = if Path::new(name) == Path::new("b/3.bmp") { 1000.0 / 257.0 } else { 9.0 };
            assert_eq!(values, [expected; 2], "{name}");
            seen += 1;
        }
    }
    assert_eq!(seen, 12);
}

/// A JPEG file of one block of four inks, each of one value; `transform` is Adobe's: 0 for CMYK, 2 for YCCK.
fn inks(transform: u8, values: [u8; 4]) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8];
    let mut segment = |marker: u8, data: &[u8]| {
        file.extend([0xff, marker]);
        file.extend((data.len() as u16 + 2).to_be_bytes());
        file.extend(data);
    };
    segment(0xee, &[&b"Adobe"[..], &[0, 100, 0, 0, 0, 0, transform]].concat());
    segment(0xdb, &[&[0u8][..], &[8; 64]].concat());
    let components: Vec<u8> = (1..=4).flat_map(|id| [id, 0x11, 0]).collect();
    segment(0xc0, &[&[8, 0, 8, 0, 8, 4][..], &components].concat());
    // Of the first coefficients, 12 codes of 4 bits: their lengths in bits. Of the others, one code: the end.
    let lengths = |at: usize, count: u8| (1..=16).map(move |length| if length == at { count } else { 0 });
    segment(0xc4, &[&[0u8][..], &lengths(4, 12).collect::<Vec<_>>(), &(0..12).collect::<Vec<_>>()].concat());
    segment(0xc4, &[&[0x10u8][..], &lengths(1, 1).collect::<Vec<_>>(), &[0]].concat());
    segment(0xda, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]);
    let mut bits = String::new();
    for value in values {
        let level = i32::from(value) - 128;
        let length = (32 - level.unsigned_abs().leading_zeros()) as usize;
        let shown = if level < 0 { level + (1 << length) - 1 } else { level };
        bits += &format!("{length:04b}");
        bits += &if length == 0 { String::new() } else { format!("{shown:0length$b}") };
        bits += "0";
    }
    bits += &"1".repeat((8 - bits.len() % 8) % 8);
    for byte in bits.as_bytes().chunks(8) {
        let byte = byte.iter().fold(0u8, |byte, bit| byte << 1 | (bit - b'0'));
        file.extend(if byte == 0xff { vec![0xff, 0] } else { vec![byte] });
    }
    file.extend([0xff, 0xd9]);
    file
}

#[test]
fn four_inks_become_colours_as_adobe_stores_them() {
    for (transform, values, expected) in [
        // Inverted: 255 is no ink.
        (0, [200, 100, 50, 255], [200.0, 100.0, 50.0]),
        (0, [255, 255, 255, 0], [0.0, 0.0, 0.0]),
        (0, [200, 100, 50, 51], [40.0, 20.0, 10.0]),
        (2, [55, 128, 128, 255], [200.0, 200.0, 200.0]),
        (2, [0, 128, 128, 255], [255.0, 255.0, 255.0]),
    ] {
        let (found, shape) = read(".jpg", &inks(transform, values));
        assert_eq!(shape, ImageShape { channels: 3, height: 8, width: 8 });
        for (plane, expected) in found.chunks(64).zip(expected) {
            assert!(plane.iter().all(|x| (x - expected).abs() <= 2.0), "{transform} {values:?}: {plane:?}");
        }
    }
}

#[test]
fn the_fit_of_training_is_that_of_predictions() {
    let wide = DynamicImage::ImageLuma8(image::GrayImage::from_fn(4, 2, |x, _| Luma([x as u8 * 10])));
    let bytes = encoded(&wide, ImageFormat::Bmp);
    let directory = folder(".bmp", &bytes);
    let white = [255.0; 4];
    let row = [0.0, 10.0, 20.0, 30.0];
    for (fit, shape, expected) in [
        ("pad", "[1, 4, 4]", [white, row, row, white].concat()),
        ("crop", "[1, 2, 2]", vec![10.0, 20.0, 10.0, 20.0]),
        ("squash", "[1, 4, 4]", [row; 4].concat()),
    ] {
        let more = format!("image = {{ shape = {shape}, fit = \"{fit}\" }}");
        let loaded = load(directory.path(), &more).unwrap();
        assert_eq!(loaded.train.features_of(0..1)[..], expected, "{fit}");
        let one = directory.path().join("pictures/a/3.bmp");
        assert_eq!(
            data::load_with(&loaded.fitted, &one, false).unwrap().features_of(0..1)[..],
            expected,
            "{fit}"
        );
    }
    let error = load(directory.path(), "image = { fit = \"stretch\" }").unwrap_err();
    assert!(error.contains("stretch") && error.contains("squash"), "{error}");
}

fn rows(loaded: &Loaded) -> usize {
    [&loaded.train, &loaded.validation, &loaded.test].iter().map(|part: &&Dataset| part.rows).sum()
}

#[test]
fn damaged_files_are_left_out_if_asked_for() {
    let good = encoded(&DynamicImage::new_luma8(2, 2), ImageFormat::Bmp);
    let directory = folder(".bmp", &good);
    let place = directory.path().join("pictures/a");
    std::fs::write(place.join("0.bmp"), &good[..good.len() - 4]).unwrap();
    std::fs::write(place.join("notes.txt"), "not a picture").unwrap();
    let error = load(directory.path(), "").unwrap_err();
    assert!(error.contains("0.bmp"), "{error}");
    let loaded = load(directory.path(), "image = { on_error = \"skip\" }").unwrap();
    assert_eq!(rows(&loaded), 11);
    let [note] = loaded.understood.notes.as_slice() else { panic!("{:?}", loaded.understood.notes) };
    assert!(
        note.starts_with("2 of 13 files left out")
            && note.contains("0.bmp: ")
            && note.contains("notes.txt: "),
        "{note}"
    );
    for part in [&loaded.train, &loaded.validation, &loaded.test] {
        assert!(part.row_names.iter().all(|name| !name.contains("0.bmp") || name.starts_with('b')));
    }
    // Predictions are of every file or none.
    let error = data::load_with(&loaded.fitted, &place, false).unwrap_err().to_string();
    assert!(error.contains("0.bmp"), "{error}");
    for at in 0..20 {
        std::fs::write(place.join(format!("more{at:02}.jpg")), "").unwrap();
    }
    let loaded = load(directory.path(), "image = { on_error = \"skip\" }").unwrap();
    assert!(
        loaded.understood.notes[0].contains("and 12 more")
            && loaded.understood.notes[0].lines().count() == 12,
        "{}",
        loaded.understood.notes[0]
    );
    let nothing = folder(".jpg", b"");
    let error = load(nothing.path(), "image = { on_error = \"skip\", shape = [1, 2, 2] }").unwrap_err();
    assert!(error.contains("none of its 12 files") && error.contains("0.jpg"), "{error}");
}

#[test]
fn folders_called_train_and_test_are_the_split() {
    let good = encoded(&DynamicImage::new_luma8(2, 2), ImageFormat::Bmp);
    let directory = tempfile::tempdir().unwrap();
    let write = |part: &str, count: usize| {
        for class in ["a", "b"] {
            let place = directory.path().join("pictures").join(part).join(class);
            std::fs::create_dir_all(&place).unwrap();
            (0..count).for_each(|at| std::fs::write(place.join(format!("{at}.bmp")), &good).unwrap());
        }
    };
    write("train", 10);
    write("test", 3);
    let counts = |more: &str| {
        let loaded = load(directory.path(), more)?;
        Ok::<_, String>((
            [loaded.train.rows, loaded.validation.rows, loaded.test.rows],
            loaded.understood.notes,
        ))
    };
    let (found, notes) = counts("").unwrap();
    assert_eq!(found, [17, 3, 6]);
    assert!(notes[0].contains("test, train of") && notes[0].contains("are the split"), "{notes:?}");
    write("val", 2);
    assert_eq!(counts("").unwrap().0, [20, 4, 6]);
    let error = counts("split = { by = \"files\", validation = 0.2, test = \"pictures/test\" }").unwrap_err();
    assert!(error.contains("remove [data.split]") && error.contains("train"), "{error}");
    // Two classes of these names, and a folder beside the parts.
    let named = folder(".bmp", &good);
    for (from, to) in [("a", "train"), ("b", "test")] {
        std::fs::rename(named.path().join("pictures").join(from), named.path().join("pictures").join(to))
            .unwrap();
    }
    let loaded = load(named.path(), "").unwrap();
    assert_eq!((rows(&loaded), loaded.understood.notes.len()), (12, 0));
    write("more", 1);
    assert!(counts("").unwrap_err().contains("within the folder of a class"));
}

#[test]
fn labels_need_no_name() {
    let directory = folder(".bmp", &encoded(&DynamicImage::new_luma8(2, 2), ImageFormat::Bmp));
    let config: DataConfig = toml::from_str("source = \"pictures\"").unwrap();
    let of = |goal| data::load(&config, directory.path(), goal).unwrap();
    assert_eq!(of(Goal::Classes).fitted.target.name(), Some("label"));
    assert_eq!(of(Goal::Features).fitted.target.name(), None);
    std::fs::write(directory.path().join("t.csv"), "a,b\n1,2\n3,4\n").unwrap();
    let config: DataConfig = toml::from_str("source = \"t.csv\"\nimage = { on_error = \"skip\" }").unwrap();
    let error = data::load(&config, directory.path(), Goal::Features).unwrap_err().to_string();
    assert!(error.contains("t.csv: `data.image.on_error` is for pictures"), "{error}");
    let config: DataConfig = toml::from_str("source = \"t.csv\"").unwrap();
    let error = data::load(&config, directory.path(), Goal::Classes).unwrap_err().to_string();
    assert!(error.contains("`data.target` is missing") && error.contains("t.csv"), "{error}");
}

#[test]
fn a_class_that_training_lacks_is_told_by_a_picture_of_it() {
    let good = encoded(&DynamicImage::new_luma8(2, 2), ImageFormat::Bmp);
    let directory = folder(".bmp", &good);
    let loaded = load(directory.path(), "").unwrap();
    for class in ["a", "c"] {
        std::fs::create_dir_all(directory.path().join("other").join(class)).unwrap();
        std::fs::write(directory.path().join("other").join(class).join("7.bmp"), &good).unwrap();
    }
    let other = directory.path().join("other");
    let error = data::load_with(&loaded.fitted, &other, true).unwrap_err().to_string();
    let picture = other.join("c/7.bmp");
    assert!(error.starts_with(&picture.display().to_string()), "{error}");
    assert!(error.contains("its class is \"c\"") && error.ends_with("the classes are a, b"), "{error}");
    assert!(!error.contains(":2"), "{error}");
}

#[test]
fn what_is_no_picture_is_told_by_what_it_is() {
    let directory = folder(".bmp", &encoded(&DynamicImage::new_luma8(2, 2), ImageFormat::Bmp));
    let fitted = load(directory.path(), "").unwrap().fitted;
    for (name, bytes, expected) in [
        ("notes.txt", &b"hello"[..], "it is a text file"),
        ("photo.jpg", b"\0\0\0\x18ftypheic\0\0\0\0", "it is a HEIC picture"),
        ("photo", b"", "the file is empty"),
        ("drawing.svg", b"<svg/>", "it is an SVG drawing"),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = data::load_with(&fitted, &path, false).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(expected) && error.contains("WebP"), "{error}");
    }
}
