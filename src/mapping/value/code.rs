//! Words of closed sets.

use crate::json_text;
use crate::omitted::Omitted;

/// The word of a closed set that a value is, whatever its case, spaces and hyphens.
pub(crate) fn one_of(raw: &str, allowed: &[&'static str]) -> Result<&'static str, Omitted> {
    position_of(raw, allowed).map(|position| allowed[position])
}

/// The position in a closed set of the word that a value is, whatever its case, spaces and hyphens.
pub(crate) fn position_of(raw: &str, allowed: &[&'static str]) -> Result<usize, Omitted> {
    let text = json_text::text(raw)?;
    let written = |b: u8| {
        if b == b' ' || b == b'-' {
            b'_'
        } else {
            b.to_ascii_lowercase()
        }
    };
    allowed
        .iter()
        .position(|known| {
            known.len() == text.len()
                && known
                    .bytes()
                    .zip(text.bytes())
                    .all(|(a, b)| a.to_ascii_lowercase() == written(b))
        })
        .ok_or(Omitted::NotAllowed)
}

/// `true` or `false`, also as 1 and 0 or as a word that people and forms use.
pub(crate) fn boolean(raw: &str) -> Result<bool, Omitted> {
    match raw {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => word(raw, BOOLEANS, Omitted::NotABoolean),
    }
}

/// Words for true and false.
const BOOLEANS: &[(&str, bool)] = &[
    ("true", true),
    ("yes", true),
    ("on", true),
    ("1", true),
    ("1.0", true),
    ("y", true),
    ("t", true),
    ("false", false),
    ("no", false),
    ("off", false),
    ("0", false),
    ("0.0", false),
    ("n", false),
    ("f", false),
];

/// What senders write where they have no value.
const PLACEHOLDERS: &[&str] = &[
    "undefined",
    "null",
    "nil",
    "nan",
    "n/a",
    "(not set)",
    "(none)",
    "[object Object]",
    "-",
];

/// The meaning of a word, whatever its case, spaces, hyphens and underscores.
///
/// # Errors
///
/// `unknown` for a word without a meaning and for a value of another kind; [`Omitted::Placeholder`] and [`Omitted::Blank`] for
/// what counts as absent.
pub(crate) fn word<M: Copy>(
    raw: &str,
    meanings: &[(&str, M)],
    unknown: Omitted,
) -> Result<M, Omitted> {
    let text = match json_text::text(raw) {
        Ok(text) => text,
        Err(Omitted::Blank) => return Err(Omitted::Blank),
        Err(_) => return Err(unknown),
    };
    // Most words are spelled as they are known.
    let exact = meanings.iter().find(|(known, _)| *known == text);
    let meaning = exact.or_else(|| {
        let mut meanings = meanings.iter();
        meanings.find(|(known, _)| is_same_word(known, &text))
    });
    match meaning {
        Some((_, meaning)) => Ok(*meaning),
        None if is_placeholder(&text) => Err(Omitted::Placeholder),
        None => Err(unknown),
    }
}

/// Whether a text is a word that senders write where they have no value.
pub(crate) fn is_placeholder(text: &str) -> bool {
    PLACEHOLDERS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(text.trim()))
}

/// Whether two words are the same but for case, spaces, hyphens and underscores. Numbers must be spelled alike.
fn is_same_word(one: &str, other: &str) -> bool {
    if one.starts_with(|c: char| c.is_ascii_digit()) {
        return one == other;
    }
    let letters = |text| {
        str::bytes(text)
            .filter(|b| !matches!(b, b' ' | b'-' | b'_'))
            .map(|b| b.to_ascii_lowercase())
    };
    letters(one).eq(letters(other))
}

/// Meta's code for the operating system of a device, from the system's name.
pub(crate) fn platform(raw: &str) -> Result<&'static str, Omitted> {
    const PLATFORMS: &[(&str, &str)] = &[
        ("android", "a2"),
        ("a2", "a2"),
        ("ios", "i2"),
        ("iphone os", "i2"),
        ("ipados", "i2"),
        ("iphone", "i2"),
        ("ipad", "i2"),
        ("i2", "i2"),
    ];
    let name = json_text::text(raw)?;
    PLATFORMS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(&name))
        .map(|(_, code)| *code)
        .ok_or(Omitted::NotAPlatform)
}

