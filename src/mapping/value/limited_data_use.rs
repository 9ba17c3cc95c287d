//! Limited data use as senders write it: the option, and the place for which it applies.

use super::code::{boolean, word};
use super::number::integer;
use crate::json_text;
use crate::omitted::Omitted;
use serde_json::value::RawValue;

/// What a value says about limited data use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitedDataUse {
    /// Whether it asks for it.
    pub(crate) is_limited: bool,
    /// Meta's codes of the place, if the value holds them beside the option.
    pub(crate) country: Option<u64>,
    pub(crate) state: Option<u64>,
}

/// Words for the option, besides booleans.
const OPTIONS: &[(&str, bool)] = &[("LDU", true), ("limited_data_use", true), ("none", false)];

/// The states with a law about it, with Meta's codes, from Meta's page "Data processing options".
const STATES: &[(&str, u64)] = &[
    ("CA", 1000),
    ("California", 1000),
    ("CO", 1001),
    ("Colorado", 1001),
    ("CT", 1002),
    ("Connecticut", 1002),
    ("FL", 1003),
    ("Florida", 1003),
    ("OR", 1004),
    ("Oregon", 1004),
    ("TX", 1005),
    ("Texas", 1005),
    ("MT", 1006),
    ("Montana", 1006),
    ("DE", 1007),
    ("Delaware", 1007),
    ("NE", 1008),
    ("Nebraska", 1008),
    ("NH", 1009),
    ("New Hampshire", 1009),
    ("NJ", 1010),
    ("New Jersey", 1010),
    ("MN", 1011),
    ("Minnesota", 1011),
    ("MD", 1012),
    ("Maryland", 1012),
    ("RI", 1013),
    ("Rhode Island", 1013),
];

/// Meta's codes of those states. Code 0 lets Meta determine the state.
pub(crate) const STATE_CODES: std::ops::RangeInclusive<u64> = 1000..=1013;

/// Words for the United States, the one country that has a code.
const COUNTRIES: &[(&str, u64)] = &[("US", 1), ("USA", 1), ("United States", 1)];

/// What a value says: an option (`"LDU"`, `true`), a list of options, or a list of these with country and state
/// (`[["LDU"], 1, 1000]`); such lists also as text.
///
/// # Errors
///
/// It cannot be read. [`Omitted::Blank`] and [`Omitted::Placeholder`] for what says nothing.
pub(crate) fn limited_data_use(raw: &str) -> Result<LimitedDataUse, Omitted> {
    if raw.starts_with('[') {
        return of_list(raw);
    }
    match json_text::text(raw) {
        Ok(text) if text.starts_with('[') => {
            serde_json::from_str::<&RawValue>(&text).map_err(|_| Omitted::NotAWish)?;
            of_list(&text)
        }
        Ok(text) if text.contains(',') => {
            let parts = text
                .split(',')
                .map(|part| serde_json::Value::from(part.trim()));
            of_list(&parts.collect::<serde_json::Value>().to_string())
        }
        _ => option(raw).map(|is_limited| LimitedDataUse {
            is_limited,
            country: None,
            state: None,
        }),
    }
}

/// Meta's code of a country: 1 for the United States, 0 to let Meta determine it.
pub(crate) fn country_code(raw: &str) -> Result<u64, Omitted> {
    match integer(raw) {
        Ok(code @ 0..=1) => Ok(code),
        Ok(_) => Err(Omitted::NotAllowed),
        Err(_) => word(raw, COUNTRIES, Omitted::NotAllowed),
    }
}

/// Meta's code of a state of the United States that has a law about it, 0 to let Meta determine it.
pub(crate) fn state_code(raw: &str) -> Result<u64, Omitted> {
    match integer(raw) {
        Ok(code) if code == 0 || STATE_CODES.contains(&code) => Ok(code),
        Ok(_) => Err(Omitted::NotAllowed),
        Err(_) => word(raw, STATES, Omitted::NotAllowed),
    }
}

fn option(raw: &str) -> Result<bool, Omitted> {
    match boolean(raw) {
        Err(Omitted::NotABoolean) => word(raw, OPTIONS, Omitted::NotAWish),
        read => read,
    }
}

