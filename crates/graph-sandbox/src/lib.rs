//! A local stand-in for Meta's Graph API: the events edge of the Conversions API with its documented rules, its errors and,
//! on request, its bad days.
//!
//! HTTP requests go in; Meta-shaped answers come out, and what was accepted can be read back. It is written from Meta's
//! documentation alone and shares no code with any client, so that a client and the sandbox check each other.
//!
//! | Route | Does |
//! | --- | --- |
//! | `POST /{version}/{pixel}/events` | checks version, pixel, token, body and every event; the first bad event refuses the whole batch |
//! | `GET /{version}/{pixel}` | answers the pixel's id, for health checks |
//! | `GET /sandbox/events` | accepted events as NDJSON, in order, as they came; `?unique=true` leaves duplicates out |
//! | `GET /sandbox/requests` | one [`RequestSummary`] per events request, never the token |
//! | `GET /sandbox/summary` | the [`Summary`] |
//! | `POST /sandbox/faults` | injects an [`Injection`] or a list: `{"fault": {"type": "delay", "millis": 50}, "times": 2}`; an `obstacle` stays, and answers anything to requests of a size or with a certain event |
//! | `GET`, `DELETE /sandbox/faults` | lists what is pending, lifts everything |
//! | `DELETE /sandbox` | resets everything |
//!
//! # Where Meta is silent or contradicts itself
//!
//! * A website event without `event_source_url` or `client_user_agent` is accepted, as it has been seen to be, although
//!   both are documented as required: [`SandboxOptions::require_website_fields`] refuses it.
//! * A `value` without `currency` is refused on every event (2804023, one report), because an amount without a unit is
//!   never meant: [`SandboxOptions::require_currency_with_value`].
//! * Unknown keys in `user_data` are refused as on the event; null counts as absent in `user_data` and nowhere else.
//! * `customer_segmentation` is taken on the event and in `custom_data`; 62-day-old store events get 2804003.
//! * The hash of the empty string is refused; whether Meta does so is unknown, but it never identifies anybody.
//! * Event names have no maximum length (the 50 characters are the Pixel's), and content types are an open list.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), graph_sandbox::StartError> {
//! use graph_sandbox::{Sandbox, SandboxOptions};
//!
//! let sandbox = Sandbox::start(SandboxOptions::default()).await?;
//! println!("post events to {}/v25.0/1234567890123456/events", sandbox.url());
//! assert_eq!(sandbox.summary().accepted, 0);
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

mod access;
mod batch;
mod connection;
mod control;
mod edge;
mod fault;
mod json;
mod ledger;
mod options;
mod refusal;
mod rule;

pub use batch::MAX_EVENTS_PER_REQUEST;
pub use edge::{MAX_BODY_BYTES, MAX_EVENT_BYTES, MAX_REQUESTS_IN_FLIGHT};
pub use fault::{
    AnyAnswer, Fault, InjectError, Injection, MAX_ANSWER_BYTES, MAX_ANSWER_HEADERS,
    MAX_DELAY_MILLIS, MAX_PENDING_FAULTS, Obstructed,
};
pub use ledger::{MAX_RECORDED_REQUESTS, MAX_REMEMBERED_IDS, RequestSummary, Summary};
pub use options::{DEFAULT_MAX_KEPT_BYTES, NowMs, SandboxOptions};
pub use rule::event::{MAX_AGE_SECS, MAX_AHEAD_SECS, MAX_STORE_AGE_SECS};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, delete, get};
use connection::{Cut, CuttableListener};
use fault::FaultQueue;
use ledger::Ledger;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// How long [`Sandbox::stop`] waits for requests under way, in seconds.
const STOP_TIMEOUT_SECS: u64 = 5;
/// The largest body of `POST /sandbox/faults`, in bytes.
const MAX_FAULTS_BODY_BYTES: usize = 1024 * 1024;

