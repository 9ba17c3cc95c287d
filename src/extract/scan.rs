//! A position in a JSON text that moves over one token or one value at a time.
//!
//! In goes text, out come places in it. Every byte that is passed has been held against the grammar (RFC 8259), so what
//! lies behind the position is JSON. Nothing is decoded, nothing recurses, and nesting is bounded by memory alone: one
//! bit per level.

use crate::words::WIDTH;
use wide::u8x16;

/// The text is not JSON at this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// A position in a JSON text: what has not been passed. Passing something gives a new position, which lives in registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'a>(&'a [u8]);

/// A key of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    /// What stands between the quotes.
    pub(super) name: &'a [u8],
    /// The first bytes of it as one number.
    pub(super) head: u64,
    pub(super) has_escapes: bool,
}

/// What may stand between two values: a comma, a key, its colon, and the white space around them. It is compared as words
/// of a fixed number, because a loop that ends elsewhere for each length would be guessed wrong by the processor.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Glue {
    words: [u64; GLUE_WORDS],
    length: u8,
}

/// Words of the longest glue that is remembered.
const GLUE_WORDS: usize = 4;
const GLUE_BYTES: usize = GLUE_WORDS * WIDTH;

impl Glue {
    /// What stands between two positions; `None` where that is too long.
    pub(super) fn between(start: Scanner<'_>, end: Scanner<'_>) -> Option<Self> {
        let length = start.0.len().checked_sub(end.0.len())?;
        let mut words = [0; GLUE_WORDS];
        for (word, bytes) in words.iter_mut().zip(start.0.get(..length)?.chunks(WIDTH)) {
            *word = head(bytes, bytes.len());
        }
        (length <= GLUE_BYTES).then_some(Self {
            words,
            length: u8::try_from(length).ok()?,
        })
    }

    /// The bits of each word that count.
    const MASKS: [[u64; GLUE_WORDS]; GLUE_BYTES + 1] = {
        let mut masks = [[0; GLUE_WORDS]; GLUE_BYTES + 1];
        let mut length = 0;
        while length <= GLUE_BYTES {
            let mut word = 0;
            while word < GLUE_WORDS {
                let rest = length.saturating_sub(word * WIDTH);
                masks[length][word] = OF_LENGTH[if rest < WIDTH { rest } else { WIDTH }];
                word += 1;
            }
            length += 1;
        }
        masks
    };
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
        Self(text.as_bytes())
    }

    /// What has not been passed.
    #[inline]
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// The byte at the position; 0, which no JSON has, at the end.
    #[inline]
    pub(super) fn byte(self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }

    /// Passes white space.
    #[inline]
    pub(super) fn token(mut self) -> Self {
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

    /// Passes what opens a list or an object and the white space after it; what closes it as well, where it is empty,
    /// which is the second answer.
    #[inline]
    pub(super) fn open(self, close: u8) -> (Self, bool) {
        let inside = self.pass().token();
        if inside.byte() == close {
            (inside.pass(), true)
        } else {
            (inside, false)
        }
    }

    /// Passes what stands behind an element: a comma and the white space after it, or what closes the list or object,
    /// which is the second answer.
    #[inline]
    pub(super) fn after_element(self, close: u8) -> Result<(Self, bool), Broken> {
        let behind = self.token();
        match behind.byte() {
            b',' => Ok((behind.pass().token(), false)),
            byte if byte == close => Ok((behind.pass(), true)),
            _ => Err(Broken),
        }
    }

    /// Passes this glue, if the text continues with it, and any further white space: text with more white space after the
    /// colon than the glue has matches as well. Within the last bytes of the text the glue is not compared.
    #[inline]
    pub(super) fn glue(self, glue: &Glue) -> Option<Self> {
        let here = self.0.first_chunk::<GLUE_BYTES>()?.as_chunks::<WIDTH>().0;
        let masks = &Glue::MASKS[usize::from(glue.length)];
        let difference = (0..GLUE_WORDS).fold(0, |difference, i| {
            difference | (u64::from_le_bytes(here[i]) ^ glue.words[i]) & masks[i]
        });
        if difference != 0 {
            return None;
        }
        let behind = self.0.get(usize::from(glue.length)..)?;
        Some(Self(behind).token())
    }

    /// Passes a key, its colon, and the white space after it.
    #[inline]
    pub(super) fn key(self) -> Result<(Key<'a>, Self), Broken> {
        if self.byte() != b'"' {
            return Err(Broken);
        }
        let behind = self.string()?;
        let length = self.0.len() - behind.0.len() - "\"\"".len();
        let inside = self.pass().0;
        let name = inside.get(..length).unwrap_or_default();
        let key = Key {
            name,
            head: head(inside, length),
            has_escapes: name.contains(&b'\\'),
        };
        let colon = behind.token();
        if colon.byte() != b':' {
            return Err(Broken);
        }
        Ok((key, colon.pass().token()))
    }

    /// Passes a value that is neither list nor object.
    #[inline]
    pub(super) fn scalar(self) -> Result<Self, Broken> {
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
    pub(super) fn value(self) -> Result<Self, Broken> {
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
                        here = here.key()?.1;
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
                        here = here.key()?.1;
                    }
                    break;
                }
                nesting.leave();
            }
        }
    }

    /// Passes a string.
    #[inline]
    pub(super) fn string(self) -> Result<Self, Broken> {
        match behind_plain(self.pass().0) {
            [b'"', rest @ ..] => Ok(Self(rest)),
            rest @ [b'\\', ..] => Self(rest).string_from_escape(),
            _ => Err(Broken),
        }
    }

    /// Passes the rest of a string from its first backslash on.
    #[cold]
    fn string_from_escape(self) -> Result<Self, Broken> {
        let mut rest = self.0;
        loop {
            rest = match rest {
                [b'"', rest @ ..] => return Ok(Self(rest)),
                [b'\\', escape @ ..] => after_escape(escape)?,
                _ => return Err(Broken),
            };
            rest = behind_plain(rest);
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

    /// Passes digits, one at least.
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
const OF_LENGTH: [u64; WIDTH + 1] = [
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
    u64::from_le_bytes(*word) & OF_LENGTH[length.min(WIDTH)]
}

/// The text from its first quote, backslash or control character on.
#[inline]
fn behind_plain(text: &[u8]) -> &[u8] {
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
    use serde::de::IgnoredAny;

    fn is_json(text: &str) -> bool {
        let end = Scanner::new(text).token().value();
        end.is_ok_and(|end| end.token().rest().is_empty())
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
                let end = rest.iter().position(is_special).unwrap_or(rest.len());
                prop_assert_eq!(behind_plain(rest), &rest[end..]);
            }
        }
    }
}
