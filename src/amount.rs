//! What a stored server event is worth, for people who look at it.
//!
//! In: a payload as mapping has written it. Out: the number and the currency of its `custom_data`, as Meta gets them.

use pipeline_core::Amount;
use serde::Deserialize;
use serde_json::Number;
use std::borrow::Cow;

/// What is read of a server event.
#[derive(Debug, Deserialize)]
struct Sent<'a> {
    #[serde(borrow, default)]
    custom_data: SentAmount<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SentAmount<'a> {
    value: Option<Number>,
    #[serde(borrow)]
    currency: Option<Cow<'a, str>>,
}

/// The amount of a server event; `None` where it has none, and of what is no server event.
#[cold]
pub(crate) fn of_payload(payload: &[u8]) -> Option<Amount> {
    let sent: Sent<'_> = serde_json::from_slice(payload).ok()?;
    let SentAmount { value, currency } = sent.custom_data;
    Amount::of(value, currency.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_as_it_is_sent_and_nothing_is_made_up() {
        let of = |custom_data: &str| {
            let payload = format!(r#"{{"event_name":"Purchase","custom_data":{custom_data}}}"#);
            let amount = of_payload(payload.as_bytes())?;
            let value = amount.value.map(|value| value.to_string());
            Some((value, amount.currency.map(String::from)))
        };
        let is = |value: &str, code: &str| Some((Some(value.to_owned()), Some(code.to_owned())));
        assert_eq!(
            of(r#"{"value":19.99,"currency":"EUR"}"#),
            is("19.99", "EUR")
        );
        assert_eq!(of(r#"{"value":0,"currency":"JPY"}"#), is("0", "JPY"));
        assert_eq!(
            of(r#"{"currency":"USD","value":1234567890123}"#),
            is("1234567890123", "USD")
        );
        assert_eq!(of(r#"{"value":-5}"#), Some((Some("-5".to_owned()), None)));
        assert_eq!(
            of(r#"{"currency":"EUR"}"#),
            Some((None, Some("EUR".to_owned())))
        );
        for nothing in [
            "{}",
            r#"{"order_id":"1"}"#,
            "null",
            "7",
            r#"{"value":"19.99"}"#,
        ] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
        for nothing in ["", "{}", "[]", "\u{0}", r#"{"event_name":"Lead"}"#] {
            assert_eq!(of_payload(nothing.as_bytes()), None, "{nothing}");
        }
    }
}
