//! Reads one place of consent in every known shape.
//!
//! In: the JSON of a place, and a category. Out: a [`Reading`]: the strongest statement about the category. Invariant: a refusal
//! in any shape is found, whatever else the place says; what is written twice is read twice.

use super::google;
use super::needed::Needed;
use super::said::Said;
use crate::alike::alike;
use crate::answer::{Answer, Words};
use crate::json_text;
use std::borrow::Cow;

/// The key of a list of granted codes; an empty one grants nothing.
pub(super) const GRANTED: &str = "granted";
/// Keys of RudderStack's list of granted codes, which is empty until the visitor has chosen.
pub(super) const GRANTED_IDS: [&str; 2] = ["allowedConsentIds", "allowed_consent_ids"];
/// The key under which OneTrust's script publishes the granted codes, as text, and its older spelling.
pub(super) const GROUPS: [&str; 2] = ["OnetrustActiveGroups", "OptanonActiveGroups"];
/// Keys of lists of denied codes.
pub(super) const DENIED: [&str; 3] = ["deniedConsentIds", "denied_consent_ids", "denied"];
/// The view in the fixed vocabulary.
pub(super) const CANONICAL: &str = "canonical";
/// The consent platform's codes, from which the canonical view is merged: one grant of several codes is enough.
pub(super) const CATEGORIES: &str = "categories";
/// The ids of Segment's categories: all of several ids must be granted.
pub(super) const PREFERENCES: &str = "categoryPreferences";

/// Names that no option has to explain in a list of codes.
const NAMES: [&str; 6] = [
    "essential",
    "functional",
    "analytics",
    "marketing",
    "advertising",
    "personalization",
];

/// What one place says about one category.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The strongest statement.
    pub(super) said: Said,
    /// The strongest of the statements that are consent wherever they are: those under keys of Google's or OneTrust's own.
    pub(super) anywhere: Said,
    /// Where the refusal is, from the place on: `.canonical.marketing`.
    pub(super) refused_at: String,
    /// Where a list of grants is that lacks the category.
    lacks_at: Option<String>,
    /// Whether such a list is the refusal.
    pub(super) is_lacking: bool,
}

/// Reads what a place says about one category.
#[derive(Debug)]
pub(super) struct Reader<'r> {
    needed: &'r Needed,
    words: &'r Words,
    /// Values that are places of their own, with words of their own.
    excluded: &'r [&'r str],
    reading: Reading,
}

