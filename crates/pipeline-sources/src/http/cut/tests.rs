use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// The events of a text: as they are, with `!` in front of what is not JSON.
fn cut(text: &[u8]) -> Vec<String> {
    let cutter = Cutter::new(text);
    let shown = cutter.map(|piece| {
        let event = String::from_utf8_lossy(&text[piece.range]);
        let mark = if piece.is_whole { "" } else { "!" };
        format!("{mark}{event}")
    });
    shown.collect()
}

fn read(text: &str) -> Result<usize, u16> {
    let events = events(&Bytes::copy_from_slice(text.as_bytes()));
    events
        .map(|events| events.len())
        .map_err(|refusal| refusal.status)
}

const A: &str = r#"{"event":"A","products":[{"id":1},{"id":2}],"n":1}"#;
const B: &str = r#"{"event":"B","products":[{"id":3},{"id":4}]}"#;

#[test]
fn every_framing_gives_the_same_events() {
    let pretty = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    for body in [
        format!("[{A},{B}]"),
        format!(" [ {A} ,\r\n{B}\n] "),
        format!("\n{A}\n{B}"),
        format!("{A}\r\n\r\n{B}\r\n"),
        format!("{A}\r{B}\r"),
        format!("{A}{B}"),
        format!("{A} {B}"),
        format!("{A},{B},"),
        format!("\u{1e}{A}\n\u{1e}{B}\n"),
        format!("[{A}]\n[{B}]"),
        format!("[{A}][{B}]"),
        format!("[,{A},,{B},]"),
        format!("[{A}{B}]"),
        format!("{A}\n[{B}]"),
    ] {
        assert_eq!(cut(body.as_bytes()), [A, B], "{body}");
        let packed = format!("\u{feff}{body}");
        assert_eq!(read(&packed), Ok(2), "{body}");
    }
    let body = format!("{}\n{}", pretty(A), pretty(B));
    assert_eq!(cut(body.as_bytes()), [pretty(A), pretty(B)]);
    assert_eq!(read("[]"), Ok(0));
}

/// Damage that leaves the brackets of an event right.
const IN_PLACE: [&str; 14] = [
    r#"{"event":"x","products":[{"id":1},{"id":2}],"n":NaN}"#,
    r#"{"n":Infinity,"products":[{"id":1},{"id":2}]}"#,
    r#"{"n":"\x41"}"#,
    r#"{"n":1.}"#,
    r#"{"n":010}"#,
    r#"{"n":+10}"#,
    r"{n:1}",
    r#"{"n":1,}"#,
    r#"{"n":[1,,2]}"#,
    r#"{"n":1 "m":2}"#,
    r"{'n':'m'}",
    r#"{"n":1}}"#,
    "{\"n\":\"a\tb\"}",
    r#"{"n"}"#,
];

/// Damage of the brackets and strings themselves.
const BROKEN: [&str; 9] = [
    r#"{"event":"x","products":[{"id":1},{"id":2}],"n":"#,
    r#"{"event":"x","products":[{"id":1},{"id":2},{"id":"#,
    r#"{"event":"x","products":[{"id":1},{"id":2}"#,
    r#"{"event":"x,"products":[{"id":1},{"id":2}],"n":1}"#,
    r#"{"event":"x"#,
    r#"{"event":"x","n":{"m":1"#,
    r#"{"event":"x","n":]}"#,
    "{",
    r#"Nov 26 host app[7]: said "hello, {world"#,
];

