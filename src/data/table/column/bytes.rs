//! Columns as bytes, for a file of their own while a table is larger than memory.

use std::collections::HashMap;

use super::coded::Coded;
use super::coded::{Decimals, Values};
use super::texts::Texts;
use super::{Cells, Column};

/// Bytes that are read from their beginning on.
struct Reading<'b>(&'b [u8]);

impl<'b> Reading<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(u64::from_le_bytes(self.take(8)?.try_into().ok()?)).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn numbers<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(&mut self) -> Option<Vec<T>> {
        let count = self.count()?.checked_mul(size_of::<T>())?;
        Some(bytemuck::pod_collect_to_vec(self.take(count)?))
    }

    fn text(&mut self) -> Option<&'b str> {
        let count = self.count()?;
        std::str::from_utf8(self.take(count)?).ok()
    }
}

fn put(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend((count as u64).to_le_bytes());
}

fn put_numbers<T: bytemuck::NoUninit>(bytes: &mut Vec<u8>, numbers: &[T]) {
    put(bytes, numbers.len());
    bytes.extend_from_slice(bytemuck::cast_slice(numbers));
}

impl Column {
    /// Appends its cells to `bytes`, as this machine holds them.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        match &self.0 {
            Cells::Texts(texts) => {
                bytes.push(0);
                put(bytes, texts.buffer.len());
                bytes.extend_from_slice(texts.buffer.as_bytes());
                put_numbers(bytes, &texts.ends);
            }
            Cells::Coded(coded) => {
                match &coded.values {
                    Values::Small(values) => {
                        bytes.push(1);
                        put_numbers(bytes, values);
                    }
                    Values::Wide(values) => {
                        bytes.push(2);
                        put_numbers(bytes, values);
                    }
                }
                match &coded.decimals {
                    None => bytes.push(0),
                    Some(Decimals::All(all)) => bytes.extend([1, *all]),
                    Some(Decimals::Each(each)) => {
                        bytes.push(2);
                        put_numbers(bytes, each);
                    }
                }
                put(bytes, coded.names.len());
                for name in &coded.names {
                    put(bytes, name.len());
                    bytes.extend_from_slice(name.as_bytes());
                }
            }
        }
    }

    /// The cells that [`Column::write`] wrote; `None` for other bytes.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Reading(bytes);
        let kind = bytes.byte()?;
        if kind == 0 {
            let buffer = bytes.text()?.to_string();
            return Some(Self(Cells::Texts(Texts { buffer, ends: bytes.numbers()? })));
        }
        let values = match kind {
            1 => Values::Small(bytes.numbers()?),
            _ => Values::Wide(bytes.numbers()?),
        };
        let decimals = match bytes.byte()? {
            0 => None,
            1 => Some(Decimals::All(bytes.byte()?)),
            _ => Some(Decimals::Each(bytes.numbers()?)),
        };
        let (mut names, mut codes) = (vec![], HashMap::new());
        for code in 1..=bytes.count()? {
            let name: Box<str> = bytes.text()?.into();
            codes.insert(name.clone(), code as u32);
            names.push(name);
        }
        Some(Self(Cells::Coded(Coded { values, decimals, names, codes })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_column_comes_back() {
        let long = |i: usize| format!("a text that does not repeat {i}");
        let columns: [Vec<String>; 6] = [
            vec![],
            ["1", "", "-2", "3"].map(String::from).to_vec(),
            ["1.50", "2.25", "9999999999.5", "x", ""].map(String::from).to_vec(),
            ["1.5", "2.25", "7"].map(String::from).to_vec(),
            ["red", "green", "", "red"].map(String::from).to_vec(),
            (0..70_000).map(long).collect(),
        ];
        for cells in columns {
            let column: Column = cells.iter().collect();
            let mut bytes = vec![];
            column.write(&mut bytes);
            let back = Column::of_bytes(&bytes).unwrap();
            assert_eq!(back, column);
            assert_eq!(back.is_texts(), column.is_texts());
            let number = back.numbers();
            let expected = column.numbers();
            assert!((0..cells.len()).all(|row| number(row) == expected(row)));
            assert!(bytes.len() < 20 || Column::of_bytes(&bytes[..bytes.len() - 9]).is_none());
        }
    }
}
