//! What of a sender's text may be shown.
//!
//! Invariant: a text is shown only where it cannot be an address or the number of a person.

use std::borrow::Cow;

/// What is shown instead of a name that may be personal.
pub(crate) const WITHHELD: &str = "(withheld)";
/// The longest name that is shown, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 64;
/// The longest place that is shown, in characters: it has a file name.
const MAX_PLACE_CHARS: usize = 200;
/// So many digits in a row may be a phone number.
const DIGITS_OF_A_NUMBER: usize = 7;

/// A text, cut; or a word for it where it may be personal.
pub(crate) fn withhold(text: &str) -> Cow<'_, str> {
    if is_personal(text) {
        return Cow::Borrowed(WITHHELD);
    }
    cut(text, MAX_NAME_CHARS)
}

/// Whether a text may hold an address or a phone number.
pub(crate) fn is_personal(text: &str) -> bool {
    text.contains(['@', '＠']) || text.contains("%40") || has_number(text)
}

/// As [`withhold`], for places and files, whose numbers are counts and dates.
pub(crate) fn withhold_address(text: &str) -> String {
    if text.contains('@') {
        return WITHHELD.to_owned();
    }
    cut(text, MAX_PLACE_CHARS).into_owned()
}

/// An id, where it looks like one: letters, digits and few signs; not digits alone, as of a phone.
pub(crate) fn shown_id(id: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    let is_number = has_number(id) && id.bytes().all(|b| !b.is_ascii_alphabetic());
    if id.len() > MAX_NAME_CHARS || is_number || !id.bytes().all(is_plain) {
        return WITHHELD.to_owned();
    }
    id.to_owned()
}

/// Whether a text has as many digits as a phone number, with no more between them than people write there.
fn has_number(text: &str) -> bool {
    let mut digits = 0;
    for character in text.chars() {
        if character.is_numeric() {
            digits += 1;
            if digits >= DIGITS_OF_A_NUMBER {
                return true;
            }
        } else if !matches!(character, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}') {
            digits = 0;
        }
    }
    false
}

/// A text, cut.
pub(crate) fn cut(text: &str, max_chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max_chars) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_where_it_looks_like_one() {
        for id in [
            "one",
            "order-1234567",
            "550e8400-e29b-41d4-a716-446655440000",
            "12345",
        ] {
            assert_eq!(shown_id(id), id);
        }
        for id in [
            "jane@example.com",
            "+491701234567",
            "0170-1234567",
            "Jane Doe",
            "ü",
        ] {
            assert_eq!(shown_id(id), WITHHELD, "{id}");
        }
        assert_eq!(shown_id(&"a".repeat(65)), WITHHELD);
    }
}
