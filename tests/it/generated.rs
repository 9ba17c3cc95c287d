//! Files that are made from the code, or that repeat it, held equal to it.
//!
//! `UPDATE_EXPECT=1 cargo test` writes them again.

use crate::root;
use pipeline_core::options::KEYWORDS;
use pipeline_core::{API_VERSION, Component, Registry, SinkConfig};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;

fn description() -> &'static Component<dyn SinkConfig> {
    let registry = Registry::linked().expect("no name twice");
    registry.sink("meta_conversions").expect("linked")
}

/// Holds a file equal to `expected`, or writes it.
pub(crate) fn assert_file(path: &str, expected: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, expected).expect("a writable file");
    }
    let actual = fs::read_to_string(&file).expect("a readable file");
    assert!(
        actual == expected,
        "{path} is not what the code says; run the tests once with UPDATE_EXPECT=1"
    );
}

fn pretty(schema: &schemars::Schema) -> String {
    serde_json::to_string_pretty(schema).expect("JSON") + "\n"
}

#[test]
fn the_schema_files_are_those_of_the_code() {
    assert_file(
        "schema/meta_conversions.schema.json",
        &pretty(&description().schema()),
    );
    assert_file(
        "schema/preset.schema.json",
        &pretty(&meta_conversions::preset_schema()),
    );
}

#[test]
fn every_option_says_what_it_is_with_default_and_example() {
    let schema = description().schema();
    let properties = schema.as_value()["properties"]
        .as_object()
        .expect("properties");
    assert!(properties.len() >= 20);
    for (name, property) in properties {
        let text = property["description"].as_str().unwrap_or_default();
        assert!(text.contains("Example: `"), "{name}: {text}");
        let required = schema.as_value()["required"].as_array().expect("a list");
        let is_required = required.iter().any(|key| key == name);
        assert!(is_required || text.contains("default"), "{name}: {text}");
    }
    assert_eq!(properties["access_token"]["writeOnly"], true);
    assert_eq!(properties["access_token"]["format"], "password");
}

