//! IDX files, the format of MNIST: two zero bytes, the element type, the number of axes, the size of each
//! axis as a big-endian 32-bit number, then the elements. Files may be compressed with gzip.
//! <http://yann.lecun.com/exdb/mnist/> ("the IDX file format").

use std::io::{BufReader, Read, Seek};
use std::path::Path;

use super::array::{Array, Element, bad, elements};
use crate::base::files::File;
use crate::data::DataError;

/// First bytes of a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Maximum number of axes.
const MAX_AXES: u8 = 8;

/// Whether a file starts like an IDX file, compressed or not.
pub fn begins_like_one(path: &Path) -> bool {
    let begins = |source: &mut dyn Read| {
        let mut start = [0; 4];
        source.read_exact(&mut start).is_ok().then_some(start)
    };
    let Ok(mut file) = File::open(path) else { return false };
    match begins(&mut file) {
        Some([0x1f, 0x8b, ..]) if file.rewind().is_ok() => {
            begins(&mut flate2::read::GzDecoder::new(file)).is_some_and(|start| start[..2] == [0, 0])
        }
        start => start.is_some_and(|start| start[..2] == [0, 0]),
    }
}

/// Reads an IDX file.
///
/// # Errors
/// If it cannot be read, or its header and length disagree.
pub fn read(path: &Path) -> Result<Array, DataError> {
    parse(path, open(path)?)
}

/// The bytes of a file, decompressed.
fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let io = |e: std::io::Error| DataError::Io { path: path.into(), reason: e.to_string() };
    let mut file = File::open(path).map_err(io)?;
    let mut start = [0; 2];
    let is_gzip = file.read_exact(&mut start).is_ok() && start == GZIP;
    file.rewind().map_err(io)?;
    let file = BufReader::new(file);
    Ok(if is_gzip { Box::new(flate2::bufread::GzDecoder::new(file)) } else { Box::new(file) })
}

/// Sizes of the axes, and the elements to be read one after the other.
pub type Bytes = (Vec<usize>, Box<dyn Read>);

/// The elements of a file of bytes, to be read one after the other, and the sizes of its axes; `None` if they are no
/// bytes.
///
/// # Errors
/// If it cannot be read, or is no IDX file.
pub fn stream(path: &Path) -> Result<Option<Bytes>, DataError> {
    let mut source = open(path)?;
    let (shape, element) = header(path, &mut source)?;
    Ok((element == Element::Unsigned(1)).then_some((shape, source)))
}

/// The sizes of the axes, and the type of the elements.
fn header(path: &Path, source: &mut impl Read) -> Result<(Vec<usize>, Element), DataError> {
    let cut = |e: std::io::Error| bad(path, format!("its header cannot be read: {e}"));
    let mut magic = [0; 4];
    source.read_exact(&mut magic).map_err(cut)?;
    let [0, 0, kind, axes @ 1..=MAX_AXES] = magic else {
        let printed = magic.iter().all(|&byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        let advice = if printed { "; it holds text: a table must not have `-idx` in its name" } else { "" };
        return Err(bad(
            path,
            format!(
                "it is not an IDX file: it begins with the bytes {magic:02x?}. IDX, the format of MNIST, has \
                 two zeros, the type of the elements and the number of axes there, such as [00, 00, 08, 03] \
                 for images{advice}"
            ),
        ));
    };
    let element = match kind {
        0x08 => Element::Unsigned(1),
        0x09 => Element::Signed(1),
        0x0b => Element::Signed(2),
        0x0c => Element::Signed(4),
        0x0d => Element::Float(4),
        0x0e => Element::Float(8),
        other => return Err(bad(path, format!("its element kind is {other:#x}, which IDX does not have"))),
    };
    let mut shape = vec![];
    for _ in 0..axes {
        let mut side = [0; 4];
        source.read_exact(&mut side).map_err(cut)?;
        shape.push(u32::from_be_bytes(side) as usize);
    }
    Ok((shape, element))
}

fn parse(path: &Path, mut source: impl Read) -> Result<Array, DataError> {
    let (shape, element) = header(path, &mut source)?;
    // Reading one extra byte detects excess data. Memory grows with the actual data, not with what the header
    // claims.
    let expected = elements(path, &shape)? * element.bytes();
    let mut bytes = vec![];
    let read = source.take(expected as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|e| bad(path, format!("the data after its header cannot be read: {e}")))?;
    Array::decode(path, shape, element, true, bytes)
}
