//! Searches the bytes of short texts several at a time: whether any byte matches, and where the first one is.
//!
//! Nothing here knows JSON.

use std::ops::{BitOr, Not};
use wide::u8x16;

/// Bytes of a word.
const WIDTH: usize = size_of::<u64>();
/// Bytes that are tested at once.
const BLOCK: usize = 16;

/// Bytes that are tested at once.
///
/// They are named as one value because the compiler, given a test of one byte and a loop, puts each byte into a place of its own first,
/// which costs more than the test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block(u8x16);

/// Which bytes of a block have passed a test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hits(u8x16);

impl BitOr for Hits {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Not for Hits {
    type Output = Self;

    #[inline]
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl Block {
    #[inline]
    pub(crate) fn is(self, byte: u8) -> Hits {
        Hits(self.0.simd_eq(u8x16::splat(byte)))
    }

    #[inline]
    pub(crate) fn is_at_most(self, last: u8) -> Hits {
        Hits(self.0.min(u8x16::splat(last)).simd_eq(self.0))
    }

    #[inline]
    pub(crate) fn is_in(self, first: u8, last: u8) -> Hits {
        Self(self.0 - u8x16::splat(first)).is_at_most(last - first)
    }

    /// All bytes of a text that is shorter than a block, some of them more than once.
    #[inline]
    fn of_short(text: &[u8]) -> Option<Self> {
        let low = if let Some(low) = text.first_chunk() {
            u64::from_le_bytes(*low)
        } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            u64::from(last) << u32::BITS | u64::from(first)
        } else {
            let (first, middle, last) = (text.first()?, text.get(text.len() / 2)?, text.last()?);
            u64::from_le_bytes([*first, *middle, *last, *last, *last, *last, *last, *last])
        };
        let high = text
            .last_chunk()
            .map_or(low, |high| u64::from_le_bytes(*high));
        let bytes = u128::from(high) << u64::BITS | u128::from(low);
        Some(Self(u8x16::new(bytes.to_le_bytes())))
    }
}

/// Whether any byte passes a test.
#[inline]
pub(crate) fn has(text: impl AsRef<[u8]>, hits: impl Fn(Block) -> Hits) -> bool {
    let text = text.as_ref();
    let of = |block: &[u8; BLOCK]| hits(Block(u8x16::new(*block)));
    let Some(last) = text.last_chunk() else {
        return Block::of_short(text).is_some_and(|block| hits(block).0.to_bitmask() != 0);
    };
    // The last block overlaps with the one before it.
    let (blocks, _) = text.as_chunks();
    let all = blocks.iter().fold(of(last), |hit, block| hit | of(block));
    all.0.to_bitmask() != 0
}

/// Whether two bytes follow each other somewhere. Every pair is looked at, because that can be done for many at a time.
pub(crate) fn has_pair(text: &str, [first, second]: [u8; 2]) -> bool {
    let bytes = text.as_bytes();
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    pairs.fold(false, |hit, (a, b)| hit | (*a == first) & (*b == second))
}

/// Marks the bytes of a word that are equal to `byte`, each by its highest bit: subtracting one borrows into that bit where
/// all bits are zero. A borrow can reach into higher bytes, so only the lowest mark is reliable.
const fn equal(word: u64, byte: u8) -> u64 {
    /// A one in each byte.
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHEST_BITS: u64 = ONES * 0x80;
    let difference = word ^ (ONES * byte as u64);
    difference.wrapping_sub(ONES) & !difference & HIGHEST_BITS
}

/// The text before and after the first occurrence of an ASCII byte.
#[inline]
pub(crate) fn split_once(text: &str, byte: u8) -> Option<(&str, &str)> {
    let (words, rest) = text.as_bytes().as_chunks::<WIDTH>();
    let in_word = |word: &[u8; WIDTH]| match equal(u64::from_le_bytes(*word), byte) {
        0 => None,
        hits => Some((hits.trailing_zeros() / u8::BITS) as usize),
    };
    let found = words
        .iter()
        .enumerate()
        .find_map(|(i, word)| Some(i * WIDTH + in_word(word)?));
    let at = found.or_else(|| {
        let in_rest = rest.iter().position(|b| *b == byte)?;
        Some(text.len() - rest.len() + in_rest)
    })?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Whether the text begins and ends with visible ASCII, so that there is nothing to trim.
#[inline]
pub(crate) fn has_nothing_around(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if first.is_ascii_graphic() && last.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_byte_is_found_at_any_position(text in "[ -~\u{1}\u{7f}\u{a0}é\"\\\\]{0,40}") {
            let bytes = text.as_bytes();
            for start in 0..=bytes.len() {
                let bytes = &bytes[start..];
                prop_assert_eq!(has(bytes, |bytes| bytes.is(b'"')), bytes.contains(&b'"'));
                let is_special = |byte: &u8| *byte < 0x20 || *byte == 0xc2;
                let special = |bytes: Block| bytes.is_at_most(0x1f) | bytes.is(0xc2);
                prop_assert_eq!(has(bytes, special), bytes.iter().any(is_special));
                let is_in_range = |byte: &u8| (b'x'..=0xc3).contains(byte);
                prop_assert_eq!(has(bytes, |bytes| bytes.is_in(b'x', 0xc3)), bytes.iter().any(is_in_range));
            }
        }

        #[test]
        fn one_byte_among_others_is_found(length in 1..40_usize, place in any::<prop::sample::Index>()) {
            let mut text = vec![b'a'; length];
            prop_assert!(!has(&text, |bytes| bytes.is(b'@')));
            text[place.index(length)] = b'@';
            prop_assert!(has(&text, |bytes| bytes.is(b'@')));
        }

        #[test]
        fn a_pair_is_found_at_any_position(text in "[fbxé]{0,40}") {
            prop_assert_eq!(has_pair(&text, *b"fb"), text.contains("fb"));
        }

        #[test]
        fn text_is_split_at_the_first_of_the_bytes(text in "[a-cé.]{0,30}") {
            prop_assert_eq!(split_once(&text, b'.'), text.split_once('.'));
            prop_assert_eq!(split_once(&text, b'a'), text.split_once('a'));
        }
    }
}
