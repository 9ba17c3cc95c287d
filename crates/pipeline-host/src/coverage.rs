//! What people see of a sink's coverage: a table of identifiers, and what is missing most.
//!
//! In: a sink's name and its [`Coverage`]. Out: text for the end of a run. Invariant: names, shares and paths only.

use pipeline_core::Coverage;
use std::fmt::Write as _;

/// The table of one sink; nothing where no event went out.
pub fn table(sink: &str, coverage: &Coverage) -> String {
    let mut table = String::new();
    if coverage.events == 0 {
        return table;
    }
    let Coverage {
        about,
        events,
        rows,
        notes,
    } = coverage;
    let _ = writeln!(table, "  {sink}: identifiers of {events} events ({about})");
    for row in rows {
        let permille = coverage.permille(row.events);
        let share = format!("{}.{} %", permille / 10, permille % 10);
        let _ = writeln!(table, "    {:<28} {share:>8}  {}", row.name, row.strength);
    }
    for note in notes {
        let _ = writeln!(table, "  missing most: {note}");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::CoverageRow;

    #[test]
    fn shares_have_one_decimal_and_silence_has_no_table() {
        let row = |name, events, strength| CoverageRow {
            name,
            events,
            strength,
        };
        let mut coverage = Coverage {
            about: "an estimate".to_owned(),
            events: 3,
            rows: vec![row("em", 3, "highest"), row("ph", 2, "high")],
            notes: vec!["ph (high), looked for in traits.phone".to_owned()],
        };
        assert_eq!(
            table("meta", &coverage),
            "  meta: identifiers of 3 events (an estimate)\n    \
             em                            100.0 %  highest\n    \
             ph                             66.6 %  high\n  \
             missing most: ph (high), looked for in traits.phone\n"
        );
        coverage.events = 0;
        assert_eq!(table("meta", &coverage), "");
    }
}
