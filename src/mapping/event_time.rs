//! When an event happened: the time that it gives, moved by the error of its sender's clock, else the time of receipt.
//!
//! A clock is corrected as Segment does it: the time of receipt less `sentAt` is how far the sender's clock is behind. That is
//! done only beyond [`MAX_CLOCK_ERROR_MS`], because a batch that is sent again can have the `sentAt` of the first attempt. The
//! time of receipt is `receivedAt`, else the source's own for events that reach it as they are sent.
//!
//! Invariant: a time that is given and cannot be used is never replaced silently. For an event that reaches a source as it is
//! sent, the time of receipt is right, and counted; an event of a file is rejected.

use super::event_writer::EventWriter;
use super::given::{Given, Origin};
use super::json;
use super::plan::FieldPlan;
use super::trace::Trace;
use super::value::{self, Moment};
use crate::omitted::Omitted;
use crate::payload::Kind;
use crate::payload::rule::rule;
use crate::reason;
use crate::validate::ReplacedTime;
use pipeline_core::{Event, Place};

/// How far the time of an event may be ahead of ours, in milliseconds: ten minutes. Such an event happened now.
const MAX_CLOCK_AHEAD_MS: i64 = 10 * 60 * 1_000;
/// How far `sentAt` and the receipt may be apart before the sender's clock counts as wrong, in milliseconds: 15 minutes.
const MAX_CLOCK_ERROR_MS: i64 = 15 * 60 * 1_000;
/// How far apart two stamps of one moment are that a sender writes one after the other, in milliseconds.
const MAX_STAMPS_APART_MS: i64 = 1_000;

const MOVED: &str = "Unix seconds, moved by the error of the sender's clock: receipt less `sentAt`";
const LOCAL: &str = "Unix seconds; the time has no offset: read in `time_zone`";
const LOCAL_AS_UTC: &str = "Unix seconds; the time has no offset: read as UTC (set `time_zone`)";
const ABSENT: &str = "no usable time in the event";
const UNREADABLE: &str = "the event's time cannot be read";
const IN_FUTURE: &str = "the event's time is in the future";
const LOCAL_IN_FUTURE: &str =
    "the event's time is in the future; it has no offset, and was read as UTC (set `time_zone`)";

impl<'e, 'a, T: Trace> EventWriter<'e, 'a, T> {
    /// Writes the time of the event.
    pub(super) fn event_time(&mut self) {
        let field = self.input.plan.event_time.as_ref();
        let given = field.map_or(Given::Absent, |field| self.given_time(field));
        let millis = match (field, given) {
            (Some(field), Given::Read(moment, origin)) => self.corrected(field, moment, origin),
            (Some(field), Given::Unreadable) => {
                let given = self.values(field).next();
                if let Some((slot, _)) = given
                    && !is_live(self.input.event)
                {
                    self.refuse(slot, reason::unreadable_time);
                }
                self.receipt(Some(field), UNREADABLE, Some(ReplacedTime::Unreadable))
            }
            (field, _) => self.receipt(field, ABSENT, None),
        };
        self.facts.event_ms = millis;
        self.facts.event_time = millis.div_euclid(1_000);
        self.append(",\"event_time\":");
        json::integer(self.facts.event_time, &mut self.out);
    }

    /// The time that the event gives. `sentAt` is another time, which fills in for one that is absent, not for one that cannot
    /// be read.
    fn given_time(&mut self, field: &'e FieldPlan) -> Given<Moment> {
        let given = self.moment(field);
        let plan = self.input.plan;
        if let Given::Read(_, origin) = given
            && let Some(sent_at) = &plan.sent_at
            && sent_at
                .slots
                .iter()
                .any(|slot| origin == Origin::Slot(*slot))
            && let Some((first, _)) = self.values(field).next()
            && origin != Origin::Slot(first)
        {
            return Given::Unreadable;
        }
        given
    }

    /// The first time of a field that can be read.
    fn moment(&mut self, field: &'e FieldPlan) -> Given<Moment> {
        let zone = self.input.rules.time_zone();
        self.first(field, |raw| value::moment(raw, zone))
    }

    /// How a time is written that was read at a place.
    fn as_given(&self, moment: Moment, origin: Origin) -> Option<(&'a str, Moment)> {
        match origin {
            Origin::Slot(slot) => Some((self.get(slot)?, moment)),
            _ => None,
        }
    }

