//! The counters of a pipeline as Prometheus and OpenMetrics read them.
//!
//! In: a snapshot, made for each scrape. Out: Vector's names and labels where Vector has the metric, so that its dashboards
//! work here too.
//!
//! Invariant: the labels are names of the configuration, reasons, and names that the destination gives to kinds of events
//! and identifiers. Whatever senders send, there are no more of them.

use crate::attempts::Failed;
use crate::attention::findings;
use crate::shared::Shared;
use crate::status::source_state;
use pipeline_core::{Coverage, CoverageRow};
use pipeline_host::status::DurationCounts;
use pipeline_host::telemetry::{SinkState, SinkStatus, Status};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;

/// Kinds of events for which identifiers are told apart.
const MAX_COVERAGE_GROUPS: usize = 64;

/// The media type of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every metric: its name without the ending that its type brings, what kind it is, and what it says.
pub(crate) const METRICS: [(&str, Kind, &str); 26] = [
    (
        "component_received_events",
        Kind::Counter,
        "Events that reached a source or a sink",
    ),
    (
        "component_sent_events",
        Kind::Counter,
        "Events that a source has sent on, or that the destination of a sink has",
    ),
    (
        "component_discarded_events",
        Kind::Counter,
        "Events that are not sent, by reason; intentional where somebody wants it so",
    ),
    (
        "component_errors",
        Kind::Counter,
        "Events that failed, by stage and code; those that are tried again count each time",
    ),
    (
        "component_retried_events",
        Kind::Counter,
        "Attempts that have to be made again, counted per event",
    ),
    (
        "component_delivery_duration_seconds",
        Kind::Histogram,
        "How long a sink took to deliver a batch, with all of its requests",
    ),
    (
        "buffer_events",
        Kind::Gauge,
        "Events in the buffer of a sink, with those on their way",
    ),
    (
        "buffer_byte_size",
        Kind::Gauge,
        "Bytes in the buffer of a sink",
    ),
    (
        "buffer_max_event_size",
        Kind::Gauge,
        "The most events that the buffer takes, where events count",
    ),
    (
        "buffer_max_byte_size",
        Kind::Gauge,
        "The most bytes that the buffer takes",
    ),
    (
        "buffer_full",
        Kind::Gauge,
        "1 while another event has to wait for room in the buffer",
    ),
    (
        "buffer_writable",
        Kind::Gauge,
        "0 while the disk refuses what is written to the buffer",
    ),
    (
        "buffer_oldest_event_age_seconds",
        Kind::Gauge,
        "How long ago the oldest event without a final fate came in",
    ),
    (
        "dead_letters_byte_size",
        Kind::Gauge,
        "Bytes that the dead letters of a sink take",
    ),
    (
        "dead_letters_max_byte_size",
        Kind::Gauge,
        "The most bytes that the dead letters of a sink may take",
    ),
    (
        "sink_held_events",
        Kind::Gauge,
        "Events of a sink without a final fate",
    ),
    (
        "sink_resumed_events",
        Kind::Gauge,
        "Events that an earlier run left in the disk buffer",
    ),
    (
        "sink_state",
        Kind::Gauge,
        "1 for what the sink is doing: sending, backing_off, blocked or paused",
    ),
    (
        "source_state",
        Kind::Gauge,
        "1 for what the source is doing: running, ended or failed",
    ),
    (
        "source_last_received_timestamp_seconds",
        Kind::Gauge,
        "When the last event of a source came in",
    ),
    (
        "sink_identifier_events",
        Kind::Counter,
        "Events let through that carried an identifier, by kind of event",
    ),
    (
        "sink_identifier_base_events",
        Kind::Counter,
        "Events let through that could carry the identifier, by kind of event",
    ),
    ("pipeline_ready", Kind::Gauge, "1 while /ready answers 200"),
    (
        "pipeline_attention",
        Kind::Gauge,
        "What needs a person, by code and component",
    ),
    (
        "pipeline_uptime_seconds",
        Kind::Gauge,
        "How long the process has run",
    ),
    ("pipeline_build", Kind::Info, "The version of the program"),
];

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// The labels and the value of one line.
type Labels = Vec<(&'static str, String)>;

/// A value.
#[derive(Debug, Clone)]
enum Value {
    Count(u64),
    Level(f64),
    Durations(Box<DurationCounts>),
    Is,
}

/// The lines of every metric.
#[derive(Debug, Default)]
struct Lines(BTreeMap<&'static str, BTreeMap<Labels, Value>>);

/// The metrics as text, in the form that the client asks for; and its media type.
pub(crate) fn metrics(shared: &Shared, accept: &str) -> (&'static str, String) {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(lines(shared)));
    let mut body = String::new();
    // Writing to a string cannot fail.
    if accept.contains("application/openmetrics-text") {
        let _ = text::encode(&mut body, &registry);
        (OPEN_METRICS, body)
    } else {
        let _ = prometheus_text::encode(&mut body, &registry);
        (prometheus_text::CONTENT_TYPE, body)
    }
}

impl Collector for Lines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, kind, help) in METRICS {
            let Some(lines) = self.0.get(name) else {
                continue;
            };
            let kind = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, value) in lines {
                if matches!(value, Value::Is) {
                    metric.encode_info(labels)?;
                    continue;
                }
                let mut line = metric.encode_family(labels)?;
                match value {
                    Value::Count(events) => {
                        line.encode_counter::<NoLabelSet, _, u64>(events, None)?;
                    }
                    Value::Level(level) => line.encode_gauge(level)?,
                    Value::Is => {}
                    Value::Durations(durations) => {
                        let bounds = DurationCounts::bounds().into_iter();
                        let mut buckets: Vec<_> = bounds.zip(durations.buckets).collect();
                        buckets.push((f64::INFINITY, durations.longer));
                        let sum = seconds(durations.sum_micros, 1_000_000);
                        let none: Option<&HashMap<usize, _>> = None;
                        line.encode_histogram::<NoLabelSet>(
                            sum,
                            durations.count(),
                            &buckets,
                            none,
                        )?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Value {
    /// Adds what another sink of the same name has counted, which a reload has removed or added; of levels the last counts.
    fn add(&mut self, later: Self) {
        match (self, later) {
            (Self::Count(sum), Self::Count(events)) => *sum += events,
            (Self::Durations(sum), Self::Durations(more)) => sum.add(&more),
            (earlier, later) => *earlier = later,
        }
    }
}

impl Lines {
    fn add(&mut self, name: &'static str, labels: Labels, value: Value) {
        debug_assert!(METRICS.iter().any(|(known, ..)| *known == name), "{name}");
        match self.0.entry(name).or_default().entry(labels) {
            Entry::Vacant(place) => {
                place.insert(value);
            }
            Entry::Occupied(mut known) => known.get_mut().add(value),
        }
    }

    fn count(&mut self, name: &'static str, labels: &Labels, events: u64) {
        self.add(name, labels.clone(), Value::Count(events));
    }

    fn level(&mut self, name: &'static str, labels: &Labels, level: u64) {
        self.add(name, labels.clone(), Value::Level(float(level)));
    }

    fn state(&mut self, name: &'static str, labels: &Labels, states: &[&str], now: &str) {
        for state in states {
            let labels = with(labels, &[("state", state)]);
            self.level(name, &labels, u64::from(*state == now));
        }
    }
}

fn lines(shared: &Shared) -> Lines {
    let mut lines = Lines::default();
    let now_ms = shared.clock.now_ms();
    let status = shared.status();
    let found = findings(status.as_ref());
    let none = Labels::new();
    let ready = !found.iter().any(|finding| finding.is_blocking);
    lines.level("pipeline_ready", &none, u64::from(ready));
    for finding in &found {
        let labels = [("code", finding.code), ("component_id", &finding.component)];
        lines.level("pipeline_attention", &with(&none, &labels), 1);
    }
    let uptime = seconds(age(shared.started_ms, now_ms), 1_000);
    lines.add(
        "pipeline_uptime_seconds",
        none.clone(),
        Value::Level(uptime),
    );
    let version = with(&none, &[("version", env!("CARGO_PKG_VERSION"))]);
    lines.add("pipeline_build", version, Value::Is);
    let status = status.unwrap_or_default();
    sources(&mut lines, &status);
    for sink in &status.sinks {
        let name = &sink.counts.name;
        let labels = component(name, "sink", &sink.kind);
        events(&mut lines, &labels, sink, &shared.attempts.of(name));
        buffer(&mut lines, &labels, sink, now_ms);
        if let Some(coverage) = &sink.coverage {
            identifiers(&mut lines, &labels, coverage);
        }
    }
    lines
}

fn sources(lines: &mut Lines, status: &Status) {
    for source in &status.sources {
        let labels = component(&source.name, "source", &source.kind);
        lines.count("component_received_events", &labels, source.received);
        lines.count("component_sent_events", &labels, source.received);
        if let Some(last) = source.last_received_ms {
            let last = Value::Level(seconds(age(0, last), 1_000));
            lines.add(
                "source_last_received_timestamp_seconds",
                labels.clone(),
                last,
            );
        }
        let error = error(&labels, "reader_failed", "receiving", "unreadable");
        lines.count("component_errors", &error, source.problems);
        let possible = ["running", "ended", "failed"];
        lines.state(
            "source_state",
            &labels,
            &possible,
            source_state(source.state),
        );
    }
}

fn events(lines: &mut Lines, labels: &Labels, sink: &SinkStatus, failed: &[(&str, Failed)]) {
    let counts = &sink.counts;
    lines.count("component_received_events", labels, counts.received);
    lines.count("component_sent_events", labels, counts.delivered);
    let discarded =
        |intentional, reason| with(labels, &[("intentional", intentional), ("reason", reason)]);
    for (code, events) in &counts.filtered {
        lines.count(
            "component_discarded_events",
            &discarded("true", code),
            *events,
        );
    }
    let dropped = discarded("true", "buffer_full");
    lines.count("component_discarded_events", &dropped, counts.dropped);
    for (code, rejections) in &counts.rejected {
        let labels = discarded("false", code);
        lines.count("component_discarded_events", &labels, rejections.count);
    }
    errors(lines, labels, sink, failed);
    lines.count("component_retried_events", labels, counts.retried);
    let durations = Value::Durations(Box::new(sink.deliveries));
    lines.add(
        "component_delivery_duration_seconds",
        labels.clone(),
        durations,
    );
    if let Some(room) = counts.letter_room {
        lines.level("dead_letters_byte_size", labels, room.bytes);
        lines.level("dead_letters_max_byte_size", labels, room.max_bytes);
    }
    lines.level("sink_held_events", labels, counts.held);
    lines.level("sink_resumed_events", labels, counts.resumed);
    let state = match &counts.state {
        _ if sink.is_paused => "paused",
        SinkState::Sending => "sending",
        SinkState::BackingOff { .. } => "backing_off",
        SinkState::Blocked { .. } => "blocked",
    };
    let states = ["sending", "backing_off", "blocked", "paused"];
    lines.state("sink_state", labels, &states, state);
}

/// What failed at the destination, and what was rejected before it got there.
fn errors(lines: &mut Lines, labels: &Labels, sink: &SinkStatus, failed: &[(&str, Failed)]) {
    for (code, failed) in failed {
        let events = failed.retried + failed.rejected;
        let labels = error(labels, "request_failed", "sending", code);
        lines.count("component_errors", &labels, events);
    }
    for (code, rejections) in &sink.counts.rejected {
        let at_destination = failed.iter().find(|(known, _)| known == code);
        let at_destination = at_destination.map_or(0, |(_, failed)| failed.rejected);
        let events = rejections.count.saturating_sub(at_destination);
        if events > 0 {
            let labels = error(labels, "encoder_failed", "processing", code);
            lines.count("component_errors", &labels, events);
        }
    }
}

fn buffer(lines: &mut Lines, labels: &Labels, sink: &SinkStatus, now_ms: i64) {
    let Some(level) = &sink.buffer else {
        return;
    };
    let kind = if sink.counts.is_on_disk {
        "disk"
    } else {
        "memory"
    };
    let labels = &with(labels, &[("buffer_type", kind)]);
    lines.level("buffer_events", labels, level.events);
    lines.level("buffer_byte_size", labels, level.bytes);
    if let Some(max) = level.max_events {
        lines.level("buffer_max_event_size", labels, max);
    }
    lines.level("buffer_max_byte_size", labels, level.max_bytes);
    lines.level("buffer_full", labels, u64::from(level.is_full));
    lines.level("buffer_writable", labels, u64::from(!level.is_failing));
    let oldest = level.oldest_ms.map_or(0, |oldest| age(oldest, now_ms));
    let oldest = Value::Level(seconds(oldest, 1_000));
    lines.add("buffer_oldest_event_age_seconds", labels.clone(), oldest);
}

fn identifiers(lines: &mut Lines, labels: &Labels, coverage: &Coverage) {
    let all = std::iter::once(("(all)", coverage.events, &coverage.rows));
    let groups = coverage.groups.iter().take(MAX_COVERAGE_GROUPS);
    let groups = groups.map(|group| (group.name.as_str(), group.events, &group.rows));
    for (event, events, rows) in all.chain(groups) {
        for row in rows {
            let CoverageRow { name, base, .. } = row;
            let labels = with(labels, &[("event", event), ("identifier", name)]);
            lines.count("sink_identifier_events", &labels, row.events);
            let base = base.as_ref().map_or(events, |base| base.events);
            lines.count("sink_identifier_base_events", &labels, base);
        }
    }
}

/// The labels that Vector gives to every metric of a component.
fn component(name: &str, kind: &str, of_type: &str) -> Labels {
    let labels = [
        ("component_id", name),
        ("component_kind", kind),
        ("component_type", of_type),
    ];
    with(&Labels::new(), &labels)
}

fn error(labels: &Labels, of_type: &str, stage: &str, code: &str) -> Labels {
    let more = [
        ("error_type", of_type),
        ("stage", stage),
        ("error_code", code),
    ];
    with(labels, &more)
}

fn with(labels: &Labels, more: &[(&'static str, &str)]) -> Labels {
    let more = more
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    labels.iter().cloned().chain(more).collect()
}

fn age(since_ms: i64, now_ms: i64) -> u64 {
    u64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(0)
}

fn seconds(parts: u64, of_a_second: u32) -> f64 {
    float(parts) / f64::from(of_a_second)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts beyond 2^53 need not be exact"
)]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
