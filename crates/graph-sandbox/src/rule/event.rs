//! One server event: the keys on the event itself, the objects inside, and the rules that span several of them. A parsed
//! event goes in, the first violation comes out. The order is Meta's as far as it has been seen: shape, age, the needs of
//! the action source, money, messaging, and the matching baseline last.
//! <https://developers.facebook.com/documentation/ads-commerce/conversions-api/parameters/server-event>

use super::custom_data::{CUSTOM_DATA, check_money};
use super::user_data::{USER_DATA, check_baseline};
use super::value::is_share;
use super::{CUSTOMER_SEGMENTATION, Field, Kind, Section, missing};
use crate::json::Json;
use crate::refusal::{Subcode, Violation};

/// The oldest event Meta takes, in seconds.
pub const MAX_AGE_SECS: i64 = 7 * 24 * 60 * 60;
/// The oldest event of a physical store that Meta takes, in seconds.
pub const MAX_STORE_AGE_SECS: i64 = 62 * 24 * 60 * 60;
/// How far ahead of the clock an event may be, in seconds. Meta refuses the future and does not say where it begins.
pub const MAX_AHEAD_SECS: i64 = 60;
/// How long after an event its attribution is taken, in seconds.
const MAX_ATTRIBUTION_DELAY_SECS: i128 = 48 * 60 * 60;

/// What one event is checked against besides the tables.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// Now, in Unix seconds.
    pub(crate) now_secs: i64,
    pub(crate) require_website_fields: bool,
    pub(crate) require_currency_with_value: bool,
}

const EVENT: Section = Section::closed(&[
    Field::required("event_name", Kind::FilledText),
    Field::required("event_time", Kind::Integer),
    Field::required("user_data", Kind::Section(&USER_DATA)),
    Field::required("action_source", Kind::OneOf(ACTION_SOURCES)),
    Field::new("custom_data", Kind::Section(&CUSTOM_DATA)),
    Field::new("event_source_url", Kind::FilledText),
    Field::new("event_id", Kind::FilledText),
    Field::new("opt_out", Kind::Bool),
    Field::new("referrer_url", Kind::Text),
    Field::new(
        "data_processing_options",
        Kind::ListOf(&Kind::OneOf(&["LDU"])),
    ),
    Field::new(
        "data_processing_options_country",
        Kind::OneOfIntegers(&[0, 1]),
    ),
    Field::new(
        "data_processing_options_state",
        Kind::OneOfIntegers(PRIVACY_STATES),
    ),
    Field::new("app_data", Kind::Section(&APP_DATA)),
    Field::new("original_event_data", Kind::Section(&ORIGINAL_EVENT_DATA)),
    // Meta's page lists it here and shows it inside `custom_data`; both are taken.
    Field::new("customer_segmentation", CUSTOMER_SEGMENTATION),
    Field::new("attribution_data", Kind::Section(&ATTRIBUTION_DATA)),
    Field::new(
        "messaging_channel",
        Kind::OneOf(&["messenger", "whatsapp", "instagram"]),
    ),
    Field::new("advanced_measurement_table", Kind::Text),
]);

const ACTION_SOURCES: &[&str] = &[
    "email",
    "website",
    "app",
    "phone_call",
    "chat",
    "physical_store",
    "system_generated",
    "business_messaging",
    "other",
];

/// 0 lets Meta locate the person; the others are the states with a limited data use law, California to Rhode Island.
const PRIVACY_STATES: &[i128] = &[
    0, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
];

const APP_DATA: Section = Section::closed(&[
    Field::required("advertiser_tracking_enabled", Kind::Flag),
    Field::required("extinfo", Kind::Which(is_extinfo)).or(Subcode::ExtendedDeviceInfo),
    Field::new("application_tracking_enabled", Kind::Flag),
    Field::new("campaign_ids", Kind::Text),
    Field::new("install_referrer", Kind::Text),
    Field::new("installer_package", Kind::Text),
    Field::new("url_schemes", Kind::OneOrMany(&Kind::Text)),
    Field::new("vendor_id", Kind::Text),
    Field::new("windows_attribution_id", Kind::Text),
    Field::new("consider_views", Kind::Flag),
    Field::new("include_dwell_data", Kind::Flag),
    Field::new("include_video_data", Kind::Flag),
    Field::new("receipt_data", Kind::Text),
]);

const ORIGINAL_EVENT_DATA: Section = Section::closed(&[
    Field::new("event_name", Kind::Text),
    Field::new("event_time", Kind::Integer),
    Field::new("order_id", Kind::Text),
    Field::new("event_id", Kind::Text),
]);

