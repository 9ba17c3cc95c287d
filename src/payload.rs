//! The parameters of a server event, in Meta's words and in the order in which they are written.
//!
//! One table ([`PARAMETERS`]) says where each parameter is and which values it takes. Everything that names a
//! parameter (mappings, configuration checks, explanations, documentation) goes through this table.
//!
//! Source: Conversions API, "Main body", "Server event", "Customer information", "Custom data" parameters.

pub(crate) mod action_source;
pub(crate) mod identifiers;
pub(crate) mod rule;
pub(crate) mod strength;

use crate::identity::Field;
use action_source::{ActionSource, MessagingChannel};

/// A parameter of a server event, or one of the few values from which others are made and which are not sent
/// ([`Section::Source`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// As mappings name it: `user_data.em`, `custom_data.contents[].id`, `event_id`.
    pub(crate) name: &'static str,
    /// As Meta names it.
    pub(crate) key: &'static str,
    pub(crate) section: Section,
    pub(crate) kind: Kind,
}

/// The part of a server event that a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    /// Read by other parameters, not sent.
    Source,
    /// At the top of the event.
    Event,
    UserData,
    /// In `app_data.extinfo`, a list in which the position says what a value means.
    ExtInfo,
    AppData,
    OriginalEventData,
    CustomData,
    /// In each element of `custom_data.contents`.
    Contents,
    /// In `custom_data.store_data`.
    StoreData,
}

/// What a parameter holds, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Normalized and hashed, always a list.
    Hashed(Field),
    ExternalId,
    ClientIp,
    BrowserId,
    ClickId,
    /// Unix seconds, from ISO 8601 or a number.
    EventTime,
    /// The address of a page.
    Url,
    /// Text up to [`MAX_TEXT_BYTES`].
    Text,
    /// A list of ids, also as JSON text or separated by commas or semicolons.
    IdList,
    /// Text that identifies somebody or something; a word for a missing value is omitted.
    Identifier,
    /// As [`Kind::Identifier`], of an item of a catalog.
    ItemId,
    /// The name and the versions of a browser; a word for a missing value is omitted.
    Browser,
    /// The id of a device; an all-zero id is omitted.
    DeviceId,
    /// Text up to this many characters; longer text is cut off.
    TextUpTo(usize),
    /// Digits, written as text so that no receiver rounds them.
    Digits,
    /// 15 to 17 digits: Meta refuses an event with a lead id of another form.
    LeadId,
    TextList,
    Number,
    /// An amount of money, also as people write it.
    Money,
    Integer,
    /// How many of an item: a whole number; a fraction is rounded up.
    Quantity,
    /// A year of four digits.
    Year,
    Boolean,
    /// `true`, `false` or a word.
    Status,
    Currency,
    /// One of these words, read in any case, written as here.
    OneOf(&'static [&'static str]),
    /// One of Meta's four date formats.
    Date,
    /// `YYYY-MM-DD` only.
    Day,
    /// A whole number, written as text.
    Count,
    /// The operating system that an app runs on: Meta's `a2` or `i2`, from the system's name.
    Platform,
    /// Whether tracking is allowed: true or false, or the answer to Apple's question in Apple's words.
    Tracking,
    /// Letters and digits, up to [`MAX_STORE_CODE_CHARS`].
    StoreCode,
    /// An amount and its currency in one text: `25000.00 USD`.
    Price,
    /// Any JSON scalar or list of scalars.
    Scalar,
    DataProcessingOptions,
    /// The list of items: its mapping says where to look for them.
    Items,
    /// A value from which others are made: see the parameter's name.
    Source,
}

/// Longest text value, in bytes. Meta publishes no limit; no real value is longer.
pub(crate) const MAX_TEXT_BYTES: usize = 4_096;

/// Longest event name, in characters, as the Pixel reference states for custom events.
pub(crate) const MAX_EVENT_NAME_CHARS: usize = 50;

/// Most values of one field: more than a person has addresses.
pub(crate) const MAX_VALUES: usize = 16;

/// Longest trim of a vehicle, in characters.
const MAX_TRIM_CHARS: usize = 50;

