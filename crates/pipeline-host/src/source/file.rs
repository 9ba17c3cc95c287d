//! Files of one JSON event a line, plain or compressed with gzip, and the newest time in them.

use super::line::{Line, LineReader};
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
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

#[derive(Deserialize)]
struct Stamp {
    timestamp: Option<Value>,
}

/// How many milliseconds the newest `timestamp` of these files lies in the past; 0 where there is none.
pub(crate) fn shift_ms(paths: &[PathBuf], now_ms: i64) -> Result<i64, (PathBuf, io::Error)> {
    let mut newest = None;
    for path in paths {
        let located = |error| (path.clone(), error);
        let mut lines = LineReader::new(open(path).map_err(located)?);
        while let Some(line) = lines.next_line().map_err(located)? {
            if let Line::Whole(bytes) = line {
                newest = newest.max(time_ms(bytes));
            }
        }
    }
    Ok(newest.map_or(0, |newest| now_ms.saturating_sub(newest)))
}

fn time_ms(line: &[u8]) -> Option<i64> {
    match serde_json::from_slice::<Stamp>(line).ok()?.timestamp? {
        Value::String(text) => Some(text.parse::<Timestamp>().ok()?.as_millisecond()),
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
