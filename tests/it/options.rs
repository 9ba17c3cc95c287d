//! Options: every problem at once, each with its place, and no secret in sight.

use crate::{build, event, options, outcome, parse};
use pipeline_core::options::Problem;
use serde_json::{Value, json};

fn problems(over: &Value) -> Vec<String> {
    let found = parse(&options(over)).expect_err("problems");
    found.iter().map(Problem::to_string).collect()
}

#[test]
fn every_problem_is_reported_at_once() {
    let found = problems(&json!({
        "preset": "retial",
        "pixel_id": "12a4",
        "api_version": "25",
        "acces_token": "EAAB-leak",
        "test_event_code": "TEST 1",
        "endpoint": "http://example.com",
        "default_currency": "EURO",
        "default_country": "Atlantis",
        "unmapped_events": "keep",
        "limited_data_use": { "country": 1, "state": 7 },
        "timeout_secs": 0,
        "consent_categories": ["marketting"],
        "event_mappings": { "Quote": "x".repeat(51), "Order Completed": {} },
        "field_mappings": { "custom_data.value": "a..b" },
    }));
    let places: Vec<_> = found
        .iter()
        .map(|text| text.split(':').next().unwrap_or(""))
        .collect();
    assert_eq!(
        places,
        [
            "acces_token",
            "api_version",
            "consent_categories[0]",
            "default_country",
            "default_currency",
            "endpoint",
            "event_mappings.Quote",
            "field_mappings[\"custom_data.value\"]",
            "limited_data_use",
            "pixel_id",
            "preset",
            "test_event_code",
            "timeout_secs",
            "unmapped_events",
        ]
    );
    let all = found.join("\n");
    assert!(all.contains("did you mean `access_token`?"), "{all}");
    assert!(all.contains("did you mean `retail`?"), "{all}");
    assert!(all.contains("did you mean `marketing`?"), "{all}");
    assert!(!all.contains("EAAB"), "{all}");
}

#[test]
fn places_and_words_of_consent_that_cannot_work_are_errors_beside_those_of_mappings() {
    let found = problems(&json!({
        "consent": {
            "paths": { "marketing": ["context.privacy.ads", "a..b"] },
            "granted_values": ["yes", 2], "denied_values": ["2"],
        },
        "field_mappings": { "custom_data.value": "a..b" },
    }));
    let places = [
        "consent.denied_values: ",
        "consent.paths.marketing[1]: ",
        "field_mappings",
    ];
    assert_eq!(found.len(), places.len(), "{found:?}");
    for (found, place) in found.iter().zip(places) {
        assert!(found.starts_with(place), "{found}");
    }
    let unknown = problems(&json!({ "consent": { "paths": { "marketting": "a.b" } } }));
    assert!(
        unknown[0].contains("did you mean `marketing`?"),
        "{unknown:?}"
    );
    for paths in [json!("a.b"), json!(["a.b"]), json!({ "analytics": "a.b" })] {
        let consent = json!({ "paths": paths, "granted_values": [true, 2, "ok"] });
        assert!(parse(&options(&json!({ "consent": consent }))).is_ok());
    }
}

#[test]
fn a_mapping_that_cannot_work_is_an_error_with_its_place() {
    let found = problems(&json!({
        "event_mappings": {
            "Quote": "x".repeat(51),
            "Fresh": {},
            "Order Completed": { "field_mappings": { "user_data.emial": "traits.email" } },
        },
        "field_mappings": {
            "custom_data.value": "properties..total",
            "user_data.email": "traits.email",
            "custom_data.order_id": { "paths": ["properties.x"], "type": "number" },
            "custom_data.margin": {},
            "event_name": "event",
        },
    }));
    for (place, words) in [
        ("event_mappings.Quote:", "1 to 50 characters"),
        ("event_mappings.Fresh:", "has no `event_name`"),
        (
            "event_mappings[\"Order Completed\"].field_mappings[\"user_data.emial\"]:",
            "did you mean `user_data.em`?",
        ),
        (
            "field_mappings[\"custom_data.value\"]:",
            "has an empty or broken step",
        ),
        (
            "field_mappings[\"user_data.email\"]:",
            "did you mean `user_data.em`?",
        ),
        (
            "field_mappings[\"custom_data.order_id\"]:",
            "Meta fixes the type",
        ),
        (
            "field_mappings[\"custom_data.margin\"]:",
            "does not say where the value comes from",
        ),
        (
            "field_mappings.event_name:",
            "is not a parameter that Meta knows",
        ),
    ] {
        let at_place: Vec<_> = found
            .iter()
            .filter(|text| text.starts_with(place))
            .collect();
        assert_eq!(at_place.len(), 1, "{place} in {found:#?}");
        assert!(at_place[0].contains(words), "{}", at_place[0]);
    }
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[test]
fn an_event_name_may_have_fifty_characters() {
    let name = "x".repeat(50);
    assert!(parse(&options(&json!({ "event_mappings": { "Quote": name } }))).is_ok());
}

#[test]
fn the_token_is_given_once_and_never_printed() {
    let config = parse(&options(&json!({}))).expect("good options");
    assert!(!format!("{config:?}").contains("EAAB"), "{config:?}");
    let both = problems(&json!({ "access_token_file": "cases" }));
    assert_eq!(
        both,
        ["access_token_file: is given beside `access_token`; expected one of the two"]
    );
    let file = problems(&json!({ "access_token": "", "access_token_file": "no-such-file" }));
    assert!(
        file[0].starts_with("access_token_file: cannot be read"),
        "{file:?}"
    );
    let none = problems(&json!({ "access_token": "" }));
    assert!(none[0].starts_with("access_token: is missing"), "{none:?}");
}

#[test]
fn a_token_file_holds_the_token_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "EAAB-in-a-file\n").expect("a file");
    let over = json!({ "access_token": "", "access_token_file": path });
    assert!(parse(&options(&over)).is_ok());
    std::fs::write(&path, "two\nlines").expect("a file");
    assert_eq!(problems(&over).len(), 1);
}

