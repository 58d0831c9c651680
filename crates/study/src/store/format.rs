//! The bytes of a store: a header, then records, each framed by its length and a checksum.
//!
//! Numbers of the header and of frames are little-endian. The header is the same in all formats:
//! magic, format, model, the length and the text of qoslab's version, and a checksum of all that.
//! A frame is the payload's length, a checksum of the length, and a checksum of the payload. So a
//! file that ends within a record was cut off, and everything else that does not fit is damage.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{RecordKey, StoreError};
use crate::scenario::MODEL_VERSION;

/// The version of the contents of the records.
pub(super) const FORMAT: u32 = 4;
/// Not text, and damaged by any tool that treats it as text.
const MAGIC: [u8; 8] = *b"qoslab\r\n";
/// Bytes before a payload.
pub(super) const FRAME_HEADER_BYTES: usize = 16;
/// No record is longer: a length beyond is damage even where its checksum is right.
const MAX_PAYLOAD_BYTES: usize = 1 << 30;

/// The header of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) model: u32,
    pub(super) qoslab_version: String,
}

/// Where a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordLocation {
    pub(super) offset: u64,
    pub(super) length: usize,
}

/// The contents of a file.
#[derive(Debug)]
pub(super) struct StoreContents {
    pub(super) header: Header,
    pub(super) locations: BTreeMap<RecordKey, RecordLocation>,
    /// Where the last whole record ends.
    pub(super) end: u64,
    /// How many bytes come after that.
    pub(super) truncated_bytes: u64,
}

impl Header {
    pub(super) fn current() -> Self {
        Self { model: MODEL_VERSION, qoslab_version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(self.model.to_le_bytes());
        bytes.push(u8::try_from(self.qoslab_version.len()).expect("a version is short"));
        bytes.extend(self.qoslab_version.as_bytes());
        let checksum = xxh3_64(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    /// `None` if the file ends within it.
    fn read(path: &Path, from: &mut impl Read) -> Result<Option<Self>, StoreError> {
        let fail = |error| StoreError::io_at(path)(error);
        let mut bytes = Vec::new();
        let fixed = MAGIC.len() + 9;
        from.by_ref().take(fixed as u64).read_to_end(&mut bytes).map_err(fail)?;
        if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
            return Err(StoreError::NotAStore(path.to_owned()));
        }
        if bytes.len() < fixed {
            return Ok(None);
        }
        let rest = usize::from(bytes[fixed - 1]) + 8;
        from.by_ref().take(rest as u64).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() < fixed + rest {
            return Ok(None);
        }
        let (said, checksum) = bytes.split_at(bytes.len() - 8);
        if xxh3_64(said).to_le_bytes() != checksum {
            return Err(StoreError::damaged(path, 0));
        }
        let stored = read_u32(&said[MAGIC.len()..]);
        if stored != FORMAT {
            return Err(StoreError::OtherFormat { path: path.to_owned(), stored });
        }
        let qoslab = String::from_utf8_lossy(&said[fixed..]).into_owned();
        Ok(Some(Self { model: read_u32(&said[MAGIC.len() + 4..]), qoslab_version: qoslab }))
    }
}

/// Adds a record to `bytes`, which begin `offset` this place of the file without those that are
/// there.
pub(super) fn append_frame(at: u64, payload: &[u8], bytes: &mut Vec<u8>) -> RecordLocation {
    let length = u32::try_from(payload.len()).expect("a record is far below 4 GB").to_le_bytes();
    bytes.extend(length);
    bytes.extend(length_checksum(length));
    bytes.extend(xxh3_64(payload).to_le_bytes());
    bytes.extend(payload);
    RecordLocation { offset: at + FRAME_HEADER_BYTES as u64, length: payload.len() }
}

/// Whether records stand one behind the other, in this order, from the header to the end.
pub(super) fn is_contiguous(
    header: &Header,
    end: u64,
    places: impl Iterator<Item = RecordLocation>,
) -> bool {
    let mut next = header.encode().len() as u64;
    for place in places {
        if place.offset != next + FRAME_HEADER_BYTES as u64 {
            return false;
        }
        next = place.offset + place.length as u64;
    }
    next == end
}

/// Reads a file through, checks every byte, and returns what it holds and where. `None` if it was
/// cut off before its first record.
pub(super) fn read_contents(
    path: &Path,
    file: &mut File,
) -> Result<Option<StoreContents>, StoreError> {
    let size = file.metadata().map_err(StoreError::io_at(path))?.len();
    let mut from = BufReader::new(file);
    let Some(header) = Header::read(path, &mut from)? else { return Ok(None) };
    let mut end = header.encode().len() as u64;
    let mut places = BTreeMap::new();
    while let Some(payload) = next_payload(path, &mut from, end, size)? {
        let subject = postcard::take_from_bytes::<RecordKey>(&payload);
        let (subject, _) = subject.map_err(|_| StoreError::damaged(path, end))?;
        let place =
            RecordLocation { offset: end + FRAME_HEADER_BYTES as u64, length: payload.len() };
        places.insert(subject, place);
        end = place.offset + place.length as u64;
    }
    Ok(Some(StoreContents {
        header,
        locations: places,
        end,
        truncated_bytes: size.saturating_sub(end),
    }))
}

/// The payload of the record at `offset`; `None` at the end and where the file was cut off.
fn next_payload(
    path: &Path,
    from: &mut impl Read,
    at: u64,
    size: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut frame = [0; FRAME_HEADER_BYTES];
    if !read_exact_or_end(from, &mut frame).map_err(StoreError::io_at(path))? {
        return Ok(None);
    }
    let (length, checks) = frame.split_at(4);
    let length = [length[0], length[1], length[2], length[3]];
    if length_checksum(length) != checks[..4] {
        return Err(StoreError::damaged(path, at));
    }
    let long = u32::from_le_bytes(length) as usize;
    if long > MAX_PAYLOAD_BYTES {
        return Err(StoreError::damaged(path, at));
    }
    if size.saturating_sub(at) < (FRAME_HEADER_BYTES + long) as u64 {
        return Ok(None);
    }
    let mut payload = vec![0; long];
    if !read_exact_or_end(from, &mut payload).map_err(StoreError::io_at(path))? {
        return Ok(None);
    }
    if xxh3_64(&payload).to_le_bytes() != checks[4..] {
        return Err(StoreError::damaged(path, at));
    }
    Ok(Some(payload))
}

/// Fills a buffer; false if what is read ends before.
fn read_exact_or_end(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The first half of the checksum of a length.
fn length_checksum(length: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64(&length).to_le_bytes();
    [a, b, c, d]
}

fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
