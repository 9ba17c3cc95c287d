//! `app_data`: the device and the app of an app event. Meta takes no app event without it.
//!
//! `extinfo` is a list of sixteen in which the place says what a value means; a value that is not known is empty text
//! there. Source: Conversions API, "App data parameters".

use super::draft::{Draft, Origin, Scope};
use super::explain::Trace;
use super::value;
use crate::payload::ParameterId;

impl<T: Trace> Draft<'_, '_, '_, '_, T> {
    pub(super) fn app_data(&mut self) {
        self.json(",\"app_data\":{");
        let (has_device, is_ios) = self.extinfo();
        let mut has_answer = false;
        let plan = self.plan;
        for field in self.within(Scope::Event, &plan.app_data) {
            let mark = self.out.len();
            if &*field.name == "app_data.vendor_id" && !is_ios {
                self.left_out(
                    Scope::Event,
                    field,
                    Origin::Derived("the device"),
                    value::NOT_IOS,
                );
                continue;
            }
            self.plain(Scope::Event, field);
            let written = self.out.len() > mark;
            has_answer |= written && &*field.name == "app_data.advertiser_tracking_enabled";
        }
        self.out.push(b'}');
        self.facts.has_app_data = has_device && has_answer;
    }

    /// Writes all positions. Answers whether those that Meta requires are filled, and whether the device runs iOS.
    fn extinfo(&mut self) -> (bool, bool) {
        self.json("\"extinfo\":[");
        let start = self.out.len();
        let (mut has_platform, mut has_os_version) = (false, false);
        let plan = self.plan;
        let mut fields = self.within(Scope::Event, &plan.extinfo).peekable();
        for position in ParameterId::extinfo() {
            let mark = self.out.len();
            if let Some(field) = fields.next_if(|field| field.known == Some(position)) {
                self.plain(Scope::Event, field);
            }
            let written = self.out.len() > mark;
            match position.get().key {
                "version" => has_platform = written,
                "os_version" => has_os_version = written,
                _ => {}
            }
            if !written {
                self.comma();
                self.text("");
            }
        }
        let is_ios = self.out[start..].starts_with(b"\"i2\"");
        self.out.push(b']');
        (has_platform && has_os_version, is_ios)
    }
}
