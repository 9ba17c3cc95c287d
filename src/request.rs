//! Builds the URL and the body of one HTTP request from records.
//!
//! Invariant: neither contains the access token, which is only in the header that `token` makes, or the app's secret.

use pipeline_core::{Record, SensitiveString};
use std::time::Duration;

/// Where events go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Scheme, host and port, without a trailing slash.
    pub(crate) endpoint: String,
    /// `v25.0`.
    pub(crate) api_version: String,
    /// The pixel or dataset, in digits.
    pub(crate) pixel_id: String,
    /// Shows the events under "Test events"; Meta still counts them.
    pub(crate) test_event_code: Option<String>,
    /// The platform that sends the events, as agreed with Meta.
    pub(crate) partner_agent: Option<String>,
    /// The longest time that one exchange may take.
    pub(crate) timeout: Duration,
}

impl Target {
    pub(crate) fn events_url(&self) -> String {
        format!("{}/events", self.pixel_url())
    }

    /// With the proof, for which a request without a body has no other place. Without the token it is worth nothing.
    pub(crate) fn healthcheck_url(&self, proof: Option<&SensitiveString>) -> String {
        let mut url = format!("{}?fields=id", self.pixel_url());
        if let Some(proof) = proof {
            url.push_str("&appsecret_proof=");
            url.push_str(proof.expose());
        }
        url
    }

    fn pixel_url(&self) -> String {
        format!("{}/{}/{}", self.endpoint, self.api_version, self.pixel_id)
    }

    /// Writes the body with these records, whose payloads it copies byte for byte.
    pub(crate) fn write_body<'r>(
        &self,
        records: impl Iterator<Item = &'r Record> + Clone,
        proof: Option<&SensitiveString>,
        body: &mut Vec<u8>,
    ) {
        /// Bytes around the records, at most.
        const AROUND_BYTES: usize = 256;
        let bytes = records.clone().map(|record| record.payload.len() + 1);
        body.reserve(bytes.sum::<usize>() + AROUND_BYTES);
        body.extend_from_slice(b"{\"data\":[");
        for (position, record) in records.enumerate() {
            if position > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&record.payload);
        }
        body.push(b']');
        let parameters = [
            ("test_event_code", self.test_event_code.as_deref()),
            ("partner_agent", self.partner_agent.as_deref()),
            ("appsecret_proof", proof.map(SensitiveString::expose)),
        ];
        for (name, value) in parameters {
            let Some(value) = value else { continue };
            body.extend_from_slice(b",\"");
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(b"\":");
            body.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
        }
        body.push(b'}');
    }
}
