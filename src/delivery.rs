//! Takes a batch of records and returns one outcome per record, in the same order; sends with one HTTP client.
//!
//! Meta refuses a whole request for one bad event, so a refused batch is split: at the position that the answer names, else
//! in halves. One bad event among n costs at most 2·log₂(n) + 1 extra requests, k bad events at most k times that, and a batch
//! never more than [`MAX_REQUESTS`]; undecided events are then retried without the decided ones.
//!
//! Some refusals do not say whether an event is to blame, by a place in the request or a subcode of its own. Such a refusal
//! rejects an event only if Meta answered otherwise to another part of the batch, by accepting an event, for example. If
//! nothing passes, `blame` decides whether the configuration is at fault, with few requests and without rejecting events.
//!
//! A count below what was sent does not say which events are missing, so that batch is split as well, and some events arrive
//! twice under one id; an event that was sent alone and not counted is rejected. If the count is missing or too high,
//! splitting would not help: the events are retried, until they expire if need be.
//!
//! Invariant: every record gets exactly one outcome; a record is rejected only if it expired, or Meta named it, or Meta
//! refused it alone; and an error never shows a URL or a token.

mod attempt;
mod blame;
mod exchange;
mod failure;
mod parts;
mod spare_bodies;

use crate::request::Target;
use crate::response::{Answer, Code};
use crate::token::AccessToken;
use crate::way::{Way, WayProblem};
use attempt::{Attempt, retry};
use blame::Memory;
use bytes::Bytes;
use exchange::exchange;
use pipeline_core::{Clock, HealthcheckError, Outcome, Reason, Record};
use reqwest::Client;
use reqwest::header::{self, HeaderValue};
use spare_bodies::SpareBodies;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// Requests made for one batch, including the first, so that a batch of bad events does not become a flood of requests.
/// With 1000 events it is enough for twelve bad ones in any position; each attempt decides at least that many events, and the
/// host's next attempt sends the rest.
const MAX_REQUESTS: usize = 256;

/// Health checks in a row that the token is not allowed to make, after which one event is sent as a trial.
const CHECKS_PER_TRIAL: u32 = 3;

/// Sends batches to one pixel.
pub(crate) struct Delivery {
    target: Target,
    token: AccessToken,
    client: Client,
    clock: Arc<dyn Clock>,
    spare: SpareBodies,
    memory: Mutex<Memory>,
    /// Health checks in a row that the token was not allowed to make.
    forbidden: AtomicU32,
    /// Whether delivery is tried without a health check that passed: then the first event of a batch is sent alone.
    is_on_trial: AtomicBool,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// The token cannot be a header's value.
    #[error("`access_token` holds characters that cannot be sent; expected letters and digits")]
    Token,
    /// There is no way to the destination.
    #[error(transparent)]
    Way(#[from] WayProblem),
}

impl fmt::Debug for Delivery {
    /// Without the client, which may know the address of a proxy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

impl Delivery {
    pub(crate) fn new(
        target: Target,
        token: AccessToken,
        way: &Way,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DeliveryError> {
        let client = way.client(&target.endpoint, target.timeout)?;
        Ok(Self {
            target,
            token,
            client,
            clock,
            spare: SpareBodies::default(),
            memory: Mutex::default(),
            forbidden: AtomicU32::new(0),
            is_on_trial: AtomicBool::new(false),
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
        if self.is_on_trial.load(Ordering::Relaxed) && live.len() > 1 {
            let rest = live.split_off(1);
            attempt.parts.push(rest, false);
        }
        attempt.parts.push(live, false);
        let ended = self.send_parts(batch, &mut attempt).await;
        if !matches!(ended, Some(Outcome::Blocked { .. })) {
            self.is_on_trial.store(false, Ordering::Relaxed);
        }
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

    /// Sends until every event is decided, or something ends the attempt: then returns the outcome of the undecided events.
    async fn send_parts(&self, batch: &[Record], attempt: &mut Attempt<'_>) -> Option<Outcome> {
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
            &*self.clock,
        )
        .await;
        self.spare.keep(body);
        answer
    }

    pub(crate) async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        let request = self.client.get(self.target.healthcheck_url());
        // A blocked sink waits for a new token, and this is called rarely enough to read the file each time.
        let bearer = self.token.header_from_file();
        match exchange(request.header(header::AUTHORIZATION, bearer), &*self.clock).await {
            Answer::Received(_) => {
                self.forbidden.store(0, Ordering::Relaxed);
                Ok(())
            }
            Answer::Blocked(reason) if self.may_try(&reason) => Ok(()),
            Answer::Blocked(reason) => Err(HealthcheckError::Blocked(self.token.explain(reason))),
            // No event was sent, so the configuration is to blame.
            Answer::Refused(refusal) => Err(HealthcheckError::Blocked(
                self.token.explain(refusal.because(Code::AllRefused)),
            )),
            Answer::Retry { reason, .. } | Answer::Invalid { reason, .. } => {
                Err(HealthcheckError::Unavailable(reason))
            }
        }
    }

    /// Whether delivery is to be tried although the health check was refused: some tokens may send events, but not read the
    /// pixel, and a sink with such a token must not stay blocked for ever.
    fn may_try(&self, refused: &Reason) -> bool {
        let is_forbidden = [Code::PermissionMissing, Code::PixelNotFound]
            .iter()
            .any(|code| refused.code == code.as_str());
        if !is_forbidden {
            self.forbidden.store(0, Ordering::Relaxed);
            return false;
        }
        let checks = self
            .forbidden
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1);
        let is_turn = checks.is_multiple_of(CHECKS_PER_TRIAL);
        if is_turn {
            self.is_on_trial.store(true, Ordering::Relaxed);
        }
        is_turn
    }
}

#[cfg(test)]
mod tests;
