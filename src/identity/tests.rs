//! The case tables of `fixtures/identity`, walked; and what holds for every value there is.
//!
//! Expected hashes are literals from Python's hashlib, or printed in Meta's documentation.

use std::{collections::HashMap, fs, path::Path};

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

/// What libraries make of a value, row by row.
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
    /// Field, value, and our normal form or the code of leaving it out.
    rows: Vec<(String, String, Ours)>,
}

#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
enum Ours {
    Normal(String),
    LeftOut(String),
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

fn run(field: Field, value: &str, locale: &Locale) -> (Result<String, String>, Option<String>) {
    let mut out = String::new();
    let normal = normalize(field, value, locale, &mut out).map(|()| out.clone());
    let hash = hash(field, value, locale, &mut out).ok();
    (
        normal.map_err(|reason| reason.code().to_owned()),
        hash.map(|hash| hash.as_str().to_owned()),
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
            let (normal, hash) = run(field(&case.field), &case.value, &locale);
            let fine = match &case.left_out {
                Some(code) => normal.as_ref() == Err(code) && hash.is_none(),
                // A case without a normal form is a hash already.
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
        let (normal, hash) = run(field(&key), &value, &locale(None, None));
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