    /// The same as [`Self::moment`], beside a time that is known: many senders write one time at several places, and reading
    /// it once is enough.
    fn moment_beside(
        &mut self,
        known: Option<(&'a str, Moment)>,
        field: &'e FieldPlan,
    ) -> Given<Moment> {
        let zone = self.input.rules.time_zone();
        self.first(field, |raw| match known {
            Some((written, moment)) if written == raw => Ok(moment),
            _ => value::moment(raw, zone),
        })
    }

    /// A time of the event by the right clock, never later than now by a little; much later only if its sender knows better.
    fn corrected(&mut self, field: &'e FieldPlan, moment: Moment, origin: Origin) -> i64 {
        let now = self.input.now_ms;
        let rule = match (moment.is_local, &self.input.rules.time_zone) {
            (false, _) => rule(Kind::EventTime),
            (true, Some(_)) => LOCAL,
            (true, None) => LOCAL_AS_UTC,
        };
        let clock = self.clock(moment, origin);
        let is_ahead = moment.millis.saturating_sub(now) > MAX_CLOCK_AHEAD_MS;
        if let Some(clock) = clock.filter(|clock| clock.is_wrong(is_ahead)) {
            self.sent(field, origin, MOVED);
            self.sent(field, clock.sent_from, MOVED);
            self.facts.by_wrong_clock_ms = Some(moment.millis);
            return moment.millis.saturating_add(clock.behind_ms).min(now);
        }
        if is_ahead && clock.is_none() && is_live(self.input.event) {
            self.omitted(field, origin, Omitted::InFuture);
            let rule = if rule == LOCAL_AS_UTC {
                LOCAL_IN_FUTURE
            } else {
                IN_FUTURE
            };
            return self.receipt(Some(field), rule, Some(ReplacedTime::InFuture));
        }
        self.sent(field, origin, rule);
        if is_ahead {
            return moment.millis;
        }
        moment.millis.min(now)
    }

    /// The time of receipt, for an event without a time that can be used.
    #[cold]
    fn receipt(
        &mut self,
        field: Option<&'e FieldPlan>,
        rule: &str,
        replaced: Option<ReplacedTime>,
    ) -> i64 {
        if let Some(field) = field {
            self.sent(field, Origin::Derived("time of receipt"), rule);
        }
        self.facts.replaced_time = replaced;
        self.input.event.received_ms().min(self.input.now_ms)
    }

    /// What the event says about the clock of its sender: `None` without a usable `sentAt` and a time of receipt.
    fn clock(&mut self, moment: Moment, origin: Origin) -> Option<Clock> {
        let plan = self.input.plan;
        let known = self.as_given(moment, origin);
        let sent_at = plan.sent_at.as_ref()?;
        let (sent, sent_from) = self.moment_beside(known, sent_at).read()?;
        let given = plan
            .received_at
            .as_ref()
            .map_or(Given::Absent, |field| self.moment_beside(known, field));
        let received_ms = match given {
            Given::Read(moment, _) => moment.millis,
            Given::Absent if is_live(self.input.event) => self.input.event.received_ms(),
            _ => return None,
        };
        let behind_ms = received_ms.saturating_sub(sent.millis);
        Some(Clock {
            behind_ms,
            sent_from,
            is_corrected: behind_ms.abs() > MAX_CLOCK_AHEAD_MS && self.is_corrected(moment, origin),
        })
    }

    /// Whether a server has corrected the time before: Segment's and RudderStack's write the result to `timestamp`, and leave
    /// what the sender wrote in `originalTimestamp`.
    #[cold]
    fn is_corrected(&mut self, moment: Moment, origin: Origin) -> bool {
        let known = self.as_given(moment, origin);
        let original = self.input.plan.original_time.as_ref();
        let original = original.and_then(|field| self.moment_beside(known, field).read());
        original.is_some_and(|(original, from)| {
            from != origin
                && original.millis.abs_diff(moment.millis) > MAX_STAMPS_APART_MS.unsigned_abs()
        })
    }
}

/// The clock of a sender.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// How far it is behind ours, in milliseconds; below zero if it is ahead.
    behind_ms: i64,
    sent_from: Origin,
    /// Whether the time of the event is by the right clock nevertheless.
    is_corrected: bool,
}

impl Clock {
    /// Whether the event's time is to be corrected. `is_ahead` says that it is in the future, which no later delivery explains.
    fn is_wrong(self, is_ahead: bool) -> bool {
        let is_off = self.behind_ms.abs() > MAX_CLOCK_ERROR_MS
            || is_ahead && self.behind_ms < -MAX_CLOCK_AHEAD_MS;
        is_off && !self.is_corrected
    }
}

/// Whether an event reached its source as it was sent, so that the time of receipt says something about it. The lines of a
/// file can be of any age.
fn is_live(event: &Event) -> bool {
    !matches!(event.origin().place(), Place::Line(_))
}
