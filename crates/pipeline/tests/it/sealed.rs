//! Sealed copies of events in their letters, and what a replay with the key makes of them: the real program against the sandbox.

use crate::letters::{dead_letters, id_of, kill_replays, refuse};
use crate::operation::Bench;
use crate::process::Process;
use crate::tally::{eventually, files_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Two keys that `age-keygen` has made for these tests.
const PUBLIC: &str = "age1vumt3605pkgy6wt2atq7cy99q52w2gqexh68ns79an4lhgm0jvxqnm2cjw";
const SECRET: &str = "AGE-SECRET-KEY-1YAH69THXWQSK50VZEJHSY602CZ3UYTTMSXCYWHWYZFLS9XZKXA5S90JHV7";
const OTHER_SECRET: &str =
    "AGE-SECRET-KEY-1J3TTE4AWTW92GWC3RCYRZSNV7G8EMRYQ6ECX2GZA4WWMERYSN6DSKL4VNA";
/// What must be in no file in the clear.
const PERSONAL: [&str; 4] = ["ottilie", "example.org", "1511 2345678", "lindenallee"];

/// An order of a person, whose value is where the preset does not look for it.
fn order(id: &str) -> Value {
    json!({
        "type": "track", "event": "Order Completed", "messageId": id, "userId": "u-1",
        "properties": {"order_id": id, "worth": 12.5, "currency": "EUR", "address": "Lindenallee 1"},
        "traits": {"email": "Ottilie.Quandt@example.org", "phone": "+49 1511 2345678"},
        "context": {"consent": {"marketing": true}},
    })
}

/// A pipeline that keeps copies and does not find the value of an order.
async fn bench() -> Bench {
    let mut bench = Bench::new().await;
    bench.sink(&json!({
        "dead_letters": {"keep_raw": {"public_key": PUBLIC}},
        "batch": {"max_events": 5, "timeout_secs": 0.01},
        "consent": {"when_absent": "allow"}, "unmapped_events": "custom",
    }));
    bench
}

/// Runs the pipeline over these events, which all become letters.
async fn reject(bench: &Bench, events: &[Value]) {
    let (process, url) = bench.start(&["run"]).await;
    let request = reqwest::Client::new().post(&url);
    let request = request.header("content-type", "application/json");
    let sent = request
        .body(json!(events).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 200);
    process.terminate();
    assert_eq!(process.end().await.0.code(), Some(0));
}

/// The options by which the value is found.
fn fix(bench: &mut Bench) {
    bench.sink(&json!({"field_mappings": {"custom_data.value": "properties.worth"}}));
}

fn identity(bench: &Bench, name: &str, text: &str) -> String {
    let path: PathBuf = bench.folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn assert_nothing_personal(bench: &Bench) {
    let files = files_of(&bench.folder.path().join("data"));
    assert!(!files.is_empty());
    let files = String::from_utf8_lossy(&files).to_lowercase();
    for text in PERSONAL {
        assert!(!files.contains(text), "`{text}` is in a file");
    }
}

/// Five letters: two orders, one of them without a word on consent, one that is too large for a copy, and one without a payload,
/// whose name is returned.
async fn reject_five(bench: &Bench) -> String {
    let mut without_consent = order("silent");
    without_consent["context"] = json!({});
    let mut large = order("large");
    large["properties"]["note"] = json!("x".repeat(40_000));
    // It does not come as far as a payload.
    let mut long = order("long");
    let name = "a name of an event that is longer than Meta takes names".to_owned();
    long["event"] = json!(&name);
    reject(
        bench,
        &[order("a"), without_consent, large, long, order("b")],
    )
    .await;
    name
}

/// Keys that open no copy, and files without a key, are refused; the letters are as before.
async fn assert_wrong_keys_change_nothing(bench: &Bench, file: &str, before: &str) {
    let wrong = identity(bench, "wrong.txt", OTHER_SECRET);
    let none = identity(bench, "none.txt", "# no key");
    for (key, expected) in [
        (wrong.as_str(), "opens none of the 4 sealed copies"),
        (&none, "has no secret key of age"),
        ("/nowhere/key.txt", "cannot be read"),
    ] {
        let (code, _, said) = dead_letters(&["replay", "--remap", "--identity", key], file).await;
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains(&OTHER_SECRET[20..40]), "{said}");
    }
    let (code, _, said) = dead_letters(&["replay", "--remap"], file).await;
    assert_eq!(code, Some(64), "{said}");
    let (_, shown, _) = dead_letters(&["show"], file).await;
    assert_eq!(shown, before);
}

#[tokio::test]
async fn a_fixed_mapping_is_applied_to_events_out_of_their_sealed_copies() {
    let mut bench = bench().await;
    let name = reject_five(&bench).await;
    assert_nothing_personal(&bench);
    fix(&mut bench);
    bench.sink(&json!({"consent": {"when_absent": "drop"}, "event_mappings": {name: "Lead"}}));
    let file = bench.write();
    let (_, before, _) = dead_letters(&["show"], &file).await;
    assert_eq!(before.lines().count(), 5, "{before}");
    assert_eq!(before.matches("\"sealed\":").count(), 4, "{before}");
    assert!(before.contains("\"payload\":null"), "{before}");

    assert_wrong_keys_change_nothing(&bench, &file, &before).await;
    // A file may have other keys, too.
    let key = identity(
        &bench,
        "key.txt",
        &format!("# mine\n{OTHER_SECRET}\n{SECRET}\n"),
    );
    #[cfg(unix)]
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let remap = ["replay", "--remap", "--identity", &key];
    let dry = [&remap[..], &["--dry-run"]].concat();
    let (code, table, said) = dead_letters(&dry, &file).await;
    assert_eq!(code, Some(0), "{table}{said}");
    assert!(said.contains("others can read"), "{said}");
    for (label, count) in [
        ("would be sent", "3"),
        ("would be filtered", "1"),
        ("no sealed copy", "1"),
    ] {
        let row = table.lines().find(|line| line.trim().starts_with(label));
        let row = row.unwrap_or_else(|| panic!("no `{label}` in {table}"));
        assert!(row.contains(count), "{row}");
    }
    let (code, table, said) = dead_letters(&remap, &file).await;
    assert_eq!(code, Some(0), "{table}{said}");
    assert!(
        table.contains("consent_absent") && table.contains("no sealed copy"),
        "{table}"
    );
    for text in PERSONAL {
        assert!(
            !format!("{table}{said}").to_lowercase().contains(text),
            "{table}{said}"
        );
    }
    let sent = bench.sandbox.unique();
    let ids: BTreeSet<_> = sent.iter().map(|event| id_of(event)).collect();
    assert_eq!(ids, ["a", "b", "long"].map(str::to_owned).into());
    for event in sent.iter().filter(|event| id_of(event) != "long") {
        let event: Value = serde_json::from_str(event).unwrap();
        assert_eq!(event["custom_data"]["value"], 12.5, "{event}");
        assert_eq!(
            event["user_data"]["em"].as_array().map(Vec::len),
            Some(1),
            "{event}"
        );
    }
    let (_, left, _) = dead_letters(&["show"], &file).await;
    assert_eq!(left.lines().map(id_of).collect::<Vec<_>>(), ["large"]);
    assert_nothing_personal(&bench);
}

#[tokio::test]
async fn without_the_option_no_copy_is_kept_and_a_replay_says_so() {
    let mut bench = bench().await;
    bench.sink(&json!({"dead_letters": {}}));
    reject(&bench, &[order("a")]).await;
    fix(&mut bench);
    let file = bench.write();
    let (_, before, _) = dead_letters(&["show"], &file).await;
    assert!(!before.contains("sealed"), "{before}");
    assert!(
        !bench
            .folder
            .path()
            .join("data/dead_letters/meta/sealed_copies")
            .exists()
    );
    let key = identity(&bench, "key.txt", SECRET);
    let (code, table, said) = dead_letters(&["replay", "--remap", "--identity", &key], &file).await;
    assert_eq!(code, Some(0), "{table}{said}");
    assert!(table.contains("no sealed copy"), "{table}");
    assert_eq!(dead_letters(&["show"], &file).await.1, before);
}

#[tokio::test]
async fn a_replay_of_copies_that_is_killed_again_and_again_loses_nothing_and_repeats_nothing() {
    const LETTERS: usize = 40;
    const KILLS: u64 = 5;
    let mut bench = bench().await;
    let events: Vec<_> = (0..LETTERS).map(|id| order(&format!("e-{id}"))).collect();
    reject(&bench, &events).await;
    fix(&mut bench);
    let file = bench.write();
    for id in ["e-3", "e-17", "e-31"] {
        refuse(&bench, id);
    }
    let key = identity(&bench, "key.txt", SECRET);
    let remap = ["replay", "--remap", "--identity", &key];
    let most = (LETTERS - 3) as u64;
    let wanted = |before: u64, kill: u64| (before + 4 * kill).min(most);
    kill_replays(&bench, &remap, LETTERS, KILLS, wanted).await;
    dead_letters(&remap, &file).await;
    let (_, shown, _) = dead_letters(&["show"], &file).await;
    let mut left: Vec<_> = shown.lines().map(id_of).collect();
    left.sort();
    assert_eq!(left, ["e-17", "e-3", "e-31"], "each is there once: {shown}");
    assert!(
        !shown.contains("\"sealed\":"),
        "what was sent has no copy: {shown}"
    );
    assert_eq!(bench.sandbox.unique().len(), LETTERS - 3);
    assert_nothing_personal(&bench);
}

#[tokio::test]
async fn a_copy_that_is_too_old_is_not_opened_and_the_next_run_removes_it() {
    let mut bench = bench().await;
    reject(&bench, &[order("a"), order("b")]).await;
    let segment = bench
        .folder
        .path()
        .join("data/dead_letters/meta/00000001.ndjson");
    let text = std::fs::read_to_string(&segment).unwrap();
    let key = "\"sealed_until\":\"";
    let (first, rest) = text.split_once(key).unwrap();
    let (_, rest) = rest.split_once('"').unwrap();
    std::fs::write(
        &segment,
        format!("{first}{key}2020-01-01T00:00:00Z\"{rest}"),
    )
    .unwrap();
    fix(&mut bench);
    let file = bench.write();
    let identity = identity(&bench, "key.txt", SECRET);
    let remap = ["replay", "--remap", "--identity", &identity];
    let dry = [&remap[..], &["--dry-run"]].concat();
    let (_, table, said) = dead_letters(&dry, &file).await;
    for label in ["would be sent", "no sealed copy"] {
        let row = table.lines().find(|line| line.trim().starts_with(label));
        assert!(row.is_some_and(|row| row.contains('1')), "{table}{said}");
    }
    let (process, _) = bench.start(&["run"]).await;
    let copies = || {
        std::fs::read_to_string(&segment)
            .unwrap()
            .matches("\"sealed\":")
            .count()
    };
    eventually(|| copies() == 1, || copies().to_string()).await;
    process.terminate();
    assert_eq!(process.end().await.0.code(), Some(0));
    let (code, table, said) = dead_letters(&remap, &file).await;
    assert_eq!(code, Some(0), "{table}{said}");
    let (_, left, _) = dead_letters(&["show"], &file).await;
    assert_eq!(left.lines().map(id_of).collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn a_key_that_is_none_or_secret_is_refused_at_its_place_and_not_quoted() {
    let mut bench = Bench::new().await;
    let slip = PUBLIC.replace(&PUBLIC[10..12], "zz");
    for (key, expected) in [
        (slip.as_str(), "is not a public key of age"),
        ("", "is not a public key of age"),
        (SECRET, "is a secret key of age"),
    ] {
        bench.sink(&json!({"dead_letters": {"keep_raw": {"public_key": key, "max_age_days": 3}}}));
        let file = bench.write();
        let (status, table, said) = Process::start(&["validate", &file]).end().await;
        assert_ne!(status.code(), Some(0));
        let said = format!("{table}{said}");
        assert!(
            said.contains("sinks.meta.dead_letters.keep_raw.public_key"),
            "{said}"
        );
        assert!(
            said.contains(expected) && !said.contains(&SECRET[20..40]),
            "{said}"
        );
    }
}
