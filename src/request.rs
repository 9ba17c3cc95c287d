//! Builds the URL and the body of one HTTP request from records.
//!
//! Invariant: neither contains the access token, which is only in the header that `token` makes.

use pipeline_core::Record;
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
    /// The longest time that one exchange may take.
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

    /// Writes the body with these records, whose payloads it copies byte for byte.
    pub(crate) fn write_body<'r>(
        &self,
        records: impl Iterator<Item = &'r Record> + Clone,
        body: &mut Vec<u8>,
    ) {
        /// Bytes around the records, at most.
        const AROUND_BYTES: usize = 128;
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
        if let Some(code) = &self.test_event_code {
            body.extend_from_slice(b",\"test_event_code\":");
            body.extend_from_slice(
                serde_json::Value::from(code.as_str())
                    .to_string()
                    .as_bytes(),
            );
        }
        body.push(b'}');
    }
}
