//! What is found in a text, and that it does not depend on other texts.

mod fallback;
mod lists;
mod selectors;
mod sequences;
mod spelling;
mod style;

use crate::{MAX_ELEMENTS, Path, Paths, ReadError, Slot, SlotBits, SlotSequence};
use proptest::prelude::*;
use serde_json::Value;

fn path(written: &str) -> Path {
    Path::parse(written).expect("good path")
}

/// Reads texts in every way: each must find what the paths mean.
fn agree(paths: &Paths, texts: &[&str]) {
    let readings = paths.readings(texts);
    for found in [
        &readings.in_sequence,
        &readings.stateless,
        &readings.by_serde_json,
    ] {
        assert_eq!(found, &readings.by_reference, "{texts:#?}");
    }
    assert_eq!(readings.fallback_reads, 0, "{texts:#?}");
}

/// What is found at these paths, in whatever way the text is read.
fn found<const N: usize>(written: [&str; N], text: &str) -> [Option<String>; N] {
    let mut paths = Paths::default();
    let slots = written.map(|written| paths.slot(&path(written)));
    // Twice, so that the second one can be predicted; padded, because nothing is within the last bytes of a text.
    let text = format!("{text}{}", " ".repeat(64));
    agree(&paths, &[&text, &text]);
    let found = paths.read(&text).expect("JSON");
    slots.map(|slot| found.get(slot).map(str::to_owned))
}

/// Expected values; an empty text for no value.
fn some<const N: usize>(values: [&str; N]) -> [Option<String>; N] {
    values.map(|value| (!value.is_empty()).then(|| value.to_owned()))
}

fn get<'a>(written: &str, text: &'a str) -> Option<&'a str> {
    let mut paths = Paths::default();
    let slot = paths.slot(&path(written));
    paths.read(text).expect("JSON object").get(slot)
}