/// Whether tracking is allowed: a boolean, or the visitor's answer to Apple's question, in words or as Apple's number for it. No
/// answer yet means no. `is_status` says that the value's key is that of such an answer, where 1 and 0 are Apple's numbers too.
pub(crate) fn tracking(raw: &str, is_status: bool) -> Result<bool, Omitted> {
    /// Apple's words; the position of each of the first four is its number.
    const ANSWERS: &[(&str, Option<bool>)] = &[
        ("notDetermined", Some(false)),
        ("restricted", Some(false)),
        ("denied", Some(false)),
        ("authorized", Some(true)),
        ("authorised", Some(true)),
        ("granted", Some(true)),
        ("allowed", Some(true)),
        ("refused", Some(false)),
        // Systems without this question.
        ("unavailable", None),
        ("notSupported", None),
        ("unknown", None),
    ];
    let number = value_of_digit(raw);
    let answer = match number {
        Some(number) if is_status || number > 1 => ANSWERS
            .get(usize::from(number))
            .filter(|_| number <= 3)
            .and_then(|(_, answer)| *answer),
        Some(number) => Some(number == 1),
        None => match boolean(raw) {
            Ok(answer) => Some(answer),
            Err(Omitted::NotABoolean) => {
                let answer = word(raw, ANSWERS, Omitted::NotAnAnswer)?;
                return answer.ok_or(Omitted::Placeholder);
            }
            Err(why) => return Err(why),
        },
    };
    answer.ok_or(Omitted::NotAnAnswer)
}

/// A value that is one digit, as a number or as text.
fn value_of_digit(raw: &str) -> Option<u8> {
    let text = json_text::text(raw).ok()?;
    match text.strip_suffix(".0").unwrap_or(&text).as_bytes() {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enumerated_value_is_found_whatever_its_case() {
        assert_eq!(
            one_of(r#""Home Delivery""#, &["in_store", "home_delivery"]),
            Ok("home_delivery")
        );
        assert_eq!(one_of(r#""suv""#, &["SUV"]), Ok("SUV"));
        assert_eq!(one_of(r#""tank""#, &["SUV"]), Err(Omitted::NotAllowed));
    }

    #[test]
    fn a_system_is_known_by_its_name() {
        for (raw, expected) in [
            (r#""iOS""#, Ok("i2")),
            (r#""iPhone OS""#, Ok("i2")),
            (r#""Android""#, Ok("a2")),
            (r#""a2""#, Ok("a2")),
            (r#""Windows""#, Err(Omitted::NotAPlatform)),
            ("2", Err(Omitted::NotAPlatform)),
            ("true", Err(Omitted::WrongType)),
        ] {
            assert_eq!(platform(raw), expected, "{raw}");
        }
    }

    #[test]
    fn tracking_is_allowed_by_a_yes_alone() {
        for (raw, expected) in [
            ("true", Ok(true)),
            ("1", Ok(true)),
            ("0", Ok(false)),
            (r#""1""#, Ok(true)),
            (r#""yes""#, Ok(true)),
            (r#""authorized""#, Ok(true)),
            (r#""AUTHORIZED ""#, Ok(true)),
            (r#""denied""#, Ok(false)),
            (r#""notDetermined""#, Ok(false)),
            (r#""not-determined""#, Ok(false)),
            (r#""unavailable""#, Err(Omitted::Placeholder)),
            (r#""undefined""#, Err(Omitted::Placeholder)),
            (r#""maybe""#, Err(Omitted::NotAnAnswer)),
            ("2", Ok(false)),
            (r#""3""#, Ok(true)),
            ("4", Err(Omitted::NotAnAnswer)),
            ("-1", Err(Omitted::NotAnAnswer)),
            ("[true]", Err(Omitted::NotAnAnswer)),
        ] {
            assert_eq!(tracking(raw, false), expected, "{raw}");
        }
    }

    #[test]
    fn a_status_is_apples_number() {
        for (raw, expected) in [
            ("0", Ok(false)),
            ("1", Ok(false)),
            ("2", Ok(false)),
            ("3", Ok(true)),
            ("3.0", Ok(true)),
            (r#""1""#, Ok(false)),
            (r#""3""#, Ok(true)),
            ("4", Err(Omitted::NotAnAnswer)),
            ("true", Ok(true)),
            ("false", Ok(false)),
            (r#""authorized""#, Ok(true)),
        ] {
            assert_eq!(tracking(raw, true), expected, "{raw}");
        }
    }

    #[test]
    fn a_boolean_may_be_a_word() {
        for raw in [
            "true",
            "1",
            "1.0",
            r#""Yes""#,
            r#"" on ""#,
            r#""TRUE""#,
            r#""1""#,
            r#""y""#,
        ] {
            assert_eq!(boolean(raw), Ok(true), "{raw}");
        }
        for raw in ["false", "0", r#""No""#, r#""OFF""#, r#""0""#] {
            assert_eq!(boolean(raw), Ok(false), "{raw}");
        }
        for raw in ["2", r#""maybe""#, "[true]", "{}"] {
            assert_eq!(boolean(raw), Err(Omitted::NotABoolean), "{raw}");
        }
        for (raw, why) in [
            (r#""null""#, Omitted::Placeholder),
            (r#""\u0000""#, Omitted::Blank),
        ] {
            assert_eq!(boolean(raw), Err(why), "{raw}");
        }
    }
}
