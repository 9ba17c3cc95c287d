//! Text in columns: figures of several sinks side by side, and aligned lines under a title.
//!
//! Invariant: no table is wider than [`MAX_WIDTH`], unless a single column is.

use std::fmt::Write as _;

/// Columns of characters that a table may take; more sinks than fit go into a further table.
pub(super) const MAX_WIDTH: usize = 100;
/// Spaces in front of a column.
const GAP: usize = 3;

/// A line of a table: what it is about, and one cell a sink.
pub(super) struct Row {
    pub(super) label: String,
    pub(super) cells: Vec<String>,
}

/// One column of a table.
struct Column<'a> {
    name: &'a str,
    at: usize,
    width: usize,
}

/// Writes tables of these rows, with `corner` above the labels and a column for each name.
pub(super) fn tables(text: &mut String, corner: &str, names: &[&str], rows: &[Row]) {
    let labels = rows.iter().map(|row| row.label.len());
    let label_width = labels.chain([corner.len()]).max().unwrap_or(0);
    let mut columns: Vec<Column<'_>> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let cells = rows.iter().map(|row| row.cells[at].len());
            let widest = cells.chain([name.len()]).max().unwrap_or(0);
            Column {
                name,
                at,
                width: GAP + widest,
            }
        })
        .collect();
    while !columns.is_empty() {
        let rest = columns.split_off(fitting(&columns, label_width));
        separate(text);
        let mut line = |label: &str, cell: &dyn Fn(&Column<'_>) -> String| {
            let mut line = format!("{label:<label_width$}");
            for column in &columns {
                // Writing to a string cannot fail.
                let _ = write!(line, "{:>width$}", cell(column), width = column.width);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        };
        line(corner, &|column| column.name.to_owned());
        for row in rows {
            line(&row.label, &|column| row.cells[column.at].clone());
        }
        columns = rest;
    }
}

/// How many of the columns go into one table; at least one, however wide.
fn fitting(columns: &[Column<'_>], label_width: usize) -> usize {
    let mut width = label_width;
    let fits = columns.iter().take_while(|column| {
        width += column.width;
        width <= MAX_WIDTH
    });
    fits.count().max(1)
}

/// An empty line between two parts.
pub(super) fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}

/// A title and aligned lines below it; nothing without lines.
pub(super) fn section<const CELLS: usize>(
    text: &mut String,
    title: &str,
    lines: Vec<[String; CELLS]>,
) {
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
