//! The faults of a walk, and what follows from each.

use crate::tally::passing_faults;
use graph_sandbox::Fault;

/// What follows from a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing is accepted; the batch is sent again.
    Retried,
    /// Nothing is accepted; the batch is sent again after the second that was asked for.
    Paused,
    /// All is accepted and sent again all the same.
    Repeated,
    /// Some is accepted and sent again; an event that was alone in its request is not confirmed.
    Miscounted,
    /// Nothing more is sent until a probe goes through.
    Blocked,
    /// The batch is taken apart; an event that was alone in its request is refused.
    Refused,
    /// The batch is taken apart, and all of it arrives.
    Narrowed,
    /// Nothing; it takes its time.
    Delayed,
    /// It takes longer than the sink waits, and is sent again.
    TimedOut,
}

/// A fault, what follows from it, and the code of the reason that the pipeline gives for it, if any.
#[derive(Clone)]
pub(super) struct Trial {
    pub(super) fault: Fault,
    pub(super) effect: Effect,
    pub(super) said: &'static str,
}

impl Trial {
    pub(super) fn new(fault: Fault, effect: Effect, said: &'static str) -> Self {
        Self {
            fault,
            effect,
            said,
        }
    }

    fn html(status: u16, effect: Effect, said: &'static str) -> Self {
        Self::new(Fault::HtmlAnswer { status }, effect, said)
    }

    fn graph(status: u16, code: (i64, Option<i64>), effect: Effect, said: &'static str) -> Self {
        let fault = Fault::GraphError {
            status,
            code: code.0,
            subcode: code.1,
            is_transient: false,
            message: None,
        };
        Self::new(fault, effect, said)
    }

    fn passing(fault: Fault) -> Self {
        let (effect, said) = match fault.name() {
            "drop_before_accept" => (Effect::Retried, "connection_failed"),
            "drop_after_accept" | "truncated_answer" => (Effect::Repeated, "connection_failed"),
            "fewer_received" => (Effect::Miscounted, ""),
            "delay" => (Effect::Delayed, ""),
            "throttle" => (Effect::Retried, "throttled"),
            _ => (Effect::Retried, "server_error"),
        };
        Self::new(fault, effect, said)
    }

    /// Why an event that nothing is wrong with may end in the dead letters.
    pub(super) fn excuses(&self) -> &'static [&'static str] {
        match self.effect {
            Effect::Miscounted => &["not_confirmed"],
            Effect::Refused => &["refused_invalid"],
            _ => &[],
        }
    }

    /// Whether it costs a second or more.
    pub(super) fn is_costly(&self) -> bool {
        matches!(
            self.effect,
            Effect::Paused | Effect::Blocked | Effect::TimedOut
        )
    }
}

/// Every fault that ends with the request that meets it. A block for policy is left out: it costs an hour.
pub(super) fn trials() -> Vec<Trial> {
    use Effect::{Blocked, Narrowed, Paused, Refused, Retried, TimedOut};
    let throttle = Fault::Throttle {
        status: 429,
        code: 613,
        business_use_case_minutes: None,
        ad_account_reset_seconds: Some(1),
    };
    let mut trials: Vec<_> = passing_faults().into_iter().map(Trial::passing).collect();
    trials.extend([
        Trial::new(throttle, Paused, "throttled"),
        Trial::new(Fault::Delay { millis: 1_500 }, TimedOut, "timeout"),
        Trial::html(200, Narrowed, ""),
        Trial::html(404, Narrowed, ""),
        Trial::html(413, Narrowed, ""),
        Trial::html(403, Narrowed, ""),
        Trial::html(429, Retried, "throttled"),
        Trial::html(401, Narrowed, ""),
        Trial::graph(500, (999_999, None), Retried, "server_error"),
        Trial::graph(400, (5_000, None), Retried, "server_error"),
        Trial::graph(400, (999_999, None), Refused, ""),
        Trial::graph(400, (100, Some(2_804_019)), Refused, ""),
        Trial::graph(400, (190, Some(463)), Blocked, "token_expired"),
        Trial::graph(403, (200, None), Blocked, "permission_missing"),
        Trial::graph(400, (100, Some(33)), Blocked, "pixel_not_found"),
        Trial::graph(400, (2_500, None), Blocked, "path_unknown"),
        Trial::graph(400, (100, Some(2_804_131)), Blocked, "dataset_not_linked"),
    ]);
    trials
}

/// A fault's name, and the codes that tell it from others of this name.
pub(super) fn label(fault: &Fault) -> String {
    let name = fault.name();
    match fault {
        Fault::GraphError {
            status,
            code,
            subcode,
            ..
        } => {
            let subcode = subcode.map(|subcode| format!("/{subcode}"));
            format!("{name} {status} {code}{}", subcode.unwrap_or_default())
        }
        Fault::Throttle { status, code, .. } => format!("{name} {status} {code}"),
        Fault::HtmlAnswer { status } => format!("{name} {status}"),
        Fault::Delay { millis } => format!("{name} {millis} ms"),
        _ => name.to_owned(),
    }
}
