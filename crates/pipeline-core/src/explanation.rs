//! Where the fields of an encoded event came from, for people.
//!
//! Plain data with one form as JSON. Invariant: paths, rules and reasons, never a value of an event.

use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The explanation of one encoded event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The fields, in the order in which the sink met them. A name comes once where its value is sent, and once for each
    /// value that was given for it and left out.
    pub fields: Vec<Field>,
    /// The identifiers of the person, where the event came as far as being encoded.
    pub identifiers: Option<Identifiers>,
}

/// One output field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Field {
    /// Its name: `user_data.em`.
    pub name: String,
    /// What became of it.
    pub fate: FieldFate,
}

/// What became of an output field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldFate {
    /// It is in the encoded event.
    Sent {
        /// The paths of its values, or where they come from otherwise; one at least.
        from: Vec<String>,
        /// How the value was made.
        rule: String,
    },
    /// A value was given and was not used.
    Omitted {
        /// The path of the value.
        from: String,
        /// A stable code.
        code: Cow<'static, str>,
        /// One sentence for people.
        detail: Cow<'static, str>,
    },
    /// Further values were given and were not used; too many to name each.
    NotListed {
        /// How many.
        values: usize,
    },
    /// No value was given.
    Absent {
        /// The paths where it was looked for.
        looked_in: Vec<String>,
    },
}

/// Which identifiers an event carries, and which that matter it lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identifiers {
    /// Name and label of each that the event carries.
    pub carried: Vec<(String, Cow<'static, str>)>,
    /// Name, label, and the paths where it was looked for.
    pub absent: Vec<(String, Cow<'static, str>, Vec<String>)>,
}

impl Explanation {
    /// An explanation of these fields.
    pub fn new(fields: Vec<Field>) -> Self {
        Self {
            fields,
            identifiers: None,
        }
    }

    /// The same explanation with the identifiers of the person.
    #[must_use]
    pub fn with_identifiers(mut self, identifiers: Identifiers) -> Self {
        self.identifiers = Some(identifiers);
        self
    }

    /// As JSON: `{"sent": {name: {from, rule}}, "left_out": {name: {from, why, detail} or {why, looked_in}}}`, and
    /// `"identifiers": {"carried": {name: label}, "absent": {name: {strength, looked_in}}}` where there are any.
    ///
    /// Where several values of a name were left out, the first is told as if it were the only one, and the others beside it:
    /// `"more": [{from, why, detail}]`, and `"not_listed": 12` for those that are counted only.
    pub fn to_json(&self) -> Value {
        let (mut sent, mut left_out) = (Map::new(), Map::new());
        for Field { name, fate } in &self.fields {
            match fate {
                FieldFate::Sent { from, rule } => {
                    let from = match from.as_slice() {
                        [one] => json!(one),
                        several => json!(several),
                    };
                    sent.insert(name.clone(), json!({ "from": from, "rule": rule }));
                }
                FieldFate::Omitted { from, code, detail } => {
                    let told = json!({ "from": from, "why": code, "detail": detail });
                    match left_out.get_mut(name) {
                        None => {
                            left_out.insert(name.clone(), told);
                        }
                        Some(first) => match &mut first["more"] {
                            Value::Array(more) => more.push(told),
                            none => *none = json!([told]),
                        },
                    }
                }
                FieldFate::NotListed { values } => {
                    let first = left_out.entry(name.clone()).or_insert(json!({}));
                    first["not_listed"] = json!(values);
                }
                FieldFate::Absent { looked_in } => {
                    let told = json!({ "why": "not_given", "looked_in": looked_in });
                    left_out.insert(name.clone(), told);
                }
            }
        }
        let mut explanation = json!({ "sent": sent, "left_out": left_out });
        if let Some(identifiers) = &self.identifiers {
            explanation["identifiers"] = identifiers.to_json();
        }
        explanation
    }
}

impl Field {
    /// A field with its fate.
    pub fn new(name: impl Into<String>, fate: FieldFate) -> Self {
        Self {
            name: name.into(),
            fate,
        }
    }
}

impl Identifiers {
    /// Identifiers that an event carries, and those that it lacks.
    pub fn new(
        carried: Vec<(String, Cow<'static, str>)>,
        absent: Vec<(String, Cow<'static, str>, Vec<String>)>,
    ) -> Self {
        Self { carried, absent }
    }

    fn to_json(&self) -> Value {
        let carried = self.carried.iter();
        let carried: Map<_, _> = carried
            .map(|(name, label)| (name.clone(), json!(label)))
            .collect();
        let absent = self.absent.iter().map(|(name, label, looked_in)| {
            let told = json!({ "strength": label, "looked_in": looked_in });
            (name.clone(), told)
        });
        json!({ "carried": carried, "absent": absent.collect::<Map<_, _>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn omitted(name: &str, from: &str) -> Field {
        let fate = FieldFate::Omitted {
            from: from.to_owned(),
            code: "not_an_email".into(),
            detail: "no".into(),
        };
        Field::new(name, fate)
    }

    #[test]
    fn every_value_of_a_name_that_was_left_out_is_told() {
        let explanation = Explanation::new(vec![
            omitted("em", "a[0]"),
            omitted("ph", "b"),
            omitted("em", "a[1]"),
            omitted("em", "c"),
            Field::new("em", FieldFate::NotListed { values: 3 }),
        ]);
        let told = |from: &str| json!({"from": from, "why": "not_an_email", "detail": "no"});
        let mut first = told("a[0]");
        first["more"] = json!([told("a[1]"), told("c")]);
        first["not_listed"] = json!(3);
        assert_eq!(
            explanation.to_json()["left_out"],
            json!({"em": first, "ph": told("b")})
        );
    }

    #[test]
    fn an_explanation_as_json_reads_like_this() {
        let fields = vec![
            Field::new(
                "user_data.em",
                FieldFate::Sent {
                    from: vec!["traits.email".to_owned()],
                    rule: "trimmed, lower case, SHA-256".to_owned(),
                },
            ),
            Field::new(
                "user_data.external_id",
                FieldFate::Sent {
                    from: vec!["userId".to_owned(), "anonymousId".to_owned()],
                    rule: "SHA-256".to_owned(),
                },
            ),
            Field::new(
                "user_data.ph",
                FieldFate::Omitted {
                    from: "traits.phone".to_owned(),
                    code: "no_country".into(),
                    detail: "a national number needs a country".into(),
                },
            ),
            Field::new(
                "user_data.ct",
                FieldFate::Absent {
                    looked_in: vec!["traits.city".to_owned()],
                },
            ),
        ];
        let identifiers = Identifiers::new(
            vec![("em".to_owned(), "highest".into())],
            vec![(
                "ph".to_owned(),
                "high".into(),
                vec!["traits.phone".to_owned()],
            )],
        );
        let explanation = Explanation::new(fields).with_identifiers(identifiers);
        assert_eq!(
            explanation.to_json(),
            json!({
                "sent": {
                    "user_data.em": {"from": "traits.email", "rule": "trimmed, lower case, SHA-256"},
                    "user_data.external_id": {"from": ["userId", "anonymousId"], "rule": "SHA-256"},
                },
                "left_out": {
                    "user_data.ph": {"from": "traits.phone", "why": "no_country", "detail": "a national number needs a country"},
                    "user_data.ct": {"why": "not_given", "looked_in": ["traits.city"]},
                },
                "identifiers": {
                    "carried": {"em": "highest"},
                    "absent": {"ph": {"strength": "high", "looked_in": ["traits.phone"]}},
                },
            })
        );
    }
}
