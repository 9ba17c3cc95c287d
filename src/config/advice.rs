//! Options that work and are perhaps not meant, beside the mappings.

use super::options::Options;
use pipeline_core::options::Problem;

/// Notes on options.
pub(super) fn notes(options: &Options) -> Vec<Problem> {
    let mut notes = Vec::new();
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
