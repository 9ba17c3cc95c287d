//! `country`: the two-letter code of ISO 3166-1, lowercase, from a two- or three-letter code or a name.
//!
//! Reads the country of an address: `US`, `usa`, `U.K.`, `Côte d'Ivoire`, `Korea, Republic of`, `Deutschland`. Returns an [`Alpha2`].
//! Names come from the ISO list; [`ALIASES`] adds names in daily use and the larger countries' own names, `schema/country_names.json` names
//! in other languages. Invariant: an `Alpha2` made here is assigned by ISO. A part of a name is never enough, so that `Nigeria` does not become Niger.

use std::{collections::HashMap, fmt, sync::LazyLock};

use super::{MAX_VALUE_BYTES, text};
use crate::omitted::Omitted;
use serde::Deserialize;

/// A country: two lowercase letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Alpha2([u8; 2]);

impl Alpha2 {
    pub(crate) const US: Self = Self(*b"us");
    pub(crate) const CA: Self = Self(*b"ca");
    pub(super) const BR: Self = Self(*b"br");
    pub(super) const NL: Self = Self(*b"nl");
    const GB: Self = Self(*b"gb");

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two ASCII letters")
    }

    /// Whether it is one of some codes with a space between each two.
    pub(super) fn is_in(self, codes: &str) -> bool {
        let mut codes = codes.as_bytes().chunks(self.0.len() + " ".len());
        codes.any(|code| code.starts_with(&self.0))
    }

    fn from_code(code: &str) -> Option<Self> {
        let [a, b] = *code.as_bytes() else {
            return None;
        };
        let code = [a.to_ascii_lowercase(), b.to_ascii_lowercase()];
        if code == *b"uk" {
            return Some(Self::GB);
        }
        let [first, second] = code.map(|letter| letter.wrapping_sub(b'a'));
        let of_first = ASSIGNED.get(usize::from(first))?;
        (second < LETTERS && of_first >> second & 1 == 1).then_some(Self(code))
    }
}

/// Letters of a code.
const LETTERS: u8 = 26;

/// The codes that ISO has assigned: by first letter, a bit for each second letter.
static ASSIGNED: LazyLock<[u32; LETTERS as usize]> = LazyLock::new(|| {
    let mut assigned = [0; LETTERS as usize];
    for code in rust_iso3166::ALL_ALPHA2 {
        if let [first, second] = code.as_bytes() {
            assigned[usize::from(first - b'A')] |= 1 << (second - b'A');
        }
    }
    assigned
});

impl fmt::Debug for Alpha2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The country that an address names.
pub(crate) fn country_of(raw: &str) -> Option<Alpha2> {
    if raw.len() > MAX_VALUE_BYTES {
        return None;
    }
    let raw = text::trim(raw);
    if raw.len() == 2 {
        return Alpha2::from_code(raw);
    }
    let key = key(raw);
    match key.len() {
        0 => None,
        2 => Alpha2::from_code(&key),
        _ => NAMES.get(&key).copied(),
    }
}

pub(super) fn normalize(raw: &str, out: &mut String) -> Result<(), Omitted> {
    let country = country_of(raw).ok_or(Omitted::UnknownCountry)?;
    out.push_str(country.as_str());
    Ok(())
}

/// A name without case, accents, punctuation and the small words on which spellings differ.
fn key(name: &str) -> String {
    text::plain(name)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !matches!(*word, "the" | "and" | "of"))
        .map(|word| if word == "st" { "saint" } else { word })
        .collect()
}

