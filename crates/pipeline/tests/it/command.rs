//! The configuration as a whole, and the `pipeline` binary.

use crate::destination::{Case, dead_letters};
use crate::tally::fed;
use pipeline_host::config::ConfigError;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

fn pipeline(arguments: &[&str], stdin: &str) -> Output {
    fed(
        Command::new(env!("CARGO_BIN_EXE_pipeline")).args(arguments),
        stdin,
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn validate(name: &str, content: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let output = pipeline(&["validate", &path.display().to_string()], "");
    (output.status.code().unwrap(), text(&output.stderr))
}

#[tokio::test]
async fn every_problem_is_reported_at_once_sorted_by_place() {
    let case = Case::new([]);
    let config = json!({
        "data_dri": "x",
        "sources": {
            "events": {"type": "file", "path": "a", "shift_time": true},
            "lonely": {"type": "stdin"},
            "open": {"type": "http_server", "address": "0.0.0.0:80"}
        },
        "sinks": {
            "a": case.sink("evnts", &json!({"batch": {"max_events": 51}, "buffer": {"max_events": 5, "max_bytes": 999}})),
            "b": {"type": "scriptd", "inputs": ["events", "open"]},
            "c": {"type": "scripted", "inputs": [], "bufer": {}, "retry": {"max_backoff_secs": "${MISSING}"}}
        }
    });
    let Err(ConfigError::Invalid(problems)) = case.load(&config) else {
        panic!("the configuration is wrong");
    };
    let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "data_dri: is not a known option; did you mean `data_dir`?",
        "sinks.a.batch.max_events: is too large; expected at most 50, which is what the destination takes",
        "sinks.a.buffer.max_bytes: is too small; expected at least one batch: 1000 bytes, or a smaller `batch.max_bytes`",
        "sinks.a.buffer.max_events: is too small; expected at least one batch: 51 events",
        "sinks.a.inputs[0]: names no source; did you mean `events`?",
        "sinks.b.type: is not known; did you mean `scripted`?; expected the type of a linked sink: `",
        "sinks.c.bufer: is not a known option; did you mean `buffer`?",
        "sinks.c.destination: is missing",
        "sinks.c.inputs: has 0 entries",
        "sinks.c.retry.max_backoff_secs: uses the environment variable `MISSING`, which is not set",
        "sources.events.shift_time: is not a known option; did you mean `shift_times`?",
        "sources.lonely: is read by no sink",
        "sources.open.address: can be reached from other machines",
    ];
    assert_eq!(shown.len(), expected.len(), "{shown:#?}");
    for (shown, expected) in shown.iter().zip(expected) {
        assert!(shown.starts_with(expected), "{shown}\n{expected}");
    }
}

#[test]
fn the_pipeline_file_may_be_named_by_an_option_as_well() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/quickstart.yaml"
    );
    let validate = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pipeline"));
        let command = command.arg("validate").arg("--no-environment");
        command.args(arguments).output().unwrap().status.code()
    };
    assert_eq!(validate(&["--config", file]), Some(0));
    assert_eq!(validate(&[file]), Some(0));
    assert_eq!(validate(&[]), Some(64));
    assert_eq!(validate(&[file, "--config", file]), Some(64));
}

#[test]
fn a_wrong_file_ends_with_78_and_says_where() {
    let (code, said) = validate(
        "a.yaml",
        "sources: {}\nsinks: { out: { type: nothing, inputs: [x] } }\n",
    );
    assert_eq!(code, 78);
    assert!(said.contains("sources: is empty"), "{said}");
    assert!(said.contains("sinks.out.type: is not known"), "{said}");
    let broken = [
        (
            "a.yaml",
            "sources: [\nsecret-value: }\n",
            "is not valid YAML",
        ),
        (
            "a.toml",
            "a = \"secret-value\nb",
            "is not valid TOML: line 1, column 5: the text that begins here has no closing quote",
        ),
        (
            "a.json",
            "{\"secret-value\": }",
            "is not valid JSON: line 1, column 18: the value is missing",
        ),
        ("a.ini", "secret-value", "has an unknown ending"),
    ];
    for (name, content, expected) in broken {
        let (code, said) = validate(name, content);
        assert_eq!(code, 78, "{name}");
        assert!(
            said.contains(expected) && !said.contains("secret-value"),
            "{said}"
        );
    }
    let missing = pipeline(&["run", "/nowhere/pipeline.yaml"], "");
    assert_eq!(missing.status.code(), Some(78));
    assert!(text(&missing.stderr).contains("`/nowhere/pipeline.yaml`: cannot be read"));
}

