//! Lists as senders write them: with numbers as keys, as one object, of bare values, and as text.

use super::{agree, found, path, some};
use crate::fault::{Failing, with};
use crate::{ElementPaths, List, MAX_ELEMENTS, Paths, ReadError, Slot};
use proptest::prelude::*;

/// A list of products with its paths: the element itself, its `id`, and a price inside.
struct Products {
    paths: Paths,
    list: List,
    slots: [Slot; 3],
}

fn add_slots(item: &mut ElementPaths) -> [Slot; 3] {
    [
        item.element_slot(),
        item.slot(&path("id")),
        item.slot(&path("prices[0].amount")),
    ]
}

fn products() -> Products {
    let mut paths = Paths::default();
    paths.slot(&path("products[1].id"));
    paths.slot(&path("products.total"));
    let (list, item) = paths.list(&path("products"));
    let slots = add_slots(item);
    Products { paths, list, slots }
}

impl Products {
    /// For each element the values of the slots, `-` for a missing one.
    fn rows(&self, found: &crate::Found<'_>) -> Vec<String> {
        let elements = found.elements(self.list);
        let row = |element: crate::ObjectView<'_, '_>| {
            self.slots
                .map(|slot| element.get(slot).unwrap_or("-").to_owned())
                .join(" ")
        };
        elements.map(row).collect()
    }

