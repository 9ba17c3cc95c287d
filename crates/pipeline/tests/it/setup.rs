//! Set-up over HTTP: the real program, its file, and the sandbox.

use crate::api::Running;
use crate::operation::Bench;
use crate::process::{Process, event};
use crate::tally::fed;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::process::Command;

const TOKEN: &str = "a-token-for-the-api-0123456789";
/// The token of the destination that [`Bench`] has.
const SECRET: &str = "the-token-of-today";

async fn running() -> Running {
    running_with(Bench::new().await, &json!({})).await
}

async fn running_with(bench: Bench, more: &Value) -> Running {
    let mut api = json!({"address": "127.0.0.1:0", "token": TOKEN});
    let more = more.as_object().unwrap().clone();
    api.as_object_mut().unwrap().extend(more);
    let running = Running::start_with(bench, api).await;
    running.until_started().await;
    running
}

async fn ask(running: &Running, method: Method, path: &str, body: Option<&Value>) -> Response {
    let url = format!("{}/api/v1/{path}", running.api);
    let mut request = reqwest::Client::new().request(method, url);
    request = request.header("authorization", format!("Bearer {TOKEN}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json");
        request = request.body(body.to_string());
    }
    request.send().await.unwrap()
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    assert!(!body.contains(SECRET) && !body.contains(TOKEN), "{body}");
    (status, serde_json::from_str(&body).expect(&body))
}

async fn get(running: &Running, path: &str) -> (u16, Value) {
    read(ask(running, Method::GET, path, None).await).await
}

async fn post(running: &Running, path: &str, body: &Value) -> (u16, Value) {
    read(ask(running, Method::POST, path, Some(body)).await).await
}

