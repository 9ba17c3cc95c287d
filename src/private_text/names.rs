//! Names of parameters and keys that say what their values are, and how tokens begin. The lists are data:
//! `schema/private_names.json`.
//!
//! Invariant: a name costs no memory, and a name that is longer than every known one is unknown.

use super::Private;
use crate::omitted::Omitted;
use serde::Deserialize;
use std::sync::LazyLock;

/// What a key of an event, or the name of a parameter, says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// It is about a person.
    Person,
    /// A number there is a phone number.
    Phone,
    /// It opens a door.
    Secret,
}

impl Key {
    /// Why a text is omitted that is a value of such a key; `None` where the key does not speak of it.
    pub(crate) fn why(self, text: &str) -> Option<Omitted> {
        /// Digits of the shortest and the longest phone number, with what is dialed before it.
        const DIGITS: std::ops::RangeInclusive<usize> = 6..=20;
        const HASH_LEN: usize = 64;
        match self {
            Self::Person => {
                let is_hash = text.len() == HASH_LEN && text.bytes().all(|b| b.is_ascii_hexdigit());
                (!is_hash).then_some(Omitted::PersonsKey)
            }
            Self::Phone => {
                let digits = text.chars().filter(|c| c.is_numeric()).count();
                let is_number = DIGITS.contains(&digits) && !text.contains(char::is_alphabetic);
                is_number.then(|| Private::Phone.why())
            }
            Self::Secret => Some(Private::Token.why()),
        }
    }
}

/// Longest name that is compared, in bytes without punctuation.
const MAX_NAME_BYTES: usize = 40;

const IN_URLS: u8 = 1;
const PERSON: u8 = 2;
const PHONE: u8 = 4;
const SECRET: u8 = 8;
/// Behind a prefix only.
const OF_PERSON: u8 = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    #[expect(dead_code, reason = "for the reader of the file")]
    about: String,
    person: Vec<Box<str>>,
    phone: Vec<Box<str>>,
    secret: Vec<Box<str>>,
    of_person: Vec<Box<str>>,
    in_urls: Vec<Box<str>>,
    not_in_urls: Vec<Box<str>>,
    prefixes: Vec<Box<str>>,
    tokens: Vec<(Box<str>, usize)>,
}

#[derive(Debug)]
struct Names {
    /// Sorted, each with what it says.
    known: Vec<(Box<str>, u8)>,
    prefixes: Vec<Box<str>>,
    tokens: Vec<(Box<str>, usize)>,
    /// For each length of a known name, a bit for the first byte of each.
    first_of_known: [u64; MAX_NAME_BYTES + 1],
    /// For each byte that a token begins with, a bit for the byte behind it, and one for the third byte.
    heads_of_tokens: [(u32, u32); 128],
    /// The same of the prefixes.
    first_of_prefixes: u128,
}

#[expect(
    clippy::expect_used,
    reason = "a shipped file, which a test reads as well"
)]
static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let data: Data = serde_json::from_str(include_str!("../../schema/private_names.json"))
        .expect("schema/private_names.json is good");
    Names::from(data)
});

impl From<Data> for Names {
    fn from(data: Data) -> Self {
        let groups = [
            (data.person, PERSON | IN_URLS),
            (data.phone, PHONE | IN_URLS),
            (data.secret, SECRET | IN_URLS),
            (data.of_person, OF_PERSON | IN_URLS),
            (data.in_urls, IN_URLS),
        ];
        let mut names: Vec<(Box<str>, u8)> = groups
            .into_iter()
            .flat_map(|(names, says)| names.into_iter().map(move |name| (name, says)))
            .collect();
        for (name, says) in &mut names {
            if data.not_in_urls.contains(name) {
                *says &= !IN_URLS;
            }
        }
        names.sort();
        let bit = |text: &str| {
            text.bytes()
                .next()
                .map_or(0, |byte| 1_u128 << (byte & 0x7f))
        };
        let mut first_of_known = [0; MAX_NAME_BYTES + 1];
        for (name, _) in &names {
            if let (Some(bits), Some(first)) =
                (first_of_known.get_mut(name.len()), name.bytes().next())
            {
                *bits |= bit_of_first(first);
            }
        }
        let mut heads_of_tokens = [(0, 0); 128];
        for (token, _) in &data.tokens {
            if let [first, second, third, ..] = token.as_bytes() {
                let head = &mut heads_of_tokens[usize::from(first & 0x7f)];
                head.0 |= bit_in_head(*second);
                head.1 |= bit_in_head(*third);
            }
        }
        let first_of_prefixes = data
            .prefixes
            .iter()
            .fold(0, |bits, prefix| bits | bit(prefix));
        Self {
            known: names,
            prefixes: data.prefixes,
            tokens: data.tokens,
            first_of_known,
            heads_of_tokens,
            first_of_prefixes,
        }
    }
}

