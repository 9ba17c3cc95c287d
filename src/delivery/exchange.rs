//! One HTTP request and the reading of its answer.

use super::failure;
use super::signals::Signals;
use crate::response::{self, Answer};
use pipeline_core::{Clock, Exchange};
use reqwest::{RequestBuilder, Response};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Bytes of an answer that are read; Meta's answers are far smaller.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The status with which a proxy asks for a user name and a password.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// Sends a request and reads the answer; never an error text of the HTTP library, which can show a URL. What was said is noted in
/// `noted`, for somebody who watches.
pub(super) async fn exchange(
    request: RequestBuilder,
    clock: &dyn Clock,
    signals: &Mutex<Signals>,
    mut noted: Option<&mut Exchange>,
) -> Answer {
    let start = noted.is_some().then(Instant::now);
    let read = async {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if let Some(exchange) = noted.as_deref_mut() {
            exchange.status = Some(status);
        }
        if status == PROXY_AUTHENTICATION_REQUIRED {
            return Ok(Answer::Retry {
                after: None,
                reason: failure::refused_by_proxy(),
            });
        }
        let body = bounded(response).await?;
        if let Some(exchange) = noted.as_deref_mut() {
            response::tell(status, &headers, &body, exchange);
        }
        let now_ms = clock.now_ms();
        let answer = response::read(status, &headers, &body, now_ms.div_euclid(1000));
        let mut signals = signals.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(answer, Answer::Received(_)) {
            signals.note_accepted(&headers, now_ms);
        } else {
            signals.note_version(&headers);
        }
        Ok(answer)
    };
    let read = read.await;
    if let (Some(exchange), Some(start)) = (noted, start) {
        exchange.millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    }
    read.unwrap_or_else(|error: reqwest::Error| {
        let (after, reason) = (None, failure::reason(&error));
        if failure::was_sent(&error) {
            Answer::Failed { after, reason }
        } else {
            Answer::Retry { after, reason }
        }
    })
}

/// The first [`MAX_ANSWER_BYTES`] of the body. A longer body is cut off there, and no longer JSON.
async fn bounded(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = MAX_ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(body)
}
