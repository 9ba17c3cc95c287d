//! `db`: `YYYYMMDD`.
//!
//! Reads dates as people and machines write them: ISO (with or without a time), `2/16/1997`, `16.2.1997`, `Feb 16, 1997`, `19970216`,
//! Unix time in seconds or milliseconds. Returns the day as written, without converting time zones. Invariant: the day is in the
//! calendar, from 1900 to this year, and is not a guess: if it could be day-first and month-first, and neither its dots nor the country
//! of the address decide, it is omitted.

use std::fmt::Write as _;

use jiff::{Timestamp, civil::Date, tz::Offset};

use super::{Alpha2, Locale, text};
use crate::omitted::Omitted;

const FIRST_YEAR: i16 = 1900;
/// More letters than any month or weekday has.
const MAX_WORD_BYTES: usize = 12;
/// Day, month and year; anything after them is a time.
const PARTS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    /// A number and how many digits it has.
    Number(i16, usize),
    Month(i8),
}

/// What the day and the month of a date could be told from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    DayFirst,
    MonthFirst,
    Unknown,
}

impl Order {
    /// As people write dates in a country. Canada, China and others have more than one way.
    fn in_country(country: Option<Alpha2>) -> Self {
        let is_in = |codes: &str| country.is_some_and(|country| country.is_in(codes));
        if is_in(MONTH_FIRST) {
            Self::MonthFirst
        } else if is_in(DAY_FIRST) {
            Self::DayFirst
        } else {
            Self::Unknown
        }
    }
}

/// The United States and their territories, but for Puerto Rico.
const MONTH_FIRST: &str = "us as gu mp um vi";
const DAY_FIRST: &str = "ad ae al ar at au ba be bg bo br by ch cl co cr cy cz de dk do dz ec ee eg es fi fr gb gr gt hn hr id ie il in it jo \
                         kw lb lk lu ly ma mc md me mk mt mx my ng ni nl no nz om pe pk pl pt py qa ro rs ru sa sg si sk sm sv th tn tr ua \
                         uy ve vn ye";

pub(super) fn normalize(raw: &str, locale: Locale, out: &mut String) -> Result<(), Omitted> {
    let (this_year, country) = (locale.year, locale.country);
    let whole = text::without_decimals(raw)?;
    let raw = &*whole;
    let years = FIRST_YEAR..=this_year;
    let in_range = |date: &Date| years.contains(&date.year());
    if iso_day(raw).is_some_and(|date| in_range(&date)) {
        out.extend([&raw[..4], &raw[5..7], &raw[8..]]);
        return Ok(());
    }
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let raw = match raw.split_once('T') {
        Some((day, _)) if is_digits(day) => day,
        _ => raw,
    };
    let compact = raw.strip_prefix('-').unwrap_or(raw);
    let date = if is_digits(compact) {
        match compact.len() {
            8 => eight_digits(compact, Order::in_country(country), in_range)?,
            9..=13 => epoch(raw, in_range).ok_or(Omitted::ImpossibleDate)?,
            0 => return Err(Omitted::NotABirthDate),
            _ => return Err(Omitted::IncompleteDate),
        }
    } else {
        // No country writes the month first with dots.
        let day = raw.trim_start_matches(|c: char| c.is_ascii_digit() || c.is_ascii_whitespace());
        let order = if day.starts_with('.') {
            Order::DayFirst
        } else {
            Order::in_country(country)
        };
        from_parts(&read(raw)?, order, in_range)?
    };
    if !in_range(&date) {
        return Err(Omitted::ImpossibleDate);
    }
    write!(
        out,
        "{:04}{:02}{:02}",
        date.year(),
        date.month(),
        date.day()
    )
    .map_err(|_| Omitted::ImpossibleDate)
}

/// `YYYY-MM-DD` only, the form of most dates of birth.
fn iso_day(raw: &str) -> Option<Date> {
    let [y, yy, yyy, yyyy, b'-', m, mm, b'-', d, dd] = raw.as_bytes() else {
        return None;
    };
    let number = |digits: &[&u8]| {
        digits.iter().try_fold(0, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + i16::from(**digit - b'0'))
        })
    };
    date(
        number(&[y, yy, yyy, yyyy])?,
        number(&[m, mm])?,
        number(&[d, dd])?,
    )
}

/// `YYYYMMDD`, else the only reading with the year at the end that is a date.
fn eight_digits(
    digits: &str,
    order: Order,
    in_range: impl Fn(&Date) -> bool,
) -> Result<Date, Omitted> {
    let number = |range: std::ops::Range<usize>| digits[range].parse().unwrap_or(0);
    if let Some(date) = date(number(0..4), number(4..6), number(6..8)).filter(&in_range) {
        return Ok(date);
    }
    year_last(number(0..2), number(2..4), number(4..8), order, in_range)
}

