//! The limits of one sink of a pipeline file, checked against its destination and against one another.

use super::component::{Parsed, Section};
use super::option::{
    BufferOptions, BufferType, DEFAULT_BATCH_BYTES, DEFAULT_BATCH_EVENTS, DEFAULT_DISK_BYTES,
    DEFAULT_MEMORY_BYTES, DEFAULT_MEMORY_EVENTS, SinkOptions, Sync, seconds,
};
use super::plan::{BufferPlan, SinkPlan};
use super::schema;
use crate::batch::BatchLimit;
use crate::buffer::{MIN_DISK_BYTES, QueueLimit};
use crate::dead_letter::Sealer;
use pipeline_core::options::{Problem, join};
use pipeline_core::{BatchLimits, Component, SinkConfig};
use std::sync::Arc;

/// Reads the options of a sink, or reports every problem of them.
pub(super) fn parse(
    section: Section<'_>,
    component: &Component<dyn SinkConfig>,
) -> Result<SinkPlan, Vec<Problem>> {
    let mut parsed: Parsed<SinkOptions, _> = section.parse(component);
    let limits = parsed
        .host
        .as_ref()
        .map(|host| limits(host, component.max_batch(), &mut parsed.problems));
    if !parsed.problems.is_empty() {
        let notices = parsed.plugin.iter().flat_map(|config| config.notices());
        let notices: Vec<_> = notices.collect();
        parsed.problems.extend(notices);
    }
    let (options, config) = parsed.finish(&section.path())?;
    let (batch, buffer) = limits.ok_or_else(Vec::new)?;
    let schema = schema::component::<SinkOptions, _>(component);
    Ok(SinkPlan {
        name: section.name.to_owned(),
        inputs: options.inputs.clone(),
        written: section.written(&schema, &config.files()),
        config: Arc::from(config),
        batch,
        buffer,
        options,
    })
}

/// The limits of batches and of the buffer.
pub(crate) fn limits(
    options: &SinkOptions,
    most: BatchLimits,
    problems: &mut Vec<Problem>,
) -> (BatchLimit, BufferPlan) {
    let batch = batch_limit(options, most, problems);
    let buffer = buffer_plan(&options.buffer, &batch, problems);
    if let Some(keep) = &options.dead_letters.keep_raw
        && let Err(problem) = Sealer::new(&keep.public_key, keep.max_age_days)
    {
        let expected = "a public key as `age-keygen` prints it: `age1…`";
        let place = "dead_letters.keep_raw.public_key";
        problems.push(Problem::new(place, problem.to_string(), expected));
    }
    (batch, buffer)
}

/// What is wrong with the name of a sink, if anything.
pub(crate) fn name_problem(name: &str) -> Option<Problem> {
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

/// Checks the host's limits against those of the destination, and against one another.
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
        max_bytes: bytes.unwrap_or(DEFAULT_BATCH_BYTES.min(most.max_bytes)),
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

/// Checks the buffer's options against its type, and against the batches that it has to hold.
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
        "applies to memory buffers only",
        "`max_bytes`, which is what bounds a buffer on disk".to_owned(),
    );
    report(
        !is_on_disk && options.sync.is_some(),
        "sync",
        "applies to disk buffers only",
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
