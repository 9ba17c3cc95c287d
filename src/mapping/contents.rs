//! `custom_data.contents`: the items of an event.
//!
//! Meta accepts an item only with an id and a quantity. An absent quantity is one; a quantity that was given and cannot be read
//! is never replaced, so its item is not in `contents`, though its id still counts among the ids.

use super::event_writer::{EventWriter, Input, ItemScope, Scope};
use super::given::{Given, Origin};
use super::plan::{FieldPlan, ItemList, ItemSource, ItemsPlan};
use super::trace::Trace;
use super::{json, value};
use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::rule::rule;
use crate::payload::{Kind, ParameterId};
use json_paths::Slot;
use std::ops::Range;

/// What explanations call the items.
const CONTENTS: &str = "custom_data.contents[]";

/// What other parameters are computed from.
#[derive(Debug, Default)]
pub(super) struct Items {
    pub(super) ids: ItemIds,
    /// The sum of all quantities; `None` where one of them cannot be read.
    pub(super) quantity: Option<u64>,
    /// The price and the quantity of the only item.
    pub(super) only: Option<(Range<usize>, u64)>,
    /// To which kind of catalog the ids belong.
    pub(super) kind: CatalogKind,
    /// Whether an item has a price.
    pub(super) has_price: bool,
    pub(super) currency: ItemCurrency,
}

/// The ids of all items, also of those that are not in `contents`, as JSON.
#[derive(Debug, Default)]
pub(super) struct ItemIds {
    /// With commas between them. It is memory of the writer's that is used again for each event.
    pub(super) json: Vec<u8>,
    pub(super) count: usize,
}

impl ItemIds {
    fn add(&mut self, id: &[u8]) {
        if self.count > 0 {
            self.json.push(b',');
        }
        self.json.extend_from_slice(id);
        self.count += 1;
    }
}

/// To which kind of catalog the items of an event belong, as the keys of their ids say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum CatalogKind {
    /// There is no item.
    #[default]
    NoItem,
    /// The keys do not say.
    Unknown,
    /// All to this one, a value of `content_type`.
    Known(&'static str),
    /// To different ones.
    Mixed,
}

impl CatalogKind {
    fn add(&mut self, kind: Option<&'static str>) {
        let kind = kind.map_or(Self::Unknown, Self::Known);
        *self = match *self {
            Self::NoItem => kind,
            known if known == kind => known,
            _ => Self::Mixed,
        };
    }
}

/// The currency that the items of an event name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ItemCurrency {
    #[default]
    Absent,
    /// All that name one name this one.
    One(&'static str),
    /// Some cannot be read, or they differ.
    Unusable(Omitted),
}

impl ItemCurrency {
    fn add(&mut self, code: Result<&'static str, Omitted>) {
        *self = match (*self, code) {
            (Self::Absent, Ok(code)) => Self::One(code),
            (Self::Absent, Err(why)) | (Self::Unusable(why), _) => Self::Unusable(why),
            (Self::One(known), Ok(code)) if known == code => Self::One(code),
            (Self::One(_), _) => Self::Unusable(Omitted::ConflictingCurrencies),
        };
    }
}

/// How many there are of an item.
enum Quantity {
    Known(u64),
    Unreadable,
    Negative,
}

