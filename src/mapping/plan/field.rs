//! The plan of one parameter.

use crate::field_mapping::Derived;
use crate::identity::Field;
use crate::payload::{Kind, ParameterId};
use crate::private_text::Key;
use json_paths::{Slot, SlotSequence};

/// How one parameter gets its value.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    /// As mappings name it.
    pub(crate) name: Box<str>,
    /// Its key as JSON, with the colon: `"em":`. Empty for an element of a list.
    pub(crate) key: Box<str>,
    /// The same behind a comma: `,"em":`.
    pub(crate) key_behind_others: Box<str>,
    pub(crate) kind: Kind,
    /// Where its value is looked for, in this order.
    pub(crate) slots: Box<[Slot]>,
    /// How many of `slots` explanations list; those behind them are places of Meta's own name, which every parameter has.
    pub(crate) listed: usize,
    /// Those of `slots` whose key says that a value there must not leave as it is.
    pub(crate) private_slots: Box<[(Slot, Key)]>,
    /// `slots` as one sequence.
    pub(crate) places: SlotSequence,
    /// `slots` as one sequence for each group; the first usable value of each group is sent.
    pub(crate) groups: Box<[SlotSequence]>,
    /// JSON texts from the configuration.
    pub(crate) constant: Option<Box<str>>,
    pub(crate) default: Option<Box<str>>,
    /// What it is computed from where no slot holds a usable value.
    pub(crate) fallback: Option<Derived>,
    /// Its place in the table of parameters, if Meta knows it.
    pub(crate) known: Option<ParameterId>,
}

impl FieldPlan {
    /// Whether it can have a value although none of its slots does: a constant, or a value made from others.
    pub(crate) fn can_do_without_slots(&self) -> bool {
        let is_made_from_others = match self.kind {
            // From a full name, the request, a URL, the visitor's id, the settings, the price of the only item.
            Kind::Hashed(Field::Fn | Field::Ln)
            | Kind::ClientIp
            | Kind::ClickId
            | Kind::BrowserId
            | Kind::Currency
            | Kind::Price => true,
            _ => self.known == Some(ParameterId::ITEM_QUANTITY),
        };
        is_made_from_others
            || self.constant.is_some()
            || self.default.is_some()
            || self.fallback.is_some()
    }

    /// What the key at a slot, or the parameter's own name, says about a value there.
    #[inline]
    pub(crate) fn key_at(&self, slot: Slot) -> Option<Key> {
        if self.private_slots.is_empty() {
            return None;
        }
        let mut slots = self.private_slots.iter();
        slots.find(|(known, _)| *known == slot).map(|(_, key)| *key)
    }

    /// Whether it is the name of an item.
    pub(crate) fn is_item_name(&self) -> bool {
        matches!(
            self.known,
            Some(ParameterId::CONTENT_NAME | ParameterId::ITEM_TITLE)
        )
    }

    /// The slots that explanations list.
    pub(crate) fn listed_slots(&self) -> &[Slot] {
        self.slots.get(..self.listed).unwrap_or_default()
    }

    /// Known parameters in the order of the table, custom ones after them by name.
    pub(super) fn sort_key(&self) -> (bool, Option<ParameterId>, &str) {
        (self.known.is_none(), self.known, &self.name)
    }
}
