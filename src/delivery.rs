//! A batch of records in, one outcome per record out, in the same order; sends with one HTTP client.
//!
//! Meta refuses a whole request for one bad event, so a refused batch is taken apart: by the position the answer names,
//! else by halves. One bad event among n costs at most 2·log₂(n) + 1 extra requests, k of them at most k times that, and
//! never more than [`MAX_REQUESTS`] in all; what is left then is retried without the events already decided.
//!
//! A count below what was sent does not say which events are missing, so that batch is taken apart as well, and some
//! events arrive twice under one id; an event sent alone and counted as none is rejected. Where the count is missing or
//! too high, sending parts would teach nothing: the events are retried, at the longest until they expire.
//!
//! Invariant: every record gets exactly one outcome; none is rejected unless it expired, or Meta named it, or did not
//! take it when it stood alone; and an error never shows a URL or a token.

use crate::request::Target;
use crate::response::{self, Answer, Code};
use crate::token::AccessToken;
use bytes::Bytes;
use pipeline_core::{Clock, HealthcheckError, Outcome, Record};
use reqwest::header::{self, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, redirect};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of an answer that are read; Meta's are far smaller.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Requests made for one batch, the first included, so that a batch of nothing but bad events does not become a flood.
/// At 1000 events it is enough for twelve bad ones wherever they stand; each attempt decides at least so many, and the
/// host's next attempt takes up what is left.
const MAX_REQUESTS: usize = 256;

/// Sends batches to one pixel.
#[derive(Debug)]
pub(crate) struct Delivery {
    target: Target,
    token: AccessToken,
    client: Client,
    clock: Arc<dyn Clock>,
    spare: SpareBodies,
}

/// The memory of bodies that have been sent, for the next ones. Memory of that size goes back to the system when it is
/// freed, and every page of it is cleared when it is asked for again.
#[derive(Debug, Default)]
struct SpareBodies(Mutex<Vec<Vec<u8>>>);

impl SpareBodies {
    /// Bodies that are kept: as many as are on their way at a time, usually.
    const MAX: usize = 4;
    /// Bytes of each. Larger ones are rare.
    const MAX_BYTES: usize = 4 * 1024 * 1024;

    /// An empty body.
    fn take(&self) -> Vec<u8> {
        self.bodies().pop().unwrap_or_default()
    }

    /// Keeps the memory of a body, unless somebody else still has the body.
    fn keep(&self, body: Bytes) {
        let Ok(mut body) = body.try_into_mut() else {
            return;
        };
        body.clear();
        let body = Vec::from(body);
        let mut bodies = self.bodies();
        if bodies.len() < Self::MAX && body.capacity() <= Self::MAX_BYTES {
            bodies.push(body);
        }
    }

    /// Nothing panics while it holds the lock, so that what another has left is good.
    fn bodies(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// The token cannot stand in a header.
    #[error("`access_token` holds characters that cannot be sent; expected letters and digits")]
    Token,
    /// The machine's TLS set-up failed.
    #[error("the HTTP client could not be set up; expected a working TLS certificate store")]
    Client,
}

impl Delivery {
    pub(crate) fn new(
        target: Target,
        token: AccessToken,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DeliveryError> {
        let client = Client::builder()
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ))
            .timeout(target.timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|_| DeliveryError::Client)?;
        Ok(Self {
            target,
            token,
            client,
            clock,
            spare: SpareBodies::default(),
        })
    }

