//! What the bytes of a text say about it, found in one pass: the quick proof that most texts hold nothing private.
//!
//! In: a text. Out: whether it has signs that need a look, and whether a part of it can be Base64 or a token. Sixteen bytes are looked
//! at at once, and leave a bit each, so that parts are found by shifting. Invariant: the bits say what [`CLASSES`] says byte by byte,
//! which decides texts of other lengths.

use super::{Use, names, numbers};
use crate::byte_search::{Block, Hits};
use std::ops::Range;
use wide::u8x16;

/// What the bytes of a text say about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    /// Bits of [`CLASSES`]. Of a marked text only [`LOOK`], [`LOOK_IN_BROWSER`], [`CONTROL`] and [`PERCENT`] are known.
    classes: u16,
    /// Digits of a text without marks.
    digits: u32,
    marks: Option<Marks>,
}

/// A bit for each byte of a text, that of the first byte in the lowest.
#[derive(Debug, Clone, Copy)]
struct Marks {
    digits: u128,
    /// Digits of Base64, in either of its alphabets.
    base64: u128,
    slashes: u128,
    /// Opening ones.
    brackets: u128,
}

/// Lengths of texts whose bytes are marked. For shorter ones, a look at each byte costs less.
const MARKED: Range<usize> = 40..u128::BITS as usize + 1;
/// Digits of words from which on they can hold a phone number without a plus.
const MANY_DIGITS: u32 = 8;
/// Characters of the shortest address, `a@b.co`, in Base64.
const MIN_BASE64: usize = 8;
/// Bytes that are looked at at once.
const BLOCK: usize = 16;
/// Bytes whose marks are in one word.
const WORD: usize = u64::BITS as usize;

/// A byte that [`needs_a_look`].
const LOOK: u16 = 1;
/// The same in the signature of a browser, which always has brackets.
const LOOK_IN_BROWSER: u16 = 1 << 1;
/// Not a digit of Base64, in either of its alphabets.
const NOT_BASE64: u16 = 1 << 2;
/// The first byte of a control character beyond ASCII.
const CONTROL: u16 = 1 << 3;
const SLASH: u16 = 1 << 4;
const BRACKET: u16 = 1 << 5;
const PERCENT: u16 = 1 << 6;
/// A first of four digits of Base64: see [`may_be_base64`].
const FIRST: u16 = 1 << 7;
/// A digit; the highest bit, so that shifting the class gives the number to add.
const DIGIT: u16 = 1 << 15;

/// What each byte says about a text.
#[expect(clippy::cast_possible_truncation, reason = "an index below 256")]
const CLASSES: [u16; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < classes.len() {
        let byte = at as u8;
        let mut class = 0;
        if needs_a_look(byte) {
            class |= LOOK;
            if !matches!(byte, b'(' | b')' | b'*') {
                class |= LOOK_IN_BROWSER;
            }
        }
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')) {
            class |= NOT_BASE64;
        }
        if matches!(byte, b'I'..=b'Z' | b'a'..=b'f' | b'i' | b'o' | b'q' | b'u' | b'v' | b'7') {
            class |= FIRST;
        }
        match byte {
            0xc2 => class |= CONTROL,
            b'/' => class |= SLASH,
            b'(' => class |= BRACKET,
            b'%' => class |= PERCENT,
            b'0'..=b'9' => class |= DIGIT,
            _ => {}
        }
        classes[at] = class;
        at += 1;
    }
    classes
};

const fn class(byte: u8) -> u16 {
    CLASSES[byte as usize]
}

/// Whether a byte is not a digit of Base64, in either of its alphabets.
pub(super) const fn is_other(byte: u8) -> bool {
    class(byte) & NOT_BASE64 != 0
}

/// Whether a byte occurs in addresses, in phone numbers with a plus or brackets, or in what an encoding writes for their signs. All of
/// full-width forms begin with 0xef.
#[inline]
const fn needs_a_look(byte: u8) -> bool {
    // `%` and `&`; `(`, `)`, `*` and `+`; `[` and `\`; `{`, `|`, `}`, `~` and DEL.
    (byte == b'@')
        | (byte.wrapping_sub(b'%') < 2)
        | (byte.wrapping_sub(b'(') < 4)
        | (byte.wrapping_sub(b'[') < 2)
        | (byte.wrapping_sub(b'{') < 5)
        | (byte == 0xef)
}

