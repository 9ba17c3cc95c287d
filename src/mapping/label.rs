//! What people read about an event that has no plan, and in explanations: its own name, if that can be shown.
//!
//! Events that are filtered or rejected are counted by name, so a name appears in tables and logs. It is chosen by the
//! sender and could contain anything.
//!
//! Invariant: a label holds neither an e-mail address nor a number as long as a phone number, and no `→`, which is in the
//! labels of events that have a plan.

use std::sync::Arc;

/// Longest name that is shown, in characters; Meta's own limit for event names.
const MAX_SHOWN_CHARS: usize = 50;
/// Digits of a name, from which on it could hold a phone number or an id.
const MANY_DIGITS: usize = 6;

/// The label of an event without a plan, from its name.
pub(super) fn of_unmapped(name: &str) -> Arc<str> {
    let is_shown = |c: char| !c.is_control() && !matches!(c, '@' | '\u{ff20}' | '→');
    let digits = name.chars().filter(|c| c.is_numeric()).count();
    let is_short = name.chars().nth(MAX_SHOWN_CHARS).is_none();
    if is_short && digits < MANY_DIGITS && name.chars().all(is_shown) {
        name.into()
    } else {
        "(a name that is not shown)".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_name_is_its_label() {
        for name in [
            "Cart Viewed",
            "checkout_step_2",
            "비디오 시작",
            "web.purchase",
        ] {
            assert_eq!(&*of_unmapped(name), name);
        }
    }

    #[test]
    fn a_name_that_could_hold_personal_data_or_look_like_a_mapping_is_not_shown() {
        let long = "a".repeat(MAX_SHOWN_CHARS + 1);
        for name in [
            "Signed up mary@example.com",
            "call +1 650 555 1212",
            "mary＠example.com",
            "order ١٢٣٤٥٦",
            "two\nlines",
            "Order Completed → Purchase",
            &long,
        ] {
            assert_eq!(&*of_unmapped(name), "(a name that is not shown)", "{name}");
        }
    }
}
