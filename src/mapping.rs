//! From an event and a compiled preset to a server event; pure.
//!
//! The event's text is read once, along the paths that the preset names ([`json_paths`]). The values are decoded,
//! normalized, hashed and written straight into the bytes of the server event, in the order of
//! [`crate::payload::PARAMETERS`]. A parameter with an unusable value is omitted; the event is sent without it.
//!
//! Invariant: every failure is an [`Encoded`] that says why, and personal data enters the output only through
//! [`crate::identity`].

mod action_source;
pub(crate) mod advice;
mod app_data;
mod browser_ids;
mod compile;
mod contents;
mod cookies;
mod custom_data;
mod event;
mod event_time;
mod event_writer;
pub(crate) mod explanation;
mod field_writer;
mod given;
mod json;
mod label;
pub(crate) mod layers;
mod meta_names;
pub(crate) mod plan;
mod refit;
mod several;
pub(crate) mod trace;
mod unmapped;
mod url;
mod user_data;
pub(crate) mod value;
mod wishes;

use crate::consent::{Consent, ConsentCategory, ConsentOptions, WhenAbsent};
use crate::integrations::Integrations;
use crate::json_text;
use crate::preset::Preset;
use crate::private_text::{self, Use};
use crate::reason;
use crate::validate::{self, Facts};
use bytes::Bytes;
use event_writer::{EventWriter, Input, Scope};
use json_paths::Path;
use json_paths::{Found, Paths, ReadError, Slot};
use layers::Overrides;
use pipeline_core::options::Problem;
use pipeline_core::{Encoded, Event, Filtered, Reason, Record, Rejection};
use plan::{EventPlan, Plans, Rules};
use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;
use trace::{Passed, Trace};

/// A preset with its overrides, compiled.
#[derive(Debug)]
pub(crate) struct Mapping {
    paths: Paths,
    plans: Plans,
    consent: Consent,
    /// The rule for cookies: a grant of marketing in the event, beside whatever the sink requires.
    consent_to_cookies: Consent,
    integrations: Integrations,
    event_type: Slot,
    /// Where an event says what its data may be used for, sorted.
    wishes: Vec<Slot>,
    /// Where an event has its name, in the order in which they are looked at.
    event_names: [Slot; 2],
    rules: Rules,
}

impl Mapping {
    /// Compiles a preset with everything that a pipeline file says about it.
    ///
    /// # Errors
    ///
    /// Every problem, each with its place.
    pub(crate) fn compile(
        preset: &Preset,
        overrides: &Overrides<'_>,
        categories: &[ConsentCategory],
        consent: &ConsentOptions,
        integration_names: &[String],
        rules: Rules,
    ) -> Result<Self, Vec<Problem>> {
        let mut paths = Paths::default();
        let plans = compile::compile(preset, overrides, &mut paths);
        let to_cookies = [categories, &[ConsentCategory::Marketing]].concat();
        let explicit = ConsentOptions {
            when_absent: WhenAbsent::Drop,
            ..consent.clone()
        };
        let consent = Consent::compile(categories, consent, &mut paths);
        let (plans, consent) = match (plans, consent) {
            (Ok(plans), Ok(consent)) => (plans, consent),
            (plans, consent) => {
                let problems = [plans.err(), consent.err()];
                return Err(problems.into_iter().flatten().flatten().collect());
            }
        };
        let consent_to_cookies = Consent::compile(&to_cookies, &explicit, &mut paths)?;
        let integrations = Integrations::compile(integration_names, &mut paths);
        let mut slot = |key: &str| Path::parse(key).map(|path| paths.slot(&path));
        let (Ok(event_type), Ok(event), Ok(event_name)) =
            (slot("type"), slot("event"), slot("event_name"))
        else {
            return Err(Vec::new());
        };
        let mut wishes: Vec<Slot> = consent.slots().chain(integrations.slots()).collect();
        wishes.extend(plans.iter().flat_map(|plan| plan.slots_of_wishes()));
        wishes.sort_unstable();
        wishes.dedup();
        Ok(Self {
            paths,
            plans,
            consent,
            consent_to_cookies,
            integrations,
            wishes,
            event_type,
            event_names: [event, event_name],
            rules,
        })
    }

    /// Encodes an event at the time `now_ms`, and reports every decision to `trace`.
    pub(crate) fn encode(&self, event: &Event, now_ms: i64, trace: &mut impl Trace) -> Encoded {
        self.encode_by(&self.rules, event, now_ms, trace)
    }

