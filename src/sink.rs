//! The sink: mapping before the buffer, delivery after it, and its entry in the registry.

use crate::advice;
use crate::config::{self, Settings};
use crate::delivery::{Delivery, DeliveryError};
use crate::mapping::Mapping;
use crate::mapping::explanation::Explainer;
use crate::match_coverage::{self, Tally};
use crate::preset;
use crate::reason;
use crate::request::Target;
use crate::token::{AccessToken, Kept};
use async_trait::async_trait;
use pipeline_core::options::Problem;
use pipeline_core::{
    BatchLimits, BuildError, Clock, Component, Cookie, Coverage, DeliveryReport, Encoded, Event,
    Explained, HealthcheckError, MissingEvents, Outcome, ParseContext, Reason, Record, Refit, Sink,
    SinkConfig, SinkContext,
};
use std::path::PathBuf;
use std::sync::Arc;

/// Events in one request, as Meta documents.
const MAX_BATCH_EVENTS: usize = 1_000;
/// Payload bytes in one request. Meta documents no limit; with this one a request stays well within its timeout.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The version of the plugin contract that this sink is written for, as in `plugin.toml`.
const WRITTEN_FOR: u32 = 2;

/// This sink's entry in the registry.
pub const COMPONENT: Component<dyn SinkConfig> = Component::new(
    "meta_conversions",
    "Maps analytics events to Meta server events, hashes identity, and delivers to the Conversions API.",
    config::schema,
    parse,
)
.version(env!("CARGO_PKG_VERSION"))
.written_for(WRITTEN_FOR)
.batch_limits(BatchLimits::new(MAX_BATCH_EVENTS, MAX_BATCH_BYTES))
.presets(preset::describe)
.reason_labels(reason::LABELS);

fn parse(
    options: &serde_json::Value,
    cx: &ParseContext,
) -> Result<Box<dyn SinkConfig>, Vec<Problem>> {
    let settings = config::parse(options, cx)?;
    Ok(Box::new(MetaConversionsConfig(Arc::new(settings))))
}

#[derive(Debug)]
struct MetaConversionsConfig(Arc<Settings>);

#[async_trait]
impl SinkConfig for MetaConversionsConfig {
    async fn build(&self, cx: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        let settings = Arc::clone(&self.0);
        let target = Target {
            endpoint: settings.endpoint.clone(),
            api_version: settings.api_version.clone(),
            pixel_id: settings.pixel_id.clone(),
            test_event_code: settings.test_event_code.clone(),
            partner_agent: settings.partner_agent.clone(),
            timeout: settings.timeout,
        };
        let token = Kept::new(
            settings.access_token.clone(),
            settings.access_token_file.clone(),
        );
        let app_secret = settings
            .app_secret
            .clone()
            .map(|secret| Kept::new(secret, settings.app_secret_file.clone()));
        let token = AccessToken::new(token, app_secret);
        let delivery = token
            .map_err(|_| DeliveryError::Token)
            .and_then(|token| Delivery::new(target, token, &settings.way, Arc::clone(&cx.clock)))
            .map_err(|problem| BuildError::new(problem.to_string()))?;
        Ok(Box::new(MetaConversions {
            tally: Tally::of(settings.mapping.meta_events().len()),
            settings,
            delivery,
            clock: cx.clock,
        }))
    }

    fn files(&self) -> Vec<PathBuf> {
        self.0.preset_file.iter().cloned().collect()
    }

    fn notices(&self) -> Vec<Problem> {
        self.0.notes.clone()
    }
}

struct MetaConversions {
    settings: Arc<Settings>,
    delivery: Delivery,
    clock: Arc<dyn Clock>,
    tally: Tally,
}

impl MetaConversions {
    fn mapping(&self) -> &Mapping {
        &self.settings.mapping
    }
}

#[async_trait]
impl Sink for MetaConversions {
    fn encode(&self, event: &Event) -> Encoded {
        self.mapping()
            .encode(event, self.clock.now_ms(), &mut &self.tally)
    }

    fn explain(&self, event: &Event) -> Explained {
        let mut explainer = Explainer::default();
        let encoded = self
            .mapping()
            .encode(event, self.clock.now_ms(), &mut explainer);
        let source_event = explainer.source_event();
        Explained::new(encoded, explainer.into_explanation()).with_source_event(source_event)
    }

    fn refit(&self, stored: &Record, stored_for: &str) -> Refit {
        self.mapping()
            .refit(stored, stored_for, self.clock.now_ms())
    }

    fn cookies(&self, event: &Event) -> Option<Vec<Cookie>> {
        self.mapping().cookies(event, self.clock.now_ms())
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        self.delivery.deliver(batch).await
    }

