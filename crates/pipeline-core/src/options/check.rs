//! The walk over options and schema that reports every problem.

use super::describe::{allowed_values, article, choices, describe, first_sentence, kind, types};
use super::problem::{Problem, join, nearest};
use serde_json::{Map, Value};

/// Options after a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What is left: every part that had a problem is taken out, and text is converted where a number is
    /// wanted, and the other way round.
    pub options: Value,
    /// Every problem found, in the order of the options.
    pub problems: Vec<Problem>,
}

/// Checks `options` against `schema`.
pub fn check(schema: &Value, options: &Value) -> Checked {
    let mut checker = Checker {
        root: schema,
        problems: Vec::new(),
    };
    let options = checker
        .value(schema, options, "")
        .unwrap_or_else(|| Value::Object(Map::new()));
    Checked {
        options,
        problems: checker.problems,
    }
}

/// How deep alternatives may be nested.
const MAX_NESTING: usize = 8;

/// A number, an answer or nothing that is written as text: by the environment, or in YAML, where `yes` is an answer.
fn scalar(text: &str) -> Option<Value> {
    let text = text.trim();
    let is = |words: [&str; 2]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["yes", "on"]) {
        return Some(Value::Bool(true));
    }
    if is(["no", "off"]) {
        return Some(Value::Bool(false));
    }
    serde_json::from_str(text).ok()
}

struct Checker<'s> {
    root: &'s Value,
    problems: Vec<Problem>,
}

impl<'s> Checker<'s> {
    /// The value as far as it is good, or `None` when no part of it can be kept.
    fn value(&mut self, schema: &'s Value, value: &Value, path: &str) -> Option<Value> {
        let schema = self.resolve(schema);
        if schema.is_boolean() {
            return Some(value.clone());
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(branches) = schema[keyword].as_array() {
                let mut leaves = Vec::new();
                self.leaves(branches, MAX_NESTING, &mut leaves);
                return self.branches(schema, &leaves, value, path);
            }
        }
        let value = self.typed(schema, value, path)?;
        if let Some(allowed) = allowed_values(schema)
            && !allowed.contains(&&value)
        {
            let hint = value
                .as_str()
                .and_then(|text| nearest(text, allowed.iter().filter_map(|v| v.as_str())))
                .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            self.report(path, format!("is not one of the known values{hint}"), {
                choices(&allowed)
            });
            return None;
        }
        match value {
            Value::Object(map) => Some(Value::Object(self.object(schema, &map, path))),
            Value::Array(items) => self.array(schema, &items, path),
            Value::Number(_) => self.bounded(schema, value, path),
            Value::String(ref text) => {
                let length = text.chars().count() as u64;
                let least = schema["minLength"].as_u64().unwrap_or(0);
                let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
                if length < least {
                    let problem = if text.is_empty() {
                        "is empty"
                    } else {
                        "is too short"
                    };
                    self.report(path, problem, format!("at least {}", characters(least)));
                    return None;
                }
                if length > most {
                    self.report(path, "is too long", format!("at most {}", characters(most)));
                    return None;
                }
                Some(value)
            }
            other => Some(other),
        }
    }

    fn resolve(&self, mut schema: &'s Value) -> &'s Value {
        const LONGEST_CHAIN: usize = 16;
        for _ in 0..LONGEST_CHAIN {
            let Some(pointer) = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#')) else {
                break;
            };
            schema = self.root.pointer(pointer).unwrap_or(&Value::Bool(true));
        }
        schema
    }

    /// The alternatives that have no alternatives themselves, in order.
    fn leaves(&self, branches: &'s [Value], depth: usize, leaves: &mut Vec<&'s Value>) {
        for branch in branches {
            let schema = self.resolve(branch);
            let below = ["anyOf", "oneOf"]
                .into_iter()
                .find_map(|k| schema[k].as_array());
            match below {
                Some(below) if depth > 0 => self.leaves(below, depth - 1, leaves),
                _ => leaves.push(schema),
            }
        }
    }

