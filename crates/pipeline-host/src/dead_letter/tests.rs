//! What is written, bounded, kept through trouble, and shared by two writers.

use super::*;
use crate::event::{Place, Position};
use pipeline_core::{DestinationCode, Reason, Record};
use serde_json::{Value, json};
use tempfile::TempDir;

fn letter() -> Letter {
    Letter {
        reason: Reason::new("too_old", "older than seven days"),
        position: Position {
            source: "events".into(),
            place: Place::Line(17),
        },
        attempts: 2,
        first_ms: 1_000,
        record: None,
        history: [].into(),
    }
}

fn record(id: &str) -> Record {
    Record {
        payload: format!("{{\"id\": \"{id}\",  \"n\": 1.50}}").into(),
        partition: "42".into(),
        event_time: 7,
        expires_at: 9,
        event_id: id.into(),
        label: "a → b".into(),
    }
}

/// Letters of a sink `meta`, in segments of this many bytes.
fn letters(folder: &TempDir, max_bytes: u64, segment_bytes: u64) -> DeadLetters {
    DeadLetters {
        segment_bytes,
        ..DeadLetters::new(folder.path(), "meta", max_bytes)
    }
}

fn segment(letters: &DeadLetters, number: u32) -> String {
    let path = letters.path().join(format!("{number:08}.ndjson"));
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_line_says_everything_about_an_event_and_has_its_payload_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 10_000, 10_000);
    let code = DestinationCode {
        code: 100,
        subcode: Some(33),
    };
    let past = |attempts| Past {
        reason: "expired".into(),
        destination: None,
        attempts,
        time_ms: 0,
    };
    let letter = Letter {
        reason: Reason::new("refused", "no").with_destination(code),
        record: Some(record("a")),
        history: (0..12).map(past).collect(),
        ..letter()
    };
    letters.append(&[letter], 61_000).unwrap();
    let text = segment(&letters, 1);
    assert!(
        text.contains("\"payload\":{\"id\": \"a\",  \"n\": 1.50}"),
        "{text}"
    );
    let mut line: Value = serde_json::from_str(&text).unwrap();
    let history = line["history"].take();
    let attempts = history.as_array().unwrap().iter();
    let attempts: Vec<_> = attempts
        .map(|past| past["attempts"].as_u64().unwrap())
        .collect();
    assert_eq!(attempts, (2..12).collect::<Vec<_>>());
    let expected = json!({
        "time": "1970-01-01T00:01:01Z", "sink": "meta", "reason": "refused", "detail": "no",
        "destination_code": 100, "destination_subcode": 33, "attempts": 2,
        "first_time": "1970-01-01T00:00:01Z", "last_time": "1970-01-01T00:01:01Z",
        "event_id": "a", "event_time": 7, "expires_at": 9, "partition": "42", "label": "a → b",
        "source": "events line 17", "history": null, "payload": {"id": "a", "n": 1.5},
    });
    assert_eq!(line, expected);
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_dead_letters() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 300, 300);
    letters.append(&[letter()], 0).unwrap();
    for name in ["", "00000001.ndjson", "lock"] {
        let path = letters.path().join(name);
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[test]
fn full_dead_letters_refuse_and_take_again_once_they_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 500, 10_000);
    letters.append(&[letter()], 0).unwrap();
    let refused = letters.append(&[letter()], 0).unwrap_err();
    assert!(
        matches!(refused, DeadLetterError::Full { max_bytes: 500, .. }),
        "{refused}"
    );
    for word in [
        "`meta`",
        "replay",
        "purge",
        "move",
        "dead_letters.max_bytes",
    ] {
        assert!(refused.to_string().contains(word), "{refused}");
    }
    let segment = letters.path().join("00000001.ndjson");
    let text = std::fs::read_to_string(&segment).unwrap();
    assert_eq!(text.lines().count(), 1);
    std::fs::rename(&segment, folder.path().join("moved")).unwrap();
    letters.append(&[letter()], 0).unwrap();
    std::fs::rename(letters.path(), folder.path().join("moved with the folder")).unwrap();
    letters.append(&[letter()], 0).unwrap();
    assert_eq!(std::fs::read_to_string(&segment).unwrap(), text);
}

