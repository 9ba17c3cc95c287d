//! `custom_data`: what it was worth and what it was about.

use super::compile::{FieldPlan, ItemsPlan};
use super::draft::{Draft, Origin, Scope, rule};
use super::explain::Trace;
use super::fields::Fields;
use super::value::{self, LeftOut};
use crate::extract::Slot;
use crate::field_mapping::Derived;
use crate::identity;
use crate::payload::{Kind, ParameterId};
use crate::words;
use std::io::Write as _;
use std::ops::Range;

/// What other parameters want to know about the items.
#[derive(Debug, Default)]
struct Items {
    /// Where in the output their ids stand, as JSON.
    ids: Vec<Range<usize>>,
    quantity: u64,
    /// Of the last one written: where in the output its price stands, and its quantity.
    last: (Option<Range<usize>>, u64),
}

/// What explanations call the items.
const CONTENTS: &str = "custom_data.contents[]";

const NO_ID: LeftOut = LeftOut {
    code: "no_id",
    sentence: "Meta takes no item without an id",
};
const PERSON: LeftOut = LeftOut {
    code: "perhaps_a_person",
    sentence: "beside an e-mail address or another trait it could be a person's name; send `title`, or the item in `products`",
};
const EMAIL: LeftOut = LeftOut {
    code: "an_email",
    sentence: "there is an e-mail address in it, which goes to Meta hashed or not at all",
};
const TOO_MANY: LeftOut = LeftOut {
    code: "too_many",
    sentence: "only the first 2000 items are sent",
};

/// Whether there is an e-mail address in some JSON text.
fn holds_an_email(json: &[u8]) -> bool {
    if !words::has(json, |byte| byte == b'@') {
        return false;
    }
    let text = String::from_utf8_lossy(json);
    let mut parts = text.split(|c: char| c.is_whitespace() || "\"\\,;:()[]<>".contains(c));
    parts.any(|part| identity::is_email(part.trim_matches('.')))
}

