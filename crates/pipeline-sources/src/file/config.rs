//! The options of the source `file`.
//!
//! The doc comments are the manual: the schema quotes them, and problems quote their first sentence.

use super::checkpoint::Store;
use super::committer::Committer;
use super::opened;
use super::paced::Pace;
use super::pattern::Patterns;
use super::reader::FileReader;
use super::source::FileSource;
use pipeline_core::options::Problem;
use pipeline_core::{
    BuildError, Component, ParseContext, Source, SourceConfig, SourceContext, async_trait,
    inventory, schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::io;
use std::path::PathBuf;

inventory::submit! {
    Component::<dyn SourceConfig>::new(
        "file",
        "Reads files of JSON events, one a line (NDJSON) or framed in another way, plain or compressed with gzip or zstd, then ends or waits for more.",
        || schemars::schema_for!(FileOptions),
        parse,
    )
    .version(env!("CARGO_PKG_VERSION"))
    .reasons(crate::reason_words::words)
}

/// Reads files of JSON events, one a line (NDJSON) or framed in another way, plain or compressed with gzip or zstd, then ends or waits for more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileOptions {
    /// The file, or a list of files read one after the other, relative to the pipeline file. `*` and `?` match parts of names, `**` folders; what matches is read sorted by name. Events may be one a line, over several lines, one behind the other, the elements of a list, or each behind a record separator (RFC 7464), in UTF-8; what is broken costs itself. A file in another encoding or packing, or without any JSON object, is an error. Example: `events/*.ndjson`.
    path: OneOrMany,
    /// Whether all times are shifted so that the newest event of the files happens now, for demonstrations and replays of old files. An event's time is its top-level `timestamp`, else `originalTimestamp`, else `sentAt`: ISO 8601 (UTC without an offset), or a number of seconds or milliseconds; these, `receivedAt`, and the times inside cookie values are rewritten. An event without an id of its own gets another one in each run. Default: `false`.
    #[serde(default)]
    shift_times: bool,
    /// Whether the next run resumes where this one stopped: how far each file has been read is kept in `data_dir/checkpoints/<source>.json`, and advances once the lines up to there are delivered, filtered, in a disk buffer or in the dead letters. A file stays known when it is renamed within the folder where it really is, behind links, and is read from its start when it is truncated. Where files may be rotated more than once between two runs, name the rotated ones too: `app.log*`; none is read twice. Default: `true`, but `false` with `shift_times`, which reads everything each time.
    #[serde(default)]
    checkpoint: Option<bool>,
    /// Whether the source follows its files after it has read everything: more lines and new files are read as they come, also after a rotation, and a last event waits for what follows it. Default: `false`.
    #[serde(default)]
    follow: bool,
    /// How fast events are read, for demonstrations. Default: as fast as they can be sent. Example: `{ events_per_sec: 5 }`.
    #[serde(default)]
    pace: Option<PaceOptions>,
}

/// How fast events are read.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PaceOptions {
    /// Events a second, evenly spread (no default). Example: `5`.
    #[schemars(range(min = 0.01, max = 100_000.0))]
    events_per_sec: f64,
}

