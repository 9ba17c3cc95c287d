//! A position in a JSON text that moves over one token or one value at a time.
//!
//! In goes text, out come places in it. Every byte that is passed has been held against the grammar (RFC 8259), so what
//! lies behind the position is JSON. Nothing is decoded, nothing recurses, and nesting is bounded by memory alone: one
//! bit per level.

use crate::bytes::{from_special, head};

/// The end of the JSON value that this text begins with; `None` where it begins with something else.
///
/// That the value is UTF-8 is not checked, and what follows it is not looked at.
///
/// ```
/// assert_eq!(json_paths::value_end(br#"{"a": [1, 2]}, 3"#), Some(13));
/// assert_eq!(json_paths::value_end(br#"{"a": [1, 2}"#), None);
/// ```
pub fn value_end(text: &[u8]) -> Option<usize> {
    let behind = Scanner(text).value().ok()?;
    Some(text.len() - behind.0.len())
}

/// The text is not JSON at this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// A position in a JSON text: the rest of the text from there on. Passing something returns a new position; positions are
/// small enough for registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanner<'a>(&'a [u8]);

/// A key of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    /// The bytes between the quotes.
    pub(crate) name: &'a [u8],
    /// The [`head`] of the name.
    pub(crate) head: u64,
    pub(crate) has_escapes: bool,
}

