//! Unmodified browser clients in a real browser, against the real binary; and a visit to the demo shop of `examples/browser`.
//!
//! `tests/clients/browser.mjs` drives Debian's Chromium. Where Node or Chromium is missing, a test says so and is left out, unless
//! `CI` is set.

use crate::clients::{OUTAGE_SECS, beside_modules, has, install, target};
use crate::tally::{
    Bench, Recorded, eventually, free_address, free_port, lasts, number, print, server_error,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

const KEY: &str = "the-web-key";
const CLIENTS: [&str; 3] = ["segment", "rudder", "jitsu"];
/// Scripts of clients, and their names in `script_dir`.
const SCRIPTS: [(&str, &str); 3] = [
    (
        "@segment/analytics-next/dist/umd/standalone.js",
        "analytics.min.js",
    ),
    (
        "@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js",
        "rudder.min.js",
    ),
    ("@jitsu/js/dist/web/p.js.txt", "p.js"),
];
/// Rounds of calls that nothing disturbs.
const ROUNDS: u64 = 2;
/// Rounds of calls of clients whose host turns them away, and is killed.
const DISTURBED_ROUNDS: u64 = 12;
/// Requests that a key may bring in a second then; ten times as many may come at once.
const RATE: u64 = 2;
/// How many events arrive until the host is killed. 36 are in the requests that may come at once; of the others two to three arrive
/// in a second, so the host turns clients away for about 5 s.
const EVENTS_BEFORE_KILL: u64 = 49;

/// A browser that has made its calls, and stays open until it is closed.
struct Browser {
    process: Child,
    said: Value,
}

impl Browser {
    /// Starts it; returns when all of its calls were made.
    async fn start(task: &Value) -> Self {
        let scripts = ["browser.mjs", "browser_calls.mjs", "browser_shop.mjs"];
        beside_modules(&scripts, task["scenario"].as_str().unwrap());
        let mut process = Command::new("node")
            .arg(target().join("clients/node/browser.mjs"))
            .arg(task.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap();
        let line = line.expect("the browser says what it has done");
        Self {
            process,
            said: serde_json::from_str(&line).unwrap(),
        }
    }

    /// Lets it go.
    async fn close(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().await.unwrap().success());
    }
}

/// Whether there is what these tests need.
async fn is_possible() -> bool {
    has("chromium", "the browser") && install("node", "the browser").await
}

/// A pipeline with the scripts of all clients, for the pages of one origin.
async fn bench(address: &str, pages: u16, more: &Value) -> Bench {
    let mut source = json!({
        "type": "segment", "address": address, "script_dir": "scripts",
        "keys": {"web": {"value": KEY, "allowed_origins": [format!("http://www.shop.example:{pages}")]}},
    });
    let options = more.as_object().unwrap().clone();
    source.as_object_mut().unwrap().extend(options);
    let mut bench = Bench::new(&source).await;
    bench.sink(&json!({
        "consent": {"categories": {"Advertising": "marketing", "C0004": "marketing"}},
    }));
    let folder = bench.path("scripts");
    std::fs::create_dir(&folder).unwrap();
    let modules = target().join("clients/node/node_modules");
    for (from, to) in SCRIPTS {
        std::fs::copy(modules.join(from), folder.join(to)).unwrap();
    }
    bench
}

fn accepted(bench: &Bench) -> Vec<Value> {
    let events = bench.sandbox.accepted();
    let events = events.iter().map(|text| serde_json::from_str(text));
    events.collect::<Result<_, _>>().unwrap()
}

/// The ids of the products that were told of, each with how often.
fn products(bench: &Bench) -> BTreeMap<String, u32> {
    let mut products = BTreeMap::new();
    for event in accepted(bench) {
        if let Some(id) = event["custom_data"]["content_ids"][0].as_str() {
            *products.entry(id.to_owned()).or_default() += 1;
        }
    }
    products
}

async fn ended(run: Recorded) -> String {
    run.terminate();
    let (status, said) = run.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    said
}

#[tokio::test]
async fn clients_of_browsers_need_another_host_name_only() {
    if !is_possible().await {
        return;
    }
    let pages = free_port();
    let bench = bench("127.0.0.1:0", pages, &json!({})).await;
    let run = bench.start();
    let url = format!("http://{}", run.says("address=").await);
    let task = |refuses: bool, port| {
        json!({
            "scenario": "calls", "port": port, "url": url, "key": KEY, "clients": CLIENTS, "rounds": ROUNDS,
            "pause": 0, "refuses": refuses,
        })
    };
    // Who refuses comes first, so that nothing of it can be on its way at the end.
    let refusing = Browser::start(&task(true, pages)).await;
    refusing.close().await;
    let browser = Browser::start(&task(false, pages)).await;
    let wanted: BTreeMap<String, Vec<String>> =
        serde_json::from_value(browser.said.clone()).unwrap();
    let wanted: BTreeSet<_> = wanted.into_values().flatten().collect();
    assert_eq!(wanted.len(), 3 * usize::try_from(ROUNDS).unwrap());
    bench.settle(2 * wanted.len()).await;
    browser.close().await;
    let said = ended(run).await;
    let products = products(&bench);
    assert_eq!(products.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    let events = accepted(&bench);
    assert_eq!(events.len(), 2 * wanted.len(), "{said}");
    let mut people = BTreeSet::new();
    for event in &events {
        let user = &event["user_data"];
        assert_eq!(event["action_source"], "website", "{event}");
        for key in ["client_user_agent", "external_id", "fbp"] {
            assert!(
                user[key].is_string() || user[key].is_array(),
                "{key}: {event}"
            );
        }
        let at = event["event_source_url"].as_str().unwrap();
        let client = CLIENTS.iter().find(|client| at.contains(**client)).unwrap();
        people.insert((*client, user["em"].to_string()));
        if *client == "jitsu" {
            assert_eq!(user["fbp"], "fb.1.1700000000000.1234567890", "{event}");
        }
        if event["event_name"] == "AddToCart" {
            let data = &event["custom_data"];
            assert_eq!(
                (&data["currency"], data["value"].as_f64()),
                (&json!("EUR"), Some(5.0)),
                "{event}"
            );
        } else {
            assert_eq!(event["event_name"], "PageView", "{event}");
        }
    }
    // Segment's client has the address in the call that identifies only; the others repeat it in every event.
    for client in ["rudder", "jitsu"] {
        let of = people
            .iter()
            .filter(|(name, em)| *name == client && em != "null");
        assert_eq!(of.count(), usize::try_from(ROUNDS).unwrap(), "{people:?}");
    }
    bench.keeps_secrets(&said);
    assert!(!said.contains(KEY), "a key is never shown");
}

/// The demo shop, behind one proxy with the pipeline.
#[tokio::test]
async fn a_visit_to_the_demo_shop_is_told_by_the_pixel_and_by_the_server_under_the_same_ids() {
    if !is_possible().await {
        return;
    }
    let pages = free_port();
    let options = json!({
        "cookies": {"read": true, "set": ["fbp", "fbc"]}, "trusted_proxies": ["127.0.0.1"],
    });
    let bench = bench("127.0.0.1:0", pages, &options).await;
    let run = bench.start();
    let url = format!("http://{}", run.says("address=").await);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/browser");
    // The last browser has met the pixel before.
    let known = json!({"_fbp": "fb.1.1768478000000.987654321"});
    let visits = [
        ("google", json!({})),
        ("onetrust", json!({})),
        ("cookiebot", known.clone()),
    ];
    let asked: Vec<_> = visits
        .iter()
        .map(|(platform, known)| json!({"platform": platform, "click": format!("IwAR_{platform}"), "known": known}))
        .collect();
    let browser = Browser::start(&json!({
        "scenario": "shop", "port": pages, "url": url, "folder": folder, "visits": asked,
    }))
    .await;
    bench.settle(2 * visits.len()).await;
    let told = browser.said.clone();
    browser.close().await;
    let said = ended(run).await;
    let events = accepted(&bench);
    // A page and an order of each, and nothing of those who had refused.
    assert_eq!(events.len(), 2 * visits.len(), "{said}");
    for ((platform, known), visit) in visits.iter().zip(told.as_array().unwrap()) {
        let cookies = cookies_of(visit, platform, known);
        tells_the_same(visit, platform, &cookies, &events);
    }
    bench.keeps_secrets(&said);
    print(&format!(
        "the demo shop: {} orders, each under one id and one pair of cookies on both sides",
        visits.len()
    ));
}

/// The cookies of a browser after its visit: none before the visitor agreed, but for those that it had.
fn cookies_of(visit: &Value, platform: &str, known: &Value) -> Value {
    let steps = &visit["steps"];
    let before = usize::from(!known["_fbp"].is_null());
    for step in ["came", "refused"] {
        assert_eq!(
            steps[step].as_object().unwrap().len(),
            before,
            "{platform} {step}: {steps}"
        );
    }
    let cookies = &steps["ordered"];
    assert_eq!(cookies, &steps["agreed"], "{platform}");
    let (fbp, fbc) = (&cookies["_fbp"], &cookies["_fbc"]);
    for cookie in [fbp, fbc].into_iter().skip(before) {
        let attributes = (&cookie["domain"], &cookie["sameSite"], &cookie["days"]);
        assert_eq!(
            attributes,
            (&json!(".shop.example"), &json!("Lax"), &json!(90)),
            "{platform}"
        );
    }
    if before == 1 {
        assert_eq!(fbp["value"], known["_fbp"]);
    }
    let click = fbc["value"].as_str().unwrap();
    assert!(click.ends_with(&format!(".IwAR_{platform}")), "{click}");
    cookies.clone()
}

/// Whether the pixel, the server and the browser have the same ids.
fn tells_the_same(visit: &Value, platform: &str, cookies: &Value, events: &[Value]) {
    let (fbp, fbc) = (&cookies["_fbp"], &cookies["_fbc"]);
    let pixel = &visit["pixel"][0];
    assert_eq!(
        (&pixel["id"], &pixel["event"]),
        (&visit["number"], &json!("Purchase"))
    );
    assert_eq!(
        (&pixel["fbp"], &pixel["fbc"]),
        (&fbp["value"], &fbc["value"])
    );
    let of_this = events
        .iter()
        .filter(|event| event["user_data"]["fbc"] == fbc["value"]);
    let of_this: Vec<_> = of_this.collect();
    assert_eq!(of_this.len(), 2, "{platform}: {events:?}");
    for event in of_this {
        assert_eq!(event["user_data"]["fbp"], fbp["value"], "{event}");
        assert_eq!(event["user_data"]["client_ip_address"], "203.0.113.9");
    }
    let order = events
        .iter()
        .find(|event| event["event_id"] == visit["number"])
        .unwrap();
    assert_eq!(
        (&order["event_name"], &order["custom_data"]["order_id"]),
        (&json!("Purchase"), &visit["number"])
    );
    for key in ["em", "ph", "fn", "ln"] {
        assert!(!order["user_data"][key].is_null(), "{key}: {order}");
    }
}

#[tokio::test]
async fn a_host_of_the_same_site_sets_cookies_that_come_back_and_a_page_of_another_site_gets_none()
{
    if !is_possible().await {
        return;
    }
    let pages = free_port();
    let origins = ["shop.example", "other.test"].map(|site| format!("http://www.{site}:{pages}"));
    let options = json!({
        "cookies": {"read": true, "set": ["fbp", "fbc"]},
        "keys": {"web": {"value": KEY, "allowed_origins": origins}},
    });
    let bench = bench("127.0.0.1:0", pages, &options).await;
    let run = bench.start();
    let url = format!("http://{}", run.says("address=").await);
    let body = |id: &str, url: &str| {
        json!({
            "event": "Product Added", "messageId": id, "userId": "u",
            "anonymousId": format!("visitor of {id}"),
            "properties": {"product_id": id, "price": 5, "currency": "EUR"},
            "context": {"consent": {"marketing": true}, "page": {"url": url}},
        })
        .to_string()
    };
    let of_click = "http://www.shop.example/?fbclid=IwAR_1";
    let browser = Browser::start(&json!({
        "scenario": "other_host", "port": pages, "url": url, "key": KEY,
        "bodies": {
            // The second event has another anonymous id and no click: only the cookies join the two.
            "same": [body("first", of_click), body("second", "http://www.shop.example/")],
            "other": [body("foreign", of_click)],
        },
    }))
    .await;
    bench.settle(3).await;
    let told = browser.said.clone();
    browser.close().await;
    let said = ended(run).await;
    let user = |id: &str| {
        let events = accepted(&bench);
        let event = events.iter().find(|event| event["event_id"] == id).unwrap();
        ["fbp", "fbc"].map(|key| event["user_data"][key].as_str().unwrap().to_owned())
    };
    let [fbp, fbc] = user("first");
    assert_eq!(user("second"), [fbp.clone(), fbc.clone()], "{said}");
    let cookies = format!("_fbp={fbp}; _fbc={fbc}");
    assert_eq!(told["same"], json!([[200, cookies], [200, cookies]]));
    assert_eq!(told["other"], json!([[200, ""]]));
    assert!(
        said.contains("no cookies are set for pages of another site"),
        "{said}"
    );
}

#[tokio::test]
async fn clients_of_browsers_that_send_again_lose_nothing_to_429_and_a_killed_host() {
    if !is_possible().await {
        return;
    }
    let pages = free_port();
    let keys: Value = CLIENTS
        .iter()
        .map(|client| {
            let origins = [format!("http://www.shop.example:{pages}")];
            let key =
                json!({"value": key_of(client), "allowed_origins": origins, "rate_limit": RATE});
            ((*client).to_owned(), key)
        })
        .collect();
    // The host comes back where the clients know it.
    let address = free_address();
    let bench = bench(&address, pages, &json!({"keys": keys})).await;
    let run = bench.start();
    run.says("address=").await;
    let browser = Browser::start(&json!({
        "scenario": "calls", "port": pages, "url": format!("http://{address}"), "key": KEY, "clients": CLIENTS,
        "rounds": DISTURBED_ROUNDS, "pause": 20, "refuses": false, "key_for_each": true,
    }))
    .await;
    run.says("rate_limit").await;
    let since = Instant::now();
    let arrived = || bench.sandbox.summary().unique >= EVENTS_BEFORE_KILL;
    eventually(arrived, || format!("{:?}", products(&bench))).await;
    let turned_away = since.elapsed();
    let mut said = run.kill().await;
    let run = bench.start();
    run.says("address=").await;
    let sent: BTreeMap<String, Vec<String>> = serde_json::from_value(browser.said.clone()).unwrap();
    let kept = sent.iter().filter(|(client, _)| *client != "jitsu");
    let kept: Vec<_> = kept.flat_map(|(_, ids)| ids).collect();
    let all_kept = || {
        let (products, pages) = (products(&bench), pages_of(&bench));
        let all_pages = ["segment", "rudder"]
            .iter()
            .all(|client| pages[*client].len() == count(DISTURBED_ROUNDS));
        all_pages && kept.iter().all(|id| products.contains_key(*id))
    };
    eventually(all_kept, || {
        format!("{:?} {:?}", products(&bench), pages_of(&bench))
    })
    .await;
    browser.close().await;
    said += &ended(run).await;
    let ids: BTreeSet<_> = accepted(&bench)
        .iter()
        .map(|event| event["event_id"].to_string())
        .collect();
    let (products, pages) = (products(&bench), pages_of(&bench));
    let different = products.len() + pages.values().map(BTreeSet::len).sum::<usize>();
    assert_eq!(
        ids.len(),
        different,
        "an event has one id, however often it comes"
    );
    let known: BTreeSet<_> = sent.values().flatten().collect();
    assert!(products.keys().all(|id| known.contains(id)), "{products:?}");
    for client in CLIENTS {
        let carts = products.keys().filter(|id| id.starts_with(client)).count();
        let came = carts + pages[client].len();
        print(&format!(
            "{client} in the browser: {came} of {} events accepted over a killed host, which had sent clients away for {:.1} s",
            2 * DISTURBED_ROUNDS,
            turned_away.as_secs_f64(),
        ));
    }
    bench.keeps_secrets(&said);
}

#[tokio::test]
async fn clients_of_browsers_lose_nothing_while_meta_is_down() {
    if !is_possible().await {
        return;
    }
    let pages = free_port();
    let bench = bench("127.0.0.1:0", pages, &json!({})).await;
    bench.sandbox.inject(server_error(), u32::MAX).unwrap();
    let run = bench.start();
    let url = format!("http://{}", run.says("address=").await);
    let browser = Browser::start(&json!({
        "scenario": "calls", "port": pages, "url": url, "key": KEY, "clients": CLIENTS, "rounds": ROUNDS, "pause": 0,
        "refuses": false,
    }))
    .await;
    let is_tried = || bench.sandbox.summary().requests > 0;
    eventually(is_tried, || format!("{:?}", bench.sandbox.summary())).await;
    let since = Instant::now();
    let secs = number("CLIENT_OUTAGE_SECS", OUTAGE_SECS);
    lasts(secs, || bench.sandbox.summary().accepted == 0).await;
    let was_down = since.elapsed();
    bench.sandbox.lift_faults();
    let sent: BTreeMap<String, Vec<String>> = serde_json::from_value(browser.said.clone()).unwrap();
    let wanted: BTreeSet<_> = sent.values().flatten().cloned().collect();
    bench.settle(2 * wanted.len()).await;
    browser.close().await;
    let said = ended(run).await;
    let (products, pages) = (products(&bench), pages_of(&bench));
    let mut rows =
        vec!["| client in the browser | Meta was down for | sent | accepted | again |".to_owned()];
    for client in CLIENTS {
        let carts = products.iter().filter(|(id, _)| id.starts_with(client));
        let carts: Vec<_> = carts.map(|(_, often)| *often as usize).collect();
        let views = accepted(&bench)
            .iter()
            .filter(|event| is_view_of(event, client))
            .count();
        let (came, often) = (
            carts.len() + pages[client].len(),
            carts.iter().sum::<usize>() + views,
        );
        rows.push(format!(
            "| {client} | {:.0} s | {} | {came} | {} |",
            was_down.as_secs_f64(),
            2 * ROUNDS,
            often - came,
        ));
        assert_eq!(came, 2 * count(ROUNDS), "{client}: {said}");
    }
    print(&rows.join("\n"));
    assert_eq!(products.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    bench.keeps_secrets(&said);
}

/// Whether an event is the view of a page with this client.
fn is_view_of(event: &Value, client: &str) -> bool {
    let at = event["event_source_url"].as_str().unwrap_or_default();
    event["event_name"] == "PageView" && at.contains(client)
}

fn key_of(client: &str) -> String {
    format!("{KEY}-of-{client}")
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// The ids of the views of pages that arrived of each client.
fn pages_of(bench: &Bench) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut pages: BTreeMap<_, BTreeSet<_>> =
        CLIENTS.map(|client| (client, BTreeSet::new())).into();
    for event in accepted(bench)
        .iter()
        .filter(|event| event["event_name"] == "PageView")
    {
        let at = event["event_source_url"].as_str().unwrap();
        let client = CLIENTS
            .into_iter()
            .find(|client| at.contains(client))
            .unwrap();
        pages
            .entry(client)
            .or_default()
            .insert(event["event_id"].to_string());
    }
    pages
}
