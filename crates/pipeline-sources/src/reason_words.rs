//! What people read of the codes of reasons that sources give.

use pipeline_core::ReasonWords;

/// The words for the codes of all sources of this package; the host's own codes have words already.
pub(crate) fn words() -> Vec<ReasonWords> {
    vec![
        ReasonWords::new(
            "malformed_json",
            "not valid JSON",
            "the event cannot be read as JSON; look at how its sender writes it",
        ),
        ReasonWords::new(
            "nested_batch",
            "batch within a batch",
            "a batch of events contains another one; send its events in one list",
        ),
        ReasonWords::new(
            "no_id",
            "no id of a person",
            "the call has neither `userId` nor `anonymousId`; send one of them",
        ),
        ReasonWords::new(
            "not_unpacked",
            "not unpacked",
            "what was received wrapped or packed cannot be unpacked; look at how its sender packs it",
        ),
    ]
}