/// Why the sandbox did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is in use, not of this machine, or not allowed.
    #[error("the sandbox cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running sandbox. Dropping it stops it in the background; [`Sandbox::stop`] waits for that.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Sandbox {
    /// Starts serving in the background of the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError::Listen`] when the address cannot be listened on.
    pub async fn start(options: SandboxOptions) -> Result<Self, StartError> {
        let wanted = options.address;
        let refuse = |source| StartError::Listen {
            address: wanted,
            source,
        };
        let listener = TcpListener::bind(wanted).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let (stop, mut stopping) = watch::channel(());
        let shared = Arc::new(Shared::new(options, stopping.clone()));
        let service = routes(Arc::clone(&shared)).into_make_service_with_connect_info::<Cut>();
        let server =
            axum::serve(CuttableListener(listener), service).with_graceful_shutdown(async move {
                // An error means that the sandbox was dropped, which stops it as well.
                let _ = stopping.changed().await;
            });
        Ok(Self {
            address,
            shared,
            stop,
            server: tokio::spawn(server.into_future()),
        })
    }

    /// The address that is listened on, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL without a path, to be used in place of `https://graph.facebook.com`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The accepted events that are kept, in order, each as the JSON that came, duplicates included.
    pub fn accepted(&self) -> Vec<String> {
        self.shared.ledger().events(false)
    }

    /// The accepted events without duplicates.
    pub fn unique(&self) -> Vec<String> {
        self.shared.ledger().events(true)
    }

    /// The accepted events that are kept, which then are not kept any more: for runs whose events do not fit in memory.
    pub fn take_accepted(&self) -> Vec<String> {
        self.shared.ledger().take_events()
    }

    /// The events requests that are kept, in the order in which they were answered.
    pub fn requests(&self) -> Vec<RequestSummary> {
        self.shared.ledger().requests()
    }

    /// The totals.
    pub fn summary(&self) -> Summary {
        self.shared.ledger().summary()
    }

    /// Injects a fault for the next `times` events requests; lasting faults ignore the number.
    ///
    /// # Errors
    ///
    /// [`InjectError`] when a number is out of range or too many faults wait.
    pub fn inject(&self, fault: Fault, times: u32) -> Result<(), InjectError> {
        self.shared
            .faults()
            .inject(vec![Injection { fault, times }])
    }

    /// The faults that no request has met yet, lasting ones first.
    pub fn pending(&self) -> Vec<Injection> {
        self.shared.faults().pending()
    }

    /// Lifts one fault, lasting or waiting, as often as it was injected. The others stay.
    pub fn lift(&self, fault: &Fault) {
        self.shared.faults().lift_one(fault);
    }

    /// Lifts all faults, lasting ones included.
    pub fn lift_faults(&self) {
        self.shared.faults().lift();
    }

    /// Forgets everything and lifts all faults.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Closes idle connections, answers what is under way, and returns when the port is free. Delays end at once.
    pub async fn stop(self) {
        drop(self.stop);
        let mut server = self.server;
        if tokio::time::timeout(Duration::from_secs(STOP_TIMEOUT_SECS), &mut server)
            .await
            .is_err()
        {
            server.abort();
        }
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    let faults = get(control::pending_faults)
        .post(control::inject_faults)
        .delete(control::lift_faults);
    Router::new()
        .route("/sandbox", delete(control::reset))
        .route("/sandbox/events", get(control::events))
        .route("/sandbox/requests", get(control::requests))
        .route("/sandbox/summary", get(control::summary))
        .route(
            "/sandbox/faults",
            faults.layer(DefaultBodyLimit::max(MAX_FAULTS_BODY_BYTES)),
        )
        .route(
            "/{version}/{pixel}",
            get(edge::probe).fallback(edge::unsupported),
        )
        .route(
            "/{version}/{pixel}/events",
            any(edge::unsupported).post(edge::post_events),
        )
        .fallback(edge::unknown)
        .with_state(shared)
}

/// What all requests share.
struct Shared {
    options: SandboxOptions,
    ledger: Mutex<Ledger>,
    faults: Mutex<FaultQueue>,
    identity_hasher: RandomState,
    traces: AtomicU64,
    permits: Semaphore,
    stopping: watch::Receiver<()>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn new(options: SandboxOptions, stopping: watch::Receiver<()>) -> Self {
        Self {
            ledger: Mutex::new(Ledger::new(options.max_kept_bytes)),
            faults: Mutex::default(),
            identity_hasher: RandomState::new(),
            traces: AtomicU64::new(1),
            permits: Semaphore::new(MAX_REQUESTS_IN_FLIGHT),
            options,
            stopping,
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, FaultQueue> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reset(&self) {
        self.ledger().reset();
        self.faults().lift();
    }

    fn now_ms(&self) -> i64 {
        self.options.read_clock()
    }

    /// A trace id of Meta's shape: an `A` and 22 more characters.
    fn next_trace(&self) -> String {
        format!("A{:022X}", self.traces.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits, unless the sandbox stops.
    async fn pause(&self, duration: Duration) {
        let mut stopping = self.stopping.clone();
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            _ = stopping.changed() => {}
        }
    }
}
