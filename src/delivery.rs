//! A batch of records in, one outcome per record out, in the same order; sends with one HTTP client.
//!
//! Meta refuses a whole request for one bad event, so a refused batch is taken apart: by the position the answer names,
//! else by halves. One bad event among n costs at most 2·log₂(n) + 1 extra requests, k of them at most k times that, and
//! never more than [`MAX_REQUESTS`] in all; what is left then is retried without the events already decided.
//!
//! A refusal that does not say whether an event is to blame, by a place in the request or a subcode of its own, costs an
//! event only where Meta did something else with the batch as well: took another event, say. Where nothing passes, `blame`
//! decides whether it is the configuration; nothing is rejected for that, and few requests are made to find it out.
//!
//! A count below what was sent does not say which events are missing, so that batch is taken apart as well, and some
//! events arrive twice under one id; an event sent alone and counted as none is rejected. Where the count is missing or
//! too high, sending parts would teach nothing: the events are retried, at the longest until they expire.
//!
//! Invariant: every record gets exactly one outcome; none is rejected unless it expired, or Meta named it, or did not
//! take it when it stood alone; and an error never shows a URL or a token.

use crate::request::Target;
use crate::response::{self, Answer, Code, Refusal};
use crate::token::AccessToken;
use blame::{MAX_LONE_ATTEMPTS, Memory, Suspects};
use bytes::Bytes;
use pipeline_core::{Clock, HealthcheckError, Outcome, Reason, Record};
use reqwest::header::{self, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, redirect};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod blame;

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
    memory: Mutex<Memory>,
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
            memory: Mutex::default(),
        })
    }

    pub(crate) async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        let now = self.clock.now_ms().div_euclid(1000);
        let mut attempt = Attempt::new(&self.memory, batch.len());
        let mut live = Vec::with_capacity(batch.len());
        for (position, record) in batch.iter().enumerate() {
            if record.expires_at <= now {
                attempt.reject(position, Code::Expired.reason());
            } else {
                live.push(position);
            }
        }
        attempt.parts.push(live, false);
        let ended = self.take_apart(batch, &mut attempt).await;
        let judged = attempt.judge(batch);
        let rest = match ended.or(judged) {
            Some(Outcome::Blocked { reason }) => Outcome::Blocked {
                reason: self.token.explain(reason),
            },
            Some(outcome) => outcome,
            None => retry(Code::ManyRefused.reason()),
        };
        let decided = attempt.outcomes.into_iter();
        decided
            .map(|outcome| outcome.unwrap_or_else(|| rest.clone()))
            .collect()
    }

    /// Sends until nothing is left to be sent, or something ends the attempt; gives the outcome of what is undecided in
    /// that case.
    async fn take_apart(&self, batch: &[Record], attempt: &mut Attempt<'_>) -> Option<Outcome> {
        let bearer = self.token.header();
        for _ in 0..MAX_REQUESTS {
            let part = attempt.next()?;
            let answer = self.send(&bearer, batch, &part.positions).await;
            if let ControlFlow::Break(outcome) = attempt.learn(part, answer) {
                return Some(outcome);
            }
        }
        Some(retry(Code::ManyRefused.reason()))
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
            // No event was sent, so none is to blame.
            Answer::Refused(refusal) => Err(HealthcheckError::Blocked(
                self.token.explain(refusal.because(Code::AllRefused)),
            )),
            Answer::Retry { reason, .. } | Answer::Invalid { reason, .. } => {
                Err(HealthcheckError::Unavailable(reason))
            }
        }
    }
}

/// One batch on its way to its outcomes.
struct Attempt<'m> {
    memory: &'m Mutex<Memory>,
    outcomes: Vec<Option<Outcome>>,
    parts: Parts,
    suspects: Suspects,
    /// Which of the events still to be sent are sent alone, once the configuration is suspected; the next is the last.
    samples: Option<Vec<usize>>,
}

impl<'m> Attempt<'m> {
    fn new(memory: &'m Mutex<Memory>, events: usize) -> Self {
        Self {
            memory,
            outcomes: vec![None; events],
            parts: Parts::default(),
            suspects: Suspects::default(),
            samples: None,
        }
    }

