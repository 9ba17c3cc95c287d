//! `app_data`: the device and the app of an app event. Meta accepts no app event without it.
//!
//! `extinfo` is a list of sixteen values whose position says what they mean; an unknown value is empty text there. Source:
//! Conversions API, "App data parameters".

use super::event_writer::{EventWriter, Origin};
use super::json;
use super::trace::Trace;
use crate::omitted::Omitted;
use crate::payload::ParameterId;

impl<T: Trace> EventWriter<'_, '_, T> {
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
            self.plain(field);
            let is_written = self.out.len() > mark;
            has_answer |= is_written && field.known == Some(ParameterId::TRACKING_ENABLED);
        }
        self.out.push(b'}');
        self.facts.has_app_data = has_device && has_answer;
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
