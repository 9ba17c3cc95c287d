//! Values in every framing, whole and damaged, compared with each value alone.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// What was found, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Value(u64, String),
    TooLong(u64),
    BrokenList(u64),
}

/// Gives so many bytes at a time.
struct Slowly<'t>(&'t [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.1.min(self.0.len()).min(buffer.len());
        let (now, later) = self.0.split_at(bytes);
        buffer[..bytes].copy_from_slice(now);
        self.0 = later;
        Ok(bytes)
    }
}

fn read(input: impl Read) -> Vec<Got> {
    let mut values = Values::new(input);
    let mut got = Vec::new();
    while let Some((line, found)) = values.next().expect("memory") {
        got.push(match found {
            Found::Value(bytes) => Got::Value(line, String::from_utf8_lossy(bytes).into_owned()),
            Found::TooLong => Got::TooLong(line),
            Found::BrokenList(_) => Got::BrokenList(line),
        });
    }
    assert_eq!(values.next().expect("memory"), None, "it stays at the end");
    got
}

/// What is found in a text, however many bytes come at a time.
fn got(text: &str) -> Vec<Got> {
    let got = read(text.as_bytes());
    for bytes in [1, 7] {
        assert_eq!(read(Slowly(text.as_bytes(), bytes)), got, "{text}");
    }
    got
}

fn value(line: u64, text: &str) -> Got {
    Got::Value(line, text.to_owned())
}

#[test]
fn a_line_that_is_one_value_is_handed_over_as_it_is() {
    for line in [
        r#"{"a":1}"#,
        r#"  {"a": "}\"{"}	 "#,
        "7",
        "\"text\"",
        "not json",
        "{\"a\":1} x",
        "{\"a\":1},",
        "{\"a\":1}}",
        "}{",
        "{\"unended",
        "\u{feff}{}",
        "{]",
    ] {
        let text = format!("\n \n{line}\r\n{{}}\n");
        assert_eq!(got(&text), [value(3, line), value(4, "{}")], "{line}");
    }
    assert_eq!(got("\u{feff}{}"), [value(1, "{}")]);
    assert_eq!(got("{}\r"), [value(1, "{}")]);
}

#[test]
fn values_of_every_framing_are_cut_where_they_end() {
    let pretty = "{\n  \"a\": [\n    {}\n  ]\n}";
    assert_eq!(
        got(&format!("{pretty}\n\n{pretty}{{}} {{\"b\":\n1}}\n{{}}")),
        [
            value(1, pretty),
            value(7, pretty),
            value(11, "{}"),
            value(11, "{\"b\":\n1}"),
            value(13, "{}")
        ]
    );
    assert_eq!(
        got("\u{1e}{\"a\":1}\n\u{1e}{\n\"b\":2}\n\u{1e}7\n \u{1e} {}"),
        [
            value(1, "{\"a\":1}"),
            value(2, "{\n\"b\":2}"),
            value(4, "7"),
            value(5, "{}")
        ]
    );
}

