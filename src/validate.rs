//! Finds what Meta would refuse, before it is sent.
//!
//! Meta refuses a whole request for one bad event, so each event is first checked against the documented rules: its age,
//! what a Purchase, an app event and a conversation need, and the combinations of customer information that are too weak to
//! match. Single parameters have the right form by construction.
//!
//! Source: "Using the API" (event time), "Standard parameters" (Purchase), "Best practices" (baseline requirements for
//! matching), "App events", "Business messaging".

use crate::omitted::Omitted;
use crate::payload::action_source::{ActionSource, MessagingChannel};
use crate::payload::identifiers::Identifiers;
use crate::reason;
use pipeline_core::Reason;
use std::sync::LazyLock;

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
/// Days after which Meta refuses an event.
const MAX_AGE_DAYS: i64 = 7;
/// Days after which Meta refuses an event of a physical store.
const MAX_STORE_AGE_DAYS: i64 = 62;

/// What validation needs to know about a written event.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not depend on each other"
)]
pub(crate) struct Facts {
    /// The event's time, in milliseconds since the Unix epoch.
    pub(crate) event_ms: i64,
    /// The same in seconds, as it is sent.
    pub(crate) event_time: i64,
    pub(crate) event_id: Box<str>,
    pub(crate) action_source: ActionSource,
    pub(crate) identifiers: Identifiers,
    /// Whether the event came with a click id or a click cookie, usable or not.
    pub(crate) has_click: bool,
    /// Whether the click that it is sent with is the one that the page's URL names.
    pub(crate) click_is_of_page: bool,
    /// Whether the browser id that it is sent with was made, because the event had none.
    pub(crate) fbp_is_made: bool,
    /// Why an id was omitted that the sender had, and has damaged.
    pub(crate) damaged_id: Option<Omitted>,
    pub(crate) has_value: bool,
    pub(crate) has_currency: bool,
    /// A value was given, and cannot be read.
    pub(crate) value_is_unreadable: bool,
    /// A currency was given, and cannot be read.
    pub(crate) currency_is_unreadable: bool,
    pub(crate) value_is_negative: bool,
    /// Whether `app_data` has everything that Meta requires.
    pub(crate) has_app_data: bool,
    pub(crate) messaging_channel: Option<MessagingChannel>,
    /// Why the event must not be sent: something that it says and that must not be lost cannot be read.
    pub(crate) unreadable: Option<Box<Reason>>,
    /// Why the event has the time of receipt, if it gives a time.
    pub(crate) replaced_time: Option<ReplacedTime>,
    /// The time that the event gives, if that is by a wrong clock and was corrected.
    pub(crate) by_wrong_clock_ms: Option<i64>,
}

/// Why an event that gives a time has the time of receipt instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplacedTime {
    /// The time that it gives cannot be read.
    Unreadable,
    /// It is too far in the future.
    InFuture,
}

impl Facts {
    fn max_age_days(&self) -> i64 {
        if self.action_source == ActionSource::PhysicalStore {
            MAX_STORE_AGE_DAYS
        } else {
            MAX_AGE_DAYS
        }
    }

    /// The time from which Meta refuses the event, in seconds since the Unix epoch.
    pub(crate) fn expires_at(&self) -> i64 {
        self.event_time
            .saturating_add(self.max_age_days() * SECONDS_PER_DAY)
    }
}

/// Combinations that Meta refuses; it refuses their subsets too.
static TOO_WEAK: LazyLock<[Identifiers; 4]> = LazyLock::new(|| {
    [
        Identifiers::of(&["ct", "country", "st", "zp", "ge", "client_user_agent"]),
        Identifiers::of(&["db", "client_user_agent"]),
        Identifiers::of(&["fn", "ge"]),
        Identifiers::of(&["ln", "ge"]),
    ]
});

/// Whether Meta would try to match a person by these identifiers.
fn can_match(identifiers: Identifiers) -> bool {
    !TOO_WEAK.iter().any(|weak| identifiers.is_subset_of(*weak))
}

/// The events that Meta accepts from conversations.
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

