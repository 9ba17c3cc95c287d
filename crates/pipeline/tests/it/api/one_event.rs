//! What is told of a single event: the bytes as sent, the answer, the attempts, and why its fields are what they are.

use super::*;
use graph_sandbox::Fault;

/// Everything about the newest event of this id and status.
async fn whole(running: &Running, id: &str, status: &str) -> Value {
    let path = format!("/api/v1/events?id={id}&status={status}");
    let has_any = |list: &Value| list["events"][0].is_object();
    let list = running.until(&path, has_any).await;
    let seq = &list["events"][0]["seq"];
    running.json(&format!("/api/v1/events/{seq}")).await
}

#[tokio::test]
async fn the_payload_is_byte_for_byte_what_the_destination_received_and_the_answer_is_its_own() {
    let running = Running::start(Bench::new().await).await;
    assert_eq!(post(&running.events, &["one", "two"]).await, 200);
    running.bench.delivered(2).await;
    for id in ["one", "two"] {
        let told = whole(&running, id, "delivered").await;
        let payload = told["payload_text"].as_str().unwrap();
        let received = running.bench.sandbox.unique();
        assert!(received.iter().any(|it| it == payload), "{payload}");
        assert!(payload.contains(&format!("\"event_id\":\"{id}\"")));
        assert_eq!(told["bytes"], payload.len());
        let exchange = &told["exchange"];
        assert_eq!(exchange["status"], 200, "{told}");
        assert_eq!(exchange["events_received"], exchange["events"]);
        assert!(!exchange["trace_id"].as_str().unwrap().is_empty());
        assert!(exchange["ms"].is_u64() && exchange["code"].is_null());
        assert_eq!(told["attempts"][0]["exchange"], *exchange);
        let steps = told["history"].as_array().unwrap().iter();
        let steps: Vec<_> = steps.map(|step| step["what"].as_str().unwrap()).collect();
        assert_eq!(steps, ["received", "mapped", "delivered"]);
        // No stream was open.
        assert!(told["explain"].is_null());
        assert_eq!(told["not_explained"], "not kept: nobody was watching");
    }
}

#[tokio::test]
async fn who_does_not_want_payloads_shown_sees_the_rest() {
    let api = json!({"address": "127.0.0.1:0", "show_as_sent": false});
    let running = Running::start_with(Bench::new().await, api).await;
    assert_eq!(post(&running.events, &["one"]).await, 200);
    let told = whole(&running, "one", "delivered").await;
    assert!(told.get("payload_text").is_none(), "{told}");
    assert!(told["bytes"].as_u64().unwrap() > 100);
    assert_eq!(told["exchange"]["status"], 200);
}

#[tokio::test]
async fn an_event_that_was_tried_again_has_each_attempt_with_its_answer() {
    let bench = Bench::new().await;
    let fault = Fault::GraphError {
        status: 503,
        code: 2,
        subcode: None,
        is_transient: true,
        message: Some("Service temporarily unavailable for 'jane'".to_owned()),
    };
    bench.sandbox.inject(fault, 2).unwrap();
    let running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["again"]).await, 200);
    let told = whole(&running, "again", "delivered").await;
    assert_eq!(told["attempt"], 3, "{told}");
    let attempts = told["attempts"].as_array().unwrap();
    let of = |at: usize| &attempts[at];
    assert_eq!(attempts.len(), 3, "{told}");
    for failed in [of(0), of(1)] {
        assert_eq!(failed["status"], "retrying");
        let exchange = &failed["exchange"];
        assert_eq!(
            (&exchange["status"], &exchange["code"]),
            (&json!(503), &json!(2))
        );
        let message = exchange["message"].as_str().unwrap();
        assert_eq!(message, "Service temporarily unavailable for '…'");
        assert!(failed["reason"].is_string(), "{failed}");
    }
    assert_eq!(
        (&of(2)["status"], &of(2)["attempt"]),
        (&json!("delivered"), &json!(3))
    );
    assert_eq!(told["history"].as_array().unwrap().len(), 5, "{told}");
    assert_ne!(of(1)["exchange"]["trace_id"], of(2)["exchange"]["trace_id"]);
}

#[tokio::test]
async fn a_refused_event_shows_its_answer_and_a_filtered_one_has_none() {
    let bench = Bench::new().await;
    let fault = Fault::RefuseEventId {
        event_id: "bad".to_owned(),
        code: 100,
        subcode: Some(2_804_019),
    };
    bench.sandbox.inject(fault, 1).unwrap();
    let running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["one", "bad", "two"]).await, 200);
    let told = whole(&running, "bad", "rejected").await;
    let exchange = &told["exchange"];
    assert_eq!(exchange["status"], 400, "{told}");
    assert_eq!(exchange["events"], 1);
    assert_eq!(exchange["subcode"], 2_804_019);
    // The others went with it at first, and then without it.
    for id in ["one", "two"] {
        let told = whole(&running, id, "delivered").await;
        assert_eq!(told["exchange"]["status"], 200, "{told}");
    }
    send(&running.events, &mixed()).await;
    let any = |list: &Value| list["events"][0].is_object();
    for (status, has_payload) in [("filtered", false), ("rejected&reason=too_old", true)] {
        let list = running
            .until(&format!("/api/v1/events?status={status}"), any)
            .await;
        let seq = &list["events"][0]["seq"];
        let told = running.json(&format!("/api/v1/events/{seq}")).await;
        assert_eq!(told["attempts"], json!([]), "{told}");
        assert!(told["exchange"].is_null(), "{told}");
        assert_eq!(told["payload_text"].is_string(), has_payload, "{told}");
        assert_eq!(told["history"][0]["what"], "received");
    }
}

