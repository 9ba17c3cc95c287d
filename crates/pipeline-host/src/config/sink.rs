//! One sink of a pipeline file: its options are parted between host and plugin, checked, and made into a running sink.
//!
//! Invariant: every problem of a sink is reported, whichever side finds it.

use super::fingerprint::Fingerprint;
use super::option::{
    BufferOptions, BufferType, DEFAULT_BATCH_EVENTS, DEFAULT_DISK_BYTES, DEFAULT_MEMORY_BYTES,
    DEFAULT_MEMORY_EVENTS, SinkOptions, Sync,
};
use super::{ConfigError, LoadContext, schema, seconds};
use crate::batch::BatchLimit;
use crate::buffer::{MIN_DISK_BYTES, QueueLimit};
use pipeline_core::options::{Problem, check, join};
use pipeline_core::{BatchLimits, ParseContext, Registry, Sink, SinkConfig, SinkContext};
use serde_json::{Map, Value};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// One sink, built, with what the host does for it.
pub struct SinkPlan {
    /// Its name in the pipeline file.
    pub name: String,
    /// The sources it reads.
    pub inputs: Vec<String>,
    /// The sink.
    pub sink: Arc<dyn Sink>,
    /// What its plugin wants said at start.
    pub notices: Vec<String>,
    /// Files besides the pipeline file that the options were read from.
    pub(crate) files: Vec<PathBuf>,
    /// Tells these options from others.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) batch: BatchLimit,
    pub(crate) buffer: BufferPlan,
    pub(crate) options: SinkOptions,
}

/// The buffer of one sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BufferPlan {
    pub(crate) limit: QueueLimit,
    /// Set for a buffer on disk.
    pub(crate) sync: Option<Sync>,
}

impl SinkPlan {
    /// The sink's type.
    pub fn kind(&self) -> &str {
        &self.options.r#type
    }
}

impl fmt::Debug for SinkPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkPlan")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Options that have been found good on both sides.
pub(super) struct ParsedSink {
    host: SinkOptions,
    batch: BatchLimit,
    buffer: BufferPlan,
    plugin: Box<dyn SinkConfig>,
}

/// Reads the options of the sink of this name, or reports every problem of them.
pub(super) fn parse(
    name: &str,
    options: &Value,
    cx: &ParseContext,
    registry: &Registry,
) -> Result<ParsedSink, Vec<Problem>> {
    let path = join("sinks", name);
    if let Some(problem) = name_problem(name) {
        return Err(vec![problem]);
    }
    let Some(kind) = options["type"].as_str() else {
        let linked: Vec<_> = registry.iter().map(|sink| sink.name).collect();
        let expected = format!("the type of a linked sink: `{}`", linked.join("`, `"));
        return Err(vec![Problem::new(
            join(&path, "type"),
            "is missing",
            expected,
        )]);
    };
    let description = registry.find(kind).map_err(|error| {
        let problem = format!("is not known: {error}");
        vec![Problem::new(
            join(&path, "type"),
            problem,
            "the type of a linked sink",
        )]
    })?;
    let checked = check(&schema::sink(description), options);
    let mut problems = checked.problems;
    let host_keys = schema::host_keys();
    let (host, plugin): (Map<_, _>, Map<_, _>) = checked
        .options
        .as_object()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .partition(|(key, _)| host_keys.contains(key));
    let plugin = (description.parse)(&Value::Object(plugin), cx)
        .map_err(|found| problems.extend(found))
        .ok();
    let host = serde_json::from_value::<SinkOptions>(Value::Object(host)).ok();
    let batch = host
        .as_ref()
        .map(|host| batch_limit(host, description.batch_limits, &mut problems));
    let buffer = host
        .as_ref()
        .zip(batch.as_ref())
        .map(|(host, batch)| buffer_plan(&host.buffer, batch, &mut problems));
    match (host, batch, buffer, plugin) {
        (Some(host), Some(batch), Some(buffer), Some(plugin)) if problems.is_empty() => {
            Ok(ParsedSink {
                host,
                batch,
                buffer,
                plugin,
            })
        }
        _ => Err(problems
            .into_iter()
            .map(|problem| problem.within(&path))
            .collect()),
    }
}