    /// The same by rules that need not be the sink's own.
    fn encode_by(
        &self,
        rules: &Rules,
        event: &Event,
        now_ms: i64,
        trace: &mut impl Trace,
    ) -> Encoded {
        let mut label = None;
        match self.try_encode(rules, event, now_ms, &mut label, trace) {
            Ok(record) => Encoded::Record(record),
            Err(Unsent::Filtered(reason)) => {
                Encoded::Filtered(Filtered::new(reason).with_label(label))
            }
            Err(Unsent::Rejected(reason, record)) => {
                Encoded::Rejected(Rejection::new(reason).with_record(record).with_label(label))
            }
        }
    }

    fn try_encode(
        &self,
        rules: &Rules,
        event: &Event,
        now_ms: i64,
        label: &mut Option<Arc<str>>,
        trace: &mut impl Trace,
    ) -> Result<Record, Unsent> {
        let found = self.paths.read_bytes(event.raw())?;
        trace.named(|| self.own_name(&found));
        let mut scratch = Scratch::take();
        let (plan, own_name) = self.plan(&found, &mut scratch.value, label, trace)?;
        let wishes = self.consent.check(&found);
        let wishes = wishes.and_then(|()| self.integrations.check(&found));
        if let Err(reason) = wishes.and_then(|()| self.check_repeats(&found)) {
            *label = Some(Arc::clone(&plan.label));
            return Err(Unsent::Filtered(reason));
        }
        let name = plan.meta_name.as_deref().unwrap_or(&own_name);
        let mut writer = EventWriter {
            input: Input {
                rules,
                paths: &self.paths,
                plan,
                found: &found,
                event,
                now_ms,
            },
            scope: Scope::of_event(&found),
            out: scratch.out,
            scratch: scratch.value,
            item_ids: scratch.item_ids,
            facts: Facts::default(),
            trace,
        };
        writer.write(name);
        let EventWriter {
            out,
            scratch: value,
            item_ids,
            mut facts,
            trace,
            ..
        } = writer;
        let payload = Scratch {
            out,
            value,
            item_ids,
        }
        .into_payload();
        let record = Record::from_parts(
            payload,
            std::mem::take(&mut facts.event_id),
            Arc::clone(&rules.pixel_id),
            Arc::clone(&plan.label),
            facts.event_time,
            facts.expires_at(),
        );
        match validate::check(name, &facts, now_ms) {
            None => {
                trace.passed(Passed {
                    meta_event: plan.meta_event,
                    identifiers: facts.identifiers,
                    has_click: facts.has_click,
                    click_is_of_page: facts.click_is_of_page,
                    fbp_is_made: facts.fbp_is_made,
                });
                if let Some(why) = facts.replaced_time {
                    trace.time_replaced(why);
                }
                Ok(record)
            }
            Some(reason) => {
                *label = Some(Arc::clone(&plan.label));
                // A record that lacks what could not be read must not be sent later either.
                let is_whole = facts.unreadable.is_none();
                Err(Unsent::Rejected(reason, is_whole.then(|| Box::new(record))))
            }
        }
    }

    /// Refuses an event that says twice, and not alike, what its data may be used for.
    #[inline]
    fn check_repeats(&self, found: &Found<'_>) -> Result<(), Reason> {
        let mut repeats = found.repeats();
        match repeats.next() {
            None => Ok(()),
            Some(first) => self.check_each_repeat(found, std::iter::once(first).chain(repeats)),
        }
    }

    #[cold]
    fn check_each_repeat<'a>(
        &self,
        found: &Found<'a>,
        mut repeats: impl Iterator<Item = (Slot, &'a str)>,
    ) -> Result<(), Reason> {
        let differs = |(slot, earlier): &(Slot, &str)| {
            self.wishes.binary_search(slot).is_ok() && found.get(*slot) != Some(*earlier)
        };
        match repeats.find(differs) {
            Some((slot, _)) => Err(reason::given_twice(Some(self.paths.path(slot)))),
            None if found.has_more_repeats() => Err(reason::given_twice(None)),
            None => Ok(()),
        }
    }