/// Which bytes [need a look](needs_a_look) in a URL, where ampersands, percent signs and pluses are usual.
#[inline]
pub(crate) fn need_a_look_in_urls(bytes: Block) -> Hits {
    bytes.is(b'@')
        | bytes.is_in(b'(', b'*')
        | bytes.is_in(b'[', b'\\')
        | bytes.is_in(b'{', 0x7f)
        | bytes.is(0xef)
}

impl Scan {
    #[inline]
    pub(crate) fn of(text: &str) -> Self {
        if MARKED.contains(&text.len()) {
            Self::marked(text.as_bytes())
        } else {
            Self::unmarked(text.as_bytes())
        }
    }

    /// By the table of classes, byte by byte.
    #[inline]
    fn unmarked(bytes: &[u8]) -> Self {
        let (mut classes, mut digits) = (0, 0);
        for byte in bytes {
            let class = class(*byte);
            classes |= class;
            digits += u32::from(class >> DIGIT.trailing_zeros());
        }
        Self {
            classes,
            digits,
            marks: None,
        }
    }

    fn marked(bytes: &[u8]) -> Self {
        let mut word = Word::default();
        word.add(bytes, 0);
        let mut marks = word.marks();
        if bytes.len() > WORD {
            word.start_next();
            word.add(bytes, WORD);
            marks = marks.and(word.marks());
        }
        Self {
            classes: word.classes(),
            digits: 0,
            marks: Some(marks),
        }
    }

    /// Whether there may be an escape or a control character in it.
    #[inline]
    pub(crate) fn may_hide_a_control(&self) -> bool {
        // The other bytes of those, DEL and the backslash, need a look everywhere.
        self.classes & (CONTROL | LOOK_IN_BROWSER) != 0
    }

    /// Whether the text has a sign that needs a look.
    #[inline]
    pub(crate) fn needs_a_look(&self) -> bool {
        self.classes & LOOK != 0
    }

    /// Whether the text has nothing that needs a look.
    #[inline]
    pub(crate) fn is_usual(&self, text: &str, of: Use) -> bool {
        let look = match of {
            Use::Browser => LOOK_IN_BROWSER,
            _ => LOOK,
        };
        self.classes & look == 0 && self.has_usual_parts(text, of)
    }

    /// Whether a text has neither tokens, nor Base64, nor the digits of a phone number. Its signs have been looked at.
    #[inline]
    pub(crate) fn has_usual_parts(&self, text: &str, of: Use) -> bool {
        let bytes = text.as_bytes();
        match &self.marks {
            Some(marks) => self.has_usual_marked_parts(marks, bytes, of),
            // Nothing that short can be unusual.
            None if bytes.len() < MIN_BASE64 && of != Use::Browser => true,
            None => self.has_usual_parts_without_marks(bytes, of),
        }
    }

    #[inline(never)]
    fn has_usual_marked_parts(&self, marks: &Marks, bytes: &[u8], of: Use) -> bool {
        if self.classes & PERCENT != 0 {
            // The digits of an escape are not a part of what follows it, which marks do not tell.
            return Self::unmarked(bytes).has_usual_parts_without_marks(bytes, of);
        }
        !self.may_hold_phone(bytes, of)
            && !names::may_be_token(bytes)
            && (of != Use::Browser || !marks.may_hold_bracketed_sign(bytes))
            && marks.are_parts_usual(bytes)
    }

    #[inline]
    fn may_hold_phone(&self, bytes: &[u8], of: Use) -> bool {
        match of {
            Use::Words | Use::Url => self.has_many_digits(),
            Use::Id => numbers::is_grouped_as_in_north_america(bytes),
            Use::ItemId | Use::Browser => false,
        }
    }

    #[inline]
    pub(crate) fn has_many_digits(&self) -> bool {
        let marks = self.marks.as_ref();
        marks.map_or(self.digits, |marks| marks.digits.count_ones()) >= MANY_DIGITS
    }
}

/// The marks of at most [`WORD`] bytes, and what all bytes so far say.
#[derive(Default)]
struct Word {
    digits: u64,
    base64: u64,
    slashes: u64,
    brackets: u64,
    look: u8x16,
    round: u8x16,
    control: u8x16,
    percent: u8x16,
}

