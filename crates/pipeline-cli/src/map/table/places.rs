//! Rows that differ only in their place in a list, in one row: `custom_data.contents[0-2].id`.
//!
//! Invariant: each row that was added is named by exactly one of the rows that come out.

use super::columns::Row;
use std::collections::HashMap;

/// Rows, those that differ only in a place merged.
#[derive(Debug, Default)]
pub(super) struct Merged {
    rows: Vec<Places>,
    /// The index of a row by its texts without places.
    known: HashMap<[String; 3], usize>,
}

/// A row whose name and path each hold at most one place, and all the places.
#[derive(Debug)]
struct Places {
    name: Place,
    from: Place,
    what: String,
}

/// A text around places in a list.
#[derive(Debug)]
struct Place {
    before: String,
    after: String,
    places: Vec<usize>,
}

impl Merged {
    pub(super) fn add(&mut self, name: &str, from: &str, what: &str) {
        let (name, from) = (Place::of(name), Place::of(from));
        let key = [name.pattern(), from.pattern(), what.to_owned()];
        if let Some(row) = self.known.get(&key).and_then(|at| self.rows.get_mut(*at)) {
            row.name.places.extend(name.places);
            row.from.places.extend(from.places);
            return;
        }
        self.known.insert(key, self.rows.len());
        let what = what.to_owned();
        self.rows.push(Places { name, from, what });
    }

    pub(super) fn into_rows(self) -> Vec<Row> {
        let rows = self.rows.into_iter();
        rows.map(|row| Row {
            name: row.name.shown(),
            from: row.from.shown(),
            what: row.what,
        })
        .collect()
    }
}

impl Place {
    /// A text and the first place in it.
    fn of(text: &str) -> Self {
        let mut rest = text;
        while let Some((head, tail)) = rest.split_once('[') {
            if let Some((place, after)) = tail.split_once(']')
                && let Ok(place) = place.parse()
            {
                return Self {
                    before: text[..text.len() - rest.len() + head.len()].to_owned(),
                    after: after.to_owned(),
                    places: vec![place],
                };
            }
            rest = tail;
        }
        Self {
            before: text.to_owned(),
            after: String::new(),
            places: Vec::new(),
        }
    }

    fn pattern(&self) -> String {
        let place = if self.places.is_empty() { "" } else { "[*]" };
        format!("{}{place}{}", self.before, self.after)
    }

    /// The text with its places: `a[0-2,4].b`.
    fn shown(mut self) -> String {
        self.places.sort_unstable();
        self.places.dedup();
        let runs = self.places.chunk_by(|a, b| a + 1 == *b);
        let runs: Vec<_> = runs
            .map(|run| match run {
                [first, .., last] => format!("{first}-{last}"),
                one => one.iter().map(ToString::to_string).collect(),
            })
            .collect();
        if runs.is_empty() {
            return self.before;
        }
        format!("{}[{}]{}", self.before, runs.join(","), self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(rows: &[(&str, &str, &str)]) -> Vec<String> {
        let mut merged = Merged::default();
        for (name, from, what) in rows {
            merged.add(name, from, what);
        }
        let rows = merged.into_rows().into_iter();
        rows.map(|row| format!("{} {} {}", row.name, row.from, row.what))
            .collect()
    }

    #[test]
    fn fields_of_several_items_are_one_row() {
        assert_eq!(
            merged(&[
                ("c[0].id", "p[0].sku", "text"),
                ("c[0].n", "p[0].name", "text"),
                ("c[1].id", "p[1].sku", "text"),
                ("c[1].n", "p[1].title", "text"),
                ("c[2].id", "p[2].sku", "text"),
                ("c[5].id", "p[5].sku", "text"),
                ("c[6].id", "p[6].sku", "other"),
            ]),
            [
                "c[0-2,5].id p[0-2,5].sku text",
                "c[0].n p[0].name text",
                "c[1].n p[1].title text",
                "c[6].id p[6].sku other",
            ]
        );
    }

    #[test]
    fn values_of_one_list_are_one_row_if_the_reason_is_the_same() {
        assert_eq!(
            merged(&[
                ("em", "traits.email[0]", "no"),
                ("em", "traits.email[4]", "no"),
                ("em", "traits.email[5]", "empty"),
                ("em", "mail[x]", "no"),
                ("c[]", "p[1]", "no"),
                ("c[]", "p[3]", "no"),
            ]),
            [
                "em traits.email[0,4] no",
                "em traits.email[5] empty",
                "em mail[x] no",
                "c[] p[1,3] no",
            ]
        );
    }
}
