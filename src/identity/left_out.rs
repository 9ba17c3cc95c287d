//! Why a value was left out: a closed set of codes and sentences, for `--explain`, metrics and the console.
//!
//! Invariant: neither code nor sentence holds any part of the value.

/// The reason why a field was left out of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LeftOut {
    /// Nothing was left after normalizing.
    Empty,
    /// Longer than [`MAX_VALUE_BYTES`](super::MAX_VALUE_BYTES), or a click id longer than its own bound.
    TooLong,
    /// 32 hex digits where Meta wants SHA-256.
    Md5Hash,
    /// No address in it.
    NotAnEmail,
    /// No digits in it.
    NotAPhone,
    /// A national number, and no country to read it with.
    NoCountryCode,
    /// No numbering plan has such a number.
    ImpossibleNumber,
    /// No word for female or male.
    NotAGender,
    /// No date in it.
    NotADate,
    /// A date without day, month or four-digit year.
    IncompleteDate,
    /// Day-first and month-first are both possible.
    AmbiguousDate,
    /// Not in the calendar, before 1900 or in the future.
    ImpossibleDate,
    /// A place name without a letter.
    NoLetter,
    /// Not five digits, in the United States.
    NotAUsZip,
    /// No country has this code or name.
    UnknownCountry,
    /// No address of a network.
    NotAnIp,
    /// Private, loopback or otherwise not the visitor's own address.
    PrivateIp,
    /// Not `fb.<index>.<ms>.<payload>`.
    MalformedCookie,
    /// Not a click id as Meta makes them.
    MalformedClickId,
    /// The click is older than the 90 days that Meta keeps one.
    ClickTooOld,
    /// The click is later than the event.
    ClickInFuture,
}

impl LeftOut {
    /// The stable code.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::Md5Hash => "md5_hash",
            Self::NotAnEmail => "not_an_email",
            Self::NotAPhone => "not_a_phone",
            Self::NoCountryCode => "no_country_code",
            Self::ImpossibleNumber => "impossible_number",
            Self::NotAGender => "not_a_gender",
            Self::NotADate => "not_a_date",
            Self::IncompleteDate => "incomplete_date",
            Self::AmbiguousDate => "ambiguous_date",
            Self::ImpossibleDate => "impossible_date",
            Self::NoLetter => "no_letter",
            Self::NotAUsZip => "not_a_us_zip",
            Self::UnknownCountry => "unknown_country",
            Self::NotAnIp => "not_an_ip",
            Self::PrivateIp => "private_ip",
            Self::MalformedCookie => "malformed_cookie",
            Self::MalformedClickId => "malformed_click_id",
            Self::ClickTooOld => "click_too_old",
            Self::ClickInFuture => "click_in_future",
        }
    }

    /// One sentence for people.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Empty => "The value is empty, and the hash of nothing would poison matching.",
            Self::TooLong => "The value is longer than any real one.",
            Self::Md5Hash => "The value looks like an MD5 hash; Meta matches SHA-256 only.",
            Self::NotAnEmail => "The value does not look like an e-mail address.",
            Self::NotAPhone => "The value holds no phone number.",
            Self::NoCountryCode => {
                "The number has no country code, and neither the address nor `default_country` says which one."
            }
            Self::ImpossibleNumber => "No country's numbering plan has a number like this.",
            Self::NotAGender => "The value is no known word for female or male.",
            Self::NotADate => "The value does not look like a date.",
            Self::IncompleteDate => "The date lacks a day, a month or a four-digit year.",
            Self::AmbiguousDate => {
                "Day and month could be either way round; write the date as YYYY-MM-DD."
            }
            Self::ImpossibleDate => {
                "The date is not in the calendar, before 1900 or in the future."
            }
            Self::NoLetter => "A place name without a letter is none.",
            Self::NotAUsZip => "A ZIP code of the United States begins with five digits.",
            Self::UnknownCountry => "No country of ISO 3166-1 has this code or name.",
            Self::NotAnIp => "The value is not an IP address.",
            Self::PrivateIp => "The address is private or local, so it is not the visitor's own.",
            Self::MalformedCookie => {
                "The cookie value is not of the form `fb.<index>.<milliseconds>.<payload>`."
            }
            Self::MalformedClickId => "The click id is not of the form that Meta gives out.",
            Self::ClickTooOld => "The click is older than 90 days.",
            Self::ClickInFuture => "The click is later than the event.",
        }
    }
}
