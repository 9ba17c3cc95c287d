//! What an encoded event is worth, for people who look at single events.
//!
//! Invariant: a number and the code of a currency, as the destination gets them.

use serde_json::Number;

/// The longest code of a currency that is kept, in bytes.
const MAX_CURRENCY_BYTES: usize = 8;

/// What an encoded event is worth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Amount {
    /// The number that the destination gets.
    pub value: Option<Number>,
    /// The code of its currency, in the destination's spelling.
    pub currency: Option<Box<str>>,
}

impl Amount {
    /// A value and a currency; `None` without both. What is no code of a currency is left out: letters and digits of ASCII only, and
    /// few of them.
    pub fn of(value: Option<Number>, currency: Option<&str>) -> Option<Self> {
        let is_code = |text: &&str| {
            (1..=MAX_CURRENCY_BYTES).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let currency = currency.filter(is_code).map(Into::into);
        (value.is_some() || currency.is_some()).then_some(Self { value, currency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_a_currency_is_kept() {
        for text in ["", "jane@example.com", "US DOLLARS", "\u{20ac}"] {
            assert_eq!(Amount::of(None, Some(text)), None, "{text}");
            let amount = Amount::of(Some(1.into()), Some(text)).unwrap();
            assert_eq!(amount.currency, None, "{text}");
        }
        let amount = Amount::of(None, Some("EUR")).unwrap();
        assert_eq!(amount.currency.as_deref(), Some("EUR"));
        assert_eq!(Amount::of(None, None), None);
    }
}