#[test]
fn the_elements_of_a_list_are_values() {
    let expected = [
        value(1, "{\"a\":[1,2]}"),
        value(1, "{}"),
        value(1, "[3]"),
        value(1, "\"x,]\""),
    ];
    assert_eq!(got(r#"[{"a":[1,2]},{}, [3] ,"x,]"]"#), expected);
    assert_eq!(
        got("[\n  {\n    \"a\": 1\n  },\n  {\n    \"b\": 2\n  }\n]\n{}\n"),
        [
            value(2, "{\n    \"a\": 1\n  }"),
            value(5, "{\n    \"b\": 2\n  }"),
            value(9, "{}")
        ]
    );
    assert_eq!(got("[]\n[ ] {}\n[{}]\n"), [value(2, "{}"), value(3, "{}")]);
}

#[test]
fn a_list_that_is_not_json_is_told_once_and_its_elements_are_read() {
    for list in [
        "[{},{}",
        "[{} {}]",
        "[{},{},]",
        "[,{},,{}]",
        "[{}\n{}\n",
        "[{},{}\n[",
        "[{},{}\u{1e}",
    ] {
        let found = got(list);
        let is_broken = |got: &&Got| matches!(got, Got::BrokenList(1));
        assert_eq!(
            found.iter().filter(is_broken).count(),
            1,
            "{list}: {found:?}"
        );
        let is_element = |got: &&Got| matches!(got, Got::Value(_, text) if text == "{}");
        assert_eq!(
            found.iter().filter(is_element).count(),
            2,
            "{list}: {found:?}"
        );
    }
}

#[test]
fn a_value_without_an_end_costs_itself() {
    let good = "{\"good\":1}";
    for bad in [
        "{\"a\":",
        "{\"a\":[",
        "{\"a\":[1,",
        "{\"a\":1,",
        "{",
        "{\"a",
        "{\"a\":{\"b\":1}",
        "{\"a\":tru",
        "{\"a\":[{},",
        "{\"a\":[}",
        "{\n  \"a\": [\n    {",
        "{\n  \"a\": [\n    {\n",
        "{\n  \"a\": \"b\n  \"c\": 1\n}",
        "{\n  \"a\": [\n    1\n  },\n  \"c\": {\n  }\n}",
    ] {
        let lines = 1 + bad.matches('\n').count() as u64;
        let text = format!("{bad}\n{good}\n{good}\n");
        let found = got(&text);
        let [Got::Value(1, first), rest @ ..] = &found[..] else {
            panic!("{bad}: {found:?}");
        };
        assert!(bad.starts_with(first.as_str()), "{first} of {bad}");
        assert_eq!(
            rest,
            [value(lines + 1, good), value(lines + 2, good)],
            "{bad}"
        );
        assert_eq!(got(bad), [Got::Value(1, first.clone())], "alone: {bad}");
        // In front of a record separator it ends as well.
        let found = got(&format!("{bad}\u{1e}{good}"));
        assert_eq!(found.last(), Some(&value(lines, good)), "{bad}");
    }
}

#[test]
fn lines_behind_a_broken_one_are_read_one_by_one() {
    assert_eq!(
        got("{\"a\nxyz\n7\n{]\n\"b\"\n"),
        [
            value(1, "{\"a"),
            value(2, "xyz"),
            value(3, "7"),
            value(4, "{]"),
            value(5, "\"b\"")
        ]
    );
}

#[test]
fn an_element_without_an_end_costs_itself() {
    for bad in ["{\"a\":", "{\"a\":[", "{\"a", "{\"a\":[1}"] {
        for (before, between, after) in [("[", ",\n", "\n]\n"), ("[\n  ", ",\n  ", "\n]\n")] {
            let good = "{\"good\":1}";
            let text =
                format!("{before}{good}{between}{bad}{between}{good}{between}{good}{after}{{}}");
            let found = got(&text);
            let texts: Vec<_> = found
                .iter()
                .map(|got| match got {
                    Got::Value(_, text) => text.as_str(),
                    _ => "?",
                })
                .collect();
            assert_eq!(texts.len(), 5, "{text}: {texts:?}");
            assert!(texts[1].starts_with(bad), "{text}: {texts:?}");
            assert_eq!(
                [texts[0], texts[2], texts[3], texts[4]],
                [good, good, good, "{}"],
                "{text}"
            );
        }
    }
}

#[test]
fn valid_json_without_indentation_is_one_value() {
    let text = "{\n\"a\":\n{\n\"b\": [\n{\n},\n{\n}\n]\n}\n}";
    assert_eq!(
        got(&format!("{text}\n{{}}")),
        [value(1, text), value(12, "{}")]
    );
}

#[test]
fn what_is_too_long_costs_itself_and_is_not_kept() {
    let exact = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_VALUE_BYTES - 8));
    assert_eq!(exact.len(), MAX_VALUE_BYTES);
    let long = exact.replace('a', "aa");
    let letters = "y".repeat(MAX_VALUE_BYTES + 1);
    let lines = format!("{{\n{}}}", " \n".repeat(MAX_VALUE_BYTES / 2));
    let text = format!("{exact}\n{long}\n{letters}\n{lines}\n[{long},\n{{}}]\n{exact}");
    let found = read(text.as_bytes()).into_iter().map(|got| match got {
        Got::Value(line, text) => (line, text.len()),
        Got::TooLong(line) | Got::BrokenList(line) => (line, 0),
    });
    let lines = 4 + MAX_VALUE_BYTES as u64 / 2;
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            (1, MAX_VALUE_BYTES),
            (2, 0),
            (3, 0),
            (4, 0),
            (lines + 2, 0),
            (lines + 3, 2),
            (lines + 4, MAX_VALUE_BYTES),
        ]
    );
}

#[test]
fn a_line_of_white_space_and_byte_order_marks_is_not_kept() {
    let marks = "\u{feff}".repeat(MAX_VALUE_BYTES);
    let text = format!("{}{{}}\n{marks}\n{{}}", " ".repeat(3 * MAX_VALUE_BYTES));
    let mut values = Values::new(text.as_bytes());
    let mut found = Vec::new();
    while let Some((line, value)) = values.next().expect("memory") {
        found.push((line, value == Found::Value(b"{}")));
        let kept = values.input.kept();
        assert!(kept < 4 * MAX_VALUE_BYTES, "{kept}");
    }
    assert_eq!(found, [(1, true), (2, false), (3, true)]);
}

/// However values without an end follow each other, each byte is read a few times at most.
#[test]
fn following_values_without_an_end_is_bounded() {
    let lines = MAX_VALUE_BYTES / 4;
    let text = "{\"a\":[\n".repeat(lines);
    let mut values = Values::new(text.as_bytes());
    let (mut found, mut most) = (0, 0);
    while let Some((_, value)) = values.next().expect("memory") {
        assert_eq!(value, Found::Value(b"{\"a\":["));
        found += 1;
        most = most.max(values.reread.bytes);
    }
    assert_eq!(found, lines);
    let once_more = MAX_VALUE_BYTES as u64;
    assert!(most > MAX_REREAD_BYTES, "it was needed");
    assert!(most <= MAX_REREAD_BYTES + 2 * once_more, "{most}");
}

