//! Any bytes as a sequence of events that one thread reads one after the other.
//!
//! What must hold: what is found in a text does not depend on the texts before it, and is what serde_json finds there; a
//! text that serde_json can read is never rejected.

#![no_main]

use libfuzzer_sys::fuzz_target;

// `TEXT \0 TEXT \0 …`, because JSON never contains a zero byte. Each text is also read with other white space, and every
// second one with padding, because no guess is made within the last bytes of a text.
fuzz_target!(|bytes: &[u8]| {
    let texts = bytes.split(|byte| *byte == 0);
    let texts: Vec<_> = texts
        .filter_map(|text| std::str::from_utf8(text).ok())
        .collect();
    let mut read = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let wide = spaced(text, [" ", "\t", "\r\n", "  "][place % 4]);
        let dense = spaced(text, "");
        read.extend(
            [dense, (*text).to_owned(), wide].map(|text| text + &" ".repeat(place % 2 * 64)),
        );
    }
    let read: Vec<_> = read.iter().map(String::as_str).collect();
    meta_conversions::fuzzing::read_sequence(&read);
});

/// The text with this white space, and no other, after each comma, colon and opening bracket outside of strings.
fn spaced(text: &str, space: &str) -> String {
    let mut spaced = String::new();
    let (mut is_string, mut is_escaped) = (false, false);
    for character in text.chars() {
        let is_space = matches!(character, ' ' | '\t' | '\r' | '\n');
        if is_string || !is_space {
            spaced.push(character);
        }
        match character {
            '"' if !is_escaped => is_string = !is_string,
            ',' | ':' | '{' | '[' if !is_string => spaced.push_str(space),
            _ => {}
        }
        is_escaped = is_string && character == '\\' && !is_escaped;
    }
    spaced
}
