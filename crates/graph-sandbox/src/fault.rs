//! Faults on request: what goes wrong, how often, and the queue they wait in. Each events request takes at most one fault
//! from the queue; a revoked token, a refused event id and an obstacle stay until they are lifted.

use axum::http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Faults that can wait at one time, lasting ones included.
pub const MAX_PENDING_FAULTS: usize = 1000;
/// The longest delay, in milliseconds.
pub const MAX_DELAY_MILLIS: u64 = 10 * 60 * 1000;

/// The largest body of an injected answer, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Headers of an injected answer at most.
pub const MAX_ANSWER_HEADERS: usize = 32;

/// An answer of any kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnyAnswer {
    /// The HTTP status, 200 to 599; 0 closes the connection without an answer.
    pub status: u16,
    /// The body as it is. Default: none.
    pub body: String,
    /// Headers by name. Default: none, so that it has no content type.
    pub headers: BTreeMap<String, String>,
    /// How much later it comes, in milliseconds, up to [`MAX_DELAY_MILLIS`]. Default 0.
    pub millis: u64,
}

/// Which requests meet an obstacle: those to which all that is given applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Obstructed {
    /// Those that hold the event of this id. Default: any.
    pub event_id: Option<String>,
    /// Those with a larger body. Default: any.
    pub above_bytes: Option<usize>,
    /// Those with more events. Default: any.
    pub above_events: Option<usize>,
    /// Also the health probes, which hold nothing. Default false.
    pub probes: bool,
}

/// Something that goes wrong. In JSON the name is under `type`, in snake case, next to the parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An error in Graph's shape; nothing is accepted.
    GraphError {
        /// The HTTP status, 400 to 599. Default 500.
        #[serde(default = "server_error")]
        status: u16,
        /// Graph's error code. Default 2, "service temporarily unavailable".
        #[serde(default = "unavailable")]
        code: i64,
        /// Graph's error subcode. Default none.
        #[serde(default)]
        subcode: Option<i64>,
        /// Whether Graph says that trying again may help. Default false.
        #[serde(default)]
        is_transient: bool,
        /// The message. Default: a sentence of Graph's kind.
        #[serde(default)]
        message: Option<String>,
    },
    /// A rate limit, with the usage headers that are given a number; nothing is accepted.
    Throttle {
        /// The HTTP status, 400 to 599. Default 400.
        #[serde(default = "bad_request")]
        status: u16,
        /// Graph's error code. Default 80004, the limit of ads management.
        #[serde(default = "ads_management_limit")]
        code: i64,
        /// Minutes until access is regained, in `X-Business-Use-Case-Usage`.
        #[serde(default)]
        business_use_case_minutes: Option<u64>,
        /// Seconds until the limit resets, in `X-Ad-Account-Usage`.
        #[serde(default)]
        ad_account_reset_seconds: Option<u64>,
    },
    /// Every token is refused, by the events edge and by the probe, until faults are lifted.
    TokenRevoked,
    /// The request is treated as usual, but later.
    Delay {
        /// How long, in milliseconds, up to [`MAX_DELAY_MILLIS`].
        millis: u64,
    },
    /// The connection closes without an answer; nothing is accepted.
    DropBeforeAccept,
    /// The request is treated as usual; then the connection closes without an answer.
    DropAfterAccept,
    /// The request is treated as usual; then the connection closes within the answer's body.
    TruncatedAnswer,
    /// A page instead of JSON, as a proxy sends it; nothing is accepted.
    HtmlAnswer {
        /// The HTTP status, 200 to 599. Default 502.
        #[serde(default = "bad_gateway")]
        status: u16,
    },
    /// A good batch is answered with 200 and a lower count. What is missing is the end of the batch: it is not accepted.
    FewerReceived {
        /// How many events at the end are not received.
        missing: usize,
    },
    /// Every batch that holds this event is refused without saying which one it was, until faults are lifted.
    RefuseEventId {
        /// The id of the event.
        event_id: String,
        /// Graph's error code. Default 100, "invalid parameter".
        #[serde(default = "invalid_parameter")]
        code: i64,
        /// Graph's error subcode. Default none.
        #[serde(default)]
        subcode: Option<i64>,
    },
    /// The request is answered in place of the edge, in any way; nothing is accepted.
    Answer {
        /// The answer.
        answer: AnyAnswer,
    },
    /// The request is treated as usual, and these headers are added to the answer.
    Headers {
        /// Headers by name.
        headers: BTreeMap<String, String>,
    },
    /// Something that answers in place of the edge to certain requests, until faults are lifted: a proxy, a firewall, or an
    /// event that the edge fails on. Nothing is accepted.
    Obstacle {
        /// The answer.
        answer: AnyAnswer,
        /// Which requests meet it. Default: every one to the events edge.
        #[serde(default)]
        when: Obstructed,
    },
}

fn server_error() -> u16 {
    500
}

fn unavailable() -> i64 {
    2
}

fn bad_request() -> u16 {
    400
}

fn ads_management_limit() -> i64 {
    80_004
}

fn bad_gateway() -> u16 {
    502
}

fn invalid_parameter() -> i64 {
    100
}

