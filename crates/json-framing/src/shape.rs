//! The structure of one JSON object or list, byte by byte: where it ends, and where a value inside may begin.
//!
//! Invariant: text that is valid JSON is never called broken. Of other text only that is called broken which shows that the
//! value has lost its end; everything else is left to whoever reads the value.

/// A value so far.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The brackets that are open. No longer than the value.
    open: Vec<u8>,
    is_in_text: bool,
    is_escaped: bool,
    /// The last byte that was neither white space nor inside a text; the closing quote for a text.
    last: u8,
}

/// What a further byte makes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It continues.
    Open,
    /// It ends with this byte.
    Closed,
    /// A bracket closes another kind of bracket.
    Broken,
}

impl Shape {
    pub(super) fn is_in_text(&self) -> bool {
        self.is_in_text
    }

    /// Whether a value may begin here.
    pub(super) fn may_begin_value(&self) -> bool {
        match self.last {
            b':' | b'[' => true,
            b',' => self.open.last() == Some(&b'['),
            _ => false,
        }
    }

    /// Adds a byte.
    #[inline]
    pub(super) fn add(&mut self, byte: u8) -> Progress {
        if self.is_in_text {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_in_text = false,
                _ => {}
            }
            return Progress::Open;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return Progress::Open,
            b'"' => self.is_in_text = true,
            b'{' | b'[' => self.open.push(byte),
            b'}' | b']' => {
                let opening = if byte == b'}' { b'{' } else { b'[' };
                if self.open.pop() != Some(opening) {
                    return Progress::Broken;
                }
            }
            _ => {}
        }
        self.last = byte;
        if self.open.is_empty() {
            return Progress::Closed;
        }
        Progress::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The progress after the last byte.
    fn shape(text: &str) -> (Shape, Progress) {
        let mut shape = Shape::default();
        let mut progress = Progress::Open;
        for byte in text.bytes() {
            assert_eq!(progress, Progress::Open, "{text}");
            progress = shape.add(byte);
        }
        (shape, progress)
    }

    #[test]
    fn a_value_ends_with_the_bracket_that_closes_its_first_one() {
        for text in ["{}", "[]", r#"{"a": [{}, "]}", "\"}", "\\"]}"#, "[[], {}]"] {
            assert_eq!(shape(text).1, Progress::Closed, "{text}");
        }
        for text in ["{", r#"{"}"#, r#"{"a": "\"}"#, "[{}"] {
            assert_eq!(shape(text).1, Progress::Open, "{text}");
        }
        for text in ["{]", "[}", r#"{"a": [}"#] {
            assert_eq!(shape(text).1, Progress::Broken, "{text}");
        }
    }

    #[test]
    fn a_value_begins_behind_a_colon_and_in_a_list_only() {
        for text in ["[", "[1, ", r#"{"a":"#, r#"{"a": [{}, "#] {
            assert!(shape(text).0.may_begin_value(), "{text}");
        }
        for text in [
            "{",
            "[1",
            "[{}",
            r#"{"a":1,"#,
            r#"{"a""#,
            r#"["a""#,
            r#"{"a": {}"#,
        ] {
            assert!(!shape(text).0.may_begin_value(), "{text}");
        }
    }
}
