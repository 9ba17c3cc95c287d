//! Lists of ids, in any form in which senders write lists.
//!
//! In: a slice of the event's text that is one JSON value. Out: ids as text. Invariant: a word for a missing value is never an
//! id, because it would make one order or item of many.

use super::append_id;
use super::id::{identifier, known};
use super::json;
use crate::json_text;
use crate::omitted::Omitted;
use crate::private_text::{self, Use};
use json_paths::MAX_ELEMENTS;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Appends a list of ids: those of a list, of a list in JSON text, of text that is separated by commas or semicolons, or one
/// alone. Elements that are not ids are skipped.
///
/// Answers whether any is hashed, because it must not leave as it is.
///
/// # Errors
///
/// When there is no id.
pub(crate) fn append_list(raw: &str, out: &mut Vec<u8>) -> Result<bool, Omitted> {
    out.push(b'[');
    let start = out.len();
    let mut tried = Tried::default();
    if raw.starts_with('"') {
        append_from_text(&json_text::text(raw)?, out, &mut tried);
    } else {
        for element in json_text::elements(raw).take(MAX_ELEMENTS) {
            append(identifier(element), out, &mut tried);
        }
    }
    if out.len() == start {
        return Err(tried.why.unwrap_or(Omitted::WrongType));
    }
    out.push(b']');
    Ok(tried.is_hashed)
}

/// What became of the ids of a list.
#[derive(Default)]
struct Tried {
    /// Why the first one that cannot be used cannot.
    why: Option<Omitted>,
    is_hashed: bool,
}

/// Appends the ids of a text.
fn append_from_text(text: &str, out: &mut Vec<u8>, tried: &mut Tried) {
    if text.starts_with('[')
        && let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(text)
    {
        for element in list.into_iter().take(MAX_ELEMENTS) {
            append(identifier(element.get()), out, tried);
        }
        return;
    }
    let parts = || text.split([',', ';']).map(str::trim);
    // The separator is inside an encoding: `&#43;4915112345678`.
    let is_private = |text: &str| private_text::found(text, Use::ItemId).is_some();
    if is_private(text) && !parts().any(is_private) {
        return append(known(text.into()), out, tried);
    }
    let parts = parts();
    for part in parts.filter(|part| !part.is_empty()).take(MAX_ELEMENTS) {
        append(known(part.into()), out, tried);
    }
}

/// Appends one id, or remembers why it is not one.
fn append(id: Result<Cow<'_, str>, Omitted>, out: &mut Vec<u8>, tried: &mut Tried) {
    let mark = out.len();
    let written = id.and_then(|id| {
        json::comma(out);
        append_id(&id, Use::ItemId, out)
    });
    match written {
        Ok(is_hashed) => tried.is_hashed |= is_hashed,
        Err(why) => {
            out.truncate(mark);
            tried.why = tried.why.or(Some(why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(raw: &str) -> Result<String, Omitted> {
        let mut out = Vec::new();
        append_list(raw, &mut out)?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn a_list_of_ids_is_read_in_every_form() {
        for (raw, expected) in [
            (r#"["123","456"]"#, r#"["123","456"]"#),
            ("[123, 456]", r#"["123","456"]"#),
            (r#""123, 456""#, r#"["123","456"]"#),
            (r#""PAR;LYS""#, r#"["PAR","LYS"]"#),
            (r#""[\"123\",456]""#, r#"["123","456"]"#),
            (r#""123""#, r#"["123"]"#),
            ("123", r#"["123"]"#),
            (r#"["a,b",{"id":1}]"#, r#"["a,b"]"#),
            (r#""a,,b,""#, r#"["a","b"]"#),
            (r#""[not json""#, r#"["[not json"]"#),
        ] {
            assert_eq!(list(raw).as_deref(), Ok(expected), "{raw}");
        }
        for raw in ["true", "[]", r#"[{"id":1}]"#, r#"",""#, r#"{"id":1}"#] {
            assert!(list(raw).is_err(), "{raw}");
        }
    }
}
