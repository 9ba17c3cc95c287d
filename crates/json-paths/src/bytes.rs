//! Bytes compared and searched several at a time.
//!
//! In go byte slices, out come words and slices. Nothing here knows JSON, except which bytes interrupt the plain part of
//! a string.

use wide::u8x16;

/// Bytes of a word.
pub(crate) const WORD_BYTES: usize = size_of::<u64>();

/// For each length, the bits of that many bytes from the lowest on.
pub(crate) const MASK_OF_LENGTH: [u64; WORD_BYTES + 1] = [
    0,
    0xff,
    0xffff,
    0xff_ffff,
    0xffff_ffff,
    0xff_ffff_ffff,
    0xffff_ffff_ffff,
    0xff_ffff_ffff_ffff,
    u64::MAX,
];

/// The first [`WORD_BYTES`] bytes of a key as one number. The key has `length` bytes, and `text` begins with it. A shorter
/// key is filled up with zeros.
#[inline]
pub(crate) fn head(text: &[u8], length: usize) -> u64 {
    let Some(word) = text.first_chunk() else {
        let key = &text[..length.min(text.len())];
        return key
            .iter()
            .rev()
            .fold(0, |head, byte| head << u8::BITS | u64::from(*byte));
    };
    u64::from_le_bytes(*word) & MASK_OF_LENGTH[length.min(WORD_BYTES)]
}

/// The text from its first quote, backslash or control character on.
#[inline]
pub(crate) fn from_special(text: &[u8]) -> &[u8] {
    const LAST_CONTROL: u8 = 0x1f;
    let mut rest = text;
    while let Some((block, others)) = rest.split_first_chunk() {
        let block = u8x16::new(*block);
        let special = block.simd_eq(u8x16::splat(b'"'))
            | block.simd_eq(u8x16::splat(b'\\'))
            | block.min(u8x16::splat(LAST_CONTROL)).simd_eq(block);
        let special = special.to_bitmask();
        if special != 0 {
            return rest
                .get(special.trailing_zeros() as usize..)
                .unwrap_or_default();
        }
        rest = others;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let end = rest.iter().position(is_special).unwrap_or(rest.len());
    &rest[end..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_first_special_byte_is_found_at_any_position(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            for start in 0..=text.len() {
                let rest = &text[start..];
                let end = rest.iter().position(is_special).unwrap_or(rest.len());
                prop_assert_eq!(from_special(rest), &rest[end..]);
            }
        }

        #[test]
        fn a_head_is_the_same_whatever_follows_the_key(
            key in prop::collection::vec(any::<u8>(), 0..12),
            rest in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let mut first = key.clone();
            first.resize(WORD_BYTES.max(key.len()), 0);
            let expected = u64::from_le_bytes(*first.first_chunk().expect("a word"));
            let text = [key.as_slice(), &rest].concat();
            prop_assert_eq!(head(&text, key.len()), expected);
            prop_assert_eq!(head(&key, key.len()), expected);
        }
    }
}
