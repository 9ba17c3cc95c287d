//! The parameters at the top of a server event, in their order, and those that have no file of their own: id, channel, addresses.

use super::event_writer::EventWriter;
use super::given::Origin;
use super::plan::FieldPlan;
use super::trace::Trace;
use super::{json, value};
use crate::omitted::Omitted;
use crate::payload::Kind;
use crate::payload::action_source::{ActionSource, MessagingChannel};
use crate::payload::rule::{HASHED_ID, rule};
use crate::private_text::{self, Use};
use sha2::{Digest as _, Sha256};

/// Longest event id, in characters. Meta publishes no limit; every id in use is shorter.
const MAX_EVENT_ID_CHARS: usize = 256;

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
        self.wishes();
    }

    /// The event's own id, or one that is computed from its bytes, so that a repeated event has the same id.
    fn event_id(&mut self) {
        let field = self.input.plan.event_id.as_ref();
        let own = field.and_then(|field| {
            let (id, origin) = self
                .first(field, |raw| {
                    value::identifier(raw).and_then(|text| {
                        // A character has at least one byte.
                        if text.len() > MAX_EVENT_ID_CHARS
                            && text.chars().count() > MAX_EVENT_ID_CHARS
                        {
                            return Err(Omitted::TooLong);
                        }
                        Ok(text)
                    })
                })
                .read()?;
            let is_private = private_text::found(&id, Use::Id).is_some();
            let hashed = is_private.then(|| value::hashed_id(&id)).flatten();
            let rule = match hashed {
                Some(_) => HASHED_ID,
                None => rule(Kind::Identifier),
            };
            self.sent(field, origin, rule);
            Some(hashed.unwrap_or_else(|| Box::from(id)))
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
                .read()
                .or_else(|| {
                    let raw = field.default.as_deref()?;
                    Some((value::position_of(raw, allowed).ok()?, Origin::Default))
                })?,
        };
        self.sent(field, origin, rule(field.kind));
        Some(position)
    }
}
