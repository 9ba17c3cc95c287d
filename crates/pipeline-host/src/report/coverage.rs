//! Which identifiers the delivered events carried, one column a sink, and what is missing most.
//!
//! Invariant: names, shares and paths only.

use super::grid::{Row, section, tables};
use pipeline_core::Coverage;
use std::fmt::Write as _;

/// The table of all sinks that have let events through; empty without such sinks.
pub fn coverage(sinks: &[(String, Coverage)]) -> String {
    let sinks: Vec<_> = sinks
        .iter()
        .filter(|(_, coverage)| coverage.events > 0)
        .collect();
    let mut text = String::new();
    let Some((_, first)) = sinks.first() else {
        return text;
    };
    let mut known: Vec<(&str, &str)> = Vec::new();
    for row in sinks.iter().flat_map(|(_, coverage)| &coverage.rows) {
        if !known.contains(&(&*row.name, &*row.label)) {
            known.push((&row.name, &row.label));
        }
    }
    let widest = known.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let rows: Vec<_> = known
        .into_iter()
        .map(|(name, label)| Row {
            label: format!("  {name:<widest$}  {label}"),
            cells: sinks
                .iter()
                .map(|(_, coverage)| {
                    let row = coverage.rows.iter().find(|row| row.name == name);
                    let permille = coverage.permille(row.map_or(0, |row| row.events));
                    format!("{}.{} %", permille / 10, permille % 10)
                })
                .collect(),
        })
        .collect();
    let names: Vec<_> = sinks.iter().map(|(name, _)| name.as_str()).collect();
    tables(&mut text, "Identifiers", &names, &rows);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  ({})", first.about);
    let missing = sinks.iter().flat_map(|(name, coverage)| {
        coverage
            .notes
            .iter()
            .map(move |note| [name.clone(), note.clone()])
    });
    section(&mut text, "Missing most:", missing.collect());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::CoverageRow;

    fn sink(
        name: &str,
        events: u64,
        rows: &[(&'static str, u64, &'static str)],
    ) -> (String, Coverage) {
        let rows = rows
            .iter()
            .map(|(name, events, label)| CoverageRow::new(*name, *events, *label));
        let coverage = Coverage::new("an estimate", events, rows.collect())
            .with_notes(vec!["ph (high), looked for in traits.phone".to_owned()]);
        (name.to_owned(), coverage)
    }

    #[test]
    fn the_table_reads_like_this_and_leaves_out_sinks_without_events() {
        let sinks = [
            sink("shop", 3, &[("em", 3, "highest"), ("ph", 2, "high")]),
            sink("idle", 0, &[("em", 0, "highest")]),
            sink("hotel", 8, &[("em", 1, "highest")]),
        ];
        let expected = "Identifiers        shop    hotel
  em  highest   100.0 %   12.5 %
  ph  high       66.6 %    0.0 %
  (an estimate)

Missing most:
  shop   ph (high), looked for in traits.phone
  hotel  ph (high), looked for in traits.phone
";
        assert_eq!(coverage(&sinks), expected);
        assert_eq!(coverage(&sinks[1..2]), "");
    }
}
