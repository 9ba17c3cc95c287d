//! Keys are found however they are spelled, and the spelling of the path is preferred.

use super::{agree, found, get, path, some};
use crate::{Found, List, Paths, Slot};
use proptest::prelude::*;

#[test]
fn a_key_is_found_in_any_spelling() {
    for key in [
        "order_id",
        "orderId",
        "OrderID",
        "ORDER-ID",
        "order id",
        "_orderid",
        "\\u006frder_id",
        "Order\\u005fId",
    ] {
        let text = format!(r#"{{"Properties":{{"{key}":"A-1"}}}}"#);
        assert_eq!(
            found(["properties.order_id"], &text),
            some([r#""A-1""#]),
            "{key}"
        );
    }
    for key in ["orders_id", "order.id", "order", "orderid2", "örder_id"] {
        let text = format!(r#"{{"properties":{{"{key}":"A-1"}}}}"#);
        assert_eq!(found(["properties.order_id"], &text), some([""]), "{key}");
    }
}

#[test]
fn two_spellings_of_one_key_are_two_paths() {
    let both = ["properties.order_id", "properties.orderId"];
    for (text, expected) in [
        (
            r#"{"properties":{"orderId":1,"order_id":2}}"#,
            some(["2", "1"]),
        ),
        (
            r#"{"properties":{"order_id":2,"orderId":1}}"#,
            some(["2", "1"]),
        ),
        (r#"{"properties":{"orderId":1}}"#, some(["1", "1"])),
        (r#"{"properties":{"OrderID":1}}"#, some(["1", "1"])),
        (r#"{"properties":{"id":1}}"#, some(["", ""])),
    ] {
        assert_eq!(found(both, text), expected, "{text}");
    }
}

#[test]
fn the_exact_spelling_of_a_doubled_key_wins_in_any_order() {
    for (text, expected) in [
        (r#"{"Total":1,"total":2}"#, "2"),
        (r#"{"total":2,"Total":1}"#, "2"),
        (r#"{"total":3,"Total":1,"total":2,"TOTAL":4}"#, "2"),
        (r#"{"total":null,"Total":1}"#, "null"),
        // Of equally wrong spellings, and of equal keys, the last one.
        (r#"{"Total":1,"TOTAL":2}"#, "2"),
        (r#"{"Total":1,"Total":2}"#, "2"),
    ] {
        assert_eq!(found(["total"], text), some([expected]), "{text}");
    }
}

#[test]
fn the_outer_key_decides_before_the_inner_one() {
    for (text, expected) in [
        (r#"{"a":{"B":1},"A":{"b":2}}"#, "1"),
        (r#"{"A":{"b":2},"a":{"B":1}}"#, "1"),
        (r#"{"A":{"b":2},"a":{"c":1}}"#, "2"),
        (r#"{"a":{"c":1},"A":{"b":2}}"#, "2"),
        (r#"{"A":{"b":1},"A":{"B":2}}"#, "1"),
        (r#"{"A":{"B":1,"c":0},"A":{"c":2}}"#, "1"),
        (r#"{"A":{"b":1},"a":2}"#, "1"),
    ] {
        assert_eq!(found(["a.b"], text), some([expected]), "{text}");
    }
    assert_eq!(
        found(["a", "a.b"], r#"{"a":{"c":1},"A":{"b":2}}"#),
        some([r#"{"c":1}"#, "2"])
    );
}

#[test]
fn two_keys_of_paths_that_are_one_key_folded_do_not_hide_each_other() {
    let written = ["fbp", "_fbp", "a.fbp", "A._fbp", "a", "A"];
    assert_eq!(
        found(written, r#"{"_fbp":1,"A":{"_fbp":2}}"#),
        some(["1", "1", "2", "2", r#"{"_fbp":2}"#, r#"{"_fbp":2}"#])
    );
    assert_eq!(
        found(
            written,
            r#"{"_fbp":1,"fbp":2,"a":{"fbp":3},"A":{"fbp":4,"F-B-P":5}}"#
        ),
        some(["2", "1", "3", "5", r#"{"fbp":3}"#, r#"{"fbp":4,"F-B-P":5}"#])
    );
}

#[test]
fn a_number_beyond_doubles_at_a_key_in_another_spelling_is_a_value_like_any_other() {
    assert_eq!(found(["total"], r#"{"Total":1e999}"#), some(["1e999"]));
}

#[test]
fn an_empty_key_and_one_of_dashes_are_one() {
    assert_eq!(found([r#"[""].a"#], r#"{"-":{"a":1}}"#), some(["1"]));
    assert_eq!(get(r#"["_ -"]"#, r#"{"":1}"#), Some("1"));
}

#[test]
fn long_keys_are_compared_to_their_end() {
    let written = "a_key_that_is_longer_than_any_separator_and_than_any_other_key_of_the_tests.b";
    let folded = r#"{"AKeyThatIsLongerThanAnySeparatorAndThanAnyOtherKeyOfTheTests":{"B":1}}"#;
    assert_eq!(found([written], folded), some(["1"]));
    let other = folded.replace("Tests", "Test5");
    assert_eq!(found([written], &other), some([""]));
    let dashes = format!(r#"{{"b":0,"a{}b":1}}"#, "_".repeat(10_000));
    assert_eq!(found(["ab"], &dashes), some(["1"]));
}

fn items_of(found: &Found<'_>, list: List, slot: Slot) -> Vec<Option<String>> {
    let elements = found.elements(list);
    elements
        .map(|element| element.get(slot).map(str::to_owned))
        .collect()
}

#[test]
fn lists_and_the_keys_of_their_elements_are_found_in_any_spelling_and_never_mixed() {
    let mut paths = Paths::default();
    let (list, item) = paths.list(&path("properties.products"));
    let id = item.slot(&path("product_id"));
    for (text, expected) in [
        (
            r#"{"Properties":{"Products":[{"ProductID":1},{"product_id":2,"productId":3}]}}"#,
            &["1", "2"][..],
        ),
        (
            r#"{"properties":{"products":[{"product_id":1}],"Products":[{"product_id":2},{"product_id":3}]}}"#,
            &["1"],
        ),
        (
            r#"{"properties":{"Products":[{"product_id":2},{"product_id":3}],"products":[{"product_id":1}]}}"#,
            &["1"],
        ),
        (
            r#"{"properties":{"Products":[{"product_id":2}],"products":[]}}"#,
            &[],
        ),
        (
            r#"{"Properties":{"products":[{"product_id":2}]},"properties":{"PRODUCTS":[{"product_id":1}]}}"#,
            &["1"],
        ),
        (
            r#"{"properties":{"Products":[{"product_id":2}],"products":null}}"#,
            &["2"],
        ),
    ] {
        agree(&paths, &[text, text]);
        let found = paths.read(text).expect("JSON");
        let ids = items_of(&found, list, id);
        let expected: Vec<_> = expected.iter().map(|id| Some((*id).to_owned())).collect();
        assert_eq!(ids, expected, "{text}");
        assert!(!found.is_not_a_list(list), "{text}");
    }
}

#[test]
fn a_value_that_is_not_a_list_is_reported_if_no_list_is_spelled_better() {
    let mut paths = Paths::default();
    let (list, item) = paths.list(&path("items"));
    item.slot(&path("id"));
    for (text, rows, is_not_a_list) in [
        (r#"{"Items":"a"}"#, 0, true),
        (r#"{"Items":"a","items":[{}]}"#, 1, false),
        (r#"{"items":[{}],"Items":"a"}"#, 1, false),
        (r#"{"items":"a","Items":[{}]}"#, 1, true),
        (r#"{"Items":[{}],"items":"a"}"#, 1, true),
        (r#"{"Items":"a","ITEMS":[{}]}"#, 1, false),
        (r#"{"items":null,"ITEMS":[{}]}"#, 1, false),
    ] {
        let found = paths.read(text).expect("JSON");
        assert_eq!(
            (found.rows(list), found.is_not_a_list(list)),
            ((rows, false), is_not_a_list),
            "{text}"
        );
        drop(found);
        agree(&paths, &[text]);
    }
}

#[test]
fn a_list_and_a_value_that_are_one_key_folded_are_both_found() {
    let mut paths = Paths::default();
    let slot = paths.slot(&path("Items"));
    let (list, item) = paths.list(&path("items"));
    item.slot(&path("id"));
    for (text, rows, is_not_a_list) in [
        (r#"{"items":7}"#, 0, true),
        (r#"{"Items":7}"#, 0, true),
        (r#"{"ITEMS":7}"#, 0, true),
        (r#"{"Items":[{}]}"#, 1, false),
        (r#"{"ITEMS":[{}]}"#, 1, false),
    ] {
        agree(&paths, &[text, text]);
        let found = paths.read(text).expect("JSON");
        assert_eq!(
            (found.rows(list), found.is_not_a_list(list)),
            ((rows, false), is_not_a_list),
            "{text}"
        );
        assert!(found.get(slot).is_some(), "{text}");
    }
}

#[test]
fn a_path_may_lead_further_after_the_same_key_was_sought_in_another_spelling() {
    let mut paths = Paths::default();
    let (one, other) = (paths.slot(&path("items")), paths.slot(&path("Items")));
    let inside = paths.slot(&path("items.a"));
    let (list, item) = paths.list(&path("items"));
    let id = item.slot(&path("id"));
    let text = r#"{"Items":{"a":1,"id":2}}"#;
    agree(&paths, &[text, text]);
    let found = paths.read(text).expect("JSON");
    assert_eq!(found.get(one), found.get(other));
    assert_eq!(found.get(inside), Some("1"));
    assert_eq!(found.element(list, 0).get(id), Some("2"));
}

#[test]
fn a_sender_with_a_spelling_of_its_own_is_predicted_like_any_other() {
    let mut paths = Paths::default();
    let slots = ["user_id", "traits.first_name", "traits.firstName"]
        .map(|written| paths.slot(&path(written)));
    for (number, text) in [
        r#"{"UserID":1,"Traits":{"FirstName":"a","Age":3}}"#,
        r#"{"UserID":2,"Traits":{"FirstName":"b","Age":4}}"#,
    ]
    .iter()
    .enumerate()
    {
        let text = format!("{text}{}", " ".repeat(64));
        let found = paths.read(&text).expect("JSON");
        assert_eq!(
            found.get(slots[0]),
            Some(["1", "2"][number]),
            "in {number}: {text}"
        );
        assert_eq!(found.get(slots[1]), found.get(slots[2]));
        // Those of the object itself, and of `Traits`: its keys are those of one node.
        assert_eq!(found.scratch().prediction().learned(), 4);
    }
}

/// A spelling of `a_b`, by number.
fn spelling(number: usize) -> &'static str {
    ["a_b", "aB", "AB", "a-b", "A_B", "ab"][number % 6]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_path_resolves_by_itself_whatever_other_spellings_are_sought(
        sought in prop::collection::vec((0..6_usize, 0..6_usize, 0..5_usize), 1..8),
        texts in prop::collection::vec(
            prop::collection::vec((0..6_usize, prop::option::of(0..6_usize)), 0..6), 1..4),
    ) {
        let mut paths = Paths::default();
        // In any order: what is beside a path, and what leads further, may be added before it or after it.
        for (outer, inner, kind) in &sought {
            let (outer, inner) = (spelling(*outer), spelling(*inner));
            match kind {
                0 => paths.slot(&path(outer)).0,
                1 => paths.slot(&path(&format!("{outer}.{inner}"))).0,
                2 => paths.slot(&path(&format!("{outer}[0].{inner}"))).0,
                3 => paths.slot(&path(&format!("{outer}[{inner}=x]"))).0,
                _ => {
                    let (_, item) = paths.list(&path(outer));
                    item.element_slot();
                    item.slot(&path(inner)).0
                }
            };
        }
        let texts: Vec<_> = texts.iter().map(|entries| {
            let entries: Vec<_> = entries.iter().enumerate().map(|(number, (outer, inner))| {
                let value = match inner {
                    None if number % 2 == 0 => number.to_string(),
                    None => "\"x\"".to_owned(),
                    Some(inner) if number % 2 == 0 => format!(r#"{{"{}":{number}}}"#, spelling(*inner)),
                    Some(inner) => format!(r#"[{{"{}":{number}}}]"#, spelling(*inner)),
                };
                format!(r#""{}":{value}"#, spelling(*outer))
            }).collect();
            format!("{{{}}}{}", entries.join(","), " ".repeat(64))
        }).collect();
        let slices: Vec<_> = texts.iter().chain(&texts).map(String::as_str).collect();
        agree(&paths, &slices);
    }
}
