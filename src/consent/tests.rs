//! When an event may be sent, shape by shape and place by place.

use super::*;

fn check(
    categories: &[ConsentCategory],
    options: &ConsentOptions,
    event: &str,
) -> Result<(), Reason> {
    let mut paths = Paths::default();
    let rule = Consent::compile(categories, options, &mut paths);
    rule.check(&paths.read(event).expect("JSON"))
}

fn granted(categories: &[ConsentCategory], options: &ConsentOptions, consent: &str) -> bool {
    let event = format!(r#"{{"context":{{"consent":{consent}}}}}"#);
    check(categories, options, &event).is_ok()
}

/// Missing consent is allowed, and two codes mean marketing.
fn lenient() -> ConsentOptions {
    ConsentOptions {
        when_absent: WhenAbsent::Allow,
        categories: [
            ("C0004".to_owned(), ConsentCategory::Marketing),
            ("Advertising".to_owned(), ConsentCategory::Advertising),
            ("C0002".to_owned(), ConsentCategory::Analytics),
        ]
        .into(),
    }
}

#[test]
fn only_a_grant_lets_an_event_leave() {
    let marketing = &[ConsentCategory::Marketing];
    let strict = ConsentOptions::default();
    for (consent, expected) in [
        (r#"{"canonical":{"marketing":true}}"#, true),
        (r#"{"canonical":{"marketing":false}}"#, false),
        (r#"{"canonical":{"marketing":"true"}}"#, false),
        (r#"{"canonical":{"marketing":1}}"#, false),
        (r#"{"canonical":{"analytics":true}}"#, false),
        (r#"{"marketing":true}"#, true),
        (r#"{"advertising":true}"#, true),
        (r#"{"marketing":false,"advertising":true}"#, false),
        (
            r#"{"canonical":{"marketing":false},"marketing":true}"#,
            false,
        ),
        (
            r#"{"canonical":{"marketing":true},"marketing":false}"#,
            true,
        ),
        (r#"{"canonical":{"analytics":true},"marketing":true}"#, true),
        (r#"{"categories":{"C0004":true}}"#, false),
        (r#"{"canonical":"marketing"}"#, false),
        (r#""granted""#, false),
        ("true", false),
        ("null", false),
        ("{}", false),
    ] {
        assert_eq!(granted(marketing, &strict, consent), expected, "{consent}");
    }
}

#[test]
fn silence_counts_as_configured() {
    let marketing = &[ConsentCategory::Marketing];
    let allow = ConsentOptions {
        when_absent: WhenAbsent::Allow,
        ..ConsentOptions::default()
    };
    assert!(granted(marketing, &allow, "null"));
    assert!(granted(marketing, &allow, "{}"));
    assert!(!granted(marketing, &allow, r#"{"analytics":true}"#));
    assert!(granted(&[], &ConsentOptions::default(), "null"));
    for silence in [
        "{}",
        r#"{"consent":null,"context":{"consent":{},"consentManagement":[]},"properties":{"consent":" "}}"#,
        r#"{"type":"track","context":{"page":{"consent":false}},"traits":{"name":"consent"}}"#,
    ] {
        assert_eq!(check(marketing, &allow, silence), Ok(()));
        let filtered = check(marketing, &ConsentOptions::default(), silence);
        assert_eq!(filtered, Err(reason::consent()));
    }
}

#[test]
fn all_needed_categories_must_be_granted_and_codes_count_where_configured() {
    let both = &[ConsentCategory::Advertising, ConsentCategory::Analytics];
    let options = ConsentOptions {
        categories: [
            ("C0004".to_owned(), ConsentCategory::Marketing),
            ("C9".to_owned(), ConsentCategory::Marketing),
        ]
        .into(),
        ..ConsentOptions::default()
    };
    for (consent, expected) in [
        (r#"{"categories":{"C0004":true},"analytics":true}"#, true),
        (
            r#"{"categories":{"C0004":false,"C9":true},"analytics":true}"#,
            true,
        ),
        (r#"{"categories":{"C0004":true}}"#, false),
        (
            r#"{"categories":{"C0004":true},"marketing":false,"analytics":true}"#,
            false,
        ),
    ] {
        assert_eq!(granted(both, &options, consent), expected, "{consent}");
    }
}

const SENT: &str = "sent";
const REFUSED: &str = "consent";
const UNREADABLE: &str = "consent_unreadable";

/// Events with consent information, and what happens to them.
const GIVEN: &[(&str, &str)] = &[
    // RudderStack.
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":["C0001"],"deniedConsentIds":["C0004"]}}}"#,
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
        r#"{"context":{"consentManagement":{"deniedConsentIds":"C0004"}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consent":{"canonical":{"marketing":true}},"consentManagement":{"deniedConsentIds":["C0004"]}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consentManagement":{"provider":"oneTrust","allowedConsentIds":["C0001","C0004"],"deniedConsentIds":[]}}}"#,
        SENT,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":["\u00430004"],"deniedConsentIds":["C0002"]}}}"#,
        SENT,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":["C0001"],"deniedConsentIds":["C0009"]}}}"#,
        UNREADABLE,
    ),
    (
        r#"{"context":{"consentManagement":{"allowedConsentIds":"C0004"}}}"#,
        UNREADABLE,
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
        r#"{"context":{"consentManagement":{"allowedConsentIds":["C0004"],"deniedConsentIds":"C0002,C0004"}}}"#,
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
    // Segment.
    (
        r#"{"context":{"consent":{"categoryPreferences":{"Advertising":false}}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consent":{"marketing":true,"categoryPreferences":{"Advertising":false}}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consent":{"categoryPreferences":{"Ads":false}}}}"#,
        UNREADABLE,
    ),
    (
        r#"{"context":{"consent":{"categoryPreferences":{"Advertising":true}}}}"#,
        UNREADABLE,
    ),
    // Words.
    (r#"{"context":{"consent":{"marketing":"denied"}}}"#, REFUSED),
    (
        r#"{"context":{"consent":{"canonical":{"marketing":" False "}}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consent":{"marketing":"granted"}}}"#,
        UNREADABLE,
    ),
    (
        r#"{"context":{"consent":{"canonical":{"marketing":"true"},"marketing":true}}}"#,
        UNREADABLE,
    ),
    (r#"{"context":{"consent":{"marketing":1}}}"#, UNREADABLE),
    (
        r#"{"context":{"consent":{"categories":{"C0004":"denied"}}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consent":{"categories":{"C0004":0}}}}"#,
        UNREADABLE,
    ),
    (r#"{"context":{"consent":"denied"}}"#, REFUSED),
    (r#"{"context":{"consent":false}}"#, REFUSED),
    (r#"{"context":{"consent":true}}"#, UNREADABLE),
    (r#"{"context":{"consent":["marketing"]}}"#, UNREADABLE),
    // Google.
    (
        r#"{"context":{"consent":{"ad_storage":"granted","ad_user_data":"granted"}}}"#,
        UNREADABLE,
    ),
    (
        r#"{"context":{"consentMode":{"ad_storage":"granted"}}}"#,
        UNREADABLE,
    ),
    // Within `context.consent`.
    (
        r#"{"context":{"consent":{"canonical":{"marketing":true},"marketing":false,"categories":{"C0004":false}}}}"#,
        SENT,
    ),
    (
        r#"{"context":{"consent":{"marketing":true,"advertising":"denied"}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consent":{"marketing":true,"categories":{"C0004":false}}}}"#,
        REFUSED,
    ),
    (
        r#"{"context":{"consent":{"categories":{"C0004":false,"Advertising":true}}}}"#,
        SENT,
    ),
    // Elsewhere.
    (r#"{"consent":{"marketing":true}}"#, UNREADABLE),
    (r#"{"consent":{"marketing":false}}"#, REFUSED),
    (
        r#"{"consent":{"gdpr":1},"context":{"consent":{"marketing":true}}}"#,
        UNREADABLE,
    ),
    (
        r#"{"consentManagement":{"deniedConsentIds":["C0004"]}}"#,
        REFUSED,
    ),
    (r#"{"context":{"consentCategories":["C0004"]}}"#, UNREADABLE),
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
        r#"{"properties":{"consent":false},"context":{"consent":{"marketing":true}}}"#,
        REFUSED,
    ),
    (
        r#"{"properties":{"consent":{"categories":{"C0004":false}}},"context":{"consent":{"marketing":true}}}"#,
        REFUSED,
    ),
];

#[test]
fn what_cannot_be_read_is_neither_silence_nor_a_grant() {
    let marketing = &[ConsentCategory::Marketing];
    for (event, expected) in GIVEN {
        for when_absent in [WhenAbsent::Allow, WhenAbsent::Drop] {
            let options = ConsentOptions {
                when_absent,
                ..lenient()
            };
            let checked = check(marketing, &options, event);
            let code = checked.map_or_else(|reason| reason.code, |()| SENT);
            assert_eq!(code, *expected, "{event}");
        }
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
        (r#"{"consent":{"marketing":true,"analytics":true}}"#, None),
        (r#"{"consent":{"marketing":true}}"#, Some("consent")),
        (
            r#"{"consent":{"marketing":true},"consentManagement":{"allowedConsentIds":["C0002"]}}"#,
            None,
        ),
        (
            r#"{"consent":{"marketing":true},"consentManagement":{"allowedConsentIds":["C0001"]}}"#,
            Some("consent_unreadable"),
        ),
        (
            r#"{"consent":{"marketing":true,"analytics":true},"consentManagement":{"deniedConsentIds":["C0002"]}}"#,
            Some("consent"),
        ),
        (
            r#"{"consent":{"marketing":true,"analytics":"yes"}}"#,
            Some("consent_unreadable"),
        ),
    ] {
        let event = format!(r#"{{"context":{context}}}"#);
        let code = check(both, &lenient(), &event)
            .map_err(|reason| reason.code)
            .err();
        assert_eq!(code, expected, "{event}");
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
fn the_sentence_names_the_place_and_what_is_expected_and_never_a_value() {
    let both = &[ConsentCategory::Analytics, ConsentCategory::Advertising];
    for (event, place, expected) in [
        (
            r#"{"context":{"consent":{"marketing":"secret","secret":1}}}"#,
            "context.consent",
            "context.consent.canonical",
        ),
        (
            r#"{"context":{"consentManagement":{"allowedConsentIds":["secret"]}}}"#,
            "context.consentManagement",
            "deniedConsentIds",
        ),
        (
            r#"{"properties":{"consent":"secret"}}"#,
            "properties.consent",
            "context.consent",
        ),
        (
            r#"{"context":{"traits":{"consent_mode":["secret"]}}}"#,
            "context.traits.consent_mode",
            "context.consent",
        ),
    ] {
        let reason = check(both, &lenient(), event).expect_err("unreadable");
        assert_eq!(reason.code, "consent_unreadable");
        let detail = reason.detail;
        assert!(
            detail.contains(&format!("`{place}`")) && detail.contains(expected),
            "{detail}"
        );
        assert!(detail.contains("`analytics` and `marketing`"), "{detail}");
        assert!(!detail.contains("secret"), "{detail}");
    }
}
