//! `st`: the two-letter code in the United States and Canada; elsewhere lowercase without punctuation, spaces and digits.
//!
//! Reads a code or a name, with or without the country: `N.Y.`, `Washington DC`, `West Virginia, USA`, `US-CA`, `Québec`; in a known
//! country also `California (CA)`, `Calif.` and `New York, NY`. A name becomes its code only if the address is in that country or has
//! no known country: `Georgia` is also a country, and `La Pampa` is not Louisiana. Invariant: letters only; a part of a name is never
//! enough.

use super::{
    Alpha2, country, entity,
    text::{fold, is_letter_or_digit, plain, trim},
};
use crate::byte_search;
use crate::omitted::Omitted;

pub(super) fn normalize(
    raw: &str,
    country: Option<Alpha2>,
    out: &mut String,
) -> Result<(), Omitted> {
    let text = entity::decoded(raw);
    let state = iso_subdivision(&text, country).unwrap_or_else(|| without_country(&text, country));
    letters(state, out);
    if out.is_empty() {
        return Err(Omitted::NoLetter);
    }
    if out.len() > 2 && matches!(country, None | Some(Alpha2::US | Alpha2::CA)) {
        let code = code_of_letters(out, country).or_else(|| in_parts(state, country));
        if let Some(code) = code {
            out.clear();
            out.push_str(code);
        }
    }
    Ok(())
}

/// Whether a text is a state or a province of a known country, by its code, or of any of both by its name.
pub(super) fn is_state(text: &str, country: Option<Alpha2>) -> bool {
    let mut state = String::new();
    letters(text, &mut state);
    matches!(country, None | Some(Alpha2::US | Alpha2::CA))
        && (code_of_letters(&state, country).is_some() || in_parts(text, country).is_some())
}

/// Writes the lowercase letters of a state into the empty `out`.
fn letters(state: &str, out: &mut String) {
    fold(state, |c| is_letter_or_digit(c) && !c.is_numeric(), out);
}

/// The code of a name in lowercase letters.
fn code_of_letters(letters: &str, country: Option<Alpha2>) -> Option<&'static str> {
    if letters.is_ascii() {
        code_of(letters, country)
    } else {
        code_of(&plain(letters), country)
    }
}

/// The code of the last part that is a state: `California (CA)`, `CA - California`, `New York, NY`, `Calif.` Only if the country is
/// known, because a part can be anything else.
#[cold]
fn in_parts(state: &str, country: Option<Alpha2>) -> Option<&'static str> {
    let known = COUNTRIES.iter().find(|known| Some(known.code) == country)?;
    let mut part_letters = String::new();
    let parts = state.rsplit(|c: char| "(),/|".contains(c));
    for part in parts.flat_map(|part| part.rsplit(" - ")) {
        part_letters.clear();
        letters(part, &mut part_letters);
        let name = plain(&part_letters);
        let mut states = known.states.iter().chain(known.abbreviations);
        if let Some((code, _)) = states.find(|(code, key)| *code == name || *key == name) {
            return Some(code);
        }
    }
    None
}

/// The state without its country behind a comma.
fn without_country(text: &str, country: Option<Alpha2>) -> &str {
    match text.rsplit_once(',') {
        Some((state, named)) if country.is_some() && country::country_of(named) == country => {
            trim(state)
        }
        _ => text,
    }
}

/// A country whose states have codes.
struct Country {
    code: Alpha2,
    /// Code and name of each state. A state can have several names.
    states: &'static [(&'static str, &'static str)],
    /// What newspapers write.
    abbreviations: &'static [(&'static str, &'static str)],
    /// Its own names, as people write them behind a state.
    names: &'static [&'static str],
}

const COUNTRIES: [Country; 2] = [
    Country {
        code: Alpha2::US,
        states: US,
        abbreviations: US_SHORT,
        names: &["unitedstatesofamerica", "unitedstates", "usa", "us"],
    },
    Country {
        code: Alpha2::CA,
        states: CANADA,
        abbreviations: CANADA_SHORT,
        names: &["canada", "ca"],
    },
];

/// The code of a state or province by its name, also with the words that people add to it.
fn code_of(name: &str, country: Option<Alpha2>) -> Option<&'static str> {
    let mut countries = COUNTRIES
        .iter()
        .filter(|known| country.is_none_or(|country| country == known.code));
    countries.find_map(|known| {
        let bare = PREFIXES
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name);
        let named = known.states.iter().find(|(_, key)| *key == bare);
        // `West Virginia, USA` and `CA, USA`.
        let before_country = || {
            known.names.iter().find_map(|end| {
                let rest = bare.strip_suffix(end)?;
                let mut states = known.states.iter();
                states.find(|(code, key)| *key == rest || *code == rest)
            })
        };
        named.or_else(before_country).map(|(code, _)| *code)
    })
}

/// The part after the country in a code of ISO 3166-2: `CA` in `US-CA`, `SP` in `BR-SP` for an address in Brazil.
fn iso_subdivision(raw: &str, country: Option<Alpha2>) -> Option<&str> {
    let (of, code) = byte_search::split_once(raw, b'-')?;
    let fits = |known: Alpha2| {
        of.eq_ignore_ascii_case(known.as_str()) && country.is_none_or(|country| country == known)
    };
    let of_north_america = code.len() == 2 && (fits(Alpha2::US) || fits(Alpha2::CA));
    let is_code =
        || (1..=3).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    (of_north_america || country.is_some_and(fits) && is_code()).then_some(code)
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

#[rustfmt::skip]
const US_SHORT: &[(&str, &str)] = &[
    ("al", "ala"), ("az", "ariz"), ("ar", "ark"), ("ca", "calif"), ("ca", "cal"), ("co", "colo"), ("ct", "conn"), ("de", "del"),
    ("fl", "fla"), ("il", "ill"), ("in", "ind"), ("ks", "kan"), ("ks", "kans"), ("ma", "mass"), ("mi", "mich"), ("mn", "minn"),
    ("ms", "miss"), ("mt", "mont"), ("ne", "neb"), ("ne", "nebr"), ("nv", "nev"), ("nm", "nmex"), ("nd", "ndak"), ("ok", "okla"),
    ("or", "ore"), ("or", "oreg"), ("pa", "penn"), ("sd", "sdak"), ("tn", "tenn"), ("tx", "tex"), ("wa", "wash"), ("wv", "wva"),
    ("wi", "wis"), ("wi", "wisc"), ("wy", "wyo"),
];

#[rustfmt::skip]
const CANADA_SHORT: &[(&str, &str)] = &[
    ("ab", "alta"), ("mb", "man"), ("nl", "nfld"), ("nl", "nfldlab"), ("on", "ont"), ("pe", "pei"), ("qc", "que"), ("sk", "sask"),
];
