//! The end of a run: what became of every event, one column a sink, one row a figure, and where to look further.
//!
//! Invariant: in every column, read = delivered + filtered + rejected + dropped + held.

use super::thousands;
use crate::telemetry::SinkSnapshot;
use crate::topology::Ending;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Columns of characters that a table may take; more sinks than fit go into a further table.
const MAX_WIDTH: usize = 100;
/// Spaces in front of a column.
const GAP: usize = 3;

/// The tables, the first rejected event of each reason, and the files of dead letters.
pub fn closing(ending: &Ending) -> String {
    let mut text = String::new();
    let rows = rows(&ending.sinks);
    let label_width = rows.iter().map(|row| row.label.len()).max().unwrap_or(0);
    let mut columns: Vec<_> = (0..ending.sinks.len())
        .map(|sink| Column::new(&ending.sinks[sink].name, &rows, sink))
        .collect();
    while !columns.is_empty() {
        let fitting = fitting(&columns, label_width);
        let rest = columns.split_off(fitting);
        separate(&mut text);
        table(&mut text, &rows, label_width, &columns);
        columns = rest;
    }
    rejected(&mut text, &ending.sinks);
    let unread = ending.failures.iter().map(|error| [error.to_string()]);
    section(&mut text, "Not read to the end:", unread.collect());
    let letters = ending.sinks.iter().filter_map(|sink| {
        let path = ending.dead_letters.get(&sink.name)?;
        (sink.rejected_total() + sink.held > 0)
            .then(|| [sink.name.clone(), path.display().to_string()])
    });
    section(&mut text, "Dead letters:", letters.collect());
    text
}

struct Row {
    label: String,
    /// One number a sink; `None` where a reason did not occur.
    figures: Vec<Option<u64>>,
}

fn rows(sinks: &[SinkSnapshot]) -> Vec<Row> {
    let total = |label: &str, figure: &dyn Fn(&SinkSnapshot) -> u64| Row {
        label: format!("  {label}"),
        figures: sinks.iter().map(|sink| Some(figure(sink))).collect(),
    };
    let reason = |code: &str, figure: &dyn Fn(&SinkSnapshot) -> Option<u64>| Row {
        label: format!("    {code}"),
        figures: sinks.iter().map(figure).collect(),
    };
    let mut rows = vec![
        total("read", &|sink| sink.received),
        total("delivered", &|sink| sink.delivered),
        total("filtered", &SinkSnapshot::filtered_total),
    ];
    let filtered: BTreeSet<_> = sinks.iter().flat_map(|sink| sink.filtered.keys()).collect();
    rows.extend(
        filtered
            .into_iter()
            .map(|code| reason(code, &|sink| sink.filtered.get(code).copied())),
    );
    rows.push(total("rejected", &SinkSnapshot::rejected_total));
    let rejected: BTreeSet<_> = sinks.iter().flat_map(|sink| sink.rejected.keys()).collect();
    rows.extend(rejected.into_iter().map(|code| {
        reason(code, &|sink| {
            sink.rejected.get(code).map(|first| first.count)
        })
    }));
    if sinks.iter().any(|sink| sink.dropped > 0) {
        rows.push(total("dropped", &|sink| sink.dropped));
    }
    rows.push(total("held", &|sink| sink.held));
    rows
}

struct Column {
    name: String,
    cells: Vec<String>,
    width: usize,
}

impl Column {
    fn new(name: &str, rows: &[Row], sink: usize) -> Self {
        let cells: Vec<_> = rows
            .iter()
            .map(|row| row.figures[sink].map_or_else(String::new, thousands))
            .collect();
        let widest = cells.iter().map(String::len).max().unwrap_or(0);
        Self {
            name: name.to_owned(),
            width: GAP + widest.max(name.len()),
            cells,
        }
    }
}

/// How many of the columns go into one table; at least one, however wide.
fn fitting(columns: &[Column], label_width: usize) -> usize {
    let mut width = label_width;
    let fits = columns.iter().take_while(|column| {
        width += column.width;
        width <= MAX_WIDTH
    });
    fits.count().max(1)
}