#[tokio::test]
async fn an_answer_that_never_came_is_told_without_a_status() {
    let mut bench = Bench::new().await;
    // No program listens there.
    bench.sink(&json!({"endpoint": "http://127.0.0.1:9"}));
    let running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["lost"]).await, 200);
    let told = whole(&running, "lost", "retrying").await;
    assert!(told["exchange"]["status"].is_null(), "{told}");
    assert!(told["exchange"]["ms"].is_u64() && told["exchange"]["message"].is_null());
}

#[tokio::test]
async fn fields_are_explained_while_a_stream_is_open_and_not_after_it() {
    let running = Running::start(Bench::new().await).await;
    let mut stream = running.get("/api/v1/events/stream").await;
    assert!(stream.chunk().await.unwrap().is_some());
    send(&running.events, &mixed()).await;
    let told = whole(&running, "one", "delivered").await;
    let explain = &told["explain"];
    assert_eq!(explain["sent"]["event_id"]["from"], "messageId", "{told}");
    assert!(explain["sent"]["user_data.external_id"]["rule"].is_string());
    let absent = &explain["identifiers"]["absent"]["em"]["looked_in"];
    assert!(!absent.as_array().unwrap().is_empty(), "{explain}");
    assert!(told.get("not_explained").is_none());
    // The same words as the command's.
    let text = explain.to_string();
    assert!(
        !text.contains("\"EUR\"") && !text.contains("\"u\""),
        "{text}"
    );
    // What is counted does not depend on who watches.
    let quality = running.json("/api/v1/quality").await;
    assert_eq!(quality["events"], 2, "{quality}");
    drop(stream);
    let closed = async {
        for number in 0.. {
            let id = format!("late-{number}");
            assert_eq!(post(&running.events, &[&id]).await, 200);
            if whole(&running, &id, "delivered").await["explain"].is_null() {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, closed)
        .await
        .expect("the end");
}

#[tokio::test]
async fn no_single_event_holds_anything_personal_in_the_clear() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/senders");
    let (mut events, mut found) = (Vec::new(), vec!["the-token-of-today".to_owned()]);
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let Ok(value) = value else { break };
            personal(&value, &mut found);
            events.push(value);
        }
    }
    assert!(found.len() > 5, "{found:?}");
    let running = Running::start(Bench::new().await).await;
    let mut stream = running.get("/api/v1/events/stream").await;
    assert!(stream.chunk().await.unwrap().is_some());
    send(&running.events, &json!(events)).await;
    running.until("/api/v1/status", is_settled).await;
    let list = running.json("/api/v1/events?limit=500").await;
    let rows = list["events"].as_array().unwrap();
    assert!(rows.len() > 5, "{list}");
    for row in rows {
        let text = running
            .text(&format!("/api/v1/events/{}", row["seq"]))
            .await;
        for word in &found {
            assert!(!text.contains(word.as_str()), "{word} in {text}");
        }
    }
    for path in ["/api/v1/quality", "/api/v1/seen", "/api/v1/series?range=1d"] {
        let text = running.text(path).await;
        let told = found.iter().find(|word| text.contains(word.as_str()));
        assert_eq!(told, None, "{path}: {text}");
    }
}

/// An order of this amount, whatever it is.
fn order(id: &str, properties: &Value) -> Value {
    let mut order = event(id);
    order["event"] = json!("Order Completed");
    order["properties"] = properties.clone();
    order["properties"]["order_id"] = json!(id);
    order["properties"]["products"] = json!([{"product_id": "sku-1", "price": 2.5, "quantity": 2}]);
    order
}

#[tokio::test]
async fn a_row_says_what_its_event_is_worth_as_the_destination_received_it() {
    let api = json!({"address": "127.0.0.1:0", "show_as_sent": false});
    let running = Running::start_with(Bench::new().await, api).await;
    let orders = [
        order("a", &json!({"revenue": 19.99, "currency": "EUR"})),
        order("b", &json!({"revenue": "1200", "currency": "jpy"})),
        order("c", &json!({"revenue": 7.5})),
    ];
    send(&running.events, &json!(orders)).await;
    running.until("/api/v1/status", is_settled).await;
    let received = running.bench.sandbox.unique();
    assert_eq!(received.len(), 2, "{received:?}");
    for text in received {
        let sent: Value = serde_json::from_str(&text).unwrap();
        let row = whole(&running, sent["event_id"].as_str().unwrap(), "delivered").await;
        assert_eq!(row["value"], sent["custom_data"]["value"], "{row}");
        assert_eq!(row["currency"], sent["custom_data"]["currency"], "{row}");
        assert!(row.get("value").is_some() && row.get("currency").is_some());
    }
    let list = running.json("/api/v1/events?id=a").await;
    let row = &list["events"][0];
    assert_eq!(
        (&row["value"], &row["currency"]),
        (&json!(19.99), &json!("EUR"))
    );
    // Without a currency it is rejected, and the letter keeps the number.
    let row = whole(&running, "c", "rejected").await;
    assert_eq!(row["value"], 7.5, "{row}");
    assert!(row["currency"].is_null(), "{row}");
}
