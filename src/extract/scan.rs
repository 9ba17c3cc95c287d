//! A position in a JSON text that moves over one token or one value at a time.
//!
//! In goes text, out come places in it. Every byte that is passed has been held against the grammar (RFC 8259), so what
//! lies behind the position is JSON. Nothing is decoded, nothing recurses, and nesting is bounded by memory alone: one
//! bit per level.

/// The text is not JSON at this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// A position in a JSON text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'a> {
    rest: &'a [u8],
    length: usize,
}

/// A key of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    /// What stands between the quotes.
    pub(super) name: &'a [u8],
    /// The first bytes of it as one number.
    pub(super) head: u64,
    pub(super) has_escapes: bool,
}

/// Bytes that may stand somewhere, prepared for being compared a word at a time: a search of its own for each length
/// would be guessed wrong by the processor more often than not.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Each word with the bits of it that count.
    words: Box<[(u64, u64)]>,
    length: usize,
}

impl Expected {
    pub(super) fn new(bytes: &str) -> Self {
        let words = bytes.as_bytes().chunks(WORD);
        Self {
            words: words
                .map(|word| (head(word, word.len()), OF_LENGTH[word.len()]))
                .collect(),
            length: bytes.len(),
        }
    }
}

impl Key<'_> {
    /// The text, if its escapes make one.
    #[cold]
    pub(super) fn decoded(self) -> Option<String> {
        let quoted = [b"\"", self.name, b"\""].concat();
        serde_json::from_slice(&quoted).ok()
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let rest = text.as_bytes();
        let length = rest.len();
        Self { rest, length }
    }

    /// Bytes passed so far.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.length - self.rest.len()
    }

    /// What has not been passed.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Passes white space, and tells the byte that follows it; 0, which no JSON has, at the end.
    #[inline]
    pub(super) fn peek(&mut self) -> u8 {
        while let [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.byte()
    }

    /// Passes the byte that was peeked at.
    #[inline]
    fn pass(&mut self) {
        if let [_, rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Passes this byte.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek() != byte {
            return Err(Broken);
        }
        self.pass();
        Ok(())
    }

    /// Passes what opens a list or an object, and tells whether there is anything in it.
    #[inline]
    pub(super) fn open(&mut self, close: u8) -> bool {
        self.pass();
        let is_empty = self.peek() == close;
        if is_empty {
            self.pass();
        }
        !is_empty
    }

    /// Passes what stands behind an element: a comma, or what closes the list or object. Tells whether there is more.
    #[inline]
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Broken> {
        let byte = self.peek();
        if byte != b',' && byte != close {
            return Err(Broken);
        }
        self.pass();
        Ok(byte == b',')
    }

    /// Passes the expected bytes if they stand here, and tells whether they do. Near the text's end it says no.
    #[inline]
    pub(super) fn take_expected(&mut self, expected: &Expected) -> bool {
        self.peek();
        let words = self.rest.as_chunks::<WORD>().0;
        let known = expected.words.iter().zip(words);
        let difference = known.fold(0, |difference, ((word, mask), found)| {
            difference | (u64::from_le_bytes(*found) ^ word) & mask
        });
        if difference != 0 || words.len() < expected.words.len() {
            return false;
        }
        self.rest = self.rest.get(expected.length..).unwrap_or_default();
        true
    }

    /// Passes a key and its colon.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Key<'a>, Broken> {
        if self.peek() != b'"' {
            return Err(Broken);
        }
        let from_quote = self.rest;
        let has_escapes = self.string()?;
        let length = from_quote.len() - self.rest.len() - "\"\"".len();
        let inside = from_quote.get(1..).unwrap_or_default();
        let key = Key {
            head: head(inside, length),
            name: inside.get(..length).unwrap_or_default(),
            has_escapes,
        };
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
        self.rest.first().copied().unwrap_or(0)
    }

    /// Passes a string, from its opening quote on, and tells whether there are escapes in it.
    #[inline]
    fn string(&mut self) -> Result<bool, Broken> {
        self.pass();
        let end = plain_length(self.rest);
        match self.rest.get(end..) {
            Some([b'"', rest @ ..]) => {
                self.rest = rest;
                Ok(false)
            }
            Some([b'\\', ..]) => self.string_from_escape(end).map(|()| true),
            _ => Err(Broken),
        }
    }

    /// Passes the rest of a string of which so many bytes stand before the first backslash.
    #[cold]
    fn string_from_escape(&mut self, mut end: usize) -> Result<(), Broken> {
        loop {
            match self.rest.get(end..) {
                Some([b'"', rest @ ..]) => {
                    self.rest = rest;
                    return Ok(());
                }
                Some([b'\\', escape @ ..]) => self.rest = after_escape(escape)?,
                _ => return Err(Broken),
            }
            end = plain_length(self.rest);
        }
    }

    #[inline]
    fn number(&mut self) -> Result<(), Broken> {
        if self.byte() == b'-' {
            self.pass();
        }
        match self.byte() {
            b'0' => self.pass(),
            _ => self.digits()?,
        }
        if self.byte() == b'.' {
            self.pass();
            self.digits()?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.pass();
            if matches!(self.byte(), b'+' | b'-') {
                self.pass();
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Passes digits, one at least.
    #[inline]
    fn digits(&mut self) -> Result<(), Broken> {
        let [b'0'..=b'9', rest @ ..] = self.rest else {
            return Err(Broken);
        };
        self.rest = rest;
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
        Ok(())
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Result<(), Broken> {
        self.rest = self.rest.strip_prefix(word).ok_or(Broken)?;
        Ok(())
    }
}

/// What follows an escape of which the backslash has been passed.
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

/// By length, all bits of that many bytes.
const OF_LENGTH: [u64; WORD + 1] = [
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

/// The first bytes of a key of so many bytes with which the text begins, as one number. Zeros stand where it has fewer.
#[inline]
pub(super) fn head(text: &[u8], length: usize) -> u64 {
    let Some(word) = text.first_chunk() else {
        let key = &text[..length.min(text.len())];
        return key
            .iter()
            .rev()
            .fold(0, |head, byte| head << u8::BITS | u64::from(*byte));
    };
    u64::from_le_bytes(*word) & OF_LENGTH[length.min(WORD)]
}

/// Bytes that are looked at together.
pub(super) const WORD: usize = size_of::<u64>();

/// How far from the text's beginning the first quote, backslash or control character is, or the text's end.
///
/// Eight bytes are looked at in one word: subtracting from a byte borrows into its highest bit exactly where the byte is
/// below what is subtracted. A borrow can reach into higher bytes, so only the lowest hit counts. With its second bit
/// turned, a quote is the one byte that stands directly above the control characters, and they stay among themselves.
#[inline]
fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHEST_BITS: u64 = ONES * 0x80;
    const BACKSLASH: u64 = 0x5c;
    let (words, rest) = text.as_chunks::<WORD>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let turned = word ^ (ONES * 0x02);
        let backslash = word ^ (ONES * BACKSLASH);
        let below =
            turned.wrapping_sub(ONES * 0x21) & !turned | backslash.wrapping_sub(ONES) & !backslash;
        let hits = below & HIGHEST_BITS;
        if hits != 0 {
            return i * WORD + (hits.trailing_zeros() / u8::BITS) as usize;
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let end = rest.iter().position(is_special).unwrap_or(rest.len());
    text.len() - rest.len() + end
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
        fn the_first_special_byte_is_found_wherever_it_stands(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            for start in 0..=text.len() {
                let rest = &text[start..];
                prop_assert_eq!(plain_length(rest), rest.iter().position(is_special).unwrap_or(rest.len()));
            }
        }
    }
}