/// One path or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    /// One path.
    One(#[schemars(length(min = 1))] String),
    /// Several paths.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

impl OneOrMany {
    fn into_paths(self) -> Vec<PathBuf> {
        match self {
            Self::One(one) => vec![one.into()],
            Self::Many(many) => many.into_iter().map(PathBuf::from).collect(),
        }
    }
}

/// Options that have been found good.
#[derive(Debug)]
struct FileConfig {
    patterns: Patterns,
    shift_times: bool,
    checkpoint: bool,
    follow: bool,
    pace: Option<Pace>,
}

fn parse(options: &Value, cx: &ParseContext) -> Result<Box<dyn SourceConfig>, Vec<Problem>> {
    let options = FileOptions::deserialize(options).map_err(|_| {
        let problem = "cannot be read as the options of this source";
        vec![Problem::new("", problem, "what its schema describes")]
    })?;
    let config = FileConfig {
        patterns: Patterns {
            written: options.path.into_paths(),
            base_dir: cx.base_dir.clone(),
        },
        shift_times: options.shift_times,
        checkpoint: options.checkpoint.unwrap_or(!options.shift_times),
        follow: options.follow,
        pace: options.pace.map(|pace| Pace::new(pace.events_per_sec)),
    };
    let problems = config.problems(&cx.name);
    if problems.is_empty() {
        Ok(Box::new(config))
    } else {
        Err(problems)
    }
}

impl FileConfig {
    /// Options that do not work together, or not with the source's name.
    fn problems(&self, name: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let is_odd = |b: u8| !b.is_ascii_alphanumeric() && b != b'_' && b != b'-';
        if self.checkpoint && (name.is_empty() || name.bytes().any(is_odd)) {
            let expected = "letters, digits, `_` and `-`, because the checkpoint is named after it, or `checkpoint: false`";
            problems.push(Problem::new("", "is not a name for a source", expected));
        }
        if self.follow && self.shift_times {
            let problem = "does not go with `shift_times`, which needs to know the newest event";
            problems.push(Problem::new("follow", problem, "one of the two"));
        }
        problems
    }
}

#[async_trait]
impl SourceConfig for FileConfig {
    async fn open(&self, cx: SourceContext) -> Result<Box<dyn Source>, BuildError> {
        let mut reader = FileReader::new(self.patterns.clone())
            .shifting_times(self.shift_times)
            .following(self.follow);
        if let Some(pace) = self.pace {
            reader = reader.batching(pace.batch_lines());
        }
        let mut committer = None;
        if self.checkpoint {
            let path = Store::path_of(&cx.data_dir, &cx.name);
            let opened = Store::open(&cx.data_dir, &cx.name)
                .and_then(|store| store.load().map(|entries| (store, entries)));
            let (store, entries) = opened.map_err(|error| {
                let (name, path) = (&cx.name, pipeline_core::shown(&path));
                BuildError::new(format!("source `{name}`: the checkpoint `{path}` {error}"))
            })?;
            reader = reader.resuming(path, entries.clone());
            committer = Some(Committer::new(cx.name.clone(), store, entries));
        }
        Ok(Box::new(FileSource {
            name: cx.name,
            clock: cx.clock,
            reader,
            committer,
            pace: self.pace,
        }))
    }

    /// Files that cannot be read.
    fn check(&self) -> Vec<Problem> {
        let unreadable = self.patterns.expand().into_iter().filter_map(|found| {
            let opened = found.and_then(|path| match opened::check(&path) {
                Ok(()) => Ok(()),
                Err(error) => Err((path, error)),
            });
            // What is followed may come later.
            let is_awaited =
                |error: &io::Error| self.follow && error.kind() == io::ErrorKind::NotFound;
            opened.err().filter(|(_, error)| !is_awaited(error))
        });
        unreadable
            .map(|(path, error)| {
                let problem = format!("`{}` cannot be read: {error}", pipeline_core::shown(&path));
                Problem::new("path", problem, "a file that exists and can be read")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_that_cannot_be_read_is_a_problem_unless_it_may_come_later() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.ndjson"), "{}\n").unwrap();
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        let cx = ParseContext::new("events", folder.path());
        let problems = |path: &str, follow: bool| {
            let options = json!({"path": path, "follow": follow});
            let found = parse(&options, &cx).unwrap().check();
            found.into_iter().map(|problem| problem.path).collect()
        };
        let cases: [(&str, bool, &[&str]); 7] = [
            ("a.ndjson", false, &[]),
            ("*.ndjson", false, &[]),
            ("b.ndjson", false, &["path"]),
            ("*.gz", false, &["path"]),
            ("b.ndjson", true, &[]),
            ("*.gz", true, &[]),
            ("folder", true, &["path"]),
        ];
        for (path, follow, expected) in cases {
            let found: Vec<String> = problems(path, follow);
            assert_eq!(found, expected, "{path}, {follow}");
        }
    }

    #[tokio::test]
    async fn a_checkpoint_that_is_in_use_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let cx = ParseContext::new("events", folder.path());
        let config = parse(&json!({"path": "a"}), &cx).unwrap();
        let open = || config.open(SourceContext::new("events", folder.path()));
        let first = open().await.unwrap();
        let error = open().await.map(drop).unwrap_err().to_string();
        let path = folder.path().join("checkpoints/events.json");
        assert_eq!(
            error,
            format!(
                "source `events`: the checkpoint `{}` is kept by another process; end that one, or give this pipeline a \
                 `data_dir` of its own",
                path.display()
            )
        );
        drop(first);
        open().await.unwrap();
    }
}