#[test]
fn the_bound_is_exact_and_holds_for_all_segments_together() {
    let folder = tempfile::tempdir().unwrap();
    letters(&folder, 10_000, 1).append(&[letter()], 0).unwrap();
    let line = segment(&letters(&folder, 0, 0), 1).len() as u64;
    let letters = letters(&folder, 4 * line, 2 * line);
    for _ in 0..3 {
        letters.append(&[letter()], 0).unwrap();
    }
    assert!(letters.append(&[letter()], 0).is_err());
    let lines = |number| segment(&letters, number).lines().count();
    assert_eq!([lines(1), lines(2), lines(3)], [2, 2, 0]);
}

#[test]
fn the_single_file_of_an_earlier_version_counts_but_is_not_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 1_000, 10_000);
    letters.append(&[letter()], 0).unwrap();
    let old = folder.path().join("dead_letters/meta.ndjson");
    std::fs::write(&old, "x".repeat(900)).unwrap();
    assert!(letters.append(&[letter()], 0).is_err());
    std::fs::write(&old, "x".repeat(100)).unwrap();
    letters.append(&[letter()], 0).unwrap();
    assert_eq!(std::fs::read(&old).unwrap().len(), 100);
    assert_eq!(segment(&letters, 1).lines().count(), 2);
}

#[test]
fn a_line_cut_short_by_a_crash_costs_itself_alone() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 10_000, 10_000);
    letters.append(&[letter(), letter()], 0).unwrap();
    let path = letters.path().join("00000001.ndjson");
    let text = std::fs::read(&path).unwrap();
    for cut in [text.len() - 1, text.len() - 40, text.len() / 2 + 1] {
        std::fs::write(&path, &text[..cut]).unwrap();
        letters.append(&[letter()], 0).unwrap();
        let after = segment(&letters, 1);
        let good = after
            .lines()
            .filter(|line| serde_json::from_str::<Value>(line).is_ok());
        let expected = if cut == text.len() - 1 { 3 } else { 2 };
        assert_eq!(
            (after.lines().count(), good.count()),
            (3, expected),
            "{cut}"
        );
    }
}

#[test]
fn files_that_are_no_segments_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 10_000, 10_000);
    letters.append(&[letter()], 0).unwrap();
    for name in [
        "00000002.ndjson.gz",
        "7.ndjson",
        "mine.ndjson",
        "0000000x.ndjson",
    ] {
        std::fs::write(letters.path().join(name), "mine").unwrap();
    }
    std::fs::create_dir(letters.path().join("00000009.ndjson")).unwrap();
    letters.append(&[letter()], 0).unwrap();
    assert_eq!(segment(&letters, 1).lines().count(), 2);
}

#[test]
fn numbers_go_on_beyond_eight_digits() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 10_000, 1);
    letters.append(&[letter()], 0).unwrap();
    let path = |name: &str| letters.path().join(name);
    std::fs::rename(path("00000001.ndjson"), path("99999999.ndjson")).unwrap();
    letters.append(&[letter()], 0).unwrap();
    letters.append(&[letter()], 0).unwrap();
    assert!(path("100000000.ndjson").exists() && path("100000001.ndjson").exists());
    std::fs::rename(
        path("100000001.ndjson"),
        path(&format!("{}.ndjson", u64::MAX)),
    )
    .unwrap();
    let error = letters.append(&[letter()], 0).unwrap_err().to_string();
    assert!(error.contains("no number is left"), "{error}");
}

#[test]
fn two_writers_never_mix_their_lines_or_pass_the_bound() {
    const WRITERS: usize = 4;
    const EACH: usize = 25;
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                // Each has files of its own open, as another process would.
                let letters = letters(&folder, 1_000_000, 4_000);
                for _ in 0..EACH {
                    letters.append(&[letter(), letter()], 0).unwrap();
                }
            });
        }
    });
    let letters = letters(&folder, 1_000_000, 4_000);
    let texts: Vec<_> = (1..100).map(|number| segment(&letters, number)).collect();
    let lines: Vec<_> = texts.iter().flat_map(|text| text.lines()).collect();
    assert_eq!(lines.len(), WRITERS * EACH * 2);
    assert!(
        lines
            .iter()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );
    assert!(
        texts.iter().all(|text| text.len() < 5_000),
        "segments are closed"
    );
}
