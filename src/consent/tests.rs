//! When an event may be sent, shape by shape and place by place.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn compile(categories: &[ConsentCategory], options: &ConsentOptions, paths: &mut Paths) -> Consent {
    Consent::compile(categories, options, paths).expect("good options")
}

fn check(
    categories: &[ConsentCategory],
    options: &ConsentOptions,
    event: &str,
) -> Result<(), Reason> {
    let mut paths = Paths::default();
    let rule = compile(categories, options, &mut paths);
    let found = paths.read(event).expect("JSON");
    let checked = rule.check(&found);
    let given = found.object().bits_of(&rule.given);
    if !rule.needed.is_empty() {
        let in_full = rule.check_in_full(found.object(), given);
        assert_eq!(checked, in_full, "the short cut differs: {event}");
    }
    checked
}

fn code(categories: &[ConsentCategory], options: &ConsentOptions, event: &str) -> &'static str {
    check(categories, options, event).map_or_else(|reason| reason.code, |()| SENT)
}

fn options(written: serde_json::Value) -> ConsentOptions {
    serde_json::from_value(written).expect("options")
}

/// Missing consent is allowed, and two codes mean marketing.
fn lenient() -> ConsentOptions {
    options(json!({
        "when_absent": "allow",
        "categories": { "C0004": "marketing", "Advertising": "advertising", "C0002": "analytics" },
    }))
}

const MARKETING: &[ConsentCategory] = &[ConsentCategory::Marketing];
const SENT: &str = "sent";
const REFUSED: &str = "consent";
const ABSENT: &str = "consent_absent";
const UNREADABLE: &str = "consent_unreadable";

#[test]
fn silence_counts_as_configured() {
    let allow = options(json!({ "when_absent": "allow" }));
    for silence in [
        "{}",
        r#"{"consent":null,"context":{"consent":{},"consentManagement":[]},"properties":{"consent":" "}}"#,
        r#"{"type":"track","context":{"page":{"consent":false}},"traits":{"name":"consent"}}"#,
        r#"{"context":{"ad_storage":null,"gcs":""},"properties":{"OnetrustActiveGroups":""}}"#,
    ] {
        assert_eq!(check(MARKETING, &allow, silence), Ok(()));
        let strict = code(MARKETING, &ConsentOptions::default(), silence);
        assert_eq!(strict, ABSENT, "{silence}");
        assert_eq!(code(&[], &ConsentOptions::default(), silence), SENT);
    }
}