impl Key<'_> {
    /// The key without escapes; `None` if they are not valid Unicode.
    #[cold]
    pub(crate) fn decoded(self) -> Option<String> {
        let quoted = [b"\"", self.name, b"\""].concat();
        serde_json::from_slice(&quoted).ok()
    }
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text.as_bytes())
    }

    /// The text from the position on.
    #[inline]
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// The text up to a later position.
    #[inline]
    pub(crate) fn until(self, end: Self) -> &'a [u8] {
        let length = self.0.len().saturating_sub(end.0.len());
        self.0.get(..length).unwrap_or_default()
    }

    /// The byte at the position; at the end 0, which is not in any JSON.
    #[inline]
    pub(crate) fn byte(self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }

    /// Passes white space.
    #[inline]
    pub(crate) fn token(mut self) -> Self {
        if self.byte() > b' ' {
            return self;
        }
        while let [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] = self.0 {
            self.0 = rest;
        }
        self
    }

    /// Passes one byte.
    #[inline]
    fn pass(self) -> Self {
        match self.0 {
            [_, rest @ ..] => Self(rest),
            [] => self,
        }
    }

    /// Passes the opening bracket of a list or object and the white space after it. If the list or object is empty, passes
    /// the closing bracket as well, and returns true.
    #[inline]
    pub(crate) fn open(self, close: u8) -> (Self, bool) {
        let inside = self.pass().token();
        if inside.byte() == close {
            (inside.pass(), true)
        } else {
            (inside, false)
        }
    }

    /// Passes what follows an element: a comma and the white space after it, or the closing bracket of the list or object,
    /// and then returns true.
    #[inline]
    pub(crate) fn after_element(self, close: u8) -> Result<(Self, bool), Broken> {
        let behind = self.token();
        match behind.byte() {
            b',' => Ok((behind.pass().token(), false)),
            byte if byte == close => Ok((behind.pass(), true)),
            _ => Err(Broken),
        }
    }

    /// Passes so many bytes; `None` where the text has fewer. They must have been checked in another way.
    #[inline]
    pub(crate) fn skip(self, bytes: usize) -> Option<Self> {
        self.0.get(bytes..).map(Self)
    }

    /// Passes a key, its colon, and the white space after it.
    #[inline]
    pub(crate) fn key(self) -> Result<(Key<'a>, Self), Broken> {
        if self.byte() != b'"' {
            return Err(Broken);
        }
        let inside = self.pass().0;
        let (behind, has_escapes) = match from_special(inside) {
            [b'"', rest @ ..] => (Self(rest), false),
            rest @ [b'\\', ..] => (Self(rest).string_from_escape()?, true),
            _ => return Err(Broken),
        };
        let length = inside.len() - behind.0.len() - "\"".len();
        let key = Key {
            name: inside.get(..length).unwrap_or_default(),
            head: head(inside, length),
            has_escapes,
        };
        Ok((key, behind.colon()?))
    }

    /// Passes a key, its colon, and the white space after it, like [`key`](Self::key), where its name is not asked for.
    #[inline]
    fn skip_key(self) -> Result<Self, Broken> {
        self.quoted_key().map(|(_, behind)| behind)
    }

    /// The same, with the key in its quotation marks.
    #[inline]
    pub(crate) fn quoted_key(self) -> Result<(&'a [u8], Self), Broken> {
        if self.byte() != b'"' {
            return Err(Broken);
        }
        let behind = self.string()?;
        Ok((self.until(behind), behind.colon()?))
    }

    /// Passes the colon after a key, and the white space around it.
    #[inline]
    fn colon(self) -> Result<Self, Broken> {
        let colon = self.token();
        if colon.byte() != b':' {
            return Err(Broken);
        }
        Ok(colon.pass().token())
    }

    /// Passes a value that is neither a list nor an object.
    #[inline]
    pub(crate) fn scalar(self) -> Result<Self, Broken> {
        match self.byte() {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(Broken),
        }
    }

    /// Passes a value of any kind.
    pub(crate) fn value(self) -> Result<Self, Broken> {
        let mut here = self;
        let mut nesting = Nesting::default();
        loop {
            let first = here.byte();
            if matches!(first, b'{' | b'[') {
                let is_object = first == b'{';
                let (inside, is_empty) = here.open(if is_object { b'}' } else { b']' });
                here = inside;
                if !is_empty {
                    nesting.enter(is_object);
                    if is_object {
                        here = here.skip_key()?;
                    }
                    continue;
                }
            } else {
                here = here.scalar()?;
            }
            loop {
                let Some(is_object) = nesting.is_object() else {
                    return Ok(here);
                };
                let (behind, is_over) = here.after_element(if is_object { b'}' } else { b']' })?;
                here = behind;
                if !is_over {
                    if is_object {
                        here = here.skip_key()?;
                    }
                    break;
                }
                nesting.leave();
            }
        }
    }

    /// Passes a string.
    #[inline]
    pub(crate) fn string(self) -> Result<Self, Broken> {
        match from_special(self.pass().0) {
            [b'"', rest @ ..] => Ok(Self(rest)),
            rest @ [b'\\', ..] => Self(rest).string_from_escape(),
            _ => Err(Broken),
        }
    }

    /// Passes the rest of a string, from its first backslash on.
    #[cold]
    fn string_from_escape(self) -> Result<Self, Broken> {
        let mut rest = self.0;
        loop {
            rest = match rest {
                [b'"', rest @ ..] => return Ok(Self(rest)),
                [b'\\', escape @ ..] => after_escape(escape)?,
                _ => return Err(Broken),
            };
            rest = from_special(rest);
        }
    }

    #[inline]
    fn number(self) -> Result<Self, Broken> {
        let mut here = if self.byte() == b'-' {
            self.pass()
        } else {
            self
        };
        here = match here.byte() {
            b'0' => here.pass(),
            _ => here.digits()?,
        };
        if here.byte() == b'.' {
            here = here.pass().digits()?;
        }
        if matches!(here.byte(), b'e' | b'E') {
            here = here.pass();
            if matches!(here.byte(), b'+' | b'-') {
                here = here.pass();
            }
            here = here.digits()?;
        }
        Ok(here)
    }

    /// Passes one or more digits.
    #[inline]
    fn digits(self) -> Result<Self, Broken> {
        let [b'0'..=b'9', rest @ ..] = self.0 else {
            return Err(Broken);
        };
        let mut rest = rest;
        while let [b'0'..=b'9', others @ ..] = rest {
            rest = others;
        }
        Ok(Self(rest))
    }

    #[inline]
    fn word(self, word: &[u8]) -> Result<Self, Broken> {
        self.0.strip_prefix(word).map(Self).ok_or(Broken)
    }
}