#[test]
fn a_value_is_found_as_it_was_written() {
    let text = r#"{"a": {"b": [1, {"c": "x\n"}], "d": 1.50}, "e":true}"#;
    assert_eq!(get("a.d", text), Some("1.50"));
    assert_eq!(get("a.b[1].c", text), Some(r#""x\n""#));
    assert_eq!(get("e", text), Some("true"));
    assert_eq!(get("a.b", text), Some(r#"[1, {"c": "x\n"}]"#));
    for absent in ["x", "a.x", "e.x", "a.b.c", "a.b[7]", "a.d[0]"] {
        assert_eq!(get(absent, text), None, "{absent}");
    }
}

#[test]
fn a_value_and_something_inside_it_can_both_be_wanted() {
    let mut paths = Paths::default();
    let outer = paths.slot(&path("m"));
    let inner = paths.slot(&path("m.value"));
    let found = paths.read(r#"{"m":{"value":3}}"#).expect("JSON");
    assert_eq!(
        (found.get(outer), found.get(inner)),
        (Some(r#"{"value":3}"#), Some("3"))
    );
    let found = paths.read(r#"{"m":7}"#).expect("JSON");
    assert_eq!((found.get(outer), found.get(inner)), (Some("7"), None));
}

#[test]
fn a_list_has_a_row_for_each_element_and_an_empty_one_for_an_element_that_is_not_an_object() {
    let mut paths = Paths::default();
    let (list, item) = paths.list(&path("items"));
    let (id, price) = (item.slot(&path("id")), item.slot(&path("price")));
    let found = paths
        .read(r#"{"items":[{"price":2,"id":"a"}, 5, {"id":"b"}]}"#)
        .expect("JSON");
    assert_eq!(found.rows(list), (3, false));
    assert_eq!(found.element(list, 0).get(price), Some("2"));
    assert_eq!(found.element(list, 1).get(id), None);
    assert_eq!(found.element(list, 2).get(id), Some(r#""b""#));
    assert_eq!(found.element(list, 2).get(price), None);
}

#[test]
fn a_list_can_be_read_by_index_as_well() {
    let mut paths = Paths::default();
    let (list, item) = paths.list(&path("items"));
    let id = item.slot(&path("id"));
    let second = paths.slot(&path("items[1].id"));
    let found = paths
        .read(r#"{"items":[{"id":1},{"id":2}]}"#)
        .expect("JSON");
    assert_eq!(found.get(second), Some("2"));
    assert_eq!(
        (found.rows(list), found.element(list, 0).get(id)),
        ((2, false), Some("1"))
    );
}

#[test]
fn a_list_is_cut_at_its_bound() {
    let mut paths = Paths::default();
    let (list, item) = paths.list(&path("items"));
    item.slot(&path("id"));
    for (length, expected) in [(MAX_ELEMENTS, false), (MAX_ELEMENTS + 1, true)] {
        let text = format!(r#"{{"items":[{}]}}"#, vec!["{}"; length].join(","));
        let found = paths.read(&text).expect("JSON");
        assert_eq!(found.rows(list), (MAX_ELEMENTS, expected));
    }
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    assert_eq!(get("a.b", r#"{"a":{"b":1},"a":{"b":2}}"#), Some("2"));
    let first_inside = r#"{"a":{"b":1},"a":{"c":2}}"#;
    assert_eq!(get("a", first_inside), Some(r#"{"c":2}"#));
    assert_eq!(get("a.b", first_inside), Some("1"));
}

#[test]
fn a_list_inside_an_element_is_read_by_index_or_as_a_whole() {
    let mut paths = Paths::default();
    let (list, item) = paths.list(&path("items"));
    let (whole, first) = (item.slot(&path("tags")), item.slot(&path("tags[0].id")));
    let found = paths
        .read(r#"{"items":[{"tags":[{"id":1}]},{"tags":{}}]}"#)
        .expect("JSON");
    let elements: Vec<_> = found.elements(list).collect();
    assert_eq!(elements[0].get(whole), Some(r#"[{"id":1}]"#));
    assert_eq!(elements[0].get(first), Some("1"));
    assert_eq!(
        (elements[1].get(whole), elements[1].get(first)),
        (Some("{}"), None)
    );
}

#[test]
fn a_value_that_is_not_a_list_is_reported_and_null_is_not() {
    let mut paths = Paths::default();
    let (list, item) = paths.list(&path("items"));
    item.slot(&path("id"));
    for (text, expected) in [
        (r#"{"items":"a"}"#, true),
        (r#"{"items":7}"#, true),
        (r#"{"items":false}"#, true),
        (r#"{"items":{}}"#, false),
        (r#"{"items":null}"#, false),
        (r#"{"items":[]}"#, false),
        ("{}", false),
    ] {
        let found = paths.read(text).expect("JSON");
        assert_eq!(found.is_not_a_list(list), expected, "{text}");
        assert_eq!(found.rows(list), (0, false), "{text}");
    }
}

#[test]
fn slots_and_lists_of_other_paths_never_panic_while_reading_a_result() {
    let (mut paths, mut others) = (Paths::default(), Paths::default());
    paths.slot(&path("a"));
    let slots: Vec<_> = (0..200)
        .map(|number| others.slot(&path(&format!("k{number}"))))
        .collect();
    let (list, item) = others.list(&path("items"));
    let inner = item.slot(&path("id"));
    let found = paths.read(r#"{"a":1,"items":[{"id":1}]}"#).expect("JSON");
    assert_eq!(found.get(slots[199]), None);
    assert_eq!(
        (found.rows(list), found.is_not_a_list(list)),
        ((0, false), false)
    );
    assert_eq!(found.element(list, 7).get(inner), None);
    assert_eq!(found.elements(list).len(), 0);
}

#[test]
fn an_element_beyond_the_list_holds_nothing_even_if_an_earlier_list_was_longer() {
    let mut paths = Paths::default();
    let (list, item) = paths.list(&path("items"));
    let id = item.slot(&path("id"));
    let long = paths.read(r#"{"items":[{"id":1},{"id":2},{"id":3}]}"#);
    assert_eq!(long.expect("JSON").element(list, 2).get(id), Some("3"));
    for text in [r#"{"items":[{"id":4}]}"#, r#"{"items":[]}"#, "{}"] {
        let found = paths.read(text).expect("JSON");
        for row in found.rows(list).0..4 {
            assert_eq!(found.element(list, row).get(id), None, "{text}");
        }
    }
}

#[test]
fn the_bits_of_slots_with_a_value_are_joined() {
    let mut paths = Paths::default();
    let slots: Vec<_> = (0..130)
        .map(|number| paths.slot(&path(&format!("k{number}"))))
        .collect();
    let mut bits = SlotBits::default();
    bits.add(slots[0], 0b1);
    bits.add(slots[1], 0b10);
    bits.add(slots[64], 0b100);
    bits.add(slots[129], 0b1000);
    bits.add(slots[129], 0b1_0000);
    for (text, expected) in [
        ("{}", 0),
        (r#"{"k2":1,"k128":1}"#, 0),
        (r#"{"k0":1,"k2":null}"#, 0b1),
        (r#"{"k1":1,"k64":{}}"#, 0b110),
        (r#"{"k129":null,"k0":0}"#, 0b1_1001),
    ] {
        let found = paths.read(text).expect("JSON");
        assert_eq!(found.object().bits_of(&bits), expected, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sequence_of_slots_finds_what_a_look_at_each_finds(
        order in prop::collection::vec(0..150_usize, 0..20),
        present in prop::collection::vec(0..150_usize, 0..60),
    ) {
        let mut paths = Paths::default();
        let slots: Vec<Slot> = (0..150)
            .map(|number| paths.slot(&path(&format!("k{number}"))))
            .collect();
        let members: Vec<String> = present.iter().map(|number| format!("\"k{number}\":{number}")).collect();
        let text = format!("{{{}}}", members.join(","));
        let found = paths.read(&text).expect("JSON");
        let sought: Vec<Slot> = order.iter().map(|number| slots[*number]).collect();
        let sequence: SlotSequence = sought.iter().copied().collect();
        let expected: Vec<_> = sought.iter().filter_map(|slot| Some((*slot, found.get(*slot)?))).collect();
        let filled: Vec<_> = found.object().filled(&sequence).collect();
        prop_assert_eq!(filled, expected);
    }
}

#[test]
fn what_other_texts_and_other_paths_held_changes_nothing() {
    let mut paths = Paths::default();
    let slots = ["a.x", "a.y", "b.x", "b.z", "x"].map(|written| paths.slot(&path(written)));
    let mut others = Paths::default();
    for written in ["z", "x.a", "x.y", "x.x"] {
        others.slot(&path(written));
    }
    let texts = [
        r#"{"a":{"x":1,"y":2},"b":{"x":3,"z":4},"x":5}"#,
        r#"{"x":5,"b":{"z":4,"x":3},"a":{"y":2,"x":1}}"#,
        r#"{"b" : {"x":3, "u":{"x":9}, "z":4}, "u":0, "a":{"x":1,"y":2}, "x":5}"#,
        r#"{"a":{"x":0,"y":2,"x":1},"b":{"x":3,"z":4},"x":5}"#,
    ];
    for text in texts.iter().chain(texts.iter().rev()) {
        let found = paths.read(text).expect("JSON");
        assert_eq!(
            slots.map(|slot| found.get(slot)),
            ["1", "2", "3", "4", "5"].map(Some),
            "{text}"
        );
        drop(found);
        others.read(text).expect("JSON");
    }
}

#[test]
fn the_first_key_of_another_text_is_not_accepted_without_its_comma() {
    let mut paths = Paths::default();
    let slot = paths.slot(&path("a.x"));
    for text in [r#"{"a":{"x":1}}"#, r#"{"u":0,"a":{"u":0,"x":1}}"#] {
        let padded = format!("{text}{}", " ".repeat(64));
        assert_eq!(paths.read(&padded).expect("JSON").get(slot), Some("1"));
        for broken in [
            r#"{"a":{"u":9{"x":1}}"#,
            r#"{"u":9{"a":{"x":1}}"#,
            r#"{,"a":{"x":1}}"#,
            r#"{"a":{,"x":1}}"#,
        ] {
            let padded = format!("{broken}{}", " ".repeat(64));
            assert!(paths.read(&padded).is_err(), "{broken}");
        }
    }
}

/// An object with some of a few keys, known and unknown, in any order, with objects inside, and spaces here and there.
fn object() -> impl Strategy<Value = String> {
    let scalar = prop::sample::select(vec!["1", "\"x\"", "true", "null", "[{\"a\":1}]", "{}"]);
    let leaf = scalar.prop_map(str::to_owned).boxed();
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop::sample::select(vec![
            "a",
            "b",
            "c",
            "u",
            "v",
            "A",
            "-b",
            "b_",
            "0",
            "17",
            "a key that is longer than any separator",
        ]);
        let space = prop::sample::select(vec!["", " "]);
        let entry = (key, space, inner);
        prop::collection::vec(entry, 1..6).prop_map(|entries| {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, space, value)| format!("\"{key}\"{space}:{space}{value}"))
                .collect();
            format!("{{{}}}", entries.join(","))
        })
    })
    .prop_filter("an object", |text| text.starts_with('{'))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_does_not_depend_on_what_was_found_before(texts in prop::collection::vec(object(), 1..8)) {
        let written = ["a", "b", "a.a", "a.b", "b.a", "b.c", "a.b.c", "a.a.a", "A.b_", "B.a.A", "a[0].b", "b[1]"];
        let mut paths = Paths::default();
        let slots = written.map(|written| paths.slot(&path(written)));
        for written in ["a", "b.c", "U"] {
            let (_, item) = paths.list(&path(written));
            item.element_slot();
            item.slot(&path("a.b"));
            item.slot(&path("B"));
        }
        let slices: Vec<_> = texts.iter().chain(&texts).map(String::as_str).collect();
        let readings = paths.readings(&slices);
        prop_assert_eq!(&readings.in_sequence, &readings.stateless);
        prop_assert_eq!(&readings.stateless, &readings.by_serde_json);
        prop_assert_eq!(&readings.by_serde_json, &readings.by_reference);
        prop_assert_eq!(readings.fallback_reads, 0);
        for text in texts.iter().chain(&texts) {
            // Padded, because nothing is predicted within the last bytes of a text.
            let text = format!("{text}{}", " ".repeat(40));
            let found = paths.read(&text).expect("JSON");
            let expected: Value = serde_json::from_str(&text).expect("JSON");
            for (slot, written) in slots.iter().zip(written) {
                if written.contains('[') {
                    continue;
                }
                let pointer = format!("/{}", written.replace('.', "/"));
                let found = found.get(*slot).map(|raw| serde_json::from_str::<Value>(raw).expect("JSON"));
                // serde_json knows one spelling only, and keeps the last of two equal keys.
                let value = expected.pointer(&pointer);
                if is_single(&text) && (found.is_none() || value.is_some()) {
                    prop_assert_eq!(found.as_ref(), value, "{} in {}", written, &text);
                }
            }
            for end in 1..text.trim_end().len() {
                let cut = format!("{}{}", &text[..end], " ".repeat(40));
                prop_assert!(paths.read(&cut).is_err(), "{}", cut);
            }
        }
    }
}

/// Whether no object of the text has a key twice. Of two equal keys, serde_json keeps only the last value, and the walk
/// keeps what it found inside both.
fn is_single(text: &str) -> bool {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let dense = |text: &str| text.chars().filter(|c| *c != ' ').count();
    dense(&value.to_string()) == dense(text)
}

#[test]
fn keys_with_escapes_are_compared_decoded() {
    assert_eq!(get("ä.b", "{\"\\u00e4\":{\"b\":1}}"), Some("1"));
}

#[test]
fn text_that_is_not_an_object_or_not_json_is_rejected_with_its_kind_and_position() {
    let paths = Paths::default();
    for (text, expected) in [
        ("[1]", ReadError::NotAnObject),
        ("null", ReadError::NotAnObject),
        ("\"EAAB\"", ReadError::NotAnObject),
        ("{\"a\":", ReadError::Cut { byte: 5 }),
        ("", ReadError::Cut { byte: 0 }),
        ("{\"a\":1} x", ReadError::Malformed { byte: 9 }),
        ("{'a':1}", ReadError::Malformed { byte: 2 }),
    ] {
        assert_eq!(paths.read(text).expect_err(text), expected, "{text}");
    }
}

#[test]
fn deep_nesting_is_skipped_without_recursion() {
    let deep = 2_500_000;
    let text = format!(r#"{{"x":{}{},"a":1}}"#, "[".repeat(deep), "]".repeat(deep));
    assert_eq!(get("a", &text), Some("1"));
    assert_eq!(get("x[0][0]", &text).map(str::len), Some(2 * (deep - 2)));
}

#[test]
fn positions_in_errors_count_from_the_beginning_of_a_text_of_several_lines() {
    let paths = Paths::default();
    for (text, expected) in [
        ("{\n\"a\":x}", ReadError::Malformed { byte: 7 }),
        (
            "{\r\n  \"a\": 1,\r\n  \"b\": 01\r\n}",
            ReadError::Malformed { byte: 23 },
        ),
        ("\n\n{\"a\"\n", ReadError::Cut { byte: 7 }),
        ("{\n  \"\u{e9}\": [", ReadError::Cut { byte: 11 }),
    ] {
        assert_eq!(paths.read(text).expect_err(text), expected, "{text:?}");
    }
}

#[test]
fn bytes_are_read_as_text_without_a_byte_order_mark() {
    let mut paths = Paths::default();
    let slot = paths.slot(&path("a"));
    for text in ["{\"a\":\"\u{e9}\"}", "\u{feff}{\"a\":\"\u{e9}\"}"] {
        let found = paths.read_bytes(text.as_bytes()).expect("JSON");
        assert_eq!(found.get(slot), Some("\"\u{e9}\""));
    }
    for (bytes, expected) in [
        (
            b"{\"a\":\"\xff\"}".as_slice(),
            ReadError::NotUtf8 { valid: 6 },
        ),
        (b"\xef\xbb", ReadError::NotUtf8 { valid: 0 }),
        (b"\xef\xbb\xbf", ReadError::Cut { byte: 0 }),
        (
            b"\xef\xbb\xbf\xef\xbb\xbf{}",
            ReadError::Malformed { byte: 1 },
        ),
        (b"[]", ReadError::NotAnObject),
    ] {
        let error = paths.read_bytes(bytes).expect_err("not an object");
        assert_eq!(error, expected, "{bytes:?}");
    }
}

#[test]
fn a_value_that_another_one_of_an_equal_key_replaces_is_listed() {
    let mut paths = Paths::default();
    let (a, inner) = (paths.slot(&path("a")), paths.slot(&path("b.c")));
    for text in [
        r#"{"a":1,"b":{"c":2},"a":3,"b":{"c":4}}"#,
        r#"{"A" : 9, "a" : 1, "b" : {"c" : 2}, "A" : 9, "a" : 3, "b" : {"c" : 4}}"#,
    ] {
        let found = paths.read(text).expect("JSON");
        let repeats: Vec<_> = found.repeats().collect();
        assert_eq!(repeats, [(a, "1"), (inner, "2")], "{text}");
        assert_eq!((found.get(a), found.get(inner)), (Some("3"), Some("4")));
    }
    for text in [
        r#"{"a":1,"b":{"c":2}}"#,
        r#"{"A":1,"a":2,"B":{"c":3},"b":{"c":4},"A":5}"#,
    ] {
        let found = paths.read(text).expect("JSON");
        assert_eq!(found.repeats().count(), 0, "{text}");
    }
    let many = format!("{{{}\"a\":0}}", "\"a\":1,".repeat(100));
    let found = paths.read(&many).expect("JSON");
    assert_eq!(found.repeats().count(), 64);
    assert!(found.has_more_repeats());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// One thread reads texts with keys that are written twice, in any order; each is compared with a thread that has read
    /// nothing else.
    #[test]
    fn replaced_values_do_not_depend_on_earlier_texts(
        texts in prop::collection::vec(
            prop::collection::vec(prop::sample::select(&[
                r#""a":1"#, r#""a":2"#, r#""a" : 1"#, r#""A":3"#, r#""b":{"c":1}"#, r#""b":{"c":2,"c":3}"#, r#""b":4"#, r#""B":{"C":5}"#,
                r#""x":[{"a":1}]"#, r#""long":"0123456789012345678901234567890123456789""#,
            ][..]), 0..7),
            1..12,
        ),
    ) {
        let mut paths = Paths::default();
        for written in ["a", "b", "b.c"] {
            paths.slot(&path(written));
        }
        let (_, items) = paths.list(&path("x"));
        items.slot(&path("a"));
        let replaced = |text: &str| -> Vec<(crate::Slot, String)> {
            let found = paths.read(text).expect("JSON");
            let differs = |(slot, json): &(crate::Slot, &str)| found.get(*slot) != Some(*json);
            found.repeats().filter(differs).map(|(slot, json)| (slot, json.to_owned())).collect()
        };
        for members in &texts {
            let text = format!("{{{}}}", members.join(","));
            let alone = std::thread::scope(|scope| scope.spawn(|| replaced(&text)).join());
            prop_assert_eq!(replaced(&text), alone.expect("no panic"), "{}", text);
        }
    }
}
