//! The sink that is measured: the preset `retail` and nothing else.

use meta_conversions as _;
use pipeline_core::{ParseContext, Registry, Sink, SinkContext};
use serde_json::json;

/// The sink as a host builds it.
pub(crate) fn sink() -> Box<dyn Sink> {
    let options =
        json!({ "preset": "retail", "pixel_id": "1234567890123456", "access_token": "none" });
    let registry = Registry::linked().expect("no name twice");
    let description = registry.sink("meta_conversions").expect("linked");
    let config = description
        .parse(&options, &ParseContext::default())
        .expect("good options");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime
        .block_on(config.build(SinkContext::new("bench")))
        .expect("a sink")
}
