//! What is written, bounded, kept through trouble, and shared by two writers.

use super::*;
use pipeline_core::{Origin, Reason, Record};
use serde_json::{Value, json};
use tempfile::TempDir;

fn letter() -> Letter {
    Letter {
        reason: Reason::new("too_old", "older than seven days"),
        origin: Origin::line("events".into(), 17),
        attempts: 2,
        first_ms: 1_000,
        record: None,
        label: None,
        history: [].into(),
        trace: None,
        sealed: None,
    }
}

fn record(id: &str) -> Record {
    Record::new(format!("{{\"id\": \"{id}\",  \"n\": 1.50}}"), id)
        .in_partition("42")
        .at(7)
        .expiring_at(9)
        .labeled("a → b")
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
fn no_second_data_folder_is_begun_where_the_first_was_moved_away_or_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (data, elsewhere) = (folder.path().join("data"), folder.path().join("elsewhere"));
    std::fs::create_dir(&data).unwrap();
    for is_first in [true, false] {
        let letters = DeadLetters::new(&data, "meta", 10_000);
        if !is_first {
            letters.append(&[letter()], 1).unwrap();
        }
        std::fs::rename(&data, &elsewhere).unwrap();
        let error = letters.append(&[letter()], 1).unwrap_err().to_string();
        assert!(error.contains("was deleted or moved"), "{error}");
        let plain = letters.append_plain(&[letter()], &mut Shares::default(), 1);
        assert!(plain.is_err());
        assert!(!data.exists());
        std::fs::rename(&elsewhere, &data).unwrap();
        letters.append(&[letter()], 2).unwrap();
    }
    let new = folder.path().join("new");
    DeadLetters::new(&new, "meta", 10_000)
        .append(&[letter()], 1)
        .unwrap();
    assert!(new.is_dir(), "one that is not there yet is made");
}

#[test]
fn a_line_says_everything_about_an_event_and_has_its_payload_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 10_000, 10_000);
    let code = Some("100/33");
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
        "destination_code": "100/33", "attempts": 2,
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
    // As long as the first one, which would be recognized.
    let other = || Letter {
        origin: Origin::line("events".into(), 18),
        ..letter()
    };
    for _ in 0..3 {
        letters.append(&[other()], 0).unwrap();
    }
    assert!(letters.append(&[other()], 0).is_err());
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
        for writer in 0..WRITERS {
            let folder = &folder;
            scope.spawn(move || {
                // Each has files of its own open, as another process would, and letters of a line of its own: those of another
                // would be recognized.
                let letters = letters(folder, 1_000_000, 4_000);
                let of_writer = || Letter {
                    origin: Origin::line("events".into(), writer as u64),
                    ..letter()
                };
                for _ in 0..EACH {
                    letters.append(&[of_writer(), of_writer()], 0).unwrap();
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

/// A letter with this id and reason.
fn of(id: &str, reason: &'static str) -> Letter {
    Letter {
        reason: Reason::new(reason, "a sentence"),
        record: Some(record(id)),
        ..letter()
    }
}

fn write(letters: &DeadLetters, now_ms: i64, all: &[(&str, &'static str)]) {
    for (id, reason) in all {
        letters.append(&[of(id, reason)], now_ms).unwrap();
    }
}

/// The ids of the letters that can be read, and how many places could not.
fn ids(letters: Letters) -> (Vec<String>, usize) {
    let (mut ids, mut problems) = (Vec::new(), 0);
    for letter in letters {
        match letter.map(|letter| letter.record) {
            Ok(Some(record)) => ids.push(record.event_id.into()),
            Ok(None) => ids.push("-".to_owned()),
            Err(_) => problems += 1,
        }
    }
    (ids, problems)
}

fn all_ids(letters: &DeadLetters) -> Vec<String> {
    let (ids, problems) = ids(letters.letters().unwrap());
    assert_eq!(problems, 0);
    ids
}

#[test]
fn what_was_written_is_read_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 100_000, 1);
    let code = Some("100");
    let past = Past {
        reason: "expired".into(),
        destination: code.map(Into::into),
        attempts: 3,
        time_ms: 5_000,
    };
    let written = Letter {
        reason: Reason::new("refused", "say \"no\"").with_destination(code),
        history: [past.clone()].into(),
        ..of("a", "x")
    };
    letters.append(&[written], 61_000).unwrap();
    letters.append(&[letter()], 62_000).unwrap();
    let read: Vec<_> = letters.letters().unwrap().map(Result::unwrap).collect();
    let [first, second] = &read[..] else {
        panic!("{read:?}")
    };
    assert_eq!(first.record, Some(record("a")));
    assert_eq!((first.first_ms, first.last_ms), (1_000, 61_000));
    assert_eq!(
        (&*first.reason, &*first.detail, first.destination.as_deref()),
        ("refused", "say \"no\"", code)
    );
    assert_eq!(&*first.history, [past]);
    assert_eq!((&*second.source, second.attempts), ("events line 17", 2));
    assert_eq!((&second.record, &second.destination), (&None, &None));
    let text = segment(&letters, 1);
    assert_eq!(first.line, text.trim_end());
}

#[test]
fn a_sink_without_dead_letters_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 1_000, 1_000);
    assert_eq!(all_ids(&letters), [] as [&str; 0]);
    assert_eq!(
        letters.purge(&Filter::default()).unwrap(),
        Purged::default()
    );
    assert!(!letters.path().exists(), "looking makes no folders");
    assert!(letters.take_for_replay().unwrap().segments().is_empty());
}

#[test]
fn a_damaged_line_is_reported_in_its_place_and_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 100_000, 100_000);
    write(&letters, 0, &[("a", "x"), ("b", "x"), ("c", "x")]);
    let text = segment(&letters, 1);
    let mut lines: Vec<_> = text.lines().collect();
    lines[1] = &lines[1][..100];
    lines.insert(2, "");
    let path = letters.path().join("00000001.ndjson");
    std::fs::write(&path, lines.join("\n")).unwrap();
    let found: Vec<_> = letters.letters().unwrap().collect();
    assert_eq!(found.len(), 3);
    let problem = found[1].as_ref().unwrap_err().to_string();
    let expected = format!(
        "line 2 of `{}` is not a valid dead letter and was skipped",
        path.display()
    );
    assert_eq!(problem, expected);
    assert_eq!(ids(letters.letters().unwrap()).0, ["a", "c"]);
}

