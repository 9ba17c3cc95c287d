//! What a person wished: `opt_out`, and limited data use.
//!
//! Senders put wishes at several places. One yes is enough, whatever the other places say.
//!
//! Invariant: a wish that is given and cannot be read is never taken for none: the event is rejected, unless the options limit
//! the use of its data anyway.

use super::event_writer::{EventWriter, Input};
use super::given::Origin;
use super::json;
use super::plan::FieldPlan;
use super::trace::Trace;
use super::value::{self, LimitedDataUse};
use crate::omitted::Omitted;
use crate::payload::rule::rule;
use crate::reason;
use json_paths::{Path, Slot};
use pipeline_core::Reason;

const LDU: &str = "data_processing_options";
const LDU_COUNTRY: &str = "data_processing_options_country";
const LDU_STATE: &str = "data_processing_options_state";

/// What all values of a field say together.
pub(super) struct Answer<R> {
    /// A decisive answer if there is one, else the first answer.
    pub(super) read: Option<(R, Origin)>,
    /// A value that cannot be read, where no answer is decisive.
    pub(super) unreadable: Option<Slot>,
}

impl<'e, 'a, T: Trace> EventWriter<'e, 'a, T> {
    /// What all values of a field say. A decisive answer counts wherever it is; `read` also gets the slot of the value.
    pub(super) fn answer<R: Copy>(
        &mut self,
        field: &'e FieldPlan,
        read: impl Fn(Slot, &'a str) -> Result<R, Omitted>,
        is_decisive: impl Fn(R) -> bool,
    ) -> Answer<R> {
        let mut answer = Answer {
            read: None,
            unreadable: None,
        };
        for (slot, raw) in self.values(field) {
            let origin = Origin::Slot(slot);
            match read(slot, raw) {
                Ok(said) if is_decisive(said) => {
                    return Answer {
                        read: Some((said, origin)),
                        unreadable: None,
                    };
                }
                Ok(said) => answer.read = answer.read.or(Some((said, origin))),
                Err(why) => {
                    self.omitted(field, origin, why);
                    if !why.counts_as_absent() {
                        answer.unreadable = answer.unreadable.or(Some(slot));
                    }
                }
            }
        }
        answer
    }

    /// Writes what a person wished, which most events say nothing about.
    pub(super) fn wishes(&mut self) {
        let Input { plan, rules, .. } = self.input;
        let is_given = self.scope.has_any(&plan.wishes);
        if is_given || plan.has_own_wishes || rules.limited_data_use.is_some() || T::WANTS_ABSENT {
            self.opt_out();
            self.data_processing_options();
        }
    }

    /// Writes whether the event may be used for attribution only.
    fn opt_out(&mut self) {
        let Some(field) = &self.input.plan.opt_out else {
            return;
        };
        let unreadable = |place: &Path| reason::unreadable_privacy_wish(place, "true or false");
        self.decided(field, |_, raw| value::boolean(raw), true, unreadable);
    }

    /// Writes a yes or a no; one of the two is decisive. Rejects the event if it may have said that one.
    pub(super) fn decided(
        &mut self,
        field: &'e FieldPlan,
        read: impl Fn(Slot, &'a str) -> Result<bool, Omitted>,
        decisive: bool,
        unreadable: impl FnOnce(&Path) -> Reason,
    ) {
        if let Some(raw) = &field.constant {
            self.configured(field, raw, Origin::Constant);
            return;
        }
        let answer = self.answer(field, read, |said| said == decisive);
        if let Some(slot) = answer.unreadable {
            return self.refuse(slot, unreadable);
        }
        match (answer.read, &field.default) {
            (Some((said, origin)), _) => {
                self.key(field);
                json::boolean(said, &mut self.out);
                self.sent(field, origin, rule(field.kind));
            }
            (None, Some(raw)) => {
                self.configured(field, raw, Origin::Default);
            }
            (None, None) => self.absent(field),
        }
    }

    /// Limited data use, from the event, else from the settings. The three parameters are always sent together: for a country
    /// without a state, Meta would locate the visitor itself.
    fn data_processing_options(&mut self) {
        let of_settings = self.input.rules.limited_data_use;
        let asked = self.limited_data_use();
        let plan = &self.input.plan.limited_data_use;
        let beside = asked.and_then(|(asked, origin)| Some((asked, origin?)));
        let country = beside
            .and_then(|(asked, origin)| Some((asked.country?, origin)))
            .or_else(|| self.limited_code(plan.country.as_ref(), value::country_code));
        let state = beside
            .and_then(|(asked, origin)| Some((asked.state?, origin)))
            .or_else(|| self.limited_code(plan.state.as_ref(), value::state_code));
        let is_limited = asked.map_or(of_settings.is_some(), |(asked, _)| asked.is_limited);
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

    /// What the event says about limited data use, and where; what the configuration says has no origin.
    fn limited_data_use(&mut self) -> Option<(LimitedDataUse, Option<Origin>)> {
        let field = self.input.plan.limited_data_use.options.as_ref()?;
        let read = |_, raw| value::limited_data_use(raw);
        let answer = self.answer(field, read, |asked| asked.is_limited);
        if let Some(slot) = answer.unreadable {
            if self.input.rules.limited_data_use.is_none() {
                self.refuse(slot, |place| {
                    reason::unreadable_privacy_wish(place, "`[\"LDU\"]` or an empty list")
                });
            }
            return None;
        }
        if let Some((asked, origin)) = answer.read {
            self.sent(field, origin, rule(field.kind));
            return Some((asked, Some(origin)));
        }
        let constant = field.constant.as_deref().or(field.default.as_deref())?;
        Some((value::limited_data_use(constant).ok()?, None))
    }

    fn limited_code(
        &mut self,
        field: Option<&'e FieldPlan>,
        read: impl Fn(&str) -> Result<u64, Omitted>,
    ) -> Option<(u64, Origin)> {
        let field = field?;
        self.first(field, &read).read().or_else(|| {
            let constant = field.constant.as_deref().or(field.default.as_deref())?;
            Some((read(constant).ok()?, Origin::Constant))
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
        for state in value::STATE_CODES {
            assert_eq!(limited_place(Some(1), Some(state)), Some((1, state)));
            assert_eq!(limited_place(None, Some(state)), Some((1, state)));
        }
    }
}