const ATTRIBUTION_DATA: Section = Section::closed(&[
    Field::new("scope", Kind::Text),
    Field::new("visit_time", Kind::Integer),
    Field::new("ad_id", Kind::Id),
    Field::new("adset_id", Kind::Id),
    Field::new("campaign_id", Kind::Id),
    Field::new("attribution_share", Kind::Which(is_share)),
    Field::new("attribution_model", Kind::OneOf(ATTRIBUTION_MODELS)),
    Field::new("attr_window", Kind::Integer),
    Field::new("attribution_value", Kind::Number),
    Field::new("attribution_source", Kind::Text),
    Field::new("touchpoint_type", Kind::Text),
    Field::new("touchpoint_ts", Kind::Integer),
    Field::new(
        "attribution_method",
        Kind::OneOf(&["ard", "deeplink", "gpir", "invalid_response", "mir", "srn"]),
    ),
    Field::new("decline_reason", Kind::OneOf(DECLINE_REASONS)),
    Field::new("auditing_token", Kind::Text),
    Field::new("linkage_key", Kind::Text),
    Field::new("touchpoint_id", Kind::Text),
    Field::new("attribution_setting", Kind::Object),
    Field::new("total_credit", Kind::Number),
    Field::new("partner_client_id", Kind::Text),
]);

const ATTRIBUTION_MODELS: &[&str] = &[
    "customized_multi_touch",
    "first_touch",
    "last_click",
    "last_touch",
    "linear",
    "position_based",
    "time_decay",
    "unknown",
];

const DECLINE_REASONS: &[&str] = &[
    "attribute_to_other_source",
    "out_of_lookback_window",
    "view_through_disabled",
    "within_inactive_window",
    "inactive",
    "fraud_detected",
    "unknown",
    "reinstall_attribution_disabled",
    "lookback",
    "not_pmod_match",
    "validation_rule_detected",
    "preload_install",
    "min_time_between_re_engagements",
    "duplicated",
    "pmod_disabled",
];

/// The events that Meta takes from conversations.
const MESSAGING_EVENTS: &[&str] = &[
    "Purchase",
    "LeadSubmitted",
    "InitiateCheckout",
    "AddToCart",
    "ViewContent",
    "OrderCreated",
    "OrderShipped",
    "OrderDelivered",
    "OrderCanceled",
    "OrderReturned",
    "CartAbandoned",
    "QualifiedLead",
    "RatingProvided",
    "ReviewProvided",
];

/// Checks one event. `Err` is the first rule that it breaks.
pub(crate) fn check(event: &Json, terms: Terms) -> Result<(), Violation> {
    EVENT.check(event, "")?;
    let (Some(name), Some(action_source), Some(user_data)) = (
        event.get("event_name").and_then(Json::text),
        event.get("action_source").and_then(Json::text),
        event.get("user_data"),
    ) else {
        return Ok(()); // The table has just required all three.
    };
    check_age(event, action_source, terms.now_secs)?;
    match action_source {
        "website" if terms.require_website_fields => check_website(event, user_data)?,
        "app" if event.get("app_data").is_none() => {
            return Err(missing(Subcode::Parameter, "", "app_data"));
        }
        "business_messaging" => check_messaging(event, name, user_data)?,
        _ => {}
    }
    check_limited_data_use(event, user_data)?;
    check_attribution(event, name, action_source, terms.now_secs)?;
    check_money(
        name,
        event.get("custom_data"),
        terms.require_currency_with_value,
    )?;
    check_baseline(user_data)
}

fn check_age(event: &Json, action_source: &str, now_secs: i64) -> Result<(), Violation> {
    const PATH: &str = "['event_time']";
    let max_age = if action_source == "physical_store" {
        MAX_STORE_AGE_SECS
    } else {
        MAX_AGE_SECS
    };
    let age = i128::from(now_secs)
        - event
            .get("event_time")
            .and_then(Json::integer)
            .unwrap_or_default();
    if age > i128::from(max_age) {
        return Err(Violation::new(
            Subcode::TooOld,
            PATH,
            format!("The event is more than {} days old", max_age / 86_400),
        ));
    }
    if age < -i128::from(MAX_AHEAD_SECS) {
        return Err(Violation::new(
            Subcode::InFuture,
            PATH,
            "The event time is in the future",
        ));
    }
    Ok(())
}

fn check_website(event: &Json, user_data: &Json) -> Result<(), Violation> {
    require(event, "", "event_source_url", Subcode::Parameter)?;
    require(
        user_data,
        "['user_data']",
        "client_user_agent",
        Subcode::Parameter,
    )
}

