//! Phone numbers in a text, recognized by their plus, their grouping, or the word in front of them.
//!
//! Digits alone are never one: ids, codes of products and times consist of them. Invariant: what counts as a phone number is possible
//! in the numbering plan of a country.

use super::Use;
use crate::identity;

/// Most digits of a number, with what is dialed before it.
const MAX_DIGITS: usize = 20;
/// Most groups of digits of a number.
const MAX_GROUPS: usize = 10;

/// Words in front of a phone number.
const LABELS: [&str; 14] = [
    "tel",
    "phone",
    "telephone",
    "telefon",
    "mobile",
    "mobil",
    "handy",
    "cell",
    "call",
    "fax",
    "whatsapp",
    "sms",
    "teléfono",
    "telefono",
];

/// Whether a text is as long and grouped as a number of North America: `650-555-1212`, `650.555.1212`, `1-650-555-1212`.
#[inline]
pub(super) fn is_grouped_as_in_north_america(text: &[u8]) -> bool {
    let is_mark = |b: u8| matches!(b, b'-' | b'.' | b' ');
    match text {
        [_, _, _, first, _, _, _, second, _, _, _, _] => is_mark(*first) && is_mark(*second),
        [b'1', zeroth, _, _, _, first, _, _, _, second, _, _, _, _] => {
            is_mark(*zeroth) && is_mark(*first) && is_mark(*second)
        }
        _ => false,
    }
}

/// Whether a text contains a phone number.
pub(super) fn holds_phone(text: &str, of: Use) -> bool {
    let mut from = 0;
    while let Some(start) =
        text[from..].find(|c: char| c.is_ascii_digit() || matches!(c, '+' | '('))
    {
        let start = from + start;
        let (run, len) = Run::read(&text[start..]);
        let before = text[..start].chars().next_back();
        let is_word = text[start + len..].starts_with(char::is_alphanumeric);
        if run.count > 0
            && !is_word
            && run.is_phone(&text[..start], before, &text[start..start + len], of)
        {
            return true;
        }
        from = start + len.max(1);
    }
    false
}

/// Digits with the marks between them.
struct Run {
    plus: bool,
    brackets: bool,
    digits: [u8; MAX_DIGITS],
    /// More than fit into `digits` where there are more.
    count: usize,
    groups: [usize; MAX_GROUPS],
    /// More than fit into `groups` where there are more.
    group_count: usize,
    /// The first mark, and whether all further ones are spaces, dots or hyphens of one kind.
    first_mark: Option<char>,
    other_mark: Option<char>,
    is_even: bool,
}

impl Run {
    /// The digits at the start of a text, and how much of the text they and the marks between them are.
    fn read(text: &str) -> (Self, usize) {
        let mut run = Self {
            plus: text.starts_with('+'),
            brackets: false,
            digits: [0; MAX_DIGITS],
            count: 0,
            groups: [0; MAX_GROUPS],
            group_count: 0,
            first_mark: None,
            other_mark: None,
            is_even: true,
        };
        let (mut end, mut marks) = (0, 0);
        for (at, c) in text.char_indices() {
            if c.is_ascii_digit() {
                run.push(c, marks > 0 || run.count == 0);
                (end, marks) = (at + 1, 0);
            } else if at == 0 && matches!(c, '+' | '(') {
                run.brackets |= c == '(';
            } else if matches!(
                c,
                ' ' | '\u{a0}' | '\u{202f}' | '-' | '‑' | '–' | '.' | '/' | '(' | ')'
            ) && marks < 3
            {
                run.brackets |= c == '(';
                run.mark(c);
                marks += 1;
            } else {
                break;
            }
        }
        (run, end)
    }

    fn push(&mut self, digit: char, begins_group: bool) {
        if let (Some(place), Ok(byte)) = (self.digits.get_mut(self.count), u8::try_from(digit)) {
            *place = byte;
        }
        self.count += 1;
        self.group_count += usize::from(begins_group);
        if let Some(group) = self.groups.get_mut(self.group_count.wrapping_sub(1)) {
            *group += 1;
        }
    }

    fn mark(&mut self, mark: char) {
        if matches!(mark, '(' | ')') || self.count == 0 {
            return;
        }
        if self.first_mark.is_none() {
            self.first_mark = Some(mark);
        } else {
            self.is_even &= *self.other_mark.get_or_insert(mark) == mark;
        }
    }

