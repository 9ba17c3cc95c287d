//! The answers of a pipeline as text for people.
//!
//! Invariant: what came over the network is shown without what controls a terminal, and a figure that is not known is `–`,
//! never 0.

use pipeline_core::shown;
use pipeline_host::report::thousands;
use serde_json::Value;
use std::fmt::Write as _;

/// A pipeline that runs; `before` is the answer of a second ago, where there is one, for rates.
pub(crate) fn online(status: &Value, before: Option<&Value>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}  running since {}, {}",
        word(&status["file"]),
        word(&status["started"]),
        if status["ready"] == true {
            "ready"
        } else {
            "not ready"
        },
    );
    for finding in items(&status["attention"]) {
        let component = match finding["component"].as_str() {
            None | Some("") => String::new(),
            Some(name) => format!("{}: ", shown(name)),
        };
        let _ = writeln!(text, "  ! {component}{}", word(&finding["message"]));
    }
    for source in items(&status["sources"]) {
        let _ = writeln!(
            text,
            "\n{} ({})  {}\n  read {}",
            word(&source["name"]),
            word(&source["type"]),
            word(&source["state"]),
            number(&source["received"]),
        );
    }
    for sink in items(&status["sinks"]) {
        let earlier = before.and_then(|before| {
            let sinks = items(&before["sinks"]).iter();
            sinks.into_iter().find(|it| it["name"] == sink["name"])
        });
        self::sink(&mut text, sink, earlier);
    }
    text
}

fn sink(text: &mut String, sink: &Value, before: Option<&Value>) {
    let _ = write!(
        text,
        "\n{} ({})  {}",
        word(&sink["name"]),
        word(&sink["type"]),
        word(&sink["state"])
    );
    if let Some(until) = sink["until"].as_str() {
        let _ = write!(text, " until {}", shown(until));
    }
    if let Some(reason) = sink["reason"].as_str() {
        let _ = write!(text, ": {}", shown(reason));
    }
    let counts = &sink["counts"];
    let rate = before.map(|before| {
        let before = before["counts"]["delivered"].as_u64().unwrap_or(0);
        let now = counts["delivered"].as_u64().unwrap_or(0);
        format!(" ({}/s)", thousands(now.saturating_sub(before)))
    });
    let _ = writeln!(
        text,
        "\n  read {}  resumed {}  delivered {}{}  dropped {}  held {}  retried {}",
        number(&counts["read"]),
        number(&counts["resumed"]),
        number(&counts["delivered"]),
        rate.unwrap_or_default(),
        number(&counts["dropped"]),
        number(&counts["held"]),
        number(&counts["retried"]),
    );
    reasons(text, "filtered", &counts["filtered"]);
    reasons(text, "rejected", &counts["rejected"]);
    let buffer = &sink["buffer"];
    if !buffer.is_null() {
        let _ = writeln!(
            text,
            "  buffer on {}: {} events, {} of {} bytes, {} %, oldest {}",
            word(&buffer["type"]),
            number(&buffer["events"]),
            number(&buffer["bytes"]),
            number(&buffer["max_bytes"]),
            number(&buffer["percent"]),
            age(&buffer["oldest_ms"]),
        );
    }
    letters(text, sink);
}

/// What a pipeline that does not run has left on disk.
pub(crate) fn offline(status: &Value) -> String {
    let mut text = match status["running"].as_bool() {
        Some(_) => "not running\n".to_owned(),
        None => {
            "the pipeline file has no section `api`: what follows is on disk, whether a pipeline runs or not\n"
                .to_owned()
        }
    };
    for sink in items(&status["sinks"]) {
        let stored = &sink["stored"];
        let waiting = match stored["state"].as_str() {
            Some("in_use") => "a running pipeline has the disk buffer".to_owned(),
            Some("unreadable") => {
                "the disk buffer cannot be read; the next run says why".to_owned()
            }
            _ => format!(
                "{} events wait in the disk buffer",
                number(&stored["events"])
            ),
        };
        let _ = writeln!(text, "\n{}\n  {waiting}", word(&sink["name"]));
        letters(&mut text, sink);
    }
    text
}

