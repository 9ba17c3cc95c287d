//! `custom_data`: what the event was worth and what it was about.

use super::contents::Items;
use super::event_writer::{EventWriter, Origin};
use super::plan::FieldPlan;
use super::trace::Trace;
use super::{json, value};
use crate::field_mapping::Derived;
use crate::omitted::Omitted;
use crate::payload::rule::rule;
use crate::payload::{Kind, ParameterId};
use std::io::Write as _;
use std::ops::Range;

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
        let mut currency = None;
        for field in self.within(&plan.custom_data) {
            match field.kind {
                Kind::Currency => currency = self.currency(field),
                Kind::Money if field.known == Some(ParameterId::VALUE) => {
                    self.amount(field, &items, currency.is_some());
                }
                Kind::Price => self.price(field, &items, currency.clone()),
                _ if field.fallback.is_some() => {
                    let mark = self.out.len();
                    self.plain(field);
                    if self.out.len() == mark {
                        self.derived(field, &items);
                    }
                }
                _ => self.plain(field),
            }
        }
        self.object("\"store_data\":{", &plan.store_data);
        if self.out.len() == start {
            self.out.truncate(mark);
        } else {
            self.out.push(b'}');
        }
    }

    /// Writes the currency; returns where in the output its code is.
    fn currency(&mut self, field: &'e FieldPlan) -> Option<Range<usize>> {
        let mark = self.out.len();
        self.plain(field);
        if self.out.len() == mark {
            let default = self.input.rules.default_currency?;
            self.key(field);
            json::text(default, &mut self.out);
            self.sent(field, Origin::Default, "`default_currency`");
        }
        self.facts.has_currency = true;
        let end_of_code = self.out.len() - "\"".len();
        Some(end_of_code - "USD".len()..end_of_code)
    }

    /// What was written there.
    fn written(&self, place: Range<usize>) -> &str {
        std::str::from_utf8(&self.out[place]).unwrap_or_default()
    }

    /// The price of the event's only item.
    fn only_price(&self, items: &Items) -> Option<f64> {
        let price = items.last_price.clone().filter(|_| items.ids.len() == 1)?;
        self.written(price).parse().ok()
    }

    /// Writes the value, which is omitted without a currency.
    fn amount(&mut self, field: &'e FieldPlan, items: &Items, has_currency: bool) {
        let mark = self.out.len();
        self.plain(field);
        if self.out.len() == mark {
            self.derived(field, items);
        }
        if self.out.len() == mark {
            return;
        }
        self.facts.has_value = true;
        if !has_currency {
            self.out.truncate(mark);
            self.taken_back(field, Omitted::NoCurrency);
        }
    }

    /// Writes an amount and its currency as one text.
    fn price(&mut self, field: &'e FieldPlan, items: &Items, currency: Option<Range<usize>>) {
        let amount = self
            .first(field, value::money)
            .read()
            .map(|(amount, origin)| (amount.into_owned(), origin))
            .or_else(|| {
                let price = self.only_price(items)?;
                Some((price.to_string(), Origin::Derived("the item")))
            });
        match (amount, currency) {
            (Some((amount, origin)), Some(currency)) => {
                let price = format!("{amount} {}", self.written(currency));
                self.key(field);
                json::text(&price, &mut self.out);
                self.sent(field, origin, rule(Kind::Price));
            }
            (Some((_, origin)), None) => {
                self.omitted(field, origin, Omitted::NoCurrency);
            }
            (None, _) => self.absent(field),
        }
    }

    /// Writes a value that is computed from the items, if it can be.
    fn derived(&mut self, field: &FieldPlan, items: &Items) {
        let mark = self.out.len();
        self.key(field);
        let value = self.out.len();
        match (field.fallback, self.only_price(items)) {
            (_, _) if items.ids.is_empty() => {}
            (Some(Derived::ContentIds), _) => {
                self.out.push(b'[');
                for id in &items.ids {
                    json::comma(&mut self.out);
                    self.out.extend_from_within(id.clone());
                }
                self.out.push(b']');
            }
            (Some(Derived::NumItems), _) => json::integer(items.quantity, &mut self.out),
            (Some(Derived::Product), _) => self.append("\"product\""),
            (Some(Derived::ItemTotal), Some(price)) => {
                #[expect(clippy::cast_precision_loss, reason = "quantities are far below 2^53")]
                self.decimal(price * items.last_quantity as f64);
            }
            (Some(Derived::ItemPrice), Some(price)) => self.decimal(price),
            _ => {}
        }
        if self.out.len() == value {
            self.out.truncate(mark);
            self.absent(field);
        } else {
            self.sent(field, Origin::Derived("the items"), rule(field.kind));
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