    /// Reports what is wrong with the one alternative the value was meant to be, or names all of them.
    fn branches(
        &mut self,
        schema: &'s Value,
        branches: &[&'s Value],
        value: &Value,
        path: &str,
    ) -> Option<Value> {
        let mut meant = None;
        for branch in branches {
            let mut attempt = Checker {
                root: self.root,
                problems: Vec::new(),
            };
            let kept = attempt.value(branch, value, path);
            if attempt.problems.is_empty() {
                return kept;
            }
            if Self::resembles(branch, value) {
                meant = Some((kept, attempt.problems));
            }
        }
        if let Some((kept, problems)) = meant {
            self.problems.extend(problems);
            return kept;
        }
        let tags: Vec<&Value> = branches
            .iter()
            .filter_map(|branch| Some(Self::tag(branch)?.1))
            .collect();
        if tags.len() == branches.len() && value.is_object() {
            let key = Self::tag(branches[0]).map_or("type", |(key, _)| key);
            let problem = if value.get(key).is_some() {
                "is not one of the known values"
            } else {
                "is missing"
            };
            self.report(&join(path, key), problem, choices(&tags));
            return None;
        }
        self.unlike_any(schema, branches, value, path);
        None
    }

    /// Reports a value that none of the alternatives resembles.
    fn unlike_any(&mut self, schema: &'s Value, branches: &[&'s Value], value: &Value, path: &str) {
        let named: Vec<&Value> = branches
            .iter()
            .filter_map(|branch| allowed_values(branch))
            .flatten()
            .collect();
        let hint = value
            .as_str()
            .and_then(|text| nearest(text, named.iter().filter_map(|v| v.as_str())))
            .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        let has_kind = branches.iter().any(|branch| {
            let types = match allowed_values(branch) {
                Some(allowed) => allowed.into_iter().map(kind).collect(),
                None => types(branch),
            };
            types.contains(&kind(value)) || types.is_empty()
        });
        let problem = if !has_kind {
            format!("is {}", article(kind(value)))
        } else if value.is_string() && !named.is_empty() {
            "is not one of the known values".to_owned()
        } else {
            "matches no accepted form".to_owned()
        };
        let expected = self.alternatives(schema, branches);
        self.report(path, format!("{problem}{hint}"), expected);
    }

