//! The rule by which a kind of value gets its form, in a few words: for explanations and the reference.

use super::Kind;
use crate::identity::Field;

/// The rule by which a kind of value gets its form, in a few words.
pub(crate) fn rule(kind: Kind) -> &'static str {
    match kind {
        Kind::Text
        | Kind::Identifier
        | Kind::ItemId
        | Kind::Browser
        | Kind::TextUpTo(_)
        | Kind::TextList => "text, trimmed",
        Kind::IdList => "a list of ids, as texts",
        Kind::Digits => "digits, as text",
        Kind::LeadId => "15 to 17 digits, as text",
        Kind::Year => "a year of four digits",
        Kind::Status => "true, false or a word",
        Kind::Number => "a number",
        Kind::Money => "an amount of money, as a number",
        Kind::Integer => "a whole number",
        Kind::Quantity => "a whole number, fractions rounded up",
        Kind::Boolean => "true or false",
        Kind::Currency => "ISO 4217 code, upper case",
        Kind::OneOf(_) => "one of the documented values",
        Kind::Date => "a date in a documented format",
        Kind::DeviceId => "a device's id, as it is",
        Kind::Day => "a day as YYYY-MM-DD",
        Kind::Platform => "a2 for Android, i2 for iOS",
        Kind::Tracking => "true or false, or Apple's word for it",
        Kind::Count => "a whole number, as text",
        Kind::StoreCode => "letters and digits",
        Kind::Price => "amount and currency",
        Kind::Scalar => "as it is",
        Kind::Url => "URL without personal query parameters",
        Kind::EventTime => "Unix seconds",
        Kind::ClickId => "click id, as it is",
        Kind::BrowserId => "browser id, as it is",
        Kind::ClientIp => "public IP address, not hashed",
        Kind::ExternalId => "white space removed, lower case, SHA-256",
        Kind::DataProcessingOptions => "limited data use",
        Kind::Items | Kind::Source => "read by other fields",
        Kind::Hashed(field) => hash_rule(field),
    }
}

/// How an id is sent that must not leave as it is.
pub(crate) const HASHED_ID: &str =
    "SHA-256, because the id is or contains an e-mail address, a phone number or a token";

fn hash_rule(field: Field) -> &'static str {
    match field {
        Field::Em => "trimmed, lower case, SHA-256",
        Field::Ph => "digits with country code, SHA-256",
        Field::Fn | Field::Ln | Field::Ct => "lower case without punctuation and spaces, SHA-256",
        Field::Ge => "f or m, SHA-256",
        Field::Db => "YYYYMMDD, SHA-256",
        Field::St => "two-letter code or lower-case name, SHA-256",
        Field::Zp => "lower case without spaces and dashes, SHA-256",
        Field::Country => "ISO 3166-1 alpha-2, SHA-256",
        Field::ExternalId => "white space removed, lower case, SHA-256",
    }
}
