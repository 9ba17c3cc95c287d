//! Words that senders write where they have no value: `undefined`, `N/A`, `(not set)`, an id of zeros, and hashes of such words.
//!
//! In: the text of a value, and what the value is for, because `NA` is a country and `Na` is a name. Out: whether it means nothing.
//! The words are data: `schema/placeholders.json`. Invariant: nothing here allocates for a value, and a value that is longer than
//! every word costs a comparison of lengths.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// What a value is for. Which words mean nothing depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Of a person, an event or an order. Zeros are no id.
    Id,
    FirstName,
    LastName,
    City,
    State,
    Country,
    Postcode,
    /// An e-mail address or a phone number.
    Contact,
    /// What follows the time in a cookie of Meta's, and the click id of a URL.
    Click,
    /// Any other text.
    Text,
}

impl Role {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 10] = [
        Self::Id,
        Self::FirstName,
        Self::LastName,
        Self::City,
        Self::State,
        Self::Country,
        Self::Postcode,
        Self::Contact,
        Self::Click,
        Self::Text,
    ];

    const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// Whether a value of zeros means nothing.
    const fn has_no_zero(self) -> bool {
        matches!(self, Self::Id | Self::Postcode | Self::Click)
    }

    /// Whether a hash of nothing means nothing. Elsewhere, hashes are read by `identity` or have no meaning.
    const fn can_be_a_hash(self) -> bool {
        matches!(self, Self::Id)
    }
}

/// Longest value that is looked at, in bytes: a word, and quotes and white space around it. A SHA-256 in hex has 64.
const MAX_BYTES: usize = 64;

/// Whether a text means nothing, whatever its case and whatever quotes and white space are around it.
#[inline]
pub(crate) fn is_placeholder(text: &str, role: Role) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    let words = &*WORDS;
    let Some(of_length) = words.by_length.get(bytes.len()) else {
        return false;
    };
    let (first, last) = (BITS[usize::from(*first)], BITS[usize::from(*last)]);
    if (first | last) & NOT_ALPHANUMERIC == 0 {
        let may_be = (of_length.first_bytes >> first) & (of_length.last_bytes >> last) & 1 == 1;
        return may_be && is_bare_placeholder(text, role);
    }
    is_dressed_placeholder(text, role)
}

#[inline(never)]
fn is_bare_placeholder(text: &str, role: Role) -> bool {
    is_word(text, role)
        || (role.has_no_zero() && is_zero(text))
        || (role.can_be_a_hash() && is_hash_of_nothing(text, role))
}

/// Whether a text is the MD5, SHA-1 or SHA-256, in hex, of nothing or of a word that means nothing.
pub(crate) fn is_hash_of_nothing(hex: &str, role: Role) -> bool {
    let hashes = &WORDS.hashes;
    let Some(prefix) = prefix(hex) else {
        return false;
    };
    let from = hashes.partition_point(|known| known.prefix < prefix);
    let candidates = hashes[from..].iter();
    candidates
        .take_while(|known| known.prefix == prefix)
        .any(|known| known.roles & role.bit() != 0 && known.hex.eq_ignore_ascii_case(hex))
}

/// Digits of an MD5, a SHA-1 and a SHA-256 in hex.
const HASH_DIGITS: [usize; 3] = [32, 40, 64];

fn is_word(text: &str, role: Role) -> bool {
    WORDS.by_length.get(text.len()).is_some_and(|of_length| {
        let mut words = of_length.words.iter();
        words.any(|word| word.roles & role.bit() != 0 && word.text.eq_ignore_ascii_case(text))
    })
}

/// Zeros, also as a UUID, in braces or with a decimal point.
fn is_zero(text: &str) -> bool {
    text.bytes()
        .all(|b| matches!(b, b'0' | b'-' | b'{' | b'}' | b'.'))
        && text.contains('0')
}

/// Whether a value that begins or ends so can be a word with something around it, or punctuation. Phone numbers begin with a plus.
fn may_be_dressed(text: &str) -> bool {
    let is_dress = |c: Option<char>| c.is_some_and(|c| !c.is_alphanumeric());
    (is_dress(text.chars().next()) && !text.starts_with('+')) || is_dress(text.chars().next_back())
}