#[test]
fn the_file_of_an_earlier_version_is_read_first() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 100_000, 1);
    write(&letters, 0, &[("old", "x")]);
    let single = folder.path().join("dead_letters/meta.ndjson");
    std::fs::rename(letters.path().join("00000001.ndjson"), &single).unwrap();
    assert_eq!(all_ids(&letters), ["old"]);
    write(&letters, 0, &[("b", "x"), ("c", "x")]);
    assert_eq!(all_ids(&letters), ["old", "b", "c"]);
    let replay = letters.take_for_replay().unwrap();
    assert!(!single.exists());
    let taken: Vec<_> = replay.segments().iter().map(Segment::letters).collect();
    let taken: Vec<_> = taken.into_iter().map(|letters| ids(letters).0).collect();
    assert_eq!(taken, [["old"], ["b"], ["c"]]);
    drop(replay);
    std::fs::write(&single, "damaged").unwrap();
    letters.purge(&Filter::default()).unwrap();
    assert!(!single.exists());
}

#[test]
fn a_purge_deletes_what_fits_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 100_000, 1_000);
    write(&letters, 0, &[("a", "x"), ("b", "y"), ("c", "x")]);
    write(&letters, 9_000, &[("d", "x"), ("e", "y"), ("f", "z")]);
    let segment_1 = letters.path().join("00000001.ndjson");
    let text = std::fs::read_to_string(&segment_1).unwrap();
    std::fs::write(&segment_1, format!("damaged\n{text}")).unwrap();
    let filter = |reason: &str, before_ms| Filter {
        before_ms,
        ..Filter::of_reason(reason)
    };
    let purge = |filter| {
        let purged = letters.purge(&filter).unwrap();
        assert!(!purged.left_to_replay);
        let (ids, problems) = ids(letters.letters().unwrap());
        (purged.deleted, purged.kept, ids.concat(), problems)
    };
    assert_eq!(purge(filter("none", None)), (0, 6, "abcdef".to_owned(), 1));
    assert_eq!(
        purge(filter("x", Some(9_000))),
        (2, 4, "bdef".to_owned(), 1)
    );
    assert_eq!(purge(filter("y", None)), (2, 2, "df".to_owned(), 1));
    let old = Filter {
        before_ms: Some(9_001),
        ..Filter::default()
    };
    assert_eq!(purge(old), (2, 0, String::new(), 1));
    assert_eq!(purge(Filter::default()), (0, 0, String::new(), 0));
    assert!(!letters.path().join("rewriting").exists());
    assert_eq!(letters.percent_full().unwrap(), 0);
}