/// Longest code of a store, in characters.
pub(crate) const MAX_STORE_CODE_CHARS: usize = 64;

const CUSTOMER_SEGMENTS: &[&str] = &[
    "new_customer_to_business",
    "new_customer_to_business_line",
    "new_customer_to_product_area",
    "new_customer_to_medium",
    "existing_customer_to_business",
    "existing_customer_to_business_line",
    "existing_customer_to_product_area",
    "existing_customer_to_medium",
    "customer_in_loyalty_program",
];

/// The kinds of catalogs, from Meta's pages about ads for each of them. Without a type Meta matches any item with the same id.
const CONTENT_TYPES: &[&str] = &[
    "product",
    "product_group",
    "hotel",
    "flight",
    "destination",
    "vehicle",
    "vehicle_offer",
    "home_listing",
    "automotive_model",
    "media_title",
    "offline_product",
    "generic",
    "local_service_business",
];

const DELIVERY_CATEGORIES: &[&str] = &["in_store", "curbside", "home_delivery"];
const TRAVEL_CLASSES: &[&str] = &["economy", "premium", "business", "first"];
const BODY_STYLES: &[&str] = &[
    "CONVERTIBLE",
    "COUPE",
    "HATCHBACK",
    "MINIVAN",
    "TRUCK",
    "SUV",
    "SEDAN",
    "VAN",
    "WAGON",
    "CROSSOVER",
    "OTHER",
];
const DRIVETRAINS: &[&str] = &["4X2", "4X4", "AWD", "FWD", "RWD", "OTHER", "NONE"];
const FUEL_TYPES: &[&str] = &[
    "DIESEL",
    "ELECTRIC",
    "FLEX",
    "GASOLINE",
    "HYBRID",
    "PETROL",
    "PLUGIN_HYBRID",
    "OTHER",
    "NONE",
];
const TRANSMISSIONS: &[&str] = &["AUTOMATIC", "MANUAL", "OTHER", "NONE"];
const AVAILABILITIES: &[&str] = &[
    "available_soon",
    "for_rent",
    "for_sale",
    "off_market",
    "recently_sold",
    "sale_pending",
];
const LISTING_TYPES: &[&str] = &[
    "for_rent_by_agent",
    "for_rent_by_owner",
    "for_sale_by_agent",
    "for_sale_by_owner",
    "foreclosed",
    "new_construction",
    "new_listing",
];
const PROPERTY_TYPES: &[&str] = &[
    "apartment",
    "condo",
    "house",
    "land",
    "manufactured",
    "other",
    "townhouse",
];

const fn source(name: &'static str) -> Parameter {
    Parameter {
        name,
        key: name,
        section: Section::Source,
        kind: Kind::Source,
    }
}

const fn event(name: &'static str, kind: Kind) -> Parameter {
    Parameter {
        name,
        key: name,
        section: Section::Event,
        kind,
    }
}

const fn within(section: Section, name: &'static str, key: &'static str, kind: Kind) -> Parameter {
    Parameter {
        name,
        key,
        section,
        kind,
    }
}

macro_rules! user {
    ($key:literal, $kind:expr) => {
        within(Section::UserData, concat!("user_data.", $key), $key, $kind)
    };
}

macro_rules! extinfo {
    ($key:literal, $kind:expr) => {
        within(
            Section::ExtInfo,
            concat!("app_data.extinfo.", $key),
            $key,
            $kind,
        )
    };
}

macro_rules! app {
    ($key:literal, $kind:expr) => {
        within(Section::AppData, concat!("app_data.", $key), $key, $kind)
    };
}

macro_rules! original {
    ($key:literal, $kind:expr) => {
        within(
            Section::OriginalEventData,
            concat!("original_event_data.", $key),
            $key,
            $kind,
        )
    };
}

macro_rules! custom {
    ($key:literal, $kind:expr) => {
        within(
            Section::CustomData,
            concat!("custom_data.", $key),
            $key,
            $kind,
        )
    };
}

