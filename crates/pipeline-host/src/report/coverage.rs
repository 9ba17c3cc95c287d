//! Which identifiers the events carried that the sinks let through, and what is missing most: one column a sink for all
//! events, and for each sink one line a kind of event.
//!
//! Invariant: names, shares and paths only.

use super::grid::{Row, section, separate, tables};
use super::lines_each;
use crate::wording::thousands;
use pipeline_core::{Coverage, CoverageBase, CoverageRow};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Marks an identifier that not every event can carry; a line below the table says which can.
const MARK: &str = "*";

/// The tables of all sinks that have let events through; empty without such sinks.
pub fn coverage(sinks: &[(String, Coverage)]) -> String {
    let sinks: Vec<_> = sinks
        .iter()
        .filter(|(_, coverage)| coverage.events > 0)
        .collect();
    let mut text = String::new();
    let Some((_, first)) = sinks.first() else {
        return text;
    };
    identifiers(&mut text, &sinks);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  ({})", first.about);
    let max_groups = lines_each(sinks.len());
    for (name, coverage) in &sinks {
        groups(&mut text, name, coverage, max_groups);
    }
    let told = |of: fn(&Coverage) -> &[String]| {
        let lines = sinks.iter().flat_map(|(name, coverage)| {
            let sentences = of(coverage).iter();
            sentences.map(move |sentence| [name.clone(), sentence.clone()])
        });
        lines.collect::<Vec<_>>()
    };
    section(&mut text, "Missing most:", told(|coverage| &coverage.hints));
    section(&mut text, "Notes:", told(|coverage| &coverage.notes));
    text
}

/// One line an identifier, one column a sink.
fn identifiers(text: &mut String, sinks: &[&(String, Coverage)]) {
    let mut known: Vec<(String, &str, &str)> = Vec::new();
    for row in sinks.iter().flat_map(|(_, coverage)| &coverage.rows) {
        if !known
            .iter()
            .any(|(_, name, label)| (*name, *label) == (&*row.name, &*row.label))
        {
            known.push((marked(row), &row.name, &row.label));
        }
    }
    let widest = known.iter().map(|(shown, _, _)| shown.len());
    let widest = widest.max().unwrap_or(0);
    let rows: Vec<_> = known
        .into_iter()
        .map(|(shown, name, label)| Row {
            label: format!("  {shown:<widest$}  {label}"),
            cells: sinks
                .iter()
                .map(|(_, coverage)| {
                    let row = coverage.rows.iter().find(|row| row.name == name);
                    share(row, coverage.events)
                })
                .collect(),
        })
        .collect();
    let names: Vec<_> = sinks.iter().map(|(name, _)| name.as_str()).collect();
    tables(text, "Identifiers", &names, &rows);
    footnotes(text, sinks.iter().flat_map(|(_, coverage)| &coverage.rows));
}

/// One line a kind of event, one column an identifier; nothing where there is one kind only.
fn groups(text: &mut String, sink: &str, coverage: &Coverage, max_groups: usize) {
    let [first, _, ..] = coverage.groups.as_slice() else {
        return;
    };
    let names: Vec<_> = first.rows.iter().map(marked).collect();
    let columns: Vec<_> = ["events"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let shown = coverage.groups.iter().take(max_groups);
    let rows: Vec<_> = shown
        .map(|group| {
            let shares = group.rows.iter().map(|row| share(Some(row), group.events));
            let mut cells: Vec<_> = [thousands(group.events)]
                .into_iter()
                .chain(shares)
                .collect();
            cells.resize(columns.len(), String::new());
            Row {
                label: format!("  {}", group.name),
                cells,
            }
        })
        .collect();
    separate(text);
    let _ = writeln!(text, "{sink}: identifiers by event");
    let mut table = String::new();
    tables(&mut table, "", &columns, &rows);
    text.push_str(&table);
    footnotes(text, &first.rows);
    if let Some(more @ 1..) = coverage.groups.len().checked_sub(max_groups) {
        let _ = writeln!(text, "  and {more} more");
    }
}

/// An identifier as a table names it.
fn marked(row: &CoverageRow) -> String {
    let mark = if row.base.is_some() { MARK } else { "" };
    format!("{}{mark}", row.name)
}

/// Which events can carry the marked identifiers.
fn footnotes<'a>(text: &mut String, rows: impl IntoIterator<Item = &'a CoverageRow>) {
    let bases = rows.into_iter().filter_map(|row| row.base.as_ref());
    let what: BTreeSet<_> = bases.map(|CoverageBase { what, .. }| what).collect();
    for what in what {
        let _ = writeln!(text, "  ({MARK} of the {what})");
    }
}

