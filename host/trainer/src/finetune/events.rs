//! TensorBoard's event file: records of protobuf messages, each between its length and checksums.
//!
//! The few fields that scalars need are encoded here. A record is its length (u64), the length's checksum (u32), the
//! message, its checksum (u32), all little-endian; a checksum is CRC-32C, turned and shifted as TFRecord does. Fields:
//! tensorboard/compat/proto/{event,summary}.proto.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::fault::Fault;

/// An event file that grows.
#[derive(Debug)]
pub(super) struct EventFile {
    path: std::path::PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in a folder. Events of `first_step` and later in older files of the folder no longer count.
    pub(super) fn create(folder: &Path, first_step: usize) -> Result<Self, Fault> {
        std::fs::create_dir_all(folder).map_err(|source| Fault::file("create", folder, source))?;
        let seconds = now().as_secs();
        let path = (0..)
            .map(|n| folder.join(format!("events.out.tfevents.{seconds}.lossbox.{n}")))
            .find(|path| !path.exists())
            .expect("numbers do not end");
        let file =
            File::create_new(&path).map_err(|source| Fault::file("create", &path, source))?;
        let mut events = Self { path, file };
        events.write(&event(0, 3, b"brain.Event:2"))?;
        // SessionLog { status: START }
        events.write(&event(first_step, 7, &[0x08, 1]))?;
        Ok(events)
    }

    /// Appends scalars of a step.
    pub(super) fn scalars<'a>(
        &mut self,
        step: usize,
        scalars: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<(), Fault> {
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            let mut entry = Vec::new();
            bytes(&mut entry, 1, tag.as_bytes());
            entry.push((2 << 3) | 5);
            entry.extend((value as f32).to_le_bytes());
            bytes(&mut summary, 1, &entry);
        }
        self.write(&event(step, 5, &summary))
    }

    fn write(&mut self, event: &[u8]) -> Result<(), Fault> {
        let written = self.file.write_all(&record(event));
        written.map_err(|source| Fault::file("write", &self.path, source))
    }
}

/// Event { wall_time = 1: double, step = 2: int64, and one field of bytes }
fn event(step: usize, field: u8, content: &[u8]) -> Vec<u8> {
    let mut event = vec![(1 << 3) | 1];
    event.extend(now().as_secs_f64().to_le_bytes());
    event.push(2 << 3);
    varint(&mut event, step as u64);
    bytes(&mut event, field, content);
    event
}

fn bytes(message: &mut Vec<u8>, field: u8, content: &[u8]) {
    message.push((field << 3) | 2);
    varint(message, content.len() as u64);
    message.extend(content);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push((value as u8) | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let [of_length, of_message] =
        [&length, message].map(|bytes| masked(crc32c(bytes)).to_le_bytes());
    [&length, &of_length[..], message, &of_message].concat()
}

fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Castagnoli's polynomial, bit by bit: events are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !bytes.iter().fold(u32::MAX, byte)
}

fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn a_record_is_a_message_between_its_length_and_checksums() {
        let record = record(b"abc");
        assert_eq!(record[..8], 3u64.to_le_bytes());
        assert_eq!(record[12..15], *b"abc");
        assert_eq!(record.len(), 8 + 4 + 3 + 4);
    }

    #[test]
    fn long_numbers_take_more_bytes() {
        let encoded = |value| {
            let mut message = Vec::new();
            varint(&mut message, value);
            message
        };
        assert_eq!(encoded(1), [1]);
        assert_eq!(encoded(300), [0xac, 2]);
    }
}
