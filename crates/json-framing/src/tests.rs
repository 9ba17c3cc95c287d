//! Values in every framing, whole and damaged, compared with each value alone; and read in parts, compared with the whole.

use super::*;
use crate::mark::Fingerprint;
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
    while let Some((line, found)) = values.next_value().expect("memory") {
        got.push(match found {
            Found::Value(bytes) => Got::Value(line, String::from_utf8_lossy(bytes).into_owned()),
            Found::TooLong => Got::TooLong(line),
            Found::BrokenList(_) => Got::BrokenList(line),
        });
    }
    assert_eq!(
        values.next_value().expect("memory"),
        None,
        "it stays at the end"
    );
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
        "{]",
    ] {
        let text = format!("\n \n{line}\r\n{{}}\n");
        assert_eq!(got(&text), [value(3, line), value(4, "{}")], "{line}");
    }
    assert_eq!(got("\u{feff}{}"), [value(1, "{}")]);
    assert_eq!(got("7\n\u{feff} \u{feff}{}\n").pop(), Some(value(2, "{}")));
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
    while let Some((line, value)) = values.next_value().expect("memory") {
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
    while let Some((_, value)) = values.next_value().expect("memory") {
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
        prop_oneof![prop::sample::select(&b"{}[],:\"\\\n \r\0\x1e1a\xef\xbb\xbf"[..]), any::<u8>()], 0..200,
    )) {
        let mut values = Values::new(&bytes[..]);
        let (mut all, mut before) = (0, 0);
        while let Some((line, found)) = values.next_value().expect("memory") {
            if let Found::Value(value) = found {
                all += value.len();
                prop_assert!(!value.is_empty());
            }
            prop_assert!(line >= before || matches!(found, Found::BrokenList(_)));
            before = before.max(line);
        }
        prop_assert!(all <= bytes.len());
        let kept = bytes.iter().rposition(|byte| !is_nothing(*byte)).map_or(0, |at| at + 1);
        let end = values.mark().end();
        prop_assert!((kept as u64..=bytes.len() as u64).contains(&end), "{}", end);
    }
}

#[test]
fn nuls_and_holes_cost_no_event() {
    let hole = "\0".repeat(2 * MAX_VALUE_BYTES);
    for nuls in ["\0", "\0\0\0", &hole] {
        assert_eq!(read(format!("{nuls}{{}}\n").as_bytes()), [value(1, "{}")]);
        assert_eq!(
            read(format!("{{}}\n{nuls}{{\"a\":1}}\n{nuls}").as_bytes()),
            [value(1, "{}"), value(2, "{\"a\":1}")]
        );
        assert_eq!(
            read(format!("{{}}{nuls}{{\"a\":1}}\n").as_bytes()),
            [value(1, "{}"), value(1, "{\"a\":1}")]
        );
    }
    for half in ["{\"a", "{\"a\":[", "half", "{\n  \"a\": {", "[{},{\"a"] {
        let text = format!("{half}{hole}{{\"b\":1}}\n{{}}\n");
        let found = read(text.as_bytes());
        let line = 1 + half.matches('\n').count() as u64;
        let last = &found[found.len() - 2..];
        assert_eq!(
            last,
            [value(line, "{\"b\":1}"), value(line + 1, "{}")],
            "{half}"
        );
    }
    // One alone is a part of the value that it is in.
    assert_eq!(
        got("{\"a\":\"\0\"}\n{}\n"),
        [value(1, "{\"a\":\"\0\"}"), value(2, "{}")]
    );
}

#[test]
fn a_carriage_return_ends_a_line() {
    assert_eq!(
        got("{\"a\":1}\r{\"b\":\r1}\r\r{}\r"),
        [
            value(1, "{\"a\":1}"),
            value(2, "{\"b\":\r1}"),
            value(3, "{}")
        ]
    );
    for (broken, line) in [
        ("{\"a\":1} x", 2),
        ("half", 1),
        ("{\"a", 2),
        ("{\"a\":[", 2),
    ] {
        assert_eq!(
            got(&format!("{{}}\r{broken}\r{{\"b\":1}}\r{{}}")),
            [
                value(1, "{}"),
                value(line, broken),
                value(line + 1, "{\"b\":1}"),
                value(line + 2, "{}")
            ],
            "{broken}"
        );
    }
    // Within a text it is a fault of that text.
    assert_eq!(
        got("{\"a\":\"\r\"}\n{}\n"),
        [value(1, "{\"a\":\"\r\"}"), value(2, "{}")]
    );
}

