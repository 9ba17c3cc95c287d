//! The Graph API's side: `POST /{version}/{pixel}/events` and the probe `GET /{version}/{pixel}`. A request goes in, Meta's
//! answer comes out, and the ledger knows of it. A batch is accepted whole or not at all; injected faults aside, nothing
//! else is possible.

use crate::Shared;
use crate::access::{Token, query_value};
use crate::batch::Batch;
use crate::connection::Cut;
use crate::fault::{AnyAnswer, Fault, Obstructed};
use crate::json::Json;
use crate::ledger::{Accepted, RequestSummary};
use crate::refusal::{Refusal, Subcode, Violation, excerpt};
use crate::rule::event::{self, Terms};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

/// The largest body that is read, in bytes. Meta documents no limit.
pub const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// The largest event that is read, in bytes. Meta documents no limit.
pub const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;
/// Events requests that are read and answered at one time; more of them wait.
pub const MAX_REQUESTS_IN_FLIGHT: usize = 256;

/// `GET /{version}/{pixel}`: whether the pixel can be seen with this token.
pub(crate) async fn probe(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path((version, pixel)): Path<(String, String)>,
    request: Request,
) -> Response {
    shared.ledger().record_probe();
    let (parts, _) = request.into_parts();
    let obstacle = shared.faults().obstacle(|when| {
        when.probes
            && when.event_id.is_none()
            && when.above_bytes.is_none()
            && when.above_events.is_none()
    });
    if let Some(answer) = obstacle {
        shared.pause(Duration::from_millis(answer.millis)).await;
        if answer.status == 0 {
            cut.before_answer();
        }
        return any_answer(&answer);
    }
    let token = Token::find(&parts, None);
    let proof = query_value(&parts, "appsecret_proof");
    match shared.check_access(&parts, &version, &pixel, token.as_ref(), proof.as_deref()) {
        Ok(()) => axum::Json(json!({ "id": pixel })).into_response(),
        Err(refusal) => refusal.into_response(&shared.next_trace()),
    }
}

/// Any other method on the edge: events cannot be read, changed or deleted.
pub(crate) async fn unsupported(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    Refusal::unknown_object(&request.method().as_str().to_ascii_lowercase())
        .into_response(&shared.next_trace())
}

/// Any other path.
pub(crate) async fn unknown(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    Refusal::unknown_path(request.uri().path()).into_response(&shared.next_trace())
}

/// `POST /{version}/{pixel}/events`.
pub(crate) async fn post_events(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path((version, pixel)): Path<(String, String)>,
    request: Request,
) -> Response {
    let _permit = shared.permits.acquire().await;
    let _in_flight = InFlight::begin(&shared);
    let (parts, body) = request.into_parts();
    let exchange = Exchange {
        shared: &shared,
        parts,
        version,
        pixel,
    };
    let Some(body) = exchange.read(body).await else {
        let refusal = Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            100,
            format!("the body must arrive whole and have at most {MAX_BODY_BYTES} bytes"),
        );
        shared.ledger().record(RequestSummary {
            status: Some(413),
            code: Some(100),
            ..RequestSummary::default()
        });
        return refusal.into_response(&shared.next_trace());
    };
    let fault = exchange.fault(&body);
    let millis = match &fault {
        Some(Fault::Delay { millis }) => *millis,
        Some(Fault::Answer { answer } | Fault::Obstacle { answer, .. }) => answer.millis,
        _ => 0,
    };
    if millis > 0 {
        shared.pause(Duration::from_millis(millis)).await;
    }
    let (response, mut summary) = exchange.answer(&body, fault.as_ref());
    match fault {
        Some(Fault::Answer { answer } | Fault::Obstacle { answer, .. }) if answer.status == 0 => {
            summary.status = None;
            cut.before_answer();
        }
        Some(Fault::DropBeforeAccept | Fault::DropAfterAccept) => {
            summary.status = None;
            cut.before_answer();
        }
        Some(Fault::TruncatedAnswer) => cut.in_answer(),
        _ => {}
    }
    shared.ledger().record(summary);
    response
}

/// Counts a request as under way for as long as it lives, also when the client goes away.
struct InFlight<'a>(&'a Shared);

impl<'a> InFlight<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.ledger().begin_request();
        Self(shared)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.ledger().end_request();
    }
}

/// One request to the events edge.
struct Exchange<'a> {
    shared: &'a Shared,
    parts: Parts,
    version: String,
    pixel: String,
}

