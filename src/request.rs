//! Records in, the body and the headers of one HTTP request out.
//!
//! Invariant: the access token stands in the `Authorization` header, which is marked sensitive, and nowhere else.

use pipeline_core::{Record, SensitiveString};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, InvalidHeaderValue};
use std::time::Duration;

/// Where events go, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Scheme, host and port, without a trailing slash.
    pub(crate) endpoint: String,
    /// `v25.0`.
    pub(crate) api_version: String,
    /// The pixel or dataset, in digits.
    pub(crate) pixel_id: String,
    /// Sent as a bearer token.
    pub(crate) access_token: SensitiveString,
    /// Shows the events under "Test events"; they count all the same.
    pub(crate) test_event_code: Option<String>,
    /// The longest one exchange may take.
    pub(crate) timeout: Duration,
}

impl Target {
    pub(crate) fn events_url(&self) -> String {
        format!("{}/events", self.pixel_url())
    }

    pub(crate) fn healthcheck_url(&self) -> String {
        format!("{}?fields=id", self.pixel_url())
    }

    fn pixel_url(&self) -> String {
        format!("{}/{}/{}", self.endpoint, self.api_version, self.pixel_id)
    }

    /// The headers every request carries.
    pub(crate) fn headers(&self) -> Result<HeaderMap, InvalidHeaderValue> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.access_token.expose()))?;
        bearer.set_sensitive(true);
        Ok(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
    }

    /// The body that carries these records, their payloads byte for byte.
    pub(crate) fn body<'r>(&self, records: impl Iterator<Item = &'r Record>) -> Vec<u8> {
        let mut body = b"{\"data\":[".to_vec();
        for (position, record) in records.enumerate() {
            if position > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&record.payload);
        }
        body.push(b']');
        if let Some(code) = &self.test_event_code {
            body.extend_from_slice(b",\"test_event_code\":");
            body.extend_from_slice(
                serde_json::Value::from(code.as_str())
                    .to_string()
                    .as_bytes(),
            );
        }
        body.push(b'}');
        body
    }
}