macro_rules! content {
    ($key:literal, $kind:expr) => {
        within(
            Section::Contents,
            concat!("custom_data.contents[].", $key),
            $key,
            $kind,
        )
    };
}

macro_rules! store {
    ($key:literal, $kind:expr) => {
        within(
            Section::StoreData,
            concat!("custom_data.store_data.", $key),
            $key,
            $kind,
        )
    };
}

/// Every parameter, in the order of sending.
pub(crate) static PARAMETERS: &[Parameter] = &[
    source("source.full_name"),
    source("source.visitor_id"),
    source("source.click_id"),
    source("source.sent_at"),
    source("source.received_at"),
    source("source.original_time"),
    source("source.channel"),
    source("source.page"),
    source("source.library"),
    source("source.system"),
    source("source.app"),
    source("source.request_ip"),
    event("event_time", Kind::EventTime),
    event("event_id", Kind::Identifier),
    event("action_source", Kind::OneOf(ActionSource::WORDS)),
    event("messaging_channel", Kind::OneOf(MessagingChannel::WORDS)),
    event("event_source_url", Kind::Url),
    event("referrer_url", Kind::Url),
    event("opt_out", Kind::Boolean),
    event("data_processing_options", Kind::DataProcessingOptions),
    event("data_processing_options_country", Kind::Integer),
    event("data_processing_options_state", Kind::Integer),
    user!("em", Kind::Hashed(Field::Em)),
    user!("ph", Kind::Hashed(Field::Ph)),
    user!("fn", Kind::Hashed(Field::Fn)),
    user!("ln", Kind::Hashed(Field::Ln)),
    user!("ge", Kind::Hashed(Field::Ge)),
    user!("db", Kind::Hashed(Field::Db)),
    user!("ct", Kind::Hashed(Field::Ct)),
    user!("st", Kind::Hashed(Field::St)),
    user!("zp", Kind::Hashed(Field::Zp)),
    user!("country", Kind::Hashed(Field::Country)),
    user!("external_id", Kind::ExternalId),
    user!("client_ip_address", Kind::ClientIp),
    user!("client_user_agent", Kind::Browser),
    user!("fbc", Kind::ClickId),
    user!("fbp", Kind::BrowserId),
    user!("subscription_id", Kind::Identifier),
    user!("fb_login_id", Kind::Digits),
    user!("lead_id", Kind::LeadId),
    user!("anon_id", Kind::Identifier),
    user!("madid", Kind::DeviceId),
    user!("page_id", Kind::Digits),
    user!("page_scoped_user_id", Kind::Digits),
    user!("ctwa_clid", Kind::Identifier),
    user!("ig_account_id", Kind::Digits),
    user!("ig_sid", Kind::Digits),
    user!("whatsapp_business_account_id", Kind::Digits),
    extinfo!("version", Kind::Platform),
    extinfo!("package", Kind::Text),
    extinfo!("short_version", Kind::Text),
    extinfo!("long_version", Kind::Text),
    extinfo!("os_version", Kind::Text),
    extinfo!("device_model", Kind::Text),
    extinfo!("locale", Kind::Text),
    extinfo!("timezone_abbreviation", Kind::Text),
    extinfo!("carrier", Kind::Text),
    extinfo!("screen_width", Kind::Count),
    extinfo!("screen_height", Kind::Count),
    extinfo!("screen_density", Kind::Text),
    extinfo!("cpu_cores", Kind::Count),
    extinfo!("storage_gb", Kind::Count),
    extinfo!("free_storage_gb", Kind::Count),
    extinfo!("timezone", Kind::Text),
    app!("advertiser_tracking_enabled", Kind::Tracking),
    app!("application_tracking_enabled", Kind::Boolean),
    app!("campaign_ids", Kind::Text),
    app!("install_referrer", Kind::Text),
    app!("installer_package", Kind::Text),
    app!("url_schemes", Kind::TextList),
    app!("vendor_id", Kind::DeviceId),
    app!("windows_attribution_id", Kind::Text),
    original!("event_name", Kind::Text),
    original!("event_time", Kind::EventTime),
    original!("order_id", Kind::Identifier),
    original!("event_id", Kind::Identifier),
    custom!("contents[]", Kind::Items),
    content!("id", Kind::ItemId),
    content!("quantity", Kind::Quantity),
    content!("item_price", Kind::Money),
    content!("title", Kind::Text),
    content!("description", Kind::Text),
    content!("brand", Kind::Text),
    content!("category", Kind::Text),
    content!("delivery_category", Kind::OneOf(DELIVERY_CATEGORIES)),
    custom!("currency", Kind::Currency),
    custom!("value", Kind::Money),
    custom!("order_id", Kind::Identifier),
    custom!("content_ids", Kind::IdList),
    custom!("content_type", Kind::OneOf(CONTENT_TYPES)),
    custom!("content_name", Kind::Text),
    custom!("content_category", Kind::Text),
    custom!("num_items", Kind::Integer),
    custom!("search_string", Kind::Text),
    custom!("status", Kind::Status),
    custom!("predicted_ltv", Kind::Money),
    custom!("delivery_category", Kind::OneOf(DELIVERY_CATEGORIES)),
    custom!("item_number", Kind::Text),
    custom!("net_revenue", Kind::Money),
    custom!("event_source", Kind::Text),
    custom!("lead_event_source", Kind::Text),
    custom!("product_catalog_id", Kind::Digits),
    custom!("customer_segmentation", Kind::OneOf(CUSTOMER_SEGMENTS)),
    custom!("user_bucket", Kind::Text),
    custom!("description", Kind::Text),
    custom!("level", Kind::Text),
    custom!("max_rating_value", Kind::Integer),
    custom!("success", Kind::Boolean),
    custom!("checkin_date", Kind::Date),
    custom!("checkout_date", Kind::Date),
    custom!("city", Kind::Text),
    custom!("country", Kind::Text),
    custom!("region", Kind::Text),
    custom!("neighborhood", Kind::Text),
    custom!("origin_airport", Kind::Text),
    custom!("destination_airport", Kind::Text),
    custom!("destination_ids", Kind::IdList),
    custom!("departing_departure_date", Kind::Date),
    custom!("departing_arrival_date", Kind::Date),
    custom!("returning_departure_date", Kind::Date),
    custom!("returning_arrival_date", Kind::Date),
    custom!("hotel_score", Kind::Number),
    custom!("num_adults", Kind::Integer),
    custom!("num_children", Kind::Integer),
    custom!("num_infants", Kind::Integer),
    custom!("preferred_num_stops", Kind::Integer),
    custom!("preferred_star_ratings", Kind::Scalar),
    custom!("preferred_neighborhoods", Kind::Scalar),
    custom!("suggested_destinations", Kind::Scalar),
    custom!("suggested_hotels", Kind::Scalar),
    custom!("travel_class", Kind::OneOf(TRAVEL_CLASSES)),
    custom!("travel_start", Kind::Date),
    custom!("travel_end", Kind::Date),
    custom!("make", Kind::Text),
    custom!("model", Kind::Text),
    custom!("year", Kind::Year),
    custom!("trim", Kind::TextUpTo(MAX_TRIM_CHARS)),
    custom!("vin", Kind::Text),
    custom!("body_style", Kind::OneOf(BODY_STYLES)),
    custom!("condition_of_vehicle", Kind::Text),
    custom!("state_of_vehicle", Kind::Text),
    custom!("drivetrain", Kind::OneOf(DRIVETRAINS)),
    custom!("fuel_type", Kind::OneOf(FUEL_TYPES)),
    custom!("transmission", Kind::OneOf(TRANSMISSIONS)),
    custom!("exterior_color", Kind::Text),
    custom!("interior_color", Kind::Text),
    custom!("mileage.value", Kind::Number),
    custom!("mileage.unit", Kind::Text),
    custom!("price", Kind::Price),
    custom!("preferred_price_range", Kind::Scalar),
    custom!("postal_code", Kind::Text),
    custom!("dma_code", Kind::Text),
    custom!("suggested_vehicles", Kind::Scalar),
    custom!("availability", Kind::OneOf(AVAILABILITIES)),
    custom!("listing_type", Kind::OneOf(LISTING_TYPES)),
    custom!("property_type", Kind::OneOf(PROPERTY_TYPES)),
    custom!("lease_start_date", Kind::Day),
    custom!("lease_end_date", Kind::Day),
    custom!("preferred_baths_range", Kind::Scalar),
    custom!("preferred_beds_range", Kind::Scalar),
    custom!("suggested_home_listings", Kind::Scalar),
    custom!("suggested_jobs", Kind::Scalar),
    custom!("suggested_local_service_businesses", Kind::Scalar),
    custom!("suggested_location_based_items", Kind::Scalar),
    store!("store_page_id", Kind::Digits),
    store!("brand_page_id", Kind::Digits),
    store!("store_code", Kind::StoreCode),
];