    /// What alternatives ask for, in a few words: all their words if they have some, else the description, else their forms.
    fn alternatives(&self, schema: &'s Value, branches: &[&'s Value]) -> String {
        let named: Vec<&Value> = branches
            .iter()
            .filter_map(|branch| allowed_values(branch))
            .flatten()
            .collect();
        let others = branches
            .iter()
            .filter(|branch| allowed_values(branch).is_none() && types(branch) != ["null"]);
        let others: Vec<_> = others.map(|branch| describe(branch)).collect();
        if !named.is_empty() {
            let forms = std::iter::once(choices(&named)).chain(others);
            return forms.collect::<Vec<_>>().join(", or ");
        }
        if let Some(text) = self.description(schema) {
            return first_sentence(text);
        }
        let forms: Vec<_> = branches.iter().map(|branch| describe(branch)).collect();
        forms.join(", or ")
    }

    /// The description of a schema, or else of the first alternative that has alternatives itself.
    fn description(&self, schema: &'s Value) -> Option<&'s str> {
        let of_branches = || {
            let branches = ["anyOf", "oneOf"]
                .into_iter()
                .find_map(|k| schema[k].as_array());
            branches?.iter().find_map(|branch| {
                let branch = self.resolve(branch);
                let has_branches = branch.get("anyOf").or(branch.get("oneOf")).is_some();
                branch["description"].as_str().filter(|_| has_branches)
            })
        };
        schema["description"].as_str().or_else(of_branches)
    }

    /// What a property asks for that is missing.
    fn missing(&self, property: &'s Value) -> String {
        let resolved = self.resolve(property);
        let mut leaves = Vec::new();
        if let Some(branches) = resolved["anyOf"].as_array() {
            self.leaves(branches, MAX_NESTING, &mut leaves);
        }
        let has_words = leaves.iter().any(|leaf| allowed_values(leaf).is_some());
        let description = [property, resolved]
            .into_iter()
            .find_map(|schema| schema["description"].as_str());
        match description {
            Some(text) if !has_words => first_sentence(text),
            _ if !leaves.is_empty() => self.alternatives(resolved, &leaves),
            _ => describe(resolved),
        }
    }

    /// Whether a person who wrote `value` had this branch in mind: the same kind of JSON and the same tag.
    fn resembles(branch: &'s Value, value: &Value) -> bool {
        if let Some((key, tag)) = Self::tag(branch) {
            return value.get(key) == Some(tag);
        }
        types(branch).contains(&kind(value)) && (value.is_object() || value.is_array())
    }

    /// The property with a constant value that tells this branch from the others.
    fn tag(branch: &'s Value) -> Option<(&'s str, &'s Value)> {
        let properties = branch["properties"].as_object()?;
        properties
            .iter()
            .find_map(|(key, property)| Some((key.as_str(), property.get("const")?)))
    }

    fn typed(&mut self, schema: &Value, value: &Value, path: &str) -> Option<Value> {
        let types = types(schema);
        let actual = kind(value);
        let fits =
            |wanted: &&str| *wanted == actual || (*wanted == "number" && actual == "integer");
        if types.is_empty() || types.iter().any(fits) {
            return Some(value.clone());
        }
        // A value from the environment is always text, and an id may be written without quotes.
        let converted = match value {
            Value::String(text) => scalar(text).filter(|parsed| {
                types.iter().any(|wanted| {
                    *wanted == kind(parsed) && *wanted != "object" && *wanted != "array"
                })
            }),
            Value::Number(number) if types.contains(&"string") && !number.is_f64() => {
                Some(Value::String(number.to_string()))
            }
            _ => None,
        };
        if converted.is_none() {
            // Its spelling may have been another one.
            let is_bare = matches!(value, Value::Number(_) | Value::Bool(_));
            let in_quotes = if is_bare && types.contains(&"string") {
                "; put it in quotes"
            } else {
                ""
            };
            let problem = format!("is {}{in_quotes}", article(actual));
            self.report(path, problem, describe(schema));
        }
        converted
    }

    fn object(
        &mut self,
        schema: &'s Value,
        map: &Map<String, Value>,
        path: &str,
    ) -> Map<String, Value> {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let mut kept = Map::new();
        for (key, value) in map {
            let at = join(path, key);
            let known: Option<&'s Value> = schema["properties"].get(key);
            let is_private =
                || key.starts_with("x-") && schema["patternProperties"].get("^x-").is_some();
            let found = match (known, schema.get("additionalProperties")) {
                // Only the anchors that refer to it read it.
                (None, _) if is_private() => None,
                (Some(property), _) => self.value(property, value, &at),
                (None, Some(Value::Bool(false))) => {
                    self.unknown_key(key, properties, &at);
                    None
                }
                (None, Some(additional)) => self.value(additional, value, &at),
                (None, None) => Some(value.clone()),
            };
            if let Some(found) = found {
                kept.insert(key.clone(), found);
            }
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            if let Some(key) = required.as_str()
                && !map.contains_key(key)
            {
                let property: Option<&'s Value> = schema["properties"].get(key);
                let expected = property
                    .map_or_else(|| describe(&Value::Null), |property| self.missing(property));
                self.report(&join(path, key), "is missing", expected);
            }
        }
        kept
    }

    fn unknown_key(&mut self, key: &str, known: &Map<String, Value>, path: &str) {
        let hint = nearest(key, known.keys().map(String::as_str))
            .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        self.report(
            path,
            format!("is not a known option{hint}"),
            format!("one of `{}`", names.join("`, `")),
        );
    }

    fn array(&mut self, schema: &'s Value, items: &[Value], path: &str) -> Option<Value> {
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
        let length = items.len() as u64;
        if length < least || length > most {
            let expected = if length < least {
                format!("at least {least}")
            } else {
                format!("at most {most}")
            };
            self.report(path, format!("has {length} entries"), expected);
            return None;
        }
        let item_schema = schema.get("items").unwrap_or(&Value::Bool(true));
        let kept = items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| self.value(item_schema, item, &format!("{path}[{i}]")))
            .collect();
        Some(Value::Array(kept))
    }

    fn bounded(&mut self, schema: &Value, value: Value, path: &str) -> Option<Value> {
        let number = value.as_f64().unwrap_or(f64::NAN);
        let least = schema["minimum"].as_f64();
        let most = schema["maximum"].as_f64();
        if least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most) {
            return Some(value);
        }
        self.report(path, "is out of range", describe(schema));
        None
    }

    fn report(&mut self, path: &str, problem: impl Into<String>, expected: impl Into<String>) {
        self.problems.push(Problem::new(path, problem, expected));
    }
}

