//! Google's consent mode: which of its keys speak about which category.
//!
//! In: a key and its value. Out: what it says about one category. Invariant: a key that is denied is a refusal, also where it
//! alone could not grant.

use super::said::Said;
use crate::alike::alike;
use crate::answer::Words;
use crate::json_text;

/// The keys of consent mode.
pub(super) const KEYS: [&str; 6] = [
    "ad_storage",
    "ad_user_data",
    "ad_personalization",
    "analytics_storage",
    "functionality_storage",
    "personalization_storage",
];

/// The keys of its short form, `G1` and a digit each for `ad_storage` and `analytics_storage`: `G111`, `G100`.
pub(super) const SHORT_KEYS: [&str; 2] = ["gcs", "x-ga-gcs"];

/// The keys of objects that contain it, inside an object of consent.
pub(super) const CONTAINERS: [&str; 9] = [
    "google",
    "googleConsent",
    "google_consent",
    "googleConsentMode",
    "google_consent_mode",
    "consentMode",
    "consent_mode",
    "gcm",
    "gcs",
];

/// Which keys speak about a category.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signals {
    /// One of them grants it.
    grants: &'static [&'static str],
    /// They only refuse it.
    refuses: &'static [&'static str],
}

impl Signals {
    /// Those that speak about the category of this canonical name.
    pub(super) fn of(category: &str) -> Self {
        let (grants, refuses): (&[_], &[_]) = match category {
            "marketing" => (&["ad_storage"], &["ad_user_data"]),
            "analytics" => (&["analytics_storage"], &[]),
            "functional" => (&["functionality_storage"], &[]),
            "personalization" => (&["personalization_storage", "ad_personalization"], &[]),
            _ => (&[], &[]),
        };
        Self { grants, refuses }
    }

    /// What a value says under this key, and the key as Google spells it; `None` for a key that does not speak about the
    /// category.
    pub(super) fn read(self, key: &str, raw: &str, words: &Words) -> Option<(Said, &'static str)> {
        if let Some(short) = SHORT_KEYS.iter().find(|short| alike(short, key)) {
            return Some((self.read_short(raw), short));
        }
        let find = |keys: &'static [&'static str]| keys.iter().find(|known| alike(known, key));
        if let Some(key) = find(self.grants) {
            return Some((Said::of(raw, words), key));
        }
        let key = find(self.refuses)?;
        Some(match Said::of(raw, words) {
            Said::Granted => (Said::Nothing, key),
            said => (said, key),
        })
    }

    /// What the short form says. It says nothing about keys that it does not have.
    pub(super) fn read_short(self, raw: &str) -> Said {
        let place = match self.grants {
            ["ad_storage"] => 2,
            ["analytics_storage"] => 3,
            _ => return Said::Nothing,
        };
        if json_text::is_empty(raw) {
            return Said::Nothing;
        }
        let text = json_text::text(raw).unwrap_or_default();
        match text.as_bytes() {
            digits @ [b'G' | b'g', b'1', _, _] => match digits[place] {
                b'1' => Said::Granted,
                b'0' => Said::Refused,
                b'-' => Said::Nothing,
                _ => Said::Unreadable,
            },
            _ => Said::Unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_has_a_digit_for_ads_and_one_for_analytics() {
        for (raw, ads, analytics) in [
            (r#""G111""#, Said::Granted, Said::Granted),
            (r#""G101""#, Said::Refused, Said::Granted),
            (r#""g110""#, Said::Granted, Said::Refused),
            (r#""G100""#, Said::Refused, Said::Refused),
            (r#""G1--""#, Said::Nothing, Said::Nothing),
            (r#""G1?1""#, Said::Unreadable, Said::Granted),
            (r#""G1111""#, Said::Unreadable, Said::Unreadable),
            ("111", Said::Unreadable, Said::Unreadable),
            ("{}", Said::Nothing, Said::Nothing),
            ("[1]", Said::Unreadable, Said::Unreadable),
        ] {
            assert_eq!(Signals::of("marketing").read_short(raw), ads, "{raw}");
            assert_eq!(Signals::of("analytics").read_short(raw), analytics, "{raw}");
            assert_eq!(Signals::of("functional").read_short(raw), Said::Nothing);
        }
    }

    #[test]
    fn user_data_can_refuse_marketing_and_alone_cannot_grant_it() {
        let said = |key, raw| {
            let read = Signals::of("marketing").read(key, raw, &Words::default());
            read.map(|(said, _)| said)
        };
        assert_eq!(said("adStorage", "\"granted\""), Some(Said::Granted));
        assert_eq!(said("ad_user_data", "\"granted\""), Some(Said::Nothing));
        assert_eq!(said("ad_user_data", "\"denied\""), Some(Said::Refused));
        assert_eq!(said("ad_user_data", "\"perhaps\""), Some(Said::Unreadable));
        assert_eq!(said("ad_personalization", "\"denied\""), None);
    }
}
