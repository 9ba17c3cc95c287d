//! `st`: the two-letter code in the United States and Canada; elsewhere lowercase without punctuation, spaces and digits.
//!
//! Reads a code or a name, with or without the country: `N.Y.`, `Washington DC`, `West Virginia, USA`, `US-CA`, `Québec`. A name
//! becomes its code only if the address is in that country or has no known country: `Georgia` is also a country, and `La Pampa` is not
//! Louisiana. Invariant: letters only; a part of a name is never enough.

use super::{
    Alpha2,
    text::{fold, is_letter_or_digit, plain},
};
use crate::byte_search;
use crate::omitted::Omitted;

pub(super) fn normalize(
    raw: &str,
    country: Option<Alpha2>,
    out: &mut String,
) -> Result<(), Omitted> {
    let raw = iso_subdivision(raw, country).unwrap_or(raw);
    fold(raw, |c| is_letter_or_digit(c) && !c.is_numeric(), out);
    if out.is_empty() {
        return Err(Omitted::NoLetter);
    }
    if out.len() > 2 && matches!(country, None | Some(Alpha2::US | Alpha2::CA)) {
        let code = if out.is_ascii() {
            code_of(out, country)
        } else {
            code_of(&plain(out), country)
        };
        if let Some(code) = code {
            out.clear();
            out.push_str(code);
        }
    }
    Ok(())
}

/// The code of a state or province by its name, also with the words that people add to it.
fn code_of(name: &str, country: Option<Alpha2>) -> Option<&'static str> {
    [
        (
            Alpha2::US,
            US,
            ["unitedstatesofamerica", "unitedstates", "usa", "us"].as_slice(),
        ),
        (Alpha2::CA, CANADA, ["canada", "ca"].as_slice()),
    ]
    .into_iter()
    .filter(|(of, ..)| country.is_none_or(|country| country == *of))
    .find_map(|(_, table, names_of_country)| {
        let bare = PREFIXES
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name);
        let named = table.iter().find(|(_, key)| *key == bare);
        // `West Virginia, USA` and `CA, USA`.
        let before_country = || {
            names_of_country.iter().find_map(|end| {
                let rest = bare.strip_suffix(end)?;
                table
                    .iter()
                    .find(|(code, key)| *key == rest || *code == rest)
            })
        };
        named.or_else(before_country).map(|(code, _)| *code)
    })
}

/// The part after the country in a code of ISO 3166-2: `CA` in `US-CA`.
fn iso_subdivision(raw: &str, country: Option<Alpha2>) -> Option<&str> {
    let (of, code) = byte_search::split_once(raw, b'-')?;
    let fits = |known: Alpha2| {
        of.eq_ignore_ascii_case(known.as_str()) && country.is_none_or(|country| country == known)
    };
    (code.len() == 2 && (fits(Alpha2::US) || fits(Alpha2::CA))).then_some(code)
}

/// Words before a state's name.
const PREFIXES: [&str; 5] = [
    "thestateof",
    "stateof",
    "thecommonwealthof",
    "commonwealthof",
    "provinceof",
];

#[rustfmt::skip]
const US: &[(&str, &str)] = &[
    ("al", "alabama"), ("ak", "alaska"), ("az", "arizona"), ("ar", "arkansas"), ("ca", "california"), ("co", "colorado"),
    ("ct", "connecticut"), ("de", "delaware"), ("fl", "florida"), ("ga", "georgia"), ("hi", "hawaii"), ("id", "idaho"),
    ("il", "illinois"), ("in", "indiana"), ("ia", "iowa"), ("ks", "kansas"), ("ky", "kentucky"), ("la", "louisiana"),
    ("me", "maine"), ("md", "maryland"), ("ma", "massachusetts"), ("mi", "michigan"), ("mn", "minnesota"), ("ms", "mississippi"),
    ("mo", "missouri"), ("mt", "montana"), ("ne", "nebraska"), ("nv", "nevada"), ("nh", "newhampshire"), ("nj", "newjersey"),
    ("nm", "newmexico"), ("ny", "newyork"), ("ny", "newyorkstate"), ("nc", "northcarolina"), ("nd", "northdakota"), ("oh", "ohio"),
    ("ok", "oklahoma"), ("or", "oregon"), ("pa", "pennsylvania"), ("ri", "rhodeisland"), ("sc", "southcarolina"), ("sd", "southdakota"),
    ("tn", "tennessee"), ("tx", "texas"), ("ut", "utah"), ("vt", "vermont"), ("va", "virginia"), ("wa", "washington"),
    ("wa", "washingtonstate"), ("wv", "westvirginia"), ("wi", "wisconsin"), ("wy", "wyoming"),
    ("dc", "districtofcolumbia"), ("dc", "washingtondc"), ("dc", "washingtondistrictofcolumbia"),
    ("as", "americansamoa"), ("gu", "guam"), ("mp", "northernmarianaislands"), ("pr", "puertorico"), ("um", "minoroutlyingislands"),
    ("vi", "virginislands"), ("vi", "usvirginislands"), ("vi", "unitedstatesvirginislands"),
];

#[rustfmt::skip]
const CANADA: &[(&str, &str)] = &[
    ("ab", "alberta"), ("bc", "britishcolumbia"), ("bc", "colombiebritannique"), ("mb", "manitoba"), ("nb", "newbrunswick"),
    ("nb", "nouveaubrunswick"), ("nl", "newfoundlandandlabrador"), ("nl", "newfoundlandlabrador"), ("nl", "newfoundland"),
    ("nl", "labrador"), ("nl", "terreneuveetlabrador"), ("nl", "terreneuve"), ("ns", "novascotia"), ("ns", "nouvelleecosse"),
    ("nt", "northwestterritories"), ("nt", "territoiresdunordouest"), ("nu", "nunavut"), ("on", "ontario"),
    ("pe", "princeedwardisland"), ("pe", "ileduprinceedouard"), ("qc", "quebec"), ("sk", "saskatchewan"), ("yt", "yukon"),
    ("yt", "yukonterritory"), ("yt", "territoireduyukon"),
];