/// The names of events that are of conversations only.
pub(crate) fn messaging_events() -> impl Iterator<Item = String> {
    let of_websites = ["Purchase", "InitiateCheckout", "AddToCart", "ViewContent"];
    let names = MESSAGING_EVENTS
        .iter()
        .filter(move |name| !of_websites.contains(name));
    names.map(|name| (*name).to_owned())
}

/// The identifiers that a conversation needs: all those of one of its channel's sets. For WhatsApp that is the id of the
/// business account, or of the page in older setups.
static CONVERSATIONS: LazyLock<[(MessagingChannel, Identifiers); 4]> = LazyLock::new(|| {
    let whatsapp = |id| Identifiers::of(&["ctwa_clid", id]);
    [
        (
            MessagingChannel::Messenger,
            Identifiers::of(&["page_id", "page_scoped_user_id"]),
        ),
        (
            MessagingChannel::Whatsapp,
            whatsapp("whatsapp_business_account_id"),
        ),
        (MessagingChannel::Whatsapp, whatsapp("page_id")),
        (
            MessagingChannel::Instagram,
            Identifiers::of(&["ig_account_id", "ig_sid"]),
        ),
    ]
});

/// The first rule that an event named `name` breaks at `now_ms`, if any.
pub(crate) fn check(name: &str, facts: &Facts, now_ms: i64) -> Option<Reason> {
    if let Some(reason) = &facts.unreadable {
        return Some((**reason).clone());
    }
    let now = now_ms.div_euclid(1_000);
    if facts.expires_at() <= now {
        return Some(reason::too_old(facts.max_age_days()));
    }
    if facts.event_time > now {
        return Some(reason::in_future());
    }
    if facts.action_source == ActionSource::App && !facts.has_app_data {
        return Some(reason::missing_app_data());
    }
    if name == "AppendAttribution" {
        return Some(reason::attribution_not_supported());
    }
    if facts.action_source == ActionSource::BusinessMessaging
        && let Some(reason) = check_messaging(name, facts)
    {
        return Some(reason);
    }
    if name == "Purchase" && !facts.has_value {
        return Some(if facts.value_is_unreadable {
            reason::unreadable_value()
        } else {
            reason::missing_value()
        });
    }
    if name == "Purchase" && facts.value_is_negative {
        return Some(reason::negative_value());
    }
    if needs_currency(name) && !facts.has_currency {
        return Some(if facts.currency_is_unreadable {
            reason::unreadable_currency()
        } else {
            reason::missing_currency()
        });
    }
    if !can_match(facts.identifiers) {
        return Some(match facts.damaged_id {
            Some(_) => reason::digits_lost(),
            None => reason::weak_identity(),
        });
    }
    None
}

/// Whether Meta refuses events of this name without a currency.
pub(crate) fn needs_currency(name: &str) -> bool {
    matches!(name, "Purchase" | "OrderCreated")
}

