//! JSON that a person wrote, read into a value tree.
//!
//! Invariant: no key of an object is given twice. The usual reader takes the last of them, and the others are gone in silence.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// How the error of [`from_json`] begins when a key is given twice. It is placed at the end of the second one.
pub const DUPLICATE_KEY: &str = "a key is given twice";

/// Reads JSON in which no object has a key twice.
///
/// # Errors
///
/// When the text is not JSON, or with [`DUPLICATE_KEY`]. The error holds nothing of the text.
pub fn from_json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Unique>(text).map(|unique| unique.0)
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UniqueKeys.deserialize(deserializer).map(Self)
    }
}

/// Reads any value.
#[derive(Clone, Copy)]
struct UniqueKeys;

impl<'de> DeserializeSeed<'de> for UniqueKeys {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(DUPLICATE_KEY));
            }
            map.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_good_is_read_as_the_usual_reader_does() {
        for text in [
            r#"{"a": [1, -2, 2.5, true, null, "x\u00e9"], "b": {"a": {}}, "c": 18446744073709551615}"#,
            "[]",
            "7",
            "\"x\"",
        ] {
            let usual: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(from_json(text).expect("JSON"), usual);
        }
        for text in ["", "{", "{\"a\":1,}", "{} {}", &"[".repeat(1000)] {
            let (ours, usual) = (from_json(text), serde_json::from_str::<Value>(text));
            let usual = usual.expect_err("not JSON").to_string();
            assert_eq!(ours.expect_err("not JSON").to_string(), usual);
        }
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused_at_any_depth_and_not_shown() {
        for (text, line) in [
            ("{\"secret\": 1, \"secret\": 1}", 1),
            ("[{\"a\": {\n\"secret\": 1, \"b\": 2,\n \"secret\": 3}}]", 3),
            ("{\"secret\": 1,\n \"s\\u0065cret\": 2}", 2),
        ] {
            let error = from_json(text).expect_err("twice");
            let shown = error.to_string();
            assert!(shown.starts_with(DUPLICATE_KEY), "{shown}");
            assert!(!shown.contains("secret"), "{shown}");
            assert_eq!(error.line(), line);
        }
        assert!(from_json("[{\"a\": 1}, {\"a\": {\"a\": 2}}]").is_ok());
    }
}
