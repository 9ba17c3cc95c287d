//! The options of a pipeline file as a person writes them.
//!
//! The doc comments below are the manual: `pipeline schema` prints them, and problems quote their first sentence.
//! What belongs to a sink's plugin is not here; it is passed on to the plugin.

use crate::dead_letter::Sealer;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes that all dead letters of one sink may take unless told otherwise.
pub const DEFAULT_DEAD_LETTER_BYTES: u64 = 256 * 1024 * 1024;
/// Records of a memory buffer unless told otherwise.
pub const DEFAULT_MEMORY_EVENTS: usize = 100_000;
/// Bytes of a memory buffer unless told otherwise.
pub const DEFAULT_MEMORY_BYTES: usize = 256 * 1024 * 1024;
/// Bytes of a disk buffer unless told otherwise.
pub const DEFAULT_DISK_BYTES: usize = 1024 * 1024 * 1024;
/// Records of one batch unless told otherwise.
pub const DEFAULT_BATCH_EVENTS: usize = 1000;
/// Payload bytes of one batch at most, where neither the file nor the destination says otherwise.
pub const DEFAULT_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// How long stopping may take unless told otherwise, in seconds: less than the ten that containers are given.
pub const DEFAULT_SHUTDOWN_SECS: f64 = 8.0;

/// A pipeline file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineOptions {
    /// The folder that keeps dead letters and checkpoints, relative to the pipeline file. Default: `./data`. Example: `/var/lib/pipeline`.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// Where events come from, by name. Each has a `type` and the options of its plugin. Example: `{ events: { type: file, path: events.ndjson } }`.
    pub sources: BTreeMap<String, Value>,
    /// What changes, drops or multiplies events between sources and sinks, by name. Each has a `type`, its `inputs`, and the options of its plugin. Default: none.
    #[serde(default)]
    pub transforms: BTreeMap<String, Value>,
    /// Where events go, by name. Each has a `type`, its `inputs`, and the options of its plugin.
    pub sinks: BTreeMap<String, Value>,
    /// How the pipeline stops.
    #[serde(default)]
    pub shutdown: ShutdownOptions,
}

/// What the host reads of every source; the rest belongs to its plugin.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceOptions {
    /// The type of the source.
    pub r#type: String,
}

/// What the host reads of every transform; the rest belongs to its plugin.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransformOptions {
    /// The type of the transform.
    pub r#type: String,
    /// The sources and transforms that it reads.
    #[schemars(length(min = 1))]
    pub inputs: Vec<String>,
}

/// What the host does for every sink, whatever its type.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkOptions {
    /// The sink's type, as `pipeline list` shows it.
    pub r#type: String,
    /// The names of the sources it takes events from. Example: `[events]`.
    #[schemars(length(min = 1))]
    pub inputs: Vec<String>,
    /// How records are grouped into requests.
    #[serde(default)]
    pub batch: BatchOptions,
    /// What waits between the sources and the destination.
    #[serde(default)]
    pub buffer: BufferOptions,
    /// When a failed delivery is tried again.
    #[serde(default)]
    pub retry: RetryOptions,
    /// How requests are sent.
    #[serde(default)]
    pub request: RequestOptions,
    /// What could not be delivered and is kept for people. Example: `{ max_bytes: 1073741824 }`.
    #[serde(default)]
    pub dead_letters: DeadLetterOptions,
}

/// How records are grouped into requests. A batch is sent when the first of its limits is reached.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchOptions {
    /// Records of one batch at most. Default: 1000, or what the destination takes if that is less.
    #[schemars(range(min = 1))]
    pub max_events: Option<usize>,
    /// Payload bytes of one batch at most. Default: 16777216 (16 MiB), or what the destination takes if that is less. Example: 1000000.
    #[schemars(range(min = 1))]
    pub max_bytes: Option<usize>,
    /// How long the first record of a batch waits for others, in seconds. Default: 1. Example: 0.2.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub timeout_secs: f64,
}

/// What waits between the sources and the destination. Records on their way to the destination count.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BufferOptions {
    /// Where it is kept. Default: `memory`, which does not outlive the process: what is left at the end is read again from sources that can, and becomes a dead letter otherwise.
    pub r#type: BufferType,
    /// Records at most, in memory only; no less than one batch. Default: 100000.
    #[schemars(range(min = 1))]
    pub max_events: Option<usize>,
    /// Bytes at most; no less than one batch, and 33554432 (32 MiB) on disk, where it is the size of all files. Default: 268435456 (256 MiB) in memory, 1073741824 (1 GiB) on disk.
    #[schemars(range(min = 1))]
    pub max_bytes: Option<usize>,
    /// When a disk buffer tells the sources that an event is safe. Default: `commit`. Example: `relaxed`.
    pub sync: Option<Sync>,
    /// What happens when it is full: `block` makes the sources wait, `drop_newest` drops and counts what comes. Default: `block`. A source that feeds several sinks waits for the slowest of them.
    pub when_full: WhenFull,
}

