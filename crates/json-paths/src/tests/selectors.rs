//! A path can select the element of a list by a text that it has at one of its keys.

use super::{agree, found, get, path, some};
use crate::{MAX_ELEMENTS, Paths};
use proptest::prelude::*;

#[test]
fn the_first_element_with_the_text_at_the_key_is_selected() {
    let by_type = [
        "externalIds[type=email].id",
        "externalIds[type=phone].id",
        "externalIds[type=email]",
    ];
    for (text, expected) in [
        // The selecting key comes after the wanted one, and before it.
        (
            r#"{"externalIds":[{"id":"+1","type":"phone"},{"type":"email","id":"a@b"}]}"#,
            some([r#""a@b""#, r#""+1""#, r#"{"type":"email","id":"a@b"}"#]),
        ),
        (
            r#"{"externalIds":[{"id":1,"type":"email"},{"id":2,"type":"email"}]}"#,
            some(["1", "", r#"{"id":1,"type":"email"}"#]),
        ),
        // The first one is selected even if it lacks what is wanted.
        (
            r#"{"externalIds":[{"type":"email"},{"id":2,"type":"email"}]}"#,
            some(["", "", r#"{"type":"email"}"#]),
        ),
        (
            r#"{"externalIds":["email",null,[],{"type":["email"]},{"id":1},{},{"id":2,"type":"\u0065MAIL"}]}"#,
            some(["2", "", r#"{"id":2,"type":"\u0065MAIL"}"#]),
        ),
        (
            r#"{"externalIds":[{"type":"e-mail","id":1},{"type":"emails","id":2}]}"#,
            some(["", "", ""]),
        ),
        (
            r#"{"externalIds":{"id":1,"type":"email"}}"#,
            some(["1", "", r#"{"id":1,"type":"email"}"#]),
        ),
        (
            r#"{"externalIds":{"0":{"id":1,"type":"phone"},"1":{"type":"email"}}}"#,
            some(["", "1", r#"{"type":"email"}"#]),
        ),
        (r#"{"externalIds":"email"}"#, some(["", "", ""])),
        (r#"{"externalIds":[]}"#, some(["", "", ""])),
    ] {
        assert_eq!(found(by_type, text), expected, "{text}");
    }
}

#[test]
fn the_selecting_key_is_found_in_any_spelling_and_the_exact_one_is_preferred() {
    let written = ["ids[id_type=email].id"];
    for (element, expected) in [
        (r#"{"idType":"email","id":1}"#, "1"),
        (r#"{"ID-Type":"Email","ID":1}"#, "1"),
        (r#"{"\u0069d_typ\u0065":"email","id":1}"#, "1"),
        (r#"{"id_type":"email","id":1,"idType":"phone"}"#, "1"),
        (r#"{"idType":"email","id":1,"id_type":"phone"}"#, ""),
        (r#"{"id_type":"email","id_type":"phone","id":1}"#, ""),
    ] {
        let text = format!(r#"{{"ids":[{element}]}}"#);
        assert_eq!(found(written, &text), some([expected]), "{text}");
    }
}

#[test]
fn selectors_and_indexes_and_elements_of_one_list_work_together() {
    let mut paths = Paths::default();
    let slots = [
        "note_attributes[name=\"_fbp\"].value",
        "note_attributes[name=_fbc].value",
        "note_attributes[0].value",
        "note_attributes[1].parts[kind=a][2]",
        "note_attributes[name=_fbc].parts[kind=a][0].x",
    ]
    .map(|written| paths.slot(&path(written)));
    let (list, item) = paths.list(&path("note_attributes"));
    let part = item.slot(&path("parts[kind=b].x"));
    let text = r#"{"note_attributes":[
        {"name":"_fbc","value":"c","parts":[{"kind":"b","x":1},{"x":2,"kind":"a"}]},
        {"name":"_fbp","value":"p","parts":[{"kind":"a","x":3},{"x":4,"kind":"b"},{"x":5,"kind":"B"}]}
    ]}"#;
    agree(&paths, &[text, text]);
    let found = paths.read(text).expect("JSON");
    assert_eq!(
        slots.map(|slot| found.get(slot)),
        [
            Some("\"p\""),
            Some("\"c\""),
            Some("\"c\""),
            None,
            // A single object is read as a list of one element.
            Some("2")
        ]
    );
    let parts: Vec<_> = found
        .elements(list)
        .map(|element| element.get(part))
        .collect();
    assert_eq!(parts, [Some("1"), Some("4")]);
}

#[test]
fn no_element_beyond_the_bound_is_selected() {
    for (before, expected) in [(MAX_ELEMENTS - 1, Some("1")), (MAX_ELEMENTS, None)] {
        let text = format!(
            r#"{{"a":[{}{{"k":"x","v":1}}]}}"#,
            r#"{"k":"y","v":2},"#.repeat(before)
        );
        assert_eq!(get("a[k=x].v", &text), expected, "{before}");
        let mut paths = Paths::default();
        paths.slot(&path("a[k=x].v"));
        agree(&paths, &[&text]);
    }
}

#[test]
fn what_is_not_json_is_rejected_inside_and_behind_the_selected_element() {
    let mut paths = Paths::default();
    paths.slot(&path("a[k=x].v"));
    for text in [
        r#"{"a":[{"k":"x","v":01}]}"#,
        r#"{"a":[{"k":"x" "v":1}]}"#,
        r#"{"a":[{"k":"x","v":1},{"k":}]}"#,
        r#"{"a":[{"k":"x","v":1}"#,
        r#"{"a":[{"k":"x","v":1}}]"#,
        // Rejected on purpose: a key that is not valid text.
        r#"{"a":[{"\ud800":"x"}]}"#,
    ] {
        assert!(paths.read(text).is_err(), "{text}");
        agree(&paths, &[text]);
    }
    let behind = r#"{"a":[{"k":"x","v":1},{"\ud800":"x"}]}"#;
    agree(&paths, &[behind]);
    assert!(paths.read(behind).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_selects_the_same_element(
        elements in prop::collection::vec(
            prop::collection::vec((
                prop::sample::select(vec!["k", "K", "_k", "v", "V", "u"]),
                prop::sample::select(vec!["\"x\"", "\"X\"", "\"\\u0078\"", "\"y\"", "1", "{\"k\":\"x\"}", "[{\"k\":\"x\",\"v\":1}]"]),
            ), 0..4), 0..6),
    ) {
        let mut paths = Paths::default();
        for written in ["a[k=x].v", "a[_k=x]", "a[k=y].v[k=x].v", "a[0].k", "A[v=x].u", "a[k=x].v.k"] {
            paths.slot(&path(written));
        }
        let elements: Vec<_> = elements.iter().map(|entries| {
            let entries: Vec<_> = entries.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}", entries.join(","))
        }).collect();
        let numbered = elements.iter().enumerate().map(|(number, element)| format!("\"{number}\":{element}"));
        let numbered = numbered.collect::<Vec<_>>().join(",");
        for a in [format!("[{}]", elements.join(",")), format!("{{{numbered}}}"), elements.concat()] {
            let text = format!("{{\"a\":{a}}}{}", " ".repeat(64));
            agree(&paths, &[&text, &text]);
        }
    }
}
