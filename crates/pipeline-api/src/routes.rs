//! The paths, and what every answer carries.

use crate::answer::{refuse, unknown_sink};
use crate::attention::{Finding, findings};
use crate::charts;
use crate::events;
use crate::guard::{Guard, METRICS, Refused};
use crate::metrics::metrics;
use crate::pages;
use crate::quality;
use crate::sent_fields;
use crate::setup;
use crate::shared::Shared;
use crate::status::{reasons, status};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use std::sync::Arc;

/// What every answer carries: a browser must neither guess its type, nor keep it, nor show it inside another page.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// A name in a path.
type NameOr = Result<Path<String>, PathRejection>;

/// Every path.
pub(crate) fn router(guard: Arc<Guard>, shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/health", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/ready", get(ready))
        .route(METRICS, get(scrape))
        .route(
            "/api/v1/status",
            get(|State(shared): State<Arc<Shared>>| async move { Json(status(&shared)) }),
        )
        .route(
            "/api/v1/reasons",
            get(|State(shared): State<Arc<Shared>>| async move { Json(reasons(&shared)) }),
        )
        .merge(setup::router())
        .merge(crate::letters::router())
        .route("/api/v1/fields", get(sent_fields::fields))
        .route("/api/v1/events", get(events::list))
        .route("/api/v1/events/stream", get(events::follow))
        .route("/api/v1/events/{seq}", get(events::one))
        .route(
            "/api/v1/sinks/{sink}/pause",
            post(
                |State(shared): State<Arc<Shared>>, sink: NameOr| async move {
                    set_paused(&shared, sink, true)
                },
            ),
        )
        .route(
            "/api/v1/sinks/{sink}/resume",
            post(
                |State(shared): State<Arc<Shared>>, sink: NameOr| async move {
                    set_paused(&shared, sink, false)
                },
            ),
        )
        .merge(pages::router())
        .merge(quality::router())
        .merge(charts::router())
        .fallback(|| async {
            let message = "nothing is served at this path";
            refuse(StatusCode::NOT_FOUND, "not_found", message)
        })
        .method_not_allowed_fallback(|| async {
            let message = "this path takes another method";
            refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                message,
            )
        })
        .with_state(shared)
        .layer(middleware::from_fn_with_state(guard, guarded))
}

/// Lets a request through, or refuses it.
async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let uri = request.uri();
    let authority = uri.authority().map(axum::http::uri::Authority::as_str);
    let mut response = match guard.check(request.method(), uri.path(), authority, request.headers())
    {
        Ok(()) => next.run(request).await,
        Err(Refused {
            status,
            code,
            message,
        }) => refuse(status, code, message),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        // The pages have a policy of their own.
        if name != header::CONTENT_SECURITY_POLICY || !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// 503 with the reasons while events cannot be taken or delivered.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let found = findings(shared.status().as_ref());
    let blocking: Vec<_> = found
        .iter()
        .filter(|finding| finding.is_blocking)
        .map(Finding::to_json)
        .collect();
    let status = if blocking.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({ "ready": blocking.is_empty(), "reasons": blocking });
    (status, Json(body)).into_response()
}

/// Pauses the delivery of a sink, or lets it resume.
fn set_paused(shared: &Shared, sink: NameOr, is_paused: bool) -> Response {
    // A name that is not text is no sink's.
    let sink = &sink.map_or_else(|_| String::new(), |Path(sink)| sink);
    let pipeline = shared.pipeline.get();
    if !pipeline.is_some_and(|it| it.telemetry.set_paused(sink, is_paused)) {
        let status = shared.status().unwrap_or_default();
        let running = status.sinks.iter().filter(|sink| sink.buffer.is_some());
        return unknown_sink(running.map(|sink| &*sink.counts.name)).into_response();
    }
    let done = if is_paused { "paused" } else { "resumed" };
    tracing::info!(sink, "delivery was {done} through the api");
    Json(json!({ "sink": sink, "paused": is_paused })).into_response()
}

async fn scrape(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let (media_type, body) = metrics(&shared, accept.unwrap_or_default());
    ([(header::CONTENT_TYPE, media_type)], body).into_response()
}
