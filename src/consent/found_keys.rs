//! Names what was found at a place of consent, for people.
//!
//! In: the JSON of a place. Out: kinds of values and names of keys. Invariant: no value comes out, and no name that could be a
//! person's: see [`is_showable`].

use crate::json_text;

/// Names of keys that are shown, at most.
const MAX_SHOWN_KEYS: usize = 8;
/// Characters of a name that is shown, at most.
const MAX_KEY_CHARS: usize = 40;

/// What was found, as the object of a sentence.
pub(super) fn described(raw: &str) -> String {
    match raw.as_bytes().first() {
        Some(b'{') => keys(raw),
        Some(b'[') => "a list of codes".to_owned(),
        Some(b'"') => "a text".to_owned(),
        Some(b't' | b'f') => "a boolean".to_owned(),
        _ => "a number".to_owned(),
    }
}

/// The keys of an object, with those of the objects in it.
fn keys(raw: &str) -> String {
    let mut names = Vec::new();
    let mut total = 0;
    let mut show = |name: String, is_showable: bool| {
        total += 1;
        if is_showable && names.len() < MAX_SHOWN_KEYS {
            names.push(format!("`{name}`"));
        }
    };
    for (key, value) in json_text::entries(raw) {
        let inner = json_text::entries(value);
        if inner.is_empty() {
            let is_showable = is_showable(&key);
            show(key, is_showable);
            continue;
        }
        for (inner, _) in inner {
            let is_showable = is_showable(&key) && is_showable(&inner);
            show(format!("{key}.{inner}"), is_showable);
        }
    }
    let hidden = match total - names.len() {
        0 => String::new(),
        more if names.is_empty() => return format!("{more} keys whose names are not shown"),
        more => format!(" and {more} more"),
    };
    format!("keys {}{hidden}", names.join(", "))
}

/// Whether the name of a key can be shown: it is short, and cannot be an address, a phone number, an id of a person or a hash.
fn is_showable(name: &str) -> bool {
    /// Digits of a name that is not a number of somebody.
    const MAX_DIGITS: usize = 6;
    /// Characters of a name of hexadecimal digits that is not a hash.
    const MAX_HEX: usize = 15;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
    let is_hex = letters.clone().all(|b| b.is_ascii_hexdigit());
    !name.is_empty()
        && name.len() <= MAX_KEY_CHARS
        && name.bytes().all(is_plain)
        && letters.clone().filter(u8::is_ascii_digit).count() <= MAX_DIGITS
        && (!is_hex || letters.count() <= MAX_HEX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_are_shown_with_those_of_the_objects_in_it_and_no_more_than_eight() {
        let raw = r#"{"categoryPreferences":{"Advertising":true,"Ads_2":false},"gdpr":1,"x":{}}"#;
        let expected =
            "keys `categoryPreferences.Advertising`, `categoryPreferences.Ads_2`, `gdpr`, `x`";
        assert_eq!(described(raw), expected);
        let many: Vec<_> = (0..12).map(|n| format!("\"C{n}\":1")).collect();
        let text = described(&format!("{{{}}}", many.join(",")));
        assert!(text.ends_with("`C7` and 4 more"), "{text}");
    }

    #[test]
    fn a_name_that_could_be_a_persons_is_not_shown() {
        for key in [
            "mary@example.com",
            "+16505551212",
            "16505551212",
            "650-555-1212",
            "d41d8cd98f00b204e9800998ecf8427e",
            "deadbeefdeadbeef",
            "Mary Smith",
            "Jos\u{e9}",
            "a_name_that_is_longer_than_forty_characters",
            "",
        ] {
            let raw = serde_json::json!({ key: { "a": 1 } }).to_string();
            assert_eq!(described(&raw), "1 keys whose names are not shown", "{key}");
            let raw = serde_json::json!({ "a": { key: 1 }, "b": 1 }).to_string();
            assert_eq!(described(&raw), "keys `b` and 1 more", "{key}");
        }
    }

    #[test]
    fn other_values_are_named_by_their_kind_only() {
        for (raw, expected) in [
            (r#"["secret"]"#, "a list of codes"),
            (r#""secret""#, "a text"),
            ("true", "a boolean"),
            ("-17", "a number"),
        ] {
            assert_eq!(described(raw), expected);
        }
    }
}
