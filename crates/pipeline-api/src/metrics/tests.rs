//! The documents, the alert rules and the dashboard name the metrics that exist.

use super::*;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where the metrics are told, in `docs/operating.md`.
const MARKS: (&str, &str) = ("<!-- metrics -->\n", "<!-- end of metrics -->\n");
/// How names of metrics begin; of these words, the labels are none.
const BEGINNINGS: [&str; 5] = ["component_", "buffer_", "sink_", "source_", "pipeline_"];
const LABELS: [&str; 4] = [
    "component_id",
    "component_kind",
    "component_type",
    "buffer_type",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The name as a scrape has it.
fn whole_name(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Counter => format!("{name}_total"),
        Kind::Info => format!("{name}_info"),
        Kind::Gauge | Kind::Histogram => name.to_owned(),
    }
}

/// Every name that a query may have.
fn queryable() -> BTreeSet<String> {
    let names = METRICS.iter().flat_map(|(name, kind, _)| match kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .map(|end| format!("{name}{end}"))
            .to_vec(),
        _ => vec![whole_name(name, *kind)],
    });
    names.collect()
}

#[test]
fn the_table_of_metrics_is_that_of_the_code() {
    let path = root().join("docs/operating.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(MARKS.0).unwrap();
    let (_, after) = rest.split_once(MARKS.1).unwrap();
    let mut table = "| Metric | Kind | Says |\n| --- | --- | --- |\n".to_owned();
    for (name, kind, help) in METRICS {
        let name = whole_name(name, kind);
        let kind = format!("{kind:?}").to_lowercase();
        let _ = writeln!(table, "| `{name}` | {kind} | {help} |");
    }
    let expected = format!("{before}{}{table}{}{after}", MARKS.0, MARKS.1);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        text == expected,
        "docs/operating.md is not what the code says; run the tests once with UPDATE_EXPECT=1"
    );
}

#[test]
fn alert_rules_and_dashboard_name_only_metrics_that_exist() {
    let known = queryable();
    for (file, at_least) in [
        ("deploy/prometheus/alerts.yml", 9),
        ("deploy/grafana/pipeline.json", 12),
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = text.split(|c| !is_part(c));
        let named: BTreeSet<&str> = words
            .filter(|word| BEGINNINGS.iter().any(|it| word.starts_with(it)))
            .filter(|word| !LABELS.contains(word))
            .collect();
        let missing: Vec<_> = named
            .iter()
            .filter(|name| !known.contains(**name))
            .collect();
        assert!(missing.is_empty(), "{file}: {missing:?}");
        assert!(named.len() >= at_least, "{file}: {named:?}");
    }
}

#[test]
fn the_dashboard_is_json_and_its_panels_have_numbers_of_their_own() {
    let text = std::fs::read_to_string(root().join("deploy/grafana/pipeline.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let numbers: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(numbers.len(), panels.len());
}