    pub(crate) async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        let now = self.clock.now_ms().div_euclid(1000);
        let mut outcomes: Vec<Option<Outcome>> = vec![None; batch.len()];
        let mut live = Vec::with_capacity(batch.len());
        for (position, record) in batch.iter().enumerate() {
            if record.expires_at <= now {
                let reason = Code::Expired.reason();
                outcomes[position] = Some(Outcome::Rejected { reason });
            } else {
                live.push(position);
            }
        }
        let rest = self.take_apart(batch, live, &mut outcomes).await;
        let decided = outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| rest.clone()));
        decided.collect()
    }

    /// Sends until all is decided, or nothing more can be now; gives the outcome of what is left undecided.
    async fn take_apart(
        &self,
        batch: &[Record],
        live: Vec<usize>,
        outcomes: &mut [Option<Outcome>],
    ) -> Outcome {
        let bearer = self.token.header();
        let mut parts = Parts::default();
        parts.push(live, false);
        for _ in 0..MAX_REQUESTS {
            let Some(mut part) = parts.0.pop() else { break };
            let (index, reason, refused) = match self.send(&bearer, batch, &part.positions).await {
                Answer::Received(Some(count)) if count == part.positions.len() as u64 => {
                    for position in part.positions {
                        outcomes[position] = Some(Outcome::Delivered);
                    }
                    if part.left_of_refused
                        && let Some(right) = parts.0.pop()
                    {
                        parts.halve(right.positions, true);
                    }
                    continue;
                }
                Answer::Received(Some(count)) if count < part.positions.len() as u64 => {
                    (None, Code::NotConfirmed.reason(), false)
                }
                Answer::Received(_) => {
                    return retry(Code::NotConfirmed);
                }
                Answer::Invalid { index, reason } => (index, reason, true),
                Answer::Retry { after, reason } => {
                    return Outcome::Retry { after, reason };
                }
                Answer::Blocked(reason) => {
                    let reason = self.token.explain(reason);
                    return Outcome::Blocked { reason };
                }
            };
            let bad = if part.positions.len() == 1 {
                Some(0)
            } else {
                index.filter(|index| *index < part.positions.len())
            };
            if let Some(bad) = bad {
                outcomes[part.positions.remove(bad)] = Some(Outcome::Rejected { reason });
                parts.push(part.positions, false);
            } else {
                parts.halve(part.positions, refused);
            }
        }
        retry(Code::ManyRefused)
    }

    async fn send(&self, bearer: &HeaderValue, batch: &[Record], part: &[usize]) -> Answer {
        let records = part.iter().map(|&position| &batch[position]);
        let mut body = self.spare.take();
        self.target.write_body(records, &mut body);
        let body = Bytes::from(body);
        let request = self.client.post(self.target.events_url());
        let answer = exchange(
            request
                .header(header::AUTHORIZATION, bearer)
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone()),
        )
        .await;
        self.spare.keep(body);
        answer
    }

    pub(crate) async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        let request = self.client.get(self.target.healthcheck_url());
        // Asked now and then only, and a new token is what a blocked sink waits for.
        let bearer = self.token.header_read_anew();
        match exchange(request.header(header::AUTHORIZATION, bearer)).await {
            Answer::Received(_) => Ok(()),
            Answer::Blocked(reason) => Err(HealthcheckError::Blocked(self.token.explain(reason))),
            Answer::Retry { reason, .. } | Answer::Invalid { reason, .. } => {
                Err(HealthcheckError::Unavailable(reason))
            }
        }
    }
}

/// What is still to be sent, as positions in the batch; the next part is the last.
#[derive(Default)]
struct Parts(Vec<Part>);

struct Part {
    positions: Vec<usize>,
    /// Whether the next part is the right half of what Meta refused, this one being its left half. If this one is
    /// delivered whole, the bad event is over there, and sending that whole would be a request for nothing.
    left_of_refused: bool,
}

impl Parts {
    fn push(&mut self, positions: Vec<usize>, left_of_refused: bool) {
        if !positions.is_empty() {
            self.0.push(Part {
                positions,
                left_of_refused,
            });
        }
    }

    /// Puts both halves up for sending; an event that is alone already is sent alone, so that Meta's word about it counts.
    fn halve(&mut self, mut left: Vec<usize>, refused: bool) {
        let right = left.split_off(left.len() / 2);
        self.push(right, false);
        self.push(left, refused);
    }
}

fn retry(code: Code) -> Outcome {
    Outcome::Retry {
        after: None,
        reason: code.reason(),
    }
}

async fn exchange(request: RequestBuilder) -> Answer {
    let read = async {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(response::read(status, &headers, &bounded(response).await?))
    };
    read.await.unwrap_or_else(|error: reqwest::Error| {
        let code = if error.is_timeout() {
            Code::Timeout
        } else {
            Code::ConnectionFailed
        };
        Answer::Retry {
            after: None,
            reason: code.reason(),
        }
    })
}

/// The first [`MAX_ANSWER_BYTES`] of the body; a longer one is cut, and then is not JSON.
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

#[cfg(test)]
mod tests;
