//! The sink: mapping in front of the buffer, delivery behind it, and its place in the registry.

use crate::config::{self, Settings};
use crate::delivery::{Delivery, DeliveryError};
use crate::mapping::{Mapping, Story};
use crate::preset;
use crate::quality::{self, Tally};
use crate::request::Target;
use crate::token::AccessToken;
use async_trait::async_trait;
use pipeline_core::options::Problem;
use pipeline_core::{
    BatchLimits, BuildError, Clock, Component, Coverage, Encoded, Event, Explained,
    HealthcheckError, Outcome, ParseContext, Record, Sink, SinkConfig, SinkContext,
};
use std::path::PathBuf;
use std::sync::Arc;

/// Events in one request, as Meta documents.
const MAX_BATCH_EVENTS: usize = 1_000;
/// Payload bytes in one request. Meta documents no limit; this one keeps a request well within its timeout.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The version of the plugin contract that this sink is written for, as `plugin.toml` has it.
const WRITTEN_FOR: u32 = 2;

/// What the registry holds of this sink.
pub const COMPONENT: Component<dyn SinkConfig> = Component::new(
    "meta_conversions",
    "Maps analytics events to Meta server events, hashes identity, and delivers to the Conversions API.",
    config::schema,
    parse,
)
.version(env!("CARGO_PKG_VERSION"))
.written_for(WRITTEN_FOR)
.batch_limits(BatchLimits::new(MAX_BATCH_EVENTS, MAX_BATCH_BYTES))
.presets(preset::describe);

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
            timeout: settings.timeout,
        };
        let token = AccessToken::new(&settings.access_token, settings.access_token_file.clone());
        let delivery = token
            .map_err(|_| DeliveryError::Token)
            .and_then(|token| Delivery::new(target, token, Arc::clone(&cx.clock)))
            .map_err(|problem| BuildError::new(problem.to_string()))?;
        Ok(Box::new(MetaConversions {
            settings,
            delivery,
            clock: cx.clock,
            tally: Tally::default(),
        }))
    }

    fn files(&self) -> Vec<PathBuf> {
        self.0.preset_file.iter().cloned().collect()
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if self.0.test_event_code.is_some() {
            notices.push(
                "`test_event_code` is set: the events show under Test Events, and count for measurement and \
                 targeting like any other; remove it in production"
                    .to_owned(),
            );
        }
        notices
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
        let mut story = Story::default();
        let encoded = self
            .mapping()
            .encode(event, self.clock.now_ms(), &mut story);
        Explained::new(encoded, story.into_explanation())
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        self.delivery.deliver(batch).await
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        self.delivery.healthcheck().await
    }

    fn coverage(&self) -> Option<Coverage> {
        let looked_in = |name: &str| self.mapping().looked_in(name);
        Some(quality::coverage(&self.tally, looked_in))
    }
}