/// What is wrong with the name of a sink, if anything.
pub(super) fn name_problem(name: &str) -> Option<Problem> {
    let is_good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !name.is_empty() && name.bytes().all(is_good) {
        return None;
    }
    let expected = "letters, digits, `_` and `-`, because files are named after it";
    Some(Problem::new(
        join("sinks", name),
        "is not a name for a sink",
        expected,
    ))
}

/// Holds the host's limits against those of the destination, and against one another.
fn batch_limit(
    options: &SinkOptions,
    most: BatchLimits,
    problems: &mut Vec<Problem>,
) -> BatchLimit {
    let mut report = |wrong: bool, key: &str, problem: &str, expected: String| {
        if wrong {
            problems.push(Problem::new(key, problem, expected));
        }
    };
    let destination = |most: usize| format!("at most {most}, which is what the destination takes");
    let (events, bytes) = (options.batch.max_events, options.batch.max_bytes);
    report(
        events.is_some_and(|events| events > most.max_events),
        "batch.max_events",
        "is too large",
        destination(most.max_events),
    );
    report(
        bytes.is_some_and(|bytes| bytes > most.max_bytes),
        "batch.max_bytes",
        "is too large",
        destination(most.max_bytes),
    );
    let batch = BatchLimit {
        max_events: events.unwrap_or(DEFAULT_BATCH_EVENTS.min(most.max_events)),
        max_bytes: bytes.unwrap_or(most.max_bytes),
        timeout: seconds(options.batch.timeout_secs),
    };
    report(
        options.retry.initial_backoff_secs > options.retry.max_backoff_secs,
        "retry.initial_backoff_secs",
        "is longer than `max_backoff_secs`",
        "no more than that".to_owned(),
    );
    batch
}

/// Holds the buffer's options against its type, and against the batches that it has to hold.
fn buffer_plan(
    options: &BufferOptions,
    batch: &BatchLimit,
    problems: &mut Vec<Problem>,
) -> BufferPlan {
    let mut report = |wrong: bool, key: &str, problem: &str, expected: String| {
        if wrong {
            problems.push(Problem::new(join("buffer", key), problem, expected));
        }
    };
    let is_on_disk = options.r#type == BufferType::Disk;
    report(
        is_on_disk && options.max_events.is_some(),
        "max_events",
        "counts in memory only",
        "`max_bytes`, which is what bounds a buffer on disk".to_owned(),
    );
    report(
        !is_on_disk && options.sync.is_some(),
        "sync",
        "counts on disk only",
        "`type: disk`, or no `sync`".to_owned(),
    );
    let default_bytes = if is_on_disk {
        DEFAULT_DISK_BYTES
    } else {
        DEFAULT_MEMORY_BYTES
    };
    let limit = QueueLimit {
        max_events: options.max_events.unwrap_or(DEFAULT_MEMORY_EVENTS),
        max_bytes: options.max_bytes.unwrap_or(default_bytes),
    };
    report(
        limit.max_events < batch.max_events,
        "max_events",
        "is too small",
        format!("at least one batch: {} events", batch.max_events),
    );
    report(
        limit.max_bytes < batch.max_bytes,
        "max_bytes",
        "is too small",
        format!(
            "at least one batch: {} bytes, or a smaller `batch.max_bytes`",
            batch.max_bytes
        ),
    );
    report(
        is_on_disk && (limit.max_bytes as u64) < MIN_DISK_BYTES,
        "max_bytes",
        "is too small",
        format!("at least {MIN_DISK_BYTES} bytes on disk"),
    );
    BufferPlan {
        limit,
        sync: is_on_disk.then(|| options.sync.unwrap_or(Sync::Commit)),
    }
}

/// Builds a sink.
pub(super) async fn build(
    name: &str,
    parsed: ParsedSink,
    written: &Value,
    cx: LoadContext<'_>,
) -> Result<SinkPlan, ConfigError> {
    let context = SinkContext {
        name: name.to_owned(),
        clock: Arc::clone(cx.clock),
    };
    let notices = parsed.plugin.notices();
    let files = parsed.plugin.files();
    let sink: Arc<dyn Sink> = parsed.plugin.build(context).await?.into();
    Ok(SinkPlan {
        name: name.to_owned(),
        inputs: parsed.host.inputs.clone(),
        sink,
        notices,
        fingerprint: Fingerprint::of(written, &files),
        files,
        batch: parsed.batch,
        buffer: parsed.buffer,
        options: parsed.host,
    })
}