/// `12.5 %`; a dash where no event can carry the identifier.
fn share(row: Option<&CoverageRow>, events: u64) -> String {
    let permille = match row {
        Some(row) => row.permille(events),
        None => Some(0),
    };
    permille.map_or_else(
        || "-".to_owned(),
        |permille| format!("{}.{} %", permille / 10, permille % 10),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::CoverageGroup;

    fn row((name, events, label): (&'static str, u64, &'static str)) -> CoverageRow {
        CoverageRow::new(name, events, label)
    }

    fn sink(
        name: &str,
        events: u64,
        rows: &[(&'static str, u64, &'static str)],
    ) -> (String, Coverage) {
        let rows = rows.iter().copied().map(row).collect();
        let coverage = Coverage::new("an estimate", events, rows)
            .with_hints(vec!["ph (high), looked for in traits.phone".to_owned()]);
        (name.to_owned(), coverage)
    }

    #[test]
    fn the_table_reads_like_this_and_leaves_out_sinks_without_events() {
        let mut sinks = [
            sink("shop", 3, &[("em", 3, "highest"), ("ph", 2, "high")]),
            sink("idle", 0, &[("em", 0, "highest")]),
            sink("hotel", 8, &[("em", 1, "highest")]),
        ];
        sinks[2].1.notes.push("1 event was read slowly".to_owned());
        let expected = "Identifiers        shop    hotel
  em  highest   100.0 %   12.5 %
  ph  high       66.6 %    0.0 %
  (an estimate)

Missing most:
  shop   ph (high), looked for in traits.phone
  hotel  ph (high), looked for in traits.phone

Notes:
  hotel  1 event was read slowly
";
        assert_eq!(coverage(&sinks), expected);
        assert_eq!(coverage(&sinks[1..2]), "");
    }

    #[test]
    fn an_identifier_that_not_every_event_can_carry_is_marked() {
        let clicks = |events, base| {
            let row = CoverageRow::new("fbc", events, "highest");
            row.measured_against(base, "events with a click id")
        };
        let mut shop = Coverage::new("an estimate", 1_000, Vec::new());
        shop.rows = vec![row(("em", 300, "highest")), clicks(99, 100)];
        let group = |name, events, em, (fbc, base)| {
            CoverageGroup::new(name, events, vec![row(("em", em, "")), clicks(fbc, base)])
        };
        let shop = shop.with_groups(vec![
            group("PageView", 990, 295, (99, 100)),
            group("Purchase", 10, 5, (0, 0)),
        ]);
        let hotel = sink("hotel", 1, &[("em", 1, "highest")]);
        let expected = "Identifiers         shop     hotel
  em    highest   30.0 %   100.0 %
  fbc*  highest   99.0 %     0.0 %
  (* of the events with a click id)
  (an estimate)

shop: identifiers by event
             events       em     fbc*
  PageView      990   29.7 %   99.0 %
  Purchase       10   50.0 %        -
  (* of the events with a click id)

Missing most:
  hotel  ph (high), looked for in traits.phone
";
        assert_eq!(coverage(&[("shop".to_owned(), shop), hotel]), expected);
    }

    #[test]
    fn kinds_of_events_that_do_not_fit_are_counted() {
        let groups = (0..100).map(|number| {
            let name = format!("Event{number:02}");
            CoverageGroup::new(name, 100 - number, vec![row(("em", 0, ""))])
        });
        let (name, coverage_of) = sink("shop", 9_999, &[("em", 0, "highest")]);
        let sinks = [(name, coverage_of.with_groups(groups.collect()))];
        let text = coverage(&sinks);
        assert!(
            text.contains("  Event19") && !text.contains("  Event20"),
            "{text}"
        );
        assert!(text.contains("\n  and 80 more\n"), "{text}");
    }
}
