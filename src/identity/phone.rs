//! `ph`: digits only, no leading zeros, always with the country code.
//!
//! Reads a number as people write it, returns E.164 without its plus; numbers of countries that have changed their plan become those of
//! today. An international form (`+`, `00`, the exit code of the country) needs no country; a national number is read in the country of
//! the address, then in `default_country`. Digits that begin with the calling code of one of these two may be international without
//! their plus ([`with_calling_code`] decides); with another calling code they are tried as international last. Extensions are dropped,
//! letters are not digits. Invariant: every returned number is possible in libphonenumber's numbering plans, and none is one that people
//! make up.

mod renumbered;

use std::borrow::Cow;
use std::fmt::Write as _;

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region,
};

use super::{Alpha2, Locale, text};
use crate::byte_search;
use crate::omitted::Omitted;

/// More digits than any number has, including trunk and exit codes.
const MAX_DIGITS: usize = 20;
/// After this many digits, a letter or a mark begins an extension or a second number.
const MIN_DIGITS_BEFORE_EXTENSION: usize = 7;
/// Longest calling code, in digits.
const MAX_CALLING_CODE_DIGITS: usize = 3;
/// Calling codes of plans in which only `0` or `1` is dialed before a national number, so that digits of the right length cannot
/// include another prefix. In other plans (`+54 11 15 …`, `+86 12593 …`) only a valid number is certain.
const ZERO_TRUNK_CODES: [i32; 4] = [1, 33, 44, 49];

pub(super) fn normalize(raw: &str, locale: Locale, out: &mut String) -> Result<(), Omitted> {
    let whole = whole_number(raw)?;
    let written = read(&whole, out)?;
    if let Err(why) = read_digits(&whole, written, locale, out) {
        return in_letters(&whole, locale, out).ok_or(why);
    }
    if let Some(today) = renumbered::today(out) {
        *out = today;
    }
    if is_made_up(out) {
        return Err(Omitted::Placeholder);
    }
    Ok(())
}

/// Whether a text that begins with a plus is a phone number.
pub(crate) fn is_international_phone(text: &str) -> bool {
    let locale = Locale {
        country: None,
        default_country: None,
        year: 0,
    };
    normalize(text, locale, &mut String::new()).is_ok()
}

/// Whether digits are a phone number as it is dialed in a country, which is named by its code.
pub(crate) fn is_phone_of(country: &str, digits: &str) -> bool {
    let region = Region::try_from(country).ok();
    region.is_some() && parse(digits, region).is_some_and(|number| number.is_valid())
}

/// The number without the decimals that a table has given it: `4915112345678.0`.
fn whole_number(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    let digits = raw.strip_prefix('+').unwrap_or(raw);
    match text::without_decimals(digits)? {
        Cow::Owned(whole) if whole.len() >= MIN_DIGITS_BEFORE_EXTENSION => {
            Ok(format!("{}{whole}", &raw[..raw.len() - digits.len()]).into())
        }
        _ => Ok(Cow::Borrowed(raw)),
    }
}

fn read_digits(
    raw: &str,
    written: Written,
    locale: Locale,
    out: &mut String,
) -> Result<(), Omitted> {
    if written.plus
        && byte_search::has(raw, |bytes| bytes.is(b'('))
        && raw.contains("(0)")
        && drop_trunk_zero(raw, out)
    {
        return Ok(());
    }
    if written.plus || out.starts_with("00") {
        if !written.plus && with_exit_code_of(locale, out) {
            return Ok(());
        }
        return international(out);
    }
    let north_american = |country| matches!(country, Alpha2::US | Alpha2::CA);
    if locale.known().is_some_and(north_american) && out.len() == 11 && out.starts_with('1') {
        return international(out);
    }
    let Some(country) = locale.known() else {
        return without_country(raw, written, out);
    };
    if let Some(today) = renumbered::dialed_in(country, out).filter(|digits| is_valid(digits)) {
        *out = today;
        return Ok(());
    }
    national(locale, out).or_else(|why| {
        // With a calling code, without its plus, and in an old form.
        let today = renumbered::today(out).filter(|digits| is_valid(digits));
        *out = today.ok_or(why)?;
        Ok(())
    })
}