/// Whether a text is a word with something around it, or punctuation.
#[cold]
fn is_dressed_placeholder(text: &str, role: Role) -> bool {
    if !may_be_dressed(text) {
        return false;
    }
    let is_wrapping = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '\'' | '"' | '`' | '\u{feff}' | '\u{200b}' | '«' | '»' | '\u{2018}'..='\u{201f}'
            )
    };
    let bare = text.trim_matches(is_wrapping);
    let is_punctuation = |c: char| {
        c.is_ascii_punctuation()
            || c.is_whitespace()
            || matches!(c, '\u{2010}'..='\u{2015}' | '…' | '·' | '•')
    };
    bare.chars().all(is_punctuation)
        || is_word(bare, role)
        || (role.has_no_zero() && is_zero(bare))
        || (role.can_be_a_hash() && is_hash_of_nothing(bare, role))
        || WORDS.marks.iter().any(|(open, close)| {
            let inside = bare.get(open.len()..bare.len().saturating_sub(close.len()));
            let has = |part: Option<&str>, mark: &str| {
                part.is_some_and(|part| part.eq_ignore_ascii_case(mark))
            };
            inside.is_some()
                && has(bare.get(..open.len()), open)
                && has(bare.get(bare.len() - close.len()..), close)
        })
}

/// For each byte the number of its bit in a mask of 64, which a letter has in both cases; [`NOT_ALPHANUMERIC`] is added to other
/// bytes than letters and digits of ASCII.
#[expect(clippy::cast_possible_truncation, reason = "an index below 256")]
const BITS: [u8; 256] = {
    let mut bits = [0; 256];
    let mut at = 0;
    while at < bits.len() {
        let bit = (at as u8 | 0x20) & 0x3f;
        let is_alphanumeric = (at as u8).is_ascii_alphanumeric();
        bits[at] = if is_alphanumeric {
            bit
        } else {
            bit | NOT_ALPHANUMERIC
        };
        at += 1;
    }
    bits
};

/// Marks other bytes than letters and digits in [`BITS`].
const NOT_ALPHANUMERIC: u8 = 0x40;

/// The bit of a byte in a mask.
const fn byte_bit(byte: u8) -> u64 {
    1 << (BITS[byte as usize] & !NOT_ALPHANUMERIC)
}

/// The first eight digits of a hash in lower case, for comparing.
fn prefix(hex: &str) -> Option<u64> {
    /// The bit that a lower-case letter has and its capital has not. Digits have it too.
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let first = hex.as_bytes().first_chunk()?;
    Some(u64::from_be_bytes(*first) | LOWER)
}

#[derive(Debug)]
struct Word {
    text: Box<str>,
    /// A bit for each [`Role`] for which it means nothing.
    roles: u16,
}

/// What means nothing and has one length.
#[derive(Debug, Default)]
struct OfLength {
    /// A bit for the first byte of each, and for the last one.
    first_bytes: u64,
    last_bytes: u64,
    words: Vec<Word>,
}

impl OfLength {
    fn add_ends(&mut self, first_bytes: u64, last_bytes: u64) {
        self.first_bytes |= first_bytes;
        self.last_bytes |= last_bytes;
    }
}

#[derive(Debug)]
struct Hash {
    prefix: u64,
    hex: Box<str>,
    roles: u16,
}

/// The data, ready for comparing.
#[derive(Debug)]
struct Words {
    /// By length in bytes, up to [`MAX_BYTES`].
    by_length: Vec<OfLength>,
    marks: Vec<(Box<str>, Box<str>)>,
    /// Sorted by prefix.
    hashes: Vec<Hash>,
}

/// `schema/placeholders.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    #[expect(dead_code, reason = "for the reader of the file")]
    about: String,
    words: Vec<String>,
    except: BTreeMap<Role, Vec<String>>,
    also: BTreeMap<Role, Vec<String>>,
    marks: Vec<(Box<str>, Box<str>)>,
    md5: Vec<Box<str>>,
    sha1: Vec<Box<str>>,
}

