//! One category of consent that must be granted, and how an event can name it.

use super::google::Signals;
use super::options::{ConsentCategory, ConsentOptions};
use crate::alike::alike;

/// A category that must be granted.
#[derive(Debug)]
pub(super) struct Needed {
    /// Its names, the canonical one first.
    pub(super) names: &'static [&'static str],
    /// The consent platform's codes for it.
    pub(super) codes: Vec<Box<str>>,
    pub(super) signals: Signals,
}

impl Needed {
    pub(super) fn new(category: ConsentCategory, options: &ConsentOptions) -> Self {
        let names = category.names();
        let codes = options.categories.iter();
        let codes = codes
            .filter(|(_, meaning)| meaning.names() == names)
            .map(|(code, _)| code.as_str().into());
        Self {
            names,
            codes: codes.collect(),
            signals: Signals::of(names[0]),
        }
    }

    /// The canonical name.
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Its name that is like this key.
    pub(super) fn name_like(&self, key: &str) -> Option<&'static str> {
        self.names.iter().copied().find(|name| alike(name, key))
    }

    /// Its code that is like this key.
    pub(super) fn code_like(&self, key: &str) -> Option<&str> {
        let mut codes = self.codes.iter().map(AsRef::as_ref);
        codes.find(|code| alike(code, key))
    }

    /// Whether an entry of a list of codes means it.
    pub(super) fn is_meant_by(&self, entry: &str) -> bool {
        self.name_like(entry).is_some() || self.code_like(entry).is_some()
    }
}
