//! Which element of a list a path selects: the first one that has a given text at a key, `externalIds[type=email]`.
//!
//! In go the keys and values of an element, out comes whether it is selected. Both readers look the key up with this.

use crate::folding::folded_bytes;

/// A key, and the text that an element must have there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) key: Box<str>,
    pub(crate) value: Box<str>,
}

impl Selector {
    /// Whether a value, as JSON, is the text that an element must have. The case of ASCII letters does not matter.
    pub(crate) fn selects(&self, raw: &[u8]) -> bool {
        let Some([inner @ .., b'"']) = raw.strip_prefix(b"\"") else {
            return false;
        };
        if inner.contains(&b'\\') {
            let decoded = serde_json::from_slice::<String>(raw);
            return decoded.is_ok_and(|text| text.eq_ignore_ascii_case(&self.value));
        }
        inner.eq_ignore_ascii_case(self.value.as_bytes())
    }
}

/// The value of one key of an object: of the exact spelling if there is one, and of several the last.
#[derive(Debug)]
pub(crate) struct Sought<'s, V> {
    key: &'s [u8],
    found: Option<(bool, V)>,
}

impl<'s, V> Sought<'s, V> {
    pub(crate) fn new(key: &'s str) -> Self {
        Self {
            key: key.as_bytes(),
            found: None,
        }
    }

    /// Takes the next key of the object into account.
    pub(crate) fn offer(&mut self, key: &[u8], value: V) {
        let is_exact = key == self.key;
        let is_worse = matches!(self.found, Some((true, _))) && !is_exact;
        if is_exact || !is_worse && folded_bytes(key).eq(folded_bytes(self.key)) {
            self.found = Some((is_exact, value));
        }
    }

    pub(crate) fn found(self) -> Option<V> {
        self.found.map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_is_selected_and_the_case_of_ascii_letters_does_not_matter() {
        let selector = Selector {
            key: "type".into(),
            value: "Émail 1".into(),
        };
        for (raw, expected) in [
            (r#""Émail 1""#, true),
            (r#""ÉMAIL 1""#, true),
            (r#""\u00c9mail\u00201""#, true),
            (r#""émail 1""#, false),
            (r#""Émail 1 ""#, false),
            (r#""Émail""#, false),
            (r#""\ud800""#, false),
            ("\"", false),
            ("1", false),
            ("null", false),
            (r#"["Émail 1"]"#, false),
        ] {
            assert_eq!(selector.selects(raw.as_bytes()), expected, "{raw}");
        }
    }

    #[test]
    fn the_exact_key_is_preferred_and_then_the_last() {
        for (keys, expected) in [
            (&[][..], None),
            (&["kind"], None),
            (&["Type"], Some(0)),
            (&["Type", "TYPE"], Some(1)),
            (&["Type", "type", "TYPE"], Some(1)),
            (&["type", "t_ype", "type"], Some(2)),
        ] {
            let mut sought = Sought::new("type");
            for (number, key) in keys.iter().enumerate() {
                sought.offer(key.as_bytes(), number);
            }
            assert_eq!(sought.found(), expected, "{keys:?}");
        }
    }
}
