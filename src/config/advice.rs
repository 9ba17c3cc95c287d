//! Options that work and are perhaps not meant, beside the mappings.

use super::endpoint;
use super::options::Options;
use crate::api_versions;
use pipeline_core::options::Problem;

/// Notes on options.
pub(super) fn notes(options: &Options, now_ms: i64) -> Vec<Problem> {
    let mut notes = Vec::new();
    if endpoint::is_version(&options.api_version)
        && let Some((problem, expected)) = api_versions::problem(&options.api_version, now_ms)
    {
        notes.push(Problem::note("api_version", problem, expected));
    }
    if options.test_event_code.is_some() {
        let problem = "is set: the events appear under Test Events, and Meta still counts them for measurement and targeting";
        notes.push(Problem::note(
            "test_event_code",
            problem,
            "no test event code in production",
        ));
    }
    notes
}