/// Takes the zero in brackets behind a calling code out of `digits`, where that makes a valid number: `+420 (0) 601 …`. In Italy, it can be
/// a part of the number. Answers whether it did.
fn drop_trunk_zero(raw: &str, digits: &mut String) -> bool {
    let code = raw.split_once("(0)").map_or("", |(code, _)| code);
    let place = code.chars().filter(|c| text::digit(*c).is_some()).count();
    let mut without = digits.clone();
    if !(1..=MAX_CALLING_CODE_DIGITS).contains(&place) || without.get(place..=place) != Some("0") {
        return false;
    }
    without.remove(place);
    let is_better = is_valid(&without);
    if is_better {
        *digits = without;
    }
    is_better
}

/// Reads digits that begin with the exit code of a known country, where that is more than `00`: `0011` in Australia, `001` in Singapore.
/// Answers whether that gave a valid number, which the digits behind two zeros are not.
fn with_exit_code_of(locale: Locale, digits: &mut String) -> bool {
    /// Countries whose exit codes begin with two zeros and go on.
    const LONGER: &str = "au br co hk id ke kh kr sg th tz ug";
    let Some(country) = locale.known().filter(|country| country.is_in(LONGER)) else {
        return false;
    };
    if is_valid(digits.trim_start_matches('0')) {
        return false;
    }
    let number = parse(digits, region(country)).filter(PhoneNumber::is_valid);
    number.is_some() && write(number.as_ref(), digits).is_ok()
}

/// A number of North America with letters in it: `1-800-FLOWERS`.
#[cold]
fn in_letters(raw: &str, locale: Locale, out: &mut String) -> Option<()> {
    let country = locale
        .known()
        .filter(|country| matches!(*country, Alpha2::US | Alpha2::CA))?;
    let keys = raw.chars().filter(char::is_ascii_alphanumeric).count();
    let is_written = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase() || " ()-.+".contains(c);
    let can_be = matches!(keys, 10 | 11) && raw.chars().all(is_written);
    let number = can_be.then(|| parse(raw, region(country)))??;
    write(Some(&number).filter(|number| number.is_valid()), out).ok()
}

/// Whether a number consists of one digit, or of digits in their order that are no number: what people type where a number is required.
fn is_made_up(digits: &str) -> bool {
    const IN_ORDER: [&str; 4] = ["1234567890", "123456789", "12345678", "1234567"];
    (1..=MAX_CALLING_CODE_DIGITS).any(|len| {
        let Some((code, national)) = digits.split_at_checked(len) else {
            return false;
        };
        let first = national.as_bytes().first();
        let is_one_digit = national.len() >= MIN_DIGITS_BEFORE_EXTENSION
            && national.bytes().all(|b| Some(&b) == first);
        let is_in_order = || IN_ORDER.contains(&national) && !is_valid(digits);
        (is_one_digit || is_in_order()) && is_calling_code(code)
    })
}

fn is_calling_code(digits: &str) -> bool {
    let code = digits.parse().ok();
    code.is_some_and(|code| {
        PHONE_NUMBER_UTIL
            .get_region_for_country_code(code)
            .is_some()
    })
}

fn is_valid(international: &str) -> bool {
    parse_international(international).is_some_and(|number| number.is_valid())
}

/// What the text of a number shows besides its digits.
#[derive(Clone, Copy)]
struct Written {
    plus: bool,
    /// `1-650-…`, `1 (650) …`: a separate one at the start, which is how North America writes its country code.
    lone_one: bool,
}

/// Collects the digits in `out`. Bytes of ASCII, which most numbers are, take half the time of characters.
fn read(raw: &str, out: &mut String) -> Result<Written, Omitted> {
    if raw.is_ascii() {
        read_chars(raw.bytes().map(char::from), out)
    } else {
        read_chars(raw.chars(), out)
    }
}

