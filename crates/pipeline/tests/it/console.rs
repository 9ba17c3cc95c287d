//! The browser pages against the real binary and the sandbox, in Debian's Chromium: what people see, and that the built files are
//! those of the source.
//!
//! The tests themselves are in `crates/pipeline-api/console/tests/`; `tests/install` there copies them into `target/console` with
//! what they need, in locked versions. Where Node or Chromium is missing, a test says so and is left out, unless `CI` is set.

mod load;

use crate::operation::Bench;
use crate::process::Process;
use crate::tally::print;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tokio::task::spawn_blocking;

const TOKEN: &str = "a-token-for-the-pages-0123456789";

/// One at a time installs.
static INSTALLED: Mutex<bool> = Mutex::new(false);

fn pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipeline-api")
}

/// The folder that cargo builds in.
fn target() -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_pipeline"));
    binary.ancestors().nth(2).unwrap().to_owned()
}

/// Whether a program is there; a message where it is missing and this is no CI.
fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let is_there = found.is_ok_and(|status| status.success());
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "`{program}` is needed by the tests of the pages"
    );
    if !is_there {
        print(&format!(
            "left out: the tests of the pages need `{program}`"
        ));
    }
    is_there
}

/// The folder with the source of the pages and what builds and tests them.
async fn install() -> PathBuf {
    let install = || {
        let mut is_installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        // Once: another test may be reading what is copied.
        if !*is_installed {
            let status = Command::new(pages().join("console/tests/install"))
                .env("CARGO_TARGET_DIR", target())
                .status();
            assert!(
                status.unwrap().success(),
                "the pages' tests cannot be installed"
            );
            *is_installed = true;
        }
        target().join("console")
    };
    spawn_blocking(install).await.unwrap()
}

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read(entry.path()).unwrap())
    });
    files.collect()
}

#[tokio::test]
async fn the_files_that_are_compiled_in_are_those_that_the_source_builds() {
    if !has("npm") {
        return;
    }
    let folder = install().await;
    let built = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let status = Command::new("node")
            .args(arguments)
            .current_dir(&folder)
            .status();
        assert!(status.unwrap().success(), "{arguments:?}");
    };
    run(&["node_modules/typescript/bin/tsc", "--noEmit"]);
    run(&["build.mjs", &built.path().display().to_string()]);
    let (built, checked_in) = (files(built.path()), files(&pages().join("assets")));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&built), names(&checked_in));
    for (name, bytes) in &built {
        assert!(
            checked_in[name] == *bytes,
            "`{name}` is not what the source builds; `npm run build` in crates/pipeline-api/console makes it"
        );
    }
}

#[tokio::test]
async fn the_pages_show_what_the_pipeline_does_and_break_no_rule_of_access() {
    if !has("npm") || !has("chromium") {
        return;
    }
    let folder = install().await;
    let mut bench = Bench::new().await;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/events");
    for name in ["retail", "travel"] {
        bench.pipeline["sources"][name] = json!({
            "type": "file", "path": fixtures.join(format!("{name}.ndjson")), "shift_times": true,
        });
    }
    let mut hotel = bench.pipeline["sinks"]["meta"].clone();
    hotel["inputs"] = json!(["travel"]);
    hotel["preset"] = json!("travel");
    bench.pipeline["sinks"]["hotel"] = hotel;
    bench.sink(&json!({"inputs": ["web", "retail"], "test_event_code": "TEST12345"}));
    bench.pipeline["api"] = json!({"address": "127.0.0.1:0", "token": TOKEN});
    // JSON is YAML, and in a YAML file the pages can change options.
    let file = bench.folder.path().join("shop.yaml");
    let text = format!("# The pipeline of a shop.\n{:#}\n", bench.pipeline);
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    // By its name, as in the pictures.
    let mut process = Process::start_in(bench.folder.path(), &["run", "shop.yaml"]);
    let api = process.address("the api listens on ").await;
    let address = process.address("address=").await;
    let mut browser = tokio::process::Command::new("node")
        .arg("tests/browser.mjs")
        .args(std::env::var("CONSOLE_TESTS").ok())
        .current_dir(&folder)
        .env("CONFIG_FILE", &file)
        .env("CONSOLE_URL", &api)
        .env("CONSOLE_TOKEN", TOKEN)
        .env("EVENTS_URL", format!("http://{address}/v1/events"))
        .env("SANDBOX_URL", bench.sandbox.url())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    assert!(browser.wait().await.unwrap().success(), "see above");
}