fn check_messaging(name: &str, facts: &Facts) -> Option<Reason> {
    let Some(channel) = facts.messaging_channel else {
        return Some(reason::missing_messaging_channel());
    };
    if !MESSAGING_EVENTS.contains(&name) {
        return Some(reason::messaging_event_not_allowed());
    }
    let is_complete = CONVERSATIONS
        .iter()
        .any(|(of, needed)| *of == channel && needed.is_subset_of(facts.identifiers));
    (!is_complete).then(reason::missing_messaging_ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The combinations in Meta's documentation, and some others.
    #[test]
    fn a_combination_that_cannot_match_is_refused() {
        for weak in [
            &["ct", "country", "st", "zp", "ge", "client_user_agent"][..],
            &["db", "client_user_agent"],
            &["fn", "ge"],
            &["ln", "ge"],
            &["ge", "ct", "st", "country"],
            &["ct"],
            &["client_user_agent"],
            &[],
        ] {
            assert!(!can_match(Identifiers::of(weak)), "{weak:?}");
        }
        for enough in [
            &["em"][..],
            &["ph"],
            &["fbp"],
            &["external_id"],
            &["fn", "ln", "ge"],
            &["em", "client_user_agent"],
            &["client_ip_address", "client_user_agent"],
            &["db", "ct"],
        ] {
            assert!(can_match(Identifiers::of(enough)), "{enough:?}");
        }
    }

    fn facts(event_time: i64) -> Facts {
        Facts {
            event_time,
            action_source: ActionSource::Website,
            identifiers: Identifiers::of(&["em"]),
            has_value: true,
            has_currency: true,
            ..Facts::default()
        }
    }

    fn code(name: &str, facts: &Facts, now: i64) -> Option<&'static str> {
        check(name, facts, now * 1_000).map(|reason| reason.code)
    }

    #[test]
    fn age_is_counted_to_the_second() {
        let week = MAX_AGE_DAYS * SECONDS_PER_DAY;
        let now = 1_800_000_000;
        assert_eq!(code("Lead", &facts(now), now), None);
        assert_eq!(code("Lead", &facts(now + 1), now), Some("in_future"));
        assert_eq!(code("Lead", &facts(now - week + 1), now), None);
        assert_eq!(code("Lead", &facts(now - week), now), Some("too_old"));
        let store = |event_time| Facts {
            action_source: ActionSource::PhysicalStore,
            ..facts(event_time)
        };
        let limit = MAX_STORE_AGE_DAYS * SECONDS_PER_DAY;
        assert_eq!(code("Lead", &store(now - limit + 1), now), None);
        assert_eq!(code("Lead", &store(now - limit), now), Some("too_old"));
    }

    #[test]
    fn only_a_purchase_needs_value_and_currency() {
        let without = |has_value, has_currency| Facts {
            has_value,
            has_currency,
            ..facts(0)
        };
        assert_eq!(code("Purchase", &without(true, true), 1), None);
        assert_eq!(
            code("Purchase", &without(false, true), 1),
            Some("missing_value")
        );
        assert_eq!(
            code("Purchase", &without(true, false), 1),
            Some("missing_currency")
        );
        assert_eq!(code("Lead", &without(false, false), 1), None);
    }

    #[test]
    fn an_app_event_needs_its_app_data() {
        let app = |has_app_data| Facts {
            action_source: ActionSource::App,
            has_app_data,
            ..facts(0)
        };
        assert_eq!(code("Lead", &app(true), 1), None);
        assert_eq!(code("Lead", &app(false), 1), Some("missing_app_data"));
    }

    /// Each channel with the identifiers that Meta requires, and with each of them missing.
    #[test]
    fn a_conversation_needs_the_identifiers_of_its_channel() {
        let said = |name: &str, channel, identifiers: &[&str]| {
            let facts = Facts {
                action_source: ActionSource::BusinessMessaging,
                messaging_channel: channel,
                identifiers: Identifiers::of(identifiers),
                ..facts(0)
            };
            code(name, &facts, 1)
        };
        for (channel, needed) in [
            (
                MessagingChannel::Messenger,
                ["page_id", "page_scoped_user_id"],
            ),
            (
                MessagingChannel::Whatsapp,
                ["ctwa_clid", "whatsapp_business_account_id"],
            ),
            (MessagingChannel::Whatsapp, ["ctwa_clid", "page_id"]),
            (MessagingChannel::Instagram, ["ig_account_id", "ig_sid"]),
        ] {
            assert_eq!(
                said("Purchase", Some(channel), &needed),
                None,
                "{channel:?}"
            );
            for missing in 0..2 {
                let rest = ["em", needed[1 - missing]];
                let expected = Some("missing_messaging_ids");
                assert_eq!(
                    said("Purchase", Some(channel), &rest),
                    expected,
                    "{channel:?}"
                );
            }
            let expected = Some("messaging_event_not_allowed");
            assert_eq!(said("Lead", Some(channel), &needed), expected);
        }
        let ids = ["page_id", "page_scoped_user_id"];
        assert_eq!(
            said("Purchase", None, &ids),
            Some("missing_messaging_channel")
        );
    }
}