impl<'e, T: Trace> EventWriter<'e, '_, T> {
    /// Writes `contents` from the first list that has an item with an id, else from the event's own item.
    pub(super) fn contents(&mut self, plan: &'e ItemsPlan) -> Items {
        let mark = self.out.len();
        self.append("\"contents\":[");
        let start = self.out.len();
        let mut items = Items {
            ids: ItemIds {
                json: std::mem::take(&mut self.item_ids),
                count: 0,
            },
            quantity: Some(0),
            ..Items::default()
        };
        let found = self.input.found;
        for list in &plan.lists {
            if found.is_not_a_list(list.list) {
                self.items_of_text(list, &mut items);
            } else {
                self.items_of_list(list, &mut items);
            }
            if items.ids.count > 0 {
                break;
            }
        }
        if let Some(own) = &plan.own
            && items.ids.count == 0
            && own.requires.iter().any(|slot| self.get(*slot).is_some())
        {
            self.item(&own.source, &mut items);
        }
        if self.out.len() == start {
            self.out.truncate(mark);
            let lists = || plan.lists.iter().map(|list| list.path.to_string());
            self.trace
                .absent(|| CONTENTS.to_owned(), || lists().collect());
        } else {
            self.out.push(b']');
        }
        items
    }

    /// Writes the items of a list.
    fn items_of_list(&mut self, list: &'e ItemList, items: &mut Items) {
        let found = self.input.found;
        let (rows, is_cut) = found.rows(list.list);
        for row in 0..rows {
            let item = ItemScope {
                list: list.list,
                path: &list.path,
                row,
            };
            self.scope = Scope::of_item(found, item);
            self.item(&list.source, items);
        }
        self.scope = Scope::of_event(found);
        if is_cut {
            self.items_omitted(|| list.path.to_string(), Omitted::TooMany);
        }
    }

    /// Writes the items of a list that the event has as JSON text.
    #[cold]
    fn items_of_text(&mut self, list: &'e ItemList, items: &mut Items) {
        let text = self.get(list.whole).map(json_text::text_as_written);
        let Some(Ok(text)) = text.filter(|text| {
            let is_json = |text: &str| text.trim_start().starts_with(['[', '{']);
            text.as_ref().is_ok_and(|text| is_json(text))
        }) else {
            return self.items_omitted(|| list.path.to_string(), Omitted::WrongType);
        };
        let Ok(found) = self.input.paths.read_list(list.list, &text) else {
            return self.items_omitted(|| list.path.to_string(), Omitted::NotJson);
        };
        let mut inner = EventWriter {
            input: Input {
                found: &found,
                ..self.input
            },
            scope: Scope::of_event(&found),
            out: std::mem::take(&mut self.out),
            scratch: std::mem::take(&mut self.scratch),
            item_ids: Vec::new(),
            facts: std::mem::take(&mut self.facts),
            trace: &mut *self.trace,
        };
        inner.items_of_list(list, items);
        let EventWriter {
            out,
            scratch,
            facts,
            ..
        } = inner;
        (self.out, self.scratch, self.facts) = (out, scratch, facts);
    }

    fn items_omitted(&mut self, from: impl FnOnce() -> String, why: Omitted) {
        self.trace.omitted(|| CONTENTS.to_owned(), from, why);
    }

    /// Writes the item of the current scope, unless Meta would not accept it.
    fn item(&mut self, source: &'e ItemSource, items: &mut Items) {
        let mark = self.out.len();
        json::comma(&mut self.out);
        self.out.push(b'{');
        let (mut id, mut price, mut quantity) = (None, None, Quantity::Known(1));
        for field in self.within(&source.fields) {
            if field.known == Some(ParameterId::ITEM_QUANTITY) {
                quantity = self.quantity(field);
                continue;
            }
            let before = self.out.len();
            let given = self.plain(field);
            if self.out.len() == before {
                continue;
            }
            // The key may have a comma in front of it.
            let comma = usize::from(self.out[before] == b',');
            let written = before + comma + field.key.len()..self.out.len();
            match (field.known, given) {
                (Some(ParameterId::ITEM_ID), Given::Read((), origin)) => {
                    id = Some((written, origin));
                }
                (Some(ParameterId::ITEM_PRICE), _) => price = Some(written),
                _ => {}
            }
        }
        for slot in &source.currency {
            if let Some(raw) = self.get(*slot) {
                items.currency.add(value::currency(raw));
                break;
            }
        }
        let id = id.or_else(|| self.bare_id(source.element?));
        let Some((id, origin)) = id else {
            self.out.truncate(mark);
            self.forget_item(source);
            return self.item_omitted(Omitted::NoId);
        };
        let is_first = items.ids.count == 0;
        match quantity {
            Quantity::Known(count) => {
                self.out.push(b'}');
                items.has_price |= price.is_some();
                items.quantity = items.quantity.map(|sum| sum.saturating_add(count));
                items.only = price.filter(|_| is_first).map(|price| (price, count));
                items.ids.add(&self.out[id]);
            }
            Quantity::Unreadable => {
                items.ids.add(&self.out[id]);
                self.out.truncate(mark);
                self.forget_item(source);
                items.quantity = None;
                items.only = None;
            }
            Quantity::Negative => {
                self.out.truncate(mark);
                self.forget_item(source);
                items.quantity = None;
                return;
            }
        }
        items.kind.add(source.kind_of(origin));
    }

    /// Writes the id of an item that is nothing but its id.
    fn bare_id(&mut self, element: Slot) -> Option<(Range<usize>, Origin)> {
        let raw = self.get(element)?;
        let mark = self.out.len();
        json::comma(&mut self.out);
        self.append("\"id\":");
        let value = self.out.len();
        let rule = match value::append(Kind::ItemId, raw, &mut self.out) {
            Ok(rule) => rule,
            Err(why) => {
                self.out.truncate(mark);
                if !raw.starts_with('{') {
                    self.item_omitted(why);
                }
                return None;
            }
        };
        let (scope, paths, origin) = (self.scope, self.input.paths, Origin::Slot(element));
        self.trace.sent(
            || scope.item_name("id"),
            || scope.describe(paths, origin),
            rule,
        );
        Some((value..self.out.len(), origin))
    }

    /// Writes how many there are of the item.
    fn quantity(&mut self, field: &'e FieldPlan) -> Quantity {
        let (count, origin) = match self.first(field, value::quantity) {
            Given::Read(Some(count), origin) => (count, origin),
            Given::Read(None, origin) => {
                self.omitted(field, origin, Omitted::NegativeQuantity);
                return Quantity::Negative;
            }
            Given::Unreadable => return Quantity::Unreadable,
            Given::Absent => (1, Origin::Default),
        };
        self.sent(field, origin, rule(field.kind));
        self.key(field);
        json::integer(count, &mut self.out);
        Quantity::Known(count)
    }

    /// Reports that the parameters of an item are not sent after all.
    fn forget_item(&mut self, source: &'e ItemSource) {
        for field in self.within(&source.fields) {
            self.forgotten(field);
        }
    }

    fn item_omitted(&mut self, why: Omitted) {
        let item = self.scope.item;
        let from = || match item {
            Some(ItemScope { path, row, .. }) => format!("{path}[{row}]"),
            None => "the event's own item".to_owned(),
        };
        self.items_omitted(from, why);
    }
}