    /// Nothing panics while it holds the lock.
    fn memory(&self) -> MutexGuard<'m, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reject(&mut self, position: usize, reason: Reason) {
        self.outcomes[position] = Some(Outcome::Rejected { reason });
    }

    /// What is to be sent next; nothing once the configuration is to blame.
    fn next(&mut self) -> Option<Part> {
        let Some(missing) = self.suspects.missing() else {
            return self.parts.0.pop();
        };
        if self.samples.is_none() {
            let turn = self.memory().turn();
            self.samples = Some(spread(missing, self.parts.merge(), turn));
        }
        let sample = self.samples.as_mut()?.pop()?;
        self.parts.take(sample)
    }

    /// Takes in what Meta said to a part; breaks with an outcome where nothing more can be sent now.
    fn learn(&mut self, part: Part, answer: Answer) -> ControlFlow<Outcome> {
        let sent = part.positions.len() as u64;
        match answer {
            Answer::Received(Some(count)) if count == sent => {
                self.clear();
                self.deliver(part);
            }
            Answer::Received(Some(count)) if count < sent => {
                self.clear();
                self.split(part, None, Code::NotConfirmed.reason(), false);
            }
            Answer::Received(_) => {
                return ControlFlow::Break(retry(Code::NotConfirmed.reason()));
            }
            Answer::Invalid { index, reason } => {
                self.clear();
                self.split(part, index, reason, true);
            }
            Answer::Refused(refusal) => match part.positions[..] {
                [position] => self.suspect(position, refusal),
                _ => self.parts.halve(part.positions, true),
            },
            Answer::Retry { after, reason } => {
                return ControlFlow::Break(Outcome::Retry { after, reason });
            }
            Answer::Blocked(reason) => {
                return ControlFlow::Break(Outcome::Blocked { reason });
            }
        }
        ControlFlow::Continue(())
    }

    fn deliver(&mut self, part: Part) {
        for position in part.positions {
            self.outcomes[position] = Some(Outcome::Delivered);
        }
        if part.left_of_refused
            && let Some(right) = self.parts.0.pop()
        {
            self.parts.halve(right.positions, true);
        }
    }

    /// Rejects the event that is bad, where it is known; else halves the part.
    fn split(&mut self, mut part: Part, index: Option<usize>, reason: Reason, refused: bool) {
        let bad = if part.positions.len() == 1 {
            Some(0)
        } else {
            index.filter(|index| *index < part.positions.len())
        };
        if let Some(bad) = bad {
            self.reject(part.positions.remove(bad), reason);
            self.parts.push(part.positions, false);
        } else {
            self.parts.halve(part.positions, refused);
        }
    }

    /// An event was refused alone, and Meta did not say that the event is to blame.
    fn suspect(&mut self, position: usize, refusal: Refusal) {
        if self.suspects.are_like(&refusal) {
            self.suspects.add(position, refusal);
        } else {
            self.clear();
            self.reject(position, refusal.because(Code::RefusedInvalid));
        }
    }

    /// Meta reads events, so that those refused alone are unfit.
    fn clear(&mut self) {
        self.memory().forget();
        for (position, refusal) in self.suspects.clear() {
            self.reject(position, refusal.because(Code::RefusedInvalid));
        }
    }

    /// What follows for a batch that Meta refused throughout without saying why: suspects that have no attempts left are
    /// rejected, and the outcome of all others is given.
    fn judge(&mut self, batch: &[Record]) -> Option<Outcome> {
        let suspects = std::mem::take(&mut self.suspects).into_refused();
        let (_, first) = suspects.first()?;
        let mut memory = self.memory();
        memory.next_turn();
        let record = |(position, refusal): &(usize, Refusal)| {
            memory.record(refusal.given, &batch[*position].payload)
        };
        let attempts: Vec<u32> = suspects.iter().map(record).collect();
        let (is_proven, is_single) = (memory.is_proven(), memory.is_single());
        drop(memory);
        for ((position, refusal), attempts) in suspects.iter().zip(attempts) {
            if !is_proven && attempts >= MAX_LONE_ATTEMPTS {
                self.reject(*position, refusal.because(Code::RefusedInvalid));
            }
        }
        Some(if is_single {
            retry(first.because(Code::RefusedUnclear))
        } else {
            let reason = first.because(Code::AllRefused);
            Outcome::Blocked { reason }
        })
    }
}

/// `count` of the numbers below `all`, evenly spread and ascending. Each turn gives others, until every number had its
/// turn.
fn spread(count: usize, all: usize, turn: usize) -> Vec<usize> {
    let count = count.min(all);
    let mut numbers: Vec<usize> = (0..count)
        .map(|n| (n * all / count + turn % all) % all)
        .collect();
    numbers.sort_unstable();
    numbers
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

    /// Makes one part of all, in order; gives its length.
    fn merge(&mut self) -> usize {
        let parts = std::mem::take(&mut self.0).into_iter().rev();
        let positions: Vec<usize> = parts.flat_map(|part| part.positions).collect();
        let length = positions.len();
        self.push(positions, false);
        length
    }

    /// Takes one event out of the next part, to be sent alone.
    fn take(&mut self, index: usize) -> Option<Part> {
        let mut part = self.0.pop()?;
        let position = part.positions.remove(index);
        self.push(part.positions, part.left_of_refused);
        Some(Part {
            positions: vec![position],
            left_of_refused: false,
        })
    }
}

fn retry(reason: Reason) -> Outcome {
    Outcome::Retry {
        after: None,
        reason,
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