impl Word {
    /// Adds the bytes of a text from here on. The text is as long as one that is marked.
    #[inline]
    fn add(&mut self, text: &[u8], from: usize) {
        let text = text.get(..from + WORD).unwrap_or(text);
        let (blocks, rest) = text.get(from..).unwrap_or_default().as_chunks::<BLOCK>();
        for (place, block) in blocks.iter().enumerate() {
            self.add_block(u8x16::new(*block), place);
        }
        if !rest.is_empty() {
            self.add_block(u8x16::new(last_block(text, rest.len())), blocks.len());
        }
    }

    #[inline]
    fn add_block(&mut self, block: u8x16, place: usize) {
        let is = |byte: u8| block.simd_eq(u8x16::splat(byte));
        let percent = is(b'%');
        self.look |= is(b'@')
            | percent
            | is(b'&')
            | is(b'+')
            | are_in(block, b'[', b'\\')
            | are_in(block, b'{', 0x7f)
            | is(0xef);
        self.round |= are_in(block, b'(', b'*');
        self.control |= is(0xc2);
        self.percent |= percent;
        let digits = are_in(block, b'0', b'9');
        // A letter's other case differs in this bit only.
        let letters = are_in(block | u8x16::splat(0x20), b'a', b'z');
        let slashes = is(b'/');
        let base64 = letters | digits | slashes | is(b'+') | is(b'-') | is(b'_');
        let mark = |bytes: u8x16| u64::from(bytes.to_bitmask()) << (place * BLOCK);
        self.digits |= mark(digits);
        self.base64 |= mark(base64);
        self.slashes |= mark(slashes);
        self.brackets |= mark(is(b'('));
    }

    /// Begins the word behind this one.
    fn start_next(&mut self) {
        (self.digits, self.base64) = (0, 0);
        (self.slashes, self.brackets) = (0, 0);
    }

    fn marks(&self) -> Marks {
        Marks {
            digits: self.digits.into(),
            base64: self.base64.into(),
            slashes: self.slashes.into(),
            brackets: self.brackets.into(),
        }
    }

    fn classes(&self) -> u16 {
        let has = |bytes: u8x16, class: u16| if bytes.to_bitmask() == 0 { 0 } else { class };
        has(self.look, LOOK | LOOK_IN_BROWSER)
            | has(self.round, LOOK)
            | has(self.control, CONTROL)
            | has(self.percent, PERCENT)
    }
}

/// Which bytes of a block are in a range.
#[inline]
fn are_in(block: u8x16, first: u8, last: u8) -> u8x16 {
    let from_first = block - u8x16::splat(first);
    from_first
        .min(u8x16::splat(last - first))
        .simd_eq(from_first)
}

/// The last bytes of a text of at least [`BLOCK`], and zeros behind them.
#[inline]
fn last_block(text: &[u8], length: usize) -> [u8; BLOCK] {
    let missing = (BLOCK - length) * 8;
    let last = text
        .last_chunk()
        .map_or(0, |last| u128::from_le_bytes(*last));
    (last >> missing).to_le_bytes()
}

impl Marks {
    /// These marks, and behind those of a whole word the next ones.
    fn and(self, next: Self) -> Self {
        Self {
            digits: self.digits | next.digits << WORD,
            base64: self.base64 | next.base64 << WORD,
            slashes: self.slashes | next.slashes << WORD,
            brackets: self.brackets | next.brackets << WORD,
        }
    }

