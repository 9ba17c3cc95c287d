//! Every reason that the code can give has words for people.

use crate::api::Running;
use crate::operation::Bench;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Files of Rust below a folder, without those of tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !name.contains("test") {
            found.push(path);
        }
    }
}

/// The codes that a file gives as texts: `Reason::new("…"`.
fn codes(text: &str, found: &mut BTreeSet<String>) {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    for after in text.split("Reason::new(").skip(1) {
        if let Some(code) = after.trim_start().strip_prefix('"') {
            found.insert(code.split('"').next().unwrap().to_owned());
        }
    }
}

#[tokio::test]
async fn every_reason_that_the_code_can_give_has_a_label_and_advice() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in [
        "src",
        "crates/pipeline-host/src",
        "crates/pipeline-sources/src",
        "crates/pipeline-core/src",
    ] {
        sources(&root.join(folder), &mut files);
    }
    let mut given = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let text: Vec<_> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        codes(&text.join("\n"), &mut given);
    }
    assert!(given.len() > 20, "{given:?}");
    given.extend(["buffer_full", "unmapped", "refused_invalid", "throttled"].map(str::to_owned));

    let running = Running::start(Bench::new().await).await;
    running.until_started().await;
    let told = running.json("/api/v1/reasons").await;
    let known: BTreeMap<_, _> = told["known"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["code"].as_str().unwrap(), it))
        .collect();
    for code in &given {
        let words = known
            .get(code.as_str())
            .unwrap_or_else(|| panic!("no words for `{code}`"));
        let label = words["label"].as_str().unwrap();
        assert!(!label.is_empty() && label.chars().count() <= 24, "{words}");
        assert!(words["advice"].as_str().unwrap().len() > 10, "{words}");
        assert!(words["intentional"].is_boolean(), "{words}");
    }
}