/// A parameter of the table, by its place there. Ordered like the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ParameterId(u8);

impl ParameterId {
    /// Places for which a set of parameters has a bit.
    pub(crate) const MAX_PLACES: usize = 128;

    pub(crate) const PLATFORM: Self = Self::known("app_data.extinfo.version");
    pub(crate) const OS_VERSION: Self = Self::known("app_data.extinfo.os_version");
    pub(crate) const TRACKING_ENABLED: Self = Self::known("app_data.advertiser_tracking_enabled");
    pub(crate) const APP_TRACKING_ENABLED: Self =
        Self::known("app_data.application_tracking_enabled");
    pub(crate) const VENDOR_ID: Self = Self::known("app_data.vendor_id");
    pub(crate) const VALUE: Self = Self::known("custom_data.value");
    pub(crate) const CONTENT_NAME: Self = Self::known("custom_data.content_name");
    pub(crate) const ITEM_ID: Self = Self::known("custom_data.contents[].id");
    pub(crate) const ITEM_QUANTITY: Self = Self::known("custom_data.contents[].quantity");
    pub(crate) const ITEM_PRICE: Self = Self::known("custom_data.contents[].item_price");
    pub(crate) const ITEM_TITLE: Self = Self::known("custom_data.contents[].title");

    /// The parameter of this name, looked up at compile time.
    const fn known(name: &str) -> Self {
        let mut at = 0;
        while !is_same(PARAMETERS[at].name, name) {
            at += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a test counts them")]
        Self(at as u8)
    }

    /// The parameter of this name, if there is one.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let at = PARAMETERS.iter().position(|known| known.name == name)?;
        u8::try_from(at).ok().map(Self)
    }

