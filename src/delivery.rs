//! A batch of records in, one outcome per record out, in the same order; sends with one HTTP client.
//!
//! Meta refuses a whole request for one bad event, so a refused batch is taken apart: by the position the answer names,
//! else by halves. One bad event among n costs at most 2·⌈log₂ n⌉ extra requests, k of them at most k times that, and
//! never more than [`MAX_REQUESTS`] in all; what is left then is retried without the events already decided.
//!
//! Invariant: every record gets exactly one outcome, and an error never shows a URL or a token.

use crate::request::Target;
use crate::response::{self, Answer};
use pipeline_core::{Clock, HealthcheckError, Outcome, Reason, Record};
use reqwest::{Client, RequestBuilder, Response, header, redirect};
use std::sync::Arc;

/// Bytes of an answer that are read; Meta's are far smaller.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Requests made for one batch, the first included.
const MAX_REQUESTS: usize = 256;

/// Sends batches to one pixel.
#[derive(Debug)]
pub(crate) struct Delivery {
    target: Target,
    client: Client,
    clock: Arc<dyn Clock>,
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
    pub(crate) fn new(target: Target, clock: Arc<dyn Clock>) -> Result<Self, DeliveryError> {
        let headers = target.headers().map_err(|_| DeliveryError::Token)?;
        let client = Client::builder()
            .default_headers(headers)
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
            client,
            clock,
        })
    }

    pub(crate) async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        let now = self.clock.now_ms().div_euclid(1000);
        let mut outcomes: Vec<Option<Outcome>> = vec![None; batch.len()];
        let mut live = Vec::with_capacity(batch.len());
        for (position, record) in batch.iter().enumerate() {
            if record.expires_at <= now {
                let reason = Reason::new(
                    "expired",
                    "the event became too old for Meta while it waited",
                );
                outcomes[position] = Some(Outcome::Rejected { reason });
            } else {
                live.push(position);
            }
        }
        let (unsent, rest) = self.take_apart(batch, live, &mut outcomes).await;
        for position in unsent {
            outcomes[position] = Some(rest.clone());
        }
        let decided = outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| rest.clone()));
        decided.collect()
    }

    /// Sends until all is decided, or until one outcome is due to everything that is left.
    async fn take_apart(
        &self,
        batch: &[Record],
        live: Vec<usize>,
        outcomes: &mut [Option<Outcome>],
    ) -> (Vec<usize>, Outcome) {
        let mut parts = vec![live];
        for _ in 0..MAX_REQUESTS {
            let Some(mut part) = parts.pop() else { break };
            if part.is_empty() {
                continue;
            }
            let (index, reason) = match self.send(batch, &part).await {
                Answer::Received(Some(count)) if count == part.len() as u64 => {
                    for &p in &part {
                        outcomes[p] = Some(Outcome::Delivered);
                    }
                    continue;
                }
                Answer::Received(count) => {
                    let reason = Reason::new(
                        "not_confirmed",
                        "Meta did not confirm that it received the event",
                    );
                    if part.len() == 1 && count != Some(0) {
                        outcomes[part[0]] = Some(Outcome::Retry {
                            after: None,
                            reason,
                        });
                        continue;
                    }
                    (None, reason)
                }
                Answer::Invalid { index, reason } => (index, reason),
                Answer::Retry { after, reason } => {
                    parts.push(part);
                    return (parts.concat(), Outcome::Retry { after, reason });
                }
                Answer::Blocked(reason) => {
                    parts.push(part);
                    return (parts.concat(), Outcome::Blocked { reason });
                }
            };
            let bad = if part.len() == 1 {
                Some(0)
            } else {
                index.filter(|i| *i < part.len())
            };
            if let Some(bad) = bad {
                outcomes[part.remove(bad)] = Some(Outcome::Rejected { reason });
                parts.push(part);
            } else {
                let right = part.split_off(part.len() / 2);
                parts.extend([right, part]);
            }
        }
        let reason = Reason::new(
            "many_refused",
            "Meta refused many events of the batch; the rest is sent again",
        );
        (
            parts.concat(),
            Outcome::Retry {
                after: None,
                reason,
            },
        )
    }

    async fn send(&self, batch: &[Record], part: &[usize]) -> Answer {
        let body = self
            .target
            .body(part.iter().map(|&position| &batch[position]));
        let request = self.client.post(self.target.events_url());
        exchange(
            request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body),
        )
        .await
    }

    pub(crate) async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        match exchange(self.client.get(self.target.healthcheck_url())).await {
            Answer::Received(_) => Ok(()),
            Answer::Blocked(reason) => Err(HealthcheckError::Blocked(reason)),
            Answer::Retry { reason, .. } | Answer::Invalid { reason, .. } => {
                Err(HealthcheckError::Unavailable(reason))
            }
        }
    }
}

async fn exchange(request: RequestBuilder) -> Answer {
    let read = async {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(response::read(status, &headers, &bounded(response).await?))
    };
    read.await.unwrap_or_else(|error: reqwest::Error| {
        let (code, detail) = if error.is_timeout() {
            ("timeout", "Meta did not answer in time")
        } else {
            ("connection_failed", "the connection to Meta failed")
        };
        Answer::Retry {
            after: None,
            reason: Reason::new(code, detail),
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
