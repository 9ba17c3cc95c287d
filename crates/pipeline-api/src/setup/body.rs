//! What requests about the set-up bring and how they are refused, and the threads on which they are answered.
//!
//! Invariant: a refusal quotes nothing of what was sent.

use crate::answer;
use crate::shared::Shared;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pipeline_cli::{Program, StartedPipeline};
use pipeline_core::options::Problem;
use pipeline_host::config::ConfigError;
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// The answer to a request that is refused.
#[derive(Debug)]
pub(crate) struct Refusal(pub(super) Box<Response>);

impl Refusal {
    /// What any request is refused with.
    pub(crate) fn of(refusal: answer::Refusal) -> Self {
        Self(Box::new(refusal.into_response()))
    }

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

/// A text, or the options of one sink.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    #[serde(default)]
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) sink: Option<String>,
    #[serde(default)]
    pub(crate) options: Option<Value>,
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
