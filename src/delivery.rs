//! Takes a batch of records and returns one outcome per record, in the same order; sends with one HTTP client.
//!
//! Meta refuses a whole request for one bad event, so a refused batch is split: the event that the answer names is sent alone,
//! else the batch is halved. One bad event among n costs at most 2·log₂(n) + 1 extra requests, k bad events at most k times that,
//! and a batch never more than [`MAX_REQUESTS`]; undecided events are then retried without the decided ones.
//!
//! A refusal by something on the way to Meta is narrowed down alike, with a few requests more for each bad event, see
//! `on_the_way`. A request that is too large is halved at once, and later ones keep to what passes, see `size`. A request that
//! fails without a refusal ends the attempt: whether one of its events is the cause, the host finds out ([`Outcome::Failed`]).
//!
//! Some refusals do not say whether an event is to blame, by a place in the request or a subcode of its own. Such a refusal
//! rejects an event only if Meta answered otherwise to another part of the batch, by accepting an event, for example. If
//! nothing passes, `blame` decides whether the configuration is at fault, with few requests and without rejecting events.
//!
//! A count below what was sent does not say which events are missing, so that batch is split as well, and some events arrive
//! twice under one id; an event that was sent alone and not counted is rejected. If the count is missing or too high,
//! splitting would not help: the events are retried, until they expire if need be.
//!
//! Invariant: every record gets exactly one outcome; a record is rejected only if it expired, or was refused alone; and an error never shows a URL or a token.

mod attempt;
mod blame;
mod exchange;
mod failure;
mod noted;
mod on_the_way;
mod parts;
mod signals;
mod size;
mod spare_bodies;

