//! The mark at the front of a payload: who published it.

use xxhash_rust::xxh3::xxh3_64;

use qoslab_core::base::name::{StreamIndex, Tag};

/// How many bytes a mark takes.
pub const MARK_LEN: usize = 12;

/// What a mark begins with.
const MAGIC: [u8; 2] = [0xA5, 0x7D];

/// A payload of `len` bytes, or of [`MARK_LEN`] if that is more: a mark and then zeros. Without a
/// mark for [`Tag::NONE`].
#[must_use]
pub fn mark(tag: Tag, len: u32) -> Vec<u8> {
    let len = usize::try_from(len).unwrap_or(usize::MAX).max(MARK_LEN);
    let mut payload = vec![0; len];
    if let Some(parts) = tag.parts() {
        payload[..2].copy_from_slice(&MAGIC);
        payload[2..6].copy_from_slice(&parts.stream.0.to_be_bytes());
        payload[6..10].copy_from_slice(&parts.sequence.to_be_bytes());
        let check = check(&payload[..10]);
        payload[10..MARK_LEN].copy_from_slice(&check);
    }
    payload
}

/// Who published a payload, and which of its messages it is; `None` if it has no mark.
#[must_use]
pub fn read_mark(payload: &[u8]) -> Option<(StreamIndex, u32)> {
    let (front, rest) = payload.split_at_checked(10)?;
    let [magic @ .., _, _, _, _, _, _, _, _] = front else { return None };
    if magic != MAGIC || rest.get(..2)? != check(front) {
        return None;
    }
    let number = |from: usize| {
        let bytes = front.get(from..from + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    };
    Some((StreamIndex(number(2)?), number(6)?))
}

/// So that bytes of an application's own are not taken for a mark.
fn check(front: &[u8]) -> [u8; 2] {
    let [.., high, low] = xxh3_64(front).to_be_bytes();
    [high, low]
}

#[cfg(test)]
mod tests {
    use super::*;
    use qoslab_core::base::qos::QoS;
    use qoslab_core::base::time::Time;

    fn tag(stream: u32, sequence: u32) -> Tag {
        Tag::new(StreamIndex(stream), sequence, QoS::ExactlyOnce, Time::ZERO)
    }

    #[test]
    fn a_mark_says_who_published_and_what_follows_are_zeros() {
        for (stream, sequence) in [(0, 0), (7, 300), (u32::MAX - 1, u32::MAX)] {
            for (asked, len) in [(0, MARK_LEN), (12, 12), (13, 13), (64, 64)] {
                let payload = mark(tag(stream, sequence), asked);
                assert_eq!(payload.len(), len);
                assert!(payload[MARK_LEN..].iter().all(|&byte| byte == 0));
                assert_eq!(read_mark(&payload), Some((StreamIndex(stream), sequence)));
            }
        }
    }

    #[test]
    fn other_bytes_are_no_mark() {
        let payload = mark(tag(3, 9), 20);
        for place in 0..MARK_LEN {
            for bit in 0..8 {
                let mut changed = payload.clone();
                changed[place] ^= 1 << bit;
                assert_eq!(read_mark(&changed), None, "bit {bit} of byte {place}");
            }
        }
        for short in 0..MARK_LEN {
            assert_eq!(read_mark(&payload[..short]), None);
        }
        assert_eq!(read_mark(&[0; 64]), None);
        assert_eq!(read_mark(&mark(Tag::NONE, 64)), None);
    }
}
