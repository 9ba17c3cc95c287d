//! `custom_data`: what was done, for how much. Own keys are allowed here, so only the keys below are checked; money comes
//! with its currency. <https://developers.facebook.com/documentation/ads-commerce/conversions-api/parameters/custom-data>

use super::value::{is_currency, is_date, is_store_code, is_travel_date, is_trim, is_year};
use super::{CUSTOMER_SEGMENTATION, Field, Kind, Section, missing};
use crate::json::Json;
use crate::refusal::{Subcode, Violation};

const DELIVERY_CATEGORY: Kind = Kind::OneOf(&["in_store", "curbside", "home_delivery"]);
const DATE: Kind = Kind::Which(is_date);

/// Where Meta publishes a closed list of words, other words are refused; a list that it leaves open is not checked.
pub(super) const CUSTOM_DATA: Section = Section {
    fields: FIELDS,
    closed: false,
    tolerates_null: false,
};

const FIELDS: &[Field] = &[
    Field::new("value", Kind::Number),
    // Which subcode a bad currency has depends on the event: `check_money` decides.
    Field::new("currency", Kind::Any),
    Field::new("content_ids", Kind::ListOf(&Kind::Id)),
    Field::new("contents", Kind::Sections(&CONTENT)).or(Subcode::Contents),
    Field::new("content_type", Kind::FilledText),
    Field::new("content_name", Kind::Text),
    Field::new("content_category", Kind::Text),
    Field::new("order_id", Kind::Text),
    Field::new("num_items", Kind::Integer),
    Field::new("search_string", Kind::Text),
    Field::new(
        "status",
        Kind::Which(|value| Kind::Bool.check(value) || Kind::Text.check(value)),
    ),
    Field::new("predicted_ltv", Kind::Number),
    Field::new("delivery_category", DELIVERY_CATEGORY),
    Field::new("item_number", Kind::Text),
    Field::new("net_revenue", Kind::Number),
    Field::new("lead_event_source", Kind::Text),
    Field::new("event_source", Kind::Text),
    Field::new("product_catalog_id", Kind::Id),
    Field::new("user_bucket", Kind::Text),
    Field::new("store_data", Kind::Section(&STORE_DATA)),
    Field::new("description", Kind::Text),
    Field::new("level", Kind::Text),
    Field::new("max_rating_value", Kind::Integer),
    Field::new("success", Kind::Flag),
    Field::new("customer_segmentation", CUSTOMER_SEGMENTATION),
    // Travel
    Field::new("checkin_date", Kind::Which(is_travel_date)),
    Field::new(
        "travel_class",
        Kind::OneOf(&["economy", "premium", "business", "first"]),
    ),
    // Automotive
    Field::new("year", Kind::Which(is_year)),
    Field::new("trim", Kind::Which(is_trim)),
    Field::new("body_style", Kind::OneOf(BODY_STYLES)),
    Field::new(
        "drivetrain",
        Kind::OneOf(&["4X2", "4X4", "AWD", "FWD", "RWD", "OTHER", "NONE"]),
    ),
    Field::new("fuel_type", Kind::OneOf(FUEL_TYPES)),
    Field::new(
        "transmission",
        Kind::OneOf(&["AUTOMATIC", "MANUAL", "OTHER", "NONE"]),
    ),
    // Real estate
    Field::new("availability", Kind::OneOf(AVAILABILITIES)),
    Field::new("listing_type", Kind::OneOf(LISTING_TYPES)),
    Field::new(
        "property_type",
        Kind::OneOf(&[
            "apartment",
            "condo",
            "house",
            "land",
            "manufactured",
            "other",
            "townhouse",
        ]),
    ),
    Field::new("lease_start_date", DATE),
    Field::new("lease_end_date", DATE),
];

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

const CONTENT: Section = Section::closed(&[
    Field::required("id", Kind::FilledText).or(Subcode::Contents),
    Field::required("quantity", Kind::Integer),
    Field::new("item_price", Kind::Number),
    Field::new("delivery_category", DELIVERY_CATEGORY),
    Field::new("title", Kind::Text),
    Field::new("description", Kind::Text),
    Field::new("brand", Kind::Text),
    Field::new("category", Kind::Text),
    // The page on offline events recommends it in place of `item_price`.
    Field::new("price", Kind::Number),
]);

const STORE_DATA: Section = Section::closed(&[
    Field::new("store_page_id", Kind::Id),
    Field::new("brand_page_id", Kind::Id),
    Field::new("store_code", Kind::Which(is_store_code)),
]);

/// Money: a Purchase has value and currency, an order has a currency, and so has a value where `value_needs_currency`.
pub(super) fn check_money(
    name: &str,
    custom_data: Option<&Json>,
    value_needs_currency: bool,
) -> Result<(), Violation> {
    const PATH: &str = "['custom_data']";
    let value = custom_data.and_then(|data| data.get("value"));
    let currency = custom_data.and_then(|data| data.get("currency"));
    let is_purchase = name == "Purchase";
    match (value, currency) {
        (None, _) if is_purchase => Err(missing(Subcode::PurchaseWithoutValue, PATH, "value")),
        (_, None) if is_purchase => {
            Err(missing(Subcode::PurchaseWithoutCurrency, PATH, "currency"))
        }
        (_, None) if name == "OrderCreated" => {
            Err(missing(Subcode::OrderWithoutCurrency, PATH, "currency"))
        }
        (Some(_), None) if value_needs_currency => {
            Err(missing(Subcode::ValueWithoutCurrency, PATH, "currency"))
        }
        (_, Some(currency)) if !is_currency(currency) => {
            let subcode = if is_purchase {
                Subcode::PurchaseCurrency
            } else {
                Subcode::Parameter
            };
            Err(Violation::new(
                subcode,
                format!("{PATH}['currency']"),
                "Malformed or unsupported `currency`",
            ))
        }
        _ => Ok(()),
    }
}
