//! The minutes of the last day, in one table of an SQLite database: `data_dir/console.sqlite`.
//!
//! Invariant: at most [`MAX_MINUTES`] rows a sink and [`MAX_SINKS`] sinks. A file that cannot be used costs the earlier part of the
//! day alone: that is said once, and what follows is kept in memory.

use super::history::{Counts, Reasons, Steps};
use super::{MAX_MINUTES, MAX_REASONS, MAX_SINKS};
use pipeline_core::shown;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file.
const FILE: &str = "console.sqlite";
/// The largest count that is believed: adding up a day of them must not overflow.
const MAX_COUNT: u64 = 1 << 40;
/// The version of the table, in the file's header.
const VERSION: i64 = 1;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS minutes (
    sink TEXT NOT NULL, minute INTEGER NOT NULL, delivered INTEGER NOT NULL, retried INTEGER NOT NULL,
    filtered TEXT NOT NULL, rejected TEXT NOT NULL, durations TEXT NOT NULL, PRIMARY KEY (sink, minute)
) WITHOUT ROWID";

/// The columns that make [`Counts`].
const COLUMNS: &str = "minute, delivered, retried, filtered, rejected, durations";

/// The minutes of the last day.
#[derive(Debug)]
pub(crate) struct Minutes {
    /// `None` where SQLite cannot even keep a table in memory.
    connection: Option<Connection>,
    /// Where they are; `None` once they are in memory.
    path: Option<PathBuf>,
    problem: Option<String>,
}

impl Minutes {
    /// Opens the file below this folder, or makes it.
    pub(crate) fn open(data_dir: Option<&Path>) -> Self {
        let path = data_dir.map(|folder| folder.join(FILE));
        let mut minutes = Self {
            connection: None,
            path: None,
            problem: None,
        };
        match path.as_deref().map(open_file) {
            Some(Ok(connection)) => {
                minutes.connection = Some(connection);
                minutes.path = path;
            }
            Some(Err(error)) => {
                minutes.path = path;
                minutes.give_up(&error);
            }
            None => minutes.connection = in_memory(),
        }
        minutes
    }

    /// Why they are not kept on disk, where they are not.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }

    /// Adds minutes; forgets those that are older than a day.
    pub(crate) fn write(&mut self, minutes: &[(String, i64, Counts)]) {
        if let Err(error) = self.try_write(minutes) {
            self.give_up(&error);
            // What cannot be kept in memory either is lost: a chart of the past, nothing else.
            let _ = self.try_write(minutes);
        }
    }

    /// The minutes of a sink, or of all together.
    pub(crate) fn read(&mut self, sink: Option<&str>) -> Steps {
        self.try_read(sink).unwrap_or_else(|error| {
            self.give_up(&error);
            Steps::new()
        })
    }

    fn try_write(&mut self, minutes: &[(String, i64, Counts)]) -> rusqlite::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let change = connection.transaction()?;
        for (sink, minute, counts) in minutes {
            add(&change, sink, *minute, counts)?;
        }
        let newest = minutes.iter().map(|(_, minute, _)| *minute).max();
        forget(&change, newest.unwrap_or(0))?;
        change.commit()
    }

    fn try_read(&self, sink: Option<&str>) -> rusqlite::Result<Steps> {
        let mut steps = Steps::new();
        let Some(connection) = &self.connection else {
            return Ok(steps);
        };
        let query = format!("SELECT {COLUMNS} FROM minutes WHERE ?1 IS NULL OR sink = ?1");
        let mut statement = connection.prepare_cached(&query)?;
        let mut rows = statement.query(params![sink])?;
        while let Some(row) = rows.next()? {
            let (minute, counts) = counts_of(row)?;
            steps.entry(minute).or_default().add(&counts);
        }
        Ok(steps)
    }

    /// Keeps the day in memory from now on, and says so.
    fn give_up(&mut self, error: &rusqlite::Error) {
        self.connection = in_memory();
        let Some(path) = self.path.take() else {
            return;
        };
        let problem = format!(
            "`{}` cannot be used ({})",
            shown(&path),
            shown(&error.to_string())
        );
        tracing::warn!(
            "the figures of the last day are kept in memory and end with this process: {problem}"
        );
        self.problem = Some(problem);
    }
}

