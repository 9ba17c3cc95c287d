//! `zp`: lowercase, no spaces, no dashes; five digits when the country is the United States.
//!
//! Reads a postcode of any country, also with full-width digits. If no country is known, `12345-6789` is read as one of the United
//! States and cut to five digits too. Invariant: the result has no white space and no dash.

use super::{
    Alpha2, Locale,
    text::{fold_compatible, is_invisible, is_space},
};
use crate::omitted::Omitted;

const US_ZIP_LEN: usize = 5;

pub(super) fn normalize(raw: &str, locale: Locale, out: &mut String) -> Result<(), Omitted> {
    let known = locale.known();
    let us_shape = (known.is_none() || known == Some(Alpha2::US)) && is_zip_plus_four(raw);
    fold_compatible(
        raw,
        |c| !is_space(c) && !is_invisible(c) && !is_dash(c),
        out,
    );
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
