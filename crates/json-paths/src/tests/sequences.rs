//! Texts that one thread reads one after the other, compared with readings without memory, with serde_json, and with the
//! meaning of the paths.

use super::path;
use super::style::{STYLES, Style, reordered};
use crate::Paths;
use crate::fault::{Failing, with};
use crate::prediction::MAX_UNMAPPED_KEYS;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The paths: of values, of values inside them, and of elements of lists; with some keys in two or three spellings.
const SOUGHT: &[&str] = &[
    "type",
    "event",
    "a",
    "b",
    "a.a",
    "a.b",
    "b.a",
    "b.c",
    "a.b.c",
    "a.a.a",
    "b[0]",
    "b[1].a",
    "items[1].a",
    "c.deep.deeper",
    "A",
    "A.b",
    "_a.B",
    "_a.a.A",
    "b.A",
    "Items[1].A",
    "c.DEEP.deeper",
    "items[type=x].a",
    "items[type=x].B",
    "Items[b=two]",
    "b[_A=\"x\"].type",
];
const LISTS: &[&str] = &["items", "a.items", "Items", "_a.ITEMS"];
const SOUGHT_IN_LISTS: &[&str] = &[
    "a", "b", "a.b", "b[0].c", "c", "A.b", "_b", "B[0].c", "b[c=x].a",
];

fn paths() -> Paths {
    let mut paths = Paths::default();
    for written in SOUGHT {
        paths.slot(&path(written));
    }
    for written in LISTS {
        let (_, items) = paths.list(&path(written));
        items.element_slot();
        for written in SOUGHT_IN_LISTS {
            items.slot(&path(written));
        }
    }
    paths
}

/// Reads texts in every way, and compares the results with each other and with the meaning of the paths. A text whose
/// value is `None` must be rejected.
fn check(texts: &[(String, Option<Value>)]) -> Result<(), TestCaseError> {
    let paths = paths();
    let slices: Vec<_> = texts.iter().map(|(text, _)| text.as_str()).collect();
    let readings = paths.readings(&slices);
    let all = [
        &readings.in_sequence,
        &readings.stateless,
        &readings.by_serde_json,
    ];
    for (number, (text, expected)) in texts.iter().enumerate() {
        let meaning = &readings.by_reference[number];
        prop_assert_eq!(meaning.is_some(), expected.is_some(), "{}", text);
        for found in all {
            prop_assert_eq!(
                &found[number],
                meaning,
                "number {} of {:#?}",
                number,
                slices
            );
        }
    }
    prop_assert_eq!(readings.fallback_reads, 0, "in {:#?}", slices);
    Ok(())
}

/// An event with every kind of value, key and nesting that the walk treats differently.
fn event() -> Value {
    json!({
        "type": "track", "event": "Order Completed", "u": { "a": [{ "b": 1 }], "v": {} }, "empty": {}, "none": [],
        "a": { "a": { "a": 12.5, "u": null }, "b": { "c": "x\n" }, "items": [{ "a": 1 }, {}, 7, { "b": [{ "c": 2 }] }] },
        "a key that is longer than any separator": true,
        "b": ["first", { "a": -1e5 }], "": 0,
        "items": [{ "a": 1, "b": "two", "u": 0 }, { "b": "two", "a": { "b": 3 } }, { "a": 1, "b": "two", "u": 0 }],
        "c": { "deep": { "deeper": "\u{e9}" } }, "w": false,
        "A": { "B": 1, "a": { "_A": 2 } }, "a_": { "b": 3, "ITEMS": [{ "A": 4 }] }, "Event": 5, "TYPE": 6,
        "i-tems": [{ "-a": 7, "B": [{ "C": 8 }], "b": 9 }],
        "_a": { "items": { "0": { "b": 1 }, "u": 2, "1": 3 } }, "ITEMS": { "a": 4 },
    })
}

#[test]
fn every_style_can_follow_every_other() {
    let value = event();
    for (one, first) in STYLES {
        for (other, second) in STYLES {
            let texts = [first, second, first, second]
                .map(|style| (style.write(&value), Some(value.clone())));
            check(&texts).unwrap_or_else(|error| panic!("{other}, after {one}: {error}"));
        }
    }
}