/// What is found behind a mark, and the last mark.
fn resumed(text: &[u8], mark: Mark, waits: bool) -> (Vec<Got>, Mark) {
    let start = usize::try_from(mark.offset).unwrap();
    let mut values = Values::resume(
        &text[start..],
        mark,
        &text[start.saturating_sub(1024)..start],
    );
    if waits {
        values = values.waiting();
    }
    let mut found = Vec::new();
    while let Some((line, next)) = values.next_value().expect("memory") {
        found.push(match next {
            Found::Value(bytes) => Got::Value(line, String::from_utf8_lossy(bytes).into_owned()),
            Found::TooLong => Got::TooLong(line),
            Found::BrokenList(_) => Got::BrokenList(line),
        });
    }
    (found, values.mark())
}

/// A text at first, what it has become, and what the second look finds.
type Growth = (&'static str, &'static str, &'static [(u64, &'static str)]);

#[test]
fn a_resumed_stream_starts_after_what_was_read() {
    let cases: [Growth; 20] = [
        ("a\nb\n", "a\nb\n", &[]),
        ("a\nb\n", "a\nb\nc\n\nd", &[(3, "c"), (5, "d")]),
        ("\u{feff}a\r\n", "\u{feff}a\r\nb\r\n", &[(2, "b")]),
        ("a\nb", "a\nb", &[]),
        ("a\nb", "a\nb\n", &[]),
        ("a\nb", "a\nb\r\n", &[]),
        ("a\nb", "a\nb\nc", &[(3, "c")]),
        ("a\nb", "a\nbc\nd", &[(2, "bc"), (3, "d")]),
        ("", "a", &[(1, "a")]),
        ("{}", "{}\n", &[]),
        ("{}", "{}{\"a\":1}\n", &[(1, "{\"a\":1}")]),
        ("{}\n  ", "{}\n  {\"a\":1}\n", &[(2, "  {\"a\":1}")]),
        ("{}\n{\n", "{}\n{\n}\n", &[(2, "{\n}")]),
        (
            "[{},\n{\"a\":1},",
            "[{},\n{\"a\":1},\n{\"b\":1}]\n7",
            &[(3, "{\"b\":1}"), (4, "7")],
        ),
        (
            "[{},{\"a\":1",
            "[{},{\"a\":1},3]\n",
            &[(1, "{\"a\":1}"), (1, "3")],
        ),
        ("{}\0\0\0", "{}\0\0\0\0{\"a\":1}", &[(1, "{\"a\":1}")]),
        // Room that was reserved, and is filled.
        (
            "{}\n\0\0\0\0\0\0\0\0",
            "{}\n{\"a\":1}\n",
            &[(2, "{\"a\":1}")],
        ),
        ("{}\n{\"a\0\0\0\0\0", "{}\n{\"a\":1}\n", &[(2, "{\"a\":1}")]),
        (
            "[{},\n\0\0\0\0\0\0\0",
            "[{},\n{\"a\":1}]",
            &[(2, "{\"a\":1}")],
        ),
        (
            "\0\0\0\0\0\0\0\0\0\0",
            "{\"a\":1}\0\0\0",
            &[(1, "{\"a\":1}")],
        ),
    ];
    for (first, then, expected) in cases {
        let (_, mark) = resumed(first.as_bytes(), Mark::default(), false);
        let kept = first.trim_end_matches('\0').len();
        assert_eq!(mark.end(), kept as u64, "{first:?}");
        let (found, mark) = resumed(then.as_bytes(), mark, false);
        let expected: Vec<_> = expected
            .iter()
            .map(|(line, text)| value(*line, text))
            .collect();
        assert_eq!(found, expected, "{first:?} {then:?}");
        let kept = then.trim_end_matches('\0').len();
        assert_eq!(mark.end(), kept as u64, "{first:?} {then:?}");
        let last_start = usize::try_from(mark.last_start()).unwrap();
        let last = Fingerprint::of_start(&then.as_bytes()[last_start..kept]);
        assert_eq!(mark.last, last, "{first:?} {then:?}");
        assert_eq!(
            resumed(then.as_bytes(), mark, false),
            (Vec::new(), mark),
            "{then:?}"
        );
    }
}

