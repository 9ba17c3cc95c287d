//! Which `--now` to try for events that are too old by now, such as those of a file that was kept.

use jiff::Timestamp;
use pipeline_core::Rejection;

const SECS_PER_HOUR: i64 = 60 * 60;

/// Notices events that are too old.
#[derive(Debug)]
pub(super) struct AsOf {
    /// Whether there is something to advise.
    is_wanted: bool,
    events: u64,
    /// The time of the newest one, in seconds since the Unix epoch.
    newest: i64,
}

impl AsOf {
    /// Advises where `is_wanted`: where no `--now` was given.
    pub(super) fn new(is_wanted: bool) -> Self {
        Self {
            is_wanted,
            events: 0,
            newest: i64::MIN,
        }
    }

    /// Advice on an event that was rejected at this time, if it was too old.
    pub(super) fn advise(&mut self, rejection: &Rejection, now_ms: i64) -> Option<String> {
        let record = rejection.record.as_ref()?;
        if !self.is_wanted || record.expires_at > now_ms.div_euclid(1_000) {
            return None;
        }
        let time = soon_after(record.event_time)?;
        self.events += 1;
        self.newest = self.newest.max(record.event_time);
        Some(format!("(try --now {time})"))
    }

    /// Advice on all those events together, if there are several.
    pub(super) fn note(&self) -> Option<String> {
        let time = soon_after(self.newest)?;
        let events = self.events;
        (events > 1).then(|| {
            format!("note: {events} events are too old by now; `--now {time}` maps them as of then")
        })
    }
}

/// A time with few digits at which an event of this time is fresh.
fn soon_after(event_time: i64) -> Option<Timestamp> {
    let hours = event_time
        .checked_add(SECS_PER_HOUR - 1)?
        .div_euclid(SECS_PER_HOUR);
    Timestamp::from_second(hours.checked_mul(SECS_PER_HOUR)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::{Reason, Record};

    /// 2026-01-15T12:00:00Z, in seconds.
    const NOON: i64 = 1_768_478_400;
    const WEEK: i64 = 7 * 24 * SECS_PER_HOUR;

    fn rejected(event_time: i64) -> Rejection {
        let record = Record::new("{}", "id")
            .at(event_time)
            .expiring_at(event_time + WEEK);
        Rejection::new(Reason::new("too_old", "too old")).with_record(Some(Box::new(record)))
    }

    #[test]
    fn the_advice_is_the_next_full_hour_after_the_event() {
        for (event_time, expected) in [
            (NOON, "(try --now 2026-01-15T12:00:00Z)"),
            (NOON + 1, "(try --now 2026-01-15T13:00:00Z)"),
            (-1, "(try --now 1970-01-01T00:00:00Z)"),
        ] {
            let advice = AsOf::new(true).advise(&rejected(event_time), (NOON + 2 * WEEK) * 1_000);
            assert_eq!(advice.as_deref(), Some(expected));
        }
    }

    #[test]
    fn there_is_none_for_a_time_that_cannot_be_written_or_an_event_that_is_not_too_old() {
        let later = (NOON + 2 * WEEK) * 1_000;
        assert_eq!(AsOf::new(true).advise(&rejected(i64::MIN), later), None);
        assert_eq!(AsOf::new(true).advise(&rejected(NOON), NOON * 1_000), None);
        assert_eq!(AsOf::new(false).advise(&rejected(NOON), later), None);
        let bare = Rejection::new(Reason::new("too_old", "too old"));
        assert_eq!(AsOf::new(true).advise(&bare, later), None);
    }

    #[test]
    fn several_events_are_fresh_as_of_the_newest() {
        let mut as_of = AsOf::new(true);
        assert_eq!(as_of.note(), None);
        for event_time in [NOON - 90_000, NOON - 60, NOON - 5_000] {
            as_of.advise(&rejected(event_time), (NOON + 2 * WEEK) * 1_000);
        }
        let note = as_of.note().expect("a note");
        assert!(
            note.contains("3 events") && note.contains("`--now 2026-01-15T12:00:00Z`"),
            "{note}"
        );
    }
}