#[test]
fn the_way_to_the_endpoint_is_checked_before_anything_is_sent() {
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls");
    let good = json!({
        "proxy": "http://user:geheim@proxy.example:3128",
        "ca_file": format!("{tls}/ca.pem"),
        "client_cert_file": format!("{tls}/client.pem"),
    });
    let config = parse(&options(&good)).expect("good options");
    assert!(!format!("{config:?}").contains("geheim"), "{config:?}");
    assert!(parse(&options(&json!({ "proxy": "" }))).is_ok());
    for proxy in [
        "socks4://user:geheim@p:1",
        "http://geheim/path",
        "http://geheim:x",
        "://geheim",
    ] {
        assert_eq!(
            problems(&json!({ "proxy": proxy })),
            [
                "proxy: is not a proxy's address; expected http, https, socks5 or socks5h, a host and a port, such as `http://proxy.example:3128`"
            ]
        );
    }
    for option in ["ca_file", "client_cert_file"] {
        for (file, problem) in [("no-such-file", "cannot be read"), ("make.sh", "hold")] {
            let found = problems(&json!({ option: format!("{tls}/{file}") }));
            assert!(found[0].starts_with(&format!("{option}: ")), "{found:?}");
            assert!(found[0].contains(problem) && found.len() == 1, "{found:?}");
        }
    }
}

#[test]
fn an_endpoint_is_https_or_loopback() {
    for good in [
        "https://graph.facebook.com",
        "https://gateway.example/",
        "http://127.0.0.1:9",
        "http://[::1]:9",
        "http://localhost:9",
    ] {
        assert!(
            parse(&options(&json!({ "endpoint": good }))).is_ok(),
            "{good}"
        );
    }
    for bad in [
        "http://10.0.0.1",
        "ftp://example.com",
        "graph.facebook.com",
        "https://u:p@example.com",
        "https://example.com?x=1",
        "https://example.com/?",
        "https://example.com#x",
        "https://graph.facebook.com/v25.0",
        "https://gateway.example/capi/",
        "http://127.0.0.1:9/v25.0/123/events",
    ] {
        assert_eq!(problems(&json!({ "endpoint": bad })).len(), 1, "{bad}");
    }
    let plain = json!({ "endpoint": "http://10.0.0.1", "allow_plain_http": true });
    assert!(parse(&options(&plain)).is_ok());
}

#[tokio::test]
async fn a_preset_of_ones_own_is_read_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("my.json");
    let preset = json!({
        "name": "mine", "title": "Mine", "description": "One event.",
        "include": ["event", "identity"],
        "events": [{ "from": ["Vault Opened"], "to": "Contact", "field_mappings": { "custom_data.vault_level": "properties.level" } }],
    });
    std::fs::write(&path, preset.to_string()).expect("a file");
    let sink = build(&json!({ "preset": { "file": path } })).await;
    let call = json!({
        "event": "vault_opened", "userId": "u", "messageId": "m", "properties": { "level": [1, "a"] },
        "context": { "consent": { "marketing": true } },
    });
    let outcome = outcome(&sink.encode(&event(&call)));
    assert_eq!(
        outcome["event"]["custom_data"],
        json!({ "vault_level": [1, "a"] }),
        "{outcome}"
    );

    std::fs::write(
        &path,
        r#"{"name":"mine","events":[{"from":["x"],"to":"y","too":1}]}"#,
    )
    .expect("a file");
    let found = problems(&json!({ "preset": { "file": path } }));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found.iter().all(|text| text.contains("my.json#")),
        "{found:#?}"
    );
    let found = problems(&json!({ "preset": { "file": "no-such.json" } }));
    assert!(found[0].contains("cannot be read"), "{found:?}");
}

