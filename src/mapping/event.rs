//! The parameters at the top of a server event: time, id, source, addresses, data processing options.

use super::event_writer::{EventWriter, Origin};
use super::plan::FieldPlan;
use super::trace::Trace;
use super::{json, value};
use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::Kind;
use crate::payload::action_source::{ActionSource, MessagingChannel};
use crate::payload::rule::rule;
use sha2::{Digest as _, Sha256};

/// How far the clock of a sender may be ahead of ours, in milliseconds: ten minutes. The time of such an event becomes now.
const MAX_CLOCK_AHEAD_MS: i64 = 10 * 60 * 1_000;

/// Longest event id, in characters. Meta publishes no limit; every id in use is shorter.
const MAX_EVENT_ID_CHARS: usize = 256;

const LDU: &str = "data_processing_options";
const LDU_COUNTRY: &str = "data_processing_options_country";
const LDU_STATE: &str = "data_processing_options_state";

/// State codes of limited data use, from Meta's page "Data processing options". Code 0 lets Meta determine the state.
pub(super) const LDU_STATES: std::ops::RangeInclusive<u64> = 1000..=1013;

impl<'e, T: Trace> EventWriter<'e, '_, T> {
    pub(super) fn event_level(&mut self) {
        self.event_time();
        self.event_id();
        self.action_source();
        self.messaging_channel();
        let plan = self.input.plan;
        for field in self.within(&plan.event) {
            self.plain(field);
        }
        self.data_processing_options();
    }

    fn event_time(&mut self) {
        let field = self.input.plan.event_time.as_ref();
        let read = field.and_then(|field| {
            let (time, origin) = self.first(field, value::time_ms)?;
            self.sent(field, origin, rule(Kind::EventTime));
            Some(time)
        });
        let mut millis = read.unwrap_or_else(|| {
            if let Some(field) = field {
                let origin = Origin::Derived("time of receipt");
                self.sent(field, origin, "no usable time in the event");
            }
            self.input.event.received_ms()
        });
        if millis > self.input.now_ms && millis - self.input.now_ms <= MAX_CLOCK_AHEAD_MS {
            millis = self.input.now_ms;
        }
        self.facts.event_ms = millis;
        self.facts.event_time = millis.div_euclid(1_000);
        self.append(",\"event_time\":");
        json::integer(self.facts.event_time, &mut self.out);
    }

    /// The event's own id, or one that is computed from its bytes, so that a repeated event has the same id.
    fn event_id(&mut self) {
        let field = self.input.plan.event_id.as_ref();
        let own = field.and_then(|field| {
            let (id, origin) = self.first(field, |raw| {
                json_text::text(raw).and_then(|text| {
                    if text.chars().count() > MAX_EVENT_ID_CHARS {
                        return Err(Omitted::TooLong);
                    }
                    Ok(text)
                })
            })?;
            self.sent(field, origin, rule(Kind::Text));
            Some(Box::from(id))
        });
        let id = own.unwrap_or_else(|| {
            /// Bytes of the digest that the id consists of: 128 bits, as in a UUID.
            const ID_BYTES: usize = 16;
            if let Some(field) = field {
                let origin = Origin::Derived("the event's bytes");
                self.sent(field, origin, "SHA-256, first 32 digits");
            }
            const_hex::encode(&Sha256::digest(self.input.event.raw())[..ID_BYTES]).into()
        });
        self.append(",\"event_id\":");
        json::text(&id, &mut self.out);
        self.facts.event_id = id;
    }

    fn action_source(&mut self) {
        let field = self.input.plan.action_source.as_ref();
        let of_event = field.and_then(|field| self.word(field, ActionSource::WORDS));
        let source = of_event.map_or_else(
            || {
                self.sent_by_name("action_source", "(settings)", "`action_source`");
                self.input.rules.action_source
            },
            |position| ActionSource::ALL[position],
        );
        self.facts.action_source = source;
        self.append(",\"action_source\":");
        json::plain_text(source.word(), &mut self.out);
    }

    /// Where a conversation took place. Other events have no channel.
    fn messaging_channel(&mut self) {
        if self.facts.action_source != ActionSource::BusinessMessaging {
            return;
        }
        let Some(field) = &self.input.plan.messaging_channel else {
            return;
        };
        if let Some(position) = self.word(field, MessagingChannel::WORDS) {
            let channel = MessagingChannel::ALL[position];
            self.facts.messaging_channel = Some(channel);
            self.key(field);
            json::plain_text(channel.word(), &mut self.out);
        } else {
            self.absent(field);
        }
    }

    /// The position in a closed set of the word that a field holds: a constant, else the event's, else a default.
    fn word(&mut self, field: &'e FieldPlan, allowed: &[&'static str]) -> Option<usize> {
        let (position, origin) = match &field.constant {
            Some(raw) => (value::position_of(raw, allowed).ok()?, Origin::Constant),
            None => self
                .first(field, |raw| value::position_of(raw, allowed))
                .or_else(|| {
                    let raw = field.default.as_deref()?;
                    Some((value::position_of(raw, allowed).ok()?, Origin::Default))
                })?,
        };
        self.sent(field, origin, rule(field.kind));
        Some(position)
    }

    /// Limited data use, from the event, else from the settings. The three parameters are always sent together: for a country
    /// without a state, Meta would locate the visitor itself.
    fn data_processing_options(&mut self) {
        let of_settings = self.input.rules.limited_data_use;
        let asked = self.limited_data_use();
        let plan = &self.input.plan.limited_data_use;
        let country = self.limited_code(plan.country.as_ref(), |code| code <= 1);
        let is_state = |code| code == 0 || LDU_STATES.contains(&code);
        let state = self.limited_code(plan.state.as_ref(), is_state);
        let is_limited = asked.unwrap_or(of_settings.is_some());
        if is_limited {
            let place = limited_place(country.map(|(code, _)| code), state.map(|(code, _)| code));
            let (country, state) = place.or(of_settings).unwrap_or((0, 0));
            self.append(
                ",\"data_processing_options\":[\"LDU\"],\"data_processing_options_country\":",
            );
            json::integer(country, &mut self.out);
            self.append(",\"data_processing_options_state\":");
            json::integer(state, &mut self.out);
        } else if asked.is_some() {
            self.append(",\"data_processing_options\":[]");
        }
        if asked.is_none() {
            self.limited_by_settings(LDU, plan.options.as_ref(), is_limited);
        }
        for (name, field, code) in [
            (LDU_COUNTRY, plan.country.as_ref(), country),
            (LDU_STATE, plan.state.as_ref(), state),
        ] {
            match (field, code) {
                (Some(field), Some((_, origin))) if is_limited => {
                    self.sent(field, origin, rule(field.kind));
                }
                (Some(field), Some((_, origin))) => {
                    self.omitted(field, origin, Omitted::NotLimited);
                }
                _ => self.limited_by_settings(name, field, is_limited),
            }
        }
    }

    /// Reports a parameter of limited data use that the event does not have.
    fn limited_by_settings(&mut self, name: &str, field: Option<&'e FieldPlan>, is_limited: bool) {
        if is_limited {
            self.sent_by_name(name, "(settings)", "`limited_data_use`");
        } else if let Some(field) = field {
            self.absent(field);
        }
    }

    /// Whether the event asks for limited data use, if it says so.
    fn limited_data_use(&mut self) -> Option<bool> {
        let field = self.input.plan.limited_data_use.options.as_ref()?;
        let found = self.first(field, limited_data_use);
        if let Some((limited, origin)) = found {
            self.sent(field, origin, rule(field.kind));
            return Some(limited);
        }
        let constant = field.constant.as_deref().or(field.default.as_deref())?;
        limited_data_use(constant).ok()
    }

    fn limited_code(
        &mut self,
        field: Option<&'e FieldPlan>,
        is_known: impl Fn(u64) -> bool,
    ) -> Option<(u64, Origin)> {
        let field = field?;
        let known = |raw: &str| match value::integer(raw) {
            Ok(code) if !is_known(code) => Err(Omitted::NotAllowed),
            code => code,
        };
        self.first(field, known).or_else(|| {
            let constant = field.constant.as_deref().or(field.default.as_deref())?;
            Some((known(constant).ok()?, Origin::Constant))
        })
    }
}