impl Names {
    /// What a name without punctuation says, in bits.
    fn says(&self, name: &str) -> u8 {
        let known = |name: &str| {
            // Most names have another length, or begin otherwise, than all that are known.
            let bits = self.first_of_known.get(name.len()).copied().unwrap_or(0);
            let first = name.bytes().next().unwrap_or_default();
            if bits & bit_of_first(first) == 0 {
                return 0;
            }
            let place = self
                .known
                .binary_search_by(|(known, _)| (**known).cmp(name));
            place.map_or(0, |place| self.known[place].1)
        };
        let behind_prefix = || {
            let first = name.bytes().next().unwrap_or_default();
            if self.first_of_prefixes & (1 << (first & 0x7f)) == 0 {
                return 0;
            }
            let mut prefixes = self.prefixes.iter();
            let bare = prefixes.find_map(|prefix| {
                let bare = name.strip_prefix(&**prefix)?;
                Some(known(bare)).filter(|says| says & !IN_URLS != 0)
            });
            let says = bare.unwrap_or(0);
            if says & OF_PERSON == 0 {
                says
            } else {
                says | PERSON | IN_URLS
            }
        };
        match known(name) {
            0 => behind_prefix(),
            OF_PERSON => 0,
            says => says,
        }
    }
}

/// The letters and digits of a name in lower case, in `memory`; `None` if it has none, or too many.
fn comparable<'m>(name: &str, memory: &'m mut [u8; MAX_NAME_BYTES]) -> Option<&'m str> {
    let mut len = 0;
    for byte in name.bytes().filter(u8::is_ascii_alphanumeric) {
        *memory.get_mut(len)? = byte.to_ascii_lowercase();
        len += 1;
    }
    let name = std::str::from_utf8(&memory[..len]).ok()?;
    (!name.is_empty()).then_some(name)
}

/// Whether a parameter of this name in a URL holds personal data or a secret: `e-mail`, `customer[email]`, `user_phone`. In a URL that
/// was printed for a web page, `amp;` is in front of it. The name has no encoding.
pub(crate) fn is_personal_in_url(name: &str) -> bool {
    let name = name.strip_prefix("amp;").unwrap_or(name);
    let mut memory = [0; MAX_NAME_BYTES];
    let mut words = name.split(['[', ']', '.', '{', '}', ':', '/']);
    words.any(|word| {
        let name = comparable(word, &mut memory);
        name.is_some_and(|name| NAMES.says(name) & IN_URLS != 0)
    })
}

/// What the key of a value, or the name of a parameter, says about the value.
pub(crate) fn key_of(key: &str) -> Option<Key> {
    let mut memory = [0; MAX_NAME_BYTES];
    match NAMES.says(comparable(key, &mut memory)?) {
        says if says & SECRET != 0 => Some(Key::Secret),
        says if says & PERSON != 0 => Some(Key::Person),
        says if says & PHONE != 0 => Some(Key::Phone),
        _ => None,
    }
}

/// The bit of the first byte of a name. Letters differ in it.
const fn bit_of_first(byte: u8) -> u64 {
    1 << (byte & 0x3f)
}

/// The bit of the second or third byte of a token. Letters of one case differ in it.
const fn bit_in_head(byte: u8) -> u32 {
    1 << (byte & 0x1f)
}

