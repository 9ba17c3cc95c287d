//! Any bytes as a sequence of events that one thread reads one after the other.
//!
//! What must hold: what is found in a text does not depend on the texts before it, and is what serde_json finds there; a
//! text that serde_json can read is never rejected.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// After which characters the white space of each further reading of a text is added.
const STYLES: &[&str] = &["", ":", ",:", "", ",", ",:{["];

// `TEXT \0 TEXT \0 …`, because JSON never contains a zero byte. Each text is read as it is, and then in other styles with
// padding, because no guess is made within the last bytes of a text.
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
    meta_conversions::fuzzing::read_sequence(&read);
});

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