impl<'m, T: Trace> Draft<'m, '_, '_, '_, T> {
    pub(super) fn custom_data(&mut self) {
        let mark = self.out.len();
        self.json(",\"custom_data\":{");
        let start = self.out.len();
        let plan = self.plan;
        let items = plan
            .items
            .as_ref()
            .map_or_else(Items::default, |plan| self.contents(plan));
        let mut currency = None;
        for field in self.within(Scope::Event, &plan.custom_data) {
            match field.kind {
                Kind::Currency => currency = self.currency(field),
                Kind::Money if field.known == Some(ParameterId::VALUE) => {
                    self.amount(field, &items, currency.is_some());
                }
                Kind::Price => self.price(field, &items, currency.clone()),
                _ if field.otherwise.is_some() => {
                    let mark = self.out.len();
                    self.plain(Scope::Event, field);
                    if self.out.len() == mark {
                        self.derived(field, &items);
                    }
                }
                _ => self.plain(Scope::Event, field),
            }
        }
        self.object("\"store_data\":{", &plan.store_data);
        if self.out.len() == start {
            self.out.truncate(mark);
        } else {
            self.out.push(b'}');
        }
    }

    /// Writes an object of parameters that need nothing but their own values, unless none has one.
    pub(super) fn object(&mut self, opening: &str, fields: &'m Fields) {
        let mark = self.out.len();
        self.comma();
        self.json(opening);
        let start = self.out.len();
        for field in self.within(Scope::Event, fields) {
            self.plain(Scope::Event, field);
        }
        if self.out.len() == start {
            self.out.truncate(mark);
        } else {
            self.out.push(b'}');
        }
    }

    /// Writes a parameter that needs nothing but its own value.
    pub(super) fn plain(&mut self, scope: Scope<'m>, field: &'m FieldPlan) {
        let mark = self.out.len();
        if let Some(raw) = &field.constant {
            self.key(field);
            let written = self.value(field.kind, raw);
            return self.settle(scope, field, Origin::Constant, written, mark);
        }
        for slot in &field.places {
            let Some(raw) = self.get(scope, *slot) else {
                continue;
            };
            if self.may_be_of_a_person(scope, field, *slot) {
                self.left_out(scope, field, Origin::Slot(*slot), PERSON);
                continue;
            }
            self.key(field);
            if field.takes_as_it_stands(raw) {
                self.json(raw);
                return self.sent(scope, field, Origin::Slot(*slot), rule(field.kind));
            }
            let written = match self.value(field.kind, raw) {
                Ok(()) if field.is_words() && holds_an_email(&self.out[mark..]) => Err(EMAIL),
                written => written,
            };
            match written {
                Ok(()) => return self.sent(scope, field, Origin::Slot(*slot), rule(field.kind)),
                Err(why) => {
                    self.out.truncate(mark);
                    self.left_out(scope, field, Origin::Slot(*slot), why);
                }
            }
        }
        if let Some(raw) = &field.default {
            self.key(field);
            let written = self.value(field.kind, raw);
            return self.settle(scope, field, Origin::Default, written, mark);
        }
        if field.otherwise.is_none() {
            self.absent(scope, field);
        }
    }

    /// Whether an item's name could be a person's, since it stands beside a person's traits.
    fn may_be_of_a_person(&self, scope: Scope<'m>, field: &FieldPlan, slot: Slot) -> bool {
        let name = self.plan.name.as_ref();
        matches!(scope, Scope::Event)
            && name.is_some_and(|name| name.slot == slot)
            && field.is_a_name()
            && name.is_some_and(|name| {
                let mut traits = name.traits.iter();
                traits.any(|slot| self.get(Scope::Event, *slot).is_some())
            })
    }

    fn settle(
        &mut self,
        scope: Scope<'m>,
        field: &FieldPlan,
        origin: Origin,
        written: Result<(), LeftOut>,
        mark: usize,
    ) {
        match written {
            Ok(()) => self.sent(scope, field, origin, rule(field.kind)),
            Err(why) => {
                self.out.truncate(mark);
                self.left_out(scope, field, origin, why);
            }
        }
    }

    /// Writes the currency, and tells where its code stands in the output.
    fn currency(&mut self, field: &'m FieldPlan) -> Option<Range<usize>> {
        let mark = self.out.len();
        self.plain(Scope::Event, field);
        if self.out.len() == mark {
            let default = self.mapping.rules.default_currency?;
            self.key(field);
            self.text(default);
            self.sent(Scope::Event, field, Origin::Default, "`default_currency`");
        }
        self.facts.has_currency = true;
        let end_of_code = self.out.len() - "\"".len();
        Some(end_of_code - "USD".len()..end_of_code)
    }

    /// What has been written there.
    fn written(&self, place: Range<usize>) -> &str {
        std::str::from_utf8(&self.out[place]).unwrap_or_default()
    }

    /// The price of the event's one item.
    fn only_price(&self, items: &Items) -> Option<f64> {
        let price = items.last.0.clone().filter(|_| items.ids.len() == 1)?;
        self.written(price).parse().ok()
    }

    /// The value, which means nothing without a currency.
    fn amount(&mut self, field: &'m FieldPlan, items: &Items, has_currency: bool) {
        let mark = self.out.len();
        self.plain(Scope::Event, field);
        if self.out.len() == mark {
            self.derived(field, items);
        }
        if self.out.len() == mark {
            return;
        }
        self.facts.has_value = true;
        if !has_currency {
            self.out.truncate(mark);
            let origin = Origin::Derived("the event");
            self.left_out(Scope::Event, field, origin, value::NO_CURRENCY);
        }
    }

    /// An amount and its currency in one text.
    fn price(&mut self, field: &'m FieldPlan, items: &Items, currency: Option<Range<usize>>) {
        let amount = self
            .first(Scope::Event, field, value::money)
            .map(|(amount, origin)| (amount.into_owned(), origin))
            .or_else(|| {
                let price = self.only_price(items)?;
                Some((price.to_string(), Origin::Derived("the item")))
            });
        match (amount, currency) {
            (Some((amount, origin)), Some(currency)) => {
                let price = format!("{amount} {}", self.written(currency));
                self.key(field);
                self.text(&price);
                self.sent(Scope::Event, field, origin, rule(Kind::Price));
            }
            (Some((_, origin)), None) => {
                self.left_out(Scope::Event, field, origin, value::NO_CURRENCY);
            }
            (None, _) => self.absent(Scope::Event, field),
        }
    }

    /// Writes what follows from the items, if anything does.
    fn derived(&mut self, field: &FieldPlan, items: &Items) {
        let mark = self.out.len();
        self.key(field);
        let value = self.out.len();
        match (field.otherwise, self.only_price(items)) {
            (_, _) if items.ids.is_empty() => {}
            (Some(Derived::ContentIds), _) => {
                self.out.push(b'[');
                for id in &items.ids {
                    self.comma();
                    self.out.extend_from_within(id.clone());
                }
                self.out.push(b']');
            }
            (Some(Derived::NumItems), _) => self.integer(items.quantity),
            (Some(Derived::Product), _) => self.json("\"product\""),
            (Some(Derived::ItemTotal), Some(price)) => {
                #[expect(clippy::cast_precision_loss, reason = "nobody buys 2^53 of a thing")]
                self.decimal(price * items.last.1 as f64);
            }
            (Some(Derived::ItemPrice), Some(price)) => self.decimal(price),
            _ => {}
        }
        if self.out.len() == value {
            self.out.truncate(mark);
            self.absent(Scope::Event, field);
        } else {
            self.sent(
                Scope::Event,
                field,
                Origin::Derived("the items"),
                rule(field.kind),
            );
        }
    }

    /// Writes an amount with at most four decimals: prices have no more, and a product of floats would.
    fn decimal(&mut self, amount: f64) {
        const DECIMALS: f64 = 10_000.0;
        let rounded = (amount * DECIMALS).round() / DECIMALS;
        if rounded.is_finite() {
            let _ = write!(self.out, "{rounded}");
        }
    }

    /// Writes `contents` from the first list that has an item with an id, else from the event's own item.
    fn contents(&mut self, plan: &'m ItemsPlan) -> Items {
        let mark = self.out.len();
        self.json("\"contents\":[");
        let start = self.out.len();
        let mut items = Items::default();
        for source in &plan.lists {
            let (rows, cut) = self.found.rows(source.list);
            if self.found.is_other(source.list) {
                self.items_left_out(|| source.path.to_string(), value::WRONG_TYPE);
            }
            for row in 0..rows {
                self.item = self.found.element(source.list, row);
                let scope = Scope::Item {
                    list: source.list,
                    path: &source.path,
                    row,
                };
                self.item(scope, &source.fields, &mut items);
            }
            if cut {
                self.items_left_out(|| source.path.to_string(), TOO_MANY);
            }
            if self.out.len() > start {
                break;
            }
        }
        if let Some(own) = &plan.own
            && self.out.len() == start
            && own
                .requires
                .iter()
                .any(|slot| self.get(Scope::Event, *slot).is_some())
        {
            self.item(Scope::Event, &own.fields, &mut items);
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

    fn items_left_out(&mut self, from: impl FnOnce() -> String, why: LeftOut) {
        self.trace.left_out(|| CONTENTS.to_owned(), from, why);
    }

    /// Writes one item, unless it has no id.
    fn item(&mut self, scope: Scope<'m>, fields: &'m Fields, items: &mut Items) {
        let mark = self.out.len();
        self.comma();
        self.out.push(b'{');
        let (mut id, mut price, mut quantity) = (None, None, 1);
        for field in self.within(scope, fields) {
            let before = self.out.len();
            match field.known {
                Some(ParameterId::ITEM_QUANTITY) => {
                    let given = self.first(scope, field, value::integer);
                    let (count, origin) = given.unwrap_or((1, Origin::Default));
                    quantity = count;
                    self.sent(scope, field, origin, rule(field.kind));
                    self.key(field);
                    self.integer(quantity);
                    continue;
                }
                _ => self.plain(scope, field),
            }
            if self.out.len() == before {
                continue;
            }
            // A comma may stand before the key.
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
            let from = || match scope {
                Scope::Item { path, row, .. } => format!("{path}[{row}]"),
                Scope::Event => "the event's own item".to_owned(),
            };
            self.items_left_out(from, NO_ID);
            return;
        };
        self.out.push(b'}');
        items.ids.push(id);
        items.quantity = items.quantity.saturating_add(quantity);
        items.last = (price, quantity);
    }
}