/// Whether a byte means nothing between values.
fn is_nothing(byte: u8) -> bool {
    b"\0 \t\r\n\x0c\xef\xbb\xbf".contains(&byte)
}

/// Pieces that files consist of, good and bad.
fn any_content() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::sample::select(vec![
        "\n", "\r\n", "\r", " ", "\0", "\0\0\0", "\u{1e}", "\u{feff}", "{", "}", "[", "]", ",",
        ":", "\"", "\\", "x y", "7",
    ]);
    let lines = prop::sample::select(vec![
        "{\"a\":1}\n",
        "{\"b\":{}}\r\n",
        "{\"c\":[{}]}",
        "{\n  \"d\": [\n    {}\n  ]\n}\n",
        "[{\"e\":1},\n{\"f\":2}]\n",
    ]);
    let piece = prop_oneof![3 => lines.prop_map(str::to_owned), 1 => noise.prop_map(str::to_owned)];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A run ends anywhere, with what was queued until then, and the next resumes at its mark.
    #[test]
    fn a_file_cut_by_restarts_gives_the_events_of_a_whole_read(
        content in any_content(), stops in prop::collection::vec(0..4_usize, 0..12), bytes in 1..40_usize,
    ) {
        // That a list has no end is a remark, and no event.
        let is_event = |got: &Got| !matches!(got, Got::BrokenList(_));
        let whole: Vec<_> = read(&content[..]).into_iter().filter(is_event).collect();
        let (mut found, mut mark) = (Vec::new(), Mark::default());
        for stop in stops.into_iter().chain([usize::MAX]) {
            let start = usize::try_from(mark.offset).unwrap();
            let text = serde_json::to_string(&mark).unwrap();
            mark = serde_json::from_str(&text).unwrap();
            let mut values = Values::resume(Slowly(&content[start..], bytes), mark, &content[..start]);
            let mut taken = 0;
            while taken < stop && let Some((line, next)) = values.next_value().expect("memory") {
                taken += 1;
                found.push(match next {
                    Found::Value(bytes) => Got::Value(line, String::from_utf8_lossy(bytes).into_owned()),
                    Found::TooLong => Got::TooLong(line),
                    Found::BrokenList(_) => Got::BrokenList(line),
                });
            }
            mark = values.mark();
        }
        found.retain(is_event);
        if found.len() == whole.len() {
            prop_assert_eq!(&found, &whole);
        }
        // Only values that reached the end of the file without their own may come again.
        let mut rest = found.iter();
        for value in &whole {
            prop_assert!(rest.any(|found| found == value), "{:?} in {:?}", value, found);
        }
        let kept = content.iter().rposition(|byte| !is_nothing(*byte)).map_or(0, |at| at + 1);
        prop_assert!((kept as u64..=content.len() as u64).contains(&mark.end()), "{}", mark.end());
    }

    /// A file that is followed grows, the program is restarted, and at the end nothing more will come.
    #[test]
    fn a_file_that_grows_gives_the_events_of_a_whole_read(
        content in any_content(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(content.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut found, mut mark) = (Vec::new(), Mark::default());
        for cut in cuts {
            let (more, next) = resumed(&content[..cut], mark, true);
            found.extend(more);
            prop_assert_eq!(next.open_bytes, 0);
            mark = next;
        }
        found.extend(resumed(&content, mark, false).0);
        prop_assert_eq!(found, read(&content[..]));
    }

    /// The short cut for usual lines gives what the long way gives.
    #[test]
    fn a_buffer_of_any_size_gives_the_same_values(content in any_content(), bytes in 1..80_usize) {
        prop_assert_eq!(read(Slowly(&content, bytes)), read(&content[..]));
    }
}