#[test]
fn styles_and_orders_of_keys_can_change_from_text_to_text() {
    let value = event();
    let mut seed = 0;
    let styles = STYLES.iter().chain(STYLES.iter().rev());
    let texts: Vec<_> = styles
        .map(|(_, style)| {
            (
                style.write(&reordered(&value, &mut seed)),
                Some(value.clone()),
            )
        })
        .collect();
    check(&texts).expect("right values");
}

#[test]
fn white_space_may_differ_from_value_to_value_within_one_text() {
    let texts = [
        r#"{"items":[{"a":1,"b":2,"c":3},{"a": 1,"b":  2,"c":	3},{"a":1, "b":2, "c":3},{ "a" :1 , "b" :2 , "c" :3 }]}"#,
        r#"{"type": "t","a":{"b":1},"u": {"x": 1},"event":"e","b": [ {"a":1} , {"a": 2} ],"c": {"deep": {"deeper": 1}}}"#,
        r#"{"type":"t","a": {"b": 1},"u":{"x":1},"event": "e","b":[{"a": 1},{"a":2}],"c":{"deep":{"deeper":1}}}"#,
    ];
    let texts = texts.map(|text| {
        let value = serde_json::from_str(text).expect("JSON");
        (text.to_owned(), Some(value))
    });
    check(&texts).expect("right values");
}

#[test]
fn more_unmapped_keys_than_are_remembered_change_nothing() {
    let mut many = Map::new();
    for number in 0..2 * MAX_UNMAPPED_KEYS {
        many.insert(format!("u{number}"), json!(number));
        if number % 50 == 0 {
            many.insert(SOUGHT[number / 50].to_owned(), json!({ "a": number }));
        }
    }
    let many = Value::Object(many);
    let mut texts = Vec::new();
    for seed in 0..4 {
        for (_, style) in STYLES {
            let value = reordered(&many, &mut u64::from(seed / 2 * 7_u32));
            texts.push((style.write(&value), Some(value)));
        }
    }
    check(&texts).expect("right values");
    let found = paths();
    let found = found.read(&texts[0].0).expect("JSON");
    let unmapped = found.scratch().prediction().unmapped();
    assert_eq!(unmapped, MAX_UNMAPPED_KEYS);
}

#[test]
fn two_trees_of_the_same_size_read_in_turns_share_no_predictions() {
    let tree = |values: [&str; 3], items: [&str; 2]| {
        let mut paths = Paths::default();
        let slots = values.map(|written| paths.slot(&path(written)));
        let (list, of_items) = paths.list(&path("items"));
        let of_items = items.map(|written| of_items.slot(&path(written)));
        (paths, slots, list, of_items)
    };
    let (one, of_one, list_of_one, items_of_one) = tree(["a.x", "b", "c"], ["x", "y"]);
    let (other, of_other, list_of_other, items_of_other) = tree(["b.x", "c", "a"], ["y", "x"]);
    let value = json!({
        "a": { "x": 1 }, "b": { "x": 2 }, "c": 3, "items": [{ "x": 4, "y": 5 }, { "x": 6, "y": 7 }],
    });
    for (_, style) in STYLES {
        let text = style.write(&value);
        let found = one.read(&text).expect("JSON");
        assert_eq!(
            (found.get(of_one[0]), found.get(of_one[2])),
            (Some("1"), Some("3"))
        );
        let element = found.element(list_of_one, 1);
        assert_eq!(
            items_of_one.map(|slot| element.get(slot)),
            [Some("6"), Some("7")]
        );
        drop(found);
        let found = other.read(&text).expect("JSON");
        assert_eq!(
            (found.get(of_other[0]), found.get(of_other[1])),
            (Some("2"), Some("3"))
        );
        let element = found.element(list_of_other, 1);
        assert_eq!(
            items_of_other.map(|slot| element.get(slot)),
            [Some("7"), Some("6")]
        );
    }
    assert_eq!(one.fallback_reads() + other.fallback_reads(), 0);
}

