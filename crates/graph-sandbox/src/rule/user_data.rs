//! `user_data`: who the person is. Every personal value is hashed, and together they say enough to match a person.
//! <https://developers.facebook.com/documentation/ads-commerce/conversions-api/parameters/customer-information-parameters>

use super::value::{is_address, is_browser_id, is_external_id, is_hash, is_lead_id, is_numeric_id};
use super::{Field, Kind, Section};
use crate::json::Json;
use crate::refusal::{Subcode, Violation};

const HASH: Kind = Kind::Which(is_hash);
const HASHES: Kind = Kind::OneOrMany(&HASH);

/// Keys beyond the table are refused, as they are on the event itself; Meta does not say what it does.
pub(super) const USER_DATA: Section = Section {
    fields: FIELDS,
    closed: true,
    tolerates_null: true,
};

const FIELDS: &[Field] = &[
    hashed("em", HASHES),
    hashed("ph", HASHES),
    hashed("fn", HASHES),
    hashed("ln", HASHES),
    hashed("db", HASHES),
    hashed("ge", HASHES),
    hashed("ct", HASHES),
    hashed("st", HASHES),
    hashed("zp", HASHES),
    hashed("country", HASHES),
    Field::new("external_id", Kind::OneOrMany(&Kind::Which(is_external_id))),
    // Parts of values, which Meta's libraries send and its pages do not name.
    hashed("f5first", HASH),
    hashed("f5last", HASH),
    hashed("fi", HASH),
    hashed("dobd", HASH),
    hashed("dobm", HASH),
    hashed("doby", HASH),
    hashed("app_user_id", HASH),
    Field::new("client_ip_address", Kind::Which(is_address)),
    Field::new("client_user_agent", Kind::FilledText),
    Field::new("fbc", Kind::Which(is_browser_id)),
    Field::new("fbp", Kind::Which(is_browser_id)),
    Field::new("subscription_id", Kind::FilledText),
    Field::new("fb_login_id", Kind::Which(is_numeric_id)),
    Field::new("lead_id", Kind::Which(is_lead_id)).or(Subcode::LeadId),
    Field::new("anon_id", Kind::FilledText),
    Field::new("madid", Kind::FilledText),
    Field::new("page_id", Kind::Id),
    Field::new("page_scoped_user_id", Kind::Id),
    Field::new("ctwa_clid", Kind::FilledText),
    Field::new("ig_account_id", Kind::Id),
    Field::new("ig_sid", Kind::Id),
    Field::new("whatsapp_business_account_id", Kind::Id),
    Field::new("instagram_business_account_id", Kind::Id),
];

/// Sets of keys that describe too many people: whoever sends nothing beyond one of them is refused.
const TOO_BROAD: [&[&str]; 4] = [
    &["ct", "country", "st", "zp", "ge", "client_user_agent"],
    &["db", "client_user_agent"],
    &["fn", "ge"],
    &["ln", "ge"],
];

const fn hashed(key: &'static str, kind: Kind) -> Field {
    Field::new(key, kind).or(Subcode::NotHashed)
}

/// Refuses an event whose keys with a value are all in one of the broad sets, so also one without any.
pub(super) fn check_baseline(user_data: &Json) -> Result<(), Violation> {
    let Json::Object(entries) = user_data else {
        return Ok(());
    };
    let within = |set: &[&str]| {
        entries
            .iter()
            .filter(|(_, value)| !value.is_blank())
            .all(|(key, _)| set.contains(&&**key))
    };
    if TOO_BROAD.into_iter().any(within) {
        let reason = "This event does not have enough customer information to match it";
        return Err(Violation::new(Subcode::TooBroad, "['user_data']", reason));
    }
    Ok(())
}