/// The text after an escape, from behind its backslash.
fn after_escape(escape: &[u8]) -> Result<&[u8], Broken> {
    match escape {
        [
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
            rest @ ..,
        ] => Ok(rest),
        [b'u', a, b, c, d, rest @ ..]
            if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
        {
            Ok(rest)
        }
        _ => Err(Broken),
    }
}

/// Which of the values around the position are objects: a stack of bits. Up to 64 levels need no allocation.
#[derive(Debug, Default)]
struct Nesting {
    /// The innermost levels; the lowest bit is the last one.
    bits: u64,
    depth: usize,
    /// Full words of outer levels.
    outer: Vec<u64>,
}

impl Nesting {
    #[inline]
    fn enter(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.depth += 1;
        self.bits = self.bits << 1 | u64::from(is_object);
    }

    #[inline]
    fn leave(&mut self) {
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or(0);
        }
    }

    /// Whether the innermost value is an object; `None` outside of all values.
    #[inline]
    fn is_object(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn is_json(text: &str) -> bool {
        let end = Scanner::new(text).token().value();
        end.is_ok_and(|end| end.token().rest().is_empty())
    }

    #[test]
    fn what_passes_is_what_serde_json_accepts() {
        for text in [
            "",
            " ",
            "1",
            "-1",
            "-",
            "01",
            "1.",
            "1.0",
            ".1",
            "1e5",
            "1E+5",
            "1e",
            "1e+",
            "-0",
            "-0.0e-0",
            "+1",
            "true",
            "tru",
            "truex",
            "null",
            "nul",
            "False",
            "\"",
            "\"a",
            "\"a\"",
            "\"\\",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\u{1f}\"",
            "\"\u{7f}\"",
            "[",
            "[]",
            "[ ]",
            "[1",
            "[1,",
            "[1,]",
            "[,]",
            "[1 2]",
            "{",
            "{}",
            "{ }",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" : 1 , \"b\":[{}]}",
            "[}",
            "{]",
            "{\"a\":1]",
            "[1}",
            "1 2",
            "[]]",
            "\u{0}",
            "1\u{0}",
            "[\u{0}]",
            "\u{b}1",
            "\u{feff}1",
        ] {
            let expected = serde_json::from_str::<IgnoredAny>(text).is_ok();
            assert_eq!(is_json(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nesting_is_remembered_at_any_depth() {
        for depth in [1, 2, 63, 64, 65, 127, 128, 129, 200, 1_000] {
            let open = |level: usize| {
                if level.is_multiple_of(3) {
                    "{\"a\":"
                } else {
                    "["
                }
            };
            let close = |level: usize| if level.is_multiple_of(3) { "}" } else { "]" };
            let head: String = (0..depth).map(open).collect();
            let tail: String = (0..depth).rev().map(close).collect();
            let text = format!("{head}1{tail}");
            assert!(is_json(&text), "{depth}");
            let crossed = tail.replace(']', "x").replace('}', "]").replace('x', "}");
            assert!(!is_json(&format!("{head}1{crossed}")), "{depth}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_passes_if_serde_json_accepts_it(
            text in "[\\[\\]{}:,\"\\\\ 0-9eE.+\\-truefalsn\u{1}ué]{0,24}",
            string in ".{0,40}",
            place in 0..60_usize,
        ) {
            for text in [text, string.clone(), format!("\"{string}\""), serde_json::Value::from(string).to_string()] {
                prop_assert_eq!(is_json(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{:?}", &text);
                // And cut anywhere.
                let cut = text.get(..place).unwrap_or("");
                prop_assert_eq!(is_json(cut), serde_json::from_str::<IgnoredAny>(cut).is_ok(), "{:?}", cut);
            }
        }
    }
}