#[cfg(unix)]
#[test]
fn a_segment_that_was_written_anew_is_the_owners_alone_and_is_appended_to() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 100_000, 100_000);
    write(&letters, 0, &[("a", "x"), ("b", "y")]);
    let filter = Filter::of_reason("x");
    letters.purge(&filter).unwrap();
    write(&letters, 0, &[("c", "x")]);
    let path = letters.path().join("00000001.ndjson");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0);
    assert_eq!(all_ids(&letters), ["b", "c"]);
}

#[test]
fn purging_beside_a_writer_loses_nothing() {
    const LETTERS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 10_000_000, 3_000);
    let filter = Filter::of_reason("x");
    let deleted: u64 = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for id in 0..LETTERS {
                let reason = if id % 2 == 0 { "x" } else { "y" };
                write(&letters, 0, &[(&id.to_string(), reason)]);
            }
        });
        let mut deleted = 0;
        while !writer.is_finished() {
            deleted += letters.purge(&filter).unwrap().deleted;
        }
        deleted + letters.purge(&filter).unwrap().deleted
    });
    let odd = (0..LETTERS).filter(|id| id % 2 == 1);
    let expected: Vec<_> = odd.map(|id| id.to_string()).collect();
    assert_eq!((deleted, all_ids(&letters)), (LETTERS as u64 / 2, expected));
}

#[test]
fn a_replay_takes_everything_and_gives_up_only_what_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 100_000, 1);
    write(&letters, 0, &[("a", "x"), ("b", "x")]);
    let replay = letters.take_for_replay().unwrap();
    assert_eq!(replay.segments().len(), 2);
    assert_eq!(letters.percent_full().unwrap(), 0);
    // Meanwhile the pipeline runs, and somebody looks.
    write(&letters, 0, &[("c", "x")]);
    assert_eq!(all_ids(&letters), ["a", "b", "c"]);
    let error = letters.take_for_replay().unwrap_err();
    assert!(
        matches!(error, DeadLetterError::Replaying { .. }),
        "{error}"
    );
    let purged = letters.purge(&Filter::default()).unwrap();
    assert!(purged.left_to_replay);
    assert_eq!(
        (purged.deleted, all_ids(&letters)),
        (1, vec!["a".into(), "b".into()])
    );
    replay.mark(&replay.segments()[0], &[1]).unwrap();
    assert_eq!(all_ids(&letters), ["b"]);
    replay.give_back(&replay.segments()[0]).unwrap();
    replay.give_back(&replay.segments()[0]).unwrap();
    // It ends, or is killed, before it is done.
    drop(replay);
    write(&letters, 0, &[("d", "x")]);
    let replay = letters.take_for_replay().unwrap();
    let taken = replay
        .segments()
        .iter()
        .flat_map(|segment| ids(segment.letters()).0);
    assert_eq!(taken.collect::<Vec<_>>(), ["b", "d"]);
    for segment in replay.segments() {
        replay.mark(segment, &[1]).unwrap();
        replay.give_back(segment).unwrap();
    }
    assert_eq!(all_ids(&letters), [] as [&str; 0]);
}

#[test]
fn a_segment_without_marks_goes_back_as_it_was_and_before_what_is_newer() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 100_000, 1);
    write(&letters, 0, &[("a", "x"), ("b", "x")]);
    let before = std::fs::read(letters.path().join("00000001.ndjson")).unwrap();
    let replay = letters.take_for_replay().unwrap();
    write(&letters, 0, &[("c", "x")]);
    for segment in replay.segments() {
        assert!(replay.give_back(segment).unwrap());
    }
    drop(replay);
    assert_eq!(all_ids(&letters), ["a", "b", "c"]);
    let oldest = letters.letters().unwrap().next().unwrap().unwrap();
    assert_eq!([&oldest.line[..], b"\n"].concat(), before);
}

#[test]
fn what_there_is_no_room_for_stays_taken_and_no_more_is_taken_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 500, 1);
    write(&letters, 0, &[("a", "x")]);
    for _ in 0..3 {
        let replay = letters.take_for_replay().unwrap();
        let _ = letters.append(&[of("b", "x")], 0);
        for segment in replay.segments() {
            assert!(!replay.give_back(segment).unwrap());
        }
    }
    let mut left = all_ids(&letters);
    left.sort();
    assert_eq!(left, ["a", "b", "b"], "twice the room, and no more");
}

