//! The paths of the feed: `GET /api/v1/events`, `GET /api/v1/events/{seq}`, and the stream.
//!
//! A stream looks at the rings every [`TICK`] and sends one message, so a client that reads slowly costs no memory: what it
//! misses has left the rings meanwhile, and is counted.

use crate::answer::{Refusal, bad_request, refuse};
use crate::feed::{Feed, Filter, Found, Watcher};
use crate::row::{Row, Status};
use crate::shared::Shared;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use pipeline_host::telemetry::SinkSnapshot;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often a stream sends a message.
const TICK: Duration = Duration::from_millis(250);
/// Rows of one message.
const MAX_ROWS_A_TICK: usize = 25;
/// Rows of the first message of a stream that was interrupted.
const MAX_ROWS_RESUMED: usize = 500;
/// The most rows that a list has.
const MAX_LIMIT: usize = 500;
/// Rows of a list that does not say how many.
const USUAL_LIMIT: usize = 100;

/// What a client asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Asked {
    sink: Option<String>,
    status: Option<String>,
    reason: Option<String>,
    name: Option<String>,
    id: Option<String>,
    /// Words to look for in names and the id.
    q: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

type AskedOr = Result<Query<Asked>, QueryRejection>;

impl Asked {
    fn filter(&self) -> Result<Filter, &'static str> {
        let status = self.status.as_deref().map(|word| {
            let known = Status::ALL.into_iter().find(|status| status.word() == word);
            known.ok_or("`status` must be delivered, filtered, rejected, retrying or held")
        });
        Ok(Filter {
            sink: self.sink.clone(),
            status: status.transpose()?,
            reason: self.reason.clone(),
            name: self.name.clone(),
            id: self.id.clone(),
            part: self.q.as_ref().map(|q| q.to_lowercase()),
        })
    }
}

fn read(shared: &Shared, asked: AskedOr) -> Result<(Asked, Filter), Refusal> {
    let Ok(Query(asked)) = asked else {
        let message = "the query takes sink, status, reason, name, id, q, before and limit";
        return Err(bad_request(message));
    };
    let filter = asked.filter().map_err(bad_request)?;
    let limit = asked.limit.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(bad_request("`limit` must be 1 to 500"));
    }
    shared.check_sink(asked.sink.as_deref())?;
    Ok((asked, filter))
}

/// The newest rows, the newest first.
pub(crate) async fn list(State(shared): State<Arc<Shared>>, asked: AskedOr) -> Response {
    let (asked, filter) = match read(&shared, asked) {
        Ok(read) => read,
        Err(refusal) => return refusal.into_response(),
    };
    let limit = asked.limit.unwrap_or(USUAL_LIMIT);
    let (rows, has_more) = shared.feed.newest(&filter, asked.before, limit);
    let next = rows.last().filter(|_| has_more).map(|row| row.seq);
    Json(json!({
        "events": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        "next": next,
        "sampled": sampled(&shared),
    }))
    .into_response()
}

/// Of how many delivered and filtered events one row is kept.
fn sampled(shared: &Shared) -> Value {
    let status = shared.status().unwrap_or_default();
    let sum = |of: fn(&SinkSnapshot) -> u64| status.sinks.iter().map(|it| of(&it.counts)).sum();
    let one_in =
        |status: Status, events: u64| events.div_ceil(shared.feed.kept(status).max(1)).max(1);
    json!({
        "delivered": one_in(Status::Delivered, sum(|it| it.delivered)),
        "filtered": one_in(Status::Filtered, sum(SinkSnapshot::filtered_total)),
    })
}

/// One row, with everything that is known.
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    seq: Result<Path<String>, PathRejection>,
) -> Response {
    let seq = seq.ok().and_then(|Path(seq)| seq.parse().ok());
    let found = seq.map_or(Found::Unknown, |seq| shared.feed.find(seq));
    match found {
        Found::Row(row) => {
            let related = shared.feed.related(&row);
            Json(row.to_full_json(&related, shared.shows_as_sent)).into_response()
        }
        Found::Gone => {
            let message = "the event has been there and made room for newer ones";
            refuse(StatusCode::GONE, "gone", message)
        }
        Found::Unknown => {
            let message = "there is no event of this number";
            refuse(StatusCode::NOT_FOUND, "not_found", message)
        }
    }
}

/// A stream that is open.
struct Open {
    shared: Arc<Shared>,
    filter: Filter,
    /// The number of the last row that was looked at.
    seen: u64,
    most: usize,
    ticks: Interval,
    _slot: OwnedSemaphorePermit,
    _watcher: Watcher,
}

/// Rows as they come.
pub(crate) async fn follow(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    asked: AskedOr,
) -> Response {
    let (_, filter) = match read(&shared, asked) {
        Ok(read) => read,
        Err(refusal) => return refusal.into_response(),
    };
    let Ok(slot) = Arc::clone(&shared.streams).try_acquire_owned() else {
        let message = "too many streams are open at the same time";
        return refuse(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", message);
    };
    let last_seen = headers.get("last-event-id");
    let last_seen = last_seen.and_then(|id| id.to_str().ok()?.parse().ok());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let open = Open {
        seen: last_seen.unwrap_or_else(|| shared.feed.last()),
        most: if last_seen.is_some() {
            MAX_ROWS_RESUMED
        } else {
            MAX_ROWS_A_TICK
        },
        _watcher: shared.feed.watch(),
        shared,
        filter,
        ticks,
        _slot: slot,
    };
    Sse::new(stream::unfold(open, |mut open| async {
        open.ticks.tick().await;
        let (seen, message) = tick(&open.shared, open.seen, &open.filter, open.most);
        (open.seen, open.most) = (seen, MAX_ROWS_A_TICK);
        let event = Event::default().event("tick").id(seen.to_string());
        let event = event.data(message.to_string());
        Some((Ok::<_, Infallible>(event), open))
    }))
    .into_response()
}

/// One message, and the number of the last row that it takes account of.
fn tick(shared: &Shared, seen: u64, filter: &Filter, most: usize) -> (u64, Value) {
    let feed: &Feed = &shared.feed;
    let (rows, last, lagged) = feed.after(seen, filter);
    let not_shown = rows.len().saturating_sub(most);
    let message = json!({
        "events": rows[not_shown..].iter().map(Row::to_json).collect::<Vec<_>>(),
        "counts": counts(shared),
        "not_shown": not_shown,
        "lagged": lagged,
    });
    (last, message)
}

/// Every counter: `{sink: {fate: n}}`.
fn counts(shared: &Shared) -> Value {
    let status = shared.status().unwrap_or_default();
    let sinks = status.sinks.iter().map(|sink| {
        let counts = &sink.counts;
        let fates = json!({
            "delivered": counts.delivered,
            "filtered": counts.filtered_total(),
            "rejected": counts.rejected_total(),
            "retried": counts.retried,
            "dropped": counts.dropped,
            "held": counts.held,
        });
        (counts.name.clone(), fates)
    });
    Value::Object(sinks.collect::<Map<_, _>>())
}
