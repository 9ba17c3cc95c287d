//! `zp`: lowercase, no spaces, no dashes; five digits when the country is the United States.
//!
//! Reads a postcode of any country, also with full-width digits, and as spreadsheets leave it: `2139`, `75018.0`, `'08001`. If no country
//! is known, `12345-6789` is read as one of the United States and cut to five digits too. Invariant: the result has no white space and
//! no dash.

use super::{
    Alpha2, Locale,
    text::{fold_compatible, is_invisible, is_space, trim, without_decimals},
};
use crate::byte_search;
use crate::omitted::Omitted;

const US_ZIP_LEN: usize = 5;

pub(super) fn normalize(raw: &str, locale: Locale, out: &mut String) -> Result<(), Omitted> {
    let known = locale.known();
    let whole = without_decimals(without_column(raw))?;
    let raw = locale
        .country
        .map_or(&*whole, |country| without_country(&whole, country));
    let us_shape = (known.is_none() || known == Some(Alpha2::US)) && is_zip_plus_four(raw);
    fold_compatible(
        raw,
        |c| {
            c.is_ascii_alphanumeric()
                || !is_space(c) && !is_invisible(c) && !is_dash(c) && !is_mark(c)
        },
        out,
    );
    if locale.country == Some(Alpha2::BR) {
        // As in `70.040-010`.
        out.retain(|c| c != '.');
    }
    if let Some(country) = locale.country {
        restore_zeros(country, out);
    }
    let digits = out.bytes().take_while(u8::is_ascii_digit).count();
    if locale.country == Some(Alpha2::US) && digits < US_ZIP_LEN {
        return Err(Omitted::NotAUsZip);
    }
    if us_shape || known == Some(Alpha2::US) && digits >= US_ZIP_LEN {
        out.truncate(US_ZIP_LEN);
    }
    Ok(())
}

fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{2010}'
            ..='\u{2015}' | '\u{2212}' | '\u{30fc}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// The sign of the Japanese post, and what spreadsheets put in front of digits that are text.
fn is_mark(c: char) -> bool {
    matches!(c, '〒' | '\'' | '’' | '"')
}

/// The postcode without the letter that tables of Meta's lead forms put in front of it: `z:94035`.
fn without_column(raw: &str) -> &str {
    raw.strip_prefix("z:").map_or(raw, trim)
}

/// The postcode without the country in front of its digits: `D-80331`.
fn without_country(raw: &str, country: Alpha2) -> &str {
    let Some((letters, code)) = byte_search::split_once(raw, b'-') else {
        return raw;
    };
    let is_prefix = |prefix: &&str| letters.eq_ignore_ascii_case(prefix);
    let country = country.as_str();
    let of_country = PREFIXES.iter().find(|(of, _)| *of == country);
    let prefixes = of_country.map_or("", |(_, prefixes)| prefixes);
    let is_code = code.starts_with(|c: char| c.is_ascii_digit());
    if is_code && prefixes.split(' ').any(|prefix| is_prefix(&prefix)) && !letters.is_empty() {
        return code;
    }
    raw
}

/// What people put in front of postcodes, by country. In Latvia, Lithuania, Luxembourg and Moldova it is a part of the code.
#[rustfmt::skip]
const PREFIXES: &[(&str, &str)] = &[
    ("at", "a at"), ("be", "b be"), ("bg", "bg"), ("ch", "ch"), ("cz", "cz"), ("de", "d de"), ("dk", "dk"), ("es", "e es"),
    ("fi", "fi fin"), ("fr", "f fr"), ("gr", "gr"), ("hr", "hr"), ("hu", "h hu"), ("it", "i it"), ("nl", "nl"), ("no", "n no"),
    ("pl", "pl"), ("pt", "p pt"), ("ro", "ro"), ("se", "s se"), ("si", "si"), ("sk", "sk"),
];

/// Puts back the zeros that a number cannot begin with, where every code of the country has the same length.
fn restore_zeros(country: Alpha2, code: &mut String) {
    let country = country.as_str();
    let Some((_, length, shortest)) = LENGTHS.iter().find(|(of, ..)| *of == country) else {
        return;
    };
    let is_short = (*shortest..*length).contains(&code.len());
    if is_short && code.bytes().all(|b| b.is_ascii_digit()) && !code.starts_with('0') {
        code.insert_str(0, &"0000"[..length - code.len()]);
    }
}

/// Countries whose codes can begin with zeros: the length of a code, and of the shortest one without its zeros.
#[rustfmt::skip]
const LENGTHS: &[(&str, usize, usize)] = &[
    ("au", 4, 3), ("br", 8, 7), ("co", 6, 5), ("de", 5, 4), ("es", 5, 4), ("fi", 5, 3), ("fr", 5, 4), ("it", 5, 2), ("jp", 7, 5),
    ("ke", 5, 3), ("kr", 5, 4), ("lt", 5, 4), ("mx", 5, 4), ("my", 5, 4), ("no", 4, 3), ("nz", 4, 3), ("pl", 5, 3), ("pr", 5, 3),
    ("ro", 6, 5), ("sg", 6, 5), ("sk", 5, 4), ("tr", 5, 4), ("ua", 5, 4), ("us", 5, 3), ("za", 4, 2),
];

/// `12345-6789`, and anything after another dash.
fn is_zip_plus_four(raw: &str) -> bool {
    let mut parts = raw.split('-');
    let mut is_digits = |len| {
        parts
            .next()
            .is_some_and(|part| part.len() == len && part.bytes().all(|b| b.is_ascii_digit()))
    };
    is_digits(US_ZIP_LEN) && is_digits(4)
}