fn read_chars(chars: impl Iterator<Item = char>, out: &mut String) -> Result<Written, Omitted> {
    let mut written = Written {
        plus: false,
        lone_one: false,
    };
    for c in chars {
        if let Some(value) = text::digit(c) {
            if out.len() == MAX_DIGITS {
                return Err(Omitted::ImpossibleNumber);
            }
            out.push(char::from(b'0' + value));
        } else if out.is_empty() {
            written.plus |= matches!(c, '+' | '＋');
        } else if out.len() >= MIN_DIGITS_BEFORE_EXTENSION
            && (c.is_alphabetic() || matches!(c, '#' | ';' | ',' | '/' | '~' | '*' | '+'))
        {
            break;
        } else {
            written.lone_one |= is_lone_one(out);
        }
    }
    if out.is_empty() {
        return Err(Omitted::NotAPhone);
    }
    Ok(written)
}

/// Whether digits are a one, perhaps after zeros.
fn is_lone_one(digits: &str) -> bool {
    digits
        .strip_suffix('1')
        .is_some_and(|before| before.bytes().all(|digit| digit == b'0'))
}

/// Digits that begin with a country code, perhaps after zeros.
fn international(out: &mut String) -> Result<(), Omitted> {
    let zeros = out.len() - out.trim_start_matches('0').len();
    out.drain(..zeros);
    if out.is_empty() {
        return Err(Omitted::NotAPhone);
    }
    if let Some(today) = renumbered::today(out) {
        *out = today;
    }
    if is_plainly_possible(out) {
        return Ok(());
    }
    let number = parse_international(out).filter(is_possible);
    write(number.as_ref(), out)
}

/// Whether these digits are a calling code and a national number, without a trunk prefix in between. Numbers for which this is clear
/// do not need the library's parser.
fn is_plainly_possible(digits: &str) -> bool {
    let split = (1..=MAX_CALLING_CODE_DIGITS).find_map(|len| {
        let (code, national) = digits.split_at_checked(len)?;
        let code = code.parse().ok()?;
        PHONE_NUMBER_UTIL.get_region_for_country_code(code)?;
        Some((code, national))
    });
    let Some((country_code, national)) = split else {
        return false;
    };
    let Ok(national_number) = national.parse() else {
        return false;
    };
    let number = PhoneNumber {
        country_code,
        national_number,
        ..PhoneNumber::default()
    };
    !national.starts_with('0')
        && if ZERO_TRUNK_CODES.contains(&country_code) {
            is_possible(&number)
        } else {
            number.is_valid()
        }
}

/// Digits without a plus and without a known country: accepted only if they are certainly international.
fn without_country(raw: &str, written: Written, out: &mut String) -> Result<(), Omitted> {
    if out.len() == 11 && is_grouped_as_in_china(raw) {
        return Err(Omitted::NoCountryCode);
    }
    if written.lone_one && out.trim_start_matches('0').len() == 11 {
        return international(out);
    }
    let today = renumbered::today(out);
    let number = parse_international(today.as_deref().unwrap_or(out)).filter(PhoneNumber::is_valid);
    if number.is_none() || out.starts_with('0') {
        return Err(Omitted::NoCountryCode);
    }
    write(number.as_ref(), out)
}

/// `138 5673 2363`: a mobile of China, or a number of the United States in a form that is not used there.
fn is_grouped_as_in_china(raw: &str) -> bool {
    let mut groups = raw.split([' ', '-']).map(str::len);
    [3, 4, 4].map(Some) == [groups.next(), groups.next(), groups.next()]
}

