//! placeholder while the module is being written
use pipeline_core::*;
use std::sync::Arc;
use std::time::Duration;
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: String,
    pub(crate) api_version: String,
    pub(crate) pixel_id: String,
    pub(crate) access_token: SensitiveString,
    pub(crate) test_event_code: Option<String>,
    pub(crate) timeout: Duration,
}
pub(crate) struct Delivery;
impl Delivery {
    pub(crate) fn new(_: Target, _: Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self)
    }
    pub(crate) async fn deliver(&self, b: &[Record]) -> Vec<Outcome> {
        b.iter().map(|_| Outcome::Delivered).collect()
    }
    pub(crate) async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }
}