#[test]
fn help_teaches_and_a_wrong_command_line_ends_with_64() {
    let help = pipeline(&["--help"], "");
    assert_eq!(help.status.code(), Some(0));
    for word in ["pipeline validate", "Exit codes", "78", "sandbox"] {
        assert!(text(&help.stdout).contains(word), "{word}");
    }
    assert_eq!(pipeline(&["--version"], "").status.code(), Some(0));
    assert_eq!(pipeline(&["rnu"], "").status.code(), Some(64));
    assert_eq!(pipeline(&[], "").status.code(), Some(64));
    assert_eq!(pipeline(&["schema", "nothing"], "").status.code(), Some(64));
    assert_eq!(
        pipeline(&["presets", "nothing"], "").status.code(),
        Some(64)
    );
}

#[test]
fn the_schema_is_json_and_describes_every_option_of_the_host() {
    let output = pipeline(&["schema"], "");
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["data_dir", "sandbox", "sources", "sinks", "shutdown"] {
        assert!(
            schema["properties"][key]["description"].is_string(),
            "{key}"
        );
    }
}

#[test]
fn the_schema_of_a_sink_joins_the_hosts_options_and_the_plugins() {
    let output = pipeline(&["schema", "meta_conversions"], "");
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in [
        "inputs", "batch", "buffer", "retry", "request", "preset", "pixel_id",
    ] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
    let written = schema.to_string();
    for preset in ["retail", "travel", "b2b_saas", "automotive", "meta_capi"] {
        assert!(written.contains(&format!("\"{preset}\"")), "{preset}");
    }
    let token = schema["properties"]["access_token"].to_string();
    assert!(token.contains("\"writeOnly\":true"), "{token}");
    assert!(token.contains("\"format\":\"password\""), "{token}");
    let whole: Value = serde_json::from_slice(&pipeline(&["schema"], "").stdout).unwrap();
    let sink = &whole["properties"]["sinks"]["additionalProperties"]["oneOf"][0];
    assert_eq!(
        sink["properties"]["access_token"],
        schema["properties"]["access_token"]
    );
}

#[test]
fn what_is_linked_can_be_looked_at() {
    let list = text(&pipeline(&["list"], "").stdout);
    assert!(list.starts_with("meta_conversions "), "{list}");
    let presets = text(&pipeline(&["presets"], "").stdout);
    for preset in ["retail", "travel", "b2b_saas", "automotive", "meta_capi"] {
        assert!(
            presets.lines().any(|line| line.starts_with(preset)),
            "{presets}"
        );
    }
    let retail = text(&pipeline(&["presets", "retail"], "").stdout);
    let mapped = retail
        .lines()
        .any(|line| line.starts_with("Order Completed") && line.ends_with("->  Purchase"));
    assert!(mapped, "{retail}");
    let unknown = pipeline(&["presets", "retial"], "");
    assert!(text(&unknown.stderr).contains("no preset is named `retial`; there are `"));
}

/// A pipeline file with these sinks; what a `null` lies over is left out.
fn meta_pipeline(folder: &Path, sinks: &[(&str, Value)]) -> String {
    let sinks: serde_json::Map<_, _> = sinks
        .iter()
        .map(|(name, over)| {
            let mut sink = json!({
                "type": "meta_conversions", "inputs": ["events"], "preset": "retail",
                "pixel_id": "1234567890123456", "access_token": "token", "test_event_code": "TEST1",
            });
            for (key, value) in over.as_object().unwrap() {
                sink[key] = value.clone();
            }
            sink.as_object_mut()
                .unwrap()
                .retain(|_, value| !value.is_null());
            ((*name).to_owned(), sink)
        })
        .collect();
    let file = folder.join("pipeline.json");
    let pipeline = json!({"sources": {"events": {"type": "stdin"}}, "sinks": sinks});
    std::fs::write(&file, pipeline.to_string()).unwrap();
    file.display().to_string()
}

#[test]
fn a_good_file_is_said_to_be_good_sink_by_sink() {
    let folder = tempfile::tempdir().unwrap();
    let file = meta_pipeline(folder.path(), &[("one", json!({})), ("two", json!({}))]);
    let output = pipeline(&["validate", &file], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[..2],
        ["one (meta_conversions): ok", "two (meta_conversions): ok"]
    );
    for (line, name) in lines[2..].iter().zip(["one", "two"]) {
        let place = format!("note: sinks.{name}.test_event_code: is set");
        assert!(line.starts_with(&place), "{said}");
    }
    assert_eq!(lines.len(), 4);
}

