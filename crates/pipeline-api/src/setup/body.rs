//! The body of a request: JSON, of a bounded size, within a bounded time.
//!
//! Invariant: a refusal says where a body is wrong, and quotes nothing of it.

use crate::answer;
use crate::shared::Shared;
use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use pipeline_cli::{Program, StartedPipeline};
use pipeline_core::options::Problem;
use pipeline_host::config::ConfigError;
use serde::de::DeserializeOwned;
use serde_json::{Value, json as object};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes of a body at most.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;
/// How long a client may take to send it.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// The answer to a request that is refused.
#[derive(Debug)]
pub(crate) struct Refusal(pub(super) Box<Response>);

impl Refusal {
    /// An answer with this body.
    pub(crate) fn new(status: StatusCode, body: Value) -> Self {
        Self(Box::new((status, Json(body)).into_response()))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// The answer to a request that is not answered.
pub(crate) fn refuse(status: StatusCode, code: &str, message: &str) -> Refusal {
    Refusal(Box::new(answer::refuse(status, code, message)))
}

/// Reads the body of a request.
pub(crate) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let media = request.headers().get(header::CONTENT_TYPE);
    let media = media.and_then(|media| media.to_str().ok());
    let media = media.and_then(|media| media.split(';').next());
    if !media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json")) {
        let message = "send the body as `application/json`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(refuse(status, "unsupported_media_type", message));
    }
    let read = to_bytes(request.into_body(), MAX_BODY_BYTES);
    let read = tokio::time::timeout(BODY_LIMIT, read).await;
    let read = read.map_err(|_| {
        let message = "the body did not come in time";
        refuse(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    })?;
    let body = read.map_err(|_| {
        let message = format!("the body breaks off, or is larger than {MAX_BODY_BYTES} bytes");
        refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &message)
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() {
            "is not what this path takes"
        } else {
            "is not JSON"
        };
        let message = format!("the body {what}: line {line}, column {column}");
        refuse(StatusCode::BAD_REQUEST, "bad_body", &message)
    })
}

/// The pipeline, once it runs.
pub(crate) fn started(shared: &Shared) -> Result<&StartedPipeline, Refusal> {
    shared.pipeline.get().ok_or_else(|| {
        let message = "the pipeline has not started yet";
        refuse(StatusCode::SERVICE_UNAVAILABLE, "starting", message)
    })
}

/// Does something with the program on a thread that may block, a few at a time.
pub(crate) async fn on_thread<R: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Program) -> R + Send + 'static,
) -> Result<R, Refusal> {
    let program = started(shared)?.program.clone();
    let permit = permit(shared)?;
    let work = move || {
        let done = work(&program);
        drop(permit);
        done
    };
    // The text of a panic may quote what was given.
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        let message = "the program failed on what was sent; please report it";
        refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })
}

/// A permit to look at what a request brings.
pub(crate) fn permit(shared: &Shared) -> Result<OwnedSemaphorePermit, Refusal> {
    let permit = Arc::clone(&shared.trials).try_acquire_owned();
    permit.map_err(|_| {
        let message = "other requests of this kind are being answered; try again in a moment";
        refuse(StatusCode::TOO_MANY_REQUESTS, "busy", message)
    })
}

/// A problem as answers have it.
pub(crate) fn problem(problem: &Problem) -> Value {
    object!({
        "path": problem.path,
        "problem": problem.problem,
        "expected": problem.expected,
        "level": if problem.is_error() { "error" } else { "note" },
    })
}

/// Every problem of a configuration.
pub(crate) fn problems(error: &ConfigError) -> Vec<Value> {
    match error {
        ConfigError::Invalid(problems) => problems.iter().map(problem).collect(),
        ConfigError::Syntax { fault, .. } => {
            let mut entry = problem(&Problem::new(
                "",
                format!("is not valid {}: {}", fault.format, fault.problem),
                fault.expected.clone(),
            ));
            entry["line"] = fault.line.into();
            entry["column"] = fault.column.into();
            vec![entry]
        }
        ConfigError::Unreadable { problem, .. } => {
            vec![self::problem(&Problem::new(
                "",
                problem.clone(),
                "a pipeline file",
            ))]
        }
    }
}

/// The answer where a configuration is not good.
pub(crate) fn unprocessable(error: &ConfigError) -> Refusal {
    let message = "the configuration has problems";
    let body = object!({ "error": {
        "code": "problems", "message": message, "problems": problems(error),
    }});
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, body)
}