/// Any object with known and unknown keys, objects and lists.
fn object() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec![
        json!(1),
        json!(-2.5),
        json!("x"),
        json!("long enough for a comparison \" of words"),
        json!(true),
        Value::Null,
        json!({}),
        json!([]),
        json!([{}, {}]),
    ]);
    let inner = leaf.boxed().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            3 => entries(inner.clone()),
            1 => numbered(inner.clone()),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    });
    entries(inner)
}

fn entries(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let keys = [
        "type",
        "event",
        "a",
        "A",
        "a_",
        "_a",
        "b",
        "B",
        "b-",
        "c",
        "items",
        "Items",
        "I_tems",
        "deep",
        "DEEP",
        "deeper",
        "Deeper",
        "u",
        "v",
        "U",
        "",
        "_",
        "a key that is longer than any separator",
    ];
    let keys = Just(keys.to_vec()).prop_shuffle();
    (keys, prop::collection::vec(value, 0..9)).prop_map(|(keys, values)| {
        let keys = keys.into_iter().map(str::to_owned);
        Value::Object(keys.zip(values).collect())
    })
}

/// An object that is a list, as PHP writes it, or almost.
fn numbered(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let keys = ["0", "1", "17", "a", "007", "B"];
    let keys = prop::sample::subsequence(keys.to_vec(), 0..=6);
    (keys, prop::collection::vec(value, 6)).prop_map(|(keys, values)| {
        let keys = keys.into_iter().map(str::to_owned);
        Value::Object(keys.zip(values).collect())
    })
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![
        2 => prop::sample::select(STYLES).prop_map(|(_, style)| style),
        1 => any::<u64>().prop_map(Style::Mixed),
    ]
}

/// One text: which of the objects, its style, whether its keys are reordered, and where it is cut, if it is.
type Step = (
    prop::sample::Index,
    Style,
    bool,
    Option<prop::sample::Index>,
);

fn step() -> impl Strategy<Value = Step> {
    let cut = prop::option::weighted(0.1, any::<prop::sample::Index>());
    (any::<prop::sample::Index>(), style(), any::<bool>(), cut)
}

/// The text of a step, and its value, if the text is still JSON.
fn text(objects: &[Value], (object, style, is_reordered, cut): &Step) -> (String, Option<Value>) {
    let mut value = object.get(objects).clone();
    if *is_reordered {
        value = reordered(&value, &mut 1);
    }
    let mut text = style.write(&value);
    if let Some(cut) = cut {
        let end = text.floor_char_boundary(cut.index(text.len()));
        // Padded, because nothing is predicted within the last bytes of a text.
        text = text[..end].to_owned() + &" ".repeat(64);
    }
    let value = serde_json::from_str(&text).ok();
    (text, value)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_in_a_text_does_not_depend_on_the_texts_before_it(
        objects in prop::collection::vec(object(), 1..4),
        steps in prop::collection::vec(step(), 1..16),
    ) {
        let texts: Vec<_> = steps.iter().map(|step| text(&objects, step)).collect();
        check(&texts)?;
    }

    #[test]
    fn a_walk_that_fails_at_random_changes_only_the_count(
        objects in prop::collection::vec(object(), 1..4),
        steps in prop::collection::vec((step(), 0..3_usize), 1..16),
    ) {
        let (paths, others) = (paths(), paths());
        let mut counted = 0;
        for (step, failing) in &steps {
            let failing = [Failing::None, Failing::WithMemory, Failing::All][*failing];
            let (text, value) = text(&objects, step);
            let found = with(failing, || paths.read(&text));
            prop_assert_eq!(found.is_ok(), value.is_some(), "{}", &text);
            let seen = found.as_ref().map(|found| found.seen(&paths));
            let expected = others.read(&text);
            let expected = expected.as_ref().map(|found| found.seen(&others));
            prop_assert_eq!(seen, expected, "{:?}: {}", failing, &text);
            counted += u64::from(failing != Failing::None && value.is_some());
            prop_assert_eq!(paths.fallback_reads(), counted, "{:?}: {}", failing, &text);
        }
    }
}