    fn is_phone(&self, text_before: &str, before: Option<char>, written: &str, of: Use) -> bool {
        let (Some(digits), true) = (
            self.digits.get(..self.count),
            self.group_count <= MAX_GROUPS,
        ) else {
            // More digits than any number has; but a plus and the digits behind it may be one.
            return self.plus && self.first_groups_are_one(before);
        };
        let Ok(digits) = std::str::from_utf8(digits) else {
            return false;
        };
        if self.plus {
            return self.first_groups_are_one(before) || is_international(written, before);
        }
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') || of == Use::Browser {
            return false;
        }
        if is_labeled(text_before) && (7..=15).contains(&digits.len()) {
            return true;
        }
        if self.group_count < 2 && !self.brackets {
            return false;
        }
        self.is_north_american(digits, of)
            || (self.group_count >= 2
                && matches!(of, Use::Words | Use::Url)
                && (is_dialed_abroad(digits) || self.is_dialed_at_home(digits)))
    }

    /// Whether the first groups behind a plus are a number, whatever digits follow them.
    fn first_groups_are_one(&self, before: Option<char>) -> bool {
        let groups = &self.groups[..self.group_count.min(MAX_GROUPS)];
        let ends = groups.iter().scan(0, |end, len| {
            *end += len;
            Some(*end)
        });
        let mut ends = ends.filter_map(|end| std::str::from_utf8(self.digits.get(..end)?).ok());
        ends.any(|digits| is_international(&format!("+{digits}"), before))
    }

    /// `(650) 555-1212`, and without brackets `650-555-1212`, `1 650 555 1212`.
    fn is_north_american(&self, digits: &str, of: Use) -> bool {
        let national = match (&self.groups[..self.group_count], digits) {
            ([3, 3, 4], digits) => digits,
            ([3, 7], digits) if self.brackets => digits,
            ([1, 3, 3, 4], digits) => digits.strip_prefix('1').unwrap_or_default(),
            _ => return false,
        };
        (self.brackets || of != Use::ItemId) && identity::is_phone_of("us", national)
    }

    /// `0151 12345678`, `0151/123 456 78`, `06 12 34 56 78`, `(020) 7946 0018`: a zero, an area code, and groups with a space or a slash
    /// behind it. Dates and codes of products have other marks, or groups of one digit.
    fn is_dialed_at_home(&self, digits: &str) -> bool {
        /// Countries of many people that dial a zero.
        const COUNTRIES: [&str; 15] = [
            "de", "gb", "fr", "at", "ch", "nl", "be", "it", "se", "au", "in", "jp", "kr", "tr",
            "za",
        ];
        let groups = &self.groups[..self.group_count];
        let is_area =
            (2..=5).contains(&groups[0]) && digits.starts_with('0') && !digits.starts_with("00");
        let is_mark = self.brackets
            || matches!(self.first_mark, Some(' ' | '\u{a0}' | '\u{202f}'))
            || (self.first_mark == Some('/') && groups[0] >= 3 && self.other_mark != Some('/'));
        is_area
            && is_mark
            && self.is_even
            && (10..=12).contains(&digits.len())
            && groups.iter().all(|len| *len >= 2)
            && COUNTRIES
                .iter()
                .any(|country| identity::is_phone_of(country, digits))
    }
}

/// Whether a text that begins with a plus is a phone number. In front of the plus there is no digit: `1+4915112345678` is a sum.
fn is_international(text: &str, before: Option<char>) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_sum = before.is_some_and(|c| c.is_ascii_digit());
    digits >= 8 && !is_sum && identity::is_international_phone(text)
}

/// `0049 151 12345678`.
fn is_dialed_abroad(digits: &str) -> bool {
    let number = digits.strip_prefix("00");
    number.is_some_and(|number| number.len() >= 9 && is_international(&format!("+{number}"), None))
}

/// Whether the word in front of a number says that it is one to call.
fn is_labeled(before: &str) -> bool {
    let word = before.trim_end_matches([' ', ':', '.', '#', '=', '-', '/']);
    before.len() - word.len() <= 3
        && before.len() > word.len()
        && LABELS.iter().any(|label| {
            let start = word.len().checked_sub(label.len());
            start
                .and_then(|start| Some((word.get(..start)?, word.get(start..)?)))
                .is_some_and(|(rest, end)| {
                    end.eq_ignore_ascii_case(label) && !rest.ends_with(char::is_alphanumeric)
                })
        })
}
