//! The example of a sink of one's own, run as its reader would: the whole command works with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The example's program, which `cargo test` builds beside this test; built here where only this test was asked for.
fn example(name: &str) -> PathBuf {
    // `target/<profile>/deps/example-…`
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let program = folder.join("examples").join(name);
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "pipeline-cli", "--example"]);
        build.arg(name).current_dir(env!("CARGO_MANIFEST_DIR"));
        build.arg("--target-dir").arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    }
    program
}

fn says(command: &mut Command, code: i32) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    );
    assert_eq!(status.code(), Some(code), "{stdout}{stderr}");
    stdout + &stderr
}

#[test]
fn a_program_with_a_sink_of_its_own_has_the_whole_command() {
    let program = example("sink");
    let folder = tempfile::tempdir().unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(folder.path());
        command
    };
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let pipeline = |out: &serde_json::Value| {
        let events = json!({"type": "file", "path": "events.ndjson", "checkpoint": false});
        json!({"sources": {"events": events}, "sinks": {"out": out}}).to_string()
    };
    let out = folder.path().join("out.ndjson");
    let good = json!({"type": "lines", "inputs": ["events"], "path": out});
    write("events.ndjson", "{\"n\": 1}\nbroken\n{\"n\": 2}\n");
    write("pipeline.json", &pipeline(&good));
    write(
        "wrong.json",
        &pipeline(&json!({"type": "line", "inputs": ["events"], "path": out})),
    );

    let listed = says(&mut command(&["list"]), 0);
    assert!(
        listed.contains("lines") && listed.contains("Appends events to a file"),
        "{listed}"
    );
    let schema = says(&mut command(&["schema", "lines"]), 0);
    assert!(
        schema.contains("It is made where it does not exist"),
        "{schema}"
    );
    let valid = says(&mut command(&["validate", "pipeline.json"]), 0);
    assert!(valid.contains("out (lines): ok"), "{valid}");
    assert!(!out.exists(), "nothing is built to check a file");
    let wrong = says(&mut command(&["validate", "wrong.json"]), 78);
    assert!(wrong.contains("did you mean `lines`?"), "{wrong}");

    says(&mut command(&["run", "pipeline.json"]), 0);
    let delivered = std::fs::read_to_string(&out).unwrap();
    assert_eq!(delivered, "{\"n\":1}\n{\"n\":2}\n");
    let letters = says(
        &mut command(&["dead-letters", "list", "--config", "pipeline.json"]),
        0,
    );
    assert!(letters.contains("malformed_json"), "{letters}");
}
