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

/// `true` or `false`, also as text or as 1 and 0.
pub(crate) fn boolean(raw: &str) -> Result<bool, Omitted> {
    match raw {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => match json_text::text(raw).map_err(|_| Omitted::NotABoolean)? {
            text if text.eq_ignore_ascii_case("true") => Ok(true),
            text if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(Omitted::NotABoolean),
        },
    }
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

/// Whether tracking is allowed: a boolean, or the visitor's answer to Apple's question in Apple's words. No answer means no.
pub(crate) fn tracking(raw: &str) -> Result<bool, Omitted> {
    const ANSWERS: &[&str] = &[
        "authorized",
        "denied",
        "restricted",
        "notDetermined",
        "not_determined",
    ];
    boolean(raw).or_else(|_| Ok(one_of(raw, ANSWERS)? == "authorized"))
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
            (r#""authorized""#, Ok(true)),
            (r#""denied""#, Ok(false)),
            (r#""notDetermined""#, Ok(false)),
            (r#""maybe""#, Err(Omitted::NotAllowed)),
            ("2", Err(Omitted::NotAllowed)),
            ("[true]", Err(Omitted::WrongType)),
        ] {
            assert_eq!(tracking(raw), expected, "{raw}");
        }
    }
}