#[test]
fn what_a_killed_replay_had_written_again_is_recognized_once() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 100_000, 100_000);
    write(&letters, 0, &[("a", "x"), ("a", "x"), ("b", "x")]);
    let replay = letters.take_for_replay().unwrap();
    let first = replay.segments()[0].letters().next().unwrap().unwrap();
    assert!(!replay.is_written_again(&first), "nothing was killed");
    let again = Letter {
        history: first.history_when_replayed(),
        ..of("a", "x")
    };
    letters.for_replay().append(&[again], 5_000).unwrap();
    // Killed before it could mark the first one.
    drop(replay);
    for _ in 0..2 {
        let replay = letters.take_for_replay().unwrap();
        let taken: Vec<_> = replay
            .segments()
            .iter()
            .flat_map(|segment| segment.letters().flatten())
            .collect();
        let known: Vec<_> = taken
            .iter()
            .map(|letter| replay.is_written_again(letter))
            .collect();
        assert_eq!(known, [true, false, false, false]);
    }
}

#[test]
fn what_cannot_be_replayed_goes_back_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 100_000, 100_000);
    letters.append(&[letter(), of("a", "x")], 61_000).unwrap();
    let path = letters.path().join("00000001.ndjson");
    let text = std::fs::read_to_string(&path).unwrap();
    let (without_payload, _) = text.split_once('\n').unwrap();
    std::fs::write(&path, format!("damaged\n{text}torn")).unwrap();
    let replay = letters.take_for_replay().unwrap();
    let [taken] = replay.segments() else {
        panic!("{replay:?}")
    };
    // The second line is the letter without a payload, the third the one that was delivered.
    replay.mark(taken, &[3]).unwrap();
    replay.give_back(taken).unwrap();
    drop(replay);
    assert_eq!(
        segment(&letters, 2),
        format!("damaged\n{without_payload}\ntorn")
    );
    // The next letter does not run into what is torn.
    write(&letters, 0, &[("b", "x")]);
    let (ids, problems) = ids(letters.letters().unwrap());
    assert_eq!((ids, problems), (vec!["-".to_owned(), "b".to_owned()], 2));
}

#[test]
fn full_letters_can_be_replayed_and_what_fails_again_has_room() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 500, 100_000);
    write(&letters, 0, &[("a", "x")]);
    assert!(letters.append(&[of("b", "x")], 0).is_err());
    assert!(letters.percent_full().unwrap() > 50);
    let replay = letters.take_for_replay().unwrap();
    write(&letters, 0, &[("a", "again")]);
    replay.mark(&replay.segments()[0], &[1]).unwrap();
    replay.give_back(&replay.segments()[0]).unwrap();
    assert_eq!(all_ids(&letters), ["a"]);
}

#[test]
fn a_line_too_long_for_a_letter_is_one_problem_and_survives_a_purge() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 1_000_000_000, 100_000);
    write(&letters, 0, &[("a", "x"), ("b", "y")]);
    let path = letters.path().join("00000001.ndjson");
    let mut text = vec![b'x'; 2 * MAX_LETTER_BYTES + 1];
    text.push(b'\n');
    text.extend(std::fs::read(&path).unwrap());
    std::fs::write(&path, &text).unwrap();
    assert_eq!(
        ids(letters.letters().unwrap()),
        (vec!["a".into(), "b".into()], 1)
    );
    let filter = Filter::of_reason("x");
    letters.purge(&filter).unwrap();
    assert_eq!(ids(letters.letters().unwrap()), (vec!["b".into()], 1));
    assert!(path.metadata().unwrap().len() > 2 * MAX_LETTER_BYTES as u64);
}

#[test]
fn a_summary_groups_by_reason_and_code_and_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder, 10_000_000, 10_000_000);
    let refused = |code: i32| Letter {
        reason: Reason::new("refused", format!("because {code}"))
            .with_destination(Some(code.to_string())),
        ..letter()
    };
    letters
        .append(&[refused(1), refused(2), letter()], 5_000)
        .unwrap();
    letters.append(&[refused(1)], 6_000).unwrap();
    let summary = Summary::of(letters.letters().unwrap());
    let groups: Vec<_> = summary.groups.iter().collect();
    assert_eq!((groups.len(), summary.letters), (3, 4));
    let (key, group) = groups[0];
    assert_eq!(key.destination.as_deref(), Some("1"));
    assert_eq!(
        (group.letters, group.first_ms, group.last_ms),
        (2, 1_000, 6_000)
    );
    assert_eq!(group.example, "because 1");
    let many: Vec<_> = (0..1_500).map(refused).collect();
    letters.append(&many, 0).unwrap();
    let summary = Summary::of(letters.letters().unwrap());
    assert_eq!(summary.groups.len(), MAX_GROUPS + 1);
    assert_eq!(summary.letters, 1_504);
}

