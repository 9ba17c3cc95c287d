//! Numbers that a country has renumbered: what people saved before, as it is dialed today.
//!
//! Address books and messengers keep numbers as they were when they were saved; Mexican mobiles with the `1` that was dropped in 2019,
//! Brazilian ones without their ninth digit. In: digits that begin with a calling code, or digits as they were dialed inside a country.
//! Out: the digits of today, or nothing. Invariant: no number of today's plans has the form that is rewritten.

use super::super::Alpha2;

/// The digits of today of an international number in an old form.
pub(super) fn today(digits: &str) -> Option<String> {
    // Most numbers are of other countries.
    let (code, national) = match digits.as_bytes() {
        [b'5', b'2' | b'4' | b'5', ..] | [b'8', b'4', ..] => digits.split_at_checked(2)?,
        [b'2', b'2', b'5' | b'9', ..] => digits.split_at_checked(3)?,
        _ => return None,
    };
    of_country(code, national)
}

#[cold]
fn of_country(code: &str, national: &str) -> Option<String> {
    match code {
        "52" => Some(format!("52{}", mexico(national)?)),
        "54" => {
            // `+54 9 011 …`: the zero of long-distance calls.
            let local = national
                .strip_prefix("90")
                .filter(|local| local.len() == 10)?;
            Some(format!("549{local}"))
        }
        "55" => brazil(national),
        "84" => Some(format!("84{}", vietnam(national)?)),
        "225" => ivory_coast(national),
        // Since November 2024, every number begins with 01.
        "229" => (national.len() == 8).then(|| format!("22901{national}")),
        _ => None,
    }
}

/// The international digits of today of a number as it was dialed inside a country.
pub(super) fn dialed_in(country: Alpha2, digits: &str) -> Option<String> {
    match country.as_str() {
        "mx" if digits.starts_with('0') => Some(format!("52{}", mexico(digits)?)),
        "vn" => Some(format!("84{}", vietnam(digits.strip_prefix('0')?)?)),
        "ci" => ivory_coast(digits),
        "bj" if digits.len() == 8 => Some(format!("22901{digits}")),
        _ => None,
    }
}

/// Ten digits after the prefixes of mobiles (`1`, `044`, `045`) and of long-distance calls (`01`), which ended in 2019.
fn mexico(national: &str) -> Option<&str> {
    const DIGITS: usize = 10;
    let prefixes = ["1", "01", "044", "045"];
    let mut rests = prefixes
        .iter()
        .filter_map(|prefix| national.strip_prefix(prefix));
    rests.find(|rest| rest.len() == DIGITS && !rest.starts_with('0'))
}

/// An area and eight digits: those of mobiles begin with 6 to 9, and got a 9 in front by 2016.
fn brazil(national: &str) -> Option<String> {
    let (area, local) = national.split_at_checked(2)?;
    let is_mobile =
        local.len() == 8 && local.starts_with(['6', '7', '8', '9']) && !area.contains('0');
    is_mobile.then(|| format!("55{area}9{local}"))
}

/// Mobiles of ten digits, which lost one in 2018.
fn vietnam(national: &str) -> Option<String> {
    #[rustfmt::skip]
    const PREFIXES: [(&str, &str); 21] = [
        ("120", "70"), ("121", "79"), ("122", "77"), ("126", "76"), ("128", "78"), ("123", "83"), ("124", "84"), ("125", "85"),
        ("127", "81"), ("129", "82"), ("162", "32"), ("163", "33"), ("164", "34"), ("165", "35"), ("166", "36"), ("167", "37"),
        ("168", "38"), ("169", "39"), ("186", "56"), ("188", "58"), ("199", "59"),
    ];
    let (prefix, rest) = national.split_at_checked(3)?;
    let (_, new) = PREFIXES.iter().find(|(old, _)| *old == prefix)?;
    (rest.len() == 7).then(|| format!("{new}{rest}"))
}

/// Eight digits, in front of which the digits of the operator were put in 2021. The second digit of a mobile says which operator it was;
/// of landlines, only those of one operator can be told.
fn ivory_coast(national: &str) -> Option<String> {
    let [first, second, third, ..] = *national.as_bytes() else {
        return None;
    };
    if national.len() != 8 {
        return None;
    }
    let operator = match (first, second) {
        (b'0' | b'4' | b'5' | b'7', b'0'..=b'3') => "01",
        (b'0' | b'4'..=b'9', b'4'..=b'6') => "05",
        (b'0' | b'4'..=b'9', b'7'..=b'9') => "07",
        (b'2', b'0'..=b'4') | (b'3', b'0'..=b'6') if !matches!(third, b'0' | b'8') => "27",
        _ => return None,
    };
    Some(format!("225{operator}{national}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::country_of;
    use rlibphonenumber::PHONE_NUMBER_UTIL;

    fn is_valid(digits: &str) -> bool {
        let number = PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None);
        number.is_ok_and(|number| number.is_valid())
    }

    #[test]
    fn an_old_number_becomes_a_valid_one_of_today() {
        for (old, new) in [
            ("5215512345678", "525512345678"),
            ("52015512345678", "525512345678"),
            ("520445512345678", "525512345678"),
            ("5490114123456", ""),
            ("54901141234567", "5491141234567"),
            ("551187654321", "5511987654321"),
            ("554799876543", "5547999876543"),
            ("22501234567", "2250101234567"),
            ("22545123456", "2250545123456"),
            ("22587123456", "2250787123456"),
            ("22520312345", "2252720312345"),
            ("22997123456", "2290197123456"),
            ("841201234567", "84701234567"),
            ("841681234567", "84381234567"),
        ] {
            let expected = Some(new.to_owned()).filter(|new| !new.is_empty());
            assert_eq!(today(old), expected, "{old}");
            assert!(new.is_empty() || is_valid(new), "{new}");
            assert!(!is_valid(old), "{old}");
        }
    }

    #[test]
    fn a_number_as_it_was_dialed_gets_its_calling_code() {
        for (country, dialed, new) in [
            ("mx", "0445512345678", "525512345678"),
            ("mx", "0455512345678", "525512345678"),
            ("mx", "015512345678", "525512345678"),
            ("vn", "01201234567", "84701234567"),
            ("ci", "01234567", "2250101234567"),
            ("bj", "97123456", "2290197123456"),
        ] {
            let country = country_of(country).expect("a country");
            assert_eq!(dialed_in(country, dialed).as_deref(), Some(new), "{dialed}");
        }
    }

    #[test]
    fn numbers_of_today_stay_as_they_are() {
        for number in [
            "525512345678",
            "5491141234567",
            "541141234567",
            "5511987654321",
            "551132345678",
            "2250101234567",
            "2252720312345",
            "2290197123456",
            "84912345678",
            "842412345678",
            "4915112345678",
            "",
            "52",
            "225",
            "5",
        ] {
            assert_eq!(today(number), None, "{number}");
        }
    }
}
