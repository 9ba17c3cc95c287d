//! What an answer says, as people read it in a list of requests: codes, trace id, figures about limits, and Meta's sentence.
//!
//! In: an answer. Out: the parts of an [`Exchange`]. It is made only while somebody watches, and decides nothing.
//!
//! Invariant: of Meta's sentence only words remain that cannot be a value of an event: whatever is quoted, holds a sign of an
//! address, or mixes letters and digits is masked. Meta knows a person's identity by hashes alone, so it cannot quote more.

use super::{GraphError, integer, is_name, pause};
use crate::payload::PARAMETERS;
use crate::private_text::{Use, found};
use pipeline_core::Exchange;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// What is in the place of something masked.
const MASK: &str = "…";
/// Bytes of a sentence that are read.
const MAX_READ_BYTES: usize = 4096;
/// The longest word that is shown, in bytes.
const MAX_WORD_BYTES: usize = 40;
/// Digits of a number that is shown.
const MAX_DIGITS: usize = 6;

/// Notes what an answer says.
pub(crate) fn tell(status: u16, headers: &HeaderMap, body: &[u8], exchange: &mut Exchange) {
    exchange.status = Some(status);
    for (name, figure) in pause::figures(headers) {
        exchange.add_figure(name, figure);
    }
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let received = json.get("events_received").and_then(integer);
    exchange.received = received.and_then(|count| u64::try_from(count).ok());
    let mut trace = json.get("fbtrace_id").and_then(Value::as_str);
    let mut texts = Vec::new();
    if let Some(error) = GraphError::of(&json) {
        trace = error.trace.or(trace);
        exchange.code = error.given.map(|given| given.code);
        exchange.subcode = error.given.and_then(|given| given.subcode);
        texts.extend(error.texts().collect::<Vec<_>>().into_iter().rev());
    } else if let Some(messages) = json.get("messages").and_then(Value::as_array) {
        texts.extend(messages.iter().filter_map(Value::as_str));
    }
    exchange.trace = trace.filter(|id| is_name(id)).map(Into::into);
    texts.dedup();
    let text = texts.join(" ");
    exchange.set_message(&masked(&text));
}