/// Country and state of limited data use as the event has them: a state of the United States with a law about it, or zeros,
/// which let Meta determine them. A state implies the country.
fn limited_place(country: Option<u64>, state: Option<u64>) -> Option<(u64, u64)> {
    match (country, state) {
        (Some(1) | None, Some(state)) if state != 0 => Some((1, state)),
        (Some(1) | None, None) => None,
        _ => Some((0, 0)),
    }
}

/// Whether a value asks for limited data use: `["LDU"]`, `"LDU"` or `true`. An empty list counts as missing, and does not get here.
pub(super) fn limited_data_use(raw: &str) -> Result<bool, Omitted> {
    if let Ok(limited) = value::boolean(raw) {
        return Ok(limited);
    }
    let mut options = json_text::texts(raw);
    match (options.next(), options.next()) {
        (Some(option), None) if option.eq_ignore_ascii_case("LDU") => Ok(true),
        _ => Err(Omitted::NotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that an event can have: nothing, the whole country, a state with and without the country, nonsense.
    #[test]
    fn limited_data_use_applies_to_a_state_or_to_what_meta_determines() {
        for (country, state, expected) in [
            (None, None, None),
            (Some(1), None, None),
            (Some(0), None, Some((0, 0))),
            (None, Some(0), Some((0, 0))),
            (Some(1), Some(0), Some((0, 0))),
            (Some(0), Some(1000), Some((0, 0))),
        ] {
            assert_eq!(limited_place(country, state), expected);
        }
        for state in LDU_STATES {
            assert_eq!(limited_place(Some(1), Some(state)), Some((1, state)));
            assert_eq!(limited_place(None, Some(state)), Some((1, state)));
        }
    }
}
