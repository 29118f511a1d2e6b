//! What a file is, by its first bytes: a picture of a format that is read, or something else with a name.

use std::io::Read;
use std::path::Path;

use crate::base::files::File;

/// The formats that are read, for messages.
pub const READ: &str = "PNG, JPEG, WebP, BMP, GIF and TIFF";
/// Bytes that tell what a file is.
const START: usize = 1024;
/// Lengths of the headers that BMP files have after their first 14 bytes.
const BMP_HEADERS: [u8; 7] = [12, 40, 52, 56, 64, 108, 124];

/// A format of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// GIF, of which the first picture is read.
    Gif,
    /// TIFF, of which the first picture is read.
    Tiff,
}

impl Format {
    /// The format of a picture that starts with these bytes.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            // Two letters are not enough: the header of a table may begin with them.
            [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, header, 0, 0, 0, ..]
                if BMP_HEADERS.contains(header) =>
            {
                Some(Self::Bmp)
            }
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            _ => None,
        }
    }

    /// The format's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Tiff => "TIFF",
        }
    }
}

/// The first bytes of a file.
///
/// # Errors
/// If it cannot be read.
pub fn start(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = vec![];
    File::open(path)?.take(START as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// Whether a file starts like a picture that is read.
pub fn begins_like_a_picture(path: &Path) -> bool {
    start(path).is_ok_and(|start| Format::of(&start).is_some())
}

/// Why a file that starts with these bytes, and is of no [`Format`], is not read.
pub fn refusal(bytes: &[u8]) -> String {
    let what = describe(&bytes[..bytes.len().min(START)]);
    format!("{what}; pictures are read from {READ} files: convert it to one of these, or remove it")
}

fn describe(start: &[u8]) -> String {
    let brand = start.get(4..12).unwrap_or_default();
    let known = match start {
        [] => return "the file is empty".into(),
        [0, 0, 0, _, b'J', b'X', b'L', b' ', ..] | [0xff, 0x0a, ..] => "a JPEG XL picture",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [b'8', b'B', b'P', b'S', ..] => "a Photoshop picture",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive",
        [0x1f, 0x8b, ..] => "a file compressed with gzip",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy array without the ending .npy",
        [0, 0, 1, 0, ..] => "an icon (ICO)",
        [0xd0, 0xcf, 0x11, 0xe0, ..] => "a document or cache of thumbnails of Windows",
        _ if brand.starts_with(b"ftypavi") => "an AVIF picture",
        _ if [&b"ftyphei"[..], b"ftyphev", b"ftypmif", b"ftypmsf"].iter().any(|b| brand.starts_with(b)) => {
            "a HEIC picture"
        }
        _ if brand.starts_with(b"ftyp") => "a video",
        _ => match text(start) {
            Some(text) if text.contains("<svg") => "an SVG drawing",
            Some(text) if text.to_lowercase().contains("<html") => "a web page",
            Some(_) => "a text file",
            None => {
                let first = &start[..start.len().min(4)];
                return format!("it is not a picture: it begins with the bytes {first:02x?}");
            }
        },
    };
    format!("it is {known}")
}

/// The bytes as text, if they are.
fn text(start: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(start);
    // A character may be cut off at the end.
    let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
    let strange = |c: char| c == char::REPLACEMENT_CHARACTER || (c.is_control() && !c.is_whitespace());
    (!whole.is_empty() && !whole.contains(strange)).then(|| whole.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_read_are_named() {
        for (start, expected) in [
            (&b""[..], "empty"),
            (b"hello", "a text file"),
            ("gr\u{fc}n".as_bytes(), "a text file"),
            (b"BMI,age\n20,30\n21,31\n", "a text file"),
            (b"<?xml version=\"1.0\"?>\n<svg width=\"3\"/>", "an SVG drawing"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture"),
            (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF picture"),
            (b"%PDF-1.7", "a PDF document"),
            (b"\x01\x02\x03\x04\x05", "[01, 02, 03, 04]"),
        ] {
            assert_eq!(Format::of(start), None);
            let found = refusal(start);
            assert!(found.contains(expected) && found.contains(READ), "{expected}: {found}");
        }
    }
}