impl Exchange<'_> {
    async fn read(&self, body: Body) -> Option<Bytes> {
        to_bytes(body, MAX_BODY_BYTES).await.ok()
    }

    /// The obstacle that the request meets, else the fault whose turn it is.
    fn fault(&self, body: &Bytes) -> Option<Fault> {
        if !self.shared.faults().has_obstacles() {
            return self.shared.faults().take();
        }
        let batch = Batch::parse(body);
        let holds = |id: &String| batch.events.iter().any(|raw| has_id(raw.get(), id));
        let meets = |when: &Obstructed| {
            when.above_bytes.is_none_or(|most| body.len() > most)
                && when.above_events.is_none_or(|most| batch.count > most)
                && when.event_id.as_ref().is_none_or(holds)
        };
        let mut faults = self.shared.faults();
        match faults.obstacle(meets) {
            Some(answer) => Some(Fault::Obstacle {
                answer,
                when: Obstructed::default(),
            }),
            None => faults.take(),
        }
    }

    /// Decides about the request and says what is to be remembered of it.
    fn answer(&self, body: &Bytes, fault: Option<&Fault>) -> (Response, RequestSummary) {
        let mut batch = Batch::parse(body);
        let token = Token::find(&self.parts, batch.access_token.take());
        let partner_agent = batch.partner_agent.take();
        let mut summary = RequestSummary {
            events: batch.count,
            bytes: body.len(),
            token_in: token.as_ref().map(|token| token.place),
            has_test_event_code: batch.has_test_event_code,
            partner_agent,
            content_type: self.content_type().map(excerpt),
            fault: fault.map(Fault::name),
            ..RequestSummary::default()
        };
        let outcome = match fault.and_then(|fault| self.injected_answer(fault)) {
            Some(injected) => injected,
            None => self.accept(body, &batch, token.as_ref(), fault, &mut summary),
        };
        let outcome = match fault {
            Some(Fault::Headers { headers }) => outcome.map(|mut response| {
                response.headers_mut().extend(header_map(headers));
                response
            }),
            _ => outcome,
        };
        let response = outcome.unwrap_or_else(|refusal| {
            (summary.code, summary.subcode) = (Some(refusal.code), refusal.subcode);
            summary.blamed_index = refusal.blamed_index;
            refusal.into_response(&self.shared.next_trace())
        });
        summary.status = Some(response.status().as_u16());
        (response, summary)
    }

    /// What a fault answers in place of the edge, for the faults that do.
    fn injected_answer(&self, fault: &Fault) -> Option<Result<Response, Refusal>> {
        let status =
            |code: u16| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match fault {
            Fault::GraphError {
                status: http,
                code,
                subcode,
                is_transient,
                message,
            } => {
                let message = message
                    .clone()
                    .unwrap_or_else(|| "An injected error occurred".to_owned());
                let refusal = Refusal::new(status(*http), *code, message);
                Some(Err(Refusal {
                    subcode: *subcode,
                    is_transient: *is_transient,
                    ..refusal
                }))
            }
            Fault::Throttle {
                status: http,
                code,
                business_use_case_minutes,
                ad_account_reset_seconds,
            } => {
                let refusal = Refusal::new(
                    status(*http),
                    *code,
                    format!("(#{code}) There have been too many calls. Wait a bit and try again."),
                );
                let headers =
                    self.usage_headers(*business_use_case_minutes, *ad_account_reset_seconds);
                Some(Err(Refusal { headers, ..refusal }))
            }
            Fault::HtmlAnswer { status: http } => {
                let page = "<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body>Sorry, something went wrong.</body></html>";
                Some(Ok((status(*http), Html(page)).into_response()))
            }
            Fault::Answer { answer } | Fault::Obstacle { answer, .. } => {
                Some(Ok(any_answer(answer)))
            }
            Fault::DropBeforeAccept => Some(Ok(StatusCode::NO_CONTENT.into_response())),
            _ => None,
        }
    }

    fn usage_headers(
        &self,
        minutes: Option<u64>,
        seconds: Option<u64>,
    ) -> Vec<(&'static str, String)> {
        let business = minutes.map(|minutes| {
            let usage = json!({
                "type": "ads_management", "call_count": 100, "total_cputime": 25, "total_time": 25,
                "estimated_time_to_regain_access": minutes, "ads_api_access_tier": "standard_access",
            });
            ("x-business-use-case-usage", json!({ self.pixel.as_str(): [usage] }).to_string())
        });
        let account = seconds.map(|seconds| {
            let usage = json!({
                "acc_id_util_pct": 100.0, "reset_time_duration": seconds, "ads_api_access_tier": "standard_access",
            });
            ("x-ad-account-usage", usage.to_string())
        });
        business.into_iter().chain(account).collect()
    }

    /// The edge as Meta has it.
    fn accept(
        &self,
        body: &Bytes,
        batch: &Batch,
        token: Option<&Token>,
        fault: Option<&Fault>,
        summary: &mut RequestSummary,
    ) -> Result<Response, Refusal> {
        let in_query = query_value(&self.parts, "appsecret_proof");
        let proof = batch.appsecret_proof.as_deref().or(in_query.as_deref());
        self.shared
            .check_access(&self.parts, &self.version, &self.pixel, token, proof)?;
        if !self.content_type().is_some_and(is_json) {
            return Err(Refusal::bad_request(
                100,
                "(#100) this sandbox reads bodies of the content type application/json only",
            ));
        }
        if let Some(problem) = &batch.problem {
            return Err(Refusal::bad_request(100, format!("(#100) {problem}")));
        }
        let mut accepted = self.check_events(body, batch)?;
        if let Some(Fault::FewerReceived { missing }) = fault {
            accepted.truncate(accepted.len().saturating_sub(*missing));
        }
        summary.accepted = accepted.len();
        summary.duplicates = self.shared.ledger().accept(body.len(), accepted);
        let receipt = json!({ "events_received": summary.accepted, "messages": [], "fbtrace_id": self.shared.next_trace() });
        Ok(axum::Json(receipt).into_response())
    }

    /// Checks every event up to the first bad one.
    fn check_events(&self, body: &Bytes, batch: &Batch) -> Result<Vec<Accepted>, Refusal> {
        let options = &self.shared.options;
        let terms = Terms {
            now_secs: self.shared.now_ms().div_euclid(1000),
            require_website_fields: options.require_website_fields,
            require_currency_with_value: options.require_currency_with_value,
        };
        let refused = self.shared.faults().refused_events();
        let mut accepted = Vec::with_capacity(batch.events.len());
        for (index, raw) in batch.events.iter().enumerate() {
            let event =
                parse_event(raw.get()).map_err(|violation| Refusal::event(index, &violation))?;
            event::check(&event, terms).map_err(|violation| Refusal::event(index, &violation))?;
            let id = event.get("event_id").and_then(Json::text);
            if let Some(refusal) = refused.iter().find_map(|fault| refusal_for(fault, id)) {
                return Err(Refusal {
                    blamed_index: Some(index),
                    ..refusal
                });
            }
            let name = event.get("event_name").and_then(Json::text);
            let identity = id.map(|id| self.shared.identity_hasher.hash_one((name, id)));
            accepted.push(Accepted {
                raw: body.slice_ref(raw.get().as_bytes()),
                identity,
            });
        }
        Ok(accepted)
    }

    fn content_type(&self) -> Option<&str> {
        self.parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
    }
}

