//! The sandbox's own side, under `/sandbox`: what was accepted, what was asked, the totals, the faults. None of it exists at
//! Meta, and none of it counts as a request to the events edge.

use crate::Shared;
use crate::access::query_value;
use crate::fault;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

/// `GET /sandbox/events`: accepted events as NDJSON; `?unique=true` leaves duplicates out.
pub(crate) async fn events(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let unique = query_value(&parts, "unique").as_deref() == Some("true");
    let mut lines = shared.ledger().events(unique).join("\n");
    if !lines.is_empty() {
        lines.push('\n');
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

/// `GET /sandbox/requests`: one summary per events request.
pub(crate) async fn requests(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.ledger().requests()).into_response()
}

/// `GET /sandbox/summary`: the totals.
pub(crate) async fn summary(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.ledger().summary()).into_response()
}

/// `GET /sandbox/faults`: what is pending.
pub(crate) async fn pending_faults(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.faults().pending()).into_response()
}

/// `POST /sandbox/faults`: one injection or a list.
pub(crate) async fn inject_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match fault::parse(&body).and_then(|injections| shared.faults().inject(injections)) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (
            StatusCode::BAD_REQUEST,
            Json(json!({ "error": error.to_string() })),
        )
            .into_response(),
    }
}

/// `DELETE /sandbox/faults`: lifts all faults.
pub(crate) async fn lift_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.faults().lift();
    StatusCode::NO_CONTENT
}

/// `DELETE /sandbox`: forgets everything and lifts all faults.
pub(crate) async fn reset(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.reset();
    StatusCode::NO_CONTENT
}
