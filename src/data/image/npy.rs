//! NumPy's array files: `.npy` (one array) and `.npz` (a zip archive of them).
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use std::io::{BufReader, Read};
use std::path::Path;

use super::array::{Array, Element, MAX_ARRAY, bad, elements};
use crate::base::files::File;
use crate::data::DataError;

/// First bytes of an array.
const MAGIC: &[u8] = b"\x93NUMPY";
/// Maximum header length; NumPy's headers take 128 bytes.
const MAX_HEADER: usize = 64 << 10;
/// Maximum number of arrays in an archive.
const MAX_ARRAYS: usize = 10_000;

/// Reads a `.npy` file.
///
/// # Errors
/// If it cannot be read or is not a `.npy` file.
pub fn read(path: &Path) -> Result<Array, DataError> {
    let open = File::open(path);
    let file = open.map_err(|e| DataError::Io { path: path.into(), reason: e.to_string() })?;
    parse(path, BufReader::new(file))
}

/// The arrays of an `.npz` archive whose names satisfy `wanted`.
///
/// # Errors
/// If it cannot be read or is not an `.npz` file.
pub fn read_archive(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, Array)>, DataError> {
    let open = File::open(path);
    let file = open.map_err(|e| DataError::Io { path: path.into(), reason: e.to_string() })?;
    let fail = |e: zip::result::ZipError| bad(path, format!("it is not a whole .npz archive: {e}"));
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(fail)?;
    if archive.len() > MAX_ARRAYS {
        return Err(bad(
            path,
            format!("it holds {} arrays, at most {MAX_ARRAYS} are supported", archive.len()),
        ));
    }
    let mut arrays: Vec<(String, Array)> = vec![];
    let mut total = 0usize;
    for at in 0..archive.len() {
        let entry = archive.by_index(at).map_err(fail)?;
        let name = entry.name().map_err(fail)?.trim_end_matches(".npy").to_string();
        if !wanted(&name) {
            continue;
        }
        let array =
            parse(path, entry).map_err(|e| bad(path, format!("array `{name:.80}`: {}", without_path(e))))?;
        total = total.saturating_add(array.shape.iter().product());
        if total > MAX_ARRAY {
            return Err(bad(path, format!("its arrays have more than {MAX_ARRAY} values")));
        }
        arrays.push((name, array));
    }
    Ok(arrays)
}

fn without_path(error: DataError) -> String {
    match error {
        DataError::Image { reason, .. } => reason,
        other => other.to_string(),
    }
}

fn parse(path: &Path, mut source: impl Read) -> Result<Array, DataError> {
    let cut = |e: std::io::Error| bad(path, format!("its header cannot be read: {e}"));
    let mut start = [0; 8];
    source.read_exact(&mut start).map_err(cut)?;
    if !start.starts_with(MAGIC) {
        return Err(bad(path, "it is not a NumPy array: it does not begin with \\x93NUMPY"));
    }
    let mut length = [0; 4];
    let width = if start[6] == 1 { 2 } else { 4 };
    source.read_exact(&mut length[..width]).map_err(cut)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(bad(
            path,
            format!("its header says it has {length} bytes, at most {MAX_HEADER} are supported"),
        ));
    }
    let mut text = vec![0; length];
    source.read_exact(&mut text).map_err(cut)?;
    let text = String::from_utf8(text).map_err(|_| bad(path, "its header is not text"))?;
    let Header { element, big_endian, fortran, shape } =
        header(&text).map_err(|reason| bad(path, format!("its header {reason}")))?;
    if fortran && shape.len() > 1 {
        let advice = "save it with numpy.ascontiguousarray";
        return Err(bad(path, format!("its values are in Fortran order, which is not supported; {advice}")));
    }
    let expected = elements(path, &shape)? * element.bytes();
    let mut bytes = vec![];
    let read = source.take(expected as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|e| bad(path, format!("the data after its header cannot be read: {e}")))?;
    Array::decode(path, shape, element, big_endian, bytes)
}

struct Header {
    element: Element,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
}

/// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, with keys in any order.
fn header(text: &str) -> Result<Header, String> {
    let after = |key: &str| {
        let found = text.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        found.ok_or_else(|| format!("has no `{key}`"))
    };
    let descr = after("descr")?;
    let kind = descr.strip_prefix('\'').and_then(|rest| rest.split('\'').next()).unwrap_or("");
    let (big_endian, kind) = match kind.split_at_checked(1) {
        Some((">", rest)) => (true, rest),
        Some(("<" | "|" | "=", rest)) => (false, rest),
        _ => (false, kind),
    };
    let element = match kind {
        "u1" | "b1" => Element::Unsigned(1),
        "u2" => Element::Unsigned(2),
        "u4" => Element::Unsigned(4),
        "u8" => Element::Unsigned(8),
        "i1" => Element::Signed(1),
        "i2" => Element::Signed(2),
        "i4" => Element::Signed(4),
        "i8" => Element::Signed(8),
        "f2" => Element::Float(2),
        "f4" => Element::Float(4),
        "f8" => Element::Float(8),
        "O" => {
            let advice = "save an array of numbers: np.save(..., a.astype('float32'))";
            return Err(format!("says the elements are objects; {advice}"));
        }
        text if text.starts_with(['U', 'S']) => {
            let advice = "save numbers, such as np.unique(a, return_inverse=True)[1], and name them in \
                          `data.image.classes`";
            return Err(format!("says the elements are text; {advice}"));
        }
        _ => {
            let shown: String = descr.chars().take(40).collect();
            return Err(format!(
                "says the elements are {shown}; integers and floating-point numbers are supported"
            ));
        }
    };
    let shape = after("shape")?;
    let inside = shape.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(inside, _)| inside);
    let sides = inside.ok_or("has no shape in brackets")?.split(',').map(str::trim).filter(|s| !s.is_empty());
    let shape: Result<Vec<usize>, _> = sides.map(str::parse).collect();
    let shape = shape.map_err(|_| "has a shape that is not whole numbers")?;
    if shape.is_empty() || shape.len() > 8 {
        return Err(format!("says the array has {} axes; 1 to 8 are read", shape.len()));
    }
    Ok(Header { element, big_endian, fortran: after("fortran_order")?.starts_with("True"), shape })
}

/// NumPy's array format, version 1.0.
pub fn bytes(values: &[f32], shape: &[usize]) -> Vec<u8> {
    let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", extents.join(", "));
    // Magic, version and length take 10 bytes; the data start at a multiple of 64.
    let blanks = (64 - (10 + header.len() + 1) % 64) % 64;
    header.push_str(&" ".repeat(blanks));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_numpy_writes_them() {
        let found = header("{'descr': '>i2', 'fortran_order': False, 'shape': (3, 4), }").unwrap();
        assert_eq!((found.element, found.big_endian, found.fortran), (Element::Signed(2), true, false));
        assert_eq!(found.shape, [3, 4]);
        let found = header("{'shape': (7,), 'fortran_order': True, 'descr': '|u1'}").unwrap();
        assert_eq!((found.element, found.shape), (Element::Unsigned(1), vec![7]));
        let found = header("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}").err().unwrap();
        assert!(found.contains("objects") && found.contains("a.astype('float32')"), "{found}");
        for text in ["", "{'descr': '<U5', 'shape': (1,)}", "{'descr': '<f4', 'shape': (-1,)}"] {
            assert!(header(text).is_err(), "{text}");
        }
    }
}