#[test]
fn all_needed_categories_must_be_granted_and_codes_count_where_configured() {
    let both = &[ConsentCategory::Advertising, ConsentCategory::Analytics];
    let options = options(json!({ "categories": { "C0004": "marketing", "C9": "marketing" } }));
    for (consent, expected) in [
        (r#"{"categories":{"C0004":true},"analytics":true}"#, SENT),
        (
            r#"{"categories":{"C0004":false,"C9":true},"analytics":true}"#,
            SENT,
        ),
        (r#"{"categories":{"C0004":true}}"#, REFUSED),
        (
            r#"{"categories":{"C0004":true},"marketing":false,"analytics":true}"#,
            REFUSED,
        ),
        (
            r#"{"categoryPreferences":{"C0004":false,"C9":true},"analytics":true}"#,
            REFUSED,
        ),
        (r#"{"analytics":true}"#, REFUSED),
    ] {
        let event = format!(r#"{{"context":{{"consent":{consent}}}}}"#);
        assert_eq!(code(both, &options, &event), expected, "{consent}");
    }
}

/// What `context.consent` says about marketing.
const IN_CONSENT: &[(&str, &str)] = &[
    // Our own shapes.
    (r#"{"canonical":{"marketing":true}}"#, SENT),
    (r#"{"canonical":{"marketing":false}}"#, REFUSED),
    (r#"{"canonical":{"analytics":true}}"#, UNREADABLE),
    (r#"{"canonical":"marketing"}"#, UNREADABLE),
    (r#"{"canonical":false}"#, REFUSED),
    (r#"{"marketing":true}"#, SENT),
    (r#"{"advertising":true}"#, SENT),
    (r#"{"Marketing":"Granted"}"#, SENT),
    (r#"{"marketing":false,"advertising":true}"#, REFUSED),
    (r#"{"marketing":true,"advertising":"denied"}"#, REFUSED),
    (
        r#"{"canonical":{"marketing":false},"marketing":true}"#,
        REFUSED,
    ),
    (
        r#"{"canonical":{"marketing":true},"marketing":false}"#,
        REFUSED,
    ),
    (r#"{"canonical":{"analytics":true},"marketing":true}"#, SENT),
    (r#"{"canonical":{"marketing":null},"marketing":true}"#, SENT),
    (r#"{"analytics":true}"#, UNREADABLE),
    (r#"{"analytics":false}"#, UNREADABLE),
    // Codes.
    (r#"{"categories":{"C0004":true}}"#, SENT),
    (r#"{"categories":{"c0004":"granted","C0001":0}}"#, SENT),
    (r#"{"categories":{"C0004":"denied"}}"#, REFUSED),
    (r#"{"categories":{"C0004":0}}"#, REFUSED),
    (r#"{"categories":{"C0004":7}}"#, UNREADABLE),
    (r#"{"categories":{"C0001":true}}"#, UNREADABLE),
    (r#"{"categories":{"C0004":false,"Advertising":true}}"#, SENT),
    (r#"{"categories":{"C0004":false,"C0004":true}}"#, REFUSED),
    (
        r#"{"marketing":true,"categories":{"C0004":false}}"#,
        REFUSED,
    ),
    (
        r#"{"canonical":{"marketing":true},"categories":{"C0001":true}}"#,
        SENT,
    ),
    (
        r#"{"canonical":{"marketing":true},"categories":{"C0004":false}}"#,
        REFUSED,
    ),
    (r#"{"C0004":"granted","C0001":"denied"}"#, SENT),
    (r#"{"C0004":"denied","C0001":"granted"}"#, REFUSED),
    (r#"{"C0004":"perhaps"}"#, UNREADABLE),
    // Segment.
    (
        r#"{"categoryPreferences":{"Advertising":true,"Analytics":false}}"#,
        SENT,
    ),
    (r#"{"categoryPreferences":{"Advertising":false}}"#, REFUSED),
    (
        r#"{"category_preferences":{"advertising":"opt-out"}}"#,
        REFUSED,
    ),
    (
        r#"{"categoryPreferences":{"Advertising":true,"C0004":false}}"#,
        REFUSED,
    ),
    (
        r#"{"marketing":true,"categoryPreferences":{"Advertising":false}}"#,
        REFUSED,
    ),
    (
        r#"{"canonical":{"marketing":true},"categoryPreferences":{"Advertising":false}}"#,
        REFUSED,
    ),
    (r#"{"categoryPreferences":{"Ads":false}}"#, UNREADABLE),
    (r#"{"categoryPreferences":{"Ads":true}}"#, UNREADABLE),
    (r#"{"categoryPreferences":{"Advertising":2}}"#, UNREADABLE),
    // Lists of granted codes.
    (r#"["C0001","marketing"]"#, SENT),
    (r#"["C0001","C0004"]"#, SENT),
    (r#"["C0001"]"#, REFUSED),
    (r#"["analytics"]"#, REFUSED),
    (r#"[["C0004"]]"#, UNREADABLE),
    (r#"{"categories":["C0001"," c0004 "]}"#, SENT),
    (r#"{"categories":["C0001","C0002"]}"#, REFUSED),
    (r#"{"granted":["Marketing"]}"#, SENT),
    (r#"{"granted":["C0002"]}"#, REFUSED),
    (r#"{"granted":[]}"#, REFUSED),
    (r#"{"granted":false}"#, REFUSED),
    (r#"{"granted":true}"#, UNREADABLE),
    (r#"{"granted":["C0004"],"denied":["C0004"]}"#, REFUSED),
    (r#"{"granted":["C0004"],"denied":["C0002"]}"#, SENT),
    (r#"{"denied":["C0002"]}"#, UNREADABLE),
    (r#"{"denied":true}"#, REFUSED),
    (
        r#"{"canonical":{"marketing":true},"granted":["analytics"]}"#,
        REFUSED,
    ),
    (r#"",C0001,C0004,""#, SENT),
    (r#"",C0001,C0003,""#, REFUSED),
    (r#""C0004""#, SENT),
    (r#"{"OnetrustActiveGroups":",C0001,C0004,"}"#, SENT),
    (r#"{"onetrust_active_groups":",C0001,"}"#, REFUSED),
    // Words.
    (r#"{"canonical":{"marketing":"true"}}"#, SENT),
    (r#"{"canonical":{"marketing":" False "}}"#, REFUSED),
    (r#"{"marketing":1}"#, SENT),
    (r#"{"marketing":0}"#, REFUSED),
    (r#"{"marketing":"opt-in"}"#, SENT),
    (r#"{"marketing":"Opted out"}"#, REFUSED),
    (r#"{"marketing":"declined"}"#, REFUSED),
    (r#"{"marketing":"withdrawn"}"#, REFUSED),
    (r#"{"marketing":"on"}"#, SENT),
    (r#"{"marketing":"off"}"#, REFUSED),
    (r#"{"marketing":"perhaps"}"#, UNREADABLE),
    (r#"{"marketing":"granted?"}"#, UNREADABLE),
    (r#"{"marketing":[true]}"#, UNREADABLE),
    (r#"{"marketing":2}"#, UNREADABLE),
    (
        r#"{"canonical":{"marketing":"perhaps"},"marketing":true}"#,
        UNREADABLE,
    ),
    (r#""denied""#, REFUSED),
    ("false", REFUSED),
    ("0", REFUSED),
    ("true", UNREADABLE),
    (r#""granted""#, UNREADABLE),
    (r#""pending""#, UNREADABLE),
    ("17", UNREADABLE),
    // Google.
    (r#"{"ad_storage":"granted","ad_user_data":"granted"}"#, SENT),
    (r#"{"ad_storage":"granted"}"#, SENT),
    (r#"{"adStorage":"granted","adUserData":"denied"}"#, REFUSED),
    (
        r#"{"ad_storage":"denied","ad_user_data":"granted"}"#,
        REFUSED,
    ),
    (r#"{"ad_user_data":"granted"}"#, UNREADABLE),
    (
        r#"{"ad_storage":"granted","ad_personalization":"denied"}"#,
        SENT,
    ),
    (r#"{"ad_storage":"granted","ad_user_data":"?"}"#, UNREADABLE),
    (r#"{"ad_storage":"granted","ad_user_data":null}"#, SENT),
    (r#"{"analytics_storage":"granted"}"#, UNREADABLE),
    (
        r#"{"canonical":{"marketing":true},"ad_storage":"denied"}"#,
        REFUSED,
    ),
    (r#"{"google":{"ad_storage":true}}"#, SENT),
    (
        r#"{"google_consent_mode":{"ad_storage":"granted","ad_user_data":"denied"}}"#,
        REFUSED,
    ),
    (
        r#"{"canonical":{"marketing":true},"googleConsentMode":{"ad_storage":"denied"}}"#,
        REFUSED,
    ),
    (r#"{"google":false,"marketing":true}"#, REFUSED),
    (r#"{"gcs":"G111"}"#, SENT),
    (r#"{"gcs":"G101"}"#, REFUSED),
    (r#"{"gcs":{"ad_storage":"granted"}}"#, SENT),
    (r#"{"gcs":"G1--"}"#, UNREADABLE),
    (r#""G110""#, SENT),
    (r#""G100""#, REFUSED),
    // RudderStack's lists, wherever they are.
    (r#"{"allowedConsentIds":["C0004"]}"#, SENT),
    (
        r#"{"marketing":true,"deniedConsentIds":["C0004"]}"#,
        REFUSED,
    ),
    // Written twice.
    (
        r#"{"canonical":{"marketing":true},"Marketing":false}"#,
        REFUSED,
    ),
    (
        r#"{"canonical":{"marketing":false},"canonical":{"marketing": true,"analytics":false}}"#,
        REFUSED,
    ),
    (
        r#"{"canonical":{"marketing":true},"\u006darketing":"no"}"#,
        REFUSED,
    ),
    (r#"{"marketing":false,"marketing":true}"#, REFUSED),
    (
        r#"{"canonical":{"marketing":"no"},"canonical":{"marketing":"yes"}}"#,
        REFUSED,
    ),
];

#[test]
fn every_shape_of_consent_is_read_and_what_cannot_be_read_is_neither_silence_nor_a_grant() {
    for when_absent in [WhenAbsent::Allow, WhenAbsent::Drop] {
        let options = ConsentOptions {
            when_absent,
            ..lenient()
        };
        for (consent, expected) in IN_CONSENT {
            let event = format!(r#"{{"context":{{"consent":{consent}}}}}"#);
            assert_eq!(code(MARKETING, &options, &event), *expected, "{event}");
        }
    }
}

/// Events with consent at other places, and what happens to them.
const ELSEWHERE: &[(&str, &str)] = &[
    // RudderStack.
    (
        r#"{"context":{"consentManagement":{"provider":"oneTrust","allowedConsentIds":["C0001","C0004"],"deniedConsentIds":[]}}}"#,
        SENT,
    ),
    (
        r#"{"context":{"consent_management":{"allowed_consent_ids":["C0004"],"denied_consent_ids":[]}}}"#,
        SENT,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":["\u00430004"],"deniedConsentIds":["C0002"]}}}"#,
        SENT,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":"C0004"}}}"#,
        SENT,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":["C0001"],"deniedConsentIds":["C0004"]}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consent_management":{"allowed_consent_ids":["C0001"],"denied_consent_ids":["C0004"]}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":["C0004"],"deniedConsentIds":["C0004"]}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":["C0004"],"deniedConsentIds":["Advertising"]}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consentManagement":{"deniedConsentIds":[" c0004 "]}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consentManagement":{"deniedConsentIds":"C0002,C0004"}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consent":{"canonical":{"marketing":true}},"consentManagement":{"deniedConsentIds":["C0004"]}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":["C0001"],"deniedConsentIds":["C0009"]}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":{"C0004":true}}}}"#,
        UNREADABLE,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":["C0004"],"deniedConsentIds":{"C0004":1}}}}"#,
        UNREADABLE,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":["C0004"],"deniedConsentIds":[["C0004"]]}}}"#,
        UNREADABLE,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":[],"deniedConsentIds":[]}}}"#,
        UNREADABLE,
    ),
    (r#"{"context":{"consentManagement":true}}"#, UNREADABLE),
    (
        r#"{"context":{"consent":{"marketing":true},"consentManagement":{"deniedConsentIds":["C0009"]}}}"#,
        UNREADABLE,
    ),
    // Other keys in the context.
    (r#"{"context":{"consentCategories":["C0004"]}}"#, SENT),
    (
        r#"{"context":{"consentCategories":{"C0004":false}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consentMode":{"ad_storage":"granted"}}}"#,
        SENT,
    ),
    (r#"{"context":{"consent_mode":"G100"}}"#, REFUSED),
    // Google's keys, wherever they are.
    (r#"{"context":{"ad_storage":"granted"}}"#, SENT),
    (
        r#"{"context":{"ad_storage":"granted","ad_user_data":"denied"}}"#,
        REFUSED,
    ),
    (r#"{"context":{"ad_storage":"?"}}"#, UNREADABLE),
    (
        r#"{"context":{"ad_storage":"?","consent":{"marketing":true}}}"#,
        UNREADABLE,
    ),
    (r#"{"context":{"analytics_storage":"granted"}}"#, UNREADABLE),
    (
        r#"{"context":{"analytics_storage":"granted","consent":{"marketing":true}}}"#,
        SENT,
    ),
    (
        r#"{"context":{"gcs":"G101","consent":{"marketing":true}}}"#,
        REFUSED,
    ),
    (r#"{"x-ga-gcs":"G111"}"#, SENT),
    (r#"{"properties":{"ad_user_data":"denied"}}"#, REFUSED),
    (
        r#"{"properties":{"ad_storage":"?"},"context":{"consent":{"marketing":true}}}"#,
        SENT,
    ),
    (
        r#"{"properties":{"consent":{"ad_storage":"granted","ad_user_data":"granted"}}}"#,
        SENT,
    ),
    (
        r#"{"properties":{"consent":{"ad_storage":"granted","marketing":"perhaps"}}}"#,
        UNREADABLE,
    ),
    (r#"{"consentMode":{"gcs":"G110"}}"#, SENT),
    (
        r#"{"properties":{"consent":{"OnetrustActiveGroups":"C0001,C0004"}}}"#,
        SENT,
    ),
    // OneTrust's groups.
    (
        r#"{"properties":{"OnetrustActiveGroups":",C0001,C0004,"}}"#,
        SENT,
    ),
    (
        r#"{"context":{"OnetrustActiveGroups":",C0001,C0003,"}}"#,
        REFUSED,
    ),
    (r#"{"OptanonActiveGroups":["C0004"]}"#, SENT),
    (
        r#"{"properties":{"OnetrustActiveGroups":",C0001,"},"context":{"consent":{"marketing":true}}}"#,
        REFUSED,
    ),
    // Elsewhere.
    (r#"{"consent":{"marketing":true}}"#, UNREADABLE),
    (r#"{"consent":["marketing"]}"#, UNREADABLE),
    (r#"{"consent":["C0001"]}"#, UNREADABLE),
    (
        r#"{"traits":{"consent":["newsletter"]},"context":{"consent":{"marketing":true}}}"#,
        SENT,
    ),
    (r#"{"consent":{"marketing":false}}"#, REFUSED),
    (
        r#"{"consent":{"gdpr":1},"context":{"consent":{"marketing":true}}}"#,
        UNREADABLE,
    ),
    (
        r#"{"consentManagement":{"deniedConsentIds":["C0004"]}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"traits":{"consent":{"canonical":{"marketing":"denied"}}}}}"#,
        REFUSED,
    ),
    (r#"{"traits":{"consent":"yes"}}"#, UNREADABLE),
    (r#"{"properties":{"consent":true}}"#, UNREADABLE),
    (
        r#"{"properties":{"consent":true},"context":{"consent":{"marketing":true}}}"#,
        SENT,
    ),
    (
        r#"{"properties":{"consent":"no, thanks"},"context":{"consent":{"marketing":true}}}"#,
        SENT,
    ),
    (
        r#"{"properties":{"consent":"perhaps"},"context":{"consent":{"marketing":true}}}"#,
        SENT,
    ),
    (
        r#"{"properties":{"consent":"no"},"context":{"consent":{"marketing":true}}}"#,
        REFUSED,
    ),
    (
        r#"{"properties":{"consent":{"categories":{"C0004":false}}},"context":{"consent":{"marketing":true}}}"#,
        REFUSED,
    ),
];

#[test]
fn consent_at_another_place_counts_as_far_as_the_place_is_known_for_it() {
    for when_absent in [WhenAbsent::Allow, WhenAbsent::Drop] {
        let options = ConsentOptions {
            when_absent,
            ..lenient()
        };
        for (event, expected) in ELSEWHERE {
            assert_eq!(code(MARKETING, &options, event), *expected, "{event}");
        }
    }
}

#[test]
fn codes_that_no_option_explains_are_neither_a_grant_nor_silence() {
    let allow = options(json!({ "when_absent": "allow" }));
    for consent in [
        r#"{"categoryPreferences":{"Advertising":true}}"#,
        r#"{"categories":{"C0004":true}}"#,
        r#"["C0001","C0004"]"#,
        r#"{"granted":["C0004"]}"#,
        r#"",C0001,C0004,""#,
        r#"{"allowedConsentIds":["C0004"],"deniedConsentIds":["C0002"]}"#,
    ] {
        let event = format!(r#"{{"context":{{"consent":{consent}}}}}"#);
        assert_eq!(code(MARKETING, &allow, &event), UNREADABLE, "{event}");
    }
    // Beside a grant they say nothing.
    let event = r#"{"context":{"consent":{"marketing":true,"categories":["C0001"],"categoryPreferences":{"Advertising":false}}}}"#;
    assert_eq!(code(MARKETING, &allow, event), SENT);
}

#[test]
fn each_category_has_its_key_of_googles() {
    let strict = ConsentOptions::default();
    for (category, granted, refused) in [
        (ConsentCategory::Marketing, "ad_storage", "ad_user_data"),
        (
            ConsentCategory::Analytics,
            "analytics_storage",
            "analytics_storage",
        ),
        (
            ConsentCategory::Functional,
            "functionality_storage",
            "functionality_storage",
        ),
        (
            ConsentCategory::Personalization,
            "personalization_storage",
            "ad_personalization",
        ),
    ] {
        let event =
            |key: &str, word: &str| json!({ "context": { "consent": { key: word } } }).to_string();
        let code = |key, word| code(&[category], &strict, &event(key, word));
        assert_eq!(code(granted, "granted"), SENT, "{granted}");
        assert_eq!(code(refused, "denied"), REFUSED, "{refused}");
        assert_eq!(code("security_storage", "granted"), UNREADABLE);
    }
}

#[test]
fn of_two_needed_categories_both_must_be_granted_and_each_can_be_anywhere() {
    let both = &[
        ConsentCategory::Marketing,
        ConsentCategory::Analytics,
        ConsentCategory::Advertising,
    ];
    for (context, expected) in [
        (r#"{"consent":{"marketing":true,"analytics":true}}"#, SENT),
        (r#"{"consent":{"marketing":true}}"#, REFUSED),
        (
            r#"{"consent":{"marketing":true},"consentManagement":{"allowedConsentIds":["C0002","C0004"]}}"#,
            SENT,
        ),
        (
            r#"{"consent":{"marketing":true},"analytics_storage":"granted"}"#,
            SENT,
        ),
        (
            r#"{"consent":{"marketing":true},"consentManagement":{"allowedConsentIds":["C0002"]}}"#,
            REFUSED,
        ),
        (
            r#"{"consent":{"marketing":true,"analytics":true},"consentManagement":{"deniedConsentIds":["C0002"]}}"#,
            REFUSED,
        ),
        (
            r#"{"consent":{"marketing":true,"analytics":"perhaps"}}"#,
            UNREADABLE,
        ),
        (r#"{"gcs":"G111"}"#, SENT),
        (r#"{"gcs":"G110"}"#, REFUSED),
    ] {
        let event = format!(r#"{{"context":{context}}}"#);
        assert_eq!(code(both, &lenient(), &event), expected, "{event}");
    }
}

#[test]
fn nothing_is_asked_where_nothing_is_needed() {
    for event in [
        r#"{"context":{"consent":false}}"#,
        r#"{"consent":"secret"}"#,
        "{}",
    ] {
        for needed in [&[][..], &[ConsentCategory::Essential]] {
            assert_eq!(check(needed, &ConsentOptions::default(), event), Ok(()));
        }
    }
}

#[test]
fn an_option_can_add_places() {
    let own = |paths| options(json!({ "paths": paths, "categories": { "C0004": "marketing" } }));
    let privacy = own(json!("context.privacy.ads"));
    for (ads, expected) in [
        (json!(true), SENT),
        (json!("opt-in"), SENT),
        (json!("no"), REFUSED),
        (json!("perhaps"), UNREADABLE),
        (json!(7), UNREADABLE),
        (json!(null), ABSENT),
        (json!(["C0001", "C0004"]), SENT),
        (json!(["C0001"]), REFUSED),
        (json!(",C0004,"), SENT),
        (json!({ "marketing": true }), SENT),
        (
            json!({ "categoryPreferences": { "C0004": false } }),
            REFUSED,
        ),
        (json!({ "x": 1 }), UNREADABLE),
    ] {
        let event = json!({ "context": { "privacy": { "ads": ads } } }).to_string();
        assert_eq!(code(MARKETING, &privacy, &event), expected, "{event}");
    }
    let refused = r#"{"context":{"privacy":{"ads":false},"consent":{"marketing":true}}}"#;
    assert_eq!(code(MARKETING, &privacy, refused), REFUSED);
    // A place within one that is known, and in its stead.
    for (path, consent, expected) in [
        ("context.consent.ads_ok", json!({ "ads_ok": "yes" }), SENT),
        ("context.consent.ads_ok", json!({ "ads_ok": 0 }), REFUSED),
        (
            "context.consent.ads_ok",
            json!({ "ads_ok": null }),
            UNREADABLE,
        ),
        (
            "context.consent.ads_ok",
            json!({ "ads_ok": true, "marketing": false }),
            REFUSED,
        ),
        (
            "context.consent.ads_ok",
            json!({ "ads_ok": true, "marketing": "perhaps" }),
            UNREADABLE,
        ),
        ("context.consent", json!("granted"), SENT),
        ("context.consent", json!({ "marketing": "denied" }), REFUSED),
    ] {
        let event = json!({ "context": { "consent": consent } }).to_string();
        assert_eq!(
            code(MARKETING, &own(json!([path])), &event),
            expected,
            "{event}"
        );
    }
    let event = r#"{"context":{"ad_storage":true,"ad_user_data":"denied"}}"#;
    assert_eq!(
        code(MARKETING, &own(json!("context.ad_storage")), event),
        REFUSED
    );
}

#[test]
fn an_added_place_can_be_about_one_category() {
    let both = &[ConsentCategory::Marketing, ConsentCategory::Analytics];
    let options = options(json!({ "paths": {
        "marketing": ["context.privacy.ads"], "analytics": "context.privacy.stats", "functional": "context.privacy.f",
    } }));
    for (privacy, expected) in [
        (json!({ "ads": true, "stats": true, "f": false }), SENT),
        (json!({ "ads": true }), REFUSED),
        (json!({ "ads": true, "stats": "no" }), REFUSED),
        (json!({ "ads": true, "stats": "?" }), UNREADABLE),
        (json!({ "f": true }), ABSENT),
    ] {
        let event = json!({ "context": { "privacy": privacy } }).to_string();
        assert_eq!(code(both, &options, &event), expected, "{event}");
    }
}

#[test]
fn the_words_at_added_places_can_be_replaced_and_can_mean_the_opposite() {
    let opt_out = options(json!({
        "paths": ["properties.do_not_sell", "context.consent.marketing"],
        "granted_values": [false, "keep", 0], "denied_values": [true, 1, "sell not"],
    }));
    for (event, expected) in [
        (r#"{"properties":{"do_not_sell":false}}"#, SENT),
        (r#"{"properties":{"do_not_sell":"Keep"}}"#, SENT),
        (r#"{"properties":{"do_not_sell":0.0}}"#, SENT),
        (r#"{"properties":{"do_not_sell":true}}"#, REFUSED),
        (r#"{"properties":{"do_not_sell":"sell_not"}}"#, REFUSED),
        (r#"{"properties":{"do_not_sell":"granted"}}"#, UNREADABLE),
        (r#"{"context":{"consent":{"marketing":false}}}"#, SENT),
        (r#"{"context":{"consent":{"marketing":true}}}"#, REFUSED),
        // Elsewhere the usual words count.
        (
            r#"{"properties":{"do_not_sell":false},"context":{"consent":{"canonical":{"marketing":false}}}}"#,
            REFUSED,
        ),
    ] {
        assert_eq!(code(MARKETING, &opt_out, event), expected, "{event}");
    }
}

#[test]
fn options_that_cannot_work_are_problems() {
    let problems = |written| {
        let mut paths = Paths::default();
        let compiled = Consent::compile(MARKETING, &options(written), &mut paths);
        let problems = compiled.expect_err("problems").into_iter();
        problems.map(|problem| problem.path).collect::<Vec<_>>()
    };
    assert_eq!(problems(json!({ "paths": "a..b" })), ["consent.paths"]);
    assert_eq!(
        problems(json!({ "paths": { "marketing": ["a", "b["], "analytics": "]" } })),
        ["consent.paths.analytics", "consent.paths.marketing[1]"]
    );
    let many: Vec<_> = (0..=MAX_OWN_PATHS).map(|n| format!("a.b{n}")).collect();
    assert_eq!(problems(json!({ "paths": many })), ["consent.paths"]);
    assert_eq!(
        problems(json!({ "granted_values": ["yes"], "denied_values": ["Yes"] })),
        ["consent.denied_values"]
    );
}

#[test]
fn the_detail_names_the_place_and_the_category_and_never_a_value() {
    let both = &[ConsentCategory::Analytics, ConsentCategory::Advertising];
    for (event, code, parts) in [
        (
            r#"{"context":{"consent":{"canonical":{"analytics":"no"}}}}"#,
            REFUSED,
            &["`context.consent.canonical.analytics` refuses `analytics`"][..],
        ),
        (
            r#"{"context":{"consent":{"analytics":true,"category_preferences":{"advertising":"denied"}}}}"#,
            REFUSED,
            &["`context.consent.categoryPreferences.Advertising` refuses `marketing`"],
        ),
        (r#"{"gcs":"G100"}"#, REFUSED, &["`gcs` refuses `analytics`"]),
        (
            r#"{"context":{"consent":{"granted":["secret","C0002"]}}}"#,
            REFUSED,
            &["the grants at `context.consent.granted` do not include `marketing`"],
        ),
        (
            r#"{"context":{"consent":{"analytics":true}}}"#,
            REFUSED,
            &["nothing in the event grants `marketing`"],
        ),
        (
            r#"{"context":{"consent":{"marketing":"secret","x":{"Ads":1,"a secret":2}}}}"#,
            UNREADABLE,
            &[
                "`context.consent`",
                "`analytics` and `marketing`",
                "keys `marketing`, `x.Ads` and 1 more",
                "`consent.categories`",
            ],
        ),
        (
            r#"{"context":{"consentManagement":{"deniedConsentIds":["secret"]}}}"#,
            UNREADABLE,
            &["`context.consentManagement`", "keys `deniedConsentIds`"],
        ),
        (
            r#"{"properties":{"consent":"secret"}}"#,
            UNREADABLE,
            &["`properties.consent`", "a text", "`context.consent`"],
        ),
        (
            r#"{"context":{"traits":{"consent_mode":["secret"]}}}"#,
            UNREADABLE,
            &["`context.traits.consentMode`", "a list", "`consent.paths`"],
        ),
        (
            r#"{"ad_storage":"secret"}"#,
            UNREADABLE,
            &["the event", "`ad_storage`"],
        ),
    ] {
        let reason = check(both, &lenient(), event).expect_err("filtered");
        assert_eq!(reason.code, code, "{event}");
        for part in parts {
            assert!(reason.detail.contains(part), "{part}: {}", reason.detail);
        }
        assert!(!reason.detail.contains("secret"), "{}", reason.detail);
    }
}

#[test]
fn the_detail_of_absent_consent_names_where_it_is_looked_for() {
    let own = options(json!({ "paths": "context.privacy.ads" }));
    let absent = check(MARKETING, &own, "{}").expect_err("filtered");
    assert_eq!(absent.code, ABSENT);
    for part in [
        "`context.privacy.ads`",
        "`context.consent`",
        "`consent.when_absent: allow`",
    ] {
        assert!(absent.detail.contains(part), "{}", absent.detail);
    }
}

#[test]
fn an_event_that_is_granted_plainly_is_judged_without_allocating() {
    for (consent, is_plain) in [
        (
            r#"{"categories": {"marketing": true}, "canonical": {"essential": true, "marketing": true}}"#,
            true,
        ),
        (
            r#"{"canonical":{"marketing":true,"analytics":false}}"#,
            true,
        ),
        (r#"{"marketing":true,"source":"banner"}"#, true),
        (
            r#"{"categoryPreferences":{"Advertising":true,"Analytics":false}}"#,
            true,
        ),
        (r#"{"marketing":"granted"}"#, false),
    ] {
        let event = format!(r#"{{"context":{{"consent":{consent}}}}}"#);
        let mut paths = Paths::default();
        let rule = compile(MARKETING, &lenient(), &mut paths);
        let found = paths.read(&event).expect("JSON");
        let counted = allocation_counter::measure(|| assert_eq!(rule.check(&found), Ok(())));
        assert_eq!(counted.count_total == 0, is_plain, "{consent}");
    }
}

/// Members of `context.consent`, which are put together at random.
const MEMBERS: &[&str] = &[
    r#""canonical":{"marketing":true}"#,
    r#""canonical":{"marketing":false}"#,
    r#""canonical":{"marketing":"true","analytics":true}"#,
    r#""canonical":true"#,
    r#""canonical":{}"#,
    r#""marketing":true"#,
    r#""advertising":true"#,
    r#""advertising":null"#,
    r#""marketing":"denied""#,
    r#""categories":{"C0004":true,"C0001":false}"#,
    r#""categories":{"C0004":false,"Advertising":true}"#,
    r#""categories":["C0001"]"#,
    r#""categories":["C0004"]"#,
    r#""categoryPreferences":{"Advertising":true}"#,
    r#""categoryPreferences":{"Advertising":0}"#,
    r#""categoryPreferences":false"#,
    r#""C0004":true"#,
    r#""C0004":false"#,
    r#""ad_storage":"granted""#,
    r#""ad_user_data":"denied""#,
    r#""google":{"ad_storage":"denied"}"#,
    r#""gcs":"G101""#,
    r#""granted":["C0002"]"#,
    r#""denied":["C0004"]"#,
    r#""deniedConsentIds":[]"#,
    r#""other":{"marketing":false}"#,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// `check` compares the two itself.
    #[test]
    fn the_short_cut_lets_an_event_pass_only_where_the_full_reading_does(
        members in prop::sample::subsequence(MEMBERS, 0..5),
        before in prop::option::of(prop::sample::select(MEMBERS)),
        elsewhere in prop::sample::select(vec!["", r#","ad_storage":"denied""#, r#","consentMode":{}"#]),
    ) {
        let consent = format!("{{{}}}", members.join(","));
        let first = before.map_or(String::new(), |member| format!("\"consent\":{{{member}}},"));
        let event = format!(r#"{{"context":{{{first}"consent":{consent}{elsewhere}}}}}"#);
        let checked = check(MARKETING, &lenient(), &event);
        let refuses = members.iter().any(|member| member.contains("denied\"") || member.contains("\"marketing\":false"));
        prop_assert!(!(refuses && checked.is_ok()) || members.iter().any(|member| member.contains("other")), "{}", event);
    }
}