fn characters(count: u64) -> String {
    match count {
        1 => "1 character".to_owned(),
        n => format!("{n} characters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_bare_value_where_text_is_wanted_is_refused_with_quotes_and_words_for_yes_are_answers() {
        let options = json!({"pixel_id": true, "source": {"type": "stdin"}, "flag": "no"});
        let checked = check(&schema(), &options);
        assert_eq!(checked.problems.len(), 1);
        let shown = checked.problems[0].to_string();
        assert!(
            shown.starts_with("pixel_id: is a boolean; put it in quotes;"),
            "{shown}"
        );
        assert_eq!(checked.options["flag"], false);
        for (word, expected) in [("yes", true), ("On", true), ("OFF", false), ("true", true)] {
            let options = json!({"pixel_id": word, "source": {"type": "stdin"}, "flag": word});
            let checked = check(&schema(), &options);
            assert_eq!(checked.problems, [], "{word}");
            assert_eq!(checked.options["flag"], expected, "{word}");
            assert_eq!(checked.options["pixel_id"], word);
        }
        let options = json!({"pixel_id": 1.5, "source": {"type": "stdin"}, "flag": "y"});
        assert_eq!(check(&schema(), &options).problems.len(), 2);
    }

    #[test]
    fn a_key_that_may_be_a_token_or_an_address_is_not_repeated() {
        for key in [
            &*"EAAB".repeat(12),
            "mary@example.com",
            "mary＠example.com",
            "a\u{1b}[2J",
        ] {
            let options = json!({"pixel_id": "1", "source": {"type": "stdin"}, (key): 1});
            let problems = check(&schema(), &options).problems;
            assert_eq!(problems.len(), 1, "{key}");
            assert!(!problems[0].to_string().contains(key), "{}", problems[0]);
        }
    }

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["pixel_id", "source"],
            "properties": {
                "pixel_id": { "type": "string", "description": "The pixel's id, digits. Kept as text." },
                "preset": { "anyOf": [
                    { "enum": ["retail", "travel"] },
                    { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"] },
                ]},
                "batch": { "$ref": "#/$defs/Batch" },
                "names": { "type": "array", "items": { "type": "string", "minLength": 1 }, "maxItems": 2 },
                "flag": { "type": ["boolean", "null"] },
                "quote": { "anyOf": [
                    { "anyOf": [{ "type": "string" }, { "$ref": "#/$defs/Batch" }] },
                    { "type": "null" },
                ]},
                "full": { "description": "What happens when it is full.", "oneOf": [
                    { "const": "block", "description": "Wait." }, { "const": "drop_newest" },
                ]},
                "source": { "oneOf": [
                    { "type": "object", "properties": { "type": { "const": "file" }, "path": { "type": "string" } }, "required": ["path"] },
                    { "type": "object", "properties": { "type": { "const": "stdin" } } },
                ]},
            },
            "$defs": { "Batch": { "type": "object", "additionalProperties": false, "properties": {
                "max_events": { "type": "integer", "minimum": 1, "maximum": 1000 },
            }}},
        })
    }

    fn problems(options: &Value) -> Vec<String> {
        check(&schema(), options)
            .problems
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn good_options_pass_unchanged() {
        let options = json!({ "pixel_id": "12", "preset": { "file": "x.json" }, "source": { "type": "stdin" }, "flag": null });
        let checked = check(&schema(), &options);
        assert_eq!(checked.problems, []);
        assert_eq!(checked.options, options);
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let found = problems(&json!({
            "pixelid": "12", "preset": "retial", "batch": { "max_events": 0 },
            "names": ["", "b"], "flag": "perhaps", "source": { "type": "file" },
            "quote": { "max_event": 1 }, "full": "blok",
        }));
        assert_eq!(
            found,
            [
                "pixelid: is not a known option; did you mean `pixel_id`?; expected one of `pixel_id`, `preset`, `batch`, `names`, `flag`, `quote`, `full`, `source`",
                "preset: is not one of the known values; did you mean `retail`?; expected one of `retail`, `travel`, or `{ file: … }`",
                "batch.max_events: is out of range; expected a whole number from 1 to 1000",
                "names[0]: is empty; expected at least 1 character",
                "flag: is text; expected `true` or `false` or empty (null)",
                "source.path: is missing; expected text",
                "quote.max_event: is not a known option; did you mean `max_events`?; expected one of `max_events`",
                "full: is not one of the known values; did you mean `block`?; expected one of `block`, `drop_newest`",
                "pixel_id: is missing; expected the pixel's id, digits",
            ]
        );
    }

    #[test]
    fn what_is_good_is_kept_beside_what_is_not() {
        let checked = check(
            &schema(),
            &json!({ "pixel_id": "12", "names": ["", "b"], "bogus": 1 }),
        );
        assert_eq!(checked.options, json!({ "pixel_id": "12", "names": ["b"] }));
    }

    #[test]
    fn text_stands_for_a_number_and_a_whole_number_for_text() {
        let checked = check(
            &schema(),
            &json!({ "pixel_id": 1_234_567_890_123_456_789_u64, "source": { "type": "stdin" }, "batch": { "max_events": "500" } }),
        );
        assert_eq!(checked.problems, []);
        assert_eq!(checked.options["pixel_id"], "1234567890123456789");
        assert_eq!(checked.options["batch"]["max_events"], 500);
    }

    #[test]
    fn an_unknown_tag_lists_the_known_ones() {
        let found = problems(&json!({ "pixel_id": "1", "source": { "type": "fiel" } }));
        assert_eq!(
            found,
            ["source.type: is not one of the known values; expected one of `file`, `stdin`"]
        );
    }

    #[test]
    fn what_is_missing_or_of_another_kind_is_told_what_it_can_be() {
        let schema = json!({
            "type": "object",
            "required": ["preset", "event", "free"],
            "properties": {
                "preset": { "description": "How events are mapped.", "$ref": "#/$defs/Preset" },
                "event": { "anyOf": [{ "$ref": "#/$defs/Event" }, { "type": "null" }] },
                "free": true,
            },
            "$defs": {
                "Preset": { "anyOf": [
                    { "enum": ["retail", "travel"] },
                    { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"] },
                ]},
                "Event": { "description": "A name, or a table; `null`\ndrops it. More.", "anyOf": [
                    { "type": "string" }, { "type": "object" },
                ]},
            },
        });
        let shown = |options: &Value| -> Vec<String> {
            let problems = check(&schema, options).problems.into_iter();
            problems.map(|problem| problem.to_string()).collect()
        };
        assert_eq!(
            shown(&json!({})),
            [
                "preset: is missing; expected one of `retail`, `travel`, or `{ file: … }`",
                "event: is missing; expected a name, or a table; `null` drops it",
                "free: is missing; expected another form",
            ]
        );
        assert_eq!(
            shown(&json!({ "preset": false, "event": false, "free": 1 })),
            [
                "preset: is a boolean; expected one of `retail`, `travel`, or `{ file: … }`",
                "event: is a boolean; expected a name, or a table; `null` drops it",
            ]
        );
        assert_eq!(
            shown(&json!({ "preset": 7, "event": [], "free": 1 })),
            [
                "preset: is a whole number; expected one of `retail`, `travel`, or `{ file: … }`",
                "event: is a list; expected a name, or a table; `null` drops it",
            ]
        );
    }

    #[test]
    fn a_problem_never_repeats_the_value() {
        let found = problems(
            &json!({ "pixel_id": ["EAAB-secret"], "source": "EAAB-secret", "flag": "EAAB-secret" }),
        );
        assert_eq!(found.len(), 3);
        assert!(!found.join(" ").contains("EAAB"), "{found:?}");
    }

    #[test]
    fn a_path_quotes_keys_that_are_not_plain() {
        assert_eq!(join("a.b", "Order Completed"), "a.b[\"Order Completed\"]");
        assert_eq!(Problem::new("[0]", "p", "e").within("list").path, "list[0]");
    }
}
