//! Text looked at eight bytes at a time: is there any byte in it that needs a closer look?
//!
//! A test takes eight bytes as one number and answers with the highest bit of each byte that it is about. Subtracting
//! from a byte borrows into that bit exactly where the byte is below what is subtracted; a borrow can reach into higher
//! bytes, so that only the lowest hit is sure to be one. Nothing here knows JSON.

/// Bytes of a word.
pub(crate) const WIDTH: usize = size_of::<u64>();
/// A one in each byte.
const ONES: u64 = u64::MAX / 0xff;
const HIGHEST_BITS: u64 = ONES * 0x80;

/// Where the bytes are below a bound of up to 0x80.
#[inline]
pub(crate) const fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(ONES * bound as u64) & !word & HIGHEST_BITS
}

/// Where the bytes are this one.
#[inline]
pub(crate) const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

/// Where the bytes are beyond ASCII.
#[inline]
pub(crate) const fn beyond_ascii(word: u64) -> u64 {
    word & HIGHEST_BITS
}

/// The place of the first byte that a test's answer is about.
#[inline]
pub(crate) const fn first(answer: u64) -> usize {
    (answer.trailing_zeros() / u8::BITS) as usize
}

/// The text before and behind the first of these bytes of ASCII.
#[inline]
pub(crate) fn split_once(text: &str, byte: u8) -> Option<(&str, &str)> {
    let (words, rest) = text.as_bytes().as_chunks::<WIDTH>();
    let in_word = |word: &[u8; WIDTH]| match equal(u64::from_le_bytes(*word), byte) {
        0 => None,
        answer => Some(first(answer)),
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

/// Whether visible ASCII stands at both ends, so that there is nothing around the text to take off.
#[inline]
pub(crate) fn has_nothing_around(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if first.is_ascii_graphic() && last.is_ascii_graphic())
}

/// All bytes of a text that is shorter than a word, filled up with the letter `a`. Its ends are taken and may overlap: a
/// loop over so few bytes, of another number for each text, would be guessed wrong by the processor.
#[inline]
fn short(text: &[u8]) -> u64 {
    const HALF: usize = WIDTH / 2;
    const FILL: u8 = b'a';
    let halves = match (text.first_chunk::<HALF>(), text.last_chunk::<HALF>()) {
        (Some(first), Some(last)) => [*first, *last],
        _ => {
            let byte = |place: usize| text.get(place).copied().unwrap_or(FILL);
            [[byte(0), byte(1), byte(2), FILL], [FILL; HALF]]
        }
    };
    let [low, high] = halves.map(|half| u64::from(u32::from_le_bytes(half)));
    low | high << u32::BITS
}

/// Whether the test is about any byte of the text. It must not be about the letter `a`, which fills up short text.
#[inline]
pub(crate) fn has(text: impl AsRef<[u8]>, hits: impl Fn(u64) -> u64) -> bool {
    let bytes = text.as_ref();
    let Some(last) = bytes.last_chunk::<WIDTH>() else {
        return hits(short(bytes)) != 0;
    };
    // The last word overlaps with the one before it.
    let (words, _) = bytes.as_chunks::<WIDTH>();
    let answers = words
        .iter()
        .fold(hits(u64::from_le_bytes(*last)), |answers, word| {
            answers | hits(u64::from_le_bytes(*word))
        });
    answers != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_byte_is_found_wherever_it_stands(text in "[ -~\u{1}\u{7f}\u{a0}é\"\\\\]{0,30}") {
            let bytes = text.as_bytes();
            prop_assert_eq!(has(&text, |word| equal(word, b'"')), bytes.contains(&b'"'));
            prop_assert_eq!(has(&text, |word| equal(word, 0xc2)), bytes.contains(&0xc2));
            prop_assert_eq!(has(&text, |word| below(word, 0x20)), bytes.iter().any(|b| *b < 0x20));
            prop_assert_eq!(has(&text, beyond_ascii), !text.is_ascii());
        }

        #[test]
        fn text_is_split_at_the_first_of_the_bytes(text in "[a-cé.]{0,30}") {
            prop_assert_eq!(split_once(&text, b'.'), text.split_once('.'));
            prop_assert_eq!(split_once(&text, b'a'), text.split_once('a'));
        }

        #[test]
        fn the_lowest_hit_is_the_first(bytes in any::<[u8; WIDTH]>(), byte in any::<u8>(), bound in 1..=0x80_u8) {
            let word = u64::from_le_bytes(bytes);
            let of = |answer| (answer != 0).then(|| first(answer));
            prop_assert_eq!(of(equal(word, byte)), bytes.iter().position(|b| *b == byte));
            prop_assert_eq!(of(below(word, bound)), bytes.iter().position(|b| *b < bound));
        }
    }
}