fn letters(text: &mut String, sink: &Value) {
    let letters = &sink["dead_letters"];
    if letters["letters"].as_u64().is_some_and(|count| count > 0) {
        let count = number(&letters["letters"]);
        let percent = number(&letters["percent_full"]);
        let _ = writeln!(text, "  dead letters {count} ({percent} % of their room)");
        reasons(text, "  of these", &letters["reasons"]);
    }
}

fn reasons(text: &mut String, label: &str, counts: &Value) {
    let Some(counts) = counts.as_object().filter(|counts| !counts.is_empty()) else {
        return;
    };
    let all = counts.values().filter_map(Value::as_u64).sum();
    let mut each: Vec<_> = counts.iter().collect();
    each.sort_by_key(|(_, count)| std::cmp::Reverse(count.as_u64()));
    let each: Vec<_> = each
        .into_iter()
        .map(|(code, count)| format!("{} {}", shown(code), number(count)))
        .collect();
    let _ = writeln!(text, "  {label} {}: {}", thousands(all), each.join(", "));
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn word(value: &Value) -> String {
    let text = value.as_str().map(|text| shown(text).to_string());
    text.unwrap_or_else(|| "–".to_owned())
}

fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| "–".to_owned(), thousands)
}

fn age(ms: &Value) -> String {
    let Some(secs) = ms.as_u64().map(|ms| ms / 1_000) else {
        return "–".to_owned();
    };
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", secs / 60),
        _ => format!("{} h", secs / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(delivered: u64) -> Value {
        json!({
            "file": "shop\u{1b}[31m.yaml", "started": "2026-01-01T00:00:00Z", "ready": false,
            "attention": [{"code": "sink_blocked", "component": "meta", "message": "the token is revoked"}],
            "sources": [{"name": "web", "type": "http_server", "state": "running", "received": 1_234}],
            "sinks": [{
                "name": "meta", "type": "meta_conversions", "state": "blocked", "until": null,
                "reason": "the token is revoked",
                "counts": {
                    "read": 1_234, "resumed": 0, "delivered": delivered, "dropped": 0, "held": 30, "retried": 2,
                    "filtered": {"consent": 4, "unmapped": 1_000}, "rejected": {},
                },
                "buffer": {
                    "type": "disk", "events": 30, "bytes": 9_000, "max_bytes": 100_000, "percent": 9, "oldest_ms": 125_000,
                },
            }],
        })
    }

    #[test]
    fn a_running_pipeline_reads_like_this() {
        let expected = "shop\\u{1b}[31m.yaml  running since 2026-01-01T00:00:00Z, not ready
  ! meta: the token is revoked

web (http_server)  running
  read 1,234

meta (meta_conversions)  blocked: the token is revoked
  read 1,234  resumed 0  delivered 200 (50/s)  dropped 0  held 30  retried 2
  filtered 1,004: unmapped 1,000, consent 4
  buffer on disk: 30 events, 9,000 of 100,000 bytes, 9 %, oldest 2 min
";
        assert_eq!(online(&answer(200), Some(&answer(150))), expected);
    }

    #[test]
    fn what_is_not_known_is_not_called_nothing() {
        let text = online(&json!({"sinks": [{"name": "meta"}]}), None);
        assert!(
            text.contains("delivered –") && !text.contains('0'),
            "{text}"
        );
    }

    #[test]
    fn what_a_run_has_left_reads_like_this() {
        let sink = |name: &str, events: Value, state: &str| {
            json!({
                "name": name, "stored": {"events": events, "state": state},
                "dead_letters": {"letters": 3, "percent_full": 1, "reasons": {"too_old": 2, "consent": 1}},
            })
        };
        let status = json!({"running": false, "sinks": [
            sink("meta", json!(48_500), "waiting"), sink("other", Value::Null, "in_use"),
        ]});
        let expected = "not running

meta
  48,500 events wait in the disk buffer
  dead letters 3 (1 % of their room)
    of these 3: too_old 2, consent 1

other
  a running pipeline has the disk buffer
  dead letters 3 (1 % of their room)
    of these 3: too_old 2, consent 1
";
        assert_eq!(offline(&status), expected);
    }
}