    async fn deliver_observed(&self, batch: &[Record]) -> DeliveryReport {
        self.delivery.deliver_observed(batch).await
    }

    fn partition(&self) -> Option<Arc<str>> {
        Some(self.settings.pixel_id.as_str().into())
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        self.delivery.healthcheck().await
    }

    fn event_labels(&self) -> Vec<Arc<str>> {
        self.mapping().event_labels()
    }

    fn coverage(&self) -> Option<Coverage> {
        let looked_in = |name: &str| self.mapping().looked_in(name);
        let meta_events = self.mapping().meta_events();
        let coverage = match_coverage::coverage(&self.tally, meta_events, looked_in);
        let fallback_reads = fallback_note(self.mapping().fallback_reads());
        let times = match_coverage::notes_about_times(&self.tally);
        let notes = fallback_reads.into_iter().chain(times);
        let notes = notes.chain(self.delivery.warning());
        Some(coverage.with_notes(notes.collect()))
    }

    fn take_notices(&self) -> Vec<Reason> {
        self.delivery.take_notices()
    }

    fn advise(&self, missing: &[MissingEvents]) -> Option<String> {
        advice::advise(missing, &self.settings.preset, self.mapping().event_names())
    }
}

/// The note about events that the fallback parser read; `None` without such events.
fn fallback_note(fallback_reads: u64) -> Option<String> {
    let events = match fallback_reads {
        0 => return None,
        1 => "1 event was".to_owned(),
        _ => format!("{fallback_reads} events were"),
    };
    Some(format!(
        "{events} read by the slow fallback parser, because the fast parser rejected valid JSON; no event is lost, but \
         please report this"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use json_paths::fault::{Failing, with};
    use pipeline_core::ManualClock;
    use serde_json::json;

    /// 2026-01-15T12:00:00Z.
    const NOW_MS: i64 = 1_768_478_400_000;

    async fn sink() -> Box<dyn Sink> {
        let options = json!({
            "preset": "retail",
            "pixel_id": "1234567890123456",
            "access_token": "EAAB-test-token",
            "consent": { "when_absent": "allow" },
        });
        let config = COMPONENT
            .parse(&options, &ParseContext::default())
            .expect("good options");
        let mut cx = SinkContext::new("meta");
        cx.clock = Arc::new(ManualClock::at(NOW_MS));
        config.build(cx).await.expect("a sink")
    }

    fn event() -> Event {
        let event = json!({
            "type": "track", "event": "Product Added", "messageId": "m", "userId": "u-1",
            "timestamp": "2026-01-15T11:00:00Z", "traits": { "email": "mary@example.com" },
            "properties": { "products": [{ "product_id": "sku-1", "price": 2.5 }] },
        });
        Event::new(event.to_string(), NOW_MS)
    }

    /// The note about fallback reads.
    fn note(sink: &dyn Sink) -> Option<String> {
        let notes = sink.coverage().expect("counted").notes;
        assert!(notes.len() <= 1, "{notes:?}");
        notes.into_iter().next()
    }

    #[tokio::test]
    async fn an_event_that_the_walk_rejects_by_mistake_is_encoded_as_usual_and_noted() {
        let sink = sink().await;
        let expected = sink.encode(&event());
        assert!(matches!(expected, Encoded::Record(_)), "{expected:?}");
        assert_eq!(note(sink.as_ref()), None);
        for (failing, counted) in [
            (Failing::WithMemory, "1 event was "),
            (Failing::All, "2 events were "),
        ] {
            assert_eq!(with(failing, || sink.encode(&event())), expected);
            let note = note(sink.as_ref()).expect("a note");
            assert!(note.starts_with(counted), "{note}");
        }
    }

    #[tokio::test]
    async fn each_sink_notes_only_its_own_events() {
        let (one, other) = (sink().await, sink().await);
        with(Failing::WithMemory, || one.encode(&event()));
        other.encode(&event());
        assert!(note(one.as_ref()).is_some());
        assert_eq!(note(other.as_ref()), None);
    }

    #[tokio::test]
    async fn text_that_is_not_json_is_rejected_as_usual_and_not_noted() {
        let sink = sink().await;
        for text in ["{\"type\":\"track\"", "{\"type\":track}", "[]", "\u{0}"] {
            let event = Event::new(text, NOW_MS);
            let expected = sink.encode(&event);
            assert!(matches!(expected, Encoded::Rejected(_)), "{text}");
            for failing in [Failing::WithMemory, Failing::All] {
                assert_eq!(with(failing, || sink.encode(&event)), expected, "{text}");
            }
        }
        assert_eq!(note(sink.as_ref()), None);
    }
}