/// Names and three-letter codes by their key. If two countries share a short name, [`ALIASES`] decides.
static NAMES: LazyLock<HashMap<String, Alpha2>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for (code, aliases) in ALIASES {
        for alias in aliases.split(", ") {
            names.insert(key(alias), Alpha2(**code));
        }
    }
    for ((code, name), alpha3) in rust_iso3166::ALL_ALPHA2
        .iter()
        .zip(rust_iso3166::ALL_NAME)
        .zip(rust_iso3166::ALL_ALPHA3)
    {
        let Some(country) = Alpha2::from_code(code) else {
            continue;
        };
        let short = name.split(['(', ',']).next().unwrap_or(name);
        for name in [name, short, alpha3] {
            names.entry(key(name)).or_insert(country);
        }
    }
    for (code, translated) in translations() {
        if let Some(country) = Alpha2::from_code(&code) {
            for name in translated {
                names.entry(key(&name)).or_insert(country);
            }
        }
    }
    names
});

/// Names in other languages, by code.
#[expect(
    clippy::expect_used,
    reason = "a shipped file, which a test reads as well"
)]
fn translations() -> HashMap<String, Vec<String>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[expect(dead_code, reason = "for the reader of the file")]
        about: String,
        names: HashMap<String, Vec<String>>,
    }
    let file: File = serde_json::from_str(include_str!("../../schema/country_names.json"))
        .expect("schema/country_names.json is good");
    file.names
}