    #[inline]
    fn may_hold_bracketed_sign(&self, bytes: &[u8]) -> bool {
        let mut left = self.brackets;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            if bytes.get(at..at + 3).is_some_and(may_be_bracketed_sign) {
                return true;
            }
        }
        false
    }

    /// Whether no part of a text, and nothing behind a slash in it, begins as tokens do or can be Base64.
    #[inline]
    fn are_parts_usual(&self, bytes: &[u8]) -> bool {
        // A run of so many digits that begins here: of two, of four, of eight.
        let long = self.base64 & self.base64 >> 1;
        let long = long & long >> 2;
        let long = long & long >> 4;
        let starts = !(self.base64 << 1) | self.slashes << 1;
        let mut left = long & starts;
        while left != 0 {
            let start = left.trailing_zeros() as usize;
            left &= left - 1;
            if let Some([first, second, third, _, fifth]) = bytes.get(start..start + 5) {
                let may_be_base64 = class(*first) & class(*fifth) & FIRST != 0;
                let may_be_unusual =
                    may_be_base64 || names::may_begin_token(*first, *second, *third);
                if may_be_unusual && self.is_unusual_from(bytes, start) {
                    return false;
                }
            }
        }
        true
    }

    /// Whether the part or the step that begins here is unusual.
    #[inline(never)]
    fn is_unusual_from(&self, bytes: &[u8], start: usize) -> bool {
        let length = (!(self.base64 >> start)).trailing_zeros() as usize;
        let to_slash = (self.slashes >> start).trailing_zeros() as usize;
        let is_unusual = |length: usize| {
            let part = bytes.get(start..start + length).unwrap_or_default();
            may_be_base64(part) || names::may_be_token(part)
        };
        let is_behind_slash = start > 0 && self.slashes >> (start - 1) & 1 == 1;
        (!is_behind_slash && is_unusual(length))
            || (to_slash < length || is_behind_slash) && is_unusual(to_slash.min(length))
    }
}

impl Scan {
    /// The same as [`Self::has_usual_parts`] for texts of any length.
    #[inline(never)]
    fn has_usual_parts_without_marks(&self, bytes: &[u8], of: Use) -> bool {
        if self.may_hold_phone(bytes, of) || names::may_be_token(bytes) {
            return false;
        }
        if of == Use::Browser
            && self.classes & BRACKET != 0
            && bytes.windows(3).any(may_be_bracketed_sign)
        {
            return false;
        }
        if self.classes & (NOT_BASE64 | SLASH) == 0 {
            return !may_be_base64(bytes);
        }
        let mut start = 0;
        while let Some(part) = next_part(bytes, start) {
            if self.is_unusual_at(bytes, part.start, part.end) {
                return false;
            }
            start = part.end + 1;
        }
        true
    }

    /// Whether the part of a text in this range is unusual. The digits of an escape, behind its percent sign, are not a part of it.
    fn is_unusual_at(&self, text: &[u8], start: usize, end: usize) -> bool {
        const ESCAPE_DIGITS: usize = 2;
        let part = &text[start..end];
        let is_behind_percent = start.checked_sub(1).is_some_and(|at| text[at] == b'%');
        let behind = part.get(ESCAPE_DIGITS..).filter(|_| is_behind_percent);
        self.is_unusual(part) || behind.is_some_and(|part| self.is_unusual(part))
    }

    /// Whether a part of a text begins as tokens do, or can be Base64; also behind a slash, which is a digit of Base64.
    fn is_unusual(&self, part: &[u8]) -> bool {
        let is_step_unusual = |step: &[u8]| may_be_base64(step) || names::may_be_token(step);
        if part.len() < MIN_BASE64 {
            return false;
        }
        if is_step_unusual(part) {
            return true;
        }
        self.classes & SLASH != 0
            && part.contains(&b'/')
            && part.split(|byte| *byte == b'/').any(is_step_unusual)
    }
}

/// The next part of a text from here on that is long enough for Base64, and ends with the text or in front of another byte.
#[inline]
fn next_part(bytes: &[u8], mut start: usize) -> Option<Range<usize>> {
    // Looking backward from where the shortest part would end skips most bytes of shorter ones.
    let is_other = |byte: &u8| is_other(*byte);
    while let Some(shortest) = bytes.get(start..start + MIN_BASE64) {
        let Some(other) = shortest.iter().rposition(is_other) else {
            let behind = &bytes[start + MIN_BASE64..];
            let more = behind.iter().position(is_other);
            let length = MIN_BASE64 + more.unwrap_or(behind.len());
            return Some(start..start + length);
        };
        start += other + 1;
    }
    None
}

/// Whether three bytes begin what may be `(at)`, `(a)` or `(dot)`.
fn may_be_bracketed_sign(three: &[u8]) -> bool {
    match three {
        [b'(', first, second] => match first | 0x20 {
            b'a' => matches!(second | 0x20, b't' | b')'),
            b'd' => second | 0x20 == b'o',
            _ => false,
        },
        _ => false,
    }
}