fn check_messaging(event: &Json, name: &str, user_data: &Json) -> Result<(), Violation> {
    require(event, "", "messaging_channel", Subcode::Parameter)?;
    if !MESSAGING_EVENTS.contains(&name) {
        return Err(Violation::new(
            Subcode::MessagingEvent,
            "['event_name']",
            "This event cannot come from messaging",
        ));
    }
    let channel = event.get("messaging_channel").and_then(Json::text);
    let needs: &[(&str, Subcode)] = match channel {
        Some("messenger") => &[
            ("page_id", Subcode::MissingPageId),
            ("page_scoped_user_id", Subcode::Parameter),
        ],
        Some("whatsapp") => &[("ctwa_clid", Subcode::MissingClickId)],
        Some("instagram") => &[
            ("ig_account_id", Subcode::MissingInstagramAccount),
            ("ig_sid", Subcode::MissingInstagramSid),
        ],
        _ => &[],
    };
    needs
        .iter()
        .try_for_each(|&(key, subcode)| require(user_data, "['user_data']", key, subcode))?;
    // WhatsApp takes the business account, or the page in setups that still have one.
    if channel == Some("whatsapp") && user_data.get("page_id").is_none_or(Json::is_blank) {
        require(
            user_data,
            "['user_data']",
            "whatsapp_business_account_id",
            Subcode::MissingWhatsappAccount,
        )?;
    }
    Ok(())
}

/// Limited data use without an IP address to locate the person by has to name the state.
fn check_limited_data_use(event: &Json, user_data: &Json) -> Result<(), Violation> {
    let is_limited = event
        .get("data_processing_options")
        .is_some_and(|options| !options.is_blank());
    if is_limited
        && user_data
            .get("client_ip_address")
            .is_none_or(Json::is_blank)
    {
        require(
            event,
            "",
            "data_processing_options_state",
            Subcode::Parameter,
        )?;
    }
    Ok(())
}

/// An attribution that is passed back later says for which event, which advertisement and how much.
fn check_attribution(
    event: &Json,
    name: &str,
    action_source: &str,
    now_secs: i64,
) -> Result<(), Violation> {
    const SUBCODE: Subcode = Subcode::Parameter;
    if name != "AppendAttribution" {
        return Ok(());
    }
    let part = |key: &'static str| event.get(key).ok_or_else(|| missing(SUBCODE, "", key));
    if action_source == "website" {
        check_website(event, part("user_data")?)?;
    }
    let attribution = part("attribution_data")?;
    for key in [
        "ad_id",
        "touchpoint_ts",
        "attribution_share",
        "attribution_value",
    ] {
        require(attribution, "['attribution_data']", key, SUBCODE)?;
    }
    require(part("custom_data")?, "['custom_data']", "currency", SUBCODE)?;
    let original = part("original_event_data")?;
    for key in ["event_name", "event_time"] {
        require(original, "['original_event_data']", key, SUBCODE)?;
    }
    let seconds = |object: &Json, key| object.get(key).and_then(Json::integer);
    let (original, click) = (
        seconds(original, "event_time"),
        seconds(attribution, "touchpoint_ts"),
    );
    if original <= click
        || original.is_some_and(|time| i128::from(now_secs) - time >= MAX_ATTRIBUTION_DELAY_SECS)
    {
        return Err(Violation::new(
            SUBCODE,
            "['original_event_data']['event_time']",
            "Malformed `event_time`",
        ));
    }
    Ok(())
}

fn require(object: &Json, path: &str, key: &str, subcode: Subcode) -> Result<(), Violation> {
    match object.get(key) {
        Some(value) if !value.is_blank() => Ok(()),
        _ => Err(missing(subcode, path, key)),
    }
}

/// Sixteen positions: the platform first, the OS version fifth, numbers allowed where they count something.
fn is_extinfo(value: &Json) -> bool {
    const POSITIONS: usize = 16;
    const PLATFORM: usize = 0;
    const OS_VERSION: usize = 4;
    const COUNTS: [usize; 5] = [9, 10, 12, 13, 14];
    let Json::List(items) = value else {
        return false;
    };
    let is_position = |(index, item): (usize, &Json)| match index {
        PLATFORM => Kind::OneOf(&["a2", "i2"]).check(item),
        OS_VERSION => Kind::FilledText.check(item),
        index => Kind::Text.check(item) || (COUNTS.contains(&index) && Kind::Integer.check(item)),
    };
    items.len() == POSITIONS && items.iter().enumerate().all(is_position)
}
