//! Values with a shape of their own: hashes, browser ids, addresses, ids, currencies, dates. One JSON value in, whether it
//! has that shape out.

use crate::json::Json;
use std::net::IpAddr;

/// SHA-256 of no bytes at all. Never right: it would match every person whose value is missing.
const HASH_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The two-letter appendices of Meta's first parameter builders, one per language.
const SHORT_APPENDICES: [&str; 6] = ["AQ", "Ag", "Aw", "BA", "BQ", "Bg"];
/// Characters of the appendix that today's parameter builders write.
const APPENDIX_CHARACTERS: usize = 8;
/// Digits of a time in Unix milliseconds, from 2001 to 2286.
const MILLISECOND_DIGITS: usize = 13;

/// The codes of ISO 4217.
const CURRENCIES: &str = "\
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD \
    CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP \
    GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW \
    KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD \
    NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE \
    SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED \
    VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW \
    ZWG ZWL";

/// SHA-256 as 64 lowercase hex digits, with or without a parameter builder's appendix.
pub(super) fn is_hash(value: &Json) -> bool {
    value.text().is_some_and(|text| {
        let hash = match text.split_once('.') {
            Some((hash, appendix)) if is_appendix(appendix) => hash,
            Some(_) => return false,
            None => text,
        };
        hash.len() == 64
            && hash
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && hash != HASH_OF_NOTHING
    })
}

/// An id of the sender's own, raw or hashed.
pub(super) fn is_external_id(value: &Json) -> bool {
    value
        .text()
        .is_some_and(|text| !text.trim().is_empty() && !text.starts_with(HASH_OF_NOTHING))
}

/// `fb.<subdomain index>.<Unix milliseconds>.<payload>` with or without an appendix.
pub(super) fn is_browser_id(value: &Json) -> bool {
    value.text().is_some_and(|text| {
        let mut segments = text.split('.');
        segments.next() == Some("fb")
            && segments.next().is_some_and(is_digits)
            && segments
                .next()
                .is_some_and(|time| time.len() == MILLISECOND_DIGITS && is_digits(time))
            && segments.next().is_some_and(|payload| {
                !payload.is_empty() && !payload.contains(char::is_whitespace)
            })
            && segments.next().is_none_or(is_appendix)
            && segments.next().is_none()
    })
}

/// An IPv4 or IPv6 literal, with or without an appendix: no port, no brackets, no zone, no spaces.
pub(super) fn is_address(value: &Json) -> bool {
    let is_literal = |text: &str| text.parse::<IpAddr>().is_ok();
    value.text().is_some_and(|text| {
        is_literal(text)
            || text
                .rsplit_once('.')
                .is_some_and(|(address, appendix)| is_appendix(appendix) && is_literal(address))
    })
}

/// A lead's id: 15 to 17 digits, as text or as a number.
pub(super) fn is_lead_id(value: &Json) -> bool {
    match value {
        Json::Text(text) => (15..=17).contains(&text.len()) && is_digits(text),
        Json::Integer(number) => (10_i128.pow(14)..10_i128.pow(17)).contains(number),
        _ => false,
    }
}

/// An id of digits, as text or as a number.
pub(super) fn is_numeric_id(value: &Json) -> bool {
    value.text().is_some_and(is_digits) || value.integer().is_some_and(|id| id >= 0)
}

/// A code of ISO 4217 in either case, and none of the currencies that Meta is known to refuse.
pub(super) fn is_currency(value: &Json) -> bool {
    const REFUSED: &str = "MRU";
    value.text().is_some_and(|code| {
        let code = code.to_ascii_uppercase();
        code != REFUSED
            && CURRENCIES
                .split_ascii_whitespace()
                .any(|known| known == code)
    })
}

/// `YYYY-MM-DD`.
pub(super) fn is_date(value: &Json) -> bool {
    value
        .text()
        .is_some_and(|text| has_pattern(text, "dddd-dd-dd") && is_calendar_day(text))
}

/// `YYYYMMDD`, `YYYY-MM-DD`, or the latter with `Thh:mm` or `Thh:mm:ss` and a zone of `Z` or `±hh:mm`.
pub(super) fn is_travel_date(value: &Json) -> bool {
    value.text().is_some_and(|text| {
        let (day, time) = text
            .split_once('T')
            .map_or((text, None), |(day, time)| (day, Some(time)));
        let is_day =
            has_pattern(day, "dddd-dd-dd") || (time.is_none() && has_pattern(day, "dddddddd"));
        is_day && is_calendar_day(day) && time.is_none_or(is_zoned_time)
    })
}

/// A model year.
pub(super) fn is_year(value: &Json) -> bool {
    value.text().is_some_and(|text| has_pattern(text, "dddd"))
        || value
            .integer()
            .is_some_and(|year| (1000..=9999).contains(&year))
}

/// A vehicle's trim, of at most 50 characters.
pub(super) fn is_trim(value: &Json) -> bool {
    value.text().is_some_and(|text| text.chars().count() <= 50)
}

/// A store's code of at most 64 letters and digits.
pub(super) fn is_store_code(value: &Json) -> bool {
    value.text().is_some_and(|code| {
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// A share of the credit, from 0 to 1.
pub(super) fn is_share(value: &Json) -> bool {
    match value {
        Json::Integer(number) => matches!(number, 0 | 1),
        Json::Float(number) => (0.0..=1.0).contains(number),
        _ => false,
    }
}

fn is_zoned_time(time: &str) -> bool {
    let clocks = ["dd:dd", "dd:dd:dd"];
    let zones = ["Z", "+dd:dd", "-dd:dd"];
    time.find(['Z', '+', '-']).is_some_and(|split| {
        let (clock, zone) = time.split_at(split);
        clocks.iter().any(|pattern| has_pattern(clock, pattern))
            && zones.iter().any(|pattern| has_pattern(zone, pattern))
    })
}

fn is_calendar_day(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let part =
        |range: std::ops::Range<usize>| digits.get(range).and_then(|part| part.parse::<i8>().ok());
    match (
        digits.get(..4).and_then(|year| year.parse().ok()),
        part(4..6),
        part(6..8),
    ) {
        (Some(year), Some(month), Some(day)) => jiff::civil::Date::new(year, month, day).is_ok(),
        _ => false,
    }
}

/// Whether the text is the pattern, with a digit for each `d`.
fn has_pattern(text: &str, pattern: &str) -> bool {
    let matches = |(byte, want): (u8, u8)| {
        if want == b'd' {
            byte.is_ascii_digit()
        } else {
            byte == want
        }
    };
    text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(matches)
}

fn is_appendix(text: &str) -> bool {
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    SHORT_APPENDICES.contains(&text)
        || (text.len() == APPENDIX_CHARACTERS && text.bytes().all(is_base64url))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
