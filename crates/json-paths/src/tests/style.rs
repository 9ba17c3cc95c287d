//! Writes the same JSON as different programs do.

use serde_json::{Map, Value};

/// Where white space is allowed.
#[derive(Debug, Clone, Copy)]
enum Gap {
    AfterOpening,
    BeforeComma,
    AfterComma,
    BeforeColon,
    AfterColon,
    BeforeClosing,
    BeforeText,
    AfterText,
}

/// How JSON is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// The white space of each [`Gap`], in their order.
    Fixed([&'static str; 8]),
    /// One entry per line: the line end and the indentation.
    Pretty(&'static str, &'static str),
    /// Random white space in every gap, and some keys with escapes; from a seed.
    Mixed(u64),
}

/// Styles by name.
pub(super) const STYLES: &[(&str, Style)] = &[
    ("compact", Style::Fixed([""; 8])),
    ("a space after commas", after(" ", "")),
    ("a space after colons", after("", " ")),
    ("a space after both, as Python writes", after(" ", " ")),
    ("two spaces after both", after("  ", "  ")),
    ("a tab after both", after("\t", "\t")),
    ("a line feed after both", after("\n", "\n")),
    (
        "a line end of two characters after both",
        after("\r\n", "\r\n"),
    ),
    (
        "a space before colons",
        Style::Fixed(["", "", "", " ", "", "", "", ""]),
    ),
    (
        "a space around colons",
        Style::Fixed(["", "", "", " ", " ", "", "", ""]),
    ),
    (
        "a space before commas",
        Style::Fixed(["", " ", "", "", "", "", "", ""]),
    ),
    (
        "a space inside braces",
        Style::Fixed([" ", "", "", "", "", " ", "", ""]),
    ),
    ("spaces everywhere", Style::Fixed(["  "; 8])),
    (
        "more white space than is remembered",
        after("", "                                        "),
    ),
    (
        "spaces before and after the text",
        Style::Fixed(["", "", "", "", "", "", "  ", TAIL]),
    ),
    (
        "Python's, with spaces after the text",
        Style::Fixed(["", "", " ", "", " ", "", "", TAIL]),
    ),
    ("pretty with two spaces", Style::Pretty("\n", "  ")),
    (
        "pretty with tabs, line ends of two characters",
        Style::Pretty("\r\n", "\t"),
    ),
    ("mixed", Style::Mixed(1)),
    ("mixed in another way", Style::Mixed(2)),
];

/// More bytes than a separator has.
const TAIL: &str = "                                                                ";

const fn after(comma: &'static str, colon: &'static str) -> Style {
    Style::Fixed(["", "", comma, "", colon, "", "", ""])
}

impl Style {
    fn gap(&mut self, gap: Gap, depth: usize) -> String {
        match self {
            Self::Fixed(spaces) => spaces[gap as usize].to_owned(),
            Self::Pretty(end, indent) => match gap {
                Gap::AfterOpening | Gap::AfterComma => format!("{end}{}", indent.repeat(depth)),
                Gap::BeforeClosing => format!("{end}{}", indent.repeat(depth - 1)),
                Gap::AfterColon => " ".to_owned(),
                Gap::AfterText => (*end).to_owned(),
                Gap::BeforeComma | Gap::BeforeColon | Gap::BeforeText => String::new(),
            },
            Self::Mixed(seed) => {
                let spaces = ["", "", "", " ", "  ", "\t", "\n", "\r\n", " \t ", TAIL];
                spaces[number(seed, spaces.len())].to_owned()
            }
        }
    }

    /// The key between its quotes.
    fn key(&mut self, key: &str) -> String {
        let mut written = Value::from(key).to_string();
        if let Self::Mixed(seed) = self
            && number(seed, 4) == 0
            && let Some(first) = key.chars().next().filter(char::is_ascii_alphanumeric)
        {
            written.replace_range(1..2, &format!("\\u{:04x}", u32::from(first)));
        }
        written
    }

    /// The text of a value.
    pub(super) fn write(mut self, value: &Value) -> String {
        let mut text = self.gap(Gap::BeforeText, 0);
        self.add(&mut text, value, 0);
        text + &self.gap(Gap::AfterText, 0)
    }

    fn add(&mut self, text: &mut String, value: &Value, depth: usize) {
        let (open, close, entries): (_, _, Vec<_>) = match value {
            Value::Object(object) => {
                let entries = object.iter().map(|(key, value)| (Some(key), value));
                ('{', '}', entries.collect())
            }
            Value::Array(list) => ('[', ']', list.iter().map(|value| (None, value)).collect()),
            scalar => return text.push_str(&scalar.to_string()),
        };
        text.push(open);
        for (place, (key, value)) in entries.iter().enumerate() {
            if place == 0 {
                *text += &self.gap(Gap::AfterOpening, depth + 1);
            } else {
                *text += &self.gap(Gap::BeforeComma, depth + 1);
                text.push(',');
                *text += &self.gap(Gap::AfterComma, depth + 1);
            }
            if let Some(key) = key {
                *text += &self.key(key);
                *text += &self.gap(Gap::BeforeColon, depth + 1);
                text.push(':');
                *text += &self.gap(Gap::AfterColon, depth + 1);
            }
            self.add(text, value, depth + 1);
        }
        *text += &self.gap(Gap::BeforeClosing, depth + 1);
        text.push(close);
    }
}

/// The same value with the keys of each object in a random order.
pub(super) fn reordered(value: &Value, seed: &mut u64) -> Value {
    match value {
        Value::Object(object) => {
            let mut left: Vec<_> = object.iter().collect();
            let mut object = Map::new();
            while !left.is_empty() {
                let (key, value) = left.swap_remove(number(seed, left.len()));
                object.insert(key.clone(), reordered(value, seed));
            }
            Value::Object(object)
        }
        Value::Array(list) => list.iter().map(|value| reordered(value, seed)).collect(),
        scalar => scalar.clone(),
    }
}

/// The next number below `bound` (SplitMix64).
fn number(seed: &mut u64, bound: usize) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from(mixed >> 32).expect("32 bits") % bound
}
