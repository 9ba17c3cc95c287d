//! A position in a JSON text that moves over one token or one value at a time.
//!
//! In goes text, out come places in it. Every byte that is passed has been held against the grammar (RFC 8259), so what
//! lies behind the position is JSON. Nothing is decoded, nothing recurses, and nesting is bounded by memory alone: one
//! bit per level.

use std::ops::Range;

/// The text is not JSON at this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// A position in a JSON text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

/// What stands between the quotes of a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted<'a> {
    pub(super) inside: &'a [u8],
    pub(super) has_escapes: bool,
}

impl Quoted<'_> {
    /// The text, if its escapes make one.
    #[cold]
    pub(super) fn decoded(self) -> Option<String> {
        let quoted = [b"\"", self.inside, b"\""].concat();
        serde_json::from_slice(&quoted).ok()
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.as_bytes();
        Self { text, at: 0 }
    }

    /// Bytes passed so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Another scanner at the same position.
    pub(super) fn fork(&self) -> Self {
        Self { ..*self }
    }

    /// Whether a number in the text is one that a double can hold.
    pub(super) fn is_finite(&self, number: Range<usize>) -> bool {
        let digits = std::str::from_utf8(&self.text[number]).unwrap_or_default();
        digits.parse().is_ok_and(f64::is_finite)
    }

    /// Passes white space, and tells the byte that follows it; 0, which no JSON has, at the end.
    #[inline]
    pub(super) fn peek(&mut self) -> u8 {
        loop {
            match self.byte() {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return byte,
            }
        }
    }

    /// Passes this byte.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek() != byte {
            return Err(Broken);
        }
        self.at += 1;
        Ok(())
    }

    /// Passes what opens a list or an object, and tells whether there is anything in it.
    #[inline]
    pub(super) fn open(&mut self, close: u8) -> bool {
        self.at += 1;
        let is_empty = self.peek() == close;
        self.at += usize::from(is_empty);
        !is_empty
    }

    /// Passes what stands behind an element: a comma, or what closes the list or object. Tells whether there is more.
    #[inline]
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Broken> {
        let byte = self.peek();
        if byte != b',' && byte != close {
            return Err(Broken);
        }
        self.at += 1;
        Ok(byte == b',')
    }

    /// Passes a key and its colon.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Quoted<'a>, Broken> {
        if self.peek() != b'"' {
            return Err(Broken);
        }
        let key = self.string()?;
        self.take(b':')?;
        Ok(key)
    }

    /// Passes a value that is neither list nor object, from its first byte on.
    #[inline]
    pub(super) fn scalar(&mut self) -> Result<(), Broken> {
        match self.byte() {
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(Broken),
        }
    }

    /// Passes a value of any kind, from its first byte on.
    pub(super) fn value(&mut self) -> Result<(), Broken> {
        let mut nesting = Nesting::default();
        loop {
            match self.peek() {
                b'{' if self.open(b'}') => {
                    nesting.enter(true);
                    self.key()?;
                    continue;
                }
                b'[' if self.open(b']') => {
                    nesting.enter(false);
                    continue;
                }
                // An empty one: `open` has passed it.
                b'{' | b'[' => {}
                _ => self.scalar()?,
            }
            loop {
                let Some(is_object) = nesting.is_object() else {
                    return Ok(());
                };
                if self.more(if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.key()?;
                    }
                    break;
                }
                nesting.leave();
            }
        }
    }

    /// The byte at the position; 0, which no JSON has, at the end.
    #[inline]
    fn byte(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Passes a string, from its opening quote on.
    #[inline]
    fn string(&mut self) -> Result<Quoted<'a>, Broken> {
        let start = self.at + 1;
        self.at = start;
        let mut has_escapes = false;
        loop {
            self.at = special_from(self.text, self.at);
            match self.byte() {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    self.escape()?;
                }
                _ => return Err(Broken),
            }
        }
        let inside = &self.text[start..self.at];
        self.at += 1;
        Ok(Quoted {
            inside,
            has_escapes,
        })
    }

    #[cold]
    fn escape(&mut self) -> Result<(), Broken> {
        const HEX_DIGITS: usize = 4;
        self.at += 2;
        match self.text.get(self.at - 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => {
                let digits = self.text.get(self.at..self.at + HEX_DIGITS);
                self.at += HEX_DIGITS;
                match digits {
                    Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(()),
                    _ => Err(Broken),
                }
            }
            _ => Err(Broken),
        }
    }

    #[inline]
    fn number(&mut self) -> Result<(), Broken> {
        self.at += usize::from(self.byte() == b'-');
        match self.byte() {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    /// Passes digits, one at least.
    #[inline]
    fn digits(&mut self) -> Result<(), Broken> {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start {
            Err(Broken)
        } else {
            Ok(())
        }
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Result<(), Broken> {
        if !self.text[self.at..].starts_with(word) {
            return Err(Broken);
        }
        self.at += word.len();
        Ok(())
    }
}

/// Which of the values that the position is inside of are objects: a stack of bits, of which the first 64 need no
/// memory.
#[derive(Debug, Default)]
struct Nesting {
    /// The innermost levels, the last one in the lowest bit.
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

    /// What the innermost value is; nothing outside of all.
    #[inline]
    fn is_object(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}

/// The place of the first quote, backslash or control character from `at` on, or the text's end.
///
/// Eight bytes are looked at in one word: subtracting from a byte borrows into its highest bit exactly where the byte is
/// below what is subtracted. A borrow can reach into higher bytes, so only the lowest hit counts.
#[inline]
fn special_from(text: &[u8], mut at: usize) -> usize {
    const WIDTH: usize = size_of::<u64>();
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHEST_BITS: u64 = ONES * 0x80;
    while let Some(chunk) = text.get(at..at + WIDTH).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let below = word.wrapping_sub(ONES * 0x20) & !word
            | quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash;
        let hits = below & HIGHEST_BITS;
        if hits != 0 {
            return at + (hits.trailing_zeros() / u8::BITS) as usize;
        }
        at += WIDTH;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(is_special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn is_json(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.value() == Ok(()) && scanner.peek() == 0 && scanner.at() == text.len()
    }

    #[test]
    fn what_passes_is_what_serde_json_takes() {
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
        fn any_text_passes_where_serde_json_takes_it(
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

        #[test]
        fn the_first_special_byte_is_found_wherever_it_stands(text in prop::collection::vec(any::<u8>(), 0..40), at in 0..40_usize) {
            let at = at.min(text.len());
            let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            let expected = text[at..].iter().position(is_special).map_or(text.len(), |place| at + place);
            prop_assert_eq!(special_from(&text, at), expected);
        }
    }
}
