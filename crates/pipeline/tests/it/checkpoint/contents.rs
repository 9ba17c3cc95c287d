//! What files hold besides lines of JSON: other framings, holes, packings and encodings.

use super::{gzip, text, until_delivered};
use crate::destination::{Case, ids};
use serde_json::json;
use std::io::{Seek as _, SeekFrom, Write as _};

/// The failures of a run.
async fn failures(case: &Case) -> Vec<String> {
    let failures = case.run().await.failures;
    failures.iter().map(ToString::to_string).collect()
}

fn pretty(id: usize) -> String {
    serde_json::to_string_pretty(&json!({"id": id.to_string(), "products": [{"a": 1}]})).unwrap()
}

#[tokio::test]
async fn events_are_read_however_a_file_frames_them() {
    let list = |ids: std::ops::Range<usize>| {
        let elements: Vec<_> = ids.map(pretty).collect();
        format!("[{}]\n", elements.join(",\n"))
    };
    let contents = [
        text(0..3).replace('\n', ""),
        text(0..3).replace('\n', "\r"),
        text(0..3).replace('{', "\u{1e}{"),
        format!("\u{feff}{}\u{feff}{}", text(0..2), text(2..3)),
        format!("[{}]", text(0..3).trim_end().replace('\n', ",")),
        format!("{}\0\0\0{}", text(0..2), text(2..3)),
        list(0..3),
        pretty(0) + "\n" + &pretty(1) + &pretty(2),
    ];
    for content in contents {
        let case = Case::reading(&json!("app.log"));
        case.write("app.log", &content);
        assert_eq!(case.delivers().await, ids(0..3), "{content:?}");
        assert_eq!(case.delivers().await, ids(0..0), "{content:?}, again");
        case.append("app.log", list(3..5));
        assert_eq!(case.delivers().await, ids(3..5), "{content:?}, more");
    }
}

#[tokio::test]
async fn a_list_that_grows_is_read_on_within_it() {
    let case = Case::reading(&json!("app.json"));
    case.write(
        "app.json",
        "[\n  {\"id\":\"0\"},\n  {\"id\":\"1\"},\n  {\"id\"",
    );
    assert_eq!(case.delivers().await, ids(0..2));
    case.append(
        "app.json",
        ":\"2\"},\n  {\"id\":\"3\" \"broken\"},\n  {\"id\":\"4\"",
    );
    assert_eq!(case.delivers().await, ids(2..3));
    case.append("app.json", "}\n]\n{\"id\":\"5\"}\n");
    assert_eq!(case.delivers().await, ids(4..6));
    assert_eq!(case.delivers().await, ids(0..0));
}

#[tokio::test]
async fn what_a_truncation_leaves_costs_no_event() {
    let mut case = Case::reading(&json!("app.log"));
    case.source["follow"] = json!(true);
    let running = case
        .start(case.config(&json!({"batch": {"timeout_secs": 0}})))
        .await;
    case.write("app.log", text(0..3));
    until_delivered(&case, 3).await;
    // Its writer continues where it was, behind a hole of more than the longest line.
    for (round, hole) in [(1, 5_000), (2, 7_500_000)] {
        let mut file = std::fs::File::create(case.path("app.log")).unwrap();
        file.seek(SeekFrom::Start(hole)).unwrap();
        file.write_all(text(3 * round..3 * round + 3).as_bytes())
            .unwrap();
        until_delivered(&case, 3 * round + 3).await;
    }
    running.stop_handle().drain();
    assert!(running.finish().await.is_complete());
    assert_eq!(case.take_delivered(), ids(0..9));
    assert!(case.dead_letters().is_empty());
}

