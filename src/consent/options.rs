//! The options of consent, and its categories.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A purpose that a visitor can agree to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConsentCategory {
    /// Needed for the service itself; always granted.
    Essential,
    /// Conveniences for the visitor.
    Functional,
    /// Measurement of how the service is used.
    Analytics,
    /// Advertising, retargeting and conversion tracking.
    Marketing,
    /// The older name of `marketing`.
    Advertising,
    /// Content chosen for the person.
    Personalization,
}

impl ConsentCategory {
    /// Its keys in the flat view. The canonical view has the first one only.
    pub(super) fn flat_names(self) -> &'static [&'static str] {
        match self {
            Self::Essential => &["essential"],
            Self::Functional => &["functional"],
            Self::Analytics => &["analytics"],
            Self::Marketing | Self::Advertising => &["marketing", "advertising"],
            Self::Personalization => &["personalization"],
        }
    }
}

/// What happens to an event without consent information.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenAbsent {
    /// It is filtered.
    #[default]
    Drop,
    /// It is sent: consent is obtained elsewhere.
    Allow,
}

/// How consent is read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConsentOptions {
    /// What happens to an event without consent information (default: `drop`); unreadable consent information never counts as missing. Example: `allow`.
    pub(crate) when_absent: WhenAbsent,
    /// The consent category of each code of the consent platform, in `context.consent.categories` and in the lists of `context.consentManagement` (default: no code is known). Example: `{ C0004: marketing }`.
    pub(crate) categories: BTreeMap<String, ConsentCategory>,
}