#[test]
fn files_that_cannot_be_read_are_problems_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = meta_pipeline(folder.path(), &[("one", json!({}))]);
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["sources"]["events"] = json!({"type": "file", "path": ["gone", ".", "none/*"]});
    std::fs::write(&file, config.to_string()).unwrap();
    let output = pipeline(&["validate", &file], "");
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("error: 3 problems in the configuration"),
        "{said}"
    );
    for problem in [
        "No such file",
        "is a directory",
        "no file matches this pattern",
    ] {
        let told = said
            .lines()
            .any(|line| line.starts_with("  sources.events.path: ") && line.contains(problem));
        assert!(told, "{problem}: {said}");
    }
}

#[test]
fn map_asks_which_sink_where_there_are_several() {
    let folder = tempfile::tempdir().unwrap();
    let file = meta_pipeline(folder.path(), &[("one", json!({})), ("two", json!({}))]);
    for arguments in [
        &["map", "--config", &file][..],
        &["map", "--config", &file, "--sink", "three"],
    ] {
        let output = pipeline(arguments, "{}");
        assert_eq!(output.status.code(), Some(64));
        let said = text(&output.stderr);
        assert!(
            said.contains("`--sink` must be one of `one`, `two`"),
            "{said}"
        );
    }
    let output = pipeline(&["map", "--config", &file, "--sink", "two"], "{\n");
    assert_eq!(output.status.code(), Some(0));
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&line["reason"], &line["line"]),
        (&json!("malformed_json"), &json!(1))
    );
}

#[test]
fn a_token_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let over = json!({"access_token": null, "access_token_file": "secrets/meta"});
    let file = meta_pipeline(folder.path(), &[("one", over)]);
    let output = pipeline(&["run", &file], "");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("sinks.one.access_token_file: cannot be read"),
        "{said}"
    );
}

#[test]
fn a_truncated_archive_gives_what_it_holds_and_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.gz");
    write_gzip(&whole, &"{broken\n".repeat(1000));
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(folder.path().join("cut.gz"), &bytes[..bytes.len() - 12]).unwrap();
    let file = meta_pipeline(
        folder.path(),
        &[("one", json!({"inputs": ["cut", "good"]}))],
    );
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["sources"] = json!({
        "cut": {"type": "file", "path": "cut.gz"},
        "good": {"type": "file", "path": "whole.gz"},
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let output = pipeline(&["run", &file], "");
    assert_eq!(output.status.code(), Some(1));
    let (log, table) = (text(&output.stderr), text(&output.stdout));
    for said in [&log, &table] {
        assert!(
            said.contains("source `cut`: `") && said.contains("cut.gz` cannot be read: "),
            "{said}"
        );
    }
    let letters = dead_letters(folder.path(), "one");
    let from_good = letters
        .lines()
        .filter(|line| line.contains("\"good line "))
        .count();
    assert_eq!(from_good, 1000);
    assert!(
        letters.lines().count() > 1000,
        "what came before the cut was read"
    );
}

#[tokio::test]
async fn the_newest_time_of_an_old_file_becomes_now() {
    let case = Case::new([]);
    case.clock.set(1_768_478_400_000);
    let old = "{\"id\":\"a\",\"timestamp\":200000001000}\n{\"id\":\"b\",\"timestamp\":200000003500}\n{x\n";
    write_gzip(&case.folder.path().join("old.gz.ndjson"), old);
    let source = json!({"type": "file", "path": ["old.gz.ndjson"], "shift_times": true});
    let config =
        json!({"sources": {"events": source}, "sinks": {"out": case.sink("events", &json!({}))}});
    case.destination
        .script
        .lock()
        .unwrap()
        .push_back(crate::destination::Step::RejectFirst);
    let ending = case.start(config).await.finish().await;
    assert_eq!(ending.sinks[0].delivered, 1);
    let letters = case.dead_letters();
    // The scripted sink takes a `timestamp` of milliseconds as the event's time.
    let rejected = letters
        .iter()
        .find(|letter| letter["reason"] == "invalid")
        .unwrap();
    assert_eq!(rejected["event_time"], 1_768_478_400_000_i64 - 2_500);
}

fn write_gzip(path: &Path, content: &str) {
    let file = std::fs::File::create(path).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap();
}
