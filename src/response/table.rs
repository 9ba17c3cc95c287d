//! The reason codes with the class of each, and which of Graph's error codes mean which: data that a test walks.
//!
//! Invariant: every reason of delivery has a code from [`Code`].
//! <https://developers.facebook.com/docs/marketing-api/error-reference>

use pipeline_core::Reason;
use std::ops::RangeInclusive;

/// What a reason code means for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The same request may succeed later.
    Transient,
    /// It may succeed after the pause that Meta asks for.
    Throttle,
    /// It may succeed after a long pause.
    PolicyBlock,
    /// Token, permission or configuration: a person has to act.
    Blocked,
    /// An event is bad.
    InvalidData,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $class:ident, $sentence:literal;)*) => {
        /// The closed set of reason codes that delivery gives to metrics, filters and dead letters, with a sentence each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $(#[doc = concat!("`", $code, "`: ", $sentence, ".")] $name,)*
        }

        impl Code {
            pub(crate) const ALL: &[Code] = &[$(Code::$name),*];

            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            pub(crate) fn class(self) -> Class {
                match self { $(Code::$name => Class::$class,)* }
            }

            pub(crate) fn sentence(self) -> &'static str {
                match self { $(Code::$name => $sentence,)* }
            }
        }
    };
}

codes! {
    ServerError = "server_error", Transient, "Meta reports a temporary error";
    UnreadableAnswer = "unreadable_answer", Transient, "the answer does not come from Meta; look for a proxy or a wrong `endpoint`";
    Timeout = "timeout", Transient, "Meta did not answer in time";
    ConnectionFailed = "connection_failed", Transient, "the connection to Meta failed";
    NotConfirmed = "not_confirmed", Transient, "Meta did not confirm that it received the event";
    ManyRefused = "many_refused", Transient, "Meta refused many events of the batch or did not count them; the undecided ones are sent again";
    RefusedUnclear = "refused_unclear", Transient, "Meta refused the event without saying whether the event is at fault; it is sent again, with others";
    WayUnclear = "way_unclear", Transient, "something on the way to Meta refused the request, and it is not known yet whether that is because of one event";
    TooLarge = "request_too_large", Transient, "Meta asks for smaller requests; the events are sent again, fewer at a time";
    Throttled = "throttled", Throttle, "Meta limits the rate of calls; delivery resumes automatically";
    UsageHigh = "usage_high", Throttle, "Meta's usage headers say that the rate limit is reached; sending slows down, so that Meta does not refuse events";
    VersionWarning = "version_warning", Transient, "Meta warns about this `api_version`; set it to a current one";
    PolicyBlock = "policy_block", PolicyBlock, "Meta blocks this account temporarily for violating its policies; look at Account Quality";
    TokenExpired = "token_expired", Blocked, "the access token has expired; make a new one in Events Manager";
    TokenInvalid = "token_invalid", Blocked, "Meta does not accept the access token; make a new one in Events Manager";
    PermissionMissing = "permission_missing", Blocked, "the access token lacks a permission; give its owner access to the pixel";
    PixelNotFound = "pixel_not_found", Blocked, "Meta cannot find this pixel, or the token has no access to it; check `pixel_id` and the token's assets";
    PathUnknown = "path_unknown", Blocked, "Meta does not know this path, or received no token; check `api_version`, `pixel_id` and the token";
    DatasetNotLinked = "dataset_not_linked", Blocked, "the dataset is not linked to a page or an account that it needs; link it in Events Manager";
    ApiVersionEnded = "api_version_ended", Blocked, "Meta has ended this API version, or this call in it; set `api_version` to a current one";
    AddressNotAllowed = "address_not_allowed", Blocked, "the access token's app does not allow calls from this machine's IP address; add the address to the app's server IP allowlist";
    AppInvalid = "app_invalid", Blocked, "Meta does not know the access token's app, or has disabled it; look at the app's dashboard, or use the token of another app";
    AppSecretRequired = "app_secret_required", Blocked, "the access token's app requires a valid `appsecret_proof` with every call, see `app_secret`; or turn `Require app secret` off in the app's settings, or use the token of another app";
    AllRefused = "all_refused", Blocked, "Meta refuses every event; look up Meta's code, and check the app, the access token and `api_version`";
    WayBlocked = "way_blocked", Blocked, "something on the way to Meta refuses every request";
    RefusedInvalid = "refused_invalid", InvalidData, "Meta refused the event: a parameter is invalid";
    RefusedOnTheWay = "refused_on_the_way", InvalidData, "something on the way to Meta refused the event and let others pass";
    Expired = "expired", InvalidData, "the event became too old for Meta while it was waiting";
}

impl Code {
    pub(crate) fn reason(self) -> Reason {
        Reason::new(self.as_str(), self.sentence())
    }

    /// A reason with a more specific sentence.
    pub(crate) fn because(self, sentence: String) -> Reason {
        Reason::new(self.as_str(), sentence)
    }
}

/// One line of the table; the first matching line counts.
#[derive(Debug)]
pub(crate) struct Row {
    codes: RangeInclusive<i64>,
    /// `None` matches with and without a subcode.
    subcodes: Option<RangeInclusive<i64>>,
    pub(crate) code: Code,
}

const fn any(codes: RangeInclusive<i64>, code: Code) -> Row {
    Row {
        codes,
        subcodes: None,
        code,
    }
}

