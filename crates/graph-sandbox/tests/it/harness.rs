//! A sandbox with a clock that does not move, the client that talks to it, and events that it accepts.

use graph_sandbox::{Sandbox, SandboxOptions};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// The time on the sandbox's clock, in Unix seconds: 2026-11-11.
pub(crate) const NOW: i64 = 1_794_400_000;
pub(crate) const TOKEN: &str = "EAAtest";
/// SHA-256 of `john_smith@gmail.com`, as Meta's pages print it.
pub(crate) const HASH: &str = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f";

pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) client: Client,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with(SandboxOptions {
            require_website_fields: true,
            ..SandboxOptions::default()
        })
        .await
    }

    pub(crate) async fn with(options: SandboxOptions) -> Self {
        let options = SandboxOptions {
            now_ms: Some(Arc::new(|| NOW * 1000)),
            ..options
        };
        Self {
            sandbox: Sandbox::start(options).await.unwrap(),
            client: Client::new(),
        }
    }

    pub(crate) fn events_url(&self) -> String {
        format!("{}/v25.0/1234567890123456/events", self.sandbox.url())
    }

    /// Sends a body to the events edge, or says how the connection failed.
    pub(crate) async fn try_post(&self, body: String) -> reqwest::Result<Response> {
        let request = self.client.post(self.events_url()).bearer_auth(TOKEN);
        request
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
    }

    pub(crate) async fn post(&self, body: String) -> Answer {
        Answer::read(self.try_post(body).await.unwrap()).await
    }

    pub(crate) async fn send(&self, events: &[Value]) -> Answer {
        self.post(json!({ "data": events }).to_string()).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &str) -> Answer {
        let url = format!("{}{path}", self.sandbox.url());
        Answer::read(
            self.client
                .request(method, url)
                .body(body.to_owned())
                .send()
                .await
                .unwrap(),
        )
        .await
    }
}

/// A whole answer. What is not JSON becomes text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn read(response: Response) -> Self {
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        Self {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    /// Status, code and subcode.
    pub(crate) fn refusal(&self) -> (u16, Option<i64>, Option<i64>) {
        let error = &self.body["error"];
        (
            self.status,
            error["code"].as_i64(),
            error["error_subcode"].as_i64(),
        )
    }

    pub(crate) fn user_message(&self) -> &str {
        self.body["error"]["error_user_msg"]
            .as_str()
            .unwrap_or_default()
    }
}

pub(crate) fn website() -> Value {
    json!({
        "event_name": "ViewContent", "event_time": NOW - 60, "event_id": "view-1", "action_source": "website",
        "event_source_url": "https://shop.example/shoes",
        "user_data": { "em": [HASH], "client_user_agent": "Mozilla/5.0" },
    })
}

pub(crate) fn purchase() -> Value {
    let content = json!({ "id": "sku1", "quantity": 1, "item_price": 100.2 });
    let custom_data =
        json!({ "currency": "USD", "value": 100.2, "order_id": "42", "contents": [content] });
    merged(
        website(),
        &json!({ "event_name": "Purchase", "event_id": "order-42", "custom_data": custom_data }),
    )
}

pub(crate) fn store() -> Value {
    merged(
        website(),
        &json!({ "action_source": "physical_store", "event_source_url": null }),
    )
}

pub(crate) fn app() -> Value {
    let extinfo = [
        "i2",
        "com.example",
        "1.0",
        "1.0",
        "13.4.1",
        "iPhone5,1",
        "en_US",
        "PDT",
        "",
        "320",
        "568",
        "2",
        "2",
        "13",
        "8",
        "",
    ];
    let app_data = json!({ "advertiser_tracking_enabled": 1, "extinfo": extinfo });
    merged(
        website(),
        &json!({ "action_source": "app", "event_source_url": null, "app_data": app_data }),
    )
}

pub(crate) fn messenger() -> Value {
    merged(
        website(),
        &json!({
            "action_source": "business_messaging", "messaging_channel": "messenger",
            "user_data": { "em": null, "client_user_agent": null, "page_id": "111", "page_scoped_user_id": "222" },
        }),
    )
}

/// `base` with `patch` laid over it, object by object; null removes (JSON merge patch, RFC 7396).
pub(crate) fn merged(base: Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut object = if let Value::Object(object) = base {
        object
    } else {
        serde_json::Map::new()
    };
    for (key, change) in changes {
        let old = object.remove(key).unwrap_or_default();
        if !change.is_null() {
            object.insert(key.clone(), merged(old, change));
        }
    }
    Value::Object(object)
}
