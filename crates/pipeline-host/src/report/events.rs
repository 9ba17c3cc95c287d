//! What became of the events of each name: which event is missing, and why.
//!
//! Invariant: nothing that a sender chose can move the terminal's cursor or push the figures out of sight.

use super::grid::section;
use crate::event_counts::{EventCounts, Fate, Fates};
use crate::wording::{plain, thousands};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Characters of a label that a table shows.
const MAX_SHOWN_CHARS: usize = 60;

/// Adds the two tables of one sink to `text`: its events by name, and the names without a mapping; at most `max_names` lines
/// each. Nothing where no event has a name.
pub fn events(text: &mut String, sink: &str, counts: &EventCounts, max_names: usize) {
    if !counts.has_names() {
        return;
    }
    let title = format!("{sink}: events by name");
    section(text, &title, lines(counts.mapped(), max_names));
    let title = format!("{sink}: names without a mapping");
    section(text, &title, lines(counts.unmapped(), max_names));
}

/// One line a name, the most frequent first.
fn lines(names: &BTreeMap<Arc<str>, Fates>, max_names: usize) -> Vec<[String; 3]> {
    let total = |fates: &Fates| fates.values().sum::<u64>();
    let mut sorted: Vec<_> = names
        .iter()
        .map(|(label, fates)| (total(fates), label, fates))
        .filter(|(total, _, _)| *total > 0)
        .collect();
    // Stable: names that are as frequent stay in their own order.
    sorted.sort_by_key(|(total, _, _)| Reverse(*total));
    let rest = sorted.split_off(max_names.min(sorted.len()));
    let width = sorted.iter().map(|(total, _, _)| thousands(*total).len());
    let width = width.max().unwrap_or(0);
    let mut lines: Vec<_> = sorted
        .into_iter()
        .map(|(total, label, fates)| {
            let total = format!("{:>width$}", thousands(total));
            [shown(label), total, self::fates(fates)]
        })
        .collect();
    if !rest.is_empty() {
        let events = rest.iter().map(|(total, _, _)| total).sum();
        let noun = if rest.len() == 1 { "name" } else { "names" };
        let more = format!("and {} more {noun}", rest.len());
        lines.push([
            more,
            format!("{:>width$}", thousands(events)),
            String::new(),
        ]);
    }
    lines
}

/// `delivered 5, consent 4, missing_currency 2`
fn fates(fates: &Fates) -> String {
    let mut sorted: Vec<_> = fates.iter().filter(|(_, events)| **events > 0).collect();
    let is_lost = |fate: &Fate| matches!(fate, Fate::Filtered(_) | Fate::Rejected(_));
    sorted.sort_by_key(|(fate, events)| (is_lost(fate), Reverse(**events)));
    let told = sorted
        .into_iter()
        .map(|(fate, events)| format!("{} {}", fate.word(), thousands(*events)));
    told.collect::<Vec<_>>().join(", ")
}

/// A label that cannot move the terminal's cursor and does not push the figures out of sight.
fn shown(label: &str) -> String {
    let plain = plain(label);
    match plain.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Arc<str> {
        text.into()
    }

    fn counts(events: &[(&str, Fate, u64)]) -> EventCounts {
        let mut counts = EventCounts::default();
        for (name, fate, events) in events {
            counts.add(Some(&label(name)), *fate, *events);
        }
        counts
    }

    fn table(counts: &EventCounts, max_names: usize) -> String {
        let mut text = String::new();
        events(&mut text, "shop", counts, max_names);
        text
    }

    #[test]
    fn the_table_reads_like_this() {
        let mut counts = counts(&[
            ("Order Completed → Purchase", Fate::Filtered("consent"), 4),
            ("Order Completed → Purchase", Fate::Delivered, 5),
            (
                "Order Completed → Purchase",
                Fate::Rejected("missing_currency"),
                2,
            ),
            ("page → PageView", Fate::Delivered, 1_234),
            ("Cart Viewed", Fate::Filtered("unmapped"), 14),
            ("identify", Fate::Filtered("not_a_conversion"), 25),
            ("Product Added → AddToCart", Fate::Held, 3),
        ]);
        counts.add(None, Fate::Rejected("malformed_json"), 2);
        let expected = "\
shop: events by name
  page → PageView             1,234  delivered 1,234
  Order Completed → Purchase     11  delivered 5, consent 4, missing_currency 2
  Product Added → AddToCart       3  held 3

shop: names without a mapping
  identify     25  not_a_conversion 25
  Cart Viewed  14  unmapped 14
  (no name)     2  malformed_json 2
";
        assert_eq!(table(&counts, 20), expected);
    }

    #[test]
    fn what_does_not_fit_is_counted_in_the_last_line() {
        let counts = counts(&[
            ("a → A", Fate::Delivered, 1),
            ("b → B", Fate::Delivered, 2),
            ("c → C", Fate::Delivered, 3),
            ("d → D", Fate::Delivered, 4),
        ]);
        let expected = "\
shop: events by name
  d → D             4  delivered 4
  c → C             3  delivered 3
  and 2 more names  3
";
        assert_eq!(table(&counts, 2), expected);
    }

    #[test]
    fn a_sink_that_names_no_event_has_no_table() {
        let mut counts = EventCounts::default();
        counts.add(None, Fate::Delivered, 3);
        counts.add(Some(&label("")), Fate::Delivered, 4);
        assert_eq!((table(&counts, 20), counts.total()), (String::new(), 7));
    }

    #[test]
    fn a_name_cannot_move_the_cursor_and_is_cut_where_it_is_long() {
        let long = "x".repeat(MAX_SHOWN_CHARS + 1);
        let counts = counts(&[
            ("a\u{1b}[2Jb", Fate::Filtered("unmapped"), 2),
            (&long, Fate::Filtered("unmapped"), 1),
        ]);
        let table = table(&counts, 20);
        assert!(table.contains("  a [2Jb "), "{table}");
        let cut = format!("  {}…  1  unmapped 1\n", "x".repeat(MAX_SHOWN_CHARS));
        assert!(table.ends_with(&cut), "{table}");
    }
}
