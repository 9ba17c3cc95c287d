//! The `http_server` source, over real HTTP.

use crate::destination::{Case, Step, until};
use pipeline_host::topology::Running;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use std::time::Duration;

async fn start(case: &Case, sink: &Value) -> (Running, String) {
    let web = json!({"type": "http_server", "address": "127.0.0.1:0", "max_body_bytes": 1000});
    let running = case
        .start(json!({"sources": {"web": web}, "sinks": {"out": case.sink("web", sink)}}))
        .await;
    let address = running.addresses()["web"];
    (running, format!("http://{address}"))
}

async fn post(url: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
    let request = Client::new()
        .post(format!("{url}/v1/events"))
        .header("content-type", content_type);
    request.body(body).send().await.unwrap()
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn the_answer_says_what_became_of_every_event() {
    let case = Case::new([]);
    let (running, url) = start(&case, &json!({"batch": {"timeout_secs": 0}})).await;
    let answer = post(
        &url,
        "application/json",
        r#"[{"id":"a"}, 7, {"do":"filter"}, {"id":"b"}]"#,
    )
    .await;
    assert_eq!(answer.status(), 200);
    let rejected = json!([{"index": 1, "reason": "no_id", "detail": "a sentence"}]);
    assert_eq!(
        json(answer).await,
        json!({"received": 4, "accepted": 2, "filtered": 1, "filtered_by_reason": {"consent": 1}, "rejected": rejected})
    );
    let answer = post(&url, "application/x-ndjson", "{\"id\":\"c\"}\n{broken\n").await;
    assert_eq!(
        json(answer).await["rejected"][0]["reason"],
        "malformed_json"
    );
    until(|| case.delivered().len() == 3).await;
    running.stop_handle().drain();
    let ending = running.finish().await;
    assert!(ending.is_complete());
    assert_eq!(case.dead_letters()[1]["source"], "web request 2 event 1");
}

#[tokio::test]
async fn errors_have_one_shape() {
    let case = Case::new([]);
    let (running, url) = start(&case, &json!({})).await;
    let client = Client::new();
    let answers = [
        (
            post(&url, "application/json", "hello").await,
            422,
            "malformed_json",
        ),
        (post(&url, "application/json", "").await, 400, "empty"),
        (
            post(&url, "application/json", "x".repeat(1001)).await,
            413,
            "too_large",
        ),
        (
            post(&url, "image/png", "{}").await,
            415,
            "unsupported_media_type",
        ),
        (
            client.get(format!("{url}/v1/events")).send().await.unwrap(),
            405,
            "method_not_allowed",
        ),
        (
            client.get(format!("{url}/elsewhere")).send().await.unwrap(),
            404,
            "not_found",
        ),
    ];
    for (answer, status, code) in answers {
        assert_eq!(answer.status(), status, "{code}");
        assert_eq!(json(answer).await["error"]["code"], code);
    }
    assert_eq!(
        client
            .get(format!("{url}/health"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    running.stop_handle().drain();
    assert_eq!(running.finish().await.sinks[0].received, 0);
}

#[tokio::test]
async fn a_full_buffer_turns_requests_away_whole() {
    let mut case = Case::new([Step::Wait]);
    case.room_limit = Duration::from_millis(10);
    let options = json!({"batch": {"max_events": 2}, "buffer": {"max_events": 2}});
    let (running, url) = start(&case, &options).await;
    let body = r#"[{"id":"a"},{"id":"b"}]"#;
    assert_eq!(post(&url, "application/json", body).await.status(), 200);
    let refused = post(&url, "application/json", r#"[{"id":"c"},{}]"#).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    case.destination.gate.add_permits(1);
    running.stop_handle().drain();
    let ending = running.finish().await;
    assert_eq!(
        (ending.sinks[0].received, ending.sinks[0].delivered),
        (2, 2)
    );
    assert!(
        case.dead_letters().is_empty(),
        "a request that was turned away leaves no trace"
    );
}

#[tokio::test]
async fn a_port_in_use_is_said_at_the_start() {
    let case = Case::new([]);
    let (first, url) = start(&case, &json!({})).await;
    let address = url.trim_start_matches("http://");
    let web = json!({"type": "http_server", "address": address});
    let config = json!({"sources": {"web": web}, "sinks": {"out": case.sink("web", &json!({}))}});
    let pipeline = case.load(&config).unwrap();
    let options = pipeline_host::StartOptions::default();
    let error = pipeline_host::topology::start(pipeline, options)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("source `web`: cannot listen on {address}")),
        "{error}"
    );
    first.stop_handle().quit();
    first.finish().await;
}

/// Which of a request's bytes a client sends before it hangs up: all of them, or it waits a few turns of the runtime.
async fn hang_up(address: &str, body: &str, turns: usize) {
    use tokio::io::AsyncWriteExt as _;
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(body.as_bytes()).await.unwrap();
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_leave_their_events_in_all_sinks_or_in_none() {
    let (one, other) = (Case::new([]), Case::new([]));
    let web = json!({"type": "http_server", "address": "127.0.0.1:0"});
    let few = json!({"batch": {"timeout_secs": 0, "max_events": 3}, "buffer": {"max_events": 20}});
    let sinks = json!({"one": one.sink("web", &few), "other": other.sink("web", &json!({"batch": {"timeout_secs": 0}}))});
    let running = one
        .start(json!({"sources": {"web": web}, "sinks": sinks}))
        .await;
    let address = running.addresses()["web"].to_string();
    let clients = (0..300).map(|client: usize| {
        let address = address.clone();
        tokio::spawn(async move {
            let ids = (0..10).map(|event| format!("{{\"id\":\"{client}-{event}\"}},7"));
            let body = format!("[{}]", ids.collect::<Vec<_>>().join(","));
            hang_up(&address, &body, client % 50).await;
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    running.stop_handle().drain();
    let ending = running.finish().await;
    assert!(ending.is_complete());
    let ids = |case: &Case| {
        case.delivered()
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(ids(&one), ids(&other));
    let [one_books, other_books] = &ending.sinks[..] else {
        panic!("two sinks")
    };
    for books in [one_books, other_books] {
        assert_eq!(books.received, 2 * books.delivered, "as many are rejected");
        assert_eq!(books.received % 20, 0, "whole requests");
    }
    assert_eq!(one_books.received, other_books.received);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_that_wait_for_delivery_turn_no_other_away() {
    let case = Case::new([]);
    let web =
        json!({"type": "http_server", "address": "127.0.0.1:0", "acknowledgements": "end_to_end"});
    let sink = case.sink("web", &json!({"batch": {"timeout_secs": 0}}));
    let running = case
        .start(json!({"sources": {"web": web}, "sinks": {"out": sink}}))
        .await;
    let url = format!("http://{}/v1/events", running.addresses()["web"]);
    let client = Client::new();
    let senders = (0..200).map(|sender| {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move {
            for request in 0..5 {
                let post = client.post(&url).header("content-type", "application/json");
                let body = format!("{{\"id\":\"{sender}-{request}\"}}");
                assert_eq!(post.body(body).send().await.unwrap().status(), 200);
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    assert_eq!(case.delivered().len(), 1_000);
    running.stop_handle().drain();
    assert!(running.finish().await.is_complete());
}
