//! Checks the counts in Parquet's delta-encoded strings before the `parquet` crate allocates that many
//! values.
//!
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/#delta-encoding-delta_binary_packed--5>

use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::file::reader::RowGroupReader;

/// Checks the pages of column `number` of a row group.
///
/// # Errors
/// If a page cannot be read, or counts more values than its header.
pub fn check(group: &dyn RowGroupReader, number: usize) -> Result<(), String> {
    let column = group.metadata().column(number).column_descr_ptr();
    let mut pages = group.get_column_page_reader(number).map_err(|e| e.to_string())?;
    while let Some(page) = pages.get_next_page().map_err(|e| e.to_string())? {
        let lists = match page.encoding() {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
            // The lengths of the prefixes shared with the previous value, then those of the suffixes.
            Encoding::DELTA_BYTE_ARRAY => 2,
            _ => continue,
        };
        let start = values_start(&page, column.max_def_level() > 0, column.max_rep_level() > 0);
        let mut bytes = start.and_then(|start| page.buffer().get(start..));
        for _ in 0..lists {
            let length = bytes.and_then(|b| list(b, u64::from(page.num_values())));
            let length = length.ok_or("a page counts more strings than its header")?;
            bytes = bytes.and_then(|b| b.get(length..));
        }
    }
    Ok(())
}

/// Where the values of a page start, after the levels.
fn values_start(page: &Page, definitions: bool, repetitions: bool) -> Option<usize> {
    match page {
        Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
            (*def_levels_byte_len as usize).checked_add(*rep_levels_byte_len as usize)
        }
        Page::DataPage { buf, .. } => {
            let mut at = 0usize;
            for _ in 0..usize::from(definitions) + usize::from(repetitions) {
                let length: [u8; 4] = buf.get(at..at.checked_add(4)?)?.try_into().ok()?;
                at = at.checked_add(4)?.checked_add(u32::from_le_bytes(length) as usize)?;
            }
            Some(at)
        }
        Page::DictionaryPage { .. } => None,
    }
}

/// Length in bytes of a list of at most `most` delta-encoded numbers; `None` if it has more or is damaged.
fn list(bytes: &[u8], most: u64) -> Option<usize> {
    let mut at = 0;
    let block = varint(bytes, &mut at)?;
    let parts = varint(bytes, &mut at)?;
    let count = varint(bytes, &mut at)?;
    varint(bytes, &mut at)?;
    if count > most || parts == 0 || block % parts != 0 || block == 0 {
        return None;
    }
    let mut left = count.saturating_sub(1);
    while left > 0 {
        varint(bytes, &mut at)?;
        let end = at.checked_add(usize::try_from(parts).ok()?)?;
        let widths = bytes.get(at..end)?;
        at = end;
        for width in widths {
            // The widths of unused miniblocks are meaningless.
            if left == 0 {
                break;
            }
            let bits = u64::from(*width).checked_mul(block / parts)?;
            at = at.checked_add(usize::try_from(bits / 8).ok()?)?;
            left = left.saturating_sub(block / parts);
        }
    }
    Some(at)
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_measured_and_bounded() {
        // Blocks of 128 in 4 miniblocks; 5 numbers starting with 7; smallest difference 1; widths 0, the rest
        // unused.
        let numbers = [0x80, 0x01, 4, 5, 14, 2, 0, 0, 0, 0];
        assert_eq!(list(&numbers, 5), Some(10));
        assert_eq!(list(&numbers, 4), None, "more than the header says");
        // Width 3 in the first miniblock: 32 numbers of 3 bits.
        let wide = [&[0x80, 0x01, 4, 33, 14, 2, 3, 0, 0, 0][..], &[0; 12]].concat();
        assert_eq!(list(&wide, 40), Some(22));
        assert_eq!(list(&[0x80, 0x01, 0, 5, 14], 5), None, "no parts");
        assert_eq!(list(&numbers[..7], 5), None, "cut");
    }
}
