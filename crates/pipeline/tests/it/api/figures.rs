//! Quality, names that were seen, and series: they add up to the counters.

use super::*;

/// An event of this name, with an e-mail address.
fn named(id: &str, name: &str) -> Value {
    let mut named = event(id);
    named["event"] = json!(name);
    named["traits"] = json!({"email": format!("{id}@example.com")});
    named
}

async fn some_events(running: &Running) {
    let odd = named("odd", "jane.doe@example.com");
    let unknown = ["a", "b", "c"].map(|id| named(id, "Coffee Brewed"));
    let mut events = vec![event("one"), named("two", "Product Added"), odd];
    events.extend(unknown);
    events.extend(mixed().as_array().unwrap()[1..3].iter().cloned());
    send(&running.events, &json!(events)).await;
    running.bench.delivered(2).await;
    running.until("/api/v1/status", is_settled).await;
}

fn sum_of(list: &Value) -> u64 {
    let all = list.as_array().unwrap().iter();
    all.map(|it| it.as_u64().unwrap_or(0)).sum()
}

#[tokio::test]
async fn quality_says_what_the_events_carried_and_what_is_worth_adding() {
    let running = Running::start(Bench::new().await).await;
    some_events(&running).await;
    for path in ["/api/v1/quality", "/api/v1/quality?sink=meta"] {
        let told = running.json(path).await;
        assert_eq!(told["events"], 2, "{told}");
        assert!(told["about"].as_str().unwrap().contains("not Meta's score"));
        let name = &told["names"][0];
        assert_eq!(
            (&name["name"], &name["events"]),
            (&json!("AddToCart"), &json!(2))
        );
        assert_eq!(name["identifiers"]["em"], 1, "{told}");
        assert_eq!(name["identifiers"]["external_id"], 2, "{told}");
        let worst = told["worst"].as_array().unwrap();
        assert_eq!(worst.len(), 3, "{told}");
        assert_eq!(worst[0]["identifier"], "em");
        assert_eq!(
            (&worst[0]["carried"], &worst[0]["events"]),
            (&json!(1), &json!(2))
        );
        assert_eq!(worst[0]["name"], "AddToCart");
        assert!(worst.iter().all(|it| it["strength"].is_string()));
        let looked_in = worst[0]["looked_in"].as_array().unwrap();
        assert!(
            looked_in.iter().any(|path| path == "traits.email"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn names_that_were_seen_and_are_not_mapped_are_counted_and_none_is_personal() {
    let running = Running::start(Bench::new().await).await;
    some_events(&running).await;
    let told = running.json("/api/v1/seen?sink=meta").await;
    let names = told["names"].as_array().unwrap();
    assert_eq!(names[0]["name"], "Coffee Brewed", "{told}");
    assert_eq!(names[0]["events"], 3);
    let all: u64 = names.iter().map(|it| it["events"].as_u64().unwrap()).sum();
    assert_eq!(told["events"], 4, "{told}");
    let rest = told["other"].as_u64().unwrap() + told["unnamed"].as_u64().unwrap();
    assert_eq!(all + rest, 4);
    let mapped = &told["mapped"][0];
    assert_eq!(
        (
            &mapped["name"],
            &mapped["destination_event"],
            &mapped["events"]
        ),
        (&json!("Product Added"), &json!("AddToCart"), &json!(4))
    );
    assert!(!told.to_string().contains("jane"), "{told}");
}

#[tokio::test]
async fn both_series_add_up_to_the_counters() {
    let running = Running::start(Bench::new().await).await;
    some_events(&running).await;
    let status = running.json("/api/v1/status").await;
    let counts = &status["sinks"][0]["counts"];
    for (path, step) in [
        ("/api/v1/series", 10),
        ("/api/v1/series?range=1h&sink=meta", 10),
        ("/api/v1/series?range=1d", 60),
    ] {
        let told = running.json(path).await;
        assert_eq!(told["step_secs"], step, "{told}");
        assert_eq!(
            json!(sum_of(&told["delivered"])),
            counts["delivered"],
            "{told}"
        );
        assert_eq!(json!(sum_of(&told["retried"])), counts["retried"]);
        for fate in ["filtered", "rejected"] {
            let reasons = counts[fate].as_object().unwrap();
            assert!(!reasons.is_empty());
            for (code, events) in reasons {
                assert_eq!(json!(sum_of(&told[fate][code])), *events, "{fate} {code}");
            }
        }
        let times = told["times"].as_array().unwrap();
        assert!(times.len() < 10 && times[0].as_u64().unwrap() % step == 0);
        for name in ["delivered", "retried", "p50_ms", "p99_ms"] {
            assert_eq!(told[name].as_array().unwrap().len(), times.len(), "{name}");
        }
        let p99 = told["p99_ms"].as_array().unwrap().iter();
        assert!(p99.filter_map(Value::as_f64).all(|ms| ms >= 1.0));
    }
}

#[tokio::test]
async fn the_day_outlives_a_restart_and_a_damaged_file_costs_it_alone() {
    let running = Running::start(Bench::new().await).await;
    some_events(&running).await;
    let Running { bench, process, .. } = running;
    process.terminate();
    assert_eq!(process.end().await.0.code(), Some(0));
    let running = Running::start(bench).await;
    running.until("/ready", |it| it["ready"] == true).await;
    let told = running.json("/api/v1/series?range=1d").await;
    assert_eq!(sum_of(&told["delivered"]), 2, "{told}");
    assert!(told.get("problem").is_none(), "{told}");
    let hour = running.json("/api/v1/series?range=1h").await;
    assert_eq!(sum_of(&hour["delivered"]), 0, "{hour}");
    let Running { bench, process, .. } = running;
    process.terminate();
    process.end().await;
    let mut files = Vec::new();
    find(bench.folder.path(), &mut files);
    let file = files.into_iter().find(|it| it.ends_with("console.sqlite"));
    let file = file.expect("a file");
    std::fs::write(&file, "no database ".repeat(1_000)).unwrap();
    let running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["three"]).await, 200);
    running.bench.delivered(3).await;
    running.until("/api/v1/status", is_settled).await;
    let is_one = |told: &Value| sum_of(&told["delivered"]) == 1;
    let told = running.until("/api/v1/series?range=1d", is_one).await;
    assert!(told["problem"].as_str().unwrap().contains("console.sqlite"));
    running.process.terminate();
    let (ended, _, said) = running.process.end().await;
    assert_eq!(ended.code(), Some(0));
    assert_eq!(said.matches("console.sqlite").count(), 1, "{said}");
}

fn find(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_is_told_why_and_what_there_is() {
    let api = json!({"address": "127.0.0.1:0", "token": TOKEN});
    let running = Running::start_with(Bench::new().await, api).await;
    let bearer = format!("Bearer {TOKEN}");
    let authorized = [("authorization", bearer.as_str())];
    let runs = async {
        let path = "/api/v1/quality?sink=metta";
        while running.get_with(path, &authorized).await.status() == 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, runs).await.expect("a start");
    let rows = [
        ("/api/v1/quality?sink=metta", 404, "unknown_sink"),
        ("/api/v1/seen?sink=metta", 404, "unknown_sink"),
        ("/api/v1/series?sink=metta&range=1d", 404, "unknown_sink"),
        ("/api/v1/events?sink=metta", 404, "unknown_sink"),
        ("/api/v1/events/stream?sink=", 404, "unknown_sink"),
        ("/api/v1/quality?sinks=meta", 400, "bad_request"),
        ("/api/v1/seen?x", 400, "bad_request"),
        ("/api/v1/series?range=1w", 400, "bad_request"),
        ("/api/v1/series?range=1h&range=1d", 400, "bad_request"),
        ("/api/v1/events/99999", 404, "not_found"),
        ("/api/v1/events/-1", 404, "not_found"),
        ("/api/v1/events/%ff", 404, "not_found"),
    ];
    for (path, status, code) in rows {
        let response = running.get_with(path, &authorized).await;
        assert_eq!(response.status(), status, "{path}");
        let text = response.text().await.unwrap();
        let told: Value = serde_json::from_str(&text).expect(&text);
        assert_eq!(told["error"]["code"], code, "{path}: {told}");
        let message = told["error"]["message"].as_str().unwrap();
        assert!(
            code != "unknown_sink" || message.ends_with("there are `meta`"),
            "{message}"
        );
    }
    for path in ["/api/v1/sinks/metta/pause", "/api/v1/sinks/%ff/resume"] {
        let request = reqwest::Client::new().post(format!("{}{path}", running.api));
        let response = request.bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        let told: Value = serde_json::from_str(&response.text().await.unwrap()).expect(path);
        assert_eq!(told["error"]["code"], "unknown_sink", "{told}");
    }
}
