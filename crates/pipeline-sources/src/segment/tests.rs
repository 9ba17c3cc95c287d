//! The server over real HTTP, against an intake that follows a script.

use crate::test_intake::{Running, Step, StopHandle, TestIntake, start};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use pipeline_core::{
    AckLevel, Cookie, Event, Item, ParseContext, Reason, Refused, Registry, SourceError, Verdict,
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const NOW_MS: i64 = 1_768_478_400_000;
const RECEIVED: &str = "2026-01-15T12:00:00.000Z";
/// How long the servers of these tests wait for room.
const ROOM_LIMIT: Duration = Duration::from_millis(10);
const KEY: &str = "the-web-key-0123";
const SERVER_KEY: &str = "the-server-key-01";
const SHOP: &str = "https://shop.example";
const BROWSER: &str = "Mozilla/5.0 (X11)";

/// A running server.
struct Server {
    url: String,
    client: Client,
    stop: StopHandle,
    running: JoinHandle<Result<(), SourceError>>,
    intake: Arc<TestIntake>,
}

/// What a client hears.
#[derive(Debug)]
struct Heard {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Server {
    async fn start(options: Value) -> Self {
        Self::with(options, TestIntake::new([])).await
    }

    /// Options but for the address, and the intake.
    async fn with(options: Value, intake: Arc<TestIntake>) -> Self {
        let at = (NOW_MS, ROOM_LIMIT);
        let Running {
            address,
            stop,
            task: running,
        } = start("segment", options, at, &intake).await;
        Self {
            url: format!("http://{address}"),
            client: Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            stop,
            running,
            intake,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, path).body(body)
    }

    /// The events that were taken, without the time of receipt that each must have.
    fn taken(&self) -> Vec<Value> {
        let read = self.intake.inputs().into_iter().map(|text| {
            let Ok(mut event) = serde_json::from_str::<Value>(&text) else {
                return json!(text);
            };
            if let Some(event) = event.as_object_mut() {
                assert_eq!(event.remove("receivedAt"), Some(json!(RECEIVED)));
            }
            event
        });
        read.collect()
    }

    /// Stops the server and waits for its end.
    async fn finish(self) {
        drop(self.client);
        self.stop.stop();
        self.running.await.unwrap().unwrap();
    }
}

async fn heard(request: RequestBuilder) -> Heard {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    assert!(
        ![410, 501, 504, 505, 508].contains(&status) && status / 100 != 3,
        "{status}"
    );
    let body = response.bytes().await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Heard {
        status,
        headers,
        body,
    }
}

async fn status(request: RequestBuilder) -> u16 {
    heard(request).await.status
}

/// Status and code of a refusal, which Python's clients look for at the top.
async fn refused(request: RequestBuilder) -> (u16, String) {
    let heard = heard(request).await;
    assert_eq!(heard.body["success"], false, "{heard:?}");
    assert!(
        heard.body["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty())
    );
    (
        heard.status,
        heard.body["code"].as_str().unwrap().to_owned(),
    )
}

fn basic(key: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{key}:")))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn every_path_takes_events_and_gives_them_the_type_that_they_lack() {
    let server = Server::start(json!({})).await;
    for (path, kind) in [
        ("/v1/track", "track"),
        ("/v1/t", "track"),
        ("/v1/p", "page"),
        ("/v1/screen", "screen"),
        ("/v1/i", "identify"),
        ("/v1/group", "group"),
        ("/api/s/alias", "alias"),
        ("/api/s/s2s/page", "page"),
        ("/v1/identify/", "identify"),
    ] {
        let heard = heard(server.post(path, r#"{"userId":"u"}"#)).await;
        assert_eq!(
            (heard.status, &heard.body["success"]),
            (200, &json!(true)),
            "{path}"
        );
        let expected = json!({"userId": "u", "type": kind});
        assert_eq!(server.taken().pop(), Some(expected), "{path}");
    }
    let named = server.post("/v1/track", r#"{"type":"page"}"#);
    assert_eq!(status(named).await, 200);
    assert_eq!(server.taken().pop(), Some(json!({"type": "page"})));
    server.finish().await;
}

#[tokio::test]
async fn a_batch_is_taken_apart_and_single_rejections_do_not_fail_it() {
    let judge = |item: &Item| match item {
        Item::Event(event) if event.raw() == b"7" => {
            Verdict::Rejected(Reason::new("no_id", "a sentence"))
        }
        Item::Rejected { reason, .. } => Verdict::Rejected(reason.clone()),
        _ => Verdict::Accepted,
    };
    let server = Server::with(json!({}), TestIntake::judging([], judge)).await;
    let body = r#"{"batch": [{"type": "track", "userId": null, "sentAt": "own"}, 7, {"batch": []}, {"type":"page"}],
        "sentAt": "s", "timestamp": "t", "context": {"library": {"name": "x"}}, "integrations": {"All": false}, "writeKey": "k"}"#;
    for path in [
        "/v1/batch",
        "/v1/b",
        "/v1/import",
        "/beacon/v1/batch",
        "/api/s/batch",
    ] {
        let heard = heard(server.post(path, body)).await;
        assert_eq!(heard.status, 200);
        let rejected = &heard.body["rejected"];
        assert_eq!(heard.body["success"], true);
        assert_eq!(
            (&heard.body["received"], &heard.body["accepted"]),
            (&json!(4), &json!(2))
        );
        assert_eq!(
            (&rejected[0]["index"], &rejected[1]["reason"]),
            (&json!(1), &json!("nested_batch"))
        );
    }
    let raw = server.intake.inputs();
    assert!(
        raw[0].starts_with(r#"{"type": "track", "userId": null, "sentAt": "own","timestamp":"t","#),
        "{}",
        raw[0]
    );
    let common = json!({"context": {"library": {"name": "x"}}, "integrations": {"All": false}, "timestamp": "t"});
    for (index, own) in [
        (0, json!({"type": "track", "userId": null, "sentAt": "own"})),
        (3, json!({"type": "page", "sentAt": "s"})),
    ] {
        let mut event = server.taken().remove(index);
        for (name, value) in common
            .as_object()
            .unwrap()
            .iter()
            .chain(own.as_object().unwrap())
        {
            assert_eq!(
                event.as_object_mut().unwrap().remove(name).as_ref(),
                Some(value),
                "{name}"
            );
        }
        assert_eq!(event, json!({}));
    }
    server.finish().await;
}

#[tokio::test]
async fn any_content_type_and_every_encoding_is_read() {
    let server = Server::start(json!({})).await;
    let body = r#"{"batch": [{"type": "track"}]}"#;
    for kind in [
        "application/json;charset=utf-8",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "text/html",
        "",
    ] {
        let request = server.post("/v1/batch", body).header("content-type", kind);
        assert_eq!(status(request).await, 200, "{kind}");
    }
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(body.as_bytes()).unwrap();
    let zstd = zstd::encode_all(body.as_bytes(), 0).unwrap();
    // `br` of one uncompressed block and its end, as RFC 7932 writes it.
    let head = (u32::try_from(body.len() - 1).unwrap() << 4) | (1 << 20);
    let br = [&head.to_le_bytes()[..3], body.as_bytes(), &[3]].concat();
    for (name, packed) in [
        ("gzip", gzip(body.as_bytes())),
        ("gzip, gzip", gzip(&gzip(body.as_bytes()))),
        ("deflate", zlib.finish().unwrap()),
        ("zstd", zstd),
        ("br", br),
    ] {
        let request = server
            .post("/v1/batch", packed)
            .header("content-encoding", name);
        assert_eq!(status(request).await, 200, "{name}");
    }
    assert_eq!(server.taken(), vec![json!({"type": "track"}); 11]);
    server.finish().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_code_and_costs_nothing_else() {
    let server = Server::start(json!({"max_body_bytes": 200_000})).await;
    let many = format!("{{\"batch\":[{}{{}}]}}", "{},".repeat(10_000));
    let bomb = gzip(&vec![b' '; 3_000_000]);
    let packed = |bytes: &[u8]| {
        server
            .post("/v1/batch", gzip(bytes))
            .header("content-encoding", "gzip")
    };
    for (request, expected) in [
        (server.post("/v1/batch", ""), (400, "empty")),
        (server.post("/v1/batch", "hello"), (400, "malformed_json")),
        (
            server.post("/v1/track", "event=a&user=b"),
            (400, "malformed_json"),
        ),
        (
            server.post("/v1/batch", r#"{"batch":{}}"#),
            (400, "no_batch"),
        ),
        (server.post("/v1/batch", "{}"), (400, "no_batch")),
        (server.post("/v1/batch", many), (413, "too_many_events")),
        (
            server.post("/v1/batch", "x".repeat(200_001)),
            (413, "too_large"),
        ),
        (
            server
                .post("/v1/batch", bomb)
                .header("content-encoding", "gzip"),
            (413, "too_large"),
        ),
        (packed(&gzip(b"{}")), (400, "still_packed")),
        (server.post("/v1/batch", gzip(b"{}")), (400, "still_packed")),
        (
            server
                .post("/v1/batch", "{}")
                .header("content-encoding", "gzip"),
            (400, "malformed_gzip"),
        ),
        (
            server
                .post("/v1/batch", "{}")
                .header("content-encoding", "lzma"),
            (415, "unsupported_encoding"),
        ),
        (
            server
                .post("/v1/track", "{}")
                .header("content-type", "text/plain;charset=utf-16"),
            (415, "unsupported_charset"),
        ),
        (
            server.request(Method::GET, "/v1/track"),
            (405, "method_not_allowed"),
        ),
        (
            server.request(Method::POST, "/v1/projects/k/settings"),
            (405, "method_not_allowed"),
        ),
        (server.post("/v1/events", "{}"), (404, "not_found")),
        (server.request(Method::GET, "/p.js"), (404, "not_found")),
    ] {
        let (status, code) = expected;
        assert_eq!(refused(request).await, (status, code.to_owned()));
    }
    assert!(server.intake.chunks().is_empty());
    server.finish().await;
}

#[tokio::test]
async fn what_is_large_or_cut_costs_no_other_event() {
    let server = Server::start(json!({"max_body_bytes": 200_000})).await;
    let wide = format!(
        r#"{{"context":{{"a":"{}"}},"batch":[{{}},{{}},{{}}]}}"#,
        "x".repeat(100_000)
    );
    assert_eq!(
        refused(server.post("/v1/batch", wide)).await,
        (413, "too_large".to_owned())
    );
    // More than Segment's 32 KB for an event, and a body that was cut.
    let large = format!(r#"{{"type":"track","text":"{}"}}"#, "x".repeat(40_000));
    assert_eq!(status(server.post("/v1/track", large)).await, 200);
    let cut = heard(server.post("/v1/batch", r#"{"batch":[{"type":"a"},{"type":"b"},{"ty"#)).await;
    assert_eq!((cut.status, &cut.body["received"]), (200, &json!(4)));
    let taken = server.taken();
    assert_eq!(taken[1..3], [json!({"type": "a"}), json!({"type": "b"})]);
    assert_eq!(taken[3..], [json!(r#"{"ty"#), json!("malformed_json")]);
    // A head that is too large costs its own connection only.
    let cookie = "x=".to_owned() + &"y".repeat(64 * 1024);
    let head = server
        .post("/v1/track", "{}")
        .header("cookie", cookie)
        .send()
        .await;
    assert!(head.is_err() || head.unwrap().status() == 431);
    assert_eq!(status(server.post("/v1/track", "{}")).await, 200);
    server.finish().await;
}

fn with_keys() -> Value {
    json!({
        "keys": {
            "web": {"value": KEY, "allowed_origins": [SHOP]},
            "backend": SERVER_KEY,
        },
    })
}

#[tokio::test]
async fn a_key_is_taken_from_every_place_and_without_one_nothing_is() {
    let server = Server::start(with_keys()).await;
    let body = r#"{"type":"track"}"#;
    let in_body = format!(r#"{{"type":"track","writeKey":"{SERVER_KEY}"}}"#);
    let in_batch = format!(r#"{{"batch":[{{"type":"track"}}],"writeKey":"{SERVER_KEY}"}}"#);
    for request in [
        server
            .post("/v1/track", body)
            .header("authorization", basic(SERVER_KEY)),
        server
            .post("/v1/track", body)
            .header("authorization", format!("Bearer {SERVER_KEY}")),
        server
            .post("/v1/track", body)
            .header("x-write-key", format!("{SERVER_KEY}:secret")),
        server.post(&format!("/beacon/v1/batch?writeKey={SERVER_KEY}"), body),
        server.post("/v1/track", in_body.clone()),
        server.post("/v1/batch", in_batch),
    ] {
        assert_eq!(status(request).await, 200);
    }
    let chunks = server.intake.chunks();
    assert_eq!(chunks.len(), 6);
    let origin = chunks[3].0.events().next().unwrap().origin().to_string();
    assert_eq!(origin, "web key backend request 4 event 0");
    assert_eq!(chunks[0].1, Some(AckLevel::Buffered));
    let upper = SERVER_KEY.to_uppercase();
    for (request, code) in [
        (server.post("/v1/track", body), "missing_write_key"),
        (
            server
                .post("/v1/track", body)
                .header("authorization", basic("")),
            "missing_write_key",
        ),
        (
            server
                .post("/v1/track", body)
                .header("authorization", basic(&upper)),
            "wrong_write_key",
        ),
        // The header wins.
        (
            server
                .post("/v1/track", in_body.clone())
                .header("x-write-key", "another"),
            "wrong_write_key",
        ),
        (
            server.request(Method::GET, "/v1/projects/another/settings"),
            "wrong_write_key",
        ),
        (
            server.request(Method::GET, "/sourceConfig/"),
            "missing_write_key",
        ),
    ] {
        let heard = heard(request).await;
        assert_eq!((heard.status, &heard.body["code"]), (401, &json!(code)));
        assert!(
            !heard.body.to_string().contains(&upper),
            "a key is never shown"
        );
    }
    assert_eq!(server.intake.chunks().len(), 6);
    server.finish().await;
}

#[tokio::test]
async fn a_key_in_the_body_that_differs_is_said_and_a_masked_one_is_not() {
    let server = Server::start(with_keys()).await;
    for (in_body, notes) in [
        (KEY, 1),
        ("unknown", 1),
        ("***", 0),
        ("the-server:***", 0),
        (SERVER_KEY, 0),
    ] {
        let body = format!(r#"{{"batch":[{{"type":"track"}}],"writeKey":"{in_body}"}}"#);
        let request = server
            .post("/v1/batch", body)
            .header("authorization", basic(SERVER_KEY));
        let heard = heard(request).await;
        let said = heard.body["notes"].as_array().map_or(0, Vec::len);
        assert_eq!((heard.status, said), (200, notes), "{in_body}");
    }
    server.finish().await;
}

#[tokio::test]
async fn a_page_may_send_with_the_keys_that_allow_its_origin() {
    let server = Server::start(with_keys()).await;
    let post = |key: &str, origin: &str| {
        let request = server.post("/v1/track", r#"{"type":"track"}"#);
        request
            .header("authorization", basic(key))
            .header("origin", origin.to_owned())
    };
    let good = heard(post(KEY, SHOP)).await;
    assert_eq!(
        (good.status, &good.headers["access-control-allow-origin"]),
        (200, &SHOP.parse().unwrap())
    );
    assert_eq!(good.headers["access-control-expose-headers"], "retry-after");
    // A refusal can be read by the page, so that its client does not take it for a broken network.
    let other_key = heard(post(SERVER_KEY, SHOP)).await;
    assert_eq!(
        (other_key.status, &other_key.body["code"]),
        (403, &json!("foreign_origin"))
    );
    assert!(
        other_key
            .headers
            .contains_key("access-control-allow-origin")
    );
    let wrong = heard(post("wrong-key", SHOP)).await;
    assert!(wrong.status == 401 && wrong.headers.contains_key("access-control-allow-origin"));
    for origin in ["https://evil.example", "null"] {
        let foreign = heard(post(KEY, origin)).await;
        assert_eq!(
            (foreign.status, &foreign.body["code"]),
            (403, &json!("foreign_origin"))
        );
        assert!(!foreign.headers.contains_key("access-control-allow-origin"));
    }
    // The key is in the body: the page is looked at once it is known.
    let body = format!(r#"{{"type":"track","writeKey":"{SERVER_KEY}"}}"#);
    let beacon = server
        .post("/v1/t", body)
        .header("origin", SHOP)
        .header("content-type", "text/plain");
    assert_eq!(refused(beacon).await, (403, "foreign_origin".to_owned()));
    assert_eq!(server.intake.chunks().len(), 1);
    server.finish().await;
}

#[tokio::test]
async fn a_page_that_hides_its_origin_is_refused_even_where_every_page_is_allowed() {
    let server = Server::start(json!({"allowed_origins": ["*"]})).await;
    let null = heard(server.post("/v1/track", "{}").header("origin", "null")).await;
    assert_eq!(null.status, 403);
    assert!(!null.headers.contains_key("access-control-allow-origin"));
    let any = server
        .post("/v1/track", "{}")
        .header("origin", "https://any.example");
    assert_eq!(status(any).await, 200);
    server.finish().await;
}

#[tokio::test]
async fn a_preflight_allows_what_the_clients_ask_for_and_tells_a_foreign_page_nothing() {
    let server = Server::start(with_keys()).await;
    let ask = |origin: &str, path: &str, asked: &str| {
        server
            .request(Method::OPTIONS, path)
            .header("origin", origin.to_owned())
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", asked.to_owned())
    };
    for (path, asked) in [
        ("/v1/t", "authorization,x-retry-count"),
        (
            "/v1/track",
            "anonymousid,authorization,content-type,rsa-retry-attempt,rsa-retry-reason,rsa-since-first-attempt,rsa-since-last-attempt,sentat",
        ),
        ("/api/s/track", "content-type,x-write-key"),
        ("/sourceConfig/", "authorization"),
    ] {
        let heard = heard(ask(SHOP, path, asked)).await;
        assert_eq!(heard.status, 204);
        assert_eq!(heard.headers["access-control-allow-origin"], SHOP);
        assert_eq!(heard.headers["access-control-allow-headers"], asked);
        assert_eq!(heard.headers["access-control-allow-methods"], "POST");
    }
    for origin in ["https://evil.example", "null"] {
        let foreign = heard(ask(origin, "/v1/t", "authorization")).await;
        assert_eq!(foreign.status, 204);
        let allows =
            |name: &&axum::http::HeaderName| name.as_str().starts_with("access-control-allow");
        assert_eq!(foreign.headers.keys().find(allows), None);
    }
    server.finish().await;
}

#[tokio::test]
async fn without_room_clients_hear_when_to_come_back() {
    for (step, code, expected) in [
        (Step::Refuse(Refused::Full), "buffer_full", 429),
        (Step::Refuse(Refused::NoLetters), "dead_letters_full", 429),
        (Step::Refuse(Refused::Failed), "failed", 503),
        // Perhaps they are stored a moment later: they come again with the same ids.
        (Step::Open, "not_stored_yet", 503),
    ] {
        let server = Server::with(json!({}), TestIntake::new([step])).await;
        let heard = heard(server.post("/v1/track", "{}")).await;
        assert_eq!(
            (heard.status, &heard.body["code"]),
            (expected, &json!(code))
        );
        let wait: u64 = heard.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((4..=6).contains(&wait), "{wait}");
        assert_eq!(status(server.post("/v1/track", "{}")).await, 200);
        server.finish().await;
    }
}

#[tokio::test]
async fn a_key_that_sends_too_much_waits_and_others_do_not() {
    let options = json!({"keys": {"slow": {"value": KEY, "rate_limit": 1}, "fast": SERVER_KEY}});
    let server = Server::start(options).await;
    let post = |key: &str, count: usize| {
        let batch = json!({"batch": vec![json!({"type": "track"}); count]}).to_string();
        server
            .post("/v1/batch", batch)
            .header("authorization", basic(key))
    };
    assert_eq!(status(post(KEY, 100)).await, 200);
    let heard = heard(post(KEY, 1)).await;
    assert_eq!(
        (heard.status, &heard.body["code"]),
        (429, &json!("rate_limit"))
    );
    let wait: u64 = heard.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((60..=120).contains(&wait), "{wait}");
    assert_eq!(status(post(SERVER_KEY, 100)).await, 200);
    server.finish().await;
}

#[tokio::test]
async fn a_signature_is_asked_for_with_the_keys_that_have_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signing");
    std::fs::write(&file, "the signing secret").unwrap();
    let options = json!({"keys": {
        "signed": {"value": SERVER_KEY, "hmac": {"header": "x-hub-signature-256", "secret_file": file}},
    }});
    let server = Server::start(options).await;
    // From `printf '{}' | openssl dgst -sha256 -hmac 'the signing secret'`.
    let good = SIGNATURE;
    let post = |signature: &str| {
        let request = server
            .post("/v1/track", "{}")
            .header("x-write-key", SERVER_KEY);
        request.header("x-hub-signature-256", format!("sha256={signature}"))
    };
    assert_eq!(status(post(good)).await, 200);
    assert_eq!(
        refused(post(&good.replace('a', "b"))).await,
        (401, "wrong_signature".to_owned())
    );
    let without = server
        .post("/v1/track", "{}")
        .header("x-write-key", SERVER_KEY);
    assert_eq!(refused(without).await, (401, "wrong_signature".to_owned()));
    server.finish().await;
}

const SIGNATURE: &str = "631d8b568d5558920f7a1d18b5fba81ff11469b6e54af1cf6a75ecd710bb579d";

#[tokio::test]
async fn the_connection_of_a_browser_fills_the_context_where_it_is_absent() {
    let mut options = with_keys();
    options["trusted_proxies"] = json!(["127.0.0.1"]);
    options["cookies"] = json!({"read": true});
    let server = Server::start(options).await;
    let post = |body: &'static str| {
        server
            .post("/v1/p", body)
            .header("authorization", basic(KEY))
            .header("x-forwarded-for", "6.6.6.6, 203.0.113.9")
            .header("cookie", "_fbp=fb.1.1700000000000.77")
            .header("user-agent", BROWSER)
    };
    assert_eq!(status(post("{}").header("origin", SHOP)).await, 200);
    let given = r#"{"context":{"ip":"0.0.0.0","userAgent":"mine","fbp":null}}"#;
    assert_eq!(status(post(given).header("origin", SHOP)).await, 200);
    // A server that calls itself a browser does not speak for a visitor.
    let of_server = server
        .post("/v1/p", "{}")
        .header("authorization", basic(SERVER_KEY));
    assert_eq!(status(of_server.header("user-agent", BROWSER)).await, 200);
    let context =
        json!({"ip": "203.0.113.9", "userAgent": BROWSER, "fbp": "fb.1.1700000000000.77"});
    assert_eq!(
        server.taken(),
        [
            json!({"type": "page", "context": context}),
            json!({"type": "page", "context": {"ip": "0.0.0.0", "userAgent": "mine", "fbp": null}}),
            json!({"type": "page"}),
        ]
    );
    server.finish().await;
}

#[tokio::test]
async fn a_header_of_an_untrusted_peer_changes_nothing() {
    let server = Server::start(json!({"client_context": "always"})).await;
    for name in [
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "true-client-ip",
    ] {
        let request = server.post("/v1/t", "{}").header(name, "for=203.0.113.9");
        assert_eq!(status(request.header("user-agent", "agent/1")).await, 200);
    }
    // The peer's address is that of this machine, which is no visitor's.
    assert_eq!(
        server.taken(),
        vec![json!({"type": "track", "context": {"userAgent": "agent/1"}}); 4]
    );
    let peer = server.intake.chunks()[0]
        .0
        .events()
        .next()
        .unwrap()
        .meta()
        .unwrap()
        .peer;
    assert_eq!(peer, Some([127, 0, 0, 1].into()));
    server.finish().await;
}

#[tokio::test]
async fn browser_clients_get_the_settings_that_they_start_with() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("analytics.min.js"), "script").unwrap();
    let mut options = with_keys();
    options["public_url"] = json!("https://events.shop.example");
    options["script_dir"] = json!(folder.path());
    let server = Server::start(options).await;
    let get = |path: &str| server.request(Method::GET, path).header("origin", SHOP);
    let segment = heard(get(&format!("/v1/projects/{KEY}/settings"))).await;
    assert_eq!(segment.headers["access-control-allow-origin"], SHOP);
    let settings = &segment.body["integrations"]["Segment.io"];
    assert_eq!(
        (
            &settings["apiKey"],
            &settings["apiHost"],
            &settings["protocol"]
        ),
        (
            &json!(KEY),
            &json!("events.shop.example/v1"),
            &json!("https")
        )
    );
    let rudder = heard(get("/sourceConfig/?p=npm&v=3").header("authorization", basic(KEY))).await;
    assert_eq!(
        (rudder.status, &rudder.body["source"]["writeKey"]),
        (200, &json!(KEY))
    );
    let script = format!("/analytics.js/v1/{KEY}/analytics.min.js");
    let script = get(&script).send().await.unwrap();
    assert_eq!(
        script.headers()["content-type"],
        "text/javascript; charset=utf-8"
    );
    assert_eq!(script.text().await.unwrap(), "script");
    let outside = format!("/analytics.js/v1/{KEY}/..%2f..%2fetc%2fpasswd");
    assert_eq!(status(get(&outside)).await, 404);
    assert_eq!(heard(get("/health")).await.body, json!({"status": "ok"}));
    server.finish().await;
}

#[tokio::test]
async fn without_keys_only_this_machine_and_no_page_may_send() {
    let server = Server::start(json!({})).await;
    let rebound = server
        .post("/v1/track", "{}")
        .header("host", "evil.example");
    assert_eq!(refused(rebound).await, (421, "foreign_host".to_owned()));
    let form = server
        .post("/v1/track", "{}")
        .header("content-type", "text/plain");
    let form = form.header("user-agent", BROWSER);
    assert_eq!(refused(form).await, (403, "foreign_origin".to_owned()));
    server.finish().await;
    let registry = Registry::linked().unwrap();
    let component = registry.source("segment").unwrap();
    let problems = |options: Value| {
        let problems = component
            .parse(&options, &ParseContext::new("web", ""))
            .map(drop);
        problems
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(problems(json!({"address": "0.0.0.0:1"})), ["address"]);
    assert_eq!(
        problems(json!({"address": "0.0.0.0:1", "allow_non_loopback": true})),
        ["keys"]
    );
    assert_eq!(
        problems(json!({"trusted_proxies": ["10.0.0.0/33"]})),
        ["trusted_proxies[0]"]
    );
    assert_eq!(
        problems(json!({"public_url": "shop.example"})),
        ["public_url"]
    );
}

/// Sinks that keep one cookie of every event that says yes.
fn kept(event: &Event) -> Vec<Cookie> {
    let event: Value = serde_json::from_slice(event.raw()).unwrap();
    if event["agreed"] != true {
        return Vec::new();
    }
    let known = event["context"]["fbp"].as_str();
    let value = known.unwrap_or("fb.1.1600000000000.7");
    let age = Duration::from_secs(60);
    vec![Cookie::new("_fbp", "fbp", value, age).sent(known.is_some())]
}

/// The cookies that an answer sets.
fn set_by(heard: &Heard) -> Vec<&str> {
    let headers = heard.headers.get_all("set-cookie").iter();
    headers.map(|header| header.to_str().unwrap()).collect()
}

fn setting(more: &Value) -> Value {
    let mut cookies = json!({"read": true, "set": ["fbp"]});
    for (key, value) in more.as_object().unwrap() {
        cookies[key] = value.clone();
    }
    json!({"allowed_origins": ["*"], "public_url": "https://events.shop.example", "cookies": cookies})
}

#[tokio::test]
async fn a_page_of_this_site_gets_the_cookie_that_its_event_is_sent_with_and_no_other_page_does() {
    let body = r#"{"type":"track","agreed":true}"#;
    let value = "_fbp=fb.1.1600000000000.7; Max-Age=60; Path=/";
    for (options, origin, expected) in [
        (
            setting(&json!({})),
            SHOP,
            Some("; Domain=shop.example; SameSite=Lax"),
        ),
        (setting(&json!({})), "https://shop.test", None),
        (
            setting(&json!({"domain": "events.shop.example"})),
            SHOP,
            Some("; Domain=events.shop.example; SameSite=Lax"),
        ),
        (setting(&json!({"domain": "other.example"})), SHOP, None),
        (setting(&json!({"set": []})), SHOP, None),
        (
            json!({"allowed_origins": ["*"], "cookies": {"read": true}}),
            SHOP,
            None,
        ),
        (json!({"allowed_origins": ["*"]}), SHOP, None),
    ] {
        let server = Server::with(options.clone(), TestIntake::keeping([], kept)).await;
        let request = || {
            server
                .post("/v1/track", body)
                .header("content-type", "application/json")
        };
        let answer = heard(request().header("origin", origin)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let expected = expected.map(|rest| format!("{value}{rest}"));
        assert_eq!(
            set_by(&answer),
            expected.iter().collect::<Vec<_>>(),
            "{options}"
        );
        let fbp = server.taken()[0]["context"]["fbp"].clone();
        assert_eq!(fbp.is_string(), expected.is_some(), "{options}");
        // A server, and a visitor who did not agree.
        assert_eq!(set_by(&heard(request()).await), [""; 0]);
        let refusing = server
            .post("/v1/track", r#"{"agreed":false}"#)
            .header("origin", origin);
        assert_eq!(
            set_by(&heard(refusing.header("content-type", "application/json")).await),
            [""; 0]
        );
        // A browser that has it.
        let known = request()
            .header("origin", origin)
            .header("cookie", "_fbp=fb.1.1768478000000.1");
        assert_eq!(set_by(&heard(known).await), [""; 0]);
        server.finish().await;
    }
}

#[tokio::test]
async fn a_request_that_is_not_taken_sets_no_cookie() {
    let steps = [Step::Refuse(Refused::Full)];
    let server = Server::with(setting(&json!({})), TestIntake::keeping(steps, kept)).await;
    let request = || {
        let request = server.post("/v1/track", r#"{"type":"track","agreed":true}"#);
        request
            .header("origin", SHOP)
            .header("content-type", "application/json")
    };
    let turned = heard(request()).await;
    assert_eq!((turned.status, set_by(&turned)), (429, Vec::new()));
    let taken = heard(request()).await;
    assert_eq!((taken.status, set_by(&taken).len()), (200, 1));
    server.finish().await;
}

#[test]
fn options_of_cookies_that_cannot_be_meant_are_problems() {
    for (cookies, path) in [
        (json!({"set": ["fbp"]}), "cookies.read"),
        (
            json!({"read": true, "set": ["fbp"], "domain": "co.uk"}),
            "cookies.domain",
        ),
        (
            json!({"read": true, "set": ["fbp"], "domain": "https://shop.example"}),
            "cookies.domain",
        ),
        (
            json!({"read": true, "domain": "127.0.0.1"}),
            "cookies.domain",
        ),
    ] {
        let component = Registry::linked().unwrap();
        let component = component.source("segment").unwrap();
        let options = json!({"cookies": cookies});
        let problems = component
            .parse(&options, &ParseContext::default())
            .unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, path);
    }
}