    /// Its place in the table; below [`Self::MAX_PLACES`] for those of `user_data`.
    pub(crate) fn place(self) -> u8 {
        self.0
    }

    /// The positions of `app_data.extinfo`, in their order.
    pub(crate) fn extinfo() -> impl Iterator<Item = Self> {
        (0..=u8::MAX)
            .zip(PARAMETERS)
            .filter(|(_, parameter)| parameter.section == Section::ExtInfo)
            .map(|(place, _)| Self(place))
    }

    pub(crate) fn get(self) -> &'static Parameter {
        &PARAMETERS[self.0 as usize]
    }
}

/// Whether two texts are equal, at compile time.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_found_by_its_name_and_is_listed_once() {
        let last = PARAMETERS
            .iter()
            .rposition(|parameter| parameter.section == Section::UserData);
        assert!(
            last < Some(ParameterId::MAX_PLACES),
            "sets of identifiers have 128 bits"
        );
        assert!(PARAMETERS.len() <= 256, "an id is a byte");
        for (place, parameter) in PARAMETERS.iter().enumerate() {
            let id = ParameterId::named(parameter.name).expect("in the table");
            assert_eq!(id.0 as usize, place, "{} is listed twice", parameter.name);
        }
        assert_eq!(ParameterId::named("user_data.email"), None);
        let positions: Vec<_> = ParameterId::extinfo()
            .map(|position| position.get().key)
            .collect();
        assert_eq!(positions.len(), 16);
        assert_eq!((positions[0], positions[4]), ("version", "os_version"));
    }
}