/// A sentence of Meta's without what may be a value.
fn masked(text: &str) -> String {
    let mut end = text.len().min(MAX_READ_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let unquoted = without_quotes(&text[..end]);
    let words = unquoted.split_whitespace();
    let words = words.map(|word| if is_plain(word) { word } else { MASK });
    let text = words.collect::<Vec<_>>().join(" ");
    match found(&text, Use::Words) {
        None => text,
        Some(_) => MASK.to_owned(),
    }
}

/// The text with each quotation masked, unless it is a step of a path or the name of a parameter.
fn without_quotes(text: &str) -> String {
    let mut rest = text;
    let mut shown = String::with_capacity(text.len());
    while let Some(start) = rest.find(opens_quote) {
        let (before, quoted) = rest.split_at(start);
        shown.push_str(before);
        let quote = quoted.chars().next().unwrap_or_default();
        let inner = &quoted[quote.len_utf8()..];
        // As in `doesn't`.
        if quote == '\'' && shown.ends_with(char::is_alphanumeric) {
            shown.push(quote);
            rest = inner;
            continue;
        }
        let close = closing(quote);
        let Some(length) = inner.find(close) else {
            shown.push_str(MASK);
            return shown;
        };
        let (content, after) = (&inner[..length], &inner[length + close.len_utf8()..]);
        let is_step = shown.ends_with('[') && after.starts_with(']') && is_name(content);
        shown.push(quote);
        shown.push_str(if is_step || is_parameter(content) {
            content
        } else {
            MASK
        });
        shown.push(close);
        rest = after;
    }
    shown.push_str(rest);
    shown
}

fn opens_quote(character: char) -> bool {
    closing(character) != '\0'
}

fn closing(quote: char) -> char {
    match quote {
        '\'' | '"' | '`' => quote,
        '“' | '„' => '”',
        '‘' => '’',
        '«' => '»',
        '「' => '」',
        _ => '\0',
    }
}

/// Whether a text is the name of a parameter of a server event, alone or behind that of its section.
fn is_parameter(text: &str) -> bool {
    let mut parameters = PARAMETERS.iter();
    parameters.any(|parameter| parameter.key == text || parameter.name == text)
}

/// Whether a word is one, or a small number, a version, or a path into the request.
fn is_plain(word: &str) -> bool {
    if word.starts_with("$[") || word == MASK {
        return word.len() <= 4 * MAX_WORD_BYTES && word.chars().all(is_of_path);
    }
    let odd = |c: char| matches!(c, '@' | '＠' | '%' | '=' | '&' | '\\') || c.is_control();
    if word.len() > MAX_WORD_BYTES || word.contains(odd) || word.contains("://") {
        return false;
    }
    if !word.contains(char::is_numeric) {
        return word.matches(':').count() < 2;
    }
    let inner = word.trim_matches(|c: char| !c.is_alphanumeric());
    let number = inner.strip_prefix('v').unwrap_or(inner);
    let digits = number.chars().filter(char::is_ascii_digit).count();
    let signs = number.matches(['.', ',']).count();
    digits <= MAX_DIGITS && digits + signs == number.chars().count() && signs < 3
}

fn is_of_path(character: char) -> bool {
    character.is_ascii_alphanumeric() || "$[]'_-….,:;".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::MAX_MESSAGE_BYTES;
    use proptest::prelude::*;
    use serde_json::json;

    fn told(body: &Value) -> Exchange {
        let mut exchange = Exchange::new(1, 1);
        tell(
            400,
            &HeaderMap::new(),
            body.to_string().as_bytes(),
            &mut exchange,
        );
        exchange
    }

    #[test]
    fn the_parts_of_an_error_are_told() {
        let exchange = told(&json!({"error": {
            "message": "Invalid parameter", "code": 100, "error_subcode": 2_804_019, "fbtrace_id": "A1b2",
            "error_user_msg": "The 'em' at $['data'][0]['user_data']['em'] isn't hashed, see v25.0 (#100)",
        }}));
        assert_eq!(
            (exchange.status, exchange.code, exchange.subcode),
            (Some(400), Some(100), Some(2_804_019))
        );
        assert_eq!(exchange.trace.as_deref(), Some("A1b2"));
        assert_eq!(
            exchange.message.as_deref(),
            Some(
                "Invalid parameter The 'em' at $['data'][0]['user_data']['em'] isn't hashed, see v25.0 (#100)"
            )
        );
    }

    #[test]
    fn what_an_accepted_request_was_told_is_told() {
        let exchange =
            told(&json!({"events_received": 7, "messages": ["use 'ph'"], "fbtrace_id": "T-1"}));
        assert_eq!(
            (exchange.received, exchange.trace.as_deref()),
            (Some(7), Some("T-1"))
        );
        assert_eq!(exchange.message.as_deref(), Some("use 'ph'"));
        assert_eq!(told(&json!("a page")).message, None);
    }

    #[test]
    fn values_that_meta_quotes_are_masked() {
        for (text, expected) in [
            ("bad mail jane@example.com here", "bad mail … here"),
            ("bad value 'Mary Poppins' given", "bad value '…' given"),
            ("bad “user-123” and user-123", "bad “…” and …"),
            ("call +49 170 1234567 now", "call +49 170 … now"),
            ("client 203.0.113.7 refused", "client … refused"),
            ("client 2001:db8::1 refused", "client … refused"),
            ("see https://shop.example/?q=jane", "see …"),
            ("unclosed 'Mary", "unclosed …"),
            ("token EAABtesttokenEAABtesttoken12345", "token …"),
            (
                "hash 5d41402abc4b2a76b9719d911017c592aaaa given",
                "hash … given",
            ),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_is_longer_than_allowed(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            let mut exchange = told(&json!({"error": {"code": 1, "message": text}}));
            let length = exchange.message.as_ref().map_or(0, |message| message.len());
            prop_assert!(length <= MAX_MESSAGE_BYTES);
            tell(500, &HeaderMap::new(), &bytes, &mut exchange);
        }

        #[test]
        fn an_address_or_a_number_is_never_told(
            before in "[a-z ',:\"(]{0,12}",
            secret in prop::sample::select(vec!["jane@example.com", "+491701234567", "203.0.113.77", "fb.1.1700000000.AbCdEf", "user-4711-x"]),
            after in "[a-z ',:\")]{0,12}",
        ) {
            let text = masked(&format!("{before}{secret}{after}"));
            prop_assert!(!text.contains(secret), "{}", text);
        }
    }
}
