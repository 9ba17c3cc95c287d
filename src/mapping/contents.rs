//! `custom_data.contents`: the items of an event.

use super::event_writer::{EventWriter, ItemScope, Origin, Scope};
use super::plan::{Fields, ItemsPlan};
use super::trace::Trace;
use super::{json, value};
use crate::omitted::Omitted;
use crate::payload::ParameterId;
use crate::payload::rule::rule;
use std::ops::Range;

/// What explanations call the items.
const CONTENTS: &str = "custom_data.contents[]";

/// What other parameters are computed from.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// Where in the output the ids are, as JSON.
    pub(super) ids: Vec<Range<usize>>,
    /// The sum of all quantities.
    pub(super) quantity: u64,
    /// Where in the output the price of the last item is.
    pub(super) last_price: Option<Range<usize>>,
    pub(super) last_quantity: u64,
}

impl<'e, T: Trace> EventWriter<'e, '_, T> {
    /// Writes `contents` from the first list that has an item with an id, else from the event's own item.
    pub(super) fn contents(&mut self, plan: &'e ItemsPlan) -> Items {
        let mark = self.out.len();
        self.append("\"contents\":[");
        let start = self.out.len();
        let mut items = Items::default();
        let found = self.input.found;
        for source in &plan.lists {
            let (list, path) = (source.list, &source.path);
            let (rows, is_cut) = found.rows(list);
            if found.is_not_a_list(list) {
                self.items_omitted(|| path.to_string(), Omitted::WrongType);
            }
            for row in 0..rows {
                self.scope = Scope::of_item(found, ItemScope { list, path, row });
                self.item(&source.fields, &mut items);
            }
            self.scope = Scope::of_event(found);
            if is_cut {
                self.items_omitted(|| path.to_string(), Omitted::TooMany);
            }
            if self.out.len() > start {
                break;
            }
        }
        if let Some(own) = &plan.own
            && self.out.len() == start
            && own.requires.iter().any(|slot| self.get(*slot).is_some())
        {
            self.item(&own.fields, &mut items);
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

    fn items_omitted(&mut self, from: impl FnOnce() -> String, why: Omitted) {
        self.trace.omitted(|| CONTENTS.to_owned(), from, why);
    }

    /// Writes the item of the current scope, unless it has no id.
    fn item(&mut self, fields: &'e Fields, items: &mut Items) {
        let mark = self.out.len();
        json::comma(&mut self.out);
        self.out.push(b'{');
        let (mut id, mut price, mut quantity) = (None, None, 1);
        for field in self.within(fields) {
            if field.known == Some(ParameterId::ITEM_QUANTITY) {
                let given = self.first(field, value::integer).read();
                let (count, origin) = given.unwrap_or((1, Origin::Default));
                quantity = count;
                self.sent(field, origin, rule(field.kind));
                self.key(field);
                json::integer(quantity, &mut self.out);
                continue;
            }
            let before = self.out.len();
            self.plain(field);
            if self.out.len() == before {
                continue;
            }
            // The key may have a comma in front of it.
            let comma = usize::from(self.out[before] == b',');
            let written = before + comma + field.key.len()..self.out.len();
            match field.known {
                Some(ParameterId::ITEM_ID) => id = Some(written),
                Some(ParameterId::ITEM_PRICE) => price = Some(written),
                _ => {}
            }
        }
        let Some(id) = id else {
            self.out.truncate(mark);
            for field in self.within(fields) {
                self.forgotten(field);
            }
            let item = self.scope.item;
            let from = || match item {
                Some(ItemScope { path, row, .. }) => format!("{path}[{row}]"),
                None => "the event's own item".to_owned(),
            };
            self.items_omitted(from, Omitted::NoId);
            return;
        };
        self.out.push(b'}');
        items.ids.push(id);
        items.quantity = items.quantity.saturating_add(quantity);
        (items.last_price, items.last_quantity) = (price, quantity);
    }
}