fn any_answer(answer: &AnyAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::NO_CONTENT);
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = status;
    *response.headers_mut() = header_map(&answer.headers);
    response
}

/// Headers whose names and values have been checked.
fn header_map(headers: &BTreeMap<String, String>) -> HeaderMap {
    let header = |(name, value): (&String, &String)| {
        Some((
            name.parse::<HeaderName>().ok()?,
            HeaderValue::from_str(value).ok()?,
        ))
    };
    headers.iter().filter_map(header).collect()
}

/// Whether an event has this id.
fn has_id(raw: &str, id: &str) -> bool {
    raw.contains(id)
        && serde_json::from_str::<Json<'_>>(raw)
            .is_ok_and(|event| event.get("event_id").and_then(Json::text) == Some(id))
}

fn parse_event(raw: &str) -> Result<Json<'_>, Violation> {
    if raw.len() > MAX_EVENT_BYTES {
        return Err(Violation::new(
            Subcode::Parameter,
            "",
            "The event is too large",
        ));
    }
    serde_json::from_str(raw)
        .map_err(|_| Violation::new(Subcode::Parameter, "", "The event cannot be read"))
}

fn refusal_for(fault: &Fault, id: Option<&str>) -> Option<Refusal> {
    match fault {
        Fault::RefuseEventId {
            event_id,
            code,
            subcode,
        } if id == Some(event_id) => Some(Refusal {
            subcode: *subcode,
            ..Refusal::bad_request(*code, "Invalid parameter")
        }),
        _ => None,
    }
}

fn is_json(content_type: &str) -> bool {
    content_type
        .split(';')
        .next()
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
