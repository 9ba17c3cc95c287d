//! Parameters that need nothing but their own value, and objects of them.

use super::event_writer::EventWriter;
use super::given::{Given, Origin};
use super::plan::{FieldPlan, Fields};
use super::trace::Trace;
use super::{json, value};
use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::Kind;
use crate::payload::rule::{HASHED_ID, rule};
use crate::private_text::Key;
use json_paths::{MAX_ELEMENTS, Slot};

impl<'e, T: Trace> EventWriter<'e, '_, T> {
    /// Writes an object of plain parameters, unless none of them has a value.
    pub(super) fn object(&mut self, opening: &str, fields: &'e Fields) {
        let mark = self.out.len();
        json::comma(&mut self.out);
        self.append(opening);
        let start = self.out.len();
        for field in self.within(fields) {
            self.plain(field);
        }
        if self.out.len() == start {
            self.out.truncate(mark);
        } else {
            self.out.push(b'}');
        }
    }

    /// Writes a parameter that needs nothing but its own value. Answers what the event gives for it: a default is written only
    /// where that is nothing.
    pub(super) fn plain(&mut self, field: &'e FieldPlan) -> Given<()> {
        if let Some(raw) = &field.constant {
            return self.configured(field, raw, Origin::Constant);
        }
        let mut given = Given::Absent;
        for (slot, raw) in self.values(field) {
            match self.plain_value(field, slot, raw) {
                Ok(()) => return Given::Read((), Origin::Slot(slot)),
                Err(why) if why.counts_as_absent() => {}
                Err(_) => given = Given::Unreadable,
            }
        }
        if let Some(raw) = &field.default
            && given.is_absent()
        {
            return self.configured(field, raw, Origin::Default);
        }
        if field.fallback.is_none() {
            self.absent(field);
        }
        given
    }

    /// Writes a value that was found; after an error, nothing of it is left.
    #[inline]
    fn plain_value(&mut self, field: &FieldPlan, slot: Slot, raw: &str) -> Result<(), Omitted> {
        let origin = Origin::Slot(slot);
        if self.may_be_of_a_person(field, slot) {
            self.omitted(field, origin, Omitted::PerhapsAPerson);
            return Err(Omitted::PerhapsAPerson);
        }
        if let Some(key) = field.key_at(slot) {
            match self.at_private_key(field, key, raw, origin) {
                Kept::Hashed => return Ok(()),
                Kept::Omitted(why) => return Err(why),
                Kept::AsUsual => {}
            }
        }
        if !value::can_copy(field.kind, raw) {
            return self.converted(field, origin, raw);
        }
        self.key(field);
        self.append(raw);
        self.sent(field, origin, rule(field.kind));
        Ok(())
    }

    /// Writes a value that does not have the form of its kind yet; after an error, nothing of it is left.
    #[inline(never)]
    fn converted(&mut self, field: &FieldPlan, origin: Origin, raw: &str) -> Result<(), Omitted> {
        let mark = self.out.len();
        self.key(field);
        match self.append_value(field.kind, raw) {
            Ok(rule) => {
                self.sent(field, origin, rule);
                Ok(())
            }
            Err(why) => {
                self.out.truncate(mark);
                self.omitted(field, origin, why);
                Err(why)
            }
        }
    }

    /// Appends a value in the form of its kind.
    fn append_value(&mut self, kind: Kind, raw: &str) -> Result<&'static str, Omitted> {
        if kind != Kind::EventTime {
            return value::append(kind, raw, &mut self.out);
        }
        let moment = value::moment(raw, self.input.rules.time_zone())?;
        json::integer(moment.millis.div_euclid(1_000), &mut self.out);
        Ok(rule(kind))
    }

    /// Writes a value of the configuration.
    pub(super) fn configured(&mut self, field: &FieldPlan, raw: &str, origin: Origin) -> Given<()> {
        match self.converted(field, origin, raw) {
            Ok(()) => Given::Read((), origin),
            Err(_) => Given::Unreadable,
        }
    }

    /// Hashes an id, and omits a text, whose key says that it must not leave as it is.
    #[cold]
    fn at_private_key(&mut self, field: &FieldPlan, key: Key, raw: &str, origin: Origin) -> Kept {
        let texts = json_text::elements(raw).take(MAX_ELEMENTS);
        let mut texts = texts.filter_map(|element| json_text::text(element).ok());
        let Some(why) = texts.find_map(|text| key.why(&text)) else {
            return Kept::AsUsual;
        };
        let mark = self.out.len();
        if matches!(field.kind, Kind::Identifier | Kind::ItemId | Kind::DeviceId)
            && let Ok(id) = value::identifier(raw)
        {
            self.key(field);
            if value::append_hashed_id(&id, &mut self.out).is_ok() {
                self.sent(field, origin, HASHED_ID);
                return Kept::Hashed;
            }
            self.out.truncate(mark);
        }
        self.omitted(field, origin, why);
        Kept::Omitted(why)
    }

    /// Whether an item's name could be a person's, because a person's traits are beside it.
    fn may_be_of_a_person(&self, field: &FieldPlan, slot: Slot) -> bool {
        let name = self.input.plan.name.as_ref();
        self.scope.item.is_none()
            && name.is_some_and(|name| name.slot == slot)
            && field.is_item_name()
            && name.is_some_and(|name| {
                let mut traits = name.traits.iter();
                traits.any(|slot| self.get(*slot).is_some())
            })
    }
}

/// What became of a value whose key says that it is about a person or opens a door.
enum Kept {
    /// It is written like any other value.
    AsUsual,
    /// It is an id, and its hash is written.
    Hashed,
    Omitted(Omitted),
}
