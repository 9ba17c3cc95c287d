//! Events that come wrapped in what cloud services deliver, through the real binary to a sandbox.

use crate::tally::{Bench, free_address, personal};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SECRET: &str = "the-secret-of-the-services";

fn source(envelope: &str, address: &str) -> Value {
    let secret = json!({"value": SECRET});
    json!({"type": "http_server", "address": address, "envelope": envelope, "secret": secret})
}

/// An event in base64, with the alphabet of URLs.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let of = |chunk: &[u8]| {
        let bytes = [chunk, &[0, 0]].concat();
        let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        let sign = |place: u32| char::from(ALPHABET[((bits >> (18 - 6 * place)) & 63) as usize]);
        let signs = u32::try_from(chunk.len()).unwrap() + 1;
        (0..signs).map(sign).collect::<String>()
    };
    text.as_bytes().chunks(3).map(of).collect()
}

async fn post(url: &str, headers: &[(&str, &str)], body: String) -> Response {
    let request = Client::new().post(url).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request.send().await.unwrap()
}

#[tokio::test]
async fn events_that_come_wrapped_arrive_and_what_cannot_be_unpacked_costs_itself() {
    let addresses = [(); 3].map(|()| free_address());
    let [events, pushes, records] = addresses
        .each_ref()
        .map(|at| format!("http://{at}/v1/events"));
    let mut bench = Bench::new(&source("cloudevents", &addresses[0])).await;
    bench.pipeline["sources"]["pushes"] = source("pubsub", &addresses[1]);
    bench.pipeline["sources"]["records"] = source("firehose", &addresses[2]);
    bench.sink(&json!({"inputs": ["in", "pushes", "records"]}));
    let run = bench.start();
    let listening = || run.said().matches("address=").count() >= 3;
    crate::tally::eventually(listening, || run.said()).await;

    let secret = ("x-pipeline-secret", SECRET);
    let wrapped = |id: &str| json!({"specversion": "1.0", "id": "x", "type": "t", "source": "/s", "data": personal(id)});
    let damaged = json!({"specversion": "1.0", "data_base64": "Ottilie.Quandt@example.org"});
    let batch = json!([wrapped("batch-1"), damaged, wrapped("batch-2")]);
    let media = ("content-type", "application/cloudevents-batch+json");
    let answer = post(&events, &[media, secret], batch.to_string()).await;
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(
        (&answer["accepted"], &answer["rejected"][0]["index"]),
        (&json!(2), &json!(1))
    );
    let media = ("content-type", "application/json");
    let binary = [media, secret, ("ce-specversion", "1.0")];
    let answer = post(&events, &binary, personal("binary").to_string()).await;
    assert_eq!(answer.status(), 200);

    let push =
        json!({"message": {"data": base64(&personal("push").to_string())}, "subscription": "s"});
    let url = format!("{pushes}?token={SECRET}");
    assert_eq!(post(&url, &[media], push.to_string()).await.status(), 200);
    assert_eq!(
        post(&pushes, &[media], push.to_string()).await.status(),
        401
    );

    let lines = format!("{}\n{}\n", personal("record-1"), personal("record-2"));
    let record = json!({"data": base64(&lines)});
    let body = json!({"requestId": "the-request", "records": [record, {"data": "*"}]});
    let key = ("x-amz-firehose-access-key", SECRET);
    let answer = post(&records, &[media, key], body.to_string()).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(answer["requestId"], "the-request");

    let wanted = [
        "batch-1", "batch-2", "binary", "push", "record-1", "record-2",
    ];
    bench.settle(wanted.len()).await;
    run.terminate();
    let (status, said) = run.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    let accepted: BTreeSet<_> = bench.fates().accepted.into_iter().collect();
    assert_eq!(accepted, wanted.map(str::to_owned).into(), "{said}");
    bench.keeps_secrets(&said);
    assert!(!said.contains(SECRET), "{said}");
}