/// Whether a text can be the Base64 of ASCII with full-width signs in it: the first of four characters holds the first six bits of a
/// byte, which are below 32 in ASCII and above 7 in what can be seen, and few others in the three bytes of such a sign.
#[inline]
pub(super) fn may_be_base64(bytes: &[u8]) -> bool {
    let is_first = |byte: &u8| class(*byte) & FIRST != 0;
    bytes.len() >= MIN_BASE64 && bytes.iter().step_by(4).all(is_first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::byte_search;
    use proptest::prelude::*;

    const USES: [Use; 5] = [Use::Words, Use::Id, Use::ItemId, Use::Browser, Use::Url];

    /// Texts rich in what the scan looks at: digits of Base64 that can begin a byte, tokens, escapes, brackets, full-width forms.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[IJQZabcfioquv7]{1,12}",
            3 => "[A-Za-z0-9+/_-]{1,20}",
            2 => "[0-9]{1,9}",
            3 => "[/ ._-]{1,2}",
            1 => "[ -~]{0,6}",
            1 => "(%[0-9A-F]{2}|&#64;|\\(at\\)|\\(dot\\)|\\(a\\)|＠|９|\u{85}|\u{7f}|é|@|\\+49)",
            1 => "(EAA|eyJ|Bearer |sk_live_|ghp_|xoxb-|AKIA|SG\\.|tel:|TEL:)[A-Za-z0-9._-]{0,40}",
            1 => "[0-9]{3}[-. ][0-9]{3}[-. ][0-9]{4}",
        ];
        prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn what_needs_a_look_in_urls_needs_one_elsewhere_and_is_not_usual_there() {
        for byte in 0..=u8::MAX {
            let is_found = byte_search::has([byte], need_a_look_in_urls);
            let expected = needs_a_look(byte) && !matches!(byte, b'&' | b'%' | b'+');
            assert_eq!(is_found, expected, "{byte}");
        }
    }

    fn check(text: &str) -> Result<(), TestCaseError> {
        let (scan, by_table) = (Scan::of(text), Scan::unmarked(text.as_bytes()));
        let known = LOOK | LOOK_IN_BROWSER | CONTROL | PERCENT;
        prop_assert_eq!(scan.classes & known, by_table.classes & known, "{}", text);
        prop_assert_eq!(
            scan.has_many_digits(),
            by_table.has_many_digits(),
            "{}",
            text
        );
        for of in USES {
            let expected = by_table.has_usual_parts_without_marks(text.as_bytes(), of);
            prop_assert_eq!(
                scan.has_usual_parts(text, of),
                expected,
                "{:?} {}",
                of,
                text
            );
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2048, ..ProptestConfig::default() })]

        #[test]
        fn marks_say_what_a_look_at_each_byte_says(text in texts(), place in any::<prop::sample::Index>()) {
            check(&text)?;
            // And cut anywhere, so that every length occurs.
            let cut = place.index(text.len() + 1);
            if let Some((before, behind)) = text.split_at_checked(cut) {
                check(before)?;
                check(behind)?;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn parts_are_those_of_a_split_that_are_long_enough(text in "([A-Za-z0-9+/_-]{0,12}[ .:%é(]{0,2}){0,8}") {
            let is_end = |byte: &u8| is_other(*byte);
            let parts = text.as_bytes().split(is_end);
            let expected: Vec<_> = parts.filter(|part| part.len() >= MIN_BASE64).collect();
            let (mut found, mut start) = (Vec::new(), 0);
            while let Some(part) = next_part(text.as_bytes(), start) {
                start = part.end + 1;
                found.push(&text.as_bytes()[part]);
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn one_sign_is_seen_at_any_place_of_any_length() {
        for length in (1..20).chain(60..70).chain(120..131) {
            for place in 0..length {
                for sign in [
                    b'@', b'%', b'(', b'*', b'[', b'~', 0x7f, b'/', b'7', b' ', b'_',
                ] {
                    let mut text = vec![b'x'; length];
                    text[place] = sign;
                    let text = String::from_utf8(text).expect("ASCII");
                    check(&text).expect("the same");
                }
            }
        }
    }
}
