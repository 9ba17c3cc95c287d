//! How strict a sandbox is and what it remembers. `Debug` never shows a token.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A clock: the time in Unix milliseconds.
pub type NowMs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Bytes of accepted request bodies that are kept by default.
pub const DEFAULT_MAX_KEPT_BYTES: usize = 512 * 1024 * 1024;

/// How a sandbox behaves. [`SandboxOptions::default`] takes any token and any pixel.
#[derive(Clone)]
pub struct SandboxOptions {
    /// Where to listen. Default: a port of the system's choice on 127.0.0.1.
    pub address: SocketAddr,
    /// The tokens that are good. Default: none, which lets any token pass that is not empty.
    pub access_tokens: Vec<String>,
    /// The pixels that exist. Default: none, which lets any digits pass.
    pub pixel_ids: Vec<String>,
    /// The clock that ages are measured with. Default: none, which is the system's.
    pub now_ms: Option<NowMs>,
    /// Whether website events need `event_source_url` and `client_user_agent`. Documented as required, but Meta has been
    /// seen to accept events without a user agent. Default false.
    pub require_website_fields: bool,
    /// Whether a `value` needs a `currency` on every event. Reported once. Default true.
    pub require_currency_with_value: bool,
    /// The secret of the app that the tokens belong to: every call then needs the `appsecret_proof` that goes with its token.
    /// Default: none, which asks for no proof.
    pub app_secret: Option<String>,
    /// Bytes of accepted request bodies that are kept; beyond it the oldest are forgotten. Default
    /// [`DEFAULT_MAX_KEPT_BYTES`].
    pub max_kept_bytes: usize,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            access_tokens: Vec::new(),
            pixel_ids: Vec::new(),
            now_ms: None,
            require_website_fields: false,
            require_currency_with_value: true,
            app_secret: None,
            max_kept_bytes: DEFAULT_MAX_KEPT_BYTES,
        }
    }
}

impl fmt::Debug for SandboxOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxOptions")
            .field("address", &self.address)
            .field(
                "access_tokens",
                &format_args!("{} not shown", self.access_tokens.len()),
            )
            .field("pixel_ids", &self.pixel_ids)
            .field("require_website_fields", &self.require_website_fields)
            .field(
                "require_currency_with_value",
                &self.require_currency_with_value,
            )
            .field("app_secret", &self.app_secret.as_ref().map(|_| "not shown"))
            .field("max_kept_bytes", &self.max_kept_bytes)
            .finish_non_exhaustive()
    }
}

impl SandboxOptions {
    /// The time in Unix milliseconds, by the clock that is set.
    pub(crate) fn read_clock(&self) -> i64 {
        self.now_ms
            .as_ref()
            .map_or_else(system_now_ms, |now_ms| now_ms())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the default clock, which tests replace through `SandboxOptions::now_ms`"
)]
fn system_now_ms() -> i64 {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
