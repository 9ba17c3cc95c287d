//! The only way for personal data into a server event: takes plain values, returns hashes or the reason for omitting them.
//!
//! Each rule of Meta's "Customer information parameters" page is one function in one file below. It takes a value as it is in the
//! event, and returns the normal form or its SHA-256. Where the page does not say enough, Meta's newest library decides.
//!
//! Invariant: pure, and a hashed field is 64 lowercase hex digits (and perhaps an appendix of Meta's own builder); a value that is
//! absent, empty or unusable is omitted with a reason, and never hashed.

mod birth_date;
pub(crate) mod browser_id;
mod city;
mod country;
mod digest;
mod email;
pub(crate) mod entity;
mod gender;
mod ip;
mod name;
mod phone;
mod postcode;
mod state;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use country::{Alpha2, country_of};
pub(crate) use ip::client_ip;
pub(crate) use name::split_name;
pub(crate) use phone::{is_international_phone, is_phone_of};
pub(crate) use text::is_invisible;

use crate::omitted::Omitted;
use crate::placeholder::{Role, is_hash_of_nothing, is_placeholder};
use digest::Ready;

/// Longest value that is read, in bytes. The longest e-mail address has 320; no real name or id is longer than this.
pub(crate) const MAX_VALUE_BYTES: usize = 2048;

/// A field that Meta wants hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Em,
    Ph,
    Fn,
    Ln,
    Ge,
    Db,
    Ct,
    St,
    Zp,
    Country,
    ExternalId,
}

impl Field {
    /// What its values are for.
    const fn role(self) -> Role {
        match self {
            Self::Em | Self::Ph => Role::Contact,
            Self::Fn => Role::FirstName,
            Self::Ln => Role::LastName,
            Self::Ct => Role::City,
            Self::St => Role::State,
            Self::Zp => Role::Postcode,
            Self::Country => Role::Country,
            Self::ExternalId => Role::Id,
            Self::Ge | Self::Db => Role::Text,
        }
    }
}

#[cfg(test)]
impl Field {
    /// Every hashed field, in the order of Meta's page.
    pub(crate) const ALL: [Self; 11] = [
        Self::Em,
        Self::Ph,
        Self::Fn,
        Self::Ln,
        Self::Ge,
        Self::Db,
        Self::Ct,
        Self::St,
        Self::Zp,
        Self::Country,
        Self::ExternalId,
    ];

    /// Meta's key.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Em => "em",
            Self::Ph => "ph",
            Self::Fn => "fn",
            Self::Ln => "ln",
            Self::Ge => "ge",
            Self::Db => "db",
            Self::Ct => "ct",
            Self::St => "st",
            Self::Zp => "zp",
            Self::Country => "country",
            Self::ExternalId => "external_id",
        }
    }
}

/// What the rest of the event says about reading a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Locale {
    /// The country of the event's address.
    pub(crate) country: Option<Alpha2>,
    /// The country from the settings, for events without a country.
    pub(crate) default_country: Option<Alpha2>,
    /// The current year, the latest possible year of birth.
    pub(crate) year: i16,
}

impl Locale {
    /// The country to read a value with.
    fn known(self) -> Option<Alpha2> {
        self.country.or(self.default_country)
    }
}

/// Writes the normal form of `raw` into `out`, replacing what was there.
///
/// # Errors
///
/// The reason for omitting the value; the content of `out` is then meaningless.
pub(crate) fn normalize(
    field: Field,
    raw: &str,
    locale: Locale,
    out: &mut String,
) -> Result<(), Omitted> {
    let raw = checked(raw, out)?;
    let role = field.role();
    if is_placeholder(raw, role) {
        return Err(Omitted::Placeholder);
    }
    if field != Field::ExternalId && digest::is_md5(raw) {
        return Err(md5(raw, role));
    }
    match field {
        Field::Em => email::normalize(raw, out),
        Field::Ph => phone::normalize(raw, locale, out),
        Field::Fn | Field::Ln => name::normalize_person(field, raw, out),
        Field::Ge => gender::normalize(raw, out),
        Field::Db => birth_date::normalize(raw, locale, out),
        Field::Ct => city::normalize(raw, locale.known(), out),
        Field::St => state::normalize(raw, locale.known(), out),
        Field::Zp => postcode::normalize(raw, locale, out),
        Field::Country => country::normalize(raw, out),
        Field::ExternalId => text::squeeze(&text::without_decimals(raw)?, out),
    }?;
    if out.chars().all(char::is_control) {
        return Err(Omitted::Empty);
    }
    // Comparing it with what has been checked above would take longer.
    if is_placeholder(out, role) {
        return Err(Omitted::Placeholder);
    }
    if field != Field::ExternalId && digest::is_md5(out) {
        return Err(md5(out, role));
    }
    Ok(())
}

/// Why an MD5 is omitted.
#[cold]
fn md5(hex: &str, role: Role) -> Omitted {
    if is_hash_of_nothing(hex, role) {
        return Omitted::Placeholder;
    }
    Omitted::Md5Hash
}

/// How a value got its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashed {
    Here,
    /// The value was a hash already.
    Before,
}

/// Appends the hash of `raw` to `out`: the value itself if it is a hash already, else the SHA-256 of its normal form. `scratch` is
/// overwritten.
///
/// # Errors
///
/// The reason for omitting the value; nothing is appended then.
pub(crate) fn hash(
    field: Field,
    raw: &str,
    locale: Locale,
    scratch: &mut String,
    out: &mut Vec<u8>,
) -> Result<Hashed, Omitted> {
    if let Some(ready) = Ready::read(raw) {
        if is_hash_of_nothing(ready.hex(), field.role()) {
            return Err(Omitted::Placeholder);
        }
        ready.write(out);
        return Ok(Hashed::Before);
    }
    normalize(field, raw, locale, scratch)?;
    digest::write_hash(scratch, out);
    Ok(Hashed::Here)
}

/// Writes the hash of an id that must not be sent as it is, as that of an external id is made.
///
/// # Errors
///
/// The reason for omitting the id.
pub(crate) fn hash_id(text: &str, scratch: &mut String, out: &mut Vec<u8>) -> Result<(), Omitted> {
    let text = checked(text, scratch)?;
    text::squeeze(text, scratch)?;
    digest::write_hash(scratch, out);
    Ok(())
}

/// Writes an external id that is sent unhashed: without the white space around it and the decimals of a table, and otherwise unchanged.
///
/// # Errors
///
/// The reason for omitting the value.
pub(crate) fn external_id_raw(raw: &str, out: &mut String) -> Result<(), Omitted> {
    let value = checked(raw, out)?;
    if is_placeholder(value, Role::Id) {
        return Err(Omitted::Placeholder);
    }
    out.push_str(&text::without_decimals(value)?);
    Ok(())
}

/// The value without white space around it, unless it is empty or too long; clears `out`.
fn checked<'a>(raw: &'a str, out: &mut String) -> Result<&'a str, Omitted> {
    out.clear();
    if raw.len() > MAX_VALUE_BYTES {
        return Err(Omitted::TooLong);
    }
    let raw = text::trim(raw);
    if raw.is_empty() {
        return Err(Omitted::Empty);
    }
    Ok(raw)
}
