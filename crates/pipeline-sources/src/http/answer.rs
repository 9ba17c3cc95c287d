//! What the client hears: what became of each event of its request.

use axum::Json;
use axum::response::{IntoResponse, Response};
use pipeline_core::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// Rejections that one answer lists.
const MAX_REJECTIONS_LISTED: usize = 100;

/// What became of the events of a request.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    received: usize,
    accepted: usize,
    filtered: usize,
    /// Codes come from a closed set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    filtered_by_reason: BTreeMap<&'static str, usize>,
    rejected: Vec<Rejected>,
    #[serde(skip_serializing_if = "is_zero")]
    rejected_not_listed: usize,
}

#[derive(Debug, Serialize)]
struct Rejected {
    index: usize,
    reason: &'static str,
    detail: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Answer {
    /// The answer to events of these verdicts, in the order of the request.
    pub(crate) fn of(verdicts: Vec<Verdict>) -> Self {
        let mut answer = Self {
            received: verdicts.len(),
            ..Self::default()
        };
        for (index, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Verdict::Accepted => answer.accepted += 1,
                Verdict::Rejected(_) if answer.rejected.len() == MAX_REJECTIONS_LISTED => {
                    answer.rejected_not_listed += 1;
                }
                Verdict::Rejected(reason) => answer.rejected.push(Rejected {
                    index,
                    reason: reason.code,
                    detail: reason.detail.into_owned(),
                }),
                Verdict::Filtered { code } => {
                    answer.filtered += 1;
                    *answer.filtered_by_reason.entry(code).or_default() += 1;
                }
                _ => answer.filtered += 1,
            }
        }
        answer
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::Reason;

    fn written(verdicts: Vec<Verdict>) -> String {
        serde_json::to_string(&Answer::of(verdicts)).unwrap()
    }

    fn rejected() -> Verdict {
        Verdict::Rejected(Reason::new("no_id", "a sentence"))
    }

    #[test]
    fn an_answer_counts_verdicts_and_lists_rejections_by_their_index() {
        let filtered = |code| Verdict::Filtered { code };
        assert_eq!(
            written(vec![
                Verdict::Accepted,
                rejected(),
                filtered("unmapped"),
                filtered("consent"),
                Verdict::Accepted,
                filtered("unmapped"),
            ]),
            r#"{"received":6,"accepted":2,"filtered":3,"filtered_by_reason":{"consent":1,"unmapped":2},"rejected":[{"index":1,"reason":"no_id","detail":"a sentence"}]}"#
        );
        assert_eq!(
            written(Vec::new()),
            r#"{"received":0,"accepted":0,"filtered":0,"rejected":[]}"#
        );
    }

    #[test]
    fn an_answer_lists_so_many_rejections_and_counts_the_others() {
        let full = written(vec![rejected(); MAX_REJECTIONS_LISTED]);
        assert!(!full.contains("rejected_not_listed"), "{full}");
        let more = written(vec![rejected(); MAX_REJECTIONS_LISTED + 2]);
        assert!(more.ends_with(r#"}],"rejected_not_listed":2}"#), "{more}");
        assert_eq!(more.matches("\"index\"").count(), MAX_REJECTIONS_LISTED);
    }
}
