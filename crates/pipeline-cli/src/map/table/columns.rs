//! Text in three columns, each cell wrapped within its own.
//!
//! Invariant: no line is longer than [`WIDTH`] characters.

use std::io::{self, Write};

/// Characters of a line.
pub(super) const WIDTH: usize = 100;
/// Characters in front of the first column.
const INDENT: usize = 4;
/// Spaces between two columns.
const GAP: usize = 2;
/// Characters of the first column, at most.
const MAX_NAME: usize = 44;
/// Characters that a column has at least, unless its cells are shorter: most paths.
const LEAST_WIDTH: usize = 24;

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) from: String,
    pub(super) what: String,
}

/// Writes rows; the columns are as wide as makes the fewest lines.
pub(super) fn write_rows(rows: &[Row], output: &mut dyn Write) -> io::Result<()> {
    let widest = |cell: fn(&Row) -> &str| {
        let widths = rows.iter().map(|row| cell(row).chars().count());
        widths.max().unwrap_or(0)
    };
    let name_width = widest(|row| &row.name).min(MAX_NAME);
    let rest = WIDTH - INDENT - name_width - 2 * GAP;
    let widest = widest(|row| &row.from).min(rest - LEAST_WIDTH);
    let lines = |from_width: &usize| -> usize {
        let lines = rows.iter().map(|row| {
            let from = wrap(&row.from, *from_width).len();
            from.max(wrap(&row.what, rest - from_width).len())
        });
        lines.sum()
    };
    let widths = (LEAST_WIDTH.min(widest)..=widest).rev();
    let from_width = widths.min_by_key(lines).unwrap_or(widest);
    let what_width = rest - from_width;
    for row in rows {
        let cells = [
            (wrap(&row.name, name_width), name_width),
            (wrap(&row.from, from_width), from_width),
            (wrap(&row.what, what_width), 0),
        ];
        let lines = cells.iter().map(|(lines, _)| lines.len()).max();
        for line in 0..lines.unwrap_or(0) {
            let mut text = " ".repeat(INDENT);
            for (lines, width) in &cells {
                let cell = lines.get(line).map_or("", |cell| cell);
                text.push_str(cell);
                let missing = width.saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', missing + GAP));
            }
            writeln!(output, "{}", text.trim_end())?;
        }
    }
    Ok(())
}

/// Text in lines of at most `width` characters: broken at spaces, words that are longer behind a dot or another mark.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let mut word = word;
        loop {
            let letters = word.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + letters <= width {
                if let Some(line) = lines.last_mut() {
                    line.push_str(&" ".repeat(gap));
                    line.push_str(word);
                }
                used += gap + letters;
                break;
            }
            if letters > width {
                let (head, tail) = word.split_at(break_of(word, width));
                if used > 0 {
                    lines.push(String::new());
                }
                if let Some(line) = lines.last_mut() {
                    line.push_str(head);
                }
                word = tail;
            }
            lines.push(String::new());
            used = 0;
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// Where to break a word that is longer than a line.
fn break_of(word: &str, width: usize) -> usize {
    let end = word
        .char_indices()
        .nth(width)
        .map_or(word.len(), |(at, _)| at);
    let mark = word[..end].rfind(['.', '_', '/', ',', ']']);
    match mark {
        Some(at) if at > 0 => at + 1,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces_and_paths_behind_a_mark() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""; 0]);
        assert_eq!(
            wrap("context.traits.email, x", 10),
            ["context.", "traits.", "email, x"]
        );
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("→→→→ →", 3), ["→→→", "→ →"]);
    }

    #[test]
    fn no_line_is_longer_than_a_hundred_characters_and_nothing_is_lost() {
        for length in [1, 30, 60, 200] {
            let text = |c: char| {
                let words = [c.to_string().repeat(length), "word".to_owned()];
                words.join(" ")
            };
            let row = Row {
                name: text('n'),
                from: text('f'),
                what: text('w'),
            };
            let mut output = Vec::new();
            write_rows(&[row], &mut output).expect("memory");
            let output = String::from_utf8(output).expect("text");
            for line in output.lines() {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
            for c in ['n', 'f'] {
                assert_eq!(output.matches(c).count(), length, "{c}: {output}");
            }
        }
    }
}