fn open_file(path: &Path) -> rusqlite::Result<Connection> {
    if let Some(folder) = path.parent() {
        // Where it cannot be made, opening the file says why.
        let _ = std::fs::create_dir_all(folder);
    }
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::ZERO)?;
    // One process: the figures of two must not be added up.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "TRUNCATE")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != 0 && version != VERSION {
        return Err(rusqlite::Error::InvalidQuery);
    }
    // Before anything is written: a damaged file is left as it is.
    let sound: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if sound != "ok" {
        return Err(rusqlite::Error::InvalidQuery);
    }
    if version == 0 {
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "user_version", VERSION)?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(connection)
}

fn in_memory() -> Option<Connection> {
    let connection = Connection::open_in_memory().ok()?;
    connection.execute_batch(SCHEMA).ok()?;
    Some(connection)
}

/// Adds counts to those of a minute: an earlier run may have written a part of it.
fn add(change: &Transaction<'_>, sink: &str, minute: i64, counts: &Counts) -> rusqlite::Result<()> {
    let query = format!("SELECT {COLUMNS} FROM minutes WHERE sink = ?1 AND minute = ?2");
    let mut statement = change.prepare_cached(&query)?;
    let known = statement
        .query_row(params![sink, minute], counts_of)
        .optional()?;
    let mut sum = known.map(|(_, counts)| counts).unwrap_or_default();
    sum.add(counts);
    let mut statement = change.prepare_cached(
        "INSERT OR REPLACE INTO minutes (sink, minute, delivered, retried, filtered, rejected, durations)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    statement.execute(params![
        sink,
        minute,
        to_sql(sum.delivered),
        to_sql(sum.retried),
        reasons_to_text(&sum.filtered),
        reasons_to_text(&sum.rejected),
        durations_to_text(&sum),
    ])?;
    Ok(())
}

/// Forgets what is older than a day, what a clock that was wrong has written ahead, and sinks beyond the bound.
fn forget(change: &Transaction<'_>, newest: i64) -> rusqlite::Result<()> {
    change
        .prepare_cached("DELETE FROM minutes WHERE minute <= ?1 OR minute > ?2")?
        .execute(params![newest.saturating_sub(MAX_MINUTES), newest])?;
    let sinks = i64::try_from(MAX_SINKS).unwrap_or(i64::MAX);
    change
        .prepare_cached(
            "DELETE FROM minutes WHERE sink NOT IN
             (SELECT sink FROM minutes GROUP BY sink ORDER BY max(minute) DESC, sink LIMIT ?1)",
        )?
        .execute(params![sinks])?;
    Ok(())
}

fn counts_of(row: &Row<'_>) -> rusqlite::Result<(i64, Counts)> {
    let text = |column| row.get::<_, String>(column);
    let number = |column| Ok::<_, rusqlite::Error>(from_sql(row.get(column)?));
    let mut counts = Counts {
        delivered: number(1)?,
        retried: number(2)?,
        filtered: reasons_of(&text(3)?),
        rejected: reasons_of(&text(4)?),
        ..Counts::default()
    };
    // All buckets, those beyond the last bound, and the sum.
    let durations: Vec<u64> = serde_json::from_str(&text(5)?).unwrap_or_default();
    let last = counts.durations.buckets.len();
    for (bucket, deliveries) in counts.durations.buckets.iter_mut().zip(&durations) {
        *bucket = (*deliveries).min(MAX_COUNT);
    }
    let further = |place: usize| durations.get(place).copied().unwrap_or(0).min(MAX_COUNT);
    (counts.durations.longer, counts.durations.sum_micros) = (further(last), further(last + 1));
    Ok((row.get(0)?, counts))
}

fn durations_to_text(counts: &Counts) -> String {
    let durations = &counts.durations;
    let mut all = durations.buckets.to_vec();
    all.extend([durations.longer, durations.sum_micros]);
    serde_json::json!(all).to_string()
}

fn reasons_to_text(reasons: &Reasons) -> String {
    let map: serde_json::Map<_, _> = reasons
        .iter()
        .map(|(code, events)| (code.to_string(), (*events).into()))
        .collect();
    serde_json::Value::Object(map).to_string()
}

fn reasons_of(text: &str) -> Reasons {
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).unwrap_or_default();
    let known = map.into_iter().filter_map(|(code, events)| {
        // As codes are: what is something else was not written by this program.
        let is_code =
            code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        Some((code.into(), events.as_u64()?.min(MAX_COUNT))).filter(|_| is_code)
    });
    known.take(MAX_REASONS + 1).collect()
}

fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn from_sql(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0).min(MAX_COUNT)
}