const fn of(graph: i64, subcodes: RangeInclusive<i64>, code: Code) -> Row {
    Row {
        codes: graph..=graph,
        subcodes: Some(subcodes),
        code,
    }
}

/// Graph's code for an invalid parameter; its subcodes say which one.
pub(crate) const INVALID_PARAMETER: i64 = 100;

/// The subcodes of [`INVALID_PARAMETER`] with which Meta blames an event, known or not.
pub(crate) const EVENT_SUBCODES: RangeInclusive<i64> = 2_804_000..=2_804_999;

/// Every known error code of Graph.
pub(crate) static ROWS: &[Row] = &[
    any(i64::MIN..=-1, Code::ServerError),
    any(1..=2, Code::ServerError),
    any(5000..=5000, Code::ServerError),
    any(4..=4, Code::Throttled),
    any(17..=17, Code::Throttled),
    any(32..=32, Code::Throttled),
    any(341..=341, Code::Throttled),
    any(613..=613, Code::Throttled),
    any(80000..=80014, Code::Throttled),
    any(368..=368, Code::PolicyBlock),
    of(190, 463..=463, Code::TokenExpired),
    any(190..=190, Code::TokenInvalid),
    any(102..=102, Code::TokenInvalid),
    any(104..=104, Code::TokenInvalid),
    any(3..=3, Code::PermissionMissing),
    any(10..=10, Code::PermissionMissing),
    any(200..=299, Code::PermissionMissing),
    of(INVALID_PARAMETER, 33..=33, Code::PixelNotFound),
    any(33..=33, Code::PixelNotFound),
    any(803..=803, Code::PixelNotFound),
    any(2_044_055..=2_044_055, Code::PixelNotFound),
    any(2500..=2500, Code::PathUnknown),
    any(12..=12, Code::ApiVersionEnded),
    any(2635..=2635, Code::ApiVersionEnded),
    any(5..=5, Code::AddressNotAllowed),
    any(101..=101, Code::AppInvalid),
    of(
        INVALID_PARAMETER,
        2_804_065..=2_804_065,
        Code::DatasetNotLinked,
    ),
    of(
        INVALID_PARAMETER,
        2_804_131..=2_804_132,
        Code::DatasetNotLinked,
    ),
    any(INVALID_PARAMETER..=INVALID_PARAMETER, Code::RefusedInvalid),
    any(105..=105, Code::RefusedInvalid),
];

pub(crate) fn find(code: i64, subcode: Option<i64>) -> Option<&'static Row> {
    ROWS.iter().find(|row| {
        let fits = |subcodes: &RangeInclusive<i64>| subcode.is_some_and(|s| subcodes.contains(&s));
        row.codes.contains(&code) && row.subcodes.as_ref().is_none_or(fits)
    })
}

/// Why Meta refused an event, by the subcode of an answer with [`INVALID_PARAMETER`], and what to do about it if something
/// can be done. Other subcodes get the sentence of their code.
pub(crate) static SUBCODES: &[(i64, &str)] = &[
    (
        2_804_003,
        "it is too old; Meta accepts events of the last 7 days, from physical stores of the last 62",
    ),
    (
        2_804_004,
        "its time is in the future; check the sender's clock",
    ),
    (
        2_804_008,
        "`contents` is malformed; it is a list of objects that each have an `id`",
    ),
    (
        2_804_009,
        "a Purchase needs a value; map a property to `custom_data.value`",
    ),
    (
        2_804_010,
        "a Purchase needs a currency; map one to `custom_data.currency`, or set `default_currency`",
    ),
    (
        2_804_011,
        "its currency is not accepted for a Purchase; send an ISO 4217 code that is in use",
    ),
    (2_804_016, "a field of `user_data` is not hashed"),
    (2_804_019, "a parameter is missing, unexpected or malformed"),
    (
        2_804_023,
        "a value needs a currency; map one to `custom_data.currency`, or set `default_currency`",
    ),
    (
        2_804_030,
        "it must say whether its data use is limited; set `limited_data_use`",
    ),
    (
        2_804_036,
        "`lead_id` is not an id of Meta's; send the 15 to 17 digits that came with the lead",
    ),
    (
        2_804_043,
        "`app_data.extinfo` is invalid; it needs at least the OS version",
    ),
    (
        2_804_050,
        "it says too little about the customer; map an e-mail, a phone number, an id or a browser id",
    ),
    (
        2_804_066,
        "business messaging does not accept an event of this name; map it to one that it accepts, such as LeadSubmitted",
    ),
    (2_804_069, "a messaging event needs `page_id`"),
    (
        2_804_071,
        "a WhatsApp event needs `ctwa_clid`, from the message's referral",
    ),
    (
        2_804_072,
        "`page_id` and `ctwa_clid` belong to different pages",
    ),
    (
        2_804_073,
        "`page_id` and `page_scoped_user_id` belong to different pages",
    ),
    (2_804_075, "an Instagram event needs `ig_sid`"),
    (2_804_079, "an Instagram event needs `ig_account_id`"),
    (
        2_804_081,
        "an OrderCreated needs a currency; map one to `custom_data.currency`, or set `default_currency`",
    ),
    (
        2_804_087,
        "`ctwa_clid` is invalid; send it exactly as it came in the message's referral",
    ),
    (
        2_804_116,
        "a messaging event needs `page_id` or `whatsapp_business_account_id`",
    ),
];
