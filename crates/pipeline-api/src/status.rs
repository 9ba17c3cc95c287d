//! What a pipeline is doing, as JSON: `GET /api/v1/status` and `GET /api/v1/reasons`.
//!
//! Invariant: counts, names of the configuration and codes; of events only what their sinks say of a kind of reason.

use crate::answer::time;
use crate::attention::{Finding, findings};
use crate::row::Status as Fate;
use crate::setup;
use crate::shared::Shared;
use pipeline_core::Component;
use pipeline_host::status::{BufferLevel, SourceState};
use pipeline_host::telemetry::{SinkSnapshot, SinkState, SinkStatus, Status};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// `{version, started, file, sinks, sources, attention}`.
pub(crate) fn status(shared: &Shared) -> Value {
    let now_ms = shared.clock.now_ms();
    let status = shared.status();
    let file = shared.pipeline.get().map(|pipeline| {
        let file = pipeline_core::shown(&pipeline.file);
        file.to_string()
    });
    let writable = shared.pipeline.get().map(|pipeline| {
        let reason = setup::config::not_writable(&pipeline.file, shared.read_only);
        reason.is_none()
    });
    let found = findings(status.as_ref());
    let status = status.unwrap_or_default();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": time(shared.started_ms),
        "now": time(now_ms),
        "file": file,
        "writable": writable,
        "ready": !found.iter().any(|finding| finding.is_blocking),
        "stopping": status.is_stopping,
        "sinks": status.sinks.iter().map(|it| sink(shared, it, now_ms)).collect::<Vec<_>>(),
        "sources": sources(&status),
        "attention": found.iter().map(Finding::to_json).collect::<Vec<_>>(),
    })
}

fn sink(shared: &Shared, sink: &SinkStatus, now_ms: i64) -> Value {
    let counts = &sink.counts;
    let (state, until, reason) = match &counts.state {
        _ if sink.is_paused => ("paused", None, None),
        SinkState::Sending => ("sending", None, None),
        SinkState::BackingOff { until, reason } => {
            let left = until.saturating_duration_since(Instant::now());
            let left = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
            let until = time(now_ms.saturating_add(left));
            ("backing_off", Some(until), Some(reason))
        }
        SinkState::Blocked { reason } => ("blocked", None, Some(reason)),
    };
    json!({
        "name": counts.name,
        "type": sink.kind,
        "removed": sink.buffer.is_none(),
        "state": state,
        "until": until,
        "reason": reason,
        "counts": self::counts(counts),
        "dead_letters": counts.letter_room.map(|room| json!({
            "bytes": room.bytes,
            "max_bytes": room.max_bytes,
            "percent": room.percent(),
        })),
        "throttle_percent": shared.attempts.throttle_percent(&counts.name),
        "buffer": sink.buffer.as_ref().map(|it| buffer(it, counts.is_on_disk, now_ms)),
    })
}

fn counts(counts: &SinkSnapshot) -> Value {
    let rejected = counts.rejected.iter();
    let rejected: BTreeMap<_, _> = rejected.map(|(code, it)| (*code, it.count)).collect();
    json!({
        "read": counts.received,
        "resumed": counts.resumed,
        "delivered": counts.delivered,
        "filtered": counts.filtered,
        "rejected": rejected,
        "dropped": counts.dropped,
        "held": counts.held,
        "retried": counts.retried,
    })
}

fn buffer(level: &BufferLevel, is_on_disk: bool, now_ms: i64) -> Value {
    json!({
        "type": if is_on_disk { "disk" } else { "memory" },
        "events": level.events,
        "bytes": level.bytes,
        "max_events": level.max_events,
        "max_bytes": level.max_bytes,
        "percent": level.percent(),
        "oldest_ms": level.oldest_ms.map(|oldest| now_ms.saturating_sub(oldest).max(0)),
        "full": level.is_full,
        "writable": !level.is_failing,
    })
}

fn sources(status: &Status) -> Value {
    let sources = status.sources.iter().map(|source| {
        json!({
            "name": source.name,
            "type": source.kind,
            "state": source_state(source.state),
            "address": source.address.map(|address| address.to_string()),
            "received": source.received,
            "last_received": source.last_received_ms.and_then(time),
            "problems": source.problems,
        })
    });
    sources.collect()
}

pub(crate) fn source_state(state: SourceState) -> &'static str {
    match state {
        SourceState::Failed => "failed",
        SourceState::Ended => "ended",
        _ => "running",
    }
}

/// `{reasons: [{code, label, fate, intentional, events, detail}], labels: {code: label}}`: every reason that was met so far, those with
/// the most events first, and the labels of all whose code as words would not say it.
pub(crate) fn reasons(shared: &Shared) -> Value {
    let status = shared.status().unwrap_or_default();
    let mut reasons: BTreeMap<(&str, &str), (u64, Option<&str>)> = BTreeMap::new();
    for sink in &status.sinks {
        for (code, events) in &sink.counts.filtered {
            reasons.entry((code, "filtered")).or_default().0 += events;
        }
        for (code, rejections) in &sink.counts.rejected {
            let entry = reasons.entry((code, "rejected")).or_default();
            entry.0 += rejections.count;
            entry.1.get_or_insert(&rejections.detail);
        }
        if sink.counts.dropped > 0 {
            let entry = reasons.entry(("buffer_full", "dropped")).or_default();
            entry.0 += sink.counts.dropped;
        }
    }
    let retried = status.sinks.iter().flat_map(|sink| {
        let failed = shared.attempts.of(&sink.counts.name).into_iter();
        failed.filter(|(_, failed)| failed.retried > 0)
    });
    for (code, failed) in retried {
        reasons.entry((code, "retried")).or_default().0 += failed.retried;
    }
    let mut rows: Vec<_> = reasons.into_iter().collect();
    rows.sort_by_key(|(_, (events, _))| std::cmp::Reverse(*events));
    let labels = labels(shared);
    let rows = rows.into_iter().map(|((code, fate), (events, detail))| {
        // The counters keep no sentence of a filtered event; the newest of its rows does.
        let detail = detail.map(str::to_owned);
        let detail = detail.or_else(|| shared.feed.detail(fate_of(fate)?, code));
        json!({
            "code": code,
            "label": labels.get(code),
            "fate": fate,
            "intentional": is_intentional(fate),
            "events": events,
            "detail": detail,
        })
    });
    let rows: Vec<_> = rows.collect();
    json!({ "reasons": rows, "labels": labels })
}

/// Short labels of codes, of every sink that is linked.
fn labels(shared: &Shared) -> BTreeMap<&'static str, &'static str> {
    let pipeline = shared.pipeline.get();
    let sinks = pipeline
        .into_iter()
        .flat_map(|it| it.program.registry().sinks());
    let labels = sinks.flat_map(Component::labels_of_reasons);
    labels.copied().collect()
}

/// The fate of the rows that have such a reason.
fn fate_of(word: &str) -> Option<Fate> {
    match word {
        "filtered" => Some(Fate::Filtered),
        "retried" => Some(Fate::Retrying),
        _ => None,
    }
}

/// Whether an event of this fate is not sent because somebody wants it so.
pub(crate) fn is_intentional(fate: &str) -> bool {
    matches!(fate, "filtered" | "dropped")
}
