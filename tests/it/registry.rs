//! A third party's host, as small as it can be: it finds the sink by name, feeds it, and reads each event's fate.

use graph_sandbox::{Sandbox, SandboxOptions};
use meta_conversions as _;
use pipeline_core::{
    Clock, Encoded, Event, Outcome, ParseContext, Registry, SinkContext, SystemClock,
};
use serde_json::json;

#[tokio::test]
async fn a_host_of_thirty_lines_delivers_an_event() {
    let sandbox = Sandbox::start(SandboxOptions::default())
        .await
        .expect("a sandbox");
    let now_ms = SystemClock.now_ms();

    let registry = Registry::linked().expect("no name twice");
    let description = registry.sink("meta_conversions").expect("linked");
    let options = json!({
        "preset": "retail",
        "pixel_id": "1234567890123456",
        "access_token": "any",
        "endpoint": sandbox.url(),
    });
    let config = description
        .parse(&options, &ParseContext::default())
        .expect("good options");
    let sink = config
        .build(SinkContext::new("meta"))
        .await
        .expect("a sink");
    let event = json!({
        "type": "track",
        "event": "Product Added",
        "userId": "u1",
        "properties": { "product_id": "p1", "price": 5, "currency": "EUR" },
        "context": { "consent": { "marketing": true } },
    });
    let mut batch = Vec::new();
    match sink.encode(&Event::new(event.to_string(), now_ms)) {
        Encoded::Record(record) => batch.push(record),
        other => panic!("not to be sent: {other:?}"),
    }
    let outcomes = sink.deliver(&batch).await;

    assert_eq!(outcomes, [Outcome::Delivered]);
    assert_eq!(sandbox.summary().accepted, 1);
    sandbox.stop().await;
}

#[test]
fn the_registry_holds_the_sink_exactly_once() {
    let names: Vec<_> = Registry::linked()
        .expect("no name twice")
        .sinks()
        .map(pipeline_core::Component::name)
        .collect();
    assert_eq!(names, ["meta_conversions"]);
}