impl Fault {
    /// The fault's `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::GraphError { .. } => "graph_error",
            Fault::Throttle { .. } => "throttle",
            Fault::TokenRevoked => "token_revoked",
            Fault::Delay { .. } => "delay",
            Fault::DropBeforeAccept => "drop_before_accept",
            Fault::DropAfterAccept => "drop_after_accept",
            Fault::TruncatedAnswer => "truncated_answer",
            Fault::HtmlAnswer { .. } => "html_answer",
            Fault::FewerReceived { .. } => "fewer_received",
            Fault::RefuseEventId { .. } => "refuse_event_id",
            Fault::Answer { .. } => "answer",
            Fault::Headers { .. } => "headers",
            Fault::Obstacle { .. } => "obstacle",
        }
    }

    fn problem(&self) -> Option<&'static str> {
        match self {
            Fault::GraphError { status, .. } | Fault::Throttle { status, .. }
                if !(400..=599).contains(status) =>
            {
                Some("`status` must be 400 to 599")
            }
            Fault::HtmlAnswer { status } if !(200..=599).contains(status) => {
                Some("`status` must be 200 to 599")
            }
            Fault::Delay { millis } if *millis > MAX_DELAY_MILLIS => {
                Some("`millis` must be at most 600000")
            }
            Fault::Answer { answer } | Fault::Obstacle { answer, .. } => answer.problem(),
            Fault::Headers { headers } => header_problem(headers),
            _ => None,
        }
    }

    /// Whether it stays until it is lifted.
    fn is_lasting(&self) -> bool {
        matches!(
            self,
            Fault::TokenRevoked | Fault::RefuseEventId { .. } | Fault::Obstacle { .. }
        )
    }
}

impl AnyAnswer {
    fn problem(&self) -> Option<&'static str> {
        if self.status != 0 && !(200..=599).contains(&self.status) {
            return Some("`status` must be 200 to 599, or 0 for no answer");
        }
        if self.body.len() > MAX_ANSWER_BYTES {
            return Some("`body` must have at most 65536 bytes");
        }
        if self.millis > MAX_DELAY_MILLIS {
            return Some("`millis` must be at most 600000");
        }
        header_problem(&self.headers)
    }
}

fn header_problem(headers: &BTreeMap<String, String>) -> Option<&'static str> {
    let is_good = |(name, value): (&String, &String)| {
        name.parse::<HeaderName>().is_ok() && HeaderValue::from_str(value).is_ok()
    };
    if headers.len() > MAX_ANSWER_HEADERS {
        return Some("there can be at most 32 `headers`");
    }
    (!headers.iter().all(is_good)).then_some("`headers` must have names and values of HTTP")
}

/// A fault and how many requests meet it. Standing faults ignore the number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Injection {
    /// What goes wrong.
    pub fault: Fault,
    /// For how many events requests. Default 1.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

/// Why faults were not injected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InjectError {
    /// The JSON is malformed, or names a fault or parameter that does not exist.
    #[error("cannot read the faults: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A number is out of its range.
    #[error("cannot inject the fault: {0}")]
    OutOfRange(&'static str),
    /// Too many are waiting already.
    #[error(
        "at most {MAX_PENDING_FAULTS} faults can wait; lift some with `DELETE /sandbox/faults`"
    )]
    Full,
}

/// Reads one injection or a list of them.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<Injection>, InjectError> {
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    Ok(if is_list {
        serde_json::from_slice(body)?
    } else {
        vec![serde_json::from_slice(body)?]
    })
}

/// The faults that wait, in the order in which requests meet them.
#[derive(Default)]
pub(crate) struct FaultQueue {
    lasting: Vec<Fault>,
    waiting: VecDeque<Injection>,
}

impl FaultQueue {
    /// Adds all of them, or none and says why.
    pub(crate) fn inject(&mut self, injections: Vec<Injection>) -> Result<(), InjectError> {
        let problem = |injection: &Injection| {
            if injection.times == 0 {
                Some("`times` must be at least 1")
            } else {
                injection.fault.problem()
            }
        };
        if let Some(problem) = injections.iter().find_map(problem) {
            return Err(InjectError::OutOfRange(problem));
        }
        if self.lasting.len() + self.waiting.len() + injections.len() > MAX_PENDING_FAULTS {
            return Err(InjectError::Full);
        }
        for injection in injections {
            if injection.fault.is_lasting() {
                self.lasting.push(injection.fault);
            } else {
                self.waiting.push_back(injection);
            }
        }
        Ok(())
    }

    /// The fault that the next request meets.
    pub(crate) fn take(&mut self) -> Option<Fault> {
        let next = self.waiting.front_mut()?;
        next.times -= 1;
        let fault = next.fault.clone();
        if next.times == 0 {
            self.waiting.pop_front();
        }
        Some(fault)
    }

    pub(crate) fn is_token_revoked(&self) -> bool {
        self.lasting.contains(&Fault::TokenRevoked)
    }

    pub(crate) fn has_obstacles(&self) -> bool {
        let mut lasting = self.lasting.iter();
        lasting.any(|fault| matches!(fault, Fault::Obstacle { .. }))
    }

    /// The answer of the first obstacle that a request meets.
    pub(crate) fn obstacle(&self, meets: impl Fn(&Obstructed) -> bool) -> Option<AnyAnswer> {
        self.lasting.iter().find_map(|fault| match fault {
            Fault::Obstacle { answer, when } if meets(when) => Some(answer.clone()),
            _ => None,
        })
    }

    /// The events that no batch may hold.
    pub(crate) fn refused_events(&self) -> Vec<Fault> {
        self.lasting
            .iter()
            .filter(|fault| matches!(fault, Fault::RefuseEventId { .. }))
            .cloned()
            .collect()
    }

    /// What is pending, lasting faults first.
    pub(crate) fn pending(&self) -> Vec<Injection> {
        let lasting = self.lasting.iter().map(|fault| Injection {
            fault: fault.clone(),
            times: 1,
        });
        lasting.chain(self.waiting.iter().cloned()).collect()
    }

    pub(crate) fn lift_one(&mut self, fault: &Fault) {
        self.lasting.retain(|lasting| lasting != fault);
        self.waiting.retain(|waiting| waiting.fault != *fault);
    }

    pub(crate) fn lift(&mut self) {
        *self = Self::default();
    }
}
