//! Files that are no files, names that are no text, and readers that go away: the real program.

use crate::process::write;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn pipeline(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pipeline"))
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// A pipeline of one file source and a sink whose destination is closed.
fn configured(folder: &Path, source: &Value, sink: &Value) -> String {
    let mut options = json!({
        "type": "meta_conversions", "preset": "retail", "pixel_id": "1234", "access_token": "token",
        "endpoint": "http://127.0.0.1:9", "inputs": ["events"],
    });
    for (key, value) in sink.as_object().unwrap() {
        options[key] = value.clone();
    }
    options
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    let pipeline = json!({
        "data_dir": folder.join("data"),
        "sources": {"events": source},
        "sinks": {"meta": options},
    });
    write(folder, &pipeline)
}

#[test]
fn a_pipe_or_device_in_place_of_a_small_file_is_a_clear_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.yaml");
    fifo(&pipe);
    let source = json!({"type": "file", "path": "events.ndjson", "follow": true});
    let sinks = [
        json!({"access_token": null, "access_token_file": pipe}),
        json!({"preset": {"file": pipe}}),
        json!({"preset": {"file": "/dev/zero"}}),
    ];
    for sink in sinks {
        let file = configured(folder.path(), &source, &sink);
        for command in ["validate", "run"] {
            let output = pipeline(&[command, &file], &[]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("not a file"), "{command} {sink}: {said}");
            assert_eq!(output.status.code(), Some(78), "{command} {sink}: {said}");
        }
    }
    for file in [&*pipe, Path::new("/dev/zero")] {
        let output = pipeline(&["validate", file.to_str().unwrap()], &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("expected a file"), "{said}");
        assert_eq!(output.status.code(), Some(78));
    }
    // As a source a pipe is read, but `validate` does not wait for its writer.
    let source = json!({"type": "file", "path": pipe, "checkpoint": false});
    let file = configured(folder.path(), &source, &json!({}));
    let output = pipeline(&["validate", &file], &[]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn names_reach_the_terminal_without_what_controls_it_and_every_name_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in [&b"a\x1b[31m\nERROR forged.log"[..], b"caf\xe9.log"] {
        std::fs::write(
            folder.path().join(OsStr::from_bytes(name)),
            b"\xfd7zXZ\0\0\x04",
        )
        .unwrap();
    }
    let source = json!({"type": "file", "path": "*.log"});
    let file = configured(folder.path(), &source, &json!({}));
    for command in ["run", "validate"] {
        let output = pipeline(&[command, &file], &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains('\x1b'), "{said}");
        assert!(said.contains("a\\u{1b}[31m\\nERROR forged.log"), "{said}");
        assert!(said.contains("caf\\xe9.log"), "{said}");
        assert!(!output.status.success(), "{said}");
    }
}

#[test]
fn a_message_of_a_missing_variable_is_one_line_without_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    let source = json!({"type": "stdin"});
    let sink = json!({"access_token": "${MISSING:?set it\n  sinks: forged \u{1b}[31m}"});
    let file = configured(folder.path(), &source, &sink);
    let output = pipeline(&["run", &file], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains('\x1b'), "{said}");
    assert!(
        said.lines()
            .all(|line| !line.starts_with("  sinks: forged")),
        "{said}"
    );
}

/// The exit code of a command whose standard output has no reader.
fn code_without_reader(arguments: &[&str]) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
    command.args(arguments).stdin(Stdio::null()).stdout(writer);
    command.output().unwrap().status.code()
}

#[test]
fn the_exit_code_of_a_failed_command_is_the_same_without_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let event = json!({"type": "track", "event": "Order Completed", "messageId": "1",
        "timestamp": "2026-11-26T12:00:00Z", "context": {"consent": {"marketing": true}},
        "properties": {"total": 1, "currency": "EUR", "email": "jane@example.com"}});
    std::fs::write(folder.path().join("a.csv"), "a,b\n").unwrap();
    std::fs::write(folder.path().join("a.ndjson"), event.to_string()).unwrap();
    let source = |path: &str| json!({"type": "file", "path": path, "checkpoint": false});
    let file = configured(folder.path(), &source("a.csv"), &json!({}));
    assert_eq!(pipeline(&["run", &file], &[]).status.code(), Some(1));
    assert_eq!(code_without_reader(&["run", &file]), Some(1));
    let file = configured(folder.path(), &source("missing"), &json!({"pixel_id": "x"}));
    let validate = ["validate", "--format", "json", &file];
    assert_eq!(pipeline(&validate, &[]).status.code(), Some(78));
    assert_eq!(code_without_reader(&validate), Some(78));
    assert_eq!(code_without_reader(&["list"]), Some(0));
}

#[test]
fn an_unknown_level_of_the_log_is_told() {
    for (level, is_told) in [
        ("warning", true),
        ("3x", true),
        ("warn", false),
        ("", false),
    ] {
        let output = pipeline(&["list"], &[("PIPELINE_LOG", level)]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.contains("`PIPELINE_LOG`"), is_told, "{level}: {said}");
        assert!(output.status.success());
    }
}

#[test]
fn a_known_file_that_is_gone_with_unread_bytes_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let kept = |unread: u64| {
        let file = json!({"path": folder.path().join("app.log"), "device": 1, "inode": 1,
            "start": {"bytes": 4, "crc32": 7}, "unread": unread,
            "offset": 20, "line": 2, "open_bytes": 0, "last": {"bytes": 4, "crc32": 7}});
        json!({"version": 1, "files": [file]}).to_string()
    };
    let checkpoints = folder.path().join("data/checkpoints");
    std::fs::create_dir_all(&checkpoints).unwrap();
    std::fs::write(folder.path().join("app.log"), "\n").unwrap();
    let source = json!({"type": "file", "path": "*.log"});
    let file = configured(folder.path(), &source, &json!({}));
    for (unread, is_told) in [(30, true), (0, false)] {
        std::fs::write(checkpoints.join("events.json"), kept(unread)).unwrap();
        let output = pipeline(&["run", &file], &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        let is_warned = said.contains("WARN") && said.contains("30 bytes behind line 2");
        assert_eq!(is_warned, is_told, "{said}");
    }
}