/// How values are written behind each other.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Lines,
    EmptyLines,
    Together,
    Separators,
    CompactList,
    List,
}

const FRAMINGS: [Framing; 6] = [
    Framing::Lines,
    Framing::EmptyLines,
    Framing::Together,
    Framing::Separators,
    Framing::CompactList,
    Framing::List,
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9..9_i32).prop_map(Value::from),
        "[a-z{}\\[\\],:\\\\\"\n\u{e9}]{0,6}".prop_map(Value::from),
    ];
    let any = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-z]{1,2}", any, 0..5)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// A value as text, on one line or on several, perhaps cut off somewhere.
#[derive(Debug, Clone)]
struct Written {
    text: String,
    is_cut: bool,
}

fn any_written() -> impl Strategy<Value = Written> {
    let cut = prop_oneof![3 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    (any_json(), any::<bool>(), cut).prop_map(|(value, is_pretty, cut)| {
        let text = if is_pretty {
            serde_json::to_string_pretty(&value).expect("JSON")
        } else {
            value.to_string()
        };
        let Some(cut) = cut else {
            return Written {
                text,
                is_cut: false,
            };
        };
        // The first byte stays: a value has begun.
        let places: Vec<_> = text.char_indices().skip(1).map(|(at, _)| at).collect();
        let kept = text[..*cut.get(&places)].trim_end().to_owned();
        Written {
            text: kept,
            is_cut: true,
        }
    })
}

/// The values in one text. What is cut off is followed by the end of a line, since nothing else tells where the next one begins.
fn framed(values: &[Written], framing: Framing, indent: usize) -> String {
    let mut text = String::new();
    let is_list = matches!(framing, Framing::CompactList | Framing::List);
    if is_list {
        text.push('[');
    }
    let spaces = " ".repeat(indent);
    for (place, value) in values.iter().enumerate() {
        if is_list && place > 0 {
            text.push(',');
        }
        let was_cut = place > 0 && values[place - 1].is_cut;
        match framing {
            Framing::List => text.extend(["\n", &spaces]),
            Framing::CompactList if was_cut => text.push('\n'),
            Framing::Separators => text.push('\u{1e}'),
            _ => {}
        }
        text += &value
            .text
            .replace('\n', &format!("\n{}", if is_list { &spaces } else { "" }));
        match framing {
            Framing::Lines | Framing::Separators => text.push('\n'),
            Framing::EmptyLines => text += "\r\n \n",
            Framing::Together if value.is_cut => text.push('\n'),
            _ => {}
        }
    }
    if is_list {
        text += "\n]";
    }
    text
}

/// Values and remains, without their lines; white space does not count.
fn outcomes(found: Vec<Got>) -> Vec<Result<Value, ()>> {
    let found = found.into_iter();
    found
        .map(|got| match got {
            Got::Value(_, text) => serde_json::from_str(&text).map_err(|_| ()),
            _ => Err(()),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sequence_gives_what_each_of_its_values_gives_alone(
        values in prop::collection::vec(any_written(), 0..6),
        framing in prop::sample::select(&FRAMINGS[..]),
        indent in 0..3_usize,
        bytes in 1..40_usize,
    ) {
        let text = framed(&values, framing, indent);
        let found = outcomes(read(Slowly(text.as_bytes(), bytes)));
        let alone: Vec<_> = values.iter().flat_map(|value| outcomes(read(value.text.as_bytes()))).collect();
        prop_assert_eq!(alone.len(), values.len(), "one of each in {}", text);
        for (value, alone) in values.iter().zip(&alone) {
            prop_assert_eq!(alone.is_err(), value.is_cut, "{}", value.text);
        }
        prop_assert_eq!(found, alone, "{:?} {}", framing, text);
    }

    #[test]
    fn any_bytes_are_read_to_the_end_and_none_is_read_twice(bytes in prop::collection::vec(
        prop_oneof![prop::sample::select(&b"{}[],:\"\\\n \r\x1e1a\xef\xbb\xbf"[..]), any::<u8>()], 0..200,
    )) {
        let mut values = Values::new(&bytes[..]);
        let (mut all, mut before) = (0, 0);
        while let Some((line, found)) = values.next().expect("memory") {
            if let Found::Value(value) = found {
                all += value.len();
                prop_assert!(!value.is_empty());
            }
            prop_assert!(line >= before || matches!(found, Found::BrokenList(_)));
            before = before.max(line);
        }
        prop_assert!(all <= bytes.len());
        prop_assert_eq!(values.input.consumed(), bytes.len() as u64);
    }
}
