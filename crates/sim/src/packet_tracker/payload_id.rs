//! The mark at the front of a payload, which identifies its publisher and message.

use xxhash_rust::xxh3::xxh3_64;

use qoslab_core::base::{MessageTag, PublisherIndex};

/// Length of a mark in bytes.
pub(super) const PAYLOAD_ID_LEN: usize = 12;

/// First bytes of a mark.
const MAGIC: [u8; 2] = [0xA5, 0x7D];

/// A payload of `len` bytes, or of 12 if that is more: a mark and then zeros.
/// Without a mark for [`MessageTag::NONE`].
#[must_use]
pub fn payload_with_id(tag: MessageTag, len: u32) -> Vec<u8> {
    let len = usize::try_from(len).unwrap_or(usize::MAX).max(PAYLOAD_ID_LEN);
    let mut payload = vec![0; len];
    if let Some(parts) = tag.message_id() {
        payload[..2].copy_from_slice(&MAGIC);
        payload[2..6].copy_from_slice(&parts.publisher.0.to_be_bytes());
        payload[6..10].copy_from_slice(&parts.sequence.to_be_bytes());
        let checksum = checksum(&payload[..10]);
        payload[10..PAYLOAD_ID_LEN].copy_from_slice(&checksum);
    }
    payload
}

/// Returns the publisher of a payload and the message's number; `None` if it has no mark.
#[must_use]
pub(super) fn read_payload_id(payload: &[u8]) -> Option<(PublisherIndex, u32)> {
    let (header, rest) = payload.split_at_checked(10)?;
    let [magic @ .., _, _, _, _, _, _, _, _] = header else { return None };
    if magic != MAGIC || rest.get(..2)? != checksum(header) {
        return None;
    }
    let number = |from: usize| {
        let bytes = header.get(from..from + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    };
    Some((PublisherIndex(number(2)?), number(6)?))
}

/// Checksum of a mark, so that an application's own bytes are not taken for one.
fn checksum(header: &[u8]) -> [u8; 2] {
    let [.., high, low] = xxh3_64(header).to_be_bytes();
    [high, low]
}

#[cfg(test)]
mod tests {
    use super::*;
    use qoslab_core::base::{QoS, Time};

    fn tag(stream: u32, sequence: u32) -> MessageTag {
        MessageTag::new(PublisherIndex(stream), sequence, QoS::ExactlyOnce, Time::ZERO)
    }

    #[test]
    fn a_payload_id_names_the_message_and_is_padded_with_zeros() {
        for (stream, sequence) in [(0, 0), (7, 300), (u32::MAX - 1, u32::MAX)] {
            for (requested_len, len) in [(0, PAYLOAD_ID_LEN), (12, 12), (13, 13), (64, 64)] {
                let payload = payload_with_id(tag(stream, sequence), requested_len);
                assert_eq!(payload.len(), len);
                assert!(payload[PAYLOAD_ID_LEN..].iter().all(|&byte| byte == 0));
                assert_eq!(read_payload_id(&payload), Some((PublisherIndex(stream), sequence)));
            }
        }
    }

    #[test]
    fn other_bytes_are_no_payload_id() {
        let payload = payload_with_id(tag(3, 9), 20);
        for index in 0..PAYLOAD_ID_LEN {
            for bit in 0..8 {
                let mut changed = payload.clone();
                changed[index] ^= 1 << bit;
                assert_eq!(read_payload_id(&changed), None, "bit {bit} of byte {index}");
            }
        }
        for short in 0..PAYLOAD_ID_LEN {
            assert_eq!(read_payload_id(&payload[..short]), None);
        }
        assert_eq!(read_payload_id(&[0; 64]), None);
        assert_eq!(read_payload_id(&payload_with_id(MessageTag::NONE, 64)), None);
    }
}
