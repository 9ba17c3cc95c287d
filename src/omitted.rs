//! Why a value of an event is not sent: a closed set of codes, each with a detail for people, for `--explain` and the
//! console.
//!
//! Details start in lower case and have no full stop, like those of `reason.rs`, beside which people read them.
//!
//! Invariant: neither code nor detail holds any part of the value.

macro_rules! omissions {
    ($($name:ident = $code:literal, $detail:literal;)*) => {
        /// Why a value was omitted from a server event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Omitted {
            $(#[doc = concat!("`", $code, "`: ", $detail, ".")] $name,)*
        }

        impl Omitted {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable code. Two reasons share one where only the detail differs.
            pub(crate) const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What is wrong with the value, for people.
            pub(crate) const fn detail(self) -> &'static str {
                match self { $(Self::$name => $detail,)* }
            }
        }
    };
}

impl Omitted {
    /// Whether a value that is omitted for this reason counts as not given, so that a default or a derived value can take its
    /// place.
    pub(crate) const fn counts_as_absent(self) -> bool {
        matches!(self, Self::Blank | Self::Placeholder | Self::NoCookie)
    }
}

omissions! {
    // Personal data.
    Empty = "empty", "nothing is left after normalizing, and the hash of empty text would harm matching";
    TooLong = "too_long", "it is longer than any real value";
    Md5Hash = "md5_hash", "it looks like an MD5 hash; Meta matches SHA-256 only";
    NotAnEmail = "not_an_email", "it does not look like an e-mail address";
    NotAPhone = "not_a_phone", "it holds no phone number";
    NoCountryCode = "no_country_code", "the number has no country code, and neither the address nor `default_country` gives one";
    ImpossibleNumber = "impossible_number", "the number does not exist in the numbering plan of any country";
    NotAGender = "not_a_gender", "it is not a known word for female or male";
    NotABirthDate = "not_a_date", "it does not look like a date";
    IncompleteDate = "incomplete_date", "the date lacks a day, a month or a four-digit year";
    AmbiguousDate = "ambiguous_date", "day and month could be either way round; send the date as YYYY-MM-DD";
    ImpossibleDate = "impossible_date", "the date is not in the calendar, before 1900 or in the future";
    NoLetter = "no_letter", "a place name needs at least one letter";
    NotAUsZip = "not_a_us_zip", "a ZIP code of the United States begins with five digits";
    UnknownCountry = "unknown_country", "no country in ISO 3166-1 has this code or name";
    NotAnIp = "not_an_ip", "it is not an IP address";
    PrivateIp = "private_ip", "the address is private or local, so it is not the visitor's own";
    // Ids of browsers and clicks.
    MalformedCookie = "malformed_cookie", "the cookie is not of the form `fb.<index>.<milliseconds>.<payload>`";
    NoCookie = "no_cookie", "the cookies there have none of this name";
    MalformedClickId = "malformed_click_id", "the click id is not in the form that Meta issues";
    ClickTooOld = "click_too_old", "the click is older than 90 days";
    ClickInFuture = "click_in_future", "the click is later than the event";
    // Any parameter.
    DigitsLost = "digits_lost", "it was written as a floating-point number, which has lost its last digits; send it as text";
    Placeholder = "placeholder", "it is a word that senders write for a missing value";
    Blank = "blank", "it has nothing but white space and control characters";
    WrongType = "wrong_type", "this parameter does not take this kind of JSON value";
    NotText = "not_text", "its JSON escapes do not decode to valid text";
    NotANumber = "not_a_number", "it cannot be read as a number";
    NotAnInteger = "not_an_integer", "it is not a whole number of zero or more";
    NotAnAmount = "not_an_amount", "it cannot be read as an amount of money";
    NotACurrency = "not_a_currency", "it is not an ISO 4217 currency code that Meta accepts";
    NotABoolean = "not_a_boolean", "it is neither true nor false";
    NotAnAnswer = "not_an_answer", "it says neither that tracking is allowed nor that it is not";
    NotAllowed = "not_an_allowed_value", "it is not one of the values that Meta documents";
    NotADate = "not_a_date", "it is in none of the date formats that Meta documents";
    NotADay = "not_a_day", "it is not a day in the form YYYY-MM-DD";
    NotATime = "not_a_time", "it is neither ISO 8601 or RFC 2822 nor a Unix time";
    AmbiguousTime = "ambiguous_time", "day and month could be either way round; send the time as YYYY-MM-DDThh:mm:ssZ";
    InFuture = "in_future", "it is more than ten minutes in the future";
    NotAYear = "not_a_year", "a year has four digits";
    NotAUrl = "not_a_url", "it is not an absolute URL";
    NotDigits = "not_digits", "an id has digits only, 24 at most";
    NotALeadId = "not_a_lead_id", "a lead id has 15 to 17 digits";
    NotAStoreCode = "not_a_store_code", "a store code has letters and digits only, 64 at most";
    // Parameters that depend on others.
    NotAPlatform = "not_a_platform", "app events carry device information for Android and iOS only";
    NoDevice = "no_device", "an all-zero id means device tracking is off";
    NotIos = "not_ios", "only iOS devices have a vendor id";
    NotAWish = "not_a_wish", "it is neither a wish for limited data use nor an empty list";
    NoPlace = "no_place", "it names neither a website nor an app";
    NotLimited = "not_limited", "country and state apply only where data use is limited";
    NoCurrency = "no_currency", "an amount has no meaning without a currency";
    NotJson = "not_json", "the text begins like JSON, but is not";
    NoId = "no_id", "an item without an id is not accepted by Meta";
    NotAQuantity = "not_a_quantity", "it cannot be read as a number of items, so the item is not in `contents`";
    NegativeQuantity = "negative_quantity", "an item with a quantity below zero was returned, not bought; it is omitted";
    UnknownCount = "unknown_count", "the quantity of some item cannot be read, so the items cannot be counted";
    ConflictingCurrencies = "conflicting_currencies", "the items have different currencies, and the event has none";
    UnlikeItems = "unlike_items", "the items belong to catalogs of different kinds";
    NotForThisEvent = "not_for_this_event", "on this event Meta does not take the parameter";
    PerhapsAPerson = "perhaps_a_person", "beside an e-mail address or another trait it could be a person's name; send `title`, or the item in `products`";
    AnEmail = "an_email", "it contains an e-mail address, which Meta must receive hashed or not at all";
    APhone = "a_phone", "it contains a phone number, which Meta must receive hashed or not at all";
    AToken = "a_token", "it contains a token or a password, which must not leave";
    PersonsKey = "a_persons_key", "its key says that it is about a person, and this parameter is not hashed";
    TooMany = "too_many", "only the first 2000 items are sent";
    TooManyValues = "too_many", "only the first 16 values of a list are sent";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_detail_starts_in_lower_case_without_a_full_stop_and_is_unique() {
        let mut details = HashSet::new();
        for omitted in Omitted::ALL {
            let (code, detail) = (omitted.code(), omitted.detail());
            let starts_low = detail.starts_with(|c: char| c.is_ascii_lowercase());
            assert!(starts_low && !detail.ends_with('.'), "{detail}");
            let is_code = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            assert!(code.bytes().all(is_code), "{code}");
            assert!(details.insert(detail), "{detail}");
        }
    }
}
