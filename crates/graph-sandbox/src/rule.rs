//! The language in which the rules for one event are written: a section is a table of fields, a field has a kind, a kind
//! decides about one value. A parsed event goes in, the first [`Violation`] comes out.
//!
//! The tables are [`event`], [`user_data`] and [`custom_data`]; what spans several fields is beside the table it
//! belongs to. Rules come from Meta's pages on server event, customer information, app data and custom data parameters.

pub(crate) mod custom_data;
pub(crate) mod event;
pub(crate) mod user_data;
mod value;

use crate::json::Json;
use crate::refusal::{Subcode, Violation, excerpt};

/// What a value must be.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Any,
    Text,
    /// Text with something in it besides white space.
    FilledText,
    Bool,
    /// A boolean, or 1 or 0 for it.
    Flag,
    /// A whole number that is written as one.
    Integer,
    Number,
    /// A Graph id, or what the samples show as one: filled text or a whole number.
    Id,
    List,
    Object,
    OneOf(&'static [&'static str]),
    OneOfIntegers(&'static [i128]),
    /// A list whose items are all of this kind.
    ListOf(&'static Kind),
    /// A list of this kind, or one of it without a list around.
    OneOrMany(&'static Kind),
    /// What the function says.
    Which(fn(&Json) -> bool),
    /// An object with a table of its own.
    Section(&'static Section),
    /// A list of objects that all have the same table.
    Sections(&'static Section),
}

impl Kind {
    /// Whether the value is of this kind. The inside of a section is checked by [`Section::check`].
    pub(crate) fn check(self, value: &Json) -> bool {
        match self {
            Kind::Any => true,
            Kind::Text => value.text().is_some(),
            Kind::FilledText => value.text().is_some_and(|text| !text.trim().is_empty()),
            Kind::Bool => matches!(value, Json::Bool),
            Kind::Flag => matches!(value, Json::Bool | Json::Integer(0 | 1)),
            Kind::Integer => value.integer().is_some(),
            Kind::Number => matches!(value, Json::Integer(_) | Json::Float(_)),
            Kind::Id => Kind::FilledText.check(value) || value.integer().is_some_and(|id| id >= 0),
            Kind::List => matches!(value, Json::List(_)),
            Kind::Object | Kind::Section(_) => matches!(value, Json::Object(_)),
            Kind::OneOf(words) => value.text().is_some_and(|text| words.contains(&text)),
            Kind::OneOfIntegers(numbers) => value
                .integer()
                .is_some_and(|number| numbers.contains(&number)),
            Kind::ListOf(kind) => {
                matches!(value, Json::List(items) if items.iter().all(|item| kind.check(item)))
            }
            Kind::OneOrMany(kind) => match value {
                // A null in a list means nothing, as it does for the field itself.
                Json::List(items) => items
                    .iter()
                    .all(|item| matches!(item, Json::Null) || kind.check(item)),
                one => kind.check(one),
            },
            Kind::Which(predicate) => predicate(value),
            Kind::Sections(_) => {
                matches!(value, Json::List(items) if items.iter().all(|item| matches!(item, Json::Object(_))))
            }
        }
    }
}

/// One key of a section.
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    required: bool,
    subcode: Subcode,
}

impl Field {
    pub(crate) const fn new(key: &'static str, kind: Kind) -> Self {
        Self {
            key,
            kind,
            required: false,
            subcode: Subcode::Parameter,
        }
    }

    const fn required(key: &'static str, kind: Kind) -> Self {
        Self {
            required: true,
            ..Self::new(key, kind)
        }
    }

    /// The same field, refused with a subcode of its own.
    const fn or(self, subcode: Subcode) -> Self {
        Self { subcode, ..self }
    }
}

/// The keys of one object.
pub(crate) struct Section {
    fields: &'static [Field],
    /// Whether keys that the table does not name are refused.
    closed: bool,
    /// Whether null is as good as an absent key.
    tolerates_null: bool,
}

impl Section {
    const fn closed(fields: &'static [Field]) -> Self {
        Self {
            fields,
            closed: true,
            tolerates_null: false,
        }
    }

    /// Checks an object's keys in their order, then that none is missing.
    pub(crate) fn check(&self, object: &Json, path: &str) -> Result<(), Violation> {
        let Json::Object(entries) = object else {
            return Err(Violation::new(
                Subcode::Parameter,
                path,
                "Expected an object",
            ));
        };
        for (key, value) in entries {
            match self.fields.iter().find(|field| field.key == key) {
                Some(_) if self.tolerates_null && matches!(value, Json::Null) => {}
                Some(field) => field.check(value, path)?,
                None if self.closed => {
                    let reason = format!("Unexpected key \"{}\"", excerpt(key));
                    return Err(Violation::new(Subcode::Parameter, path, reason));
                }
                None => {}
            }
        }
        match self
            .fields
            .iter()
            .find(|field| field.required && object.get(field.key).is_none())
        {
            Some(field) => Err(missing(field.subcode, path, field.key)),
            None => Ok(()),
        }
    }
}

impl Field {
    fn check(&self, value: &Json, path: &str) -> Result<(), Violation> {
        if !self.kind.check(value) {
            return Err(Violation::new(
                self.subcode,
                format!("{path}['{}']", self.key),
                format!("Malformed `{}`", self.key),
            ));
        }
        match (self.kind, value) {
            (Kind::Section(section), object) => {
                section.check(object, &format!("{path}['{}']", self.key))
            }
            (Kind::Sections(section), Json::List(items)) => {
                let mut numbered = items.iter().enumerate();
                numbered.try_for_each(|(index, item)| {
                    section.check(item, &format!("{path}['{}'][{index}]", self.key))
                })
            }
            _ => Ok(()),
        }
    }
}

/// Who the customer is to the business. The event and its `custom_data` both have the field.
const CUSTOMER_SEGMENTATION: Kind = Kind::OneOf(&[
    "new_customer_to_business",
    "new_customer_to_business_line",
    "new_customer_to_product_area",
    "new_customer_to_medium",
    "existing_customer_to_business",
    "existing_customer_to_business_line",
    "existing_customer_to_product_area",
    "existing_customer_to_medium",
    "customer_in_loyalty_program",
]);

/// A key that must be there and is not.
fn missing(subcode: Subcode, path: &str, key: &str) -> Violation {
    Violation::new(subcode, path, format!("Missing `{key}`"))
}
