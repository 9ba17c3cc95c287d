//! JSON that the walk rejects is read by the fallback parser and counted; what is not JSON is rejected as before.

use super::path;
use crate::fault::{Failing, with};
use crate::{Found, MAX_ELEMENTS, Paths, ReadError};

const FAILING: [Failing; 2] = [Failing::WithMemory, Failing::All];

fn paths() -> Paths {
    let mut paths = Paths::default();
    for written in ["a", "a.b", "a.b.c", "d[1].e", "f", "A.b", "d[e=x].k"] {
        paths.slot(&path(written));
    }
    let (_, items) = paths.list(&path("items"));
    items.element_slot();
    for written in ["id", "price.amount", "tags[0]"] {
        items.slot(&path(written));
    }
    paths
}

#[test]
fn json_that_a_failing_walk_rejects_is_read_with_the_same_result() {
    let deep = format!(
        r#"{{"x":{}{},"f":1}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let long = format!(
        r#"{{"items":[{}]}}"#,
        vec![r#"{"id":1}"#; MAX_ELEMENTS + 1].join(", ")
    );
    let texts = [
        r#"{"a":{"b":{"c":1.50}},"f":12345678901234567890123}"#,
        " {\n\t\"a\" : { \"b\" : { \"c\" : \"x\\n\" , \"u\" : [ ] } } ,\r\n \"d\" : [ 0 , { \"e\" : true } , 2 ] } \n",
        r#"{"a":1e999,"f":1e999,"u":1e999,"d":[1e999]}"#,
        r#"{"_A":1e999,"F":1e999,"Items":1e999,"D":1e999}"#,
        r#"{"a":{"b":1},"a":{"b":{"c":2}},"f":1,"f":{}}"#,
        r#"{"items":[{"id":1,"price":{"amount":2}},7,{"tags":["x"]},{},null],"d":{"e":1}}"#,
        r#"{"items":{"id":1}}"#,
        r#"{"items":null,"f":"\ud800","u":{"\ud800":1}}"#,
        "{\"\\u0061\":{\"\\u0062\":{\"c\":\"\u{e9}\"}}}",
        r#"{"A":{"B":{"C":1},"b":2},"a":{"B":3},"F":4,"ITEMS":[{"ID":5}]}"#,
        r#"{"Items":{"0":{"id":1},"1":2,"u":3},"D":[{"k":1,"E":"X"}],"d":{"E":"x","k":2}}"#,
        "{}",
        &deep,
        &long,
    ];
    let (healthy, failing) = (paths(), paths());
    let mut counted = 0;
    for text in texts {
        let expected = healthy.read(text).expect(text).seen(&healthy);
        for walks in FAILING {
            let found = with(walks, || failing.read(text)).expect(text);
            assert_eq!(found.seen(&failing), expected, "{walks:?}: {text:.200}");
            counted += 1;
            assert_eq!(failing.fallback_reads(), counted);
        }
    }
    assert_eq!(healthy.fallback_reads(), 0);
}

#[test]
fn text_that_is_not_json_is_rejected_for_the_same_reason_and_not_counted() {
    let paths = paths();
    for text in [
        "",
        "{",
        "{\"a\":",
        "{\"a\":1} x",
        "{'a':1}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":\"\u{1}\"}",
        "[1",
        "nul",
    ] {
        let expected = paths.read(text).expect_err(text);
        for walks in FAILING {
            assert_eq!(
                with(walks, || paths.read(text)).expect_err(text),
                expected,
                "{text}"
            );
        }
    }
    for text in ["[1]", "null", "\"EAAB\"", "1.5", "1e999"] {
        for walks in FAILING {
            assert_eq!(
                with(walks, || paths.read(text)).expect_err(text),
                ReadError::NotAnObject,
                "{text}"
            );
        }
    }
    assert_eq!(paths.fallback_reads(), 0);
}

#[test]
fn a_number_that_no_double_can_hold_costs_nothing_but_itself() {
    let mut paths = Paths::default();
    let (inside, beside) = (paths.slot(&path("a.b")), paths.slot(&path("c")));
    let list = paths.list(&path("items")).0;
    paths.list(&path("items")).1.slot(&path("price.amount"));
    for text in [
        r#"{"a":1e999,"c":1}"#,
        r#"{"a":-1e999,"c":1}"#,
        r#"{"c":1,"items":[{"price":1e999}]}"#,
        r#"{"c":1,"items":[1e999]}"#,
        r#"{"c":1,"Items":{"0":{"price":1e999}}}"#,
        r#"{"c":1,"items":1e999,"A":1e999}"#,
    ] {
        let found = paths.read(text).expect(text);
        assert_eq!(
            (found.get(inside), found.get(beside)),
            (None, Some("1")),
            "{text}"
        );
        let rows = found.rows(list);
        drop(found);
        for walks in FAILING {
            let found = with(walks, || paths.read(text)).expect(text);
            assert_eq!(
                (found.get(inside), found.get(beside)),
                (None, Some("1")),
                "{text}"
            );
            assert_eq!(found.rows(list), rows, "{text}");
        }
    }
}

#[test]
fn what_the_walk_rejects_on_purpose_is_rejected_by_the_fallback_parser_too() {
    let mut paths = Paths::default();
    paths.slot(&path("a.b"));
    paths.list(&path("items")).1.slot(&path("price.amount"));
    for text in [
        // A key that is not valid text, in an object that a path leads through.
        r#"{"\ud800":1}"#,
        r#"{"a":{"\udc00\ud800":1}}"#,
        r#"{"items":[{"\ud800":1}]}"#,
        // The same at keys in another spelling, and in an object that is read as a list.
        r#"{"A":{"\ud800":1}}"#,
        r#"{"items":{"0":{},"\ud800":1}}"#,
    ] {
        let rejected = paths.read(text).expect_err(text);
        assert!(
            matches!(rejected, ReadError::Malformed { .. }),
            "{text}: {rejected:?}"
        );
        for walks in FAILING {
            assert_eq!(
                with(walks, || paths.read(text)).expect_err(text),
                rejected,
                "{text}"
            );
        }
    }
    assert_eq!(paths.fallback_reads(), 0);
}

#[test]
fn a_thread_learns_predictions_again_after_it_used_the_fallback_parser() {
    let paths = paths();
    let text = format!(r#"{{"f":1,"a":{{"b":2}}}}{}"#, " ".repeat(64));
    let learned = |found: Found<'_>| found.scratch().prediction().learned();
    // `f`, `a` and `b`; and `b` once more for the paths through `A`.
    assert_eq!(learned(paths.read(&text).expect("JSON")), 4);
    let fallback = with(Failing::WithMemory, || paths.read(&text));
    assert_eq!(learned(fallback.expect("JSON")), 0);
    assert_eq!(learned(paths.read(&text).expect("JSON")), 4);
}
