//! One JSON value of an event read as yes or no, in the words that consent platforms and senders use.
//!
//! In: a slice of the event's text that is one JSON value. Out: an [`Answer`], or `None` for anything else. Invariant: what is
//! not one of the words is no answer, however much it looks like one.

use crate::alike::alike;
use crate::json_text;
use serde_json::Value;
use std::borrow::Cow;

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}

/// Words for yes. Case, white space, `_` and `-` do not matter, and neither does whether it is text, a number or a boolean.
pub(crate) const YES: [&str; 13] = [
    "true", "yes", "1", "granted", "grant", "allowed", "allow", "accepted", "accept", "opt-in",
    "opted-in", "on", "given",
];

/// Words for no, compared in the same way.
pub(crate) const NO: [&str; 18] = [
    "false",
    "no",
    "0",
    "denied",
    "deny",
    "disallowed",
    "disallow",
    "rejected",
    "reject",
    "declined",
    "decline",
    "refused",
    "opt-out",
    "opted-out",
    "off",
    "withdrawn",
    "revoked",
    "none",
];

/// The words for yes and no that count at a place.
#[derive(Debug)]
pub(crate) struct Words {
    yes: Vec<Cow<'static, str>>,
    no: Vec<Cow<'static, str>>,
}

impl Default for Words {
    /// The usual words.
    fn default() -> Self {
        Self {
            yes: YES.map(Cow::Borrowed).into(),
            no: NO.map(Cow::Borrowed).into(),
        }
    }
}

impl Words {
    /// Words that replace the usual ones. Where only one side is replaced, the other side keeps those of the usual words that
    /// the first does not take.
    pub(crate) fn replaced(yes: Option<&[Value]>, no: Option<&[Value]>) -> Self {
        let mut words = Self::default();
        let given = |values: &[Value]| -> Vec<Cow<'static, str>> {
            let texts = values.iter().map(|value| written(&value.to_string()));
            texts.flatten().map(Cow::Owned).collect()
        };
        if let Some(yes) = yes {
            words.yes = given(yes);
            words.no.retain(|word| !has(&words.yes, word));
        }
        if let Some(no) = no {
            words.no = given(no);
            if yes.is_none() {
                words.yes.retain(|word| !has(&words.no, word));
            }
        }
        words
    }

    /// Whether a word is on both sides.
    pub(crate) fn are_ambiguous(&self) -> bool {
        self.yes.iter().any(|word| has(&self.no, word))
    }

    /// What a value says.
    pub(crate) fn read(&self, raw: &str) -> Option<Answer> {
        let word = written(raw)?;
        if has(&self.no, &word) {
            Some(Answer::No)
        } else {
            has(&self.yes, &word).then_some(Answer::Yes)
        }
    }
}

fn has(words: &[Cow<'static, str>], word: &str) -> bool {
    // A minus sign is not punctuation.
    let is_number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let is_like = |known: &str| known == word || !is_number && alike(known, word);
    words.iter().any(|known| is_like(known))
}

/// A value as a word; whole numbers without their `.0`. `None` for null, lists, objects and blank text.
fn written(raw: &str) -> Option<String> {
    let text = match raw.as_bytes().first()? {
        b't' | b'f' => return Some(raw.to_owned()),
        b'"' | b'-' | b'0'..=b'9' => json_text::text(raw).ok()?,
        _ => return None,
    };
    Some(match text.parse::<f64>() {
        Ok(0.0) => "0".to_owned(),
        Ok(number) if number.is_finite() => number.to_string(),
        _ => text.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_usual_words_are_read_in_any_spelling_and_nothing_else_is() {
        let words = Words::default();
        for raw in [
            "true",
            "1",
            "1.0",
            r#""1""#,
            r#""1.0""#,
            r#"" TRUE ""#,
            r#""Granted""#,
            r#""opt_in""#,
            r#""Opt In""#,
            r#""\u0079es""#,
        ] {
            assert_eq!(words.read(raw), Some(Answer::Yes), "{raw}");
        }
        for raw in [
            "false",
            "0",
            "-0.0",
            r#""0""#,
            r#""No""#,
            r#""DENIED""#,
            r#""OptOut""#,
            r#""withdrawn ""#,
        ] {
            assert_eq!(words.read(raw), Some(Answer::No), "{raw}");
        }
        for raw in [
            "null",
            "2",
            "-1",
            r#""-1""#,
            "1e999",
            "0.5",
            r#""""#,
            r#""maybe""#,
            r#""not granted""#,
            r#""n""#,
            "[true]",
            "{}",
        ] {
            assert_eq!(words.read(raw), None, "{raw}");
        }
    }

    #[test]
    fn words_that_are_replaced_can_mean_the_opposite() {
        let opted_out = Words::replaced(
            Some(&[json!(false), json!(0)]),
            Some(&[json!(true), json!(1)]),
        );
        assert_eq!(opted_out.read("false"), Some(Answer::Yes));
        assert_eq!(opted_out.read("1"), Some(Answer::No));
        assert_eq!(opted_out.read(r#""granted""#), None);
    }

    #[test]
    fn a_side_that_is_not_replaced_keeps_the_words_that_the_other_does_not_take() {
        let yes = Words::replaced(Some(&[json!("no")]), None);
        assert_eq!(yes.read(r#""No""#), Some(Answer::Yes));
        assert_eq!(yes.read("true"), None);
        assert_eq!(yes.read("false"), Some(Answer::No));
        let no = Words::replaced(None, Some(&[json!(1)]));
        assert_eq!(no.read("1"), Some(Answer::No));
        assert_eq!(no.read("true"), Some(Answer::Yes));
        assert_eq!(no.read("false"), None);
        assert!(!yes.are_ambiguous() && !no.are_ambiguous());
        assert!(Words::replaced(Some(&[json!("a")]), Some(&[json!("A")])).are_ambiguous());
    }

    #[test]
    fn no_word_is_on_both_sides_and_each_is_documented() {
        assert!(!Words::default().are_ambiguous());
        let page = include_str!("../MAPPING.md");
        for word in YES.iter().chain(&NO) {
            assert!(page.contains(&format!("`{word}`")), "{word}");
        }
    }
}