#[cfg(target_os = "linux")]
#[test]
fn a_link_in_the_place_of_a_file_is_refused_and_its_target_is_untouched() {
    for name in [
        "00000001.ndjson",
        "without_payload.ndjson",
        "lock",
        "rewriting",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let letters = letters(&folder, 1_000_000, 10_000);
        let target = folder.path().join("target");
        std::fs::write(&target, "mine").unwrap();
        std::fs::create_dir_all(letters.path()).unwrap();
        std::os::unix::fs::symlink(&target, letters.path().join(name)).unwrap();
        let appended = letters.append(&[letter(), of("a", "b")], 0);
        let plain = letters.append_plain(&[letter()], &mut Shares::default(), 0);
        let purged = letters.purge(&Filter::of_reason("b"));
        let refused = [appended.is_err(), plain.is_err(), purged.is_err()];
        assert!(refused.contains(&true), "{name}");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine", "{name}");
    }
}

/// A letter of one of a few kinds: an event with a payload, or one without.
fn of_kind(kind: u8) -> Letter {
    let line = u64::from(kind % 3);
    let origin = Origin::line("events".into(), line);
    if kind < 6 {
        let record = Some(record(["a", "b"][usize::from(kind / 3)]));
        return Letter {
            origin,
            record,
            ..letter()
        };
    }
    let raw: &[u8] = [b"{\"a\"" as &[u8], b"[1"][usize::from(kind % 2)];
    Letter {
        origin,
        trace: Some(Box::new(Trace::of(raw, None))),
        sealed: None,
        ..letter()
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Compared with a folder that only counts: each letter of the first run accounts for one of the second, whatever the order and
    /// the groups in which they come.
    #[test]
    fn letters_of_an_earlier_run_are_not_written_again(
        first in proptest::collection::vec(0_u8..10, 0..20),
        second in proptest::collection::vec(proptest::collection::vec(0_u8..10, 0..6), 0..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let write = |run: &DeadLetters, kinds: &[u8]| {
            let (plain, whole): (Vec<_>, Vec<_>) =
                kinds.iter().map(|kind| of_kind(*kind)).partition(|letter| letter.record.is_none());
            run.append(&whole, 1_000).unwrap();
            let kept = run.append_plain(&plain, &mut Shares::default(), 1_000).unwrap();
            assert_eq!(kept, plain.len());
        };
        // Segments so small that each holds a few letters would leave older ones out of sight.
        let run = || letters(&folder, 1 << 30, 1 << 30);
        write(&run(), &first);
        let restarted = run();
        for group in &second {
            write(&restarted, group);
        }
        let count = |kinds: &mut dyn Iterator<Item = u8>| {
            let mut counts = std::collections::BTreeMap::new();
            for kind in kinds {
                *counts.entry(key_of(&of_kind(kind))).or_insert(0_usize) += 1;
            }
            counts
        };
        let (before, after) = (
            count(&mut first.iter().copied()),
            count(&mut second.iter().flatten().copied()),
        );
        let mut expected = before;
        for (key, number) in after {
            let known = expected.entry(key).or_insert(0);
            *known = (*known).max(number);
        }
        let mut found = std::collections::BTreeMap::new();
        for letter in run().letters().unwrap() {
            let letter = letter.unwrap();
            let payload = letter.record.as_ref().map(|record| record.payload.to_vec());
            *found.entry((letter.source.clone(), payload, letter.shape.clone())).or_insert(0) += 1;
        }
        proptest::prop_assert_eq!(found, expected);
    }
}

type Key = (String, Option<Vec<u8>>, Option<(Box<str>, usize)>);

fn key_of(letter: &Letter) -> Key {
    let payload = letter.record.as_ref().map(|record| record.payload.to_vec());
    let shape = letter.trace.as_ref();
    let shape = shape.map(|trace| (trace.shape.as_str().into(), trace.bytes));
    (letter.origin.to_string(), payload, shape)
}