/// Unix time: up to ten digits are seconds, unless these are of no birth date; more are milliseconds.
fn epoch(digits: &str, in_range: impl Fn(&Date) -> bool) -> Option<Date> {
    let time: i64 = digits.parse().ok()?;
    let day =
        |time: Result<Timestamp, jiff::Error>| Some(Offset::UTC.to_datetime(time.ok()?).date());
    let seconds = Some(time).filter(|_| digits.trim_start_matches('-').len() <= 10);
    seconds
        .and_then(|time| day(Timestamp::from_second(time)))
        .filter(in_range)
        .or_else(|| day(Timestamp::from_millisecond(time)))
}

/// The first three numbers and month names.
fn read(raw: &str) -> Result<[Part; PARTS], Omitted> {
    let mut parts = [Part::Number(0, 0); PARTS];
    let mut count = 0;
    let mut chars = raw.chars().peekable();
    while count < PARTS {
        let Some(c) = chars.next() else {
            return Err(if count == 0 {
                Omitted::NotABirthDate
            } else {
                Omitted::IncompleteDate
            });
        };
        if let Some(digit) = text::digit(c) {
            let (mut value, mut len) = (i16::from(digit), 1);
            while let Some(digit) = chars.peek().copied().and_then(text::digit) {
                value = value.saturating_mul(10).saturating_add(i16::from(digit));
                len += 1;
                chars.next();
            }
            parts[count] = Part::Number(value, len);
            count += 1;
        } else if c.is_alphabetic() {
            let mut word = String::from(c.to_ascii_lowercase());
            while let Some(c) = chars.next_if(|c| c.is_alphabetic()) {
                if word.len() >= MAX_WORD_BYTES {
                    return Err(Omitted::NotABirthDate);
                }
                word.push(c.to_ascii_lowercase());
            }
            if let Some(month) = month(&word) {
                parts[count] = Part::Month(month);
                count += 1;
            } else if !is_filler(&word) {
                return Err(Omitted::NotABirthDate);
            }
        }
    }
    Ok(parts)
}

fn from_parts(
    parts: &[Part; PARTS],
    order: Order,
    in_range: impl Fn(&Date) -> bool,
) -> Result<Date, Omitted> {
    use Part::{Month, Number};
    let date = match *parts {
        [Number(y, 4), Number(a, 1..=2), Number(b, 1..=2)] => {
            date(y, a, b).or_else(|| date(y, b, a))
        }
        [Number(a, 1..=2), Number(b, 1..=2), Number(y, 4)] => {
            return year_last(a, b, y, order, in_range);
        }
        [Number(d, 1..=2), Month(m), Number(y, 4)]
        | [Month(m), Number(d, 1..=2), Number(y, 4)]
        | [Number(y, 4), Month(m), Number(d, 1..=2)] => date(y, m.into(), d),
        [
            Number(_, 1..=2) | Month(_),
            Number(_, 1..=2) | Month(_),
            Number(_, 1..=2),
        ] => {
            return Err(Omitted::IncompleteDate);
        }
        _ => return Err(Omitted::NotABirthDate),
    };
    date.ok_or(Omitted::ImpossibleDate)
}

/// Month-first or day-first, whichever the calendar allows, else as the order says.
fn year_last(
    a: i16,
    b: i16,
    year: i16,
    order: Order,
    in_range: impl Fn(&Date) -> bool,
) -> Result<Date, Omitted> {
    let month_first = date(year, a, b).filter(&in_range);
    let day_first = date(year, b, a).filter(&in_range);
    match (month_first, day_first) {
        (Some(one), Some(other)) if one != other => match order {
            Order::MonthFirst => Ok(one),
            Order::DayFirst => Ok(other),
            Order::Unknown => Err(Omitted::AmbiguousDate),
        },
        (one, other) => one.or(other).ok_or(Omitted::ImpossibleDate),
    }
}

fn date(year: i16, month: i16, day: i16) -> Option<Date> {
    Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()
}

/// English months, in full or cut to three letters.
fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    (1..).zip(MONTHS).find_map(|(number, name)| {
        (word == name || word == &name[..3] || (word == "sept" && number == 9)).then_some(number)
    })
}

/// Words around a date that do not change it.
fn is_filler(word: &str) -> bool {
    const WEEKDAYS: [&str; 7] = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    matches!(
        word,
        "st" | "nd"
            | "rd"
            | "th"
            | "of"
            | "tues"
            | "thur"
            | "thurs"
            | "年"
            | "月"
            | "日"
            | "년"
            | "월"
            | "일"
    ) || WEEKDAYS.iter().any(|day| word == *day || word == &day[..3])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_iso_day_is_what_reading_it_part_by_part_makes_of_it(raw in "[0-9]{4}-[0-3][0-9]-[0-3][0-9]") {
            let by_parts = from_parts(&read(&raw).unwrap(), Order::Unknown, |_| true);
            if let Some(date) = iso_day(&raw) {
                prop_assert_eq!(by_parts, Ok(date));
                let mut out = String::new();
                if normalize(&raw, Locale { country: None, default_country: None, year: 2026 }, &mut out).is_ok() {
                    prop_assert_eq!(out, raw.replace('-', ""));
                }
            }
        }
    }
}
