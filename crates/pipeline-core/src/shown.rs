//! Names and paths as text for people: what controls a terminal, or would begin another line, is escaped.
//!
//! Invariant: what is shown has one line, no control character and none that turns the direction of the text.

use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter, Write as _};

/// Shows a name or a path that anyone may have chosen. Control characters appear as `\n` or `\u{1b}`, bytes that are not
/// UTF-8 as `\xff`.
///
/// ```
/// # use pipeline_core::shown;
/// assert_eq!(shown("logs/\u{1b}[31m\n.log").to_string(), "logs/\\u{1b}[31m\\n.log");
/// ```
pub fn shown<N: AsRef<OsStr> + ?Sized>(name: &N) -> Shown<'_> {
    Shown(name.as_ref())
}

/// A name or a path that [`shown`] shows.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'n>(&'n OsStr);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_encoded_bytes().utf8_chunks() {
            for character in chunk.valid().chars() {
                if is_harmful(character) {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    f.write_char(character)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Whether a character controls a terminal, ends a line or hides what is written.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_controls_a_terminal() {
        let cases = [
            ("logs/app-1.log", "logs/app-1.log"),
            ("日本/é.log", "日本/é.log"),
            ("a\nWARN forged", "a\\nWARN forged"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}gol.exe", "a\\u{202e}gol.exe"),
            ("a\u{2028}b", "a\\u{2028}b"),
        ];
        for (name, expected) in cases {
            assert_eq!(shown(name).to_string(), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_shown_as_numbers() {
        use std::os::unix::ffi::OsStrExt as _;
        let name = OsStr::from_bytes(b"caf\xe9.log");
        assert_eq!(shown(name).to_string(), "caf\\xe9.log");
    }
}