/// What the command prints for this input.
fn printed(arguments: &[&str], input: &str) -> Value {
    let output = fed(
        Command::new(env!("CARGO_BIN_EXE_pipeline")).args(arguments),
        input,
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn paths(answer: &Value) -> Vec<&str> {
    let problems = answer["problems"].as_array().unwrap();
    problems
        .iter()
        .map(|it| it["path"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn what_is_linked_is_told_with_the_options_of_the_host_and_the_table_of_a_preset() {
    let running = running().await;
    let (_, catalog) = get(&running, "catalog").await;
    let sink = &catalog["sinks"][0];
    assert_eq!(sink["type"], "meta_conversions", "{catalog}");
    let presets = sink["presets"].as_array().unwrap();
    let retail = presets.iter().find(|preset| preset["name"] == "retail");
    let becomes = retail.unwrap()["becomes"].as_array().unwrap();
    assert!(becomes.contains(&json!("Purchase")), "{catalog}");
    assert_eq!(
        becomes.iter().filter(|name| **name == "Purchase").count(),
        1
    );
    let (_, schema) = get(&running, "schema/meta_conversions").await;
    for option in ["pixel_id", "batch", "buffer", "access_token"] {
        assert!(schema["properties"][option].is_object(), "{option}");
    }
    let (_, preset) = get(&running, "presets/retail").await;
    let rows = preset["rows"].as_array().unwrap();
    let purchase = rows.iter().find(|row| row["to"] == "Purchase").unwrap();
    assert_eq!(purchase["from"][0], "Order Completed");
    let fields = preset["fields"].as_array().unwrap();
    let value = fields
        .iter()
        .find(|field| field["name"] == "custom_data.value");
    let paths = value.unwrap()["paths"].as_array().unwrap();
    assert!(paths.contains(&json!("properties.total")), "{preset}");
    for path in ["schema/kafka", "presets/none"] {
        assert_eq!(get(&running, path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn the_file_is_shown_without_its_secrets() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"app_secret": "${SETUP_TEST_NOT_SET:-0123456789abcdef0123456789abcdef}"}));
    let running = running_with(bench, &json!({})).await;
    let (status, config) = get(&running, "config").await;
    assert_eq!(status, 200, "{config}");
    let options = &config["sinks"]["meta"];
    assert_eq!(options["access_token"], "(secret)");
    assert_eq!(options["app_secret"], "(secret)");
    assert_eq!(options["preset"], "retail");
    let text: Value = serde_json::from_str(config["text"].as_str().unwrap()).unwrap();
    assert_eq!(text["api"]["token"], "(secret)");
    assert_eq!(text["sinks"]["meta"], *options);
    assert_eq!(config["format"], "json");
    let secrets = config["secrets"].as_array().unwrap();
    let secrets: Vec<_> = secrets
        .iter()
        .map(|it| it["path"].as_str().unwrap())
        .collect();
    let expected = [
        "sinks.meta.access_token",
        "sinks.meta.app_secret",
        "api.token",
    ];
    assert_eq!(secrets, expected);
}

#[tokio::test]
async fn a_secret_that_a_variable_holds_is_shown_by_its_name() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"access_token": "${SETUP_TEST_TOKEN}"}));
    bench.pipeline["api"] = json!({"address": "127.0.0.1:0", "token": TOKEN});
    let variables = [("SETUP_TEST_TOKEN", SECRET)];
    let mut process = Process::start_with(&["run", &bench.write()], &variables);
    let api = process.address("the api listens on ").await;
    let events = String::new();
    let running = Running {
        bench,
        process,
        api,
        events,
    };
    running.until_started().await;
    let (_, config) = get(&running, "config").await;
    assert_eq!(
        config["sinks"]["meta"]["access_token"],
        "${SETUP_TEST_TOKEN}"
    );
    assert_eq!(
        config["secrets"][0],
        json!({"path": "sinks.meta.access_token", "from": "environment", "name": "SETUP_TEST_TOKEN", "set": true})
    );
}

#[tokio::test]
async fn options_are_checked_as_the_command_checks_them_and_hidden_values_stay_as_they_are() {
    let running = running().await;
    let (_, config) = get(&running, "config").await;
    let mut options = config["sinks"]["meta"].clone();
    let check = async |options: &Value| {
        let (status, answer) = post(
            &running,
            "validate",
            &json!({"sink": "meta", "options": options}),
        )
        .await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    assert_eq!(check(&options).await["problems"], json!([]));
    options["pixel_id"] = json!("x");
    options["batch"] = json!({"max_events": 100_000});
    let answer = check(&options).await;
    assert_eq!(
        paths(&answer),
        ["sinks.meta.batch.max_events", "sinks.meta.pixel_id"]
    );
    assert_eq!(answer["problems"][0]["option"], "batch.max_events");
    let text = config["text"].as_str().unwrap();
    let (_, answer) = post(&running, "validate", &json!({"text": text})).await;
    assert_eq!(answer["problems"], json!([]));
    // The sign for a hidden value means nothing where no value was hidden.
    let moved = text.replace("\"meta\":", "\"other\":");
    let (_, answer) = post(&running, "validate", &json!({"text": moved})).await;
    assert_eq!(paths(&answer), ["sinks.other.access_token"], "{answer}");
    let (_, answer) = post(&running, "validate", &json!({"text": "{\"sources\": "})).await;
    assert_eq!(answer["problems"][0]["line"], 1, "{answer}");
}

#[tokio::test]
async fn a_preview_equals_what_map_explain_prints_and_shows_edited_options_beside_the_running_ones()
{
    let running = running().await;
    let (status, mapped) = post(
        &running,
        "map",
        &json!({"sink": "meta", "event": event("one")}),
    )
    .await;
    assert_eq!(
        (status, &mapped["outcome"]),
        (200, &json!("mapped")),
        "{mapped}"
    );
    assert_eq!(mapped["event"]["event_name"], "AddToCart");
    // The same as the command prints, but for the second at which the event came in.
    let file = running.bench.folder.path().join("pipeline.json");
    let arguments = ["map", "--explain", "--config", &file.display().to_string()];
    let mut printed = printed(&arguments, &event("one").to_string());
    let mut answered = mapped.clone();
    for value in [&mut printed, &mut answered] {
        value["event"].as_object_mut().unwrap().remove("event_time");
    }
    assert_eq!(answered, printed);
    let (_, config) = get(&running, "config").await;
    let mut options = config["sinks"]["meta"].clone();
    options["event_mappings"] = json!({"Product Added": "Lead"});
    let body = json!({"sink": "meta", "options": options, "event": event("one").to_string()});
    let (_, both) = post(&running, "map", &body).await;
    assert_eq!(both["event"]["event_name"], "Lead", "{both}");
    assert_eq!(both["running"]["event"]["event_name"], "AddToCart");
    assert_eq!(both["running"]["explain"], mapped["explain"]);
    // Nothing is kept of it, and nothing was sent.
    let status = running_status(&running).await;
    assert_eq!(status["sinks"][0]["counts"]["read"], 0);
    options["pixel_id"] = json!("x");
    let body = json!({"sink": "meta", "options": options, "event": {}});
    let (status, answer) = post(&running, "map", &body).await;
    assert_eq!(
        (status, paths(&answer["error"])),
        (422, vec!["sinks.meta.pixel_id"])
    );
    let body = json!({"sink": "meta", "event": "{\"type\": \"track\",\n ottilie@example.org"});
    let (status, answer) = post(&running, "map", &body).await;
    assert_eq!(status, 422);
    assert!(answer.to_string().contains("line 2") && !answer.to_string().contains("ottilie"));
}

#[tokio::test]
async fn a_preview_of_one_sink_needs_no_change_to_the_sources_of_others() {
    let mut bench = Bench::new().await;
    let other = bench.folder.path().join("other.ndjson");
    std::fs::write(&other, "").unwrap();
    bench.pipeline["sources"]["other"] = json!({"type": "file", "path": other});
    let mut hotel = bench.pipeline["sinks"]["meta"].clone();
    hotel["inputs"] = json!(["other"]);
    hotel["preset"] = json!("travel");
    bench.pipeline["sinks"]["hotel"] = hotel;
    let running = running_with(bench, &json!({})).await;
    let (_, config) = get(&running, "config").await;
    for (sink, to) in [("meta", "Lead"), ("hotel", "Contact")] {
        let mut options = config["sinks"][sink].clone();
        options["event_mappings"] = json!({"Product Added": to});
        let body = json!({"sink": sink, "options": options, "event": event("one")});
        let (status, mapped) = post(&running, "map", &body).await;
        assert_eq!(
            (status, &mapped["event"]["event_name"]),
            (200, &json!(to)),
            "{mapped}"
        );
    }
}

#[tokio::test]
async fn a_preview_shows_nothing_of_the_environment() {
    let running = running().await;
    let (_, config) = get(&running, "config").await;
    for variable in ["${PATH}", "${HOME:-x}", "a ${PATH}"] {
        let mut options = config["sinks"]["meta"].clone();
        options["field_mappings"] = json!({"content_name": {"value": variable}});
        let body = json!({"sink": "meta", "options": options, "event": event("one")});
        let (status, answer) = post(&running, "map", &body).await;
        assert_eq!(status, 422, "{answer}");
        assert_eq!(
            paths(&answer["error"]),
            ["field_mappings.content_name.value"]
        );
    }
}

#[tokio::test]
async fn a_test_event_is_sent_with_its_code_and_a_filtered_one_says_so() {
    let running = running().await;
    let path = "sinks/meta/test-event";
    let (status, _) = post(
        &running,
        path,
        &json!({"event": event("one"), "test_event_code": " "}),
    )
    .await;
    assert_eq!(status, 422);
    let body = json!({"event": event("one"), "test_event_code": "TEST123"});
    let (status, sent) = post(&running, path, &body).await;
    assert_eq!(
        (status, &sent["outcome"]),
        (200, &json!("delivered")),
        "{sent}"
    );
    assert_eq!(sent["event_id"], "one");
    assert_eq!(running.bench.sandbox.unique().len(), 1);
    let (_, row) = get(&running, &format!("events/{}", sent["seq"])).await;
    assert_eq!(
        (&row["test"], &row["status"], &row["event_id"]),
        (&json!(true), &json!("delivered"), &json!("one")),
        "{row}"
    );
    assert_eq!(row["source"], "test event 1");
    assert_eq!(row["exchange"]["status"], 200, "{row}");
    assert!(row["exchange"]["trace_id"].is_string(), "{row}");
    assert!(row["explain"]["sent"]["event_name"].is_object(), "{row}");
    let mut refused = event("two");
    refused["context"]["consent"]["marketing"] = json!(false);
    let body = json!({"event": refused, "test_event_code": "TEST123"});
    let answer = async {
        loop {
            let (status, answer) = post(&running, path, &body).await;
            if status != 429 {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), answer)
        .await
        .unwrap();
    assert_eq!(
        (&answer["outcome"], &answer["reason"]),
        (&json!("filtered"), &json!("consent"))
    );
    assert_eq!(running.bench.sandbox.unique().len(), 1);
    let (_, row) = get(&running, &format!("events/{}", answer["seq"])).await;
    assert_eq!(
        (&row["test"], &row["status"], &row["reason"]),
        (&json!(true), &json!("filtered"), &json!("consent"))
    );
    // The second test event is another event.
    assert_eq!(row["history"].as_array().unwrap().len(), 2, "{row}");
    let (_, told) = get(&running, "fields?sink=meta").await;
    assert_eq!(told["parameters"]["event_name"]["events"], 1, "{told}");
    assert_eq!(
        told["parameters"]["event_id"]["from"],
        json!({"messageId": 1})
    );
    // The counters are those of the pipeline.
    let status = running_status(&running).await;
    assert_eq!(status["sinks"][0]["counts"]["delivered"], 0);
}

#[tokio::test]
async fn a_destination_is_checked_on_the_way_that_events_take() {
    let mut bench = Bench::new().await;
    let running = running_with(bench, &json!({})).await;
    let (_, answer) = post(&running, "sinks/meta/check", &json!({})).await;
    assert_eq!(answer, json!({"healthy": true, "state": "ok"}));
    assert_eq!(post(&running, "sinks/other/check", &json!({})).await.0, 404);
    drop(running);
    bench = Bench::new().await;
    bench.sink(&json!({"access_token": "revoked-token"}));
    let running = running_with(bench, &json!({})).await;
    let (_, answer) = post(&running, "sinks/meta/check", &json!({})).await;
    assert_eq!(
        (&answer["healthy"], &answer["state"]),
        (&json!(false), &json!("blocked")),
        "{answer}"
    );
}

#[tokio::test]
async fn requests_of_another_form_are_refused_and_what_changes_something_needs_the_token() {
    let running = running().await;
    let url = |path: &str| format!("{}/api/v1/{path}", running.api);
    let client = reqwest::Client::new();
    let send = async |path: &str, media: &str, token: bool, body: String| {
        let mut request = client
            .post(url(path))
            .header("content-type", media)
            .body(body);
        if token {
            request = request.header("authorization", format!("Bearer {TOKEN}"));
        }
        request.send().await.unwrap().status().as_u16()
    };
    let form = "application/x-www-form-urlencoded";
    let json = "application/json";
    for path in ["validate", "map", "sinks/meta/test-event"] {
        assert_eq!(
            send(path, form, true, "a=b".to_owned()).await,
            415,
            "{path}"
        );
        assert_eq!(send(path, json, true, "{".to_owned()).await, 400, "{path}");
        assert_eq!(
            send(path, json, true, "{\"x\": 1}".to_owned()).await,
            400,
            "{path}"
        );
        let large = format!("{{\"event\": \"{}\"}}", "x".repeat(300 * 1024));
        assert_eq!(send(path, json, true, large).await, 413, "{path}");
        assert_eq!(
            send(path, json, false, "{}".to_owned()).await,
            401,
            "{path}"
        );
    }
    drop(running);
    let open = Running::start(Bench::new().await).await;
    open.until_started().await;
    let body = json!({"sink": "meta", "event": event("one")}).to_string();
    let map = async || {
        let request = client.post(format!("{}/api/v1/map", open.api));
        let request = request.header("content-type", json).body(body.clone());
        request.send().await.unwrap().status().as_u16()
    };
    let mut status = map().await;
    while status == 503 {
        // The pipeline is still starting.
        status = map().await;
    }
    assert_eq!(status, 200);
    let request = client.post(format!("{}/api/v1/sinks/meta/check", open.api));
    assert_eq!(request.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn nothing_can_be_changed_where_the_api_is_read_only() {
    let running = running_with(Bench::new().await, &json!({"read_only": true})).await;
    let (status, answer) = post(&running, "sinks/meta/check", &json!({})).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (403, &json!("read_only"))
    );
    let (status, _) = post(&running, "validate", &json!({"text": "{}"})).await;
    assert_eq!(status, 200);
    let (_, config) = get(&running, "config").await;
    assert_eq!(config["writable"], false);
}

async fn running_status(running: &Running) -> Value {
    get(running, "status").await.1
}

/// Writes a file of events and a pipeline that reads it at a pace, or as fast as it can.
fn quick(bench: &mut Bench, source: &Value) {
    let lines: String = ["one", "two"].map(|id| format!("{}\n", event(id))).concat();
    std::fs::write(bench.folder.path().join("events.ndjson"), lines).unwrap();
    let mut options = json!({"type": "file", "path": "events.ndjson", "checkpoint": false});
    options
        .as_object_mut()
        .unwrap()
        .extend(source.as_object().unwrap().clone());
    bench.pipeline["sources"] = json!({"events": options});
    bench.sink(&json!({"inputs": ["events"]}));
}

#[tokio::test]
async fn the_console_needs_no_section_and_stays_after_the_end_of_the_input() {
    let mut bench = Bench::new().await;
    quick(&mut bench, &json!({"pace": {"events_per_sec": 50}}));
    let file = bench.write();
    let mut process = Process::start(&["console", &file, "--listen", "127.0.0.1:0"]);
    let line = process.says("open http://").await;
    // There is no terminal that could show a token.
    assert!(!line.contains("token"), "{line}");
    let api = line.split_once("open ").unwrap().1;
    let api = api.split_once("/ ").unwrap().0.to_owned();
    let running = Running {
        bench,
        process,
        api,
        events: String::new(),
    };
    let status = running
        .until("/api/v1/status", |status| {
            status["sources"][0]["state"] == "ended"
                && status["sinks"][0]["counts"]["delivered"] == 2
        })
        .await;
    assert_eq!(status["sinks"][0]["removed"], false, "{status}");
    // It can still be asked for more.
    let (_, mapped) = post(
        &running,
        "map",
        &json!({"sink": "meta", "event": event("three")}),
    )
    .await;
    assert_eq!(mapped["outcome"], "mapped");
    running.process.terminate();
    let (ended, table, _) = running.process.end().await;
    assert_eq!(ended.code(), Some(0), "{table}");
    assert!(table.contains("delivered"), "{table}");
}

#[tokio::test]
async fn a_run_stays_where_its_section_says_so_and_can_be_reloaded_then() {
    let mut bench = Bench::new().await;
    quick(&mut bench, &json!({}));
    bench.pipeline["api"] = json!({"address": "127.0.0.1:0", "token": TOKEN, "stay": true});
    let mut process = Process::start(&["run", &bench.write()]);
    let api = process.address("the api listens on ").await;
    let mut running = Running {
        bench,
        process,
        api,
        events: String::new(),
    };
    running.until_started().await;
    let is_done = async || running_status(&running).await["sources"][0]["state"] == "ended";
    while !is_done().await {
        tokio::task::yield_now().await;
    }
    running.bench.sink(&json!({"batch": {"max_events": 7}}));
    running.bench.write();
    running.process.signal("HUP");
    running.process.says("reloaded sink meta").await;
    running.process.terminate();
    let (ended, table, _) = running.process.end().await;
    assert_eq!(ended.code(), Some(0), "{table}");
}

/// A pipeline file in YAML, with comments, and its interface.
async fn running_yaml() -> Running {
    let bench = Bench::new().await;
    let file = bench.folder.path().join("pipeline.yaml");
    std::fs::write(&file, yaml(&bench.sandbox.url())).unwrap();
    start_file(bench, &file).await
}

async fn start_file(bench: Bench, file: &std::path::Path) -> Running {
    let variables = [("SETUP_TEST_TOKEN", SECRET)];
    let mut process = Process::start_with(&["run", &file.display().to_string()], &variables);
    let api = process.address("the api listens on ").await;
    let events = format!("http://{}/v1/events", process.address("address=").await);
    let running = Running {
        bench,
        process,
        api,
        events,
    };
    running.until_started().await;
    running
}

fn yaml(endpoint: &str) -> String {
    format!(
        "\
# The shop's events. The old token was EAABsbCS1iHgBO7ZCq4t1dZBZC2w.
api: {{ address: \"127.0.0.1:0\", token: {TOKEN} }} # for the console
sources:
  web: {{ type: http_server, address: \"127.0.0.1:0\" }}
sinks:
  meta:
    type: meta_conversions
    inputs: [web] # all of them
    preset: retail
    # From Events Manager.
    pixel_id: \"1234567890123456\"
    access_token: {SECRET}
    endpoint: '{endpoint}'
    batch: {{ timeout_secs: 0.01 }}
# The end.
"
    )
}

fn file_of(running: &Running) -> String {
    std::fs::read_to_string(running.bench.folder.path().join("pipeline.yaml")).unwrap()
}

async fn put(running: &Running, query: &str, etag: Option<&Value>, body: &Value) -> (u16, Value) {
    let url = format!("{}/api/v1/config{query}", running.api);
    let mut request = reqwest::Client::new().put(url).body(body.to_string());
    request = request
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json");
    if let Some(etag) = etag {
        request = request.header("if-match", etag.as_str().unwrap());
    }
    read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn options_that_are_saved_change_what_the_next_event_sends_and_keep_every_comment() {
    let running = running_yaml().await;
    let before = file_of(&running);
    let (_, config) = get(&running, "config").await;
    assert_eq!(config["writable"], true, "{config}");
    assert_eq!(running_status(&running).await["writable"], true);
    let text = config["text"].as_str().unwrap();
    assert!(
        text.contains("was (secret).") && text.contains("access_token: (secret)"),
        "{text}"
    );
    let mut options = config["sinks"]["meta"].clone();
    options["event_mappings"] = json!({"Product Added": "Lead"});
    options["batch"]["max_events"] = json!(50);
    let body = json!({"sink": "meta", "options": options});
    let etag = &config["etag"];
    let (status, dry) = put(&running, "?dry_run=1", Some(etag), &body).await;
    assert_eq!((status, &dry["written"]), (200, &json!(false)), "{dry}");
    assert_eq!(file_of(&running), before);
    let changes = ["sinks.meta.batch.max_events", "sinks.meta.event_mappings"];
    assert_eq!(dry["changes"], json!(changes));
    assert!(
        dry["diff"]
            .as_str()
            .unwrap()
            .contains("+    event_mappings:"),
        "{dry}"
    );
    assert_eq!(dry["reload"]["needs_restart"], json!([]));
    let (status, saved) = put(&running, "", Some(etag), &body).await;
    assert_eq!(
        (status, &saved["written"], &saved["text"]),
        (200, &json!(true), &dry["text"]),
        "{saved}"
    );
    assert!(
        saved["reload"]["changed"][0]
            .as_str()
            .unwrap()
            .starts_with("reloaded sink meta")
    );
    let after = file_of(&running);
    for kept in [
        "# The shop's",
        "# for the console",
        "# all of them",
        "# From Events",
        "# The end.\n",
        SECRET,
        TOKEN,
    ] {
        assert!(after.contains(kept), "{kept} in {after}");
    }
    let backup = running.bench.folder.path().join("pipeline.yaml.bak");
    assert_eq!(std::fs::read_to_string(backup).unwrap(), before);
    assert_eq!(crate::operation::post(&running.events, &["one"]).await, 200);
    running.bench.delivered(1).await;
    let (_, mapped) = post(
        &running,
        "map",
        &json!({"sink": "meta", "event": event("two")}),
    )
    .await;
    assert_eq!(mapped["event"]["event_name"], "Lead");
}

#[tokio::test]
async fn a_change_needs_the_tag_of_the_file_as_it_is_and_a_difference() {
    let running = running_yaml().await;
    let (_, config) = get(&running, "config").await;
    let mut options = config["sinks"]["meta"].clone();
    options["batch"]["max_events"] = json!(50);
    let body = json!({"sink": "meta", "options": options});
    let etag = &config["etag"];
    assert_eq!(put(&running, "", None, &body).await.0, 428);
    let other = json!("\"0000000000000000\"");
    assert_eq!(put(&running, "", Some(&other), &body).await.0, 412);
    let (_, saved) = put(&running, "", Some(etag), &body).await;
    assert_eq!(saved["written"], true, "{saved}");
    let after = file_of(&running);
    // Without a difference nothing is written, and the old file stays the old one.
    let (_, again) = put(&running, "", Some(&saved["etag"]), &body).await;
    assert_eq!(
        (&again["written"], &again["changes"]),
        (&json!(false), &json!([]))
    );
    let backup = running.bench.folder.path().join("pipeline.yaml.bak");
    assert_ne!(std::fs::read_to_string(backup).unwrap(), after);
    // The next change needs the new tag.
    assert_eq!(put(&running, "", Some(etag), &body).await.0, 412);
    assert_eq!(get(&running, "config").await.1["etag"], saved["etag"]);
}

#[tokio::test]
async fn a_token_that_is_typed_goes_into_a_file_of_its_own_and_never_into_the_pipeline_file() {
    let running = running_yaml().await;
    let (_, config) = get(&running, "config").await;
    let mut options = config["sinks"]["meta"].clone();
    options["access_token"] = json!("a-token-that-was-typed");
    let body = json!({"sink": "meta", "options": options});
    let secret = running
        .bench
        .folder
        .path()
        .join("pipeline.meta.access_token");
    let (status, dry) = put(&running, "?dry_run=1", Some(&config["etag"]), &body).await;
    assert_eq!(status, 200, "{dry}");
    assert!(!secret.exists());
    let (status, saved) = put(&running, "", Some(&config["etag"]), &body).await;
    assert_eq!((status, &saved["text"]), (200, &dry["text"]), "{saved}");
    assert!(!saved.to_string().contains("was-typed"));
    let file = file_of(&running);
    assert!(
        file.contains("access_token_file: pipeline.meta.access_token")
            && !file.contains("was-typed"),
        "{file}"
    );
    assert_eq!(
        std::fs::read_to_string(&secret).unwrap(),
        "a-token-that-was-typed\n"
    );
    // It is the one that is sent: the sandbox does not know it.
    let (_, answer) = post(&running, "sinks/meta/check", &json!({})).await;
    assert_eq!(answer["state"], "blocked", "{answer}");
}

#[tokio::test]
async fn what_cannot_be_used_is_not_written() {
    let running = running_yaml().await;
    let before = file_of(&running);
    let (_, config) = get(&running, "config").await;
    let etag = Some(&config["etag"]);
    let text = config["text"].as_str().unwrap();
    let with = |key: &str, value: Value| {
        let mut options = config["sinks"]["meta"].clone();
        options[key] = value;
        json!({"sink": "meta", "options": options})
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let busy = text.replace(
        "type: http_server, address: \"127.0.0.1:0\"",
        &format!("type: http_server, address: \"127.0.0.1:{port}\""),
    );
    for (body, expected, code) in [
        (with("pixel_id", json!("x")), 422, "problems"),
        (with("app_secret", json!("(secret)")), 422, "problems"),
        (json!({"sink": "other", "options": 7}), 422, "problems"),
        (json!({"text": "sinks: ["}), 422, "problems"),
        (
            json!({"text": text.replace("access_token: (secret)", "access_token: typed-secret")}),
            422,
            "problems",
        ),
        (
            json!({"text": text.replace("# The end.", "data_dir: elsewhere")}),
            409,
            "needs_restart",
        ),
        (json!({"text": busy}), 409, "reload_failed"),
    ] {
        let (status, answer) = put(&running, "", etag, &body).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (expected, &json!(code)),
            "{answer}"
        );
        assert_eq!(file_of(&running), before, "{code}");
    }
    // It still runs as before; the source is open again, at a port that the system has chosen anew.
    let status = running_status(&running).await;
    let address = status["sources"][0]["address"].as_str().unwrap().to_owned();
    let events = format!("http://{address}/v1/events");
    assert_eq!(crate::operation::post(&events, &["one"]).await, 200);
    running.bench.delivered(1).await;
}

#[tokio::test]
async fn a_text_is_saved_with_its_hidden_values_at_their_places() {
    let running = running_yaml().await;
    let (_, config) = get(&running, "config").await;
    let text = config["text"].as_str().unwrap();
    let text = text.replace(
        "preset: retail",
        "preset: retail\n    test_event_code: TEST1",
    );
    let (status, saved) = put(&running, "", Some(&config["etag"]), &json!({"text": text})).await;
    assert_eq!(status, 200, "{saved}");
    let expected = yaml(&running.bench.sandbox.url());
    let expected = expected.replace(
        "preset: retail",
        "preset: retail\n    test_event_code: TEST1",
    );
    assert_eq!(file_of(&running), expected);
    assert_eq!(
        saved["notes"][0]["path"], "sinks.meta.test_event_code",
        "{saved}"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_written_says_so_before_anybody_edits() {
    let bench = Bench::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("pipeline.yaml");
    std::fs::write(&real, yaml(&bench.sandbox.url())).unwrap();
    let link = bench.folder.path().join("pipeline.yaml");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let running = start_file(bench, &link).await;
    let before = file_of(&running);
    let (_, config) = get(&running, "config").await;
    assert_eq!(config["writable"], false);
    assert!(
        config["reason"].as_str().unwrap().contains("link"),
        "{config}"
    );
    assert_eq!(running_status(&running).await["writable"], false);
    let mut options = config["sinks"]["meta"].clone();
    options["preset"] = json!("travel");
    let body = json!({"sink": "meta", "options": options});
    let (status, dry) = put(&running, "?dry_run=1", Some(&config["etag"]), &body).await;
    assert_eq!(status, 200, "{dry}");
    let (status, answer) = put(&running, "", Some(&config["etag"]), &body).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (409, &json!("not_writable"))
    );
    assert_eq!(answer["error"]["text"], dry["text"]);
    assert_eq!(file_of(&running), before);
    assert!(!link.with_extension("yaml.bak").exists());
}
