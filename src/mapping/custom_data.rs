//! `custom_data`: what the event was worth and what it was about.

use super::contents::{CatalogKind, ItemCurrency, Items};
use super::event_writer::EventWriter;
use super::given::{Given, Origin};
use super::plan::FieldPlan;
use super::trace::Trace;
use super::{json, value};
use crate::field_mapping::Derived;
use crate::omitted::Omitted;
use crate::payload::rule::rule;
use crate::payload::{Kind, ParameterId};
use crate::validate;
use std::io::Write as _;
use std::ops::Range;

/// The currency of an event's amounts.
enum Currency<'e> {
    /// Neither the event nor the options have one.
    Absent,
    /// The event has one that cannot be read, and the options' default does not replace it.
    Unreadable,
    /// Where in the output its code is.
    Written(Range<usize>),
    /// The configured default, which is written beside an amount, and the field that it fills.
    Default(&'static str, &'e FieldPlan),
}

impl<'e, T: Trace> EventWriter<'e, '_, T> {
    pub(super) fn custom_data(&mut self) {
        let mark = self.out.len();
        self.append(",\"custom_data\":{");
        let start = self.out.len();
        let plan = self.input.plan;
        let items = plan
            .items
            .as_ref()
            .map_or_else(Items::default, |plan| self.contents(plan));
        let mut currency = Currency::Absent;
        let mut has_amount = items.has_price;
        for field in self.within(&plan.custom_data) {
            let before = self.out.len();
            match field.kind {
                Kind::Currency => currency = self.currency(field, &items),
                Kind::Money if field.known == Some(ParameterId::VALUE) => {
                    self.amount(field, &items, &currency);
                }
                Kind::Price => self.price(field, &items, &currency),
                _ if field.fallback.is_some() => {
                    if self.plain(field).is_absent() {
                        self.derived(field, &items);
                    }
                }
                _ => {
                    self.plain(field);
                }
            }
            has_amount |= field.kind == Kind::Money && self.out.len() > before;
        }
        if let Currency::Default(code, field) = currency
            && has_amount
        {
            self.key(field);
            json::text(code, &mut self.out);
            self.sent(field, Origin::Default, "`default_currency`");
        }
        if T::WANTS_ABSENT {
            self.not_taken();
        }
        self.object("\"store_data\":{", &plan.store_data);
        self.item_ids = items.ids.json;
        if self.out.len() == start {
            self.out.truncate(mark);
        } else {
            self.out.push(b'}');
        }
    }

    /// Reports parameters of the event that Meta takes on other events only.
    fn not_taken(&mut self) {
        let plan = self.input.plan;
        for field in plan.not_taken.iter().filter(|_| T::WANTS_ABSENT) {
            if let Some((slot, _)) = self.values(field).next() {
                self.omitted(field, Origin::Slot(slot), Omitted::NotForThisEvent);
            }
        }
    }

    /// Writes the currency that the event names, or that its items name. The configured default is written later, and only
    /// beside an amount.
    fn currency(&mut self, field: &'e FieldPlan, items: &Items) -> Currency<'e> {
        let mark = self.out.len();
        let given = match self.plain(field) {
            Given::Absent => self.currency_of_items(field, items),
            given => given,
        };
        match given {
            Given::Read(..) => {
                self.facts.has_currency = true;
                debug_assert!(self.out.len() > mark);
                let end_of_code = self.out.len() - "\"".len();
                Currency::Written(end_of_code - "USD".len()..end_of_code)
            }
            Given::Unreadable => {
                self.facts.currency_is_unreadable = true;
                Currency::Unreadable
            }
            Given::Absent => match self.input.rules.default_currency {
                Some(code) => {
                    self.facts.has_currency = true;
                    Currency::Default(code, field)
                }
                None => Currency::Absent,
            },
        }
    }

    /// Writes the currency that all items name.
    fn currency_of_items(&mut self, field: &FieldPlan, items: &Items) -> Given<()> {
        let origin = Origin::Derived("the items");
        match items.currency {
            ItemCurrency::Absent => Given::Absent,
            ItemCurrency::One(code) => {
                self.key(field);
                json::plain_text(code, &mut self.out);
                self.sent(field, origin, rule(field.kind));
                Given::Read((), origin)
            }
            ItemCurrency::Unusable(why) => {
                self.omitted(field, origin, why);
                Given::Unreadable
            }
        }
    }

    /// What was written there.
    fn written(&self, place: Range<usize>) -> &str {
        std::str::from_utf8(&self.out[place]).unwrap_or_default()
    }

    /// The price and the quantity of the event's only item.
    fn only_price(&self, items: &Items) -> Option<(f64, u64)> {
        let (price, quantity) = items.only.clone().filter(|_| items.ids.count == 1)?;
        Some((self.written(price).parse().ok()?, quantity))
    }

    /// Writes the value, which is omitted without a currency.
    fn amount(&mut self, field: &'e FieldPlan, items: &Items, currency: &Currency<'e>) {
        let mark = self.out.len();
        let given = self.plain(field);
        match given {
            Given::Absent => self.derived(field, items),
            Given::Unreadable => self.facts.value_is_unreadable = true,
            Given::Read(..) => {}
        }
        if self.out.len() == mark {
            return;
        }
        self.facts.has_value = true;
        self.facts.value_is_negative = self.is_negative(mark, field);
        if matches!(currency, Currency::Absent | Currency::Unreadable) {
            // An event that is refused for its missing currency keeps the amount in its dead letter, for a replay that knows
            // the currency.
            if !(matches!(currency, Currency::Absent) && self.needs_currency()) {
                self.out.truncate(mark);
            }
            self.taken_back(field, Omitted::NoCurrency);
        }
    }

    /// Whether the event is refused without a currency.
    fn needs_currency(&self) -> bool {
        let name = self.input.plan.meta_name.as_deref();
        name.is_some_and(validate::needs_currency)
    }

    /// Whether the number that was written at `mark` for this field is below zero.
    fn is_negative(&self, mark: usize, field: &FieldPlan) -> bool {
        let comma = usize::from(self.out[mark] == b',');
        let start = mark + comma + field.key.len();
        self.out.get(start) == Some(&b'-') && {
            let number = self.written(start..self.out.len());
            number.parse::<f64>().is_ok_and(|number| number < 0.0)
        }
    }

    /// Writes an amount and its currency as one text.
    fn price(&mut self, field: &'e FieldPlan, items: &Items, currency: &Currency<'e>) {
        let amount = match self.first(field, value::money) {
            Given::Read(amount, origin) => Some((amount.into_owned(), origin)),
            Given::Unreadable => return,
            Given::Absent => self
                .only_price(items)
                .map(|(price, _)| (price.to_string(), Origin::Derived("the item"))),
        };
        let Some((amount, origin)) = amount else {
            return self.absent(field);
        };
        let code = match currency {
            Currency::Written(place) => self.written(place.clone()),
            Currency::Default(code, _) => code,
            Currency::Absent | Currency::Unreadable => {
                return self.omitted(field, origin, Omitted::NoCurrency);
            }
        };
        let price = format!("{amount} {code}");
        self.key(field);
        json::text(&price, &mut self.out);
        self.sent(field, origin, rule(Kind::Price));
    }

    /// Writes a value that is computed from the items, if it can be.
    fn derived(&mut self, field: &FieldPlan, items: &Items) {
        let mark = self.out.len();
        self.key(field);
        let value = self.out.len();
        let mut why = None;
        match field.fallback {
            _ if items.ids.count == 0 => {}
            Some(Derived::ContentIds) => {
                self.out.push(b'[');
                self.out.extend_from_slice(&items.ids.json);
                self.out.push(b']');
            }
            Some(Derived::NumItems) => match items.quantity {
                Some(quantity) => json::integer(quantity, &mut self.out),
                None => why = Some(Omitted::UnknownCount),
            },
            Some(kind @ (Derived::Product | Derived::ItemKind)) => match items.kind {
                CatalogKind::Known(known) => json::plain_text(known, &mut self.out),
                CatalogKind::Unknown if kind == Derived::Product => self.append("\"product\""),
                CatalogKind::Mixed => why = Some(Omitted::UnlikeItems),
                CatalogKind::Unknown | CatalogKind::NoItem => {}
            },
            Some(Derived::ItemTotal) => {
                if let Some((price, quantity)) = self.only_price(items) {
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "quantities are far below 2^53"
                    )]
                    self.decimal(price * quantity as f64);
                }
            }
            Some(Derived::ItemPrice) => {
                if let Some((price, _)) = self.only_price(items) {
                    self.decimal(price);
                }
            }
            None => {}
        }
        let origin = Origin::Derived("the items");
        if self.out.len() > value {
            return self.sent(field, origin, rule(field.kind));
        }
        self.out.truncate(mark);
        match why {
            Some(why) => self.omitted(field, origin, why),
            None => self.absent(field),
        }
    }

    /// Writes an amount with at most four decimals: prices have no more, but a product of floats can.
    fn decimal(&mut self, amount: f64) {
        const DECIMALS: f64 = 10_000.0;
        let rounded = (amount * DECIMALS).round() / DECIMALS;
        if rounded.is_finite() {
            let _ = write!(self.out, "{rounded}");
        }
    }
}
