//! Field mappings as people write them, in presets and in pipeline files.

use crate::payload::rule::rule;
use crate::payload::{Kind, PARAMETERS};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Parameters by name (`user_data.em`, `custom_data.value`, `event_id`), each with where its value comes from; `null`
/// drops a parameter that a lower layer maps.
pub(crate) type FieldMappings = BTreeMap<String, Option<FieldMapping>>;

/// Where a parameter's value comes from: a path (`properties.total`), a list of paths tried in order, or a table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum FieldMapping {
    /// A path into the event, such as `properties.total`.
    Path(String),
    /// Paths, tried in order; the first that holds a usable value wins.
    Paths(Vec<String>),
    /// A table, for everything beyond paths.
    Table(Box<FieldTable>),
}

/// The schema of field mappings: every parameter of Meta's with what it takes, so that editors complete their names, and custom
/// parameters.
pub(crate) fn mappings_schema(generator: &mut SchemaGenerator) -> Schema {
    let mapping = generator.subschema_for::<Option<FieldMapping>>();
    let mut names = Map::new();
    for parameter in PARAMETERS {
        let mut schema = mapping.clone();
        if parameter.kind != Kind::Source {
            schema.insert("description".to_owned(), rule(parameter.kind).into());
        }
        names.insert(parameter.name.to_owned(), schema.into());
    }
    json_schema!({
        "type": "object",
        "properties": names,
        "additionalProperties": mapping,
        "propertyNames": { "anyOf": [
            { "enum": PARAMETERS.iter().map(|parameter| parameter.name).collect::<Vec<_>>() },
            { "pattern": "^custom_data\\." },
        ]},
    })
}

/// A field mapping in full.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FieldTable {
    /// Paths, tried in order; the first that holds a usable value wins. Example: `[properties.total, properties.value]`.
    pub(crate) paths: Vec<String>,
    /// Several lists of paths; the first usable value of each list is sent. For parameters that take many values.
    pub(crate) all: Vec<Vec<String>>,
    /// A constant, sent for every event. Example: `EUR`.
    pub(crate) value: Option<Value>,
    /// What is sent when no path holds a usable value. Example: `EUR`.
    pub(crate) default: Option<Value>,
    /// What is computed when no path holds a usable value.
    #[serde(rename = "otherwise")]
    pub(crate) fallback: Option<Derived>,
    /// The type of a custom parameter (default: the type in the event). Meta's own parameters have fixed types.
    #[serde(rename = "type")]
    pub(crate) value_type: Option<ValueType>,
    /// For `custom_data.contents[]` only: an object that is the only item when no path holds a list of items.
    pub(crate) own: Option<OwnItem>,
}

/// A value that is computed from others of the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Derived {
    /// The ids of the items.
    ContentIds,
    /// The sum of the items' quantities.
    NumItems,
    /// Price times quantity, when there is exactly one item.
    ItemTotal,
    /// The price of the item, when there is exactly one.
    ItemPrice,
    /// The kind of catalog that the keys of the items' ids name (`hotel_id`: `hotel`), else `product`, when there are items.
    Product,
    /// The kind of catalog that the keys of the items' ids name, when there are items; nothing where they name none.
    ItemKind,
}

/// The type in which a custom parameter is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ValueType {
    /// Text; numbers are converted to text.
    Text,
    /// A number; numeric text is converted.
    Number,
    /// A whole number, zero or more.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A scalar or a list of scalars, unchanged.
    Json,
}

/// The only item of an event that is about one item.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnItem {
    /// Where the item's fields are. Example: `properties`.
    pub(crate) path: String,
    /// The object counts as an item when one of these keys has a value. Example: `[product_id, sku]`.
    pub(crate) requires: Vec<String>,
}

impl FieldMapping {
    /// The mapping as a table, which the other forms abbreviate.
    pub(crate) fn to_table(&self) -> FieldTable {
        match self {
            Self::Path(path) => FieldTable {
                paths: vec![path.clone()],
                ..FieldTable::default()
            },
            Self::Paths(paths) => FieldTable {
                paths: paths.clone(),
                ..FieldTable::default()
            },
            Self::Table(table) => (**table).clone(),
        }
    }
}

/// What an event is sent as: Meta's name for it, or a table with the name and field mappings for this event; `null` drops
/// the event.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum EventMapping {
    /// Meta's event name, such as `Lead`.
    Name(String),
    /// A table, for everything beyond the name.
    Table(EventTable),
}

/// An event mapping in full.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EventTable {
    /// Meta's event name (default: the preset's). Example: `Purchase`.
    pub(crate) event_name: Option<String>,
    /// Field mappings for this event only; they override all others.
    #[schemars(schema_with = "mappings_schema")]
    pub(crate) field_mappings: FieldMappings,
}

impl EventMapping {
    pub(crate) fn to_table(&self) -> EventTable {
        match self {
            Self::Name(name) => EventTable {
                event_name: Some(name.clone()),
                ..EventTable::default()
            },
            Self::Table(table) => table.clone(),
        }
    }
}