use crate::request::Target;
use crate::response::{Answer, Code};
use crate::token::{AccessToken, Credentials};
use crate::way::{Way, WayProblem};
use attempt::{Attempt, retry};
use blame::Memory;
use bytes::Bytes;
use exchange::exchange;
use noted::Noted;
use parts::{Part, Role};
use pipeline_core::{Clock, DeliveryReport, HealthcheckError, Outcome, Reason, Record};
use reqwest::Client;
use reqwest::header;
use signals::Signals;
use size::Sizes;
use spare_bodies::SpareBodies;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    sizes: Mutex<Sizes>,
    signals: Mutex<Signals>,
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
            sizes: Mutex::default(),
            signals: Mutex::default(),
            forbidden: AtomicU32::new(0),
            is_on_trial: AtomicBool::new(false),
        })
    }

    pub(crate) async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        self.deliver_noting(batch, &mut Noted::nothing()).await
    }

    /// As [`deliver`](Self::deliver), with the last exchange of each record.
    pub(crate) async fn deliver_observed(&self, batch: &[Record]) -> DeliveryReport {
        let mut noted = Noted::of(batch.len());
        let outcomes = self.deliver_noting(batch, &mut noted).await;
        DeliveryReport::new(outcomes).with_exchanges(noted.into_exchanges())
    }

    async fn deliver_noting(&self, batch: &[Record], noted: &mut Noted) -> Vec<Outcome> {
        let now_ms = self.clock.now_ms();
        let now = now_ms.div_euclid(1000);
        let mut attempt = Attempt::new(&self.memory, batch.len(), now_ms);
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
            self.push(rest, batch, &mut attempt);
        }
        self.push(live, batch, &mut attempt);
        let ended = match self.slow_down() {
            Some(slow) => Some(slow),
            None => self.send_parts(batch, &mut attempt, noted).await,
        };
        if !matches!(ended, Some(Outcome::Blocked { .. })) {
            self.is_on_trial.store(false, Ordering::Relaxed);
        }
        let judged = attempt.judge(batch, ended.is_none(), now_ms);
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

    /// Adds events to those that are to be sent, in requests that are not larger than what passes.
    fn push(&self, positions: Vec<usize>, batch: &[Record], attempt: &mut Attempt<'_>) {
        let Some(limit) = self.sizes().limit(self.clock.now_ms()) else {
            return attempt.parts.push(positions, Role::Plain);
        };
        let groups = size::cut(positions, limit, |position| batch[position].payload.len());
        for group in groups.into_iter().rev() {
            attempt.parts.push(group, Role::Plain);
        }
    }

    /// Sends until every event is decided, or something ends the attempt: then returns the outcome of the undecided events.
    async fn send_parts(
        &self,
        batch: &[Record],
        attempt: &mut Attempt<'_>,
        noted: &mut Noted,
    ) -> Option<Outcome> {
        let credentials = self.token.credentials();
        let mut requests = 0;
        while requests < MAX_REQUESTS {
            let Some(part) = attempt.next() else {
                if !attempt.on_the_way.wants_check() || !self.gets_through(&credentials).await {
                    return None;
                }
                requests += 1;
                attempt.pass();
                continue;
            };
            let bytes = part_bytes(&part, batch);
            let is_single = part.positions.len() == 1;
            if !is_single && self.sizes().is_too_large(bytes) {
                attempt.parts.halve(part.positions, Role::Plain);
                continue;
            }
            requests += 1;
            let answer = self.send(&credentials, batch, &part.positions, noted).await;
            self.note_size(bytes, is_single, &answer);
            if let ControlFlow::Break(outcome) = attempt.learn(part, answer) {
                return Some(outcome);
            }
        }
        Some(retry(Code::ManyRefused.reason()))
    }

    /// No code panics while it holds the lock, so that a poisoned lock still guards good signals.
    fn signals(&self) -> MutexGuard<'_, Signals> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outcome of a batch that is not sent, because Meta would soon refuse it.
    fn slow_down(&self) -> Option<Outcome> {
        let after = Some(self.signals().pause(self.clock.now_ms())?);
        let reason = Code::UsageHigh.reason();
        Some(Outcome::Retry { after, reason })
    }

    /// What a person is to be told, of what Meta's headers say.
    pub(crate) fn take_notices(&self) -> Vec<Reason> {
        let warning = self.signals().take_warning(self.clock.now_ms());
        warning.into_iter().collect()
    }

    /// What Meta's headers have warned of so far.
    pub(crate) fn warning(&self) -> Option<String> {
        let signals = self.signals();
        signals.warning().map(|warning| warning.detail.to_string())
    }

    fn note_size(&self, bytes: usize, is_single: bool, answer: &Answer) {
        match answer {
            Answer::TooLarge(_) if is_single => self.sizes().forget(),
            Answer::TooLarge(_) => self.sizes().refuse(bytes, self.clock.now_ms()),
            Answer::Received(_) => self.sizes().accept(bytes),
            _ => {}
        }
    }

    /// Whether a request without events gets through to Meta, whatever Meta answers.
    async fn gets_through(&self, credentials: &Credentials) -> bool {
        match self.check(credentials).await {
            Answer::Received(_) | Answer::Invalid { .. } | Answer::Blocked(_) => true,
            Answer::Refused(refusal) => !refusal.is_on_the_way(),
            Answer::TooLarge(_) | Answer::Retry { .. } | Answer::Failed { .. } => false,
        }
    }

    /// No code panics while it holds the lock, so that a poisoned lock still guards good sizes.
    fn sizes(&self) -> MutexGuard<'_, Sizes> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the pixel; sends no event.
    async fn check(&self, credentials: &Credentials) -> Answer {
        let url = self.target.healthcheck_url(credentials.proof.as_ref());
        let request = self.client.get(url);
        let request = request.header(header::AUTHORIZATION, &credentials.bearer);
        exchange(request, &*self.clock, &self.signals, None).await
    }

    async fn send(
        &self,
        credentials: &Credentials,
        batch: &[Record],
        part: &[usize],
        noted: &mut Noted,
    ) -> Answer {
        let records = part.iter().map(|&position| &batch[position]);
        let mut body = self.spare.take();
        self.target
            .write_body(records, credentials.proof.as_ref(), &mut body);
        let body = Bytes::from(body);
        let mut told = noted.begin(part.len(), body.len());
        let request = self.client.post(self.target.events_url());
        let answer = exchange(
            request
                .header(header::AUTHORIZATION, &credentials.bearer)
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone()),
            &*self.clock,
            &self.signals,
            told.as_mut(),
        )
        .await;
        noted.end(part, told);
        self.spare.keep(body);
        answer
    }

    pub(crate) async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        // A blocked sink waits for a new token, and this is called rarely enough to read the file each time.
        let credentials = self.token.credentials_from_files();
        let answer = match self.check(&credentials).await {
            Answer::TooLarge(alone) => *alone,
            answer => answer,
        };
        match answer {
            Answer::Received(_) => {
                self.forbidden.store(0, Ordering::Relaxed);
                Ok(())
            }
            Answer::Blocked(reason) if self.may_try(&reason) => Ok(()),
            Answer::Blocked(reason) => Err(HealthcheckError::Blocked(self.token.explain(reason))),
            Answer::Refused(refusal) => {
                // No event was sent, so the configuration or the way is to blame.
                let reason = refusal.of_all();
                if self.may_try(&reason) {
                    return Ok(());
                }
                Err(HealthcheckError::Blocked(self.token.explain(reason)))
            }
            Answer::TooLarge(_)
            | Answer::Retry { .. }
            | Answer::Failed { .. }
            | Answer::Invalid { .. } => Err(HealthcheckError::Unavailable(unavailable(answer))),
        }
    }

    /// Whether delivery is to be tried although the health check was refused: some tokens may send events, but not read the
    /// pixel, some firewalls let nothing but events pass, and such a sink must not stay blocked for ever.
    fn may_try(&self, refused: &Reason) -> bool {
        let is_forbidden = [
            Code::PermissionMissing,
            Code::PixelNotFound,
            Code::WayBlocked,
        ]
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

/// The reason of an answer after which waiting may help.
fn unavailable(answer: Answer) -> Reason {
    match answer {
        Answer::Retry { reason, .. }
        | Answer::Failed { reason, .. }
        | Answer::Invalid { reason, .. }
        | Answer::Blocked(reason) => reason,
        _ => Code::UnreadableAnswer.reason(),
    }
}

fn part_bytes(part: &Part, batch: &[Record]) -> usize {
    let bytes = |&position: &usize| batch[position].payload.len();
    part.positions.iter().map(bytes).sum()
}

#[cfg(test)]
mod tests;
