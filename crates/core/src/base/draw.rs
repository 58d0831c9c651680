//! Randomness without state: every decision is drawn from what it decides about.
//!
//! A draw is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
//! 1, 2, 3", SC 2011) over a key, which says who draws, and a counter, which says which
//! decision. So adding a client, changing a rate or removing a message never shifts another
//! packet's fate, and QoS 0, 1 and 2 meet the same random draws.

use rand::RngCore;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const ROUNDS: u32 = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Four random words from a key and a counter: Philox4x32-10.
#[must_use]
#[inline]
pub fn philox(mut key: [u32; 2], mut counter: [u32; 4]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [hi0, lo0] = multiply_wide(MULTIPLIERS[0], counter[0]);
        let [hi1, lo1] = multiply_wide(MULTIPLIERS[1], counter[2]);
        counter = [hi1 ^ counter[1] ^ key[0], lo1, hi0 ^ counter[3] ^ key[1], lo0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[expect(clippy::cast_possible_truncation, reason = "splits a word into its halves")]
const fn multiply_wide(a: u32, b: u32) -> [u32; 2] {
    let product = a as u64 * b as u64;
    [(product >> 32) as u32, product as u32]
}

/// Key of random draws: derived step by step from the seed by stable names, never by positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawKey(u64);

impl DrawKey {
    /// The root key of all random draws of one trial.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed).child(b"qoslab")
    }

    /// The key of a part, by its name.
    #[must_use]
    pub fn child(self, name: &[u8]) -> Self {
        Self(xxh3_64_with_seed(name, self.0))
    }

    /// The key shared by two parts, such as a link and the publisher of a message on it.
    #[must_use]
    pub const fn combined_with(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0.rotate_left(32)))
    }

    /// Four words for the decision that `counter` names.
    #[must_use]
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "splits a word into its halves")]
    pub fn draw(self, counter: [u32; 4]) -> [u32; 4] {
        philox([self.0 as u32, (self.0 >> 32) as u32], counter)
    }
}

/// Stream of random words from one key: a generator of the `rand` crate for code that cannot name
/// its draws, such as a client under test. The simulator itself draws by name ([`DrawKey::draw`]).
#[derive(Clone, Debug)]
pub struct DrawStream {
    key: DrawKey,
    /// The number of blocks of four words that were drawn.
    blocks: u64,
    /// The words of the last block that are still unused, the next one last.
    unused: Vec<u32>,
}

impl DrawKey {
    /// The stream of the key, from its beginning: the blocks of the counters 0, 1, 2 and so on,
    /// their low halves first.
    #[must_use]
    pub const fn stream(self) -> DrawStream {
        DrawStream { key: self, blocks: 0, unused: Vec::new() }
    }
}

impl DrawStream {
    #[expect(clippy::cast_possible_truncation, reason = "splits the counter into its halves")]
    fn next_word(&mut self) -> u32 {
        if self.unused.is_empty() {
            let counter = [self.blocks as u32, (self.blocks >> 32) as u32, 0, 0];
            self.unused.extend(self.key.draw(counter).into_iter().rev());
            self.blocks += 1;
        }
        self.unused.pop().expect("a block has four words")
    }
}

impl RngCore for DrawStream {
    fn next_u32(&mut self) -> u32 {
        self.next_word()
    }

    fn next_u64(&mut self) -> u64 {
        u64::from(self.next_word()) | u64::from(self.next_word()) << 32
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(4) {
            chunk.copy_from_slice(&self.next_word().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A chance in 2^32, compared as `draw < threshold`: the same draw decides for every rate, so
/// raising a rate only ever adds to what it hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u64);

impl Chance {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(1 << 32);

    /// A share from 0 to 1, rounded to 2^-32; out of range is clamped.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    pub fn from_share(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * 4_294_967_296.0 + 0.5) as u64)
    }

    /// The share from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most 2^32, exact")]
    pub fn share(self) -> f64 {
        self.0 as f64 / 4_294_967_296.0
    }

    /// Whether this chance can ever hit.
    #[must_use]
    pub const fn is_possible(self) -> bool {
        self.0 > 0
    }

    /// Whether `word`, uniform over all 32-bit words, falls under the chance.
    #[must_use]
    pub const fn hits(self, word: u32) -> bool {
        (word as u64) < self.0
    }
}

/// A uniform share in the open interval (0, 1) from one word: safe to take the logarithm of.
#[must_use]
pub fn uniform_open_unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known-answer vectors published with Random123 (`kat_vectors`).
    #[test]
    fn philox_matches_the_published_vectors() {
        assert_eq!(philox([0, 0], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 2], [u32::MAX; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0xa409_3822, 0x299f_31d0],
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn a_stream_gives_the_words_of_its_key_in_order() {
        let key = DrawKey::new(7);
        let words: Vec<u32> = (0..3).flat_map(|block| key.draw([block, 0, 0, 0])).collect();
        let mut stream = key.stream();
        assert_eq!(stream.next_u32(), words[0]);
        assert_eq!(stream.next_u64(), u64::from(words[1]) | u64::from(words[2]) << 32);
        let mut bytes = [0; 10];
        stream.fill_bytes(&mut bytes);
        let expected: Vec<u8> = words[3..6].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(bytes[..], expected[..10]);
        assert_eq!(stream.next_u32(), words[6]);
    }

    #[test]
    fn a_chance_hits_its_share_and_a_higher_one_hits_a_superset() {
        let key = DrawKey::new(7);
        let (low, high) = (Chance::from_share(0.1), Chance::from_share(0.3));
        let words = (0..100_000).map(|n| key.draw([n, 0, 0, 0])[0]);
        let (mut hits, mut both) = (0, 0);
        for word in words {
            hits += u32::from(low.hits(word));
            both += u32::from(low.hits(word) && high.hits(word));
        }
        assert_eq!(hits, both);
        // Five standard deviations of a binomial with n = 100,000 and p = 0.1.
        assert!((9_526..=10_474).contains(&hits), "{hits}");
        assert!(Chance::ALWAYS.hits(u32::MAX) && !Chance::NEVER.hits(0));
    }
}