/// Where a buffer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BufferType {
    /// In memory.
    Memory,
    /// On disk, in `data_dir/buffer/<sink>`. What was acknowledged outlives the process.
    Disk,
}

/// When a disk buffer tells the sources that an event is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    /// When the disk has it: it outlives a power cut.
    Commit,
    /// When the system has it: it outlives the process, also one that is killed, but not a power cut.
    Relaxed,
}

/// What happens when a buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The sources wait.
    Block,
    /// What comes is dropped, and counted with reason `buffer_full`.
    DropNewest,
}

/// When a failed delivery is tried again: after a random pause below a limit that doubles with every failure.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryOptions {
    /// The limit of the first pause, in seconds. Default: 1.
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub initial_backoff_secs: f64,
    /// The limit that no pause exceeds, unless the destination asks for more, in seconds. Default: 300.
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub max_backoff_secs: f64,
    /// Attempts after which an event is given up and becomes a dead letter. Default: none, it is tried until the destination would refuse it as too old. Example: 20.
    #[schemars(range(min = 1))]
    pub max_attempts: Option<u32>,
    /// How long an event may be tried, counted from when it came in, before it is given up and becomes a dead letter, in seconds. Default: none. Example: 86400.
    #[schemars(range(min = 1.0, max = 31_536_000.0))]
    pub max_age_secs: Option<f64>,
    /// How long an event may fail alone while others are delivered before it is given up and becomes a dead letter with reason `keeps_failing`, in seconds. It waits aside meanwhile, so that it holds up no other. Default: 3600. Example: 600.
    #[schemars(range(min = 0.0, max = 31_536_000.0))]
    pub poison_after_secs: f64,
}

/// How requests are sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RequestOptions {
    /// Batches on their way at the same time. Default: 4.
    #[schemars(range(min = 1, max = 256))]
    pub concurrency: usize,
}

/// What could not be delivered, kept in `data_dir/dead_letters/<sink>` until it is replayed or purged.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterOptions {
    /// Bytes of one sink's dead letters at most; those without a payload may take 5 % of them. When they are full, events that become letters wait until a person makes room, and a request with such an event is answered with 503; all others are delivered. Default: 268435456 (256 MiB). Example: 1073741824.
    #[schemars(range(min = 1))]
    pub max_bytes: u64,
    /// Keeps a sealed copy of each event that the sink rejects in its letter, so that `pipeline dead-letters replay --remap` can map it again once the mapping is fixed. Default: none is kept. Example: `{ public_key: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p, max_age_days: 7 }`.
    pub keep_raw: Option<KeepRawOptions>,
}

/// Sealed copies of events that the sink rejects. They are personal data, which only the secret key opens; keep that on another machine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepRawOptions {
    /// The public key that they are encrypted for, as `age-keygen` prints it. Example: `age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p`.
    pub public_key: String,
    /// Days after which a copy is removed from its letter, which stays; it is not opened from then on. Default: 7, which is as long as Meta takes most events. Example: 2.
    #[serde(default = "default_kept_days")]
    #[schemars(range(min = 1, max = 90))]
    pub max_age_days: u32,
}

impl DeadLetterOptions {
    /// Seals copies of events, where the options ask for it; the key was checked with them.
    pub(crate) fn sealer(&self) -> Option<Sealer> {
        let keep = self.keep_raw.as_ref()?;
        Sealer::new(&keep.public_key, keep.max_age_days).ok()
    }
}

fn default_kept_days() -> u32 {
    7
}

/// How the pipeline stops.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownOptions {
    /// How long stopping may take after SIGTERM or SIGINT, in seconds; a second signal quits at once. The last quarter of it, and no more than 2 seconds, is for writing down what memory buffers still hold; a platform that kills after 10 seconds leaves room for the default. Default: 8. Example: 25.
    #[schemars(range(min = 0.0, max = 86400.0))]
    pub limit_secs: f64,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            max_events: None,
            max_bytes: None,
            timeout_secs: 1.0,
        }
    }
}

impl Default for BufferOptions {
    fn default() -> Self {
        Self {
            r#type: BufferType::Memory,
            max_events: None,
            max_bytes: None,
            sync: None,
            when_full: WhenFull::Block,
        }
    }
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            initial_backoff_secs: 1.0,
            max_backoff_secs: 300.0,
            max_attempts: None,
            max_age_secs: None,
            poison_after_secs: 3600.0,
        }
    }
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self { concurrency: 4 }
    }
}

impl Default for DeadLetterOptions {
    fn default() -> Self {
        Self {
            max_bytes: DEFAULT_DEAD_LETTER_BYTES,
            keep_raw: None,
        }
    }
}

impl Default for ShutdownOptions {
    fn default() -> Self {
        Self {
            limit_secs: DEFAULT_SHUTDOWN_SECS,
        }
    }
}

fn default_data_dir() -> PathBuf {
    "./data".into()
}

/// Seconds whose range the schema has checked.
pub(crate) fn seconds(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or(Duration::ZERO)
}