/// Digits read in the country of the address, then in the default country. Valid readings come first, then the reading with a country
/// code whose plus is missing, then possible readings.
fn national(locale: Locale, out: &mut String) -> Result<(), Omitted> {
    let mut possible = None;
    let countries = [locale.country, locale.default_country];
    for country in countries.into_iter().flatten() {
        let Some(number) = parse(out, region(country)) else {
            continue;
        };
        if number.is_valid() {
            let with_code = with_calling_code(out, country, locale.default_country, &number);
            return write(Some(&with_code.unwrap_or(number)), out);
        }
        possible = possible.or(Some(number).filter(is_possible));
    }
    let number = parse_international(out)
        .filter(PhoneNumber::is_valid)
        .or(possible);
    write(number.as_ref(), out)
}

/// The number if the digits begin with a calling code, provided that this is a better reading than `national`, the valid reading in
/// `country`. The calling codes of `country` and of the default country are considered, and of mobiles any.
///
/// In some plans (Germany, Austria, Sweden, Finland, Indonesia) nearly any digits are a valid landline, so that `4915112345678` is a
/// German mobile with its calling code, and also a landline in the area `04915`. If both readings are valid, the first of these rules
/// that distinguishes them decides:
///
/// 1. A mobile is preferred to any other kind of number, because customers give mobiles. Germany: `4915112345678` has its calling
///    code, since the other reading is a landline. Cuba: `53498712` has no calling code, since the other reading is a short landline.
/// 2. Digits that match how the number is written inside the country, including the trunk prefix, are national. Poland: `481319713` is in
///    the area `48`, which has no trunk prefix.
/// 3. Otherwise they have their calling code. Sweden: `468120567` is in Stockholm; in the area `046` it would be written `0468120567`.
///
/// For the calling code of a default country other than `country`, only the first rule counts, because an address is better evidence
/// than a default. For any other calling code, both of the first two must say so: `436641234567` is an Austrian mobile in a German
/// address too, since a German landline would begin with a zero.
fn with_calling_code(
    digits: &str,
    country: Alpha2,
    default_country: Option<Alpha2>,
    national: &PhoneNumber,
) -> Option<PhoneNumber> {
    let is_own = begins_with_calling_code(digits, country);
    let is_known =
        is_own || default_country.is_some_and(|other| begins_with_calling_code(digits, other));
    if digits.starts_with('0')
        || (!is_known && (is_mobile(national) || is_written(national, digits)))
    {
        return None;
    }
    let number = parse_international(digits).filter(PhoneNumber::is_valid)?;
    if !is_known {
        return Some(number).filter(|number| number.get_type() == PhoneNumberType::Mobile);
    }
    let is_better = match (is_mobile(&number), is_mobile(national)) {
        (true, false) => true,
        (false, true) => false,
        _ => is_own && !is_written(national, digits),
    };
    is_better.then_some(number)
}

/// Whether digits begin with the calling code of a country. Most national numbers begin with a zero, which no calling code does.
fn begins_with_calling_code(digits: &str, country: Alpha2) -> bool {
    if digits.starts_with('0') {
        return false;
    }
    let code =
        region(country).and_then(|region| PHONE_NUMBER_UTIL.get_country_code_for_region(region));
    let mut starts = (1..=MAX_CALLING_CODE_DIGITS).filter_map(|len| digits.get(..len));
    code.is_some_and(|code| starts.any(|start| start.parse() == Ok(code)))
}

/// Whether a number is written with these digits inside its country.
fn is_written(number: &PhoneNumber, digits: &str) -> bool {
    let national = number.format_as(PhoneNumberFormat::National);
    let written = national.bytes().filter(u8::is_ascii_digit);
    written.eq(digits.bytes())
}

fn is_mobile(number: &PhoneNumber) -> bool {
    matches!(
        number.get_type(),
        PhoneNumberType::Mobile | PhoneNumberType::FixedLineOrMobile
    )
}

/// The library's id of a country; it does not know all countries.
fn region(country: Alpha2) -> Option<Region> {
    Region::try_from(country.as_str()).ok()
}

