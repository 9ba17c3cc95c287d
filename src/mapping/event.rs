//! The parameters at the top of a server event: time, id, source, addresses, data processing options.

use super::draft::{Draft, Origin, Scope, rule};
use super::explain::Trace;
use super::value::{self, LeftOut};
use crate::payload::{ACTION_SOURCES, Kind};
use sha2::{Digest as _, Sha256};

/// How far ahead of ours the clock of a sender may be, in milliseconds: ten minutes. Such an event happened now.
const MAX_CLOCK_AHEAD_MS: i64 = 10 * 60 * 1_000;

/// Characters of an event id. Meta publishes no limit; every id in use is shorter.
const MAX_EVENT_ID_CHARS: usize = 256;

/// State codes of limited data use: 0 lets Meta find out, the others are those of the data processing options page.
const LDU_STATES: std::ops::RangeInclusive<u64> = 1000..=1013;

impl<T: Trace> Draft<'_, '_, '_, '_, T> {
    pub(super) fn event_level(&mut self) {
        self.event_time();
        self.event_id();
        self.action_source();
        let plan = self.plan;
        for field in &plan.event {
            match (field.kind, &*field.name) {
                (Kind::EventTime | Kind::DataProcessingOptions, _)
                | (
                    _,
                    "event_id"
                    | "action_source"
                    | "data_processing_options_country"
                    | "data_processing_options_state",
                ) => {}
                _ => self.plain(Scope::Event, field),
            }
        }
        self.data_processing_options();
    }

    fn event_time(&mut self) {
        let field = self
            .plan
            .event
            .iter()
            .find(|field| field.kind == Kind::EventTime);
        let read = field.and_then(|field| {
            let (time, origin) = self.first(Scope::Event, field, value::time_ms)?;
            self.sent(Scope::Event, field, origin, rule(Kind::EventTime));
            Some(time.saturating_add(self.event.time_shift_ms()))
        });
        let mut millis = read.unwrap_or_else(|| {
            if let Some(field) = field {
                let origin = Origin::Derived("time of receipt");
                self.sent(Scope::Event, field, origin, "no usable time in the event");
            }
            self.event.received_ms()
        });
        if millis > self.now_ms && millis - self.now_ms <= MAX_CLOCK_AHEAD_MS {
            millis = self.now_ms;
        }
        self.facts.event_ms = millis;
        self.facts.event_time = millis.div_euclid(1_000);
        self.json(",\"event_time\":");
        self.integer(self.facts.event_time);
    }

    /// The event's own id, or one that follows from its bytes, so that a repetition has the same.
    fn event_id(&mut self) {
        let field = self
            .plan
            .event
            .iter()
            .find(|field| &*field.name == "event_id");
        let own = field.and_then(|field| {
            let (id, origin) = self.first(Scope::Event, field, |raw| {
                value::text(raw).and_then(|text| {
                    if text.chars().count() > MAX_EVENT_ID_CHARS {
                        return Err(value::TOO_LONG);
                    }
                    Ok(text)
                })
            })?;
            self.sent(Scope::Event, field, origin, rule(Kind::Text));
            Some(id.into_owned())
        });
        let id = own.unwrap_or_else(|| {
            /// Bytes of the digest that become the id: 128 bits, as in a UUID.
            const ID_BYTES: usize = 16;
            if let Some(field) = field {
                let origin = Origin::Derived("the event's bytes");
                self.sent(Scope::Event, field, origin, "SHA-256, first 32 digits");
            }
            const_hex::encode(&Sha256::digest(self.event.raw())[..ID_BYTES])
        });
        self.json(",\"event_id\":");
        self.text(&id);
        self.facts.event_id = id;
    }

    fn action_source(&mut self) {
        let field = self
            .plan
            .event
            .iter()
            .find(|field| &*field.name == "action_source");
        let of_event = field.and_then(|field| {
            let constant = field.constant.as_deref().or(field.default.as_deref());
            let found = self.first(Scope::Event, field, |raw| {
                value::one_of(raw, ACTION_SOURCES)
            });
            if let Some((source, origin)) = found {
                self.sent(Scope::Event, field, origin, rule(field.kind));
                return Some(source);
            }
            value::one_of(constant?, ACTION_SOURCES).ok()
        });
        let source = of_event.unwrap_or_else(|| {
            self.told("action_source", "(settings)", "`action_source`");
            self.mapping.rules.action_source
        });
        self.facts.action_source = source;
        self.json(",\"action_source\":");
        self.text(source);
    }

    /// Limited data use, from the event or else the settings. The three parameters always go together.
    fn data_processing_options(&mut self) {
        let plan = self.plan;
        let named = |name: &str| plan.event.iter().find(|field| &*field.name == name);
        let options = named("data_processing_options").and_then(|field| {
            let (limited, origin) = self.first(Scope::Event, field, limited_data_use)?;
            self.sent(Scope::Event, field, origin, rule(field.kind));
            Some(limited)
        });
        let mut number = |name: &str| {
            let field = named(name)?;
            Some(self.first(Scope::Event, field, value::integer)?.0)
        };
        let country = number("data_processing_options_country");
        let state = number("data_processing_options_state");
        let limited = match options {
            Some(true) => Some(match (country, state) {
                (Some(1), Some(state)) if LDU_STATES.contains(&state) => (1, state),
                _ => self.mapping.rules.limited_data_use.unwrap_or((0, 0)),
            }),
            Some(false) => None,
            None => self.mapping.rules.limited_data_use,
        };
        match limited {
            Some((country, state)) => {
                self.json(
                    ",\"data_processing_options\":[\"LDU\"],\"data_processing_options_country\":",
                );
                self.integer(country);
                self.json(",\"data_processing_options_state\":");
                self.integer(state);
                if options.is_none() {
                    let rule = "`limited_data_use`";
                    self.told("data_processing_options", "(settings)", rule);
                }
            }
            None if options == Some(false) => self.json(",\"data_processing_options\":[]"),
            None => {}
        }
    }
}

/// Whether a value asks for limited data use: `["LDU"]`, `"LDU"` or `true`; an empty list is nothing at all.
fn limited_data_use(raw: &str) -> Result<bool, LeftOut> {
    if let Ok(limited) = value::boolean(raw) {
        return Ok(limited);
    }
    let mut options = value::texts(raw);
    match (options.next(), options.next()) {
        (Some(option), None) if option.eq_ignore_ascii_case("LDU") => Ok(true),
        _ => Err(value::NOT_ALLOWED),
    }
}