#[test]
fn a_test_event_code_is_warned_about() {
    let config = parse(&options(&json!({ "test_event_code": "TEST123" }))).expect("good options");
    let notices = config.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(notices[0].path, "test_event_code");
    assert!(notices[0].problem.contains("count"), "{notices:?}");
    assert!(
        parse(&options(&json!({})))
            .expect("good options")
            .notices()
            .is_empty()
    );
}

#[test]
fn a_time_zone_is_a_name_or_an_offset() {
    for good in ["Europe/Berlin", "asia/tokyo", "UTC", "+09:00", "-03:30"] {
        let parsed = parse(&options(&json!({ "time_zone": good })));
        assert!(parsed.is_ok(), "{good}");
    }
    for (bad, words) in [
        (
            "Asia/Tokio",
            "is not a time zone; did you mean `Asia/Tokyo`?",
        ),
        ("CEST", "is not a time zone"),
        ("+25:00", "is not a time zone"),
    ] {
        let found = problems(&json!({ "time_zone": bad }));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("time_zone: "), "{found:?}");
        assert!(found[0].contains(words), "{found:?}");
        assert!(
            found[0].contains("expected a name of the IANA database"),
            "{found:?}"
        );
    }
}

#[test]
fn the_secret_of_the_app_is_given_once_and_never_printed() {
    let config = parse(&options(&json!({ "app_secret": "0123geheim" }))).expect("good options");
    assert!(!format!("{config:?}").contains("geheim"), "{config:?}");
    let both = json!({ "app_secret": "0123geheim", "app_secret_file": "cases" });
    assert_eq!(
        problems(&both),
        ["app_secret_file: is given beside `app_secret`; expected one of the two"]
    );
    for (over, expected) in [
        (
            json!({ "app_secret_file": "no-such-file" }),
            "app_secret_file: cannot be read",
        ),
        (
            json!({ "app_secret": "two geheim" }),
            "app_secret: has a space or a line break in the secret",
        ),
        (
            json!({ "app_secret": "$SECRET" }),
            "app_secret: is a variable that is not filled in",
        ),
        (
            json!({ "app_secret": "\"geheim\"" }),
            "app_secret: has quotation marks around the secret",
        ),
    ] {
        let found = problems(&over);
        assert!(
            found[0].starts_with(expected) && !found[0].contains("geheim"),
            "{found:?}"
        );
    }
}

#[test]
fn the_partner_is_a_short_plain_name() {
    for good in ["acme", "acme_1_0", "Acme-2.0"] {
        assert!(
            parse(&options(&json!({ "partner_agent": good }))).is_ok(),
            "{good}"
        );
    }
    for bad in ["", "a", "1_0", "a1", "acme 1", "acmé", &"a".repeat(23)] {
        assert_eq!(problems(&json!({ "partner_agent": bad })).len(), 1, "{bad}");
    }
}

#[test]
fn a_version_that_has_ended_or_soon_does_is_noted() {
    // 2026-11-26.
    let clock = std::sync::Arc::new(pipeline_core::ManualClock::at(1_795_700_000_000));
    let notes = |version: &str| {
        let registry = pipeline_core::Registry::linked().expect("no name twice");
        let description = registry.sink("meta_conversions").expect("linked");
        let cx = pipeline_core::ParseContext::new("meta", crate::root().join("fixtures"));
        let cx = cx.with_clock(clock.clone());
        let over = options(&json!({ "api_version": version }));
        let config = description.parse(&over, &cx).expect("good options");
        let notes = config.notices().into_iter();
        notes.map(|note| note.to_string()).collect::<Vec<_>>()
    };
    for (version, expected) in [
        (
            "v20.0",
            "api_version: has ended on 2026-09-24, so that Meta refuses every request; expected a current version; the newest that is known here is `v27.0`",
        ),
        (
            "v21.0",
            "api_version: ends on 2027-01-21; from then on Meta refuses every request; expected a current version; the newest that is known here is `v27.0`",
        ),
        (
            "v40.0",
            "api_version: is not a version that is known here; it may not exist; expected a current version; the newest that is known here is `v27.0`",
        ),
    ] {
        assert_eq!(notes(version), [format!("note: {expected}")]);
    }
    for version in ["v22.0", "v25.0", "v27.0"] {
        assert_eq!(notes(version).len(), 0, "{version}");
    }
}
