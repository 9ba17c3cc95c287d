//! Times inside cookie values, for `shift_times`: first-party cookies have their time of creation between two dots, as 13
//! digits of milliseconds (`….1768478400000.…`).
//!
//! Invariant: only such a number that is close to the time of its event changes, and the length of the event stays.

/// Digits of a time in milliseconds, from 2001 to 2286.
const DIGITS: usize = 13;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// How long before its event a cookie may have been made. Browsers keep none for longer.
const MAX_AGE_MS: i64 = 400 * DAY_MS;
/// How long after its event, where two clocks differ.
const MAX_AHEAD_MS: i64 = DAY_MS;

/// Shifts the times of cookies in an event that happened at `event_ms`.
pub(super) fn shift(event: &mut [u8], event_ms: i64, shift_ms: i64) {
    let oldest = event_ms.saturating_sub(MAX_AGE_MS);
    let newest = event_ms.saturating_add(MAX_AHEAD_MS);
    let mut at = 0;
    while let Some(found) = event.get(at..).and_then(next) {
        at += found;
        let Some(digits) = event.get_mut(at..at + DIGITS) else {
            return;
        };
        let read = std::str::from_utf8(digits).ok();
        let time: Option<i64> = read.and_then(|digits| digits.parse().ok());
        let near = time.filter(|time| (oldest..=newest).contains(time));
        let shifted = near.and_then(|time| time.checked_add(shift_ms));
        let shifted = shifted.map(|time| time.to_string().into_bytes());
        if let Some(shifted) = shifted.filter(|shifted| shifted.len() == DIGITS) {
            digits.copy_from_slice(&shifted);
        }
        at += DIGITS;
    }
}

/// The place of the next 13 digits between two dots.
fn next(text: &[u8]) -> Option<usize> {
    let is_time = |window: &[u8]| {
        window.first() == Some(&b'.')
            && window.last() == Some(&b'.')
            && window[1..=DIGITS].iter().all(u8::is_ascii_digit)
    };
    let at = text.windows(DIGITS + 2).position(is_time)?;
    Some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_cookie_is_shifted_and_no_other_number() {
        /// 2026-01-15T12:00:00Z.
        const EVENT_MS: i64 = 1_768_478_400_000;
        for (event, expected) in [
            (
                "{\"c\":\"fb.1.1768478399000.987\",\"d\":\"fb.1.1768400000000.AbC\"}",
                "{\"c\":\"fb.1.1768478400500.987\",\"d\":\"fb.1.1768400001500.AbC\"}",
            ),
            (
                ".1768478400000.1768478400000.",
                ".1768478401500.1768478401500.",
            ),
            // Too old, too new, of another length, without its dots, at the end.
            (".1700000000000.", ".1700000000000."),
            (".1799999999999.", ".1799999999999."),
            (".17684784000001.", ".17684784000001."),
            ("1768478400000.", "1768478400000."),
            (".1768478400000", ".1768478400000"),
            ("", ""),
        ] {
            let mut found = event.as_bytes().to_vec();
            shift(&mut found, EVENT_MS, 1_500);
            assert_eq!(String::from_utf8_lossy(&found), expected, "{event}");
        }
        // A time that would need another digit stays.
        let mut found = b".1768478400000.".to_vec();
        shift(&mut found, EVENT_MS, 9_000_000_000_000);
        assert_eq!(found, b".1768478400000.");
    }
}