#[expect(
    clippy::expect_used,
    reason = "a shipped file, which a test reads as well"
)]
static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let data: Data = serde_json::from_str(include_str!("../schema/placeholders.json"))
        .expect("schema/placeholders.json is good");
    Words::from(data)
});

impl From<Data> for Words {
    fn from(data: Data) -> Self {
        let roles = roles_of(&data);
        let mut by_length: Vec<OfLength> = Vec::new();
        by_length.resize_with(MAX_BYTES + 1, OfLength::default);
        for (length, of_length) in by_length.iter_mut().enumerate() {
            of_length.add_ends(byte_bit(b'0'), byte_bit(b'0'));
            if HASH_DIGITS.contains(&length) {
                of_length.add_ends(u64::MAX, u64::MAX);
            }
        }
        for (text, roles) in &roles {
            if let (Some(of_length), [first, ..], [.., last]) = (
                by_length.get_mut(text.len()),
                text.as_bytes(),
                text.as_bytes(),
            ) {
                of_length.add_ends(byte_bit(*first), byte_bit(*last));
                let (text, roles) = (text.as_str().into(), *roles);
                of_length.words.push(Word { text, roles });
            }
        }
        Self {
            by_length,
            marks: data.marks,
            hashes: hashes(&roles, data.md5.into_iter().chain(data.sha1)),
        }
    }
}

/// The roles for which each word means nothing, as bits.
fn roles_of(data: &Data) -> HashMap<String, u16> {
    let words = data.words.iter().map(|word| (word.clone(), u16::MAX));
    let mut roles: HashMap<String, u16> = words.collect();
    for (role, words) in &data.except {
        for word in words {
            roles
                .entry(word.clone())
                .and_modify(|roles| *roles &= !role.bit());
        }
    }
    for (role, words) in &data.also {
        for word in words {
            *roles.entry(word.clone()).or_default() |= role.bit();
        }
    }
    roles
}

/// The hashes of nothing, of zero, and of every word as it is written in either case and by the usual rules for names.
fn hashes(roles: &HashMap<String, u16>, others: impl Iterator<Item = Box<str>>) -> Vec<Hash> {
    const NOTHING: [&str; 1] = [""];
    const ZEROS: [&str; 2] = ["0", "00000000-0000-0000-0000-000000000000"];
    /// As JavaScript writes them.
    const ALSO: [(&str, &str); 2] = [("NaN", "nan"), ("[object Object]", "object object")];
    let zero = Role::Id.bit() | Role::Postcode.bit() | Role::Click.bit();
    let of_names =
        Role::FirstName.bit() | Role::LastName.bit() | Role::City.bit() | Role::State.bit();
    let mut spellings: Vec<(String, u16)> = Vec::new();
    spellings.extend(NOTHING.map(|text| (text.to_owned(), u16::MAX)));
    spellings.extend(ZEROS.map(|text| (text.to_owned(), zero)));
    for (spelling, word) in ALSO {
        spellings.push((
            spelling.to_owned(),
            roles.get(word).copied().unwrap_or_default(),
        ));
    }
    for (word, roles_of_word) in roles {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        for spelling in [
            word.clone(),
            word.to_uppercase(),
            first.to_uppercase() + rest,
        ] {
            spellings.push((spelling, *roles_of_word));
        }
        let bare: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
        if bare.contains(char::is_alphabetic) && !roles.contains_key(&bare) {
            spellings.push((bare, roles_of_word & of_names));
        }
    }
    let sha256 = spellings.into_iter().map(|(text, roles)| {
        let hex: Box<str> = const_hex::encode(Sha256::digest(text)).into();
        (hex, roles)
    });
    let hashes = sha256.chain(others.map(|hex| (hex, u16::MAX)));
    let mut hashes: Vec<Hash> = hashes
        .filter_map(|(hex, roles)| {
            Some(Hash {
                prefix: prefix(&hex)?,
                hex,
                roles,
            })
        })
        .collect();
    hashes.sort_by_key(|hash| hash.prefix);
    hashes
}

#[cfg(test)]
mod tests;