/// A keyword that the options check does not know would not be enforced.
#[test]
fn the_options_check_understands_every_keyword_of_the_schemas() {
    const NOTES: &[&str] = &[
        "$schema",
        "title",
        "description",
        "default",
        "$defs",
        "format",
        "writeOnly",
        // For editors; the code that reads the options says the same in words of its own.
        "pattern",
        "allOf",
        "propertyNames",
        "examples",
    ];
    fn walk(schema: &Value, is_schema: bool) {
        match schema {
            Value::Object(map) => {
                for (key, value) in map {
                    let known = KEYWORDS.contains(&key.as_str()) || NOTES.contains(&key.as_str());
                    assert!(!is_schema || known, "{key}");
                    let holds_names = is_schema && matches!(key.as_str(), "properties" | "$defs");
                    let is_data = matches!(key.as_str(), "default" | "const" | "enum" | "required");
                    let is_for_editors =
                        matches!(key.as_str(), "allOf" | "propertyNames" | "examples");
                    if !(is_schema && (is_data || is_for_editors)) {
                        walk(value, !holds_names);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, true)),
            _ => {}
        }
    }
    walk(description().schema().as_value(), true);
    walk(meta_conversions::preset_schema().as_value(), true);
}

#[test]
fn the_manifest_says_what_the_code_says() {
    let text = fs::read_to_string(root().join("plugin.toml")).expect("plugin.toml");
    let manifest: toml::Table = text.parse().expect("TOML");
    let description = description();
    let plugin = &manifest["plugin"];
    assert_eq!(plugin["name"].as_str(), Some(description.name()));
    assert_eq!(plugin["kind"].as_str(), Some("sink"));
    assert_eq!(
        plugin["version"].as_str(),
        Some(description.plugin_version())
    );
    assert_eq!(
        plugin["description"].as_str(),
        Some(description.description())
    );
    assert_eq!(
        plugin["api_version"].as_integer(),
        Some(i64::from(API_VERSION))
    );
    assert_eq!(
        manifest["entry"]["crate"].as_str(),
        Some("meta-conversions")
    );
    for (section, key) in [
        ("schema", "options"),
        ("schema", "preset"),
        ("presets", "directory"),
    ] {
        let path = manifest[section][key].as_str().expect("a path");
        assert!(root().join(path).exists(), "{path}");
    }
    let listed = manifest["presets"]["names"].as_array().expect("a list");
    let presets = description.preset_descriptions();
    let names: Vec<_> = presets.iter().map(|preset| preset.name.as_str()).collect();
    let listed: Vec<_> = listed.iter().filter_map(toml::Value::as_str).collect();
    assert_eq!(listed, names);
}

#[tokio::test]
async fn the_tables_of_readers_are_those_of_the_presets_the_traps_and_the_consent() {
    let file = root().join("fixtures/identity/traps.json");
    let traps = fs::read_to_string(file).expect("traps");
    let traps: Value = serde_json::from_str(&traps).expect("JSON");
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let readme = replaced(&readme, "presets", "schema/presets", &preset_table());
    let page = fs::read_to_string(root().join("docs/normalization.md")).expect("the page");
    // The links lead from where the page is.
    let table = trap_table(&traps).replace("](fixtures/", "](../fixtures/");
    let page = replaced(&page, "traps", "fixtures/identity/traps.json", &table);
    assert_file("docs/normalization.md", &page);
    let consent = crate::consent::table(true).await;
    let readme = replaced(&readme, "consent", "fixtures/consent.json", &consent);
    assert_file("README.md", &readme);
}

/// The text with another table between two comments.
fn replaced(text: &str, name: &str, source: &str, table: &str) -> String {
    let start = format!("<!-- {name}: made from {source} -->\n");
    let end = format!("<!-- end of {name} -->\n");
    let (before, rest) = text.split_once(&start).expect("the start of the table");
    let (_, after) = rest.split_once(&end).expect("the end of the table");
    format!("{before}{start}{table}{end}{after}")
}

/// One row for the values of a field that break one rule, then one for each trap that is more than a value.
fn trap_table(traps: &Value) -> String {
    let list = |key: &str| traps[key].as_array().expect("a list").iter();
    let mut rows: Vec<(String, Vec<&Value>)> = Vec::new();
    for trap in list("rows") {
        let rule = format!("{}|{}", trap["field"], trap["rule"]);
        match rows.last_mut().filter(|(last, _)| *last == rule) {
            Some((_, alike)) => alike.push(trap),
            None => rows.push((rule, vec![trap])),
        }
    }
    let mut table =
        "| What comes in | Meta's rule | Libraries | Ours |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for (_, alike) in rows {
        let field = text(&alike[0]["field"]);
        let values = joined(&alike, |trap| {
            let country = trap["country"].as_str();
            let country =
                country.map_or_else(String::new, |of| format!(" ({})", of.to_uppercase()));
            match text(&trap["value"]) {
                value if value.trim().is_empty() => "blank".to_owned(),
                value => format!("`{value}`{country}"),
            }
        });
        let theirs = joined(&alike, |trap| theirs(&trap["theirs"]));
        let ours = joined(&alike, |trap| match trap["ours"]["normal"].as_str() {
            Some(normal) => format!("`{normal}`"),
            None => "left out".to_owned(),
        });
        let rule = text(&alike[0]["rule"]);
        writeln!(table, "| `{field}` {values} | {rule} | {theirs} | {ours} |").expect("text");
    }
    for trap in list("events") {
        let case = format!("fixtures/cases/{}.json", text(&trap["case"]));
        assert!(root().join(&case).exists(), "{case}");
        let (what, rule, ours) = (
            text(&trap["what"]),
            text(&trap["rule"]),
            text(&trap["ours"]),
        );
        let theirs = theirs(&trap["theirs"]);
        writeln!(table, "| {what} | {rule} | {theirs} | [{ours}]({case}) |").expect("text");
    }
    table
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn joined(traps: &[&Value], cell: impl Fn(&Value) -> String) -> String {
    let cells: Vec<_> = traps.iter().map(|trap| cell(trap)).collect();
    cells.join(" · ")
}

/// What each library makes of it.
fn theirs(libraries: &Value) -> String {
    let libraries = libraries.as_object().expect("libraries").iter();
    let told: Vec<_> = libraries
        .map(|(name, theirs)| format!("{name}: {}", text(theirs)))
        .collect();
    told.join(", ")
}

/// One row per Meta event, one column per preset.
fn preset_table() -> String {
    let presets = description().preset_descriptions();
    let mut meta_events: Vec<&str> = Vec::new();
    for row in presets.iter().flat_map(|preset| &preset.rows) {
        if !meta_events.contains(&row.to.as_str()) {
            meta_events.push(&row.to);
        }
    }
    let names: Vec<_> = presets
        .iter()
        .map(|preset| format!("`{}`", preset.name))
        .collect();
    let mut table = format!("| Meta event | {} |\n|", names.join(" | "));
    table += &" --- |".repeat(presets.len() + 1);
    for meta_event in meta_events {
        write!(table, "\n| {meta_event} |").expect("text");
        for preset in &presets {
            let of_event = preset.rows.iter().filter(|row| row.to == meta_event);
            let from: Vec<_> = of_event.flat_map(|row| row.from.clone()).collect();
            write!(table, " {} |", from.join(", ")).expect("text");
        }
    }
    table + "\n"
}

#[test]
fn every_place_that_the_architecture_names_exists() {
    const FOLDERS: [&str; 8] = [
        "src/",
        "crates/",
        "tests/",
        "schema/",
        "fixtures/",
        "fuzz/",
        "benches/",
        ".ci/",
    ];
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut places = 0;
    for place in text.split('`').skip(1).step_by(2) {
        let is_place = FOLDERS.iter().any(|folder| place.starts_with(folder));
        if !is_place || place.contains(['<', ' ']) {
            continue;
        }
        // `a/{b,c}.rs` names two files.
        let (before, rest) = place.split_once('{').unwrap_or((place, "}"));
        let (names, after) = rest.split_once('}').expect("a closed brace");
        for name in names.split(',') {
            let path = format!("{before}{name}{after}");
            assert!(root().join(&path).exists(), "{path}");
            places += 1;
        }
    }
    assert!(places > 60, "{places}");
}