    /// What is found in a list, read in every way.
    fn of(&self, json: &str) -> Vec<String> {
        let text = format!(r#"{{"products":{json}}}{}"#, " ".repeat(64));
        agree(&self.paths, &[&text, &text]);
        let found = self.paths.read(&text).expect(&text);
        self.rows(&found)
    }
}

#[test]
fn an_object_with_numbers_as_keys_is_a_list_of_its_values_in_their_order() {
    let products = products();
    for (json, expected) in [
        (
            r#"{"0":{"id":1},"1":{"id":2}}"#,
            &[r#"{"id":1} 1 -"#, r#"{"id":2} 2 -"#][..],
        ),
        (
            r#"{"17":{"id":1},"3":{"id":2}}"#,
            &[r#"{"id":1} 1 -"#, r#"{"id":2} 2 -"#],
        ),
        // Other keys are skipped.
        (
            r#"{"0":{"id":1},"total":9,"1":{"id":2},"-1":{"id":3},"1a":{"id":4},"":5}"#,
            &[r#"{"id":1} 1 -"#, r#"{"id":2} 2 -"#],
        ),
        (r#"{"\u0030":{"id":1}}"#, &[r#"{"id":1} 1 -"#]),
        (
            r#"{"0":{"id":1},"0":{"id":2}}"#,
            &[r#"{"id":1} 1 -"#, r#"{"id":2} 2 -"#],
        ),
        (r#"{"0":"A","1":7}"#, &[r#""A" - -"#, "7 - -"]),
        (
            r#"{"0":{"prices":{"0":{"amount":5}}}}"#,
            &[r#"{"prices":{"0":{"amount":5}}} - 5"#],
        ),
        ("{}", &[]),
        ("[]", &[]),
    ] {
        assert_eq!(products.of(json), expected, "{json}");
    }
}

#[test]
fn any_other_object_is_a_list_of_this_one_element() {
    let products = products();
    for (json, expected) in [
        (r#"{"id":1}"#, r#"{"id":1} 1 -"#),
        (r#"{"id":1,"0":{"id":2}}"#, r#"{"id":1,"0":{"id":2}} 1 -"#),
        (r#"{"":1}"#, r#"{"":1} - -"#),
        (
            r#"{"prices":{"amount":5}}"#,
            r#"{"prices":{"amount":5}} - 5"#,
        ),
        (
            r#"{"prices":[[{"amount":5}]]}"#,
            r#"{"prices":[[{"amount":5}]]} - -"#,
        ),
    ] {
        assert_eq!(products.of(json), [expected], "{json}");
    }
}

#[test]
fn elements_that_are_not_objects_are_kept_as_they_are() {
    let products = products();
    assert_eq!(
        products.of(r#"["A-1", 7 , null,true, [1, 2] ,{"id":1e999}]"#),
        [
            r#""A-1" - -"#,
            "7 - -",
            "null - -",
            "true - -",
            "[1, 2] - -",
            r#"{"id":1e999} 1e999 -"#
        ]
    );
    assert_eq!(products.of("[1e999]"), ["1e999 - -"]);
    assert!(
        products
            .paths
            .of_list(products.list)
            .path(products.slots[0])
            .segments()
            .is_empty()
    );
}

#[test]
fn keys_and_indexes_and_elements_of_one_value_work_together() {
    let written = ["address.city", "address[0].city", "address[1].city"];
    for (address, expected) in [
        (r#"{"city":"A"}"#, ["\"A\"", "\"A\"", ""]),
        (r#"[{"city":"A"},{"city":"B"}]"#, ["", "\"A\"", "\"B\""]),
        (
            r#"{"0":{"city":"A"},"1":{"city":"B"}}"#,
            ["", "\"A\"", "\"B\""],
        ),
        (
            r#"{"5":{"city":"A"},"city":"C","3":{"city":"B"}}"#,
            ["\"C\"", "\"A\"", "\"B\""],
        ),
        (r#"{"city":"C","0":{"city":"A"}}"#, ["\"C\"", "\"C\"", ""]),
        (r#"{"City":"A"}"#, ["\"A\"", "\"A\"", ""]),
        ("{}", ["", "", ""]),
        (r#""A""#, ["", "", ""]),
    ] {
        for key in ["address", "Address"] {
            let text = format!(r#"{{"{key}":{address}}}"#);
            assert_eq!(found(written, &text), some(expected), "{text}");
        }
    }
    assert_eq!(
        found(["a", "a[0]", "a[0][0]", "a[0][0].b"], r#"{"a":{"b":1}}"#),
        some([r#"{"b":1}"#, r#"{"b":1}"#, r#"{"b":1}"#, "1"])
    );
}

#[test]
fn an_object_that_is_read_as_a_list_is_cut_at_the_same_bound() {
    let products = products();
    for (length, is_cut) in [(MAX_ELEMENTS, false), (MAX_ELEMENTS + 1, true)] {
        let members: Vec<_> = (0..length).map(|n| format!(r#""{n}":{n}"#)).collect();
        let text = format!(r#"{{"products":{{{}}}}}"#, members.join(","));
        let found = products.paths.read(&text).expect("JSON");
        assert_eq!(found.rows(products.list), (MAX_ELEMENTS, is_cut));
    }
}

#[test]
fn broken_json_and_keys_are_rejected_inside_an_object_that_is_read_as_a_list() {
    let products = products();
    for json in [
        r#"{"0":{"id":01}}"#,
        r#"{"0":{"id":1} "1":{}}"#,
        r#"{"0":{"id":1}]"#,
        r#"{"0":{},"\ud800":{}}"#,
        r#"{"\ud800":{}}"#,
    ] {
        let text = format!(r#"{{"products":{json}}}"#);
        assert!(products.paths.read(&text).is_err(), "{text}");
        agree(&products.paths, &[&text]);
    }
    // Without a path to a key, only the first key is looked at.
    let mut paths = Paths::default();
    let (list, item) = paths.list(&path("a"));
    item.element_slot();
    let text = r#"{"a":{"b":1,"\ud800":2}}"#;
    agree(&paths, &[text]);
    assert_eq!(paths.read(text).expect("JSON").rows(list), (1, false));
}

#[test]
fn a_list_that_is_text_is_read_along_the_same_paths_while_the_outer_text_is_in_use() {
    let products = products();
    let (paths, list) = (&products.paths, products.list);
    let outer = format!(r#"{{"products":[{{"id":7}}]}}{}"#, " ".repeat(64));
    let learned = |found: &crate::Found<'_>| found.scratch().prediction().learned();
    drop(paths.read(&outer).expect("JSON"));
    let found = paths.read(&outer).expect("JSON");
    let before = learned(&found);
    assert!(before > 0, "something was learned");
    for (text, expected) in [
        (
            r#" [{"id":1,"prices":[{"amount":5}]}, {"id":2}] "#,
            &[r#"{"id":1,"prices":[{"amount":5}]} 1 5"#, r#"{"id":2} 2 -"#][..],
        ),
        (
            r#"{"0":{"id":1},"1":"B"}"#,
            &[r#"{"id":1} 1 -"#, r#""B" - -"#],
        ),
        (r#"{"ID":1}"#, &[r#"{"ID":1} 1 -"#]),
        (r#"["A",7]"#, &[r#""A" - -"#, "7 - -"]),
        ("[]", &[]),
        ("{}", &[]),
    ] {
        let inner = paths.read_list(list, text).expect(text);
        assert_eq!(products.rows(&inner), expected, "{text}");
        assert_eq!(inner.object().get(products.slots[1]), None, "{text}");
        assert_eq!(products.rows(&found), [r#"{"id":7} 7 -"#], "{text}");
    }
    // In either order of dropping.
    let inner = paths.read_list(list, "[1]").expect("a list");
    drop(found);
    assert_eq!(products.rows(&inner), ["1 - -"]);
    drop(inner);
    assert_eq!(learned(&paths.read("{}").expect("JSON")), before);
    drop(paths.read_list(list, "[1]").expect("a list"));
    assert_eq!(learned(&paths.read("{}").expect("JSON")), before);
}

#[test]
fn text_that_is_not_a_list_is_an_error_with_its_kind() {
    let products = products();
    for (text, expected) in [
        ("", ReadError::Cut { byte: 0 }),
        ("null", ReadError::NotAList),
        ("7", ReadError::NotAList),
        (r#""[]""#, ReadError::NotAList),
        ("[1", ReadError::Cut { byte: 2 }),
        ("[1] 2", ReadError::Malformed { byte: 5 }),
        ("A-1,A-2", ReadError::Malformed { byte: 1 }),
        (r#"{"a":1"#, ReadError::Cut { byte: 6 }),
    ] {
        for failing in [Failing::None, Failing::WithMemory, Failing::All] {
            let read = with(failing, || products.paths.read_list(products.list, text));
            assert_eq!(read.expect_err(text), expected, "{text}");
        }
    }
    assert_eq!(products.paths.fallback_reads(), 0);
}

#[test]
fn a_deep_list_as_text_needs_no_deep_stack() {
    let products = products();
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    for failing in [Failing::None, Failing::WithMemory, Failing::All] {
        let found = with(failing, || products.paths.read_list(products.list, &deep));
        let found = found.expect("a list");
        let element = found.element(products.list, 0).get(products.slots[0]);
        assert_eq!(element.map(str::len), Some(1_999_998));
    }
}

/// A list, or what is almost one.
fn any_list() -> impl Strategy<Value = String> {
    let element = prop::sample::select(vec![
        r#"{"id":1}"#,
        r#"{"ID":2,"id":3}"#,
        r#"{"Id":4,"u":[5]}"#,
        r#"{"prices":[{"amount":6}]}"#,
        r#"{"prices":{"Amount":7}}"#,
        r#"{"prices":{"0":{"amount":8}}}"#,
        r#""A""#,
        "9",
        "null",
        "[]",
        "{}",
    ]);
    let key = prop::sample::select(vec!["0", "1", "id", "\\u0031", "u"]);
    let entries = prop::collection::vec((key, element), 0..5);
    let space = prop::sample::select(vec!["", " "]);
    (entries, 0..3_usize, space).prop_map(|(entries, form, space)| {
        let mut elements = entries.iter().map(|(_, element)| (*element).to_owned());
        let members = entries
            .iter()
            .map(|(key, element)| format!("\"{key}\":{space}{element}"));
        let comma = format!(",{space}");
        match form {
            0 => format!("[{}]", elements.collect::<Vec<_>>().join(&comma)),
            1 => format!("{{{}}}", members.collect::<Vec<_>>().join(&comma)),
            _ => elements.next_back().unwrap_or_default(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_in_a_list_that_is_text_does_not_depend_on_other_texts(
        texts in prop::collection::vec(any_list(), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let products = products();
        let (paths, list) = (&products.paths, products.list);
        let mut texts: Vec<_> = texts.iter().map(|text| format!("{text}{}", " ".repeat(64))).collect();
        let cut = &texts[0][..cut.index(texts[0].len())];
        texts.push(cut.to_owned());
        let slices: Vec<_> = texts.iter().chain(&texts).map(String::as_str).collect();
        let readings = paths.readings_of_list(list, &slices);
        prop_assert_eq!(&readings.in_sequence, &readings.by_reference, "{:#?}", texts);
        prop_assert_eq!(&readings.stateless, &readings.by_reference, "{:#?}", texts);
        prop_assert_eq!(&readings.by_serde_json, &readings.by_reference, "{:#?}", texts);
        prop_assert_eq!(readings.fallback_reads, 0);
        // As a value of an object the same list has the same elements.
        for text in &slices {
            let Ok(alone) = paths.read_list(list, text) else {
                continue;
            };
            let outer = format!("{{\"products\":{text}}}");
            let within = paths.read(&outer).expect("JSON");
            prop_assert_eq!(products.rows(&alone), products.rows(&within), "{}", text);
            prop_assert_eq!(alone.rows(list), within.rows(list), "{}", text);
        }
    }
}