/// A list that begins with an option or a list of options. Its other elements are the country and the state, or the same
/// option again.
fn of_list(list: &str) -> Result<LimitedDataUse, Omitted> {
    /// Country and state.
    const MAX_PLACES: usize = 2;
    let mut elements = json_text::elements(list);
    let is_limited = match elements.next() {
        Some(options) if options.starts_with('[') => {
            let mut is_limited = Err(Omitted::Blank);
            for option_of_list in json_text::elements(options) {
                let one = option(option_of_list)?;
                is_limited = Ok(one || is_limited == Ok(true));
            }
            is_limited?
        }
        Some(one) if !json_text::is_empty(one) => option(one)?,
        _ => return Err(Omitted::Blank),
    };
    let mut places = Vec::new();
    for element in elements {
        if option(element) == Ok(is_limited) && integer(element).is_err() {
            continue;
        }
        places.push(element);
    }
    if places.len() > MAX_PLACES {
        return Err(Omitted::NotAWish);
    }
    Ok(LimitedDataUse {
        is_limited,
        country: places.first().and_then(|raw| country_code(raw).ok()),
        state: places.get(1).and_then(|raw| state_code(raw).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<(bool, Option<u64>, Option<u64>), Omitted> {
        limited_data_use(raw).map(|read| (read.is_limited, read.country, read.state))
    }

    #[test]
    fn limited_data_use_is_asked_for_in_many_forms() {
        for raw in [
            "true",
            "1",
            r#""LDU""#,
            r#""ldu""#,
            r#"" LDU ""#,
            r#""yes""#,
            r#""limited data use""#,
            r#""limitedDataUse""#,
            r#"["LDU"]"#,
            r#"["ldu","LDU"]"#,
            "[true]",
            r#"[["LDU"]]"#,
            r#""[\"LDU\"]""#,
            r#""LDU,""#,
        ] {
            assert_eq!(read(raw), Ok((true, None, None)), "{raw}");
        }
        for raw in [
            r#"[["LDU"],1,1000]"#,
            r#"["LDU",1,1000]"#,
            r#"["LDU", "1", "1000"]"#,
            r#""[[\"LDU\"], 1, 1000]""#,
            r#""LDU,1,1000""#,
            r#""LDU, US, CA""#,
            r#"[["LDU"],"USA","California"]"#,
        ] {
            assert_eq!(read(raw), Ok((true, Some(1), Some(1000))), "{raw}");
        }
        assert_eq!(read(r#"[["LDU"],0,0]"#), Ok((true, Some(0), Some(0))));
        // A place that is unknown does not cost the wish.
        assert_eq!(read(r#"[["LDU"],"Mars",7]"#), Ok((true, None, None)));
    }

    #[test]
    fn a_no_is_read_and_an_empty_list_says_nothing() {
        for raw in [
            "false",
            "0",
            r#""none""#,
            r#""off""#,
            "[false]",
            r#"["none"]"#,
        ] {
            assert_eq!(read(raw), Ok((false, None, None)), "{raw}");
        }
        for raw in ["[[]]", "[[],0,0]", r#"[""]"#, "[null]", r#""[]""#] {
            assert_eq!(read(raw), Err(Omitted::Blank), "{raw}");
        }
        assert_eq!(read(r#""undefined""#), Err(Omitted::Placeholder));
    }

    #[test]
    fn another_wish_is_not_read_as_none() {
        for raw in [
            r#""restricted""#,
            r#"["CCPA"]"#,
            r#"[["LDU","CCPA"]]"#,
            r#"[["LDU"],1,1000,7]"#,
            r#"{"LDU":true}"#,
            r#"[{"LDU":true}]"#,
            "2",
            r#""[\"LDU\"""#,
            r#""CCPA,1,1000""#,
            "[[[\"LDU\"]]]",
        ] {
            assert_eq!(read(raw), Err(Omitted::NotAWish), "{raw}");
        }
    }

    #[test]
    fn each_state_has_a_name_an_abbreviation_and_a_code() {
        for code in STATE_CODES {
            assert_eq!(state_code(&code.to_string()), Ok(code));
            let names = STATES.iter().filter(|(_, known)| *known == code);
            assert_eq!(names.count(), 2, "{code}");
        }
        assert_eq!(state_code(r#""new hampshire""#), Ok(1009));
        assert_eq!(country_code(r#""us""#), Ok(1));
        for raw in ["1014", "999", r#""Utah""#, "true", "[]"] {
            assert_eq!(state_code(raw), Err(Omitted::NotAllowed), "{raw}");
        }
    }
}
