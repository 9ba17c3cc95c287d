//! Any bytes as a sequence of JSON texts that one thread reads one after the other, along paths of every kind.
//!
//! What must hold: what is found in a text does not depend on the texts before it, and is what the paths mean there, whatever
//! the spelling of its keys and the form of its lists; a text that serde_json can read is never rejected.

#![no_main]

use json_paths::{Path, Paths, Readings};
use libfuzzer_sys::fuzz_target;

/// After which characters the white space of each further reading of a text is added.
const STYLES: &[&str] = &["", ":", ",:", "", ",", ",:{["];

// `TEXT \0 TEXT \0 …`, because JSON never contains a zero byte. Each text is read as it is, and then in other styles with
// padding, because nothing is predicted within the last bytes of a text.
fuzz_target!(|bytes: &[u8]| {
    let texts = bytes.split(|byte| *byte == 0);
    let texts = texts.filter_map(|text| std::str::from_utf8(text).ok());
    let mut read = Vec::new();
    for (text, space) in texts.zip([" ", "\t", "\r\n", "  "].iter().cycle()) {
        read.push(text.to_owned());
        let styles = STYLES.iter();
        read.extend(styles.map(|after| spaced(text, after, space) + &" ".repeat(64)));
    }
    let read: Vec<_> = read.iter().map(String::as_str).collect();
    check(&read);
});

/// The paths, with some keys in several spellings.
const PATHS: &[&str] = &[
    "a",
    "a.b",
    "a.b.c",
    "b",
    "b.a",
    "c[0]",
    "c[1].a",
    "A",
    "_a.B",
    "a_b",
    "aB.a",
    "a[0].b",
    "c[a=b].a",
    "C[a=c][b=a]",
];
const LISTS: &[&str] = &["d", "a.d", "c", "D", "A.D"];
const PATHS_OF_ELEMENTS: &[&str] = &["a", "b.c", "c[1]", "A", "B.c", "c[a=b].a", "a_b"];

/// Reads the texts in every way, as objects and as lists, and compares what was found.
fn check(texts: &[&str]) {
    let mut paths = Paths::default();
    let path = |written: &str| Path::parse(written).expect("a good path");
    for written in PATHS {
        paths.slot(&path(written));
    }
    let mut lists = Vec::new();
    for written in LISTS {
        let (list, elements) = paths.list(&path(written));
        elements.element_slot();
        for written in PATHS_OF_ELEMENTS {
            elements.slot(&path(written));
        }
        lists.push(list);
    }
    compare(paths.readings(texts));
    // As lists all have the same paths.
    compare(paths.readings_of_list(lists[0], texts));
}

fn compare(readings: Readings) {
    let Readings {
        in_sequence,
        stateless,
        by_serde_json,
        by_reference,
        fallback_reads,
    } = readings;
    assert_eq!(in_sequence, stateless, "memory changes what is found");
    assert_eq!(
        stateless, by_serde_json,
        "the walk finds other values than serde_json"
    );
    assert_eq!(by_serde_json, by_reference, "the paths mean other values");
    assert_eq!(fallback_reads, 0, "the walk rejected JSON");
}

/// The text with white space only after these characters, as far as it is outside of strings.
fn spaced(text: &str, after: &str, space: &str) -> String {
    let mut spaced = String::new();
    let (mut is_string, mut is_escaped) = (false, false);
    for character in text.chars() {
        if is_string || !matches!(character, ' ' | '\t' | '\r' | '\n') {
            spaced.push(character);
        }
        if character == '"' && !is_escaped {
            is_string = !is_string;
        } else if !is_string && after.contains(character) {
            spaced.push_str(space);
        }
        is_escaped = is_string && character == '\\' && !is_escaped;
    }
    spaced
}
