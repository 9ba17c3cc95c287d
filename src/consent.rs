//! May this event leave? Reads what the visitor agreed to; pure.
//!
//! Two shapes are in use: the canonical view (`context.consent.canonical.marketing`) and the older flat one
//! (`context.consent.marketing`, where `advertising` says the same). The canonical one counts first. The consent
//! platform's own codes (`context.consent.categories.C0004`) count where the configuration says what they mean.
//!
//! Invariant: only the JSON value `true` is a grant. Not `"true"`, not `1`.

use crate::extract::{Found, Paths, Slot};
use crate::mapping::value;
use crate::path::Path;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A purpose a visitor can agree to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConsentCategory {
    /// Needed for the service itself; always granted.
    Essential,
    /// Conveniences.
    Functional,
    /// Measurement of use.
    Analytics,
    /// Advertising, retargeting and conversion tracking.
    Marketing,
    /// The older name of `marketing`.
    Advertising,
    /// Content that follows the person.
    Personalization,
}

impl ConsentCategory {
    /// The names under which the flat shape holds it, in the order in which they count.
    fn flat_names(self) -> &'static [&'static str] {
        match self {
            Self::Essential => &["essential"],
            Self::Functional => &["functional"],
            Self::Analytics => &["analytics"],
            Self::Marketing | Self::Advertising => &["marketing", "advertising"],
            Self::Personalization => &["personalization"],
        }
    }
}

/// What happens to an event that says nothing about consent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenAbsent {
    /// It is filtered.
    #[default]
    Drop,
    /// It is sent: consent is asked for elsewhere.
    Allow,
}

/// How consent is read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConsentOptions {
    /// What happens to an event that says nothing about consent (default: `drop`). Example: `allow`.
    pub(crate) when_absent: WhenAbsent,
    /// What the consent platform's own codes mean, by code (default: none count). Example: `{ C0004: marketing }`.
    pub(crate) categories: BTreeMap<String, ConsentCategory>,
}

/// The rule, compiled.
#[derive(Debug)]
pub(crate) struct Consent {
    anything: Slot,
    when_absent: WhenAbsent,
    needed: Vec<Needed>,
}

/// Where one needed category may stand: the first of `named` that holds anything decides, else any of `codes`.
#[derive(Debug)]
struct Needed {
    named: Vec<Slot>,
    codes: Vec<Slot>,
}

impl Consent {
    /// Compiles the rule that all of `categories` must be granted.
    pub(crate) fn compile(
        categories: &[ConsentCategory],
        options: &ConsentOptions,
        paths: &mut Paths,
    ) -> Self {
        let mut slot = |keys: &[&str]| {
            let written = keys.iter().fold("context.consent".to_owned(), |path, key| {
                format!("{path}[\"{key}\"]")
            });
            Path::parse(&written).ok().map(|path| paths.slot(&path))
        };
        let needed = categories
            .iter()
            .filter(|category| **category != ConsentCategory::Essential)
            .map(|category| {
                let names = category.flat_names();
                let canonical = slot(&["canonical", names[0]]);
                let flat: Vec<_> = names.iter().filter_map(|name| slot(&[name])).collect();
                let codes = options
                    .categories
                    .iter()
                    .filter(|(_, meaning)| meaning.flat_names() == names)
                    .filter_map(|(code, _)| slot(&["categories", code]))
                    .collect();
                Needed {
                    named: canonical.into_iter().chain(flat).collect(),
                    codes,
                }
            })
            .collect();
        #[expect(clippy::expect_used, reason = "a constant path")]
        let anything = Path::parse("context.consent").expect("a good path");
        Self {
            anything: paths.slot(&anything),
            when_absent: options.when_absent,
            needed,
        }
    }

    /// Whether the event may be sent.
    pub(crate) fn granted(&self, found: &Found<'_>) -> bool {
        let given = |slot: &Slot| found.get(*slot).filter(|raw| *raw != "null");
        if given(&self.anything).is_none_or(value::is_empty) {
            return self.needed.is_empty() || self.when_absent == WhenAbsent::Allow;
        }
        self.needed
            .iter()
            .all(|needed| match needed.named.iter().find_map(given) {
                Some(decision) => decision == "true",
                None => needed
                    .codes
                    .iter()
                    .any(|slot| found.get(*slot) == Some("true")),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(categories: &[ConsentCategory], options: &ConsentOptions, consent: &str) -> bool {
        let mut paths = Paths::default();
        let rule = Consent::compile(categories, options, &mut paths);
        let text = format!(r#"{{"context":{{"consent":{consent}}}}}"#);
        rule.granted(&paths.read(&text).expect("JSON"))
    }

    #[test]
    fn only_a_grant_lets_an_event_leave() {
        let marketing = &[ConsentCategory::Marketing];
        let strict = ConsentOptions::default();
        for (consent, expected) in [
            (r#"{"canonical":{"marketing":true}}"#, true),
            (r#"{"canonical":{"marketing":false}}"#, false),
            (r#"{"canonical":{"marketing":"true"}}"#, false),
            (r#"{"canonical":{"marketing":1}}"#, false),
            (r#"{"canonical":{"analytics":true}}"#, false),
            (r#"{"marketing":true}"#, true),
            (r#"{"advertising":true}"#, true),
            (r#"{"marketing":false,"advertising":true}"#, false),
            (
                r#"{"canonical":{"marketing":false},"marketing":true}"#,
                false,
            ),
            (
                r#"{"canonical":{"marketing":true},"marketing":false}"#,
                true,
            ),
            (r#"{"canonical":{"analytics":true},"marketing":true}"#, true),
            (r#"{"categories":{"C0004":true}}"#, false),
            (r#"{"canonical":"marketing"}"#, false),
            (r#""granted""#, false),
            ("true", false),
            ("null", false),
            ("{}", false),
        ] {
            assert_eq!(granted(marketing, &strict, consent), expected, "{consent}");
        }
    }

    #[test]
    fn silence_counts_as_configured() {
        let marketing = &[ConsentCategory::Marketing];
        let allow = ConsentOptions {
            when_absent: WhenAbsent::Allow,
            ..ConsentOptions::default()
        };
        assert!(granted(marketing, &allow, "null"));
        assert!(granted(marketing, &allow, "{}"));
        assert!(!granted(marketing, &allow, r#"{"analytics":true}"#));
        assert!(granted(&[], &ConsentOptions::default(), "null"));
    }

    #[test]
    fn all_needed_categories_must_be_granted_and_codes_count_where_configured() {
        let both = &[ConsentCategory::Advertising, ConsentCategory::Analytics];
        let options = ConsentOptions {
            categories: [
                ("C0004".to_owned(), ConsentCategory::Marketing),
                ("C9".to_owned(), ConsentCategory::Marketing),
            ]
            .into(),
            ..ConsentOptions::default()
        };
        for (consent, expected) in [
            (r#"{"categories":{"C0004":true},"analytics":true}"#, true),
            (
                r#"{"categories":{"C0004":false,"C9":true},"analytics":true}"#,
                true,
            ),
            (r#"{"categories":{"C0004":true}}"#, false),
            (
                r#"{"categories":{"C0004":true},"marketing":false,"analytics":true}"#,
                false,
            ),
        ] {
            assert_eq!(granted(both, &options, consent), expected, "{consent}");
        }
    }
}
