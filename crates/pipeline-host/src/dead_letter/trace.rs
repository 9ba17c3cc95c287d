//! What a letter says of an event that did not become a record, so that a person finds it at its source.
//!
//! Invariant: no letter and no digit of the event is in it.

use std::net::IpAddr;

/// Bytes of an event whose masked form a letter has.
pub const MAX_SHAPE_BYTES: usize = 64;

/// What a letter without a payload says of the event, so that a person finds it at its source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    /// Who sent it. Not written anywhere.
    pub(crate) client: Option<IpAddr>,
    /// Its first bytes, masked.
    pub(crate) shape: String,
    /// How many bytes it had.
    pub(crate) bytes: usize,
}

impl Trace {
    pub(crate) fn of(raw: &[u8], client: Option<IpAddr>) -> Self {
        Self {
            client,
            shape: masked(raw),
            bytes: raw.len(),
        }
    }
}

/// The first bytes with every letter and digit replaced: `{"aaaa":"aaaaa","aaaaa":99`.
fn masked(raw: &[u8]) -> String {
    let mask = |byte: &u8| match byte {
        b'a'..=b'z' => 'a',
        b'A'..=b'Z' => 'A',
        b'0'..=b'9' => '9',
        b' '..=b'~' => char::from(*byte),
        b'\t' | b'\r' | b'\n' => ' ',
        _ => '?',
    };
    raw.iter().take(MAX_SHAPE_BYTES).map(mask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_bytes_are_masked() {
        for (raw, shown) in [
            (
                &br#"{"email":"Ottilie@example.org","n":4711}"#[..],
                r#"{"aaaaa":"Aaaaaaa@aaaaaaa.aaa","a":9999}"#,
            ),
            (b"\xff\xfe{\0", "??{?"),
            (b"\x1f\x8b\x08\0\x1b[31m", "?????[99a"),
            ("größe\n1".as_bytes(), "aa????a 9"),
        ] {
            assert_eq!(masked(raw), shown);
        }
        assert_eq!(masked(&[b'x'; 500]).len(), MAX_SHAPE_BYTES);
    }

    proptest! {
        #[test]
        fn no_letter_or_digit_of_an_event_is_shown(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let shown = masked(&raw);
            prop_assert!(shown.chars().all(|c| matches!(c, 'a' | 'A' | '9') || !c.is_alphanumeric() && !c.is_control()));
        }
    }
}
