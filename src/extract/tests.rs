//! What is found in a text, and that it does not depend on other texts.

mod fallback;
mod sequences;
mod style;

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn path(written: &str) -> Path {
    Path::parse(written).expect("good path")
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
fn a_list_gives_rows_and_an_element_that_is_no_object_an_empty_one() {
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
    assert_eq!(
        paths
            .read(r#"{"items":{"id":"a"}}"#)
            .expect("JSON")
            .rows(list),
        (0, false)
    );
}

#[test]
fn a_list_can_be_read_by_places_as_well() {
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
fn what_another_text_began_with_may_not_stand_in_the_middle() {
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
            "a key that is longer than any glue",
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
        let written = ["a", "b", "a.a", "a.b", "b.a", "b.c", "a.b.c", "a.a.a"];
        let mut paths = Paths::default();
        let slots = written.map(|written| paths.slot(&path(written)));
        let slices: Vec<_> = texts.iter().chain(&texts).map(String::as_str).collect();
        let readings = paths.readings(&slices);
        prop_assert_eq!(&readings.in_sequence, &readings.stateless);
        prop_assert_eq!(&readings.stateless, &readings.by_serde_json);
        prop_assert_eq!(readings.fallback_reads, 0);
        for text in texts.iter().chain(&texts) {
            // Guesses are made where the text goes on for a while.
            let text = format!("{text}{}", " ".repeat(40));
            let found = paths.read(&text).expect("JSON");
            let expected: Value = serde_json::from_str(&text).expect("JSON");
            for (slot, written) in slots.iter().zip(written) {
                let pointer = format!("/{}", written.replace('.', "/"));
                let found = found.get(*slot).map(|raw| serde_json::from_str::<Value>(raw).expect("JSON"));
                if is_single(&text) {
                    prop_assert_eq!(found.as_ref(), expected.pointer(&pointer), "{} in {}", written, &text);
                }
            }
            for end in 1..text.trim_end().len() {
                let cut = format!("{}{}", &text[..end], " ".repeat(40));
                prop_assert!(paths.read(&cut).is_err(), "{}", cut);
            }
        }
    }
}

/// Whether no object of it has a key twice: of two, serde_json keeps the last whole, and a walk both of their insides.
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
fn what_is_not_an_object_or_not_json_is_said_without_quoting_it() {
    let paths = Paths::default();
    for (text, expected) in [
        ("[1]", Unreadable::NotAnObject),
        ("null", Unreadable::NotAnObject),
        ("\"EAAB\"", Unreadable::NotAnObject),
        ("{\"a\":", Unreadable::Cut { column: 5 }),
        ("", Unreadable::Cut { column: 0 }),
        ("{\"a\":1} x", Unreadable::Malformed { column: 9 }),
        ("{'a':1}", Unreadable::Malformed { column: 2 }),
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
