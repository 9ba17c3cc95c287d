//! Files of one JSON event a line, plain or compressed with gzip, and the newest time in them.

use super::line::{Line, LineReader};
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The first bytes of every gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Read from a file at a time, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// Numbers from here on are milliseconds, not seconds.
const LEAST_MILLISECONDS: f64 = 1e11;

/// What a `file` source reads.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// Paths and patterns as written.
    pub(crate) paths: Vec<PathBuf>,
    /// Where relative ones start.
    pub(crate) base_dir: PathBuf,
    /// Whether times are moved so that the newest is now.
    pub(crate) shift_times: bool,
}

type Located<T> = Result<T, (PathBuf, io::Error)>;

impl Files {
    /// The files in their order; those of a pattern sorted by name. A pattern that no file matches is an error.
    pub(crate) fn expand(&self) -> Vec<Located<PathBuf>> {
        let mut files = Vec::new();
        for written in &self.paths {
            let path = self.base_dir.join(written);
            match written.to_str() {
                // A file whose name looks like a pattern is that file.
                Some(text) if text.contains(['*', '?', '[']) && !path.exists() => {
                    matching(&self.base_dir, text, &path, &mut files);
                }
                _ => files.push(Ok(path)),
            }
        }
        files
    }
}

fn matching(base_dir: &Path, pattern: &str, path: &Path, files: &mut Vec<Located<PathBuf>>) {
    // Only what was written is a pattern, not the folder that it starts in.
    let folder = glob::Pattern::escape(&base_dir.to_string_lossy());
    let pattern = Path::new(&folder).join(pattern);
    let fail = |text: String| Err((path.to_owned(), io::Error::other(text)));
    let before = files.len();
    match glob::glob(&pattern.to_string_lossy()) {
        Ok(found) => files.extend(
            found.map(|found| found.map_err(|error| (error.path().to_owned(), error.into()))),
        ),
        Err(error) => files.push(fail(format!("it is not a pattern: {}", error.msg))),
    }
    if files.len() == before {
        files.push(fail("no file matches this pattern".to_owned()));
    }
}

/// Opens a file; what is compressed is known by its first bytes, whatever its name.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    let mut reader = BufReader::with_capacity(READ_BYTES, file);
    if reader.fill_buf()?.starts_with(&GZIP_MAGIC) {
        let plain = MultiGzDecoder::new(reader);
        return Ok(Box::new(BufReader::with_capacity(READ_BYTES, plain)));
    }
    Ok(Box::new(reader))
}

/// The times that an event may have, the best first.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stamps {
    timestamp: Option<Value>,
    original_timestamp: Option<Value>,
    sent_at: Option<Value>,
}

/// How many milliseconds the newest event of these files lies in the past; 0 where none has a time.
///
/// What cannot be read is passed over here; it is reported when the events are read.
pub(crate) fn shift_ms<'a>(paths: impl Iterator<Item = &'a PathBuf>, now_ms: i64) -> i64 {
    let mut newest = None;
    for path in paths {
        let Ok(reader) = open(path) else { continue };
        let mut lines = LineReader::new(reader);
        while let Ok(Some(line)) = lines.next_line() {
            if let Line::Whole(bytes) = line {
                newest = newest.max(time_ms(bytes));
            }
        }
    }
    newest.map_or(0, |newest| now_ms.saturating_sub(newest))
}

/// The time of an event: `timestamp`, else `originalTimestamp`, else `sentAt`, the first that can be read.
fn time_ms(event: &[u8]) -> Option<i64> {
    let stamps: Stamps = serde_json::from_slice(event).ok()?;
    [stamps.timestamp, stamps.original_timestamp, stamps.sent_at]
        .iter()
        .flatten()
        .find_map(stamp_ms)
}

/// ISO 8601, in UTC where it names no offset, or a number of seconds or milliseconds.
fn stamp_ms(stamp: &Value) -> Option<i64> {
    match stamp {
        Value::String(text) => {
            let exact = text.parse::<Timestamp>().ok();
            let utc = || {
                TimeZone::UTC
                    .to_timestamp(text.parse::<DateTime>().ok()?)
                    .ok()
            };
            Some(exact.or_else(utc)?.as_millisecond())
        }
        Value::Number(number) => {
            let number = number.as_f64()?;
            let ms = if number < LEAST_MILLISECONDS {
                number * 1000.0
            } else {
                number
            };
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates, and no time is that far away"
            )]
            Some(ms as i64)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_event_is_the_first_of_its_stamps_that_can_be_read() {
        let cases = [
            (
                r#"{"timestamp":"1970-01-01T01:00:00+01:00","sentAt":9}"#,
                Some(0),
            ),
            (r#"{"timestamp":"1970-01-01T00:00:02.5"}"#, Some(2_500)),
            (r#"{"timestamp":"1970-01-01 00:00:03Z"}"#, Some(3_000)),
            (r#"{"timestamp":1700000000}"#, Some(1_700_000_000_000)),
            (r#"{"timestamp":1700000000123}"#, Some(1_700_000_000_123)),
            (
                r#"{"timestamp":"soon","originalTimestamp":4,"sentAt":5}"#,
                Some(4_000),
            ),
            (
                r#"{"timestamp":null,"sentAt":"1970-01-01T00:00:05Z"}"#,
                Some(5_000),
            ),
            (r#"{"properties":{"timestamp":1}}"#, None),
            (r#"{"timestamp":{}}"#, None),
            ("[", None),
        ];
        for (event, expected) in cases {
            assert_eq!(time_ms(event.as_bytes()), expected, "{event}");
        }
    }

    #[test]
    fn a_pattern_gives_its_files_sorted_and_a_list_keeps_its_order() {
        let folder = tempfile::tempdir().unwrap();
        // The folder's own name must not count as a pattern.
        let base_dir = folder.path().join("a[b]*");
        std::fs::create_dir(&base_dir).unwrap();
        for name in ["b.ndjson", "a.ndjson", "z.txt", "x[1].ndjson"] {
            std::fs::write(base_dir.join(name), "").unwrap();
        }
        let names = |paths: &[&str]| -> Vec<String> {
            let files = Files {
                paths: paths.iter().map(PathBuf::from).collect(),
                base_dir: base_dir.clone(),
                shift_times: false,
            };
            let shown = files.expand().into_iter().map(|found| match found {
                Ok(path) => path.strip_prefix(&base_dir).unwrap().display().to_string(),
                Err((_, error)) => error.to_string(),
            });
            shown.collect()
        };
        assert_eq!(
            names(&["z.txt", "*.ndjson"]),
            ["z.txt", "a.ndjson", "b.ndjson", "x[1].ndjson"]
        );
        assert_eq!(names(&["x[1].ndjson"]), ["x[1].ndjson"]);
        assert_eq!(names(&["*.gz"]), ["no file matches this pattern"]);
    }
}