impl<'r> Reader<'r> {
    pub(super) fn new(needed: &'r Needed, words: &'r Words, excluded: &'r [&'r str]) -> Self {
        Self {
            needed,
            words,
            excluded,
            reading: Reading::default(),
        }
    }

    /// What was read. A list of grants that lacks the category is a refusal where such lists are known for consent.
    pub(super) fn reading(mut self, lists_count: bool) -> Reading {
        let lacks_at = self.reading.lacks_at.take().filter(|_| lists_count);
        if let Some(at) = lacks_at.filter(|_| self.reading.said != Said::Refused) {
            self.reading.is_lacking = true;
            self.add(Said::Refused, &at);
        }
        self.reading
    }

    /// Reads the value of a place. `is_about_it` where a lone grant can mean the category only.
    pub(super) fn value(&mut self, raw: &str, is_about_it: bool) {
        match (self.words.read(raw), raw.as_bytes().first()) {
            (Some(Answer::No), _) => self.add(Said::Refused, ""),
            (Some(Answer::Yes), _) if is_about_it => self.add(Said::Granted, ""),
            (None, Some(b'{')) => self.object(raw),
            (None, Some(b'[')) => self.granted(raw, ""),
            (None, Some(b'"')) => self.text(raw, ""),
            _ => {}
        }
    }

    /// Reads the value of a key of Google's. Answers whether it is one.
    pub(super) fn signal(&mut self, key: &str, raw: &str) -> bool {
        if raw.starts_with('{') {
            return false;
        }
        let read = self.needed.signals.read(key, raw, self.words);
        if let Some((said, key)) = read {
            self.reading.anywhere = self.reading.anywhere.max(said);
            self.add(said, &format!(".{key}"));
        }
        read.is_some()
    }

    /// Reads the value of a key of OneTrust's.
    pub(super) fn groups(&mut self, raw: &str, at: &str) {
        self.granted(raw, at);
        if codes(raw).iter().any(|code| self.needed.is_meant_by(code)) {
            self.reading.anywhere = self.reading.anywhere.max(Said::Granted);
        }
    }

    fn add(&mut self, said: Said, at: &str) {
        if said == Said::Refused && self.reading.said != Said::Refused {
            at.clone_into(&mut self.reading.refused_at);
        }
        self.reading.said = self.reading.said.max(said);
    }

    /// Adds that a list of grants lacks the category.
    fn lack(&mut self, at: &str) {
        self.reading.lacks_at.get_or_insert_with(|| at.to_owned());
    }

    /// The entries of an object, without those that are places of their own.
    fn entries<'a>(&self, raw: &'a str) -> Vec<(String, &'a str)> {
        let mut entries = json_text::entries(raw);
        let is_excluded = |value: &str| self.excluded.iter().any(|own| std::ptr::eq(*own, value));
        entries.retain(|(_, value)| !is_excluded(value));
        entries
    }

    fn object(&mut self, raw: &str) {
        for (key, value) in self.entries(raw) {
            let said = Said::of(value, self.words);
            let code = self.needed.code_like(&key);
            if let Some(name) = self.needed.name_like(&key) {
                self.add(said, &format!(".{name}"));
            } else if let Some(code) = code.filter(|_| said != Said::Unreadable) {
                self.add(said, &format!(".{code}"));
            } else if !self.signal(&key, value) && !self.member(&key, value) && code.is_some() {
                self.add(said, "");
            }
        }
    }

    /// Reads a member of an object of consent that contains more than one statement. Answers whether it is one.
    fn member(&mut self, key: &str, value: &str) -> bool {
        let views = [CANONICAL, CATEGORIES, PREFERENCES, GRANTED];
        let keys = views.iter().chain(&GRANTED_IDS).chain(&GROUPS);
        let mut keys = keys.chain(&DENIED).chain(&google::CONTAINERS);
        let Some(key) = keys.find(|known| alike(known, key)) else {
            return false;
        };
        let at = format!(".{key}");
        match *key {
            key if DENIED.contains(&key) => self.denied(value, &at),
            _ if self.words.read(value) == Some(Answer::No) => self.add(Said::Refused, &at),
            CANONICAL => self.by_name(value),
            CATEGORIES => self.categories(value),
            PREFERENCES => self.by_code(value),
            GRANTED if value.starts_with('[') && json_text::is_empty(value) => self.lack(&at),
            key if google::CONTAINERS.contains(&key) => self.signals(key, value),
            key if GROUPS.contains(&key) => self.groups(value, &at),
            _ => self.granted(value, &at),
        }
        true
    }

    /// Google's keys in an object of their own.
    fn signals(&mut self, container: &str, raw: &str) {
        for (key, value) in self.entries(raw) {
            if let Some((said, key)) = self.needed.signals.read(&key, value, self.words) {
                self.reading.anywhere = self.reading.anywhere.max(said);
                self.add(said, &format!(".{container}.{key}"));
            }
        }
    }

    fn by_name(&mut self, raw: &str) {
        for (key, value) in self.entries(raw) {
            if let Some(name) = self.needed.name_like(&key) {
                let said = Said::of(value, self.words);
                self.add(said, &format!(".{CANONICAL}.{name}"));
            }
        }
    }

    fn by_code(&mut self, raw: &str) {
        for (key, value) in self.entries(raw) {
            if let Some(code) = self.needed.code_like(&key) {
                let said = Said::of(value, self.words);
                self.add(said, &format!(".{PREFERENCES}.{code}"));
            }
        }
    }

    /// Codes, as an object or as a list; one that is granted is enough.
    fn categories(&mut self, raw: &str) {
        if !raw.starts_with('{') {
            return self.granted(raw, ".categories");
        }
        let entries = self.entries(raw);
        let said_of = |code: &str| {
            let of_code = entries.iter().filter(|(key, _)| alike(key, code));
            let said = of_code.map(|(_, value)| Said::of(value, self.words));
            said.max().unwrap_or_default()
        };
        let codes = self.needed.codes.iter();
        let said: Vec<_> = codes.map(|code| (said_of(code), code)).collect();
        let is_granted = |(said, _): &&(Said, _)| *said == Said::Granted;
        let strongest = said.iter().max_by_key(|(said, _)| *said);
        if let Some((said, code)) = said.iter().find(is_granted).or(strongest) {
            self.add(*said, &format!(".{CATEGORIES}.{code}"));
        }
    }

    /// A text that is a short form of Google's, or a list of codes.
    fn text(&mut self, raw: &str, at: &str) {
        let said = self.needed.signals.read_short(raw);
        if matches!(said, Said::Granted | Said::Refused) {
            self.reading.anywhere = self.reading.anywhere.max(said);
            self.add(said, at);
        } else {
            self.granted(raw, at);
        }
    }

    /// A list of granted codes. One that lacks the category is a refusal if it is understood: if an option explains a code of the
    /// category, or the list has names that need no explanation.
    fn granted(&mut self, raw: &str, at: &str) {
        let list = codes(raw);
        let is_known = |entry: &Cow<'_, str>| NAMES.iter().any(|name| alike(name, entry));
        // Text without a comma can be anything.
        let is_list = raw.starts_with('[') || raw.contains(',');
        let is_understood = !self.needed.codes.is_empty() || list.iter().any(is_known);
        if list.iter().any(|entry| self.needed.is_meant_by(entry)) {
            self.add(Said::Granted, at);
        } else if is_list && !list.is_empty() && is_understood {
            self.lack(at);
        }
    }

    /// A list of denied codes. What is no code in it could be any code.
    fn denied(&mut self, raw: &str, at: &str) {
        let list = codes(raw);
        let answer = self.words.read(raw);
        if list.iter().any(|code| self.needed.is_meant_by(code)) || answer == Some(Answer::Yes) {
            return self.add(Said::Refused, at);
        }
        let is_code = |raw: &str| json_text::text(raw).is_ok();
        let is_list = matches!(raw.as_bytes().first(), Some(b'[' | b'"'));
        let is_readable = is_list && json_text::elements(raw).all(is_code);
        if !is_readable && !json_text::is_empty(raw) && answer.is_none() {
            self.add(Said::Unreadable, at);
        }
    }
}

/// The codes of a list, or of a text in which commas separate them.
fn codes(raw: &str) -> Vec<Cow<'_, str>> {
    if raw.starts_with('[') {
        return json_text::elements(raw)
            .filter_map(|raw| json_text::text(raw).ok())
            .collect();
    }
    let text = Some(raw).filter(|raw| raw.starts_with('"'));
    let text = text.and_then(|raw| json_text::text(raw).ok());
    let text = text.unwrap_or_default();
    let codes = text.split(',').map(str::trim);
    let codes = codes.filter(|code| !code.is_empty());
    codes.map(|code| Cow::Owned(code.to_owned())).collect()
}