#[rustfmt::skip]
const ALIASES: &[(&[u8; 2], &str)] = &[
    (b"ae", "UAE, Emirates, الإمارات العربية المتحدة, الإمارات"),
    (b"af", "افغانستان"),
    (b"ag", "Antigua"),
    (b"ar", "República Argentina"),
    (b"at", "Österreich"),
    (b"ba", "Bosnia, Bosna i Hercegovina"),
    (b"bd", "বাংলাদেশ"),
    (b"be", "België, Belgique, Belgien"),
    (b"bg", "България"),
    (b"bn", "Brunei"),
    (b"bo", "Bolivia"),
    (b"bq", "Bonaire, Caribbean Netherlands"),
    (b"br", "Brasil"),
    (b"by", "Беларусь"),
    (b"cc", "Cocos Islands, Keeling Islands"),
    (b"cd", "DR Congo, DRC, Congo Kinshasa, Democratic Republic of the Congo, Congo Democratic Republic, Congo (DRC)"),
    (b"cg", "Congo, Republic of the Congo, Congo Brazzaville, Congo (Republic)"),
    (b"ch", "Schweiz, Suisse, Svizzera, Svizra"),
    (b"ci", "Ivory Coast"),
    (b"cm", "Cameroun"),
    (b"cn", "People's Republic of China, PRC, Mainland China, 中国, 中國, 中华人民共和国"),
    (b"cv", "Cape Verde"),
    (b"cy", "Κύπρος"),
    (b"cz", "Czech Republic, Česko, Česká republika"),
    (b"de", "Deutschland, Federal Republic of Germany, Allemagne, Alemania, Duitsland"),
    (b"dk", "Danmark"),
    (b"dz", "Algérie, الجزائر"),
    (b"ee", "Eesti"),
    (b"eg", "مصر"),
    (b"es", "España, Espana, Espagne, Spanien"),
    (b"et", "ኢትዮጵያ"),
    (b"fi", "Suomi"),
    (b"fk", "Falkland Islands, Malvinas, Falkland Islands (Islas Malvinas)"),
    (b"fm", "Micronesia"),
    (b"gb", "Great Britain, Britain, United Kingdom, England, Scotland, Wales, Northern Ireland, Cymru, GB UK, United Kingdom of Great Britain"),
    (b"gr", "Ελλάδα, Ελλάς, Hellas"),
    (b"hk", "Hong Kong SAR, Hong Kong SAR China, 香港"),
    (b"hm", "Heard and McDonald Islands"),
    (b"hr", "Hrvatska"),
    (b"hu", "Magyarország"),
    (b"ie", "Éire, Eire, Republic of Ireland"),
    (b"il", "ישראל"),
    (b"in", "Bharat, भारत, Republic of India"),
    (b"iq", "العراق"),
    (b"ir", "Iran, ایران, Islamic Republic of Iran"),
    (b"is", "Ísland"),
    (b"it", "Italia, Italien, Italie"),
    (b"jo", "الأردن"),
    (b"jp", "日本, 日本国, Nippon, Nihon"),
    (b"kn", "Saint Kitts"),
    (b"kp", "North Korea, DPRK, Korea Democratic People's Republic of, Democratic People's Republic of Korea"),
    (b"kr", "Korea, South Korea, Republic of Korea, Korea (South), 대한민국, 한국"),
    (b"kz", "Қазақстан, Казахстан"),
    (b"la", "Laos"),
    (b"lt", "Lietuva"),
    (b"lv", "Latvija"),
    (b"ma", "Maroc, المغرب"),
    (b"md", "Moldova, Republic of Moldova"),
    (b"mf", "Saint Martin"),
    (b"mk", "Macedonia, The former Yugoslav Republic of Macedonia, Северна Македонија"),
    (b"mm", "Burma, Myanmar (Burma), မြန်မာ"),
    (b"mo", "Macau, Macao SAR, Macao SAR China, 澳門"),
    (b"mx", "México, Mejico, Estados Unidos Mexicanos"),
    (b"mz", "Moçambique"),
    (b"nl", "Netherlands, Holland, The Netherlands, Nederland, Niederlande, Pays-Bas"),
    (b"no", "Norge, Noreg"),
    (b"np", "नेपाल"),
    (b"nz", "Aotearoa"),
    (b"pe", "Perú"),
    (b"ph", "Pilipinas"),
    (b"pk", "پاکستان"),
    (b"pl", "Polska"),
    (b"pn", "Pitcairn Islands"),
    (b"ps", "Palestine, Palestinian Territories, فلسطين"),
    (b"ro", "România"),
    (b"rs", "Србија, Srbija"),
    (b"ru", "Russia, Россия, Российская Федерация, Rossiya"),
    (b"sa", "KSA, السعودية, المملكة العربية السعودية, Kingdom of Saudi Arabia"),
    (b"sd", "السودان"),
    (b"se", "Sverige"),
    (b"sg", "新加坡"),
    (b"sh", "Saint Helena"),
    (b"si", "Slovenija"),
    (b"sj", "Svalbard"),
    (b"sk", "Slovensko, Slovak Republic"),
    (b"st", "São Tomé"),
    (b"sx", "Sint Maarten"),
    (b"sy", "Syria"),
    (b"sz", "Swaziland"),
    (b"th", "ประเทศไทย, ไทย"),
    (b"tl", "East Timor"),
    (b"tn", "Tunisie, تونس"),
    (b"tr", "Turkey, Türkiye"),
    (b"tt", "Trinidad"),
    (b"tw", "Taiwan, 台灣, 臺灣, 台湾"),
    (b"tz", "Tanzania, United Republic of Tanzania"),
    (b"ua", "Україна, Ukraina"),
    (b"us", "United States, USA, America, Estados Unidos, États-Unis, Vereinigte Staaten, United States of America (USA)"),
    (b"um", "U.S. Outlying Islands"),
    (b"uz", "Oʻzbekiston, O'zbekiston, Ўзбекистон"),
    (b"va", "Vatican, Vatican City"),
    (b"vc", "Saint Vincent"),
    (b"ve", "Venezuela"),
    (b"vg", "British Virgin Islands"),
    (b"vi", "US Virgin Islands, U.S. Virgin Islands, United States Virgin Islands"),
    (b"vn", "Vietnam, Việt Nam"),
    (b"ye", "اليمن"),
    (b"za", "Suid-Afrika, RSA"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_another_language_is_of_one_country() {
        let translations = translations();
        assert!(translations.len() > 240);
        for (code, names) in translations {
            let country = Alpha2::from_code(&code).expect("a code of ISO");
            assert_eq!(country.as_str(), code);
            for name in names {
                assert_eq!(country_of(&name), Some(country), "{name}");
            }
        }
    }
}