fn parse(digits: &str, region: Option<Region>) -> Option<PhoneNumber> {
    PHONE_NUMBER_UTIL.parse(digits, region).ok()
}

fn parse_international(digits: &str) -> Option<PhoneNumber> {
    let mut text = String::with_capacity(MAX_DIGITS + 1);
    text.push('+');
    text.push_str(digits);
    parse(&text, None)
}

fn is_possible(number: &PhoneNumber) -> bool {
    matches!(
        number.is_possible_with_reason(),
        Ok(NumberLengthType::IsPossible)
    )
}

/// The number as E.164 without the plus.
fn write(number: Option<&PhoneNumber>, out: &mut String) -> Result<(), Omitted> {
    let number = number.ok_or(Omitted::ImpossibleNumber)?;
    out.clear();
    let zeros = match number.italian_leading_zero {
        Some(true) => usize::try_from(number.number_of_leading_zeros.unwrap_or(1)).unwrap_or(1),
        _ => 0,
    };
    write!(
        out,
        "{}{}{}",
        number.country_code,
        &"0000000000"[..zeros.min(10)],
        number.national_number
    )
    .map_err(|_| Omitted::ImpossibleNumber)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::country_of;

    fn locale(country: Option<Alpha2>, default_country: Option<Alpha2>) -> Locale {
        Locale {
            country,
            default_country,
            year: 2026,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_one_is_alone_behind_any_number_of_zeros(digits in "[01]{0,6}|[0-9]{0,4}") {
            prop_assert_eq!(is_lone_one(&digits), digits.trim_start_matches('0') == "1");
        }

        #[test]
        fn bytes_of_ascii_are_read_as_characters_are(raw in "[0-9+(). a-c#-]{0,24}") {
            let (mut bytes, mut chars) = (String::new(), String::new());
            let read = |written: Result<Written, Omitted>| written.map(|written| (written.plus, written.lone_one));
            let of_bytes = read(super::read(&raw, &mut bytes));
            prop_assert_eq!(of_bytes, read(read_chars(raw.chars(), &mut chars)));
            prop_assert_eq!(bytes, chars);
        }
    }

    fn normal(raw: &str, locale: Locale) -> Result<String, Omitted> {
        let mut out = String::new();
        normalize(raw, locale, &mut out).map(|()| out)
    }

    /// The library's examples: one for each kind of number in each country that has it.
    fn examples() -> Vec<(Alpha2, PhoneNumber)> {
        let regions = PHONE_NUMBER_UTIL.get_supported_regions();
        let countries =
            regions.filter_map(|region| Some((country_of(&region.to_string())?, region)));
        let mut examples = Vec::new();
        for (country, region) in countries {
            for kind in [PhoneNumberType::Mobile, PhoneNumberType::FixedLine] {
                let example =
                    PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind);
                examples.extend(example.ok().map(|number| (country, number)));
            }
        }
        examples.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
        examples
    }

    #[test]
    fn every_way_of_writing_a_number_gives_the_same_digits() {
        let (mut wrong, mut tried) = (Vec::new(), 0);
        for (country, number) in examples() {
            let e164 = number.format_as(PhoneNumberFormat::E164);
            let digits = e164.trim_start_matches('+');
            let forms = [
                number.format_as(PhoneNumberFormat::National).into_owned(),
                number.get_national_significant_number(),
                digits.to_owned(),
                e164.to_string(),
                format!("00{digits}"),
            ];
            let locales = [
                locale(Some(country), None),
                locale(None, Some(country)),
                locale(Some(country), Some(Alpha2::US)),
                locale(Some(country), country_of("de")),
            ];
            for form in &forms {
                for locale in locales {
                    tried += 1;
                    if normal(form, locale).as_deref() != Ok(digits) {
                        wrong.push((country, form.clone(), locale.country, normal(form, locale)));
                    }
                }
            }
        }
        assert!(tried > 4_000, "{tried}");
        assert!(wrong.is_empty(), "{} of {tried}: {wrong:#?}", wrong.len());
    }

    /// The result with the library only, for digits without a plus: makes every reading, then chooses one.
    fn slowly(digits: &str, locale: Locale) -> Result<String, Omitted> {
        let code = |country| PHONE_NUMBER_UTIL.get_country_code_for_region(region(country)?);
        let international = parse_international(digits).filter(PhoneNumber::is_valid);
        let countries = [locale.country, locale.default_country];
        let readings = countries.map(|country| parse(digits, Some(region(country?)?)));
        let is_of = |country: Option<Alpha2>, number: &PhoneNumber| {
            country.and_then(code) == Some(number.country_code)
        };
        let mut chosen = None;
        for (country, reading) in countries.into_iter().zip(&readings) {
            let Some(reading) = reading.as_ref().filter(|number| number.is_valid()) else {
                continue;
            };
            let written = PHONE_NUMBER_UTIL
                .normalize_digits_only(reading.format_as(PhoneNumberFormat::National));
            let with_code = international.as_ref().filter(|number| {
                let is_own = is_of(country, number);
                if !is_own && !is_of(locale.default_country, number) {
                    let is_mobile_of_another = number.get_type() == PhoneNumberType::Mobile;
                    return is_mobile_of_another && !is_mobile(reading) && written != digits;
                }
                (is_mobile(number), is_own && written != digits) >= (is_mobile(reading), true)
            });
            chosen = chosen.or(with_code).or(Some(reading));
        }
        let possible = readings.iter().flatten().find(|number| is_possible(number));
        let mut out = String::new();
        write(chosen.or(international.as_ref()).or(possible), &mut out).map(|()| out)
    }

    /// Digits like those of numbers in a country, in several forms, with some digits changed.
    fn digits() -> impl Strategy<Value = (Alpha2, String)> {
        let forms = examples().into_iter().flat_map(|(country, number)| {
            let national = number.format_as(PhoneNumberFormat::National);
            let significant = number.get_national_significant_number();
            let with_code = format!("{}{significant}", number.country_code);
            let with_code_twice = format!("{}{with_code}", number.country_code);
            [
                PHONE_NUMBER_UTIL.normalize_digits_only(&national),
                significant,
                with_code,
                with_code_twice,
            ]
            .map(|form| (country, form))
        });
        let forms: Vec<_> = forms.collect();
        let changes = prop::collection::vec((any::<prop::sample::Index>(), b'0'..=b'9'), 0..8);
        (prop::sample::select(forms), changes, 0..3_usize).prop_map(
            |((country, form), changes, cut)| {
                let mut digits = form.into_bytes();
                for (place, digit) in changes {
                    // The first digits matter most, so that fewer of them are changed.
                    let place = place.index(digits.len()).max(place.index(4));
                    digits[place] = digit;
                }
                digits.truncate(digits.len() - cut);
                (country, String::from_utf8(digits).expect("digits"))
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn national_numbers_are_what_the_library_alone_reads(
            (country, digits) in digits(),
            other in prop::option::of(prop::sample::select(vec!["de", "at", "se", "id", "it", "br", "cu", "us"])),
            is_default in any::<bool>(),
        ) {
            let other = other.and_then(country_of);
            let locale = if is_default { locale(other, Some(country)) } else { locale(Some(country), other) };
            let mut read = digits.clone();
            let read = national(locale, &mut read).map(|()| read);
            prop_assert_eq!(read, slowly(&digits, locale), "{} {:?}", digits, locale);
        }

        #[test]
        fn what_is_plainly_possible_is_what_the_library_reads(
            digits in prop_oneof!["[1-9][0-9]{6,14}", "(1|33|44|49)[1-9][0-9]{6,10}"],
        ) {
            if is_plainly_possible(&digits) {
                let mut read = String::new();
                let number = parse_international(&digits);
                prop_assert_eq!(write(number.as_ref(), &mut read), Ok(()));
                prop_assert_eq!(read, digits);
            }
        }
    }
}
