//! Scalars, distributions and pictures for TensorBoard: an append-only file of `Event` protocol buffers in TFRecord framing.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::TrainError;
use super::watched::Layer;

/// An event file being written.
pub struct EventFile {
    file: File,
    path: std::path::PathBuf,
}

impl EventFile {
    /// Creates a file in `directory`, named after the current second. With `resumed_at`, TensorBoard discards
    /// what earlier files report for this step and later ones.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(directory: &Path, resumed_at: Option<u64>) -> Result<Self, TrainError> {
        // Existing files are never appended to: the last record of a killed process may be torn, and nothing
        // after it is read.
        let mut second = now() as u64;
        let (file, path) = loop {
            let path = directory.join(format!("events.out.tfevents.{second:010}.gridlight"));
            match File::options().create_new(true).append(true).open(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => second += 1,
                file => break (file.map_err(|e| TrainError::io(&path, &e))?, path),
            }
        };
        let mut events = Self { file, path };
        // Field 3 of Event: the version that identifies event files.
        let event = [double(1, now()), bytes(3, b"brain.Event:2")].concat();
        events.append(&event)?;
        if let Some(step) = resumed_at {
            // Field 7 of Event: SessionLog, whose field 1 is the status START = 1.
            let event = [double(1, now()), varint_field(2, step), bytes(7, &varint_field(1, 1))].concat();
            events.append(&event)?;
        }
        Ok(events)
    }

    /// Appends values for a step.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn scalars(&mut self, step: u64, values: &[(String, f64)]) -> Result<(), TrainError> {
        let mut summary = vec![];
        for (tag, value) in values {
            // Summary.Value: tag is field 1, simple_value field 2.
            let simple = [vec![(2 << 3) | 5], (*value as f32).to_le_bytes().to_vec()].concat();
            summary.extend(bytes(1, &[bytes(1, tag.as_bytes()), simple].concat()));
        }
        let event = [double(1, now()), varint_field(2, step), bytes(5, &summary)].concat();
        self.append(&event)
    }

    /// Appends the distributions of weights, and the norms of their gradients.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn histograms(&mut self, step: u64, layers: &[Layer]) -> Result<(), TrainError> {
        let mut summary = vec![];
        for layer in layers {
            // Summary.Value: tag is field 1, histo field 5.
            let tag = bytes(1, format!("weights/{}", layer.name).as_bytes());
            summary.extend(bytes(1, &[tag, bytes(5, &histogram(layer))].concat()));
        }
        let event = [double(1, now()), varint_field(2, step), bytes(5, &summary)].concat();
        self.append(&event)?;
        let norm = |layer: &Layer| Some((format!("gradient_norm/{}", layer.name), layer.gradient?));
        let norms: Vec<(String, f64)> = layers.iter().filter_map(norm).collect();
        if norms.is_empty() { Ok(()) } else { self.scalars(step, &norms) }
    }

    /// Appends a picture, the bytes of a PNG file.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn picture(&mut self, step: u64, tag: &str, png: &[u8]) -> Result<(), TrainError> {
        // IHDR comes first in every PNG file: width and height are its first words.
        let word = |at: usize| Some(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?));
        let (Some(width), Some(height)) = (word(16), word(20)) else { return Ok(()) };
        // Summary.Image: height, width and the encoded picture are fields 1, 2 and 4; Summary.Value: tag is field 1, image
        // field 4.
        let size = [varint_field(1, u64::from(height)), varint_field(2, u64::from(width))].concat();
        let image = [size, bytes(4, png)].concat();
        let summary = bytes(1, &[bytes(1, tag.as_bytes()), bytes(4, &image)].concat());
        let event = [double(1, now()), varint_field(2, step), bytes(5, &summary)].concat();
        self.append(&event)
    }

    /// A record: length, its masked CRC, the data, their masked CRC.
    fn append(&mut self, data: &[u8]) -> Result<(), TrainError> {
        let length = (data.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(data);
        record.extend(masked_crc(data).to_le_bytes());
        self.file.write_all(&record).map_err(|e| TrainError::io(&self.path, &e))
    }
}

/// HistogramProto: smallest and largest value, number, sum, sum of squares, and the upper limits and counts of its
/// classes. The sum is that of the classes' middles.
fn histogram(layer: &Layer) -> Vec<u8> {
    let width = (layer.high - layer.low) / layer.counts.len().max(1) as f64;
    let limit = |at: usize| layer.low + width * (at + 1) as f64;
    let (mut number, mut sum) = (0.0, 0.0);
    let (mut limits, mut counts) = (vec![], vec![]);
    for (at, &count) in layer.counts.iter().enumerate() {
        number += count as f64;
        sum += count as f64 * (limit(at) - width / 2.0);
        limits.extend(limit(at).to_le_bytes());
        counts.extend((count as f64).to_le_bytes());
    }
    [
        double(1, layer.low),
        double(2, layer.high),
        double(3, number),
        double(4, sum),
        double(5, layer.norm * layer.norm),
        bytes(6, &limits),
        bytes(7, &counts),
    ]
    .concat()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn varint_field(field: u8, value: u64) -> Vec<u8> {
    [vec![field << 3], varint(value)].concat()
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [vec![(field << 3) | 1], value.to_le_bytes().to_vec()].concat()
}

fn bytes(field: u8, data: &[u8]) -> Vec<u8> {
    [vec![(field << 3) | 2], varint(data.len() as u64), data.to_vec()].concat()
}

/// CRC-32C (Castagnoli), bit by bit: the records are small and few.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// TFRecord's mask, which keeps the CRC of data containing CRCs useful.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_gives_the_published_answer() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn records_can_be_walked() {
        let directory = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(directory.path(), None).unwrap();
        events.scalars(300, &[("loss/train".into(), 0.5)]).unwrap();
        // Signature and beginning of the header of a picture of 2 x 3 pixels.
        let png = [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".as_slice(), &[0, 0, 0, 2, 0, 0, 0, 3]].concat();
        events.picture(300, "samples", &png).unwrap();
        let data = std::fs::read(&events.path).unwrap();
        let (mut at, mut records) = (0, vec![]);
        while at < data.len() {
            let length = u64::from_le_bytes(data[at..at + 8].try_into().unwrap()) as usize;
            let body = &data[at + 12..at + 12 + length];
            let crc = u32::from_le_bytes(data[at + 12 + length..at + 16 + length].try_into().unwrap());
            assert_eq!(crc, masked_crc(body));
            records.push(body.to_vec());
            at += 16 + length;
        }
        assert_eq!(records.len(), 3);
        assert!(records[0].windows(13).any(|w| w == b"brain.Event:2"));
        // step 300 is the varint AC 02; 0.5 is 0x3F000000.
        assert!(records[1].windows(3).any(|w| w == [0x10, 0xAC, 0x02]));
        assert!(records[1].windows(5).any(|w| w == [0x15, 0, 0, 0, 0x3F]));
        // Height 3, width 2, then the picture.
        let image = [[0x08, 3, 0x10, 2, 0x22, png.len() as u8].as_slice(), &png].concat();
        assert!(records[2].windows(image.len()).any(|w| w == image));
    }
}