#[tokio::test]
async fn a_file_in_another_encoding_is_refused_by_its_name() {
    let utf16 = |mark: &str| -> Vec<u8> {
        let text = format!("{mark}{}", text(0..3));
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let contents = [
        (utf16("\u{feff}"), "UTF-16"),
        (utf16(""), "UTF-16"),
        (b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F".to_vec(), "xz"),
        (b"BZh91AY&SY\0\0\n".to_vec(), "bzip2"),
        (b"PK\x03\x04\x14\0\0\0".to_vec(), "zip"),
    ];
    for (content, name) in contents {
        let case = Case::reading(&json!("*.log"));
        case.write("app.log", &content);
        case.write("good.log", text(3..6));
        let failures = failures(&case).await;
        assert!(
            failures.len() == 1 && failures[0].contains(name),
            "{name}: {failures:?}"
        );
        assert_eq!(case.take_delivered(), ids(3..6), "{name}");
        assert!(case.dead_letters().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_file_without_an_event_is_an_error() {
    for content in ["id,name\n1,a\n2,b\n", "[1,2,3]", "\"text\"\n", "caf\u{e9}"] {
        let case = Case::reading(&json!("app.log"));
        case.write("app.log", content);
        let first = failures(&case).await;
        assert!(
            first.len() == 1 && first[0].contains("no JSON object"),
            "{content}: {first:?}"
        );
        assert!(!case.dead_letters().is_empty(), "{content}");
        assert!(
            failures(&case).await.is_empty(),
            "{content}: nothing is new"
        );
    }
    let case = Case::reading(&json!("app.log"));
    for content in ["", "\n \n", "[]\n", "rubbish\n{\"id\":\"0\"}\n"] {
        case.write("app.log", content);
        assert!(failures(&case).await.is_empty(), "{content}");
    }
}

#[tokio::test]
async fn what_is_behind_packed_content_costs_nothing_and_a_cut_is_told_once() {
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 0).unwrap();
    let parts = [text(0..200), text(200..300)];
    for packed in [
        parts.each_ref().map(|text| gzip(text)),
        parts.each_ref().map(|text| zstd(text)),
    ] {
        let packed = packed.concat();
        for behind in [&b"\0\0\0\0"[..], &[0; 512], b"text"] {
            let case = Case::reading(&json!("app.log.1"));
            case.write("app.log.1", [&packed, behind].concat());
            for expected in [0..300, 0..0, 0..0] {
                assert_eq!(failures(&case).await, [""; 0], "{behind:?}");
                assert_eq!(case.take_delivered(), ids(expected), "{behind:?}");
            }
        }
        let case = Case::reading(&json!("app.log.1"));
        case.write("app.log.1", &packed[..packed.len() - 3]);
        assert_eq!(failures(&case).await.len(), 1);
        let first = case.take_delivered();
        assert_eq!(failures(&case).await.len(), 0, "it was told");
        assert_eq!(case.take_delivered(), ids(0..0));
        case.write("app.log.1", &packed);
        assert_eq!(failures(&case).await.len(), 0);
        assert_eq!([first, case.take_delivered()].concat(), ids(0..300));
    }
}

#[tokio::test]
async fn room_that_a_writer_has_reserved_is_read_when_it_is_filled() {
    let mut case = Case::reading(&json!("app.log"));
    case.source["follow"] = json!(true);
    case.write("app.log", vec![0; 4096]);
    let write_at = |place: usize, text: &str| {
        let mut file = std::fs::File::options()
            .write(true)
            .open(case.path("app.log"))
            .unwrap();
        file.seek(SeekFrom::Start(place as u64)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        place + text.len()
    };
    let running = case
        .start(case.config(&json!({"batch": {"timeout_secs": 0}})))
        .await;
    let mut place = 0;
    for id in 0..4 {
        place = write_at(place, &text(id..id + 1));
        place = write_at(place, "{\"id\"");
        until_delivered(&case, 2 * id + 1).await;
        place = write_at(place, &format!(":\"{}\"}}\n", 100 + id));
        until_delivered(&case, 2 * id + 2).await;
    }
    running.stop_handle().drain();
    assert!(running.finish().await.is_complete());
    assert_eq!(case.take_delivered().len(), 8);
    assert!(case.dead_letters().is_empty());
}