fn table(text: &mut String, rows: &[Row], label_width: usize, columns: &[Column]) {
    let mut line = |label: &str, cell: &dyn Fn(&Column) -> String| {
        let mut line = format!("{label:<label_width$}");
        for column in columns {
            // Writing to a string cannot fail.
            let _ = write!(line, "{:>width$}", cell(column), width = column.width);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line("", &|column| column.name.clone());
    for (index, row) in rows.iter().enumerate() {
        line(&row.label, &|column| column.cells[index].clone());
    }
}

fn rejected(text: &mut String, sinks: &[SinkSnapshot]) {
    let lines = sinks.iter().flat_map(|sink| {
        sink.rejected.iter().map(|(code, first)| {
            [
                sink.name.clone(),
                (*code).to_owned(),
                first.place.clone(),
                first.detail.clone(),
            ]
        })
    });
    section(text, "Rejected, the first of each reason:", lines.collect());
}

/// An empty line between two parts.
fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}

/// A title and aligned lines below it; nothing where there are no lines.
fn section<const CELLS: usize>(text: &mut String, title: &str, lines: Vec<[String; CELLS]>) {
    if lines.is_empty() {
        return;
    }
    let widths: [usize; CELLS] = std::array::from_fn(|cell| {
        let widths = lines.iter().map(|line| line[cell].chars().count());
        widths.max().unwrap_or(0)
    });
    separate(text);
    let _ = writeln!(text, "{title}");
    for cells in lines {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(line, "  {cell:<width$}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Rejections;
    use std::collections::BTreeMap;

    fn rejections(count: u64, place: &str, detail: &str) -> Rejections {
        Rejections {
            count,
            place: place.to_owned(),
            detail: detail.to_owned(),
        }
    }

    fn ending(sinks: Vec<SinkSnapshot>) -> Ending {
        let dead_letters = sinks.iter().map(|sink| {
            let path = format!("data/dead_letters/{}.ndjson", sink.name);
            (sink.name.clone(), path.into())
        });
        Ending {
            dead_letters: dead_letters.collect(),
            sinks,
            failures: Vec::new(),
        }
    }

    fn shop() -> SinkSnapshot {
        SinkSnapshot {
            name: "shop".to_owned(),
            received: 1_234_567,
            delivered: 1_234_500,
            filtered: BTreeMap::from([("consent", 40), ("unmapped", 7)]),
            rejected: BTreeMap::from([
                (
                    "malformed_json",
                    rejections(2, "retail line 77", "line 1 column 9"),
                ),
                (
                    "too_old",
                    rejections(8, "retail line 1024", "older than 7 days"),
                ),
            ]),
            held: 10,
            ..SinkSnapshot::default()
        }
    }

    fn hotel() -> SinkSnapshot {
        SinkSnapshot {
            name: "hotel".to_owned(),
            received: 327,
            delivered: 203,
            filtered: BTreeMap::from([("consent", 124)]),
            ..SinkSnapshot::default()
        }
    }

    #[test]
    fn the_closing_report_reads_like_this() {
        let expected = "                          shop   hotel
  read               1,234,567     327
  delivered          1,234,500     203
  filtered                  47     124
    consent                 40     124
    unmapped                 7
  rejected                  10       0
    malformed_json           2
    too_old                  8
  held                      10       0

Rejected, the first of each reason:
  shop  malformed_json  retail line 77    line 1 column 9
  shop  too_old         retail line 1024  older than 7 days

Dead letters:
  shop  data/dead_letters/shop.ndjson
";
        assert_eq!(closing(&ending(vec![shop(), hotel()])), expected);
    }

    #[test]
    fn what_was_dropped_has_a_row_where_there_is_any() {
        let mut sink = hotel();
        (sink.received, sink.dropped) = (330, 3);
        let expected = "              hotel
  read          330
  delivered     203
  filtered      124
    consent     124
  rejected        0
  dropped         3
  held            0
";
        assert_eq!(closing(&ending(vec![sink])), expected);
    }

    #[test]
    fn the_figures_of_every_column_add_up_and_no_table_is_too_wide() {
        let sinks = (0..40).map(|number| SinkSnapshot {
            name: format!("sink_number_{number}"),
            ..if number % 2 == 0 { shop() } else { hotel() }
        });
        let text = closing(&ending(sinks.collect()));
        let tables: Vec<_> = text
            .split("\n\n")
            .filter(|part| part.contains("  read"))
            .collect();
        let mut columns = 0;
        for table in &tables {
            assert!(table.lines().all(|line| line.len() <= MAX_WIDTH), "{table}");
            let row = |label: &str| -> Vec<u64> {
                let mut words = table
                    .lines()
                    .find_map(|line| line.trim().strip_prefix(label))
                    .unwrap()
                    .split_whitespace();
                let numbers = words
                    .by_ref()
                    .map(|word| word.replace(',', "").parse().unwrap());
                numbers.collect()
            };
            let parts = ["delivered", "filtered", "rejected", "held"].map(row);
            for (column, read) in row("read").into_iter().enumerate() {
                let sum: u64 = parts.iter().map(|part| part[column]).sum();
                assert_eq!(sum, read, "{table}");
                columns += 1;
            }
        }
        assert_eq!((columns, tables.len() > 1), (40, true), "{text}");
    }
}