/// Bytes of the shortest phone number behind `tel:`; tokens are longer.
const MIN_TOKEN_BYTES: usize = 11;

/// Whether a text that begins with these three bytes may begin as tokens do.
#[inline]
pub(super) fn may_begin_token(first: u8, second: u8, third: u8) -> bool {
    let head = NAMES.heads_of_tokens.get(usize::from(first));
    head.is_some_and(|(seconds, thirds)| {
        seconds & bit_in_head(second) != 0 && thirds & bit_in_head(third) != 0
    })
}

/// Whether a text begins as tokens do, or names a phone number.
#[inline]
pub(super) fn may_be_token(text: &[u8]) -> bool {
    let [first, second, third, fourth, ..] = text else {
        return false;
    };
    if text.len() < MIN_TOKEN_BYTES {
        return false;
    }
    (may_begin_token(*first, *second, *third) && begins_as_token(text))
        || (*fourth == b':' && text[..4].eq_ignore_ascii_case(b"tel:"))
}

#[inline(never)]
fn begins_as_token(text: &[u8]) -> bool {
    let mut tokens = NAMES.tokens.iter();
    tokens.any(|(token, min)| text.len() >= *min && text.starts_with(token.as_bytes()))
}

/// Whether a text, or one behind a space, is a token.
pub(super) fn is_token(text: &str) -> bool {
    let is_of_token = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~' | b'+' | b'/' | b'=')
    };
    let mut tokens = NAMES.tokens.iter();
    tokens.any(|(token, min)| {
        let mut places = text.match_indices(&**token);
        places.any(|(at, token)| {
            let is_start = text[..at]
                .bytes()
                .next_back()
                .is_none_or(|b| !b.is_ascii_alphanumeric());
            let rest = &text[at + token.len()..];
            let len = rest.bytes().take_while(|b| is_of_token(*b)).count();
            is_start && token.len() + len >= *min
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_comparable_and_listed_once() {
        let mut memory = [0; MAX_NAME_BYTES];
        for pair in NAMES.known.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{}", pair[1].0);
        }
        let names = NAMES.known.iter().map(|(name, _)| name);
        for name in names.chain(&NAMES.prefixes) {
            assert_eq!(comparable(name, &mut memory), Some(&**name));
        }
        for (token, min) in &NAMES.tokens {
            assert!(token.len() < *min && *min >= MIN_TOKEN_BYTES, "{token}");
            let text = format!("{token}{}", "x".repeat(*min));
            assert!(may_be_token(text.as_bytes()), "{token}");
        }
        assert!(may_be_token(b"Tel:0151123") && !may_be_token(b"tel:015112"));
    }

    #[test]
    fn a_key_says_what_its_value_is() {
        for (key, expected) in [
            ("customer_name", Some(Key::Person)),
            ("First-Name", Some(Key::Person)),
            ("billingPhone", Some(Key::Phone)),
            ("api_key", Some(Key::Secret)),
            ("recipient.city", Some(Key::Person)),
            ("name", None),
            ("city", None),
            ("code", None),
            ("key", None),
            ("userid", None),
            ("state", None),
            ("customer_code", None),
            ("phone_case", None),
            ("mailing_list", None),
            ("", None),
            ("ä", None),
            (&"x".repeat(100), None),
        ] {
            assert_eq!(key_of(key), expected, "{key}");
        }
    }

    #[test]
    fn a_name_at_a_phones_key_is_a_number_only_if_it_looks_like_one() {
        assert_eq!(Key::Phone.why("015112345678"), Some(Omitted::APhone));
        assert_eq!(Key::Phone.why("650 555 1212"), Some(Omitted::APhone));
        for other in ["android", "yes", "12", "Galaxy S24", ""] {
            assert_eq!(Key::Phone.why(other), None, "{other}");
        }
        assert_eq!(Key::Person.why("Mary"), Some(Omitted::PersonsKey));
        assert_eq!(Key::Person.why(&"0a".repeat(32)), None);
    }
}
