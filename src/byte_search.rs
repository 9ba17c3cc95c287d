//! Searches the bytes of short texts several at a time: whether any byte matches, and where the first one is.
//!
//! Nothing here knows JSON.

/// Bytes of a word.
const WIDTH: usize = size_of::<u64>();
/// Bytes that are tested at once.
const BLOCK: usize = 16;

/// Whether any byte matches. The predicate runs over whole blocks of bytes at once, so it should not branch: use `|`, not
/// `||`.
#[inline]
pub(crate) fn has(text: impl AsRef<[u8]>, is_hit: impl Fn(u8) -> bool + Copy) -> bool {
    let text = text.as_ref();
    let Some(last) = text.last_chunk::<BLOCK>() else {
        return in_ends::<WIDTH>(text, is_hit)
            .or_else(|| in_ends::<{ WIDTH / 2 }>(text, is_hit))
            .unwrap_or_else(|| text.iter().any(|byte| is_hit(*byte)));
    };
    // The last block overlaps with the one before it.
    let (blocks, _) = text.as_chunks::<BLOCK>();
    blocks.iter().fold(in_block(last, is_hit), |hit, block| {
        hit | in_block(block, is_hit)
    })
}

/// Whether two bytes follow each other somewhere. Every pair is looked at, because that can be done for many at a time.
pub(crate) fn has_pair(text: &str, [first, second]: [u8; 2]) -> bool {
    let bytes = text.as_bytes();
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    pairs.fold(false, |hit, (a, b)| hit | (*a == first) & (*b == second))
}

#[expect(
    clippy::inline_always,
    reason = "a call would cost as much as the block"
)]
#[inline(always)]
fn in_block<const N: usize>(block: &[u8; N], is_hit: impl Fn(u8) -> bool) -> bool {
    block.iter().fold(false, |hit, byte| hit | is_hit(*byte))
}

/// The answer for a text of `N` to `2 * N` bytes, from its first and last `N`, which overlap. A loop over so few bytes,
/// whose length changes from text to text, would be mispredicted by the processor.
#[inline]
fn in_ends<const N: usize>(text: &[u8], is_hit: impl Fn(u8) -> bool + Copy) -> Option<bool> {
    let (first, last) = (text.first_chunk::<N>()?, text.last_chunk::<N>()?);
    Some(in_block(first, is_hit) | in_block(last, is_hit))
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
            prop_assert_eq!(has(&text, |byte| byte == b'"'), bytes.contains(&b'"'));
            let is_special = |byte| (byte < 0x20) | (byte == 0xc2);
            prop_assert_eq!(has(&text, is_special), bytes.iter().any(|byte| is_special(*byte)));
        }

        #[test]
        fn one_byte_among_others_is_found(length in 1..40_usize, place in any::<prop::sample::Index>()) {
            let mut text = vec![b'a'; length];
            prop_assert!(!has(&text, |byte| byte == b'@'));
            text[place.index(length)] = b'@';
            prop_assert!(has(&text, |byte| byte == b'@'));
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
