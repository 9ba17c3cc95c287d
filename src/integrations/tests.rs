//! Which wishes of a sender filter an event.

use super::*;

const WANTED: &str = "wanted";
const EXCLUDED: &str = "integrations";
const UNREADABLE: &str = "integrations_unreadable";

fn check(names: &[String], event: &str) -> Result<(), Reason> {
    let mut paths = Paths::default();
    let rule = Integrations::compile(names, &mut paths);
    rule.check(&paths.read(event).expect("JSON"))
}

fn names() -> Vec<String> {
    NAMES.map(str::to_owned).into()
}

fn code(integrations: &str) -> &'static str {
    let mut codes = PLACES.iter().map(|place| {
        let event = match place.strip_prefix("context.") {
            Some(key) => format!(r#"{{"context":{{"{key}":{integrations}}}}}"#),
            None => format!(r#"{{"{place}":{integrations}}}"#),
        };
        check(&names(), &event).map_or_else(|reason| reason.code, |()| WANTED)
    });
    let first = codes.next().expect("a place");
    assert!(codes.all(|code| code == first), "{integrations}");
    first
}

#[test]
fn a_destination_gets_what_the_sender_does_not_exclude() {
    for (integrations, expected) in [
        // Nothing that is about us.
        ("null", WANTED),
        ("{}", WANTED),
        ("[]", WANTED),
        ("true", WANTED),
        (r#""all""#, WANTED),
        (r#"{"All":true}"#, WANTED),
        (
            r#"{"Google Analytics":false,"Amplitude":{"session_id":1}}"#,
            WANTED,
        ),
        (r#"{"All":null,"Facebook Pixel":null}"#, WANTED),
        // Everything is off.
        (r#"{"All":false}"#, EXCLUDED),
        (r#"{"all":"no"}"#, EXCLUDED),
        (r#"{"ALL":0}"#, EXCLUDED),
        (r#"{"All":{"enabled":false}}"#, EXCLUDED),
        (r#"{"All":false,"Google Analytics":true}"#, EXCLUDED),
        ("false", EXCLUDED),
        (r#""none""#, EXCLUDED),
        // We are on.
        (
            r#"{"All":false,"Facebook Conversions API (Actions)":true}"#,
            WANTED,
        ),
        (r#"{"All":false,"facebook-conversions-api":"yes"}"#, WANTED),
        (r#"{"All":false,"meta_conversions":{}}"#, WANTED),
        (
            r#"{"All":false,"Facebook Pixel":{"eventID":"e-1"}}"#,
            WANTED,
        ),
        (
            r#"{"All":false,"FACEBOOK_CONVERSIONS":{"enabled":true}}"#,
            WANTED,
        ),
        (r#"{"All":"?","Meta Pixel":true}"#, WANTED),
        (r#"["Amplitude","Facebook Pixel"]"#, WANTED),
        (r#"["All"]"#, WANTED),
        (r#""Meta Conversions API""#, WANTED),
        // We are off.
        (r#"{"Facebook Pixel":false}"#, EXCLUDED),
        (
            r#"{"All":true,"Facebook Pixel Server Side":false}"#,
            EXCLUDED,
        ),
        (r#"{"meta conversions api":"off"}"#, EXCLUDED),
        (r#"{"Facebook Conversions":{"Enabled":"false"}}"#, EXCLUDED),
        (
            r#"{"Facebook Pixel":false,"Facebook Conversions API (Actions)":true}"#,
            EXCLUDED,
        ),
        (
            r#"{"Facebook Pixel":false,"Facebook Pixel":true}"#,
            EXCLUDED,
        ),
        (r#"["Amplitude","Google Analytics"]"#, EXCLUDED),
        // What cannot be read may be such a wish.
        (r#"{"All":"?"}"#, UNREADABLE),
        (r#"{"Facebook Pixel":"perhaps"}"#, UNREADABLE),
        (r#"{"Facebook Pixel":{"enabled":"perhaps"}}"#, UNREADABLE),
        (r#"{"Facebook Pixel":[1],"Meta":true}"#, UNREADABLE),
        (r#"["Amplitude",{"name":"Facebook Pixel"}]"#, UNREADABLE),
        (r#""Amplitude""#, UNREADABLE),
        ("17", UNREADABLE),
        (r#"{"\ud800":1}"#, UNREADABLE),
    ] {
        assert_eq!(code(integrations), expected, "{integrations}");
    }
}

#[test]
fn a_no_at_one_place_outweighs_a_yes_at_the_other() {
    for (event, expected) in [
        (
            r#"{"integrations":{"Facebook Pixel":true},"context":{"integrations":{"Facebook Pixel":false}}}"#,
            EXCLUDED,
        ),
        (
            r#"{"integrations":{"All":false},"context":{"integrations":{"Meta":true}}}"#,
            WANTED,
        ),
        (
            r#"{"integrations":{"All":true},"context":{"integrations":{"All":false}}}"#,
            EXCLUDED,
        ),
        (
            r#"{"properties":{"integrations":false},"traits":{"integrations":{"All":false}}}"#,
            WANTED,
        ),
    ] {
        let code = check(&names(), event).map_or_else(|reason| reason.code, |()| WANTED);
        assert_eq!(code, expected, "{event}");
    }
}

#[test]
fn the_names_are_those_of_the_options() {
    let own = ["Ads (ours)".to_owned()];
    let code = |event| check(&own, event).map_or_else(|reason| reason.code, |()| WANTED);
    assert_eq!(code(r#"{"integrations":{"ads-ours":false}}"#), EXCLUDED);
    assert_eq!(
        code(r#"{"integrations":{"All":false,"Ads Ours":true}}"#),
        WANTED
    );
    assert_eq!(code(r#"{"integrations":{"Facebook Pixel":false}}"#), WANTED);
}

#[test]
fn the_detail_names_the_path_and_never_a_value() {
    for (event, part) in [
        (r#"{"integrations":{"all":false}}"#, "`integrations.All`"),
        (
            r#"{"context":{"integrations":{"facebook_pixel":"no"}}}"#,
            "`context.integrations[\"Facebook Pixel\"]`",
        ),
        (r#"{"integrations":["secret"]}"#, "`integrations`"),
        (
            r#"{"integrations":{"Meta":"secret"}}"#,
            "`integrations[\"Meta\"]`",
        ),
    ] {
        let detail = check(&names(), event).expect_err("filtered").detail;
        assert!(
            detail.contains(part) && !detail.contains("secret"),
            "{detail}"
        );
    }
}

#[test]
fn no_two_names_are_alike() {
    for (index, name) in NAMES.iter().enumerate() {
        let others = NAMES[index + 1..].iter();
        assert!(!others.clone().any(|other| alike(name, other)), "{name}");
    }
}

#[test]
fn the_mapping_page_lists_the_names() {
    let page = include_str!("../../MAPPING.md");
    for name in NAMES {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
