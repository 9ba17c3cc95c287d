//! `app_data`: the device and the app of an app event. Meta accepts no app event without it.
//!
//! `extinfo` is a list of sixteen values whose position says what they mean; an unknown value is empty text there. Source:
//! Conversions API, "App data parameters".

use super::event_writer::EventWriter;
use super::given::Origin;
use super::plan::FieldPlan;
use super::trace::Trace;
use super::{json, value};
use crate::omitted::Omitted;
use crate::payload::ParameterId;
use crate::reason;
use json_paths::Path;

impl<'e, T: Trace> EventWriter<'e, '_, T> {
    pub(super) fn app_data(&mut self) {
        self.append(",\"app_data\":{");
        let (has_device, is_ios) = self.extinfo();
        let mut has_answer = false;
        let plan = self.input.plan;
        for field in self.within(&plan.app_data) {
            let mark = self.out.len();
            if field.known == Some(ParameterId::VENDOR_ID) && !is_ios {
                self.omitted(field, Origin::Derived("the device"), Omitted::NotIos);
                continue;
            }
            match field.known {
                Some(ParameterId::TRACKING_ENABLED) => self.tracking(field),
                Some(ParameterId::APP_TRACKING_ENABLED) => {
                    let read = |_, raw| value::boolean(raw);
                    self.decided(field, read, false, |place| {
                        reason::unreadable_tracking(place, "true or false")
                    });
                }
                _ => {
                    self.plain(field);
                }
            }
            let is_written = self.out.len() > mark;
            has_answer |= is_written && field.known == Some(ParameterId::TRACKING_ENABLED);
        }
        self.out.push(b'}');
        self.facts.has_app_data = has_device && has_answer;
    }

    /// Writes whether tracking is allowed. A phone can answer in several places: an older setting of the system, and Apple's question
    /// for each app. A no counts wherever it is.
    fn tracking(&mut self, field: &'e FieldPlan) {
        let paths = self.input.paths;
        let read = |slot, raw| value::tracking(raw, is_status(paths.path(slot)));
        self.decided(field, read, false, |place| {
            let expected =
                "true or false, or Apple's answer in its words or as its number from 0 to 3";
            reason::unreadable_tracking(place, expected)
        });
    }

    /// Writes all positions. Answers whether those that Meta requires are filled, and whether the device runs iOS.
    fn extinfo(&mut self) -> (bool, bool) {
        self.append("\"extinfo\":[");
        let start = self.out.len();
        let (mut has_platform, mut has_os_version) = (false, false);
        let plan = self.input.plan;
        let mut fields = self.within(&plan.extinfo).peekable();
        for position in ParameterId::extinfo() {
            let mark = self.out.len();
            if let Some(field) = fields.next_if(|field| field.known == Some(position)) {
                self.plain(field);
            }
            let is_written = self.out.len() > mark;
            match position {
                ParameterId::PLATFORM => has_platform = is_written,
                ParameterId::OS_VERSION => has_os_version = is_written,
                _ => {}
            }
            if !is_written {
                json::comma(&mut self.out);
                json::text("", &mut self.out);
            }
        }
        let is_ios = self.out[start..].starts_with(b"\"i2\"");
        self.out.push(b']');
        (has_platform && has_os_version, is_ios)
    }
}

/// Whether a path's key is one under which senders write Apple's number: `attTrackingStatus`, `tracking_status`, `att`.
fn is_status(path: &Path) -> bool {
    let key = path.last_key().unwrap_or_default();
    key.eq_ignore_ascii_case("att") || key.to_ascii_lowercase().ends_with("status")
}
