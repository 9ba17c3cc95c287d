//! `pipeline map`: what it says of each event, in every framing and every form.

use crate::end_to_end::{fixture, personal_values};
use crate::tally::fed;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

/// The longest an answer may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);
const NOW: [&str; 2] = ["--now", "2026-01-15T12:00:00Z"];

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A pipeline file with one sink of this preset.
fn pipeline(preset: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.json");
    let sink = json!({
        "type": "meta_conversions", "inputs": ["events"], "preset": preset,
        "pixel_id": "1234567890123456", "access_token": "token",
    });
    let config = json!({"sources": {"events": {"type": "stdin"}}, "sinks": {"meta": sink}});
    std::fs::write(&file, config.to_string()).unwrap();
    let file = file.display().to_string();
    (folder, file)
}

/// What `map` writes to standard output and standard error.
fn map(preset: &str, arguments: &[&str], stdin: &[u8]) -> (String, String) {
    let (_folder, file) = pipeline(preset);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
    command.args(["map", "--config", &file]).args(arguments);
    let output = fed(&mut command, stdin);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

fn lines(output: &str) -> Vec<Value> {
    let lines = output.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn added(id: &str) -> Value {
    json!({
        "type": "track", "event": "product_added", "messageId": id, "timestamp": "2026-01-15T11:00:00Z", "userId": "u",
        "properties": { "product_id": "p", "price": 5, "currency": "EUR" },
        "context": { "consent": { "marketing": true } },
    })
}

fn cart_viewed() -> Value {
    json!({ "type": "track", "event": "Cart Viewed", "messageId": "c", "timestamp": "2026-01-15T11:00:00Z" })
}

#[test]
fn every_answer_says_which_line_which_event_and_why() {
    let mut too_little = added("w");
    too_little["userId"] = Value::Null;
    let input = format!(
        "{}\n\n{}\n{{broken\n{}\n{}\n7\n",
        added("a"),
        cart_viewed(),
        json!({"type": "identify", "userId": "u"}),
        too_little,
    );
    let (output, _) = map("retail", &NOW, input.as_bytes());
    let beginnings = [
        r#"{"line":1,"source_event":"product_added","outcome":"mapped","event":{"event_name":"AddToCart","#,
        r#"{"line":3,"source_event":"Cart Viewed","outcome":"filtered","reason":"unmapped","detail":"the preset has "#,
        r#"{"line":4,"source_event":null,"outcome":"rejected","reason":"malformed_json","detail":"the event is not "#,
        r#"{"line":5,"source_event":"identify","outcome":"filtered","reason":"not_a_conversion","detail":""#,
        r#"{"line":6,"source_event":"product_added","outcome":"rejected","reason":"weak_identity","detail":""#,
        r#"{"line":7,"source_event":null,"outcome":"rejected","reason":"malformed_json","detail":""#,
    ];
    assert_eq!(output.lines().count(), beginnings.len(), "{output}");
    for (line, beginning) in output.lines().zip(beginnings) {
        assert!(line.starts_with(beginning), "{line}\n{beginning}");
    }
    let (explained, _) = map("retail", &["--explain", NOW[0], NOW[1]], input.as_bytes());
    for (line, bare) in explained.lines().zip(output.lines()) {
        let bare = bare.strip_suffix('}').unwrap();
        let explanation = line.strip_prefix(bare).unwrap();
        assert!(
            explanation.starts_with(r#","explain":{"sent":{"#),
            "{explanation}"
        );
    }
}

/// The events of a file that have an id of their own, so that it does not depend on how they are written.
fn events(preset: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(fixture(preset)).unwrap();
    let lines = text.trim_start_matches('\u{feff}').lines();
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .filter(|event| {
            event["messageId"]
                .as_str()
                .is_some_and(|id| !id.trim().is_empty())
        })
        .collect()
}

#[test]
fn an_event_is_mapped_alike_however_it_is_framed() {
    let events = events("retail");
    assert!(events.len() > 200, "only {}", events.len());
    let without_line = |output: &str| {
        let lines = lines(output).into_iter();
        let lines = lines.map(|mut line| {
            line["line"] = Value::Null;
            line
        });
        lines.collect::<Vec<_>>()
    };
    let pretty = |event: &Value| serde_json::to_string_pretty(event).unwrap();
    let all = |one: &dyn Fn(&Value) -> String| events.iter().map(one).collect::<String>();
    let ndjson = all(&|event| format!("{event}\n"));
    let expected = without_line(&map("retail", &NOW, ndjson.as_bytes()).0);
    let list = Value::from(events.clone());
    for (name, text) in [
        ("pretty", all(&|event| format!("{}\n", pretty(event)))),
        ("together", all(&Value::to_string)),
        ("list", list.to_string()),
        ("pretty list", pretty(&list)),
        ("separators", all(&|event| format!("\u{1e}{event}\n"))),
        ("mark", format!("\u{feff}{ndjson}")),
        ("carriage returns", ndjson.replace('\n', "\r\n")),
    ] {
        let (output, _) = map("retail", &NOW, text.as_bytes());
        assert!(without_line(&output) == expected, "{name} differs");
    }
}

#[test]
fn one_broken_value_costs_itself_and_the_line_is_where_a_value_begins() {
    let pretty = serde_json::to_string_pretty(&added("p")).unwrap();
    let cut = &pretty[..pretty.len() / 2];
    let input = format!("{pretty}\n{cut}\n{pretty}\n{{\"event\":[\n{}\n", added("q"));
    let (output, _) = map("retail", &NOW, input.as_bytes());
    let told: Vec<_> = lines(&output)
        .iter()
        .map(|told| (told["line"].as_u64().unwrap(), told["outcome"].clone()))
        .collect();
    let of = |text: &str| text.lines().count() as u64;
    let second = 1 + of(&pretty);
    let third = second + of(cut);
    let fourth = third + of(&pretty);
    assert_eq!(
        told,
        [
            (1, json!("mapped")),
            (second, json!("rejected")),
            (third, json!("mapped")),
            (fourth, json!("rejected")),
            (fourth + 1, json!("mapped")),
        ]
    );
}

#[test]
fn a_list_without_an_end_is_told_and_its_events_are_mapped() {
    let input = format!("[{},\n{}", added("a"), added("b"));
    let told = lines(&map("retail", &NOW, input.as_bytes()).0);
    let outcomes: Vec<_> = told.iter().map(|told| &told["outcome"]).collect();
    assert_eq!(outcomes, ["mapped", "mapped", "rejected"]);
    assert_eq!(
        (&told[2]["line"], &told[2]["reason"]),
        (&json!(1), &json!("malformed_json"))
    );
    let detail = told[2]["detail"].as_str().unwrap();
    assert!(detail.contains("its end is missing"), "{detail}");
}

#[test]
fn an_event_that_is_too_old_says_which_now_to_try() {
    let mut old = added("old");
    old["timestamp"] = json!("2020-05-01T10:20:30Z");
    let mut older = added("older");
    older["timestamp"] = json!("2020-04-30T10:00:00Z");
    let input = format!("{old}\n{older}\n");
    let (output, said) = map("retail", &[], input.as_bytes());
    let told = lines(&output);
    for (told, time) in told
        .iter()
        .zip(["2020-05-01T11:00:00Z", "2020-04-30T10:00:00Z"])
    {
        assert_eq!(told["reason"], "too_old");
        let detail = told["detail"].as_str().unwrap();
        assert!(
            detail.ends_with(&format!(" (try --now {time})")),
            "{detail}"
        );
    }
    assert!(
        said.contains("2 events are too old by now; `--now 2020-05-01T11:00:00Z`"),
        "{said}"
    );
    let (output, said) = map(
        "retail",
        &["--now", "2020-05-01T11:00:00Z"],
        input.as_bytes(),
    );
    assert!(
        lines(&output)
            .iter()
            .all(|told| told["outcome"] == "mapped"),
        "{output}"
    );
    assert_eq!(said, "");
    let (output, said) = map(
        "retail",
        &["--now", "2026-01-15T12:00:00Z"],
        input.as_bytes(),
    );
    assert!(
        !output.contains("--now") && output.contains("too_old"),
        "{output}"
    );
    assert_eq!(said, "");
}

#[test]
fn the_table_says_where_each_parameter_came_from_and_what_was_left_out() {
    let mut event = added("a");
    event["traits"] = json!({"email": ["mary@example.com", "not one", "nor this"], "phone": "12"});
    event["properties"] = json!({
        "currency": "EUR",
        "products": [{"product_id": "p", "price": 1}, {"name": "no id"}, {"product_id": "q", "price": 2}],
    });
    let input = format!("{event}\n{}\n{{broken\n", cart_viewed());
    let (output, _) = map(
        "retail",
        &["--format", "table", NOW[0], NOW[1]],
        input.as_bytes(),
    );
    // As people read it: any number of spaces is one.
    let told: String = output
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect();
    for line in [
        "line 1 product_added → AddToCart mapped\nsent\nevent_name event the preset's name for the",
        "\nuser_data.em traits.email[0] trimmed, lower",
        "\ncustom_data.contents[0,2].id properties.products[0,2].",
        "\nleft out\nuser_data.em traits.email[1-2] not_an_email: it does not look like",
        "\ncustom_data.contents[] properties.products[1] no_id: an item without an id is",
        "\n\nline 2 Cart Viewed filtered: unmapped\nthe preset has no Meta event for `Cart Viewed`;",
        "\n\nline 3 (no name) rejected: malformed_json\nthe event ",
    ] {
        assert!(told.contains(line), "{line}\n\n{output}");
    }
    assert!(
        !output.contains("not_given") && !output.contains("ctwa_clid"),
        "{output}"
    );
}

#[test]
fn no_form_shows_a_personal_value_and_the_table_is_never_wide() {
    for preset in ["retail", "b2b_saas"] {
        let input = std::fs::read(fixture(preset)).unwrap();
        let secrets = personal_values(&std::fs::read_to_string(fixture(preset)).unwrap());
        assert!(secrets.len() > 40, "{preset}: only {}", secrets.len());
        let (table, _) = map(preset, &["--format", "table", NOW[0], NOW[1]], &input);
        let (summary, _) = map(preset, &["--summary", NOW[0], NOW[1]], &input);
        assert!(table.lines().count() > 2_000 && summary.lines().count() > 15);
        for line in table.lines() {
            assert!(
                line.chars().count() <= 100 && !line.contains('\u{1b}'),
                "{line}"
            );
        }
        let shown = (table + &summary).to_lowercase();
        for secret in secrets {
            assert!(!shown.contains(&secret), "{preset}: `{secret}` is shown");
        }
    }
}

#[test]
fn the_summary_counts_what_map_says_of_each_event() {
    let input = std::fs::read(fixture("retail")).unwrap();
    let told = lines(&map("retail", &NOW, &input).0);
    let (summary, _) = map("retail", &["--summary", NOW[0], NOW[1]], &input);
    let counted = |label: &str| {
        let mut lines = summary.lines();
        let line = lines.find(|line| line.split_whitespace().next() == Some(label));
        line.and_then(|line| line.split_whitespace().last()?.parse().ok())
            .unwrap_or(0)
    };
    let of = |key: &str, word: &str| told.iter().filter(|told| told[key] == word).count();
    assert_eq!(counted("events"), told.len(), "{summary}");
    for outcome in ["mapped", "filtered", "rejected"] {
        assert!(of("outcome", outcome) > 0);
        assert_eq!(
            counted(outcome),
            of("outcome", outcome),
            "{outcome}: {summary}"
        );
    }
    for reason in ["consent", "unmapped", "malformed_json"] {
        assert_eq!(counted(reason), of("reason", reason), "{reason}: {summary}");
    }
    let carts = told
        .iter()
        .filter(|told| told["event"]["event_name"] == "AddToCart");
    let expected = format!("mapped {}, ", carts.count());
    let mut lines = summary.lines();
    let line = lines
        .find(|line| line.contains("Product Added → AddToCart"))
        .unwrap();
    assert!(line.contains(&expected), "{line}\n{expected}");
}

#[test]
fn the_summary_names_what_may_be_misspelled() {
    let mut input = String::new();
    for (name, times) in [
        ("Order Complete", 3),
        ("Products Added", 1),
        ("Cart Viewed", 9),
    ] {
        for _ in 0..times {
            writeln!(input, "{}", json!({"type": "track", "event": name})).unwrap();
        }
    }
    let (summary, _) = map("retail", &["--summary"], input.as_bytes());
    let (_, misspelled) = summary
        .split_once("meta: names that may be misspelled\n")
        .unwrap();
    let lines: Vec<_> = misspelled.lines().take(3).map(str::trim).collect();
    assert_eq!(
        lines[..2],
        [
            "Order Complete  Order Completed → Purchase",
            "Products Added  Product Added → AddToCart"
        ],
        "{summary}"
    );
    assert!(lines.get(2).is_none_or(|line| line.is_empty()), "{summary}");
}

#[test]
fn the_summary_of_a_wrong_preset_names_the_right_one() {
    let input: String = (0..5)
        .map(|id| added(&id.to_string()).to_string())
        .collect();
    let (summary, _) = map("automotive", &["--summary"], input.as_bytes());
    assert!(
        summary.contains("product_added  5  unmapped 5"),
        "{summary}"
    );
    let advice = "meta: `automotive` maps none of the unmapped events, `retail` maps 100 % of them";
    assert!(
        summary.lines().any(|line| line.starts_with(advice)),
        "{summary}"
    );
}

#[test]
fn a_summary_shows_no_single_events() {
    let (_folder, file) = pipeline("retail");
    for other in [
        &["--explain"][..],
        &["--format", "table"],
        &["--format", "json"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
        command
            .args(["map", "--config", &file, "--summary"])
            .args(other);
        let output = fed(&mut command, b"");
        assert_eq!(output.status.code(), Some(64), "{other:?}");
    }
    assert!(map("retail", &["--summary"], b"").0.starts_with("events "));
}

/// A person, or a program at the other end of a pipe, waits for an answer before it writes the next event.
#[tokio::test]
async fn an_event_is_answered_before_the_next_one_is_written() {
    let (_folder, file) = pipeline("retail");
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_pipeline"))
        .args(["map", "--config", &file])
        .args(NOW)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let pretty = serde_json::to_string_pretty(&added("b")).unwrap();
    let list = format!("[\n  {},\n", added("c"));
    for (event, line) in [
        (format!("{}\n", added("a")), 1),
        (pretty + "\n", 2),
        (list, 20),
    ] {
        input.write_all(event.as_bytes()).await.unwrap();
        input.flush().await.unwrap();
        let answer = tokio::time::timeout(DEADLINE, answers.next_line()).await;
        let answer = answer.expect("an answer in time").unwrap().unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (&answer["line"], &answer["outcome"]),
            (&json!(line), &json!("mapped"))
        );
    }
}

/// Every `map` command of the README, as it is written there, and what it shows; `…` matches anything.
#[test]
fn the_commands_of_the_readme_show_what_it_says() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = readme.split("```console\n").skip(1);
    let blocks = blocks.map(|block| block.split_once("```").unwrap().0);
    let mut tried = 0;
    for command in blocks.flat_map(|block| block.split("$ ").skip(1)) {
        let (command, shown) = command.split_once('\n').unwrap();
        let Some(arguments) = command.strip_prefix("cargo run --release -- map ") else {
            continue;
        };
        tried += 1;
        let mut shell = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_pipeline");
        shell
            .args(["-c", &format!("{program} map {arguments}")])
            .current_dir(root());
        let output = fed(&mut shell, b"");
        assert_eq!(output.status.code(), Some(0), "{command}");
        let output = String::from_utf8(output.stdout).unwrap();
        let mut lines = output.lines();
        let mut may_skip = false;
        for shown in shown.lines() {
            if shown.trim() == "…" {
                may_skip = true;
                continue;
            }
            // Columns are as wide as the widest of their cells, so spaces do not count.
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            let is_shown = |line: &str| match words(shown).split_once('…') {
                Some((start, end)) => words(line).starts_with(start) && words(line).ends_with(end),
                None => words(line) == words(shown),
            };
            let found = if may_skip {
                lines.any(is_shown)
            } else {
                lines.next().is_some_and(is_shown)
            };
            assert!(found, "{command}\n{shown}\n\n{output}");
            may_skip = false;
        }
        assert!(
            may_skip || lines.next().is_none(),
            "more is shown by {command}\n{output}"
        );
    }
    assert!(tried >= 3, "only {tried} commands");
}
