//! Times and dates.

use super::number::number;
use crate::json_text;
use crate::omitted::Omitted;
use std::borrow::Cow;

/// A time in milliseconds since the Unix epoch, from ISO 8601 (without an offset: UTC) or a number of seconds or
/// milliseconds.
pub(crate) fn time_ms(raw: &str) -> Result<i64, Omitted> {
    /// Seconds reach this in the year 5138, milliseconds did in 1973.
    const LEAST_MILLIS: f64 = 1e11;
    /// The year 9999, in milliseconds.
    const LATEST: f64 = 253_402_300_799_000.0;
    if let Some(millis) = usual_time_ms(raw) {
        return Ok(millis);
    }
    if let Ok(number) = number(raw) {
        let number: f64 = number.parse().map_err(|_| Omitted::NotATime)?;
        let millis = if number.abs() < LEAST_MILLIS {
            number * 1_000.0
        } else {
            number
        };
        if !(0.0..=LATEST).contains(&millis) {
            return Err(Omitted::NotATime);
        }
        #[expect(clippy::cast_possible_truncation, reason = "in range, as just checked")]
        return Ok(millis as i64);
    }
    let text = json_text::text(raw)?;
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    text.parse::<jiff::civil::DateTime>()
        .ok()
        .and_then(|time| jiff::tz::Offset::UTC.to_timestamp(time).ok())
        .map(jiff::Timestamp::as_millisecond)
        .ok_or(Omitted::NotATime)
}

/// The time in the form that most browsers and servers write, `"YYYY-MM-DDThh:mm:ss.sssZ"` with or without the fraction. Reads
/// it as the general parser does, with less work.
fn usual_time_ms(raw: &str) -> Option<i64> {
    const FORM: &[u8; 20] = b"\"0000-00-00T00:00:00";
    let (time, rest) = raw.as_bytes().split_first_chunk::<20>()?;
    let is_of_form = time.iter().zip(FORM).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    });
    let number = |digits: &[u8]| {
        digits
            .iter()
            .fold(0, |number, digit| number * 10 + i16::from(digit - b'0'))
    };
    let millis = match rest {
        b"Z\"" => 0,
        [b'.', digits @ .., b'Z', b'"']
            if digits.len() == 3 && digits.iter().all(u8::is_ascii_digit) =>
        {
            number(digits)
        }
        _ => return None,
    };
    if !is_of_form {
        return None;
    }
    let two = |at: usize| i8::try_from(number(&time[at..at + 2])).ok();
    let date = jiff::civil::Date::new(number(&time[1..5]), two(6)?, two(9)?).ok()?;
    let time =
        jiff::civil::Time::new(two(12)?, two(15)?, two(18)?, i32::from(millis) * 1_000_000).ok()?;
    let time = jiff::tz::Offset::UTC
        .to_timestamp(date.to_datetime(time))
        .ok()?;
    Some(time.as_millisecond())
}

/// One of `YYYYMMDD`, `YYYY-MM-DD`, `YYYY-MM-DDThh:mmTZD`, `YYYY-MM-DDThh:mm:ssTZD`, as it was written.
pub(crate) fn date(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    let text = json_text::text(raw)?;
    let day = match text.len() {
        8 if text.bytes().all(|b| b.is_ascii_digit()) => {
            return text
                .parse::<jiff::civil::Date>()
                .is_ok()
                .then_some(text)
                .ok_or(Omitted::NotADate);
        }
        10 => text.parse::<jiff::civil::Date>().is_ok(),
        _ => text.contains('T') && text.parse::<jiff::Timestamp>().is_ok(),
    };
    if day {
        Ok(text)
    } else {
        Err(Omitted::NotADate)
    }
}

/// A day as `YYYY-MM-DD`.
pub(crate) fn day(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match date(raw) {
        Ok(day) if day.len() == 10 => Ok(day),
        _ => Err(Omitted::NotADay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_usual_form_of_a_time_is_read_as_any_form_is(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,4})?[Zz+]?",
        ) {
            let expected = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
            let usual = usual_time_ms(&format!("\"{text}\""));
            prop_assert!(usual.is_none() || usual == expected, "{}: {:?} {:?}", text, usual, expected);
        }
    }

    #[test]
    fn the_usual_form_of_a_time_is_known() {
        assert_eq!(
            usual_time_ms(r#""2026-01-15T12:00:00Z""#),
            Some(1_768_478_400_000)
        );
        assert_eq!(
            usual_time_ms(r#""2026-01-15T12:00:00.007Z""#),
            Some(1_768_478_400_007)
        );
        for other in [
            r#""2026-02-30T12:00:00Z""#,
            r#""2026-01-15T12:00:60Z""#,
            r#""2026-01-15T12:00:00""#,
            r#""2026"#,
            "",
        ] {
            assert_eq!(usual_time_ms(other), None, "{other}");
        }
    }

    #[test]
    fn a_time_is_iso_8601_or_a_unix_time() {
        let noon = 1_768_478_400_000;
        for raw in [
            r#""2026-01-15T12:00:00Z""#,
            r#""2026-01-15T12:00:00.000Z""#,
            r#""2026-01-15T14:00:00+02:00""#,
            r#""2026-01-15T12:00:00""#,
            r#""2026-01-15 12:00:00""#,
            "1768478400",
            "1768478400000",
            "1768478400.0",
            r#""1768478400""#,
        ] {
            assert_eq!(time_ms(raw), Ok(noon), "{raw}");
        }
        for raw in [
            r#""yesterday""#,
            "-1",
            "1e300",
            "true",
            r#""""#,
            r#""15.01.2026""#,
        ] {
            assert_eq!(time_ms(raw).map_err(|_| ()), Err(()), "{raw}");
        }
    }

    #[test]
    fn a_date_is_one_of_four_forms() {
        for good in [
            "20260115",
            "2026-01-15",
            "2026-01-15T12:00Z",
            "2026-01-15T12:00:00+01:00",
        ] {
            assert_eq!(date(&format!("\"{good}\"")).as_deref(), Ok(good));
        }
        for bad in [
            "15.01.2026",
            "2026-13-01",
            "20261301",
            "2026-01-15T12:00",
            "soon",
        ] {
            assert_eq!(date(&format!("\"{bad}\"")), Err(Omitted::NotADate), "{bad}");
        }
    }

    #[test]
    fn a_day_has_one_form() {
        assert_eq!(day(r#""2026-02-28""#).as_deref(), Ok("2026-02-28"));
        for raw in [r#""20260228""#, r#""2026-02-30""#, r#""2026-02-28T10:00Z""#] {
            assert_eq!(day(raw), Err(Omitted::NotADay), "{raw}");
        }
    }
}
