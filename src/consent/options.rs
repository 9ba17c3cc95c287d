//! The options of consent, and its categories.

use crate::answer::Words;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
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
    /// Its names. The first one is the canonical one.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Essential => &["essential"],
            Self::Functional => &["functional"],
            Self::Analytics => &["analytics"],
            Self::Marketing | Self::Advertising => &["marketing", "advertising"],
            Self::Personalization => &["personalization"],
        }
    }

    /// Its key in the options.
    fn key(self) -> &'static str {
        match self {
            Self::Advertising => "advertising",
            other => other.names()[0],
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
    /// What happens to an event without consent information (default: `drop`); a refusal, and consent information that cannot be read, never count as missing. Example: `allow`.
    pub(crate) when_absent: WhenAbsent,
    /// The consent category of each code (or id) of the consent platform, wherever codes are read: `context.consent.categoryPreferences`, `categories` and lists, `context.consentManagement` (default: no code is known). Example: `{ C0004: marketing }`.
    pub(crate) categories: BTreeMap<String, ConsentCategory>,
    /// Further places of consent: a path, a list of paths, or paths by category; without a category, a place counts for all that are required (default: none). Example: `{ marketing: context.privacy.ads }`.
    pub(crate) paths: ConsentPaths,
    /// The values at `paths` that are a grant (default: `true`, `1`, `yes`, `granted` and the like). Example: `[opted_in, 2]`.
    pub(crate) granted_values: Option<Vec<ConsentValue>>,
    /// The values at `paths` that are a refusal (default: `false`, `0`, `no`, `denied` and the like). Example: `[opted_out, 3]`.
    pub(crate) denied_values: Option<Vec<ConsentValue>>,
}

/// Further places of consent: a path, a list of paths, or a table of paths by category.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ConsentPaths {
    /// Places that count for every required category.
    Any(PathList),
    /// Places that count for one category each.
    ByCategory(PathsByCategory),
}

impl Default for ConsentPaths {
    fn default() -> Self {
        Self::Any(PathList::default())
    }
}

/// A path or a list of paths.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum PathList {
    /// One path, such as `context.privacy.ads`.
    One(String),
    /// Several paths.
    Several(Vec<String>),
}

impl Default for PathList {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl PathList {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
        }
    }
}

/// Paths by category.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PathsByCategory {
    /// Where consent to conveniences is.
    functional: PathList,
    /// Where consent to measurement is.
    analytics: PathList,
    /// Where consent to advertising, retargeting and conversion tracking is. Example: `context.privacy.ads`.
    marketing: PathList,
    /// The older name of `marketing`.
    advertising: PathList,
    /// Where consent to content chosen for the person is.
    personalization: PathList,
}

/// A value of consent, compared without case, spaces, `_` and `-`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ConsentValue {
    /// `true` or `false`.
    Boolean(bool),
    /// A number, such as `2`.
    Number(serde_json::Number),
    /// A text, such as `opted_in`.
    Text(String),
}

/// A path of the options, and for which category; `None` for all that are required.
#[derive(Debug)]
pub(super) struct OwnPath<'o> {
    pub(super) written: &'o str,
    /// Where it is in the options.
    pub(super) option: String,
    pub(super) of: Option<ConsentCategory>,
}

impl ConsentOptions {
    /// The further places, in their order.
    pub(super) fn own_paths(&self) -> Vec<OwnPath<'_>> {
        let lists = match &self.paths {
            ConsentPaths::Any(list) => vec![(None, "consent.paths".to_owned(), list)],
            ConsentPaths::ByCategory(lists) => {
                let lists = [
                    (ConsentCategory::Functional, &lists.functional),
                    (ConsentCategory::Analytics, &lists.analytics),
                    (ConsentCategory::Marketing, &lists.marketing),
                    (ConsentCategory::Advertising, &lists.advertising),
                    (ConsentCategory::Personalization, &lists.personalization),
                ];
                let named = lists.into_iter().map(|(of, list)| {
                    let option = format!("consent.paths.{}", of.key());
                    (Some(of), option, list)
                });
                named.collect()
            }
        };
        let paths = lists.into_iter().flat_map(|(of, option, list)| {
            let is_list = matches!(list, PathList::Several(_));
            let paths = list.as_slice().iter().enumerate();
            paths.map(move |(index, written)| OwnPath {
                written,
                option: if is_list {
                    format!("{option}[{index}]")
                } else {
                    option.clone()
                },
                of,
            })
        });
        paths.collect()
    }

    /// The words at the further places.
    pub(super) fn own_words(&self) -> Words {
        let values = |given: &Option<Vec<ConsentValue>>| -> Option<Vec<Value>> {
            let given = given.as_ref()?.iter();
            Some(given.map(ConsentValue::to_json).collect())
        };
        Words::replaced(
            values(&self.granted_values).as_deref(),
            values(&self.denied_values).as_deref(),
        )
    }
}

impl ConsentValue {
    fn to_json(&self) -> Value {
        match self {
            Self::Boolean(value) => Value::from(*value),
            Self::Number(value) => Value::from(value.clone()),
            Self::Text(value) => Value::from(value.as_str()),
        }
    }
}
