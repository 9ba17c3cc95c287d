//! Two pages in a browser while many events come: what is rare stays listed, counts stay exact, and memory bounded.
//!
//! ```text
//! cargo build --release
//! PIPELINE=target/release/pipeline LOAD_SECS=30 LOAD_RATE=20000 cargo test -p pipeline --test it console::load -- --nocapture
//! ```
//!
//! runs the program that people run, first without the section `api`, and prints what both took. The sandbox is a process of its own.

use super::{TOKEN, has, install};
use crate::process::{Process, write};
use crate::tally::print;
use pipeline_core::{Clock as _, SystemClock};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long events come, and how many in a second, unless an environment variable asks for more.
const SECS: u64 = 6;
const RATE: u64 = 1_000;
/// How much more memory the host may take with the section `api`, two pages and the browser's requests.
const MAX_MORE_KIB: u64 = 16 * 1024;
/// The longest a program may take beyond the time of the load.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a process has taken so far.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    peak_kib: u64,
    /// Hundredths of a second on a processor.
    ticks: u64,
    has_ended: bool,
}

fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The program that is measured: that of the tests, or another one.
fn program() -> PathBuf {
    let own = || env!("CARGO_BIN_EXE_pipeline").into();
    let program = std::env::var_os("PIPELINE").map_or_else(own, PathBuf::from);
    std::path::absolute(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(program),
    )
    .unwrap()
}

/// So many events of now, one of them much too old, in the middle.
fn write_events(path: &Path, events: u64) {
    let now = jiff::Timestamp::from_millisecond(SystemClock.now_ms()).unwrap();
    let mut text = String::new();
    for number in 0..events {
        let time = if number == events / 2 {
            "2001-01-01T00:00:00Z".to_owned()
        } else {
            now.to_string()
        };
        let event = json!({
            "type": "track", "event": "Order Completed", "messageId": format!("load-{number}"), "timestamp": time,
            "anonymousId": format!("visitor-{number}"),
            "properties": {"order_id": format!("o-{number}"), "currency": "EUR", "total": 27.5,
                "products": [{"product_id": "sku-1", "price": 27.5, "quantity": 1}]},
            "context": {"ip": "203.0.113.7", "userAgent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
                "page": {"url": "https://shop.example/thanks"}, "consent": {"marketing": true},
                "traits": {"email": format!("someone-{number}@shop.example")}},
        });
        writeln!(text, "{event}").unwrap();
    }
    std::fs::write(path, text).unwrap();
}

fn used(id: u32) -> Used {
    let read =
        |name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
    let status = read("status");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    let stat = read("stat");
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
    let fields: Vec<_> = behind_name.split(' ').collect();
    let ticks = |place: usize| -> u64 {
        let field = fields.get(place).and_then(|field| field.parse().ok());
        field.unwrap_or_default()
    };
    Used {
        peak_kib: peak.and_then(|peak| peak.parse().ok()).unwrap_or_default(),
        ticks: ticks(11) + ticks(12),
        has_ended: behind_name.starts_with('Z') || stat.is_empty(),
    }
}

/// What a run takes from its start to its end.
async fn used_to_the_end(process: &Process, limit: Duration) -> Used {
    let ended = async {
        let mut last = Used::default();
        loop {
            let now = used(process.id());
            last.ticks = last.ticks.max(now.ticks);
            last.peak_kib = last.peak_kib.max(now.peak_kib);
            if now.has_ended {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(limit, ended).await.expect("it ends")
}

fn pipeline(events: &Path, rate: u64, endpoint: &str) -> Value {
    json!({
        "sources": {"shop": {"type": "file", "path": events, "pace": {"events_per_sec": rate}}},
        "sinks": {"meta": {
            "type": "meta_conversions", "inputs": ["shop"], "preset": "retail", "pixel_id": "1234567890123456",
            "access_token": "none", "endpoint": endpoint,
        }},
    })
}

#[tokio::test]
async fn under_load_a_rare_rejection_is_still_listed_and_the_page_says_one_in_how_many_is_shown() {
    if !has("npm") || !has("chromium") {
        return;
    }
    let tests = install().await;
    let (secs, rate) = (asked("LOAD_SECS"), asked("LOAD_RATE").unwrap_or(RATE));
    let events = secs.unwrap_or(SECS) * rate;
    let limit = DEADLINE + Duration::from_secs(secs.unwrap_or(SECS));
    let (folder, program) = (tempfile::tempdir().unwrap(), program());
    let file = folder.path().join("events.ndjson");
    write_events(&file, events);
    let mut sandbox = Process::start_program(&program, &["sandbox", "--address", "127.0.0.1:0"]);
    let endpoint = sandbox.address("listens on ").await;
    let mut options = pipeline(&file, rate, &endpoint);
    let mut without = None;
    if secs.is_some() {
        let path = write(folder.path(), &options);
        let process = Process::start_program(&program, &["run", &path]);
        without = Some(used_to_the_end(&process, limit).await);
        std::fs::remove_dir_all(folder.path().join("data")).ok();
    }
    options["api"] = json!({"address": "127.0.0.1:0", "token": TOKEN, "stay": true});
    let path = write(folder.path(), &options);
    let mut process = Process::start_program(&program, &["run", &path]);
    let api = process.address("the api listens on ").await;
    let mut browser = tokio::process::Command::new("node")
        .arg("tests/load.mjs")
        .current_dir(&tests)
        .env("EVENTS", events.to_string())
        .env("CONSOLE_URL", &api)
        .env("CONSOLE_TOKEN", TOKEN)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let status = tokio::time::timeout(limit, browser.wait()).await;
    assert!(status.expect("it ends").unwrap().success(), "see above");
    let with = used(process.id());
    if let Some(without) = without {
        print(&format!(
            "without the api: {without:?}\nwith it and two pages: {with:?}"
        ));
        assert!(
            with.peak_kib < without.peak_kib + MAX_MORE_KIB,
            "the feed takes too much memory"
        );
    }
}
