//! Runs the case tables of `fixtures/identity`, and checks properties of every value.
//!
//! Expected hashes are literals from Python's hashlib, or printed in Meta's documentation.

use std::{borrow::Cow, collections::HashMap, fs, path::Path};

use proptest::prelude::*;
use serde::{Deserialize, de::DeserializeOwned};

use super::*;

const YEAR: i16 = 2026;

/// The files of `fixtures/identity` that hold cases: what the documentation prints, and one per rule.
const TABLES: [&str; 11] = [
    "documented",
    "em",
    "ph",
    "name",
    "ge",
    "db",
    "ct",
    "st",
    "zp",
    "country",
    "external_id",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[expect(dead_code, reason = "for the reader of the file")]
    rule: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    field: String,
    value: String,
    country: Option<String>,
    default_country: Option<String>,
    normal: Option<String>,
    sha256: Option<String>,
    left_out: Option<String>,
}

/// The results of other libraries, row by row.
#[derive(Deserialize)]
struct Libraries {
    rows: Vec<(String, String, Option<String>)>,
}

/// The rows of [`Libraries`] that Meta's published rule contradicts.
#[derive(Deserialize)]
struct Exceptions {
    rules: Vec<ExceptionRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExceptionRule {
    rule: String,
    /// Field, value, and our normal form or the code of its omission.
    rows: Vec<(String, String, Ours)>,
}

#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
enum Ours {
    Normal(String),
    LeftOut(String),
}

/// Values that other libraries normalize wrongly, and our results.
#[derive(Deserialize)]
struct Traps {
    rows: Vec<Trap>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trap {
    field: String,
    value: String,
    country: Option<String>,
    rule: String,
    /// By library: the value it sends, or what it does with the value.
    theirs: HashMap<String, String>,
    ours: Ours,
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/identity")
        .join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn field(key: &str) -> Field {
    Field::ALL
        .into_iter()
        .find(|field| field.key() == key)
        .unwrap()
}

fn locale(country: Option<&str>, default_country: Option<&str>) -> Locale {
    Locale {
        country: country.map(|name| country_of(name).unwrap()),
        default_country: default_country.map(|name| country_of(name).unwrap()),
        year: YEAR,
    }
}

fn run(field: Field, value: &str, locale: Locale) -> (Result<String, String>, Option<String>) {
    let mut out = String::new();
    let normal = normalize(field, value, locale, &mut out).map(|()| out.clone());
    let mut hashed = Vec::new();
    let hash = hash(field, value, locale, &mut out, &mut hashed).ok();
    (
        normal.map_err(|reason| reason.code().to_owned()),
        hash.map(|_| String::from_utf8(hashed).unwrap()),
    )
}

#[test]
fn every_case_of_every_rule_holds() {
    let mut wrong = Vec::new();
    for name in TABLES {
        let table: Table = read(&format!("{name}.json"));
        assert!(!table.cases.is_empty());
        for case in table.cases {
            let locale = locale(case.country.as_deref(), case.default_country.as_deref());
            let (normal, hash) = run(field(&case.field), &case.value, locale);
            let fine = match &case.left_out {
                Some(code) => normal.as_ref() == Err(code) && hash.is_none(),
                // The value of a case without a normal form is already a hash.
                None => {
                    case.sha256.is_some()
                        && hash == case.sha256
                        && case.normal.is_none_or(|expected| normal == Ok(expected))
                }
            };
            if !fine {
                wrong.push((name, case.value, case.country, normal));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases: {wrong:#?}", wrong.len());
}

/// Values that are sent unchanged, or omitted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unhashed {
    #[expect(dead_code, reason = "for the reader of the file")]
    rule: String,
    cases: Vec<UnhashedCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnhashedCase {
    value: String,
    sent: Option<String>,
    left_out: Option<String>,
}

fn cookie(value: &str) -> Result<Cow<'_, str>, Omitted> {
    let fbc = browser_id::fbc(value).map(|fbc| fbc.value);
    // Browser ids have the same form, but no limit for the click id.
    assert!(fbc.is_err() || browser_id::fbp(value) == fbc, "{value}");
    fbc.map(Cow::Borrowed)
}

#[test]
fn every_case_of_what_is_not_hashed_holds() {
    type Rule = fn(&str) -> Result<Cow<'_, str>, Omitted>;
    let rules: [(&str, Rule); 3] = [
        ("client_ip_address", client_ip),
        ("cookie", cookie),
        ("fbclid", browser_id::fbclid_in_url),
    ];
    for (name, rule) in rules {
        let table: Unhashed = read(&format!("{name}.json"));
        assert!(!table.cases.is_empty());
        for case in table.cases {
            let actual = rule(&case.value);
            assert_eq!(
                (
                    actual.as_deref().ok(),
                    actual.as_ref().err().map(|why| why.code())
                ),
                (case.sent.as_deref(), case.left_out.as_deref()),
                "{name}: {}",
                case.value
            );
        }
    }
}

#[test]
fn every_row_on_which_libraries_agree_holds_but_for_the_listed_exceptions() {
    let libraries: Libraries = read("libraries.json");
    let exceptions: Exceptions = read("exceptions.json");
    let mut listed = HashMap::new();
    for rule in exceptions.rules {
        assert!(!rule.rule.is_empty());
        for (field, value, ours) in rule.rows {
            assert_eq!(listed.insert((field, value), ours), None);
        }
    }
    let mut wrong = Vec::new();
    for (key, value, sha256) in libraries.rows {
        let (normal, hash) = run(field(&key), &value, locale(None, None));
        let excepted = listed.remove(&(key.clone(), value.clone()));
        let ours = match &normal {
            Ok(normal) => Ours::Normal(normal.clone()),
            Err(code) => Ours::LeftOut(code.clone()),
        };
        let fine = match &excepted {
            Some(expected) => *expected == ours && hash != sha256,
            None => hash == sha256,
        };
        if !fine {
            wrong.push((key, value, ours));
        }
    }
    assert!(wrong.is_empty(), "{} rows: {wrong:#?}", wrong.len());
    assert!(listed.is_empty(), "exceptions without a row: {listed:?}");
}

#[test]
fn what_we_make_of_the_values_on_which_libraries_go_wrong_is_as_listed() {
    let traps: Traps = read("traps.json");
    let mut wrong = Vec::new();
    for trap in traps.rows {
        assert!(!trap.rule.is_empty() && !trap.theirs.is_empty());
        let locale = locale(trap.country.as_deref(), None);
        let (normal, _) = run(field(&trap.field), &trap.value, locale);
        let ours = normal.map_or_else(Ours::LeftOut, Ours::Normal);
        // A row is not a trap if every library has the same result as we do.
        let all_agree = trap
            .theirs
            .values()
            .all(|theirs| ours == Ours::Normal(theirs.clone()));
        if ours != trap.ours || all_agree {
            wrong.push((trap.field, trap.value, ours));
        }
    }
    assert!(wrong.is_empty(), "{} rows: {wrong:#?}", wrong.len());
}

/// From Python's hashlib: of nothing, of `undefined`, of `NULL`, of `0`.
#[test]
fn a_hash_of_a_word_for_a_missing_value_is_left_out() {
    let cases = [
        (EMPTY_SHA256, None),
        (
            "eb045d78d273107348b0300c01d29b7552d622abbc6faf81b3ec55359aa9950c",
            None,
        ),
        (
            "FB329000228CC5A24C264C57139DE8BF854FC86FC18BF1C04AB61A2B5CB4B921",
            None,
        ),
        (
            "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
            Some(Field::ExternalId),
        ),
    ];
    for (hex, only) in cases {
        for field in Field::ALL {
            let mut out = Vec::new();
            let hashed = hash(field, hex, locale(None, None), &mut String::new(), &mut out);
            let is_placeholder = only.is_none_or(|only| only == field || field == Field::Zp);
            let expected = if is_placeholder {
                Err(Omitted::Placeholder)
            } else {
                Ok(Hashed::Before)
            };
            assert_eq!(hashed, expected, "{field:?} {hex}");
            assert_eq!(out.is_empty(), is_placeholder);
        }
    }
}

#[test]
fn an_external_id_can_be_sent_unchanged() {
    let mut out = String::new();
    assert_eq!(external_id_raw(" User 42 ", &mut out), Ok(()));
    assert_eq!(out, "User 42");
    assert_eq!(external_id_raw(" ", &mut out), Err(Omitted::Empty));
    assert_eq!(
        external_id_raw(" null ", &mut out),
        Err(Omitted::Placeholder)
    );
    assert_eq!(external_id_raw("12345.0", &mut out), Ok(()));
    assert_eq!(out, "12345");
}

#[test]
fn a_full_name_is_split_at_its_last_space() {
    for (full, parts) in [
        ("Mary Ann Smith", (Some("Mary Ann"), Some("Smith"))),
        (" Mary  Smith ", (Some("Mary"), Some("Smith"))),
        ("Smith, Mary Ann", (Some("Mary Ann"), Some("Smith"))),
        ("Mary Smith, Jr.", (Some("Mary"), Some("Smith, Jr."))),
        ("李\u{3000}明", (Some("李"), Some("明"))),
        ("Mary", (Some("Mary"), None)),
        ("  ", (None, None)),
    ] {
        assert_eq!(split_name(full), parts, "{full:?}");
    }
}

/// Values similar to those that each rule reads, and any text at all.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        ".{0,40}",
        "[ -~]{0,24}",
        "[+0-9() ./x-]{4,22}",
        "\\PC{1,6}@\\PC{1,6}\\.[a-z]{2,3}",
        "[0-9]{1,4}[-/. ][0-9]{1,2}[-/. ][0-9]{1,4}",
        "[0-9a-fA-F]{62,66}",
        "[\\p{L}\\p{M}\\p{P}\\p{Z}\\p{S}]{1,12}",
        "[ΑΣςσΐİıßÅﬁ\u{300}-\u{345}']{1,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_gives_a_form_of_the_rules_alphabet_that_stays_the_same_or_a_reason(
        value in value(),
        field in prop::sample::select(Field::ALL.to_vec()),
        country in prop::option::of(prop::sample::select(vec!["us", "ca", "gb", "de", "it", "br"])),
    ) {
        let locale = locale(country, None);
        let mut normal = String::from("left over");
        let result = normalize(field, &value, locale, &mut normal);
        let mut out = Vec::new();
        let hashed = hash(field, &value, locale, &mut String::new(), &mut out);
        prop_assert_eq!(hashed.is_err(), out.is_empty());
        if result.is_err() {
            prop_assert!(hashed.is_err() || Ready::read(&value).is_some());
            return Ok(());
        }
        prop_assert!(!normal.is_empty());
        prop_assert!(in_alphabet(field, &normal), "{field:?} {normal:?}");
        // Digits alone may also be a national number; with a plus, normalizing again does not change the number.
        let plus = if field == Field::Ph { "+" } else { "" };
        let mut again = String::new();
        let result = normalize(field, &format!("{plus}{normal}"), locale, &mut again);
        prop_assert_eq!(result, Ok(()), "{}", &normal);
        prop_assert_eq!(&again, &normal);
        prop_assert!(hashed.is_ok());
        prop_assert_eq!(out.len(), 64);
        prop_assert!(out.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        prop_assert_ne!(out, EMPTY_SHA256.as_bytes());
    }

    #[test]
    fn no_text_panics_where_addresses_and_cookies_are_read(text in value(), other in value(), ms in any::<i64>()) {
        let _ = client_ip(&text);
        let _ = country_of(&text);
        let _ = split_name(&text);
        let _ = browser_id::fbclid_in_url(&text);
        let mut out = String::new();
        if browser_id::choose(browser_id::fbc(&text).ok(), Some(&other), ms, &mut out).is_ok() && (1_000_000_000_000..10_000_000_000_000).contains(&ms) {
            prop_assert!(browser_id::fbc(&out).is_ok());
        }
        out.clear();
        if browser_id::fbp_for(&text, &mut out).is_ok() {
            prop_assert_eq!(browser_id::fbp(&out), Ok(out.as_str()));
        }
    }

    #[test]
    fn a_phone_reads_the_same_with_or_without_its_plus_written_in_groups(
        digits in "[1-9][0-9]{9,12}", group in 2..5usize,
    ) {
        let locale = locale(None, None);
        let grouped: Vec<&str> = digits.as_bytes().chunks(group).map(|c| std::str::from_utf8(c).unwrap()).collect();
        let (mut dense, mut spaced) = (String::new(), String::new());
        let one = normalize(Field::Ph, &format!("+{digits}"), locale, &mut dense);
        let other = normalize(Field::Ph, &format!("00 {}", grouped.join(" ")), locale, &mut spaced);
        prop_assert_eq!(one, other);
        if one.is_ok() {
            prop_assert_eq!(dense, spaced);
        }
    }
}

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn in_alphabet(field: Field, normal: &str) -> bool {
    let lower_letters = |len| normal.len() == len && normal.bytes().all(|b| b.is_ascii_lowercase());
    match field {
        Field::Em => normal.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && domain.contains('.') && !normal.contains(char::is_whitespace)
        }),
        Field::Ph => {
            normal.len() <= 17
                && !normal.starts_with('0')
                && normal.bytes().all(|b| b.is_ascii_digit())
        }
        Field::Ge => matches!(normal, "f" | "m"),
        Field::Db => normal.len() == 8 && normal.bytes().all(|b| b.is_ascii_digit()),
        Field::Country => lower_letters(2),
        Field::Zp => !normal.contains(|c: char| c == '-' || c.is_whitespace()),
        Field::Fn | Field::Ln | Field::Ct | Field::St | Field::ExternalId => {
            !normal.contains(char::is_whitespace)
        }
    }
}
