//! Envelopes as the services write them, damaged ones, and anything else.

use super::*;
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};

const EVENT: &str = r#"{"event":"Order Completed","x":"??>>~~ü"}"#;

fn opened(form: Form, body: &str) -> Result<Vec<String>, (u16, &'static str)> {
    let opened = form.open(&Bytes::copy_from_slice(body.as_bytes()));
    let opened = opened.map_err(|refusal| (refusal.status, refusal.code))?;
    let told = |event: Result<Bytes, Reason>| match event {
        Ok(event) => String::from_utf8(event.to_vec()).unwrap(),
        Err(reason) => format!("{}: {}", reason.code, reason.detail),
    };
    Ok(opened.events.into_iter().map(told).collect())
}

fn form(lines: &[(&'static str, &str)]) -> Result<Form, u16> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let form = Envelope::Cloudevents.form(&headers);
    form.map_err(|refusal| refusal.status)
}

/// A CloudEvent with these members.
fn cloud_event(more: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/shop","type":"order",{more}}}"#)
}

#[test]
fn the_head_says_how_a_cloud_event_is_written() {
    let of = |content_type| form(&[("content-type", content_type)]);
    assert_eq!(of("application/cloudevents+json"), Ok(Form::CloudEvent));
    let with_charset = "Application/CloudEvents-Batch+JSON; charset=utf-8";
    assert_eq!(of(with_charset), Ok(Form::CloudEvents));
    let json = ("content-type", "application/json");
    assert_eq!(form(&[json, ("ce-specversion", "1.0")]), Ok(Form::Data));
    assert_eq!(form(&[("ce-specversion", "1.0")]), Ok(Form::Data));
    assert_eq!(form(&[json]), Err(422));
    assert_eq!(form(&[json, ("ce-specversion", "0.3")]), Err(422));
    assert_eq!(of("application/cloudevents+avro"), Err(422));
}

#[test]
fn the_data_of_a_cloud_event_keeps_its_bytes_and_base64_is_read_in_both_alphabets() {
    let plain = cloud_event(r#""data": {"a" : 1.0, "a":2} "#);
    assert_eq!(
        opened(Form::CloudEvent, &plain).unwrap(),
        [r#"{"a" : 1.0, "a":2}"#]
    );
    for encoded in [
        STANDARD.encode(EVENT),
        STANDARD_NO_PAD.encode(EVENT),
        URL_SAFE.encode(EVENT),
        URL_SAFE_NO_PAD.encode(EVENT),
        // As some libraries escape it.
        STANDARD
            .encode(EVENT)
            .replace('/', "\\/")
            .replace('+', "\\u002B"),
    ] {
        let event = cloud_event(&format!(r#""data_base64":"{encoded}""#));
        assert_eq!(opened(Form::CloudEvent, &event).unwrap(), [EVENT]);
    }
    assert_eq!(opened(Form::Data, " {\"a\":1}\n").unwrap(), [r#"{"a":1}"#]);
    let with_bom = format!("\u{feff}{}", cloud_event(r#""data":{}"#));
    assert_eq!(opened(Form::CloudEvent, &with_bom).unwrap(), ["{}"]);
}

#[test]
fn an_element_that_cannot_be_unpacked_costs_itself_and_says_its_place() {
    let good = cloud_event(&format!(r#""data":{EVENT}"#));
    let elements = [
        &good,
        "7",
        "{}",
        &cloud_event(r#""x":1"#),
        &cloud_event(r#""data":null,"data_base64":null"#),
        &cloud_event(r#""data":{},"data_base64":"e30=""#),
        &cloud_event(r#""data":{"a":1},"data":{"a":2}"#),
        &cloud_event(r#""data_base64":"e30*""#),
        &cloud_event(r#""data_base64":7"#),
        &cloud_event(r#""data_base64":"""#),
        &cloud_event(r#""data_base64":"e30ge30=""#),
        r#"{"specversion":"0.3","data":{}}"#,
        &cloud_event(r#""data":{"n":NaN}"#),
        &good,
    ];
    let found = opened(Form::CloudEvents, &format!("[{}]", elements.join(",\n"))).unwrap();
    assert_eq!(
        found,
        [
            EVENT,
            "not_unpacked: element 1: it is not a CloudEvent, which is an object",
            "not_unpacked: element 2: `specversion` is missing",
            "not_unpacked: element 3: it has neither `data` nor `data_base64`",
            "not_unpacked: element 4: it has neither `data` nor `data_base64`",
            "not_unpacked: element 5: it has both `data` and `data_base64`",
            "not_unpacked: element 6: `data` is there more than once",
            "not_unpacked: element 7: `data_base64` is not base64",
            "not_unpacked: element 8: `data_base64` is not base64",
            "not_unpacked: element 9: `data_base64` is empty",
            "malformed_json: element 10: the data is not one JSON value",
            "not_unpacked: element 11: `specversion` is not 1.0",
            "malformed_json: element 12: the CloudEvent is not whole JSON",
            EVENT,
        ]
    );
    assert_eq!(opened(Form::CloudEvents, "[]").unwrap(), [""; 0]);
}

#[test]
fn a_push_gives_the_one_event_of_its_message() {
    let push = |message: &str| {
        let push =
            format!(r#"{{"subscription":"projects/p/subscriptions/s","message":{message}}}"#);
        opened(Form::Push, &push)
    };
    let data = URL_SAFE.encode(EVENT);
    let message = format!(r#"{{"attributes":{{"data":"x"}},"data":"{data}","messageId":"1"}}"#);
    assert_eq!(push(&message).unwrap(), [EVENT]);
    let missing = "not_unpacked: `message.data` is missing";
    assert_eq!(push(r#"{"attributes":{"a":"b"}}"#).unwrap(), [missing]);
    let no_json = "malformed_json: the data is not one JSON value";
    assert_eq!(push(r#"{"data":"eA=="}"#).unwrap(), [no_json]);
}

#[test]
fn a_record_gives_the_events_that_are_in_it() {
    let record = |text: &str| json!({"data": STANDARD.encode(text)}).to_string();
    let records = [
        record(r#"{"a":1}"#),
        record("{\"a\":2}\n{\"a\":3}\n"),
        record(r#"{"a":4}{"a":5}"#),
        r#"{"data":"*"}"#.to_owned(),
        "7".to_owned(),
        record("no json"),
        record("{\"a\":6}\n{broken\n{\"a\":7}"),
    ];
    let body = format!(
        r#"{{"requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","timestamp":1578090901599,"records":[{}]}}"#,
        records.join(",")
    );
    let found = opened(Form::Records, &body).unwrap();
    assert_eq!(
        found[..5],
        [1, 2, 3, 4, 5].map(|a| format!("{{\"a\":{a}}}"))
    );
    assert_eq!(found[5], "not_unpacked: record 3: `data` is not base64");
    assert_eq!(
        found[6],
        "not_unpacked: record 4: it is not a record, which is an object"
    );
    assert!(
        found[7].starts_with("malformed_json: record 5: "),
        "{}",
        found[7]
    );
    // What is damaged inside of a record is for the sinks, like every damaged line.
    assert_eq!(found[8..], ["{\"a\":6}", "{broken", "{\"a\":7}"]);
    let opened = Form::Records.open(&body.into()).unwrap();
    let id = opened.request_id.unwrap();
    assert_eq!(id, "ed4acda5-034f-9f42-bba1-f29aea6d7d8f");
}

#[test]
fn more_events_than_a_request_may_have_are_refused_in_records_too() {
    let many = STANDARD.encode("{}\n".repeat(6_000));
    let record = json!({"data": many});
    let body = json!({"requestId": "r", "records": [record, record]});
    let refused = opened(Form::Records, &body.to_string());
    assert_eq!(refused, Err((413, "too_many_events")));
}

#[test]
fn a_body_that_is_no_such_envelope_is_refused_whole() {
    let refused = Err((422, "no_envelope"));
    for (form, bodies) in [
        (
            Form::CloudEvent,
            &[
                "",
                "[]",
                "7",
                "{}",
                r#"{"data":{}}"#,
                r#"{"specversion":"1.0""#,
            ][..],
        ),
        (Form::CloudEvents, &["", "{}", r#"{"specversion":"1.0"}"#]),
        (
            Form::Push,
            &[
                "",
                "[]",
                "{}",
                r#"{"message":7}"#,
                r#"{"message":{}"#,
                EVENT,
            ],
        ),
        (
            Form::Records,
            &[
                "",
                "{}",
                r#"{"records":[]}"#,
                r#"{"requestId":"r"}"#,
                r#"{"requestId":7,"records":[]}"#,
                r#"{"requestId":"r","records":{}}"#,
                r#"{"requestId":"<a>","records":[]}"#,
                r#"{"requestId":"r","records":[]"#,
            ],
        ),
    ] {
        for body in bodies {
            assert_eq!(opened(form, body), refused, "{form:?} {body}");
        }
    }
    for body in ["", "no json", "{} {}"] {
        assert_eq!(opened(Form::Data, body), Err((422, "malformed_json")));
    }
}

fn forms() -> impl Strategy<Value = Form> {
    prop::sample::select(vec![
        Form::CloudEvent,
        Form::CloudEvents,
        Form::Data,
        Form::Push,
        Form::Records,
    ])
}

proptest! {
    #[test]
    fn whatever_comes_is_opened_or_refused(form in forms(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = form.open(&body.into());
    }

    #[test]
    fn a_damaged_envelope_gives_whole_events_or_reasons(
        form in forms(), cut in 0_usize..400, byte: u8, at in 0_usize..400,
    ) {
        let data = STANDARD.encode(EVENT);
        let event: Value = serde_json::from_str(EVENT).unwrap();
        let element = json!({"specversion": "1.0", "data": event});
        let body = match form {
            Form::CloudEvent => element.to_string(),
            Form::CloudEvents => json!([element, {"specversion": "1.0", "data_base64": data}]).to_string(),
            Form::Push => json!({"message": {"data": data}}).to_string(),
            Form::Records => json!({"requestId": "r", "records": [{"data": data}, {"data": data}]}).to_string(),
            _ => EVENT.to_owned(),
        };
        let mut body = body.into_bytes();
        body.truncate(cut.max(1));
        let at = at % body.len();
        body[at] = byte;
        let _ = form.open(&body.into());
    }

    #[test]
    fn what_a_service_wraps_comes_out_byte_by_byte(values in prop::collection::vec("[ -~]{0,40}", 1..8)) {
        let events: Vec<_> = values.iter().map(|text| json!({"text": text}).to_string()).collect();
        let encoded = |event: &String| STANDARD.encode(event);
        let batch: Vec<_> = events.iter().map(|event| cloud_event(&format!(r#""data":{event}"#))).collect();
        prop_assert_eq!(&opened(Form::CloudEvents, &format!("[{}]", batch.join(","))).unwrap(), &events);
        let records: Vec<_> = events.iter().map(|event| json!({"data": encoded(event)})).collect();
        let records = json!({"requestId": "r", "records": records}).to_string();
        prop_assert_eq!(&opened(Form::Records, &records).unwrap(), &events);
        let joined = STANDARD.encode(events.join("\n"));
        let joined = json!({"requestId": "r", "records": [{"data": joined}]}).to_string();
        prop_assert_eq!(&opened(Form::Records, &joined).unwrap(), &events);
    }
}
