//! The server over real HTTP, against an intake that follows a script.

use crate::test_intake::{Running, Step, StopHandle, TestIntake, start};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use pipeline_core::{
    AckLevel, AckStatus, Item, ParseContext, Reason, Refused, Registry, SourceContext, SourceError,
    Verdict,
};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const NOW_MS: i64 = 1_768_478_400_000;
/// How long the servers of these tests wait for room and for receipts.
const ROOM_LIMIT: Duration = Duration::from_millis(10);

/// A running server.
struct Server {
    url: String,
    client: Client,
    stop: StopHandle,
    running: JoinHandle<Result<(), SourceError>>,
}

impl Server {
    /// Options but for the address, and the intake.
    async fn start(options: Value, intake: &Arc<TestIntake>) -> Self {
        let at = (NOW_MS, ROOM_LIMIT);
        let Running {
            address,
            stop,
            task: running,
        } = start("http_server", options, at, intake).await;
        Self {
            url: format!("http://{address}/v1/events"),
            client: Client::new(),
            stop,
            running,
        }
    }

    fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.client.post(&self.url).body(body);
        request.header("content-type", "application/json")
    }

    async fn answer(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        read(self.post(body).send().await.unwrap()).await
    }

    /// Stops the server and waits for its end.
    async fn finish(self) {
        drop(self.client);
        self.stop.stop();
        self.running.await.unwrap().unwrap();
    }
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn packed(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

/// What an event asks for.
fn judge(item: &Item) -> Verdict {
    match item {
        Item::Event(event) if event.raw() == b"7" => {
            Verdict::Rejected(Reason::new("no_id", "a sentence"))
        }
        Item::Event(event) if event.raw() == b"{\"do\":\"filter\"}" => {
            Verdict::Filtered { code: "consent" }
        }
        Item::Rejected { reason, .. } => Verdict::Rejected(reason.clone()),
        _ => Verdict::Accepted,
    }
}

#[tokio::test]
async fn the_answer_says_what_became_of_every_event() {
    let intake = TestIntake::judging([], judge);
    let server = Server::start(json!({}), &intake).await;
    let body = r#"[{"id":"a"}, 7, {"do":"filter"}, {"id":"b"}]"#;
    let response = server.post(body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.text().await.unwrap(),
        r#"{"received":4,"accepted":2,"filtered":1,"filtered_by_reason":{"consent":1},"rejected":[{"index":1,"reason":"no_id","detail":"a sentence"}]}"#
    );
    let taken = [r#"{"id":"a"}"#, "7", r#"{"do":"filter"}"#, r#"{"id":"b"}"#];
    assert_eq!(intake.inputs(), taken);
    assert_eq!(intake.limits(), [ROOM_LIMIT]);
    server.finish().await;
}

#[tokio::test]
async fn events_say_where_they_came_from_and_share_what_the_transport_said() {
    let intake = TestIntake::new([]);
    let server = Server::start(json!({}), &intake).await;
    let long = "x".repeat(4097);
    for agent in ["agent/1", &long, ""] {
        let request = server.post("{\"id\":1}\n{\"id\":2}");
        let response = request.header("user-agent", agent).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let agents = [Some("agent/1"), None, None];
    for ((number, (chunk, ack)), agent) in (1..).zip(intake.chunks()).zip(agents) {
        assert_eq!(ack, Some(AckLevel::Buffered));
        let events: Vec<_> = chunk.events().collect();
        let origins: Vec<_> = events.iter().map(|e| e.origin().to_string()).collect();
        let expected = [0, 1].map(|event| format!("web request {number} event {event}"));
        assert_eq!(origins, expected);
        let metas: Vec<_> = events.iter().map(|e| e.meta().unwrap()).collect();
        assert!(Arc::ptr_eq(metas[0], metas[1]));
        assert_eq!(metas[0].peer, Some([127, 0, 0, 1].into()));
        assert_eq!(metas[0].user_agent.as_deref(), agent);
        assert!(events.iter().all(|event| event.received_ms() == NOW_MS));
    }
    server.finish().await;
}

#[tokio::test]
async fn a_request_that_is_refused_may_be_sent_again_later() {
    let cases = [
        (
            Step::Refuse(Refused::Full),
            "buffered",
            "buffer_full",
            "the buffer is full; try again later",
        ),
        (
            Step::Refuse(Refused::Failed),
            "buffered",
            "failed",
            "the pipeline has failed and takes no events; its log says why",
        ),
        (
            Step::Open,
            "buffered",
            "not_stored_yet",
            "the events are not on disk yet; send them again later, with the same event ids",
        ),
        (
            Step::Settle(AckStatus::GivenUp),
            "buffered",
            "not_stored_yet",
            "the events are not on disk yet; send them again later, with the same event ids",
        ),
        (
            Step::Settle(AckStatus::GivenUp),
            "end_to_end",
            "not_delivered_yet",
            "the events are held, but not delivered yet; send them again later, with the same event ids",
        ),
    ];
    for (step, acknowledgements, code, message) in cases {
        let intake = TestIntake::new([step]);
        let options = json!({"acknowledgements": acknowledgements});
        let server = Server::start(options, &intake).await;
        let refused = server.post("{}").send().await.unwrap();
        assert_eq!(refused.headers()["retry-after"], "5", "{step:?}");
        let error = json!({"error": {"code": code, "message": message}});
        assert_eq!(read(refused).await, (503, error), "{step:?}");
        // The next one is taken.
        let (status, _) = server.answer("{}").await;
        assert_eq!(status, 200, "{step:?}");
        server.finish().await;
    }
}

#[tokio::test]
async fn an_end_to_end_request_asks_for_the_final_fate_of_its_events() {
    let intake = TestIntake::new([]);
    let server = Server::start(json!({"acknowledgements": "end_to_end"}), &intake).await;
    assert_eq!(server.answer("{}").await.0, 200);
    assert_eq!(intake.chunks()[0].1, Some(AckLevel::Final));
    server.finish().await;
}

#[tokio::test]
async fn large_and_packed_bodies_give_their_events_in_order() {
    let intake = TestIntake::new([]);
    let server = Server::start(json!({}), &intake).await;
    let events: Vec<_> = (0..5_000)
        .map(|id| format!("{{\"id\":{id},\"text\":\"some more text\"}}"))
        .collect();
    let lines = events.join("\n");
    let (status, answer) = server.answer(lines.clone()).await;
    assert_eq!((status, &answer["accepted"]), (200, &json!(5_000)));
    let request = server.post(packed(&lines));
    let response = request.header("content-encoding", "gzip").send().await;
    assert_eq!(response.unwrap().status(), 200);
    let twice: Vec<_> = events.iter().chain(&events).cloned().collect();
    assert_eq!(intake.inputs(), twice);
    server.finish().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_refused_with_the_reason() {
    let intake = TestIntake::new([]);
    let server = Server::start(json!({"max_body_bytes": 100_000}), &intake).await;
    let large = "1".repeat(100_001);
    let refusals = [
        (server.post("hello"), 422, "malformed_json"),
        (server.post(""), 400, "empty"),
        (server.post("x".repeat(100_001)), 413, "too_large"),
        (
            server
                .post(packed(&large))
                .header("content-encoding", "gzip"),
            413,
            "too_large",
        ),
        (
            server.post("{}").header("content-encoding", "gzip"),
            400,
            "malformed_gzip",
        ),
        (
            server.post("{}").header("content-encoding", "compress"),
            415,
            "unsupported_encoding",
        ),
        (
            server
                .client
                .post(&server.url)
                .header("content-type", "image/png"),
            415,
            "unsupported_media_type",
        ),
        (server.client.get(&server.url), 405, "method_not_allowed"),
        (
            server.client.get(server.url.replace("events", "elsewhere")),
            404,
            "not_found",
        ),
    ];
    for (request, status, code) in refusals {
        let (found, answer) = read(request.send().await.unwrap()).await;
        assert_eq!((found, &answer["error"]["code"]), (status, &json!(code)));
    }
    let elsewhere = server.url.replace("/v1/events", "");
    let (_, answer) = read(server.client.post(elsewhere).send().await.unwrap()).await;
    assert_eq!(
        answer["error"]["message"],
        "nothing is served at this path; events are taken by POST at /v1/events"
    );
    let form = server.client.post(&server.url).body("a=b");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let (status, answer) = read(form.send().await.unwrap()).await;
    let message = answer["error"]["message"].as_str().unwrap();
    let advice = "add `-H 'Content-Type: application/json'`";
    assert!(status == 415 && message.ends_with(advice), "{message}");
    let health = server.url.replace("v1/events", "health");
    let health = server.client.get(health).send().await.unwrap();
    assert_eq!(read(health).await, (200, json!({"status": "ok"})));
    // No events, nothing to offer.
    let (status, answer) = server.answer("[]").await;
    assert_eq!((status, &answer["received"]), (200, &json!(0)));
    assert!(intake.chunks().is_empty());
    server.finish().await;
}

#[tokio::test]
async fn requests_that_wait_for_an_acknowledgement_turn_no_other_away() {
    const WAITING: usize = 200;
    let intake = TestIntake::new([Step::Open; WAITING]);
    let server = Server::start(json!({"acknowledgements": "end_to_end"}), &intake).await;
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        waiting.push(tokio::spawn(server.post("{}").send()));
    }
    intake.until_taken(WAITING).await;
    assert_eq!(server.answer("{}").await.0, 200);
    // Requests that still wait do not hold up the end.
    server.finish().await;
    waiting.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn an_address_in_use_stops_the_start() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let registry = Registry::linked().unwrap();
    let component = registry.source("http_server").unwrap();
    let options = json!({"address": address.to_string()});
    let config = component.parse(&options, &ParseContext::new("web", ""));
    let opened = config.unwrap().open(SourceContext::new("web", "")).await;
    let error = opened.map(drop).unwrap_err().to_string();
    let expected = format!("source `web`: cannot listen on {address}: ");
    assert!(error.starts_with(&expected), "{error}");
}

const EVENT: &str = "{\"id\":1}";

#[tokio::test]
async fn firehose_hears_its_request_id_and_the_time_whatever_became_of_its_records() {
    let intake = TestIntake::judging([Step::Refuse(Refused::Full)], judge);
    let secret = json!({"value": "the-access-key-of-the-stream"});
    let options = json!({"envelope": "firehose", "secret": secret});
    let server = Server::start(options, &intake).await;
    let data = STANDARD.encode(format!("{EVENT}\n7\n"));
    let body =
        json!({"requestId": "the-id", "timestamp": 1, "records": [{"data": data}, {"data": "*"}]});
    let post = |body: String, key: &str| {
        let request = server.post(body);
        let request = request.header("x-amz-firehose-request-id", "the-id");
        request.header("x-amz-firehose-access-key", key).send()
    };
    let key = "the-access-key-of-the-stream";
    for (body, key, status, message) in [
        (
            body.to_string(),
            key,
            503,
            "the buffer is full; try again later",
        ),
        (
            body.to_string(),
            "another",
            401,
            "the secret in the header `x-amz-firehose-access-key` is not the one",
        ),
        (
            "{}".to_owned(),
            key,
            422,
            "the body is not a request of Firehose",
        ),
    ] {
        let answer = post(body, key).await.unwrap();
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
        let (found, answer) = read(answer).await;
        assert_eq!((found, &answer["requestId"]), (status, &json!("the-id")));
        assert_eq!(answer["timestamp"], NOW_MS);
        let told = answer["errorMessage"].as_str().unwrap();
        assert!(told.starts_with(message), "{told}");
    }
    let answer = post(body.to_string(), key).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let taken = json!({"requestId": "the-id", "timestamp": NOW_MS});
    assert_eq!(read(answer).await, (200, taken));
    assert_eq!(intake.inputs()[..2], [EVENT, "7"]);
    server.finish().await;
}

#[tokio::test]
async fn a_push_may_show_the_secret_in_its_url_where_pubsub_cannot_set_a_header() {
    let intake = TestIntake::new([]);
    let secret = json!({"value": "a secret/of the+push"});
    let envelope = json!({"envelope": "pubsub", "secret": secret});
    let server = Server::start(envelope, &intake).await;
    let body = json!({"message": {"data": STANDARD.encode(EVENT), "messageId": "1"}}).to_string();
    for (query, status) in [
        ("?token=a%20secret%2Fof%20the%2Bpush", 200),
        ("?a=b&token=a+secret/of+the%2Bpush", 200),
        ("?token=another", 401),
        ("?secret=a%20secret%2Fof%20the%2Bpush", 401),
        ("", 401),
    ] {
        let request = server.client.post(format!("{}{query}", server.url));
        let request = request.header("content-type", "application/json");
        let (found, answer) = read(request.body(body.clone()).send().await.unwrap()).await;
        assert_eq!(found, status, "{query} {answer}");
    }
    // A header is believed first.
    let request = server
        .client
        .post(format!("{}?token=a+secret/of+the%2Bpush", server.url));
    let request = request.header("x-pipeline-secret", "another").body(body);
    assert_eq!(request.send().await.unwrap().status(), 401);
    assert_eq!(intake.inputs(), [EVENT, EVENT]);
    server.finish().await;
}

#[tokio::test]
async fn without_an_envelope_a_secret_in_the_url_is_not_looked_at() {
    let intake = TestIntake::new([]);
    let server = Server::start(
        json!({"secret": {"value": "the-secret-of-a-test"}}),
        &intake,
    )
    .await;
    let request = server
        .client
        .post(format!("{}?token=the-secret-of-a-test", server.url));
    assert_eq!(request.body("{}").send().await.unwrap().status(), 401);
    server.finish().await;
}

#[tokio::test]
async fn cloud_events_are_read_in_all_three_modes_of_http() {
    let intake = TestIntake::new([]);
    let server = Server::start(json!({"envelope": "cloudevents"}), &intake).await;
    let single =
        format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{EVENT}}}"#);
    let batch = format!("[{single},7,{single}]");
    let large = format!("[{}]", vec![single.as_str(); 2_000].join(","));
    let mut taken = 0;
    for (content_type, version, body, received) in [
        (
            "application/cloudevents+json",
            None,
            single.clone().into_bytes(),
            1,
        ),
        (
            "application/cloudevents-batch+json; charset=utf-8",
            None,
            batch.into_bytes(),
            3,
        ),
        (
            "application/cloudevents-batch+json",
            None,
            large.into_bytes(),
            2_000,
        ),
        ("application/json", Some("1.0"), EVENT.into(), 1),
    ] {
        let request = server
            .client
            .post(&server.url)
            .header("content-type", content_type);
        let request = version.into_iter().fold(request, |request, version| {
            request
                .header("ce-specversion", version)
                .header("ce-id", "1")
        });
        let (status, answer) = read(request.body(body).send().await.unwrap()).await;
        assert_eq!((status, &answer["received"]), (200, &json!(received)));
        taken += received;
    }
    assert_eq!(
        intake
            .inputs()
            .iter()
            .filter(|event| *event == EVENT)
            .count(),
        taken - 1
    );
    let (status, answer) = server.answer(EVENT).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (422, &json!("no_envelope"))
    );
    server.finish().await;
}
