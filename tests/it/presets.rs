//! Every row of every preset's table, held against the tables as they were asked for.

use crate::{build, event, outcome};
use serde_json::{Value, json};

/// Names that mean the same everywhere, so that every preset knows them: those of GA4 in the tables. Meta's own are known as well.
const COMMON: [&str; 9] = [
    "page_view",
    "view_item",
    "search",
    "add_to_wishlist",
    "add_to_cart",
    "begin_checkout",
    "add_payment_info",
    "purchase",
    "generate_lead",
];

/// Event name (`page` is the type) and Meta's name, per preset.
const TABLES: &[(&str, &[(&str, &str)])] = &[
    (
        "retail",
        &[
            ("page", "PageView"),
            ("Products Searched", "Search"),
            ("Product Viewed", "ViewContent"),
            ("Product Added to Wishlist", "AddToWishlist"),
            ("Product Added", "AddToCart"),
            ("Checkout Started", "InitiateCheckout"),
            ("Payment Info Entered", "AddPaymentInfo"),
            ("Order Completed", "Purchase"),
            ("Lead Submitted", "Lead"),
            ("page_view", "PageView"),
            ("view_item", "ViewContent"),
            ("search", "Search"),
            ("product_searched", "Search"),
            ("add_to_wishlist", "AddToWishlist"),
            ("add_to_cart", "AddToCart"),
            ("begin_checkout", "InitiateCheckout"),
            ("add_payment_info", "AddPaymentInfo"),
            ("purchase", "Purchase"),
            ("generate_lead", "Lead"),
        ],
    ),
    (
        "travel",
        &[
            ("page", "PageView"),
            ("Destination Searched", "Search"),
            ("Listing Viewed", "ViewContent"),
            ("Listing Saved", "AddToWishlist"),
            ("Booking Started", "InitiateCheckout"),
            ("Payment Info Entered", "AddPaymentInfo"),
            ("Booking Completed", "Purchase"),
            ("Lead Submitted", "Lead"),
        ],
    ),
    (
        "b2b_saas",
        &[
            ("page", "PageView"),
            ("Signed Up", "CompleteRegistration"),
            ("Lead Submitted", "Lead"),
            ("Contact Requested", "Contact"),
            ("Trial Started", "StartTrial"),
            ("Subscription Started", "Subscribe"),
            ("Application Submitted", "SubmitApplication"),
            ("Donation Made", "Donate"),
        ],
    ),
    (
        "automotive",
        &[
            ("page", "PageView"),
            ("vehicle_searched", "Search"),
            ("vehicle_viewed", "ViewContent"),
            ("vehicle_compared", "ViewContent"),
            ("vehicle_saved", "AddToWishlist"),
            ("brochure_downloaded", "Download"),
            ("finance_quote_requested", "Lead"),
            ("trade_in_valued", "Lead"),
            ("test_drive_booked", "Schedule"),
            ("service_appointment_booked", "Schedule"),
            ("dealer_contacted", "Contact"),
        ],
    ),
    (
        "meta_capi",
        &[
            ("page", "PageView"),
            ("Products Searched", "Search"),
            ("Product Viewed", "ViewContent"),
            ("Product Added", "AddToCart"),
            ("Checkout Started", "InitiateCheckout"),
            ("Payment Info Entered", "AddPaymentInfo"),
            ("Order Completed", "Purchase"),
        ],
    ),
];

fn call(name: &str) -> Value {
    let mut call = json!({
        "type": if name == "page" { "page" } else { "track" },
        "messageId": "m-1",
        "timestamp": "2026-01-15T11:00:00.000Z",
        "userId": "u-1",
        "properties": { "total": 10, "currency": "EUR" },
        "context": { "consent": { "canonical": { "marketing": true } } },
    });
    if name != "page" {
        call["event"] = name.into();
    }
    call
}

/// The same name as other systems spell it.
fn spellings(name: &str) -> [String; 4] {
    let words: Vec<String> = name.split([' ', '_']).map(str::to_lowercase).collect();
    let capital = |word: &String| word[..1].to_uppercase() + &word[1..];
    let camel: String = words.iter().skip(1).map(capital).collect();
    [
        words.join("_"),
        words.join("-").to_uppercase(),
        words.iter().map(capital).collect::<Vec<_>>().join(" "),
        words[0].clone() + &camel,
    ]
}

#[tokio::test]
async fn every_row_maps_in_every_spelling() {
    for (preset, rows) in TABLES {
        let sink = build(&json!({ "preset": preset })).await;
        for (from, to) in *rows {
            for name in std::iter::once((*from).to_owned()).chain(spellings(from)) {
                let call = if *from == "page" {
                    call("page")
                } else {
                    call(&name)
                };
                let outcome = outcome(&sink.encode(&event(&call)));
                assert_eq!(
                    outcome["event"]["event_name"], *to,
                    "{preset}: {name}: {outcome}"
                );
            }
        }
    }
}

#[tokio::test]
async fn no_preset_maps_more_than_its_table_and_what_means_the_same_everywhere() {
    for (preset, rows) in TABLES {
        let sink = build(&json!({ "preset": preset })).await;
        let others = TABLES
            .iter()
            .flat_map(|(_, rows)| rows.iter().map(|(from, _)| *from));
        for other in others.filter(|other| rows.iter().all(|(from, _)| from != other)) {
            let outcome = outcome(&sink.encode(&event(&call(other))));
            let is_known = outcome["reason"] != "unmapped";
            assert_eq!(is_known, COMMON.contains(&other), "{preset}: {other}");
        }
    }
}

#[tokio::test]
async fn a_screen_call_counts_as_a_page_and_other_calls_are_no_conversions() {
    let sink = build(&json!({})).await;
    for (kind, expected) in [
        ("screen", json!("mapped")),
        ("page", json!("mapped")),
        ("identify", json!("filtered")),
        ("group", json!("filtered")),
        ("alias", json!("filtered")),
    ] {
        let mut call = call("page");
        call["type"] = kind.into();
        let outcome = outcome(&sink.encode(&event(&call)));
        assert_eq!(outcome["outcome"], expected, "{kind}");
        if expected == "filtered" {
            assert_eq!(outcome["reason"], "not_a_conversion");
        }
    }
}