#[test]
fn a_bracket_too_many_costs_no_event_however_those_behind_it_begin() {
    for behind in ["{}", r#"{"m":1}"#, r#"{"n":2}"#, r#"{"m":[{"n":1}]}"#] {
        for damaged in [r#"{"n":1}}"#, r#"{"n":1}}}"#, r#"{"n":{"m":[1]}}}}"#] {
            let body = format!(r#"[{damaged},{behind},{{"n":null}},{behind}]"#);
            let rest = [behind, r#"{"n":null}"#, behind];
            let found = cut(body.as_bytes());
            assert_eq!(found.len(), 4, "{body}: {found:?}");
            assert_eq!(found[1..], rest, "{body}");
        }
    }
}

#[test]
fn a_damaged_element_of_an_array_costs_itself() {
    for damaged in IN_PLACE.iter().chain(&BROKEN) {
        for body in [
            format!("[{A},{damaged},{B}]"),
            format!("[\n{A},\n{damaged},\n{B}\n]\n"),
        ] {
            let shown = format!("!{damaged}");
            assert_eq!(cut(body.as_bytes()), [A, &*shown, B], "{body}");
        }
        let body = format!("[{damaged},{A},{B}]");
        assert_eq!(cut(body.as_bytes())[1..], [A, B], "{body}");
        let body = format!("[{A},{B},{damaged}]");
        let found = cut(body.as_bytes());
        assert_eq!(
            (found.len(), &found[..2]),
            (3, &[A.to_owned(), B.to_owned()][..]),
            "{body}"
        );
    }
    // Two of them, with whole ones between.
    for damaged in IN_PLACE.iter().chain(&BROKEN[..1]) {
        let body = format!("[{A},{damaged},{B},{damaged},{A}]");
        let found = cut(body.as_bytes());
        assert_eq!(
            (&found[0], &found[2], &found[4]),
            (&A.to_owned(), &B.to_owned(), &A.to_owned()),
            "{body}"
        );
    }
    let body = b"[{\"a\":\"\xe9\"},{\"b\":\"raw\nline\"},{\"c\":1}]";
    assert_eq!(cut(body).len(), 3);
    assert_eq!(cut(b"[1, NaN, hello, \"x\", null, {}]").len(), 6);
}

#[test]
fn a_damaged_line_costs_itself() {
    for damaged in IN_PLACE.iter().chain(&BROKEN) {
        for end in ["\n", "\r\n", "\r"] {
            let body = format!("{A}{end}{damaged}{end}{B}{end}");
            let shown = format!("!{damaged}");
            assert_eq!(cut(body.as_bytes()), [A, &*shown, B], "{body}");
        }
        let body = format!("\u{1e}{A}\n\u{1e}{damaged}\n\u{1e}{B}\n");
        assert_eq!(
            cut(body.as_bytes()),
            [A, &*format!("!{damaged}"), B],
            "{body}"
        );
    }
    for damaged in IN_PLACE {
        let body = format!("{A}{damaged}{B}");
        let found = cut(body.as_bytes());
        assert_eq!(
            (found.first().unwrap(), found.last().unwrap()),
            (&A.to_owned(), &B.to_owned()),
            "{body}"
        );
    }
    let pretty = "{\n  \"a\": NaN,\n  \"b\": [\n    {\n      \"c\": 1\n    }\n  ]\n}\n";
    assert_eq!(cut(format!("{pretty}{pretty}{A}\n").as_bytes()).len(), 3);
    assert_eq!(
        cut(format!("hello\nworld\n{A}").as_bytes()),
        ["!hello", "!world", A]
    );
}

#[test]
fn what_was_cut_short_is_told() {
    assert_eq!(read(r#"[{"a":1},"#), Ok(2));
    assert_eq!(read(r#"[{"a":1}"#), Ok(2));
    let events = events(&Bytes::from_static(b"[{\"a\":1},")).unwrap();
    assert_eq!(events[1].as_ref().unwrap_err().code, "malformed_json");
}

#[test]
fn what_holds_nothing_that_can_be_read_is_refused() {
    assert_eq!(read(""), Err(400));
    assert_eq!(read(" \r\n"), Err(400));
    for body in [
        "hello",
        "{broken",
        "[hello",
        "a=b&c=d",
        "{\"a\":NaN}",
        "]",
        "}{",
        "\u{0}",
    ] {
        assert_eq!(read(body), Err(422), "{body}");
    }
}

#[test]
fn too_many_events_are_refused_before_they_are_held() {
    let many = |count| format!("[{}7]", "7,".repeat(count - 1));
    assert_eq!(
        read(&many(MAX_EVENTS_PER_REQUEST)),
        Ok(MAX_EVENTS_PER_REQUEST)
    );
    assert_eq!(read(&many(MAX_EVENTS_PER_REQUEST + 1)), Err(413));
    assert_eq!(read(&"{}".repeat(MAX_EVENTS_PER_REQUEST + 1)), Err(413));
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_LINE_BYTES));
    let found = events(&Bytes::from(format!("[{long},{A}]"))).unwrap();
    assert_eq!(found[0].as_ref().unwrap_err().code, "too_large");
    assert_eq!(found[1].as_deref().unwrap(), A.as_bytes());
}

#[test]
fn hostile_damage_takes_work_in_proportion_to_its_length() {
    for (repeated, end) in [
        (r#",{"k":[1"#, ""),
        (r#"{"a":1,"#, ""),
        ("[{", ""),
        (r#"{"a":"x},"#, ""),
        (r#",{"a":{"b":1}"#, "]"),
        ("\",{", ""),
    ] {
        let body = format!("[{{\"x\":{}{end}", repeated.repeat(4_000));
        let found = cut(body.as_bytes());
        assert!(found.iter().any(|piece| piece.starts_with('!')));
    }
}

fn event() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-z{}\\[\\],:\"\\\\ \\n\\r\u{1e}]{0,8}", "\\PC{0,4}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"{},]{0,3}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    });
    prop::collection::btree_map("[a-z\"{},]{0,3}", value, 0..4)
        .prop_map(|map| map.into_iter().collect::<Value>())
}

/// How a list of events is written.
fn framed(events: &[String], framing: usize) -> String {
    match framing {
        0 => format!("[{}]", events.join(",")),
        1 => format!("[\n{}\n]\n", events.join(" ,\n ")),
        2 => events.join("\n"),
        3 => events.join("\r\n\r\n"),
        4 => events.join("\r"),
        5 => events.concat(),
        6 => events.join(", "),
        _ => {
            let texts = events.iter().flat_map(|event| ["\u{1e}", event, "\n"]);
            texts.collect()
        }
    }
}

proptest! {
    #[test]
    fn a_list_of_events_is_cut_in_every_framing_as_each_event_alone(
        events in prop::collection::vec((event(), any::<bool>()), 0..6),
        framing in 0..8_usize,
    ) {
        let events: Vec<_> = events.iter().map(|(event, pretty)| {
            if *pretty { serde_json::to_string_pretty(event).unwrap() } else { event.to_string() }
        }).collect();
        for event in &events {
            prop_assert_eq!(&cut(event.as_bytes()), std::slice::from_ref(event));
        }
        prop_assert_eq!(cut(framed(&events, framing).as_bytes()), events);
    }

    #[test]
    fn damage_in_a_list_costs_no_other_event(
        before in prop::collection::vec(event(), 0..4),
        after in prop::collection::vec(event(), 1..4),
        damaged in 0..IN_PLACE.len() + 2,
        framing in 0..4_usize,
    ) {
        let texts = |events: &[Value]| events.iter().map(Value::to_string).collect::<Vec<_>>();
        let damaged = *IN_PLACE.iter().chain(&BROKEN).nth(damaged).unwrap();
        let (before, after) = (texts(&before), texts(&after));
        let all: Vec<_> = before.iter().cloned().chain([damaged.to_owned()]).chain(after.iter().cloned()).collect();
        let found = cut(framed(&all, framing).as_bytes());
        prop_assert_eq!(&found[..before.len()], &before[..]);
        prop_assert_eq!(&found[found.len() - after.len()..], &after[..], "{:?}", found);
        prop_assert_eq!(found.len(), all.len());
    }

    #[test]
    fn any_bytes_are_cut_into_pieces_in_order(text in prop::collection::vec(
        prop_oneof![prop::sample::select(b"{}[],:\"\\ \n\r\x1ea1".to_vec()), any::<u8>()], 0..64,
    )) {
        let mut at = 0;
        for piece in Cutter::new(&text) {
            prop_assert!(piece.range.start >= at && piece.range.end > piece.range.start);
            prop_assert!(text[at..piece.range.start].iter().all(|byte| is_separator(*byte) || b"[]".contains(byte)));
            at = piece.range.end;
        }
        prop_assert!(at <= text.len());
    }
}