    /// Every path at which the parameter of this name is looked for in any event, in that order.
    pub(crate) fn looked_in(&self, name: &str) -> Vec<String> {
        let mut paths = Vec::new();
        for plan in self.plans.iter() {
            let field = plan.user_data.iter().find(|field| &*field.name == name);
            for slot in field.into_iter().flat_map(|field| plan.slots(field)) {
                let path = self.paths.path(slot).to_string();
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        paths
    }

    /// The label of every event that a table names.
    pub(crate) fn event_labels(&self) -> Vec<Arc<str>> {
        let plans = self.plans.iter();
        let named = plans.filter(|plan| plan.meta_name.is_some());
        named.map(|plan| Arc::clone(&plan.label)).collect()
    }

    /// The Meta events that the plans lead to; see [`Plans::meta_events`].
    pub(crate) fn meta_events(&self) -> &[Box<str>] {
        self.plans.meta_events()
    }

    /// The names of the events that the mapping knows, as the tables spell them.
    pub(crate) fn event_names(&self) -> impl Iterator<Item = &str> {
        self.plans.names().map(|(spelling, _)| spelling)
    }

    /// How many events the fallback parser read: see [`Paths::fallback_reads`].
    pub(crate) fn fallback_reads(&self) -> u64 {
        self.paths.fallback_reads()
    }

    /// The event's own name for people: that of a track call, else the type of the call.
    fn own_name(&self, found: &Found<'_>) -> Option<Arc<str>> {
        let text = |slot| found.get(slot).and_then(|raw| json_text::text(raw).ok());
        let event_type = text(self.event_type);
        let is_track = |word: &str| word.eq_ignore_ascii_case("track");
        let name = match event_type.as_deref() {
            Some(word) if !is_track(word) => None,
            _ => self.event_names.iter().find_map(|slot| text(*slot)),
        };
        let name = name.or(event_type)?;
        Some(label::of_unmapped(&name))
    }

    /// The plan for an event, and the event's own name. `key` is overwritten; `label` is set where there is no plan.
    fn plan<'a>(
        &self,
        found: &Found<'a>,
        key: &mut String,
        label: &mut Option<Arc<str>>,
        trace: &impl Trace,
    ) -> Result<(&EventPlan, Cow<'a, str>), Unsent> {
        let text = |slot| found.get(slot).and_then(|raw| json_text::text(raw).ok());
        let event_type = text(self.event_type);
        let is = |name: &str| {
            event_type
                .as_deref()
                .is_some_and(|event_type| event_type.eq_ignore_ascii_case(name))
        };
        let name = if is("page") || is("screen") {
            Cow::Borrowed("page")
        } else if is("track") || event_type.is_none() {
            let name = self.event_names.iter().find_map(|slot| text(*slot));
            name.ok_or_else(|| Unsent::Rejected(reason::no_event_name(), None))?
        } else {
            *label = event_type.as_deref().map(label::of_unmapped);
            return Err(Unsent::Filtered(reason::not_a_conversion()));
        };
        if let Some(plan) = self.plans.find(&name, key) {
            return Ok((plan, name));
        }
        if let Some(dropped) = self.plans.dropped(key) {
            *label = Some(Arc::clone(dropped));
            return Err(Unsent::Filtered(reason::dropped_by_config()));
        }
        match &self.plans.unmapped {
            None => {
                *label = Some(label::of_unmapped(&name));
                let reason = if trace.wants_details() {
                    Reason::new("unmapped", unmapped::detail(&name, &self.plans))
                } else {
                    reason::unmapped()
                };
                Err(if self.rules.rejects_unmapped {
                    Unsent::Rejected(reason, None)
                } else {
                    Unsent::Filtered(reason)
                })
            }
            Some(plan) if name.chars().count() > crate::payload::MAX_EVENT_NAME_CHARS => {
                *label = Some(Arc::clone(&plan.label));
                Err(Unsent::Rejected(reason::event_name_too_long(), None))
            }
            Some(plan) if private_text::found(&name, Use::Words).is_some() => {
                *label = Some(Arc::clone(&plan.label));
                Err(Unsent::Rejected(reason::private_event_name(), None))
            }
            Some(plan) => Ok((plan, name)),
        }
    }
}

/// Memory that is used again for each event of a thread.
#[derive(Default)]
struct Scratch {
    /// Holds the server event. Its record gets a copy that is no larger than necessary, because a buffer may hold millions of
    /// records.
    out: Vec<u8>,
    /// Holds one value at a time.
    value: String,
    /// Holds the ids of the items.
    item_ids: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch { out: Vec::new(), value: String::new(), item_ids: Vec::new() }) };
}

impl Scratch {
    fn take() -> Self {
        /// Bytes of a usual server event.
        const USUAL_BYTES: usize = 2_048;
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        scratch.out.clear();
        scratch.out.reserve(USUAL_BYTES);
        scratch.value.clear();
        scratch.item_ids.clear();
        scratch
    }

    /// The server event. Keeps the memory for the next one, unless a rare large event has made it large.
    fn into_payload(self) -> Bytes {
        /// Bytes of a server event with hundreds of items.
        const MAX_KEPT_BYTES: usize = 128 * 1_024;
        let payload = Bytes::copy_from_slice(&self.out);
        let capacity = self.out.capacity() + self.value.capacity() + self.item_ids.capacity();
        if capacity <= MAX_KEPT_BYTES {
            // A thread that is ending keeps nothing.
            let _ = SCRATCH.try_with(|scratch| scratch.set(self));
        }
        payload
    }
}

/// Why an event has no record.
enum Unsent {
    Filtered(Reason),
    Rejected(Reason, Option<Box<Record>>),
}

impl From<ReadError> for Unsent {
    fn from(why: ReadError) -> Self {
        Self::Rejected(reason::malformed_json(why), None)
    }
}
