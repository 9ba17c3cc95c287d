//! The reference input: purchases with full identity, in `traits` and again in `context.traits`, as trackers send them;
//! with three products 2.2 KB each. The same for the same number.

use serde::Serialize as _;
use serde_json::ser::Formatter;
use serde_json::{Serializer, Value, json};
use std::io::{self, Write};

const FIRST: &[&str] = &[
    "Mary", "John", "Søren", "José", "Zoë", "Chloé", "Liam", "Olivia", "Noah", "Emma", "Aisha",
    "Wei", "Yuki", "Ivan",
];
const LAST: &[&str] = &[
    "Smith",
    "O'Brien",
    "Garcia-Lopez",
    "Müller",
    "Nguyen",
    "Jones",
    "Brown",
    "Taylor",
    "Ivanov",
    "van der Berg",
];
/// City, state, postcode, country, phone without its last four digits.
const PLACES: &[(&str, &str, &str, &str, &str)] = &[
    ("Menlo Park", "CA", "94025", "US", "+1 (650) 555-"),
    ("New York", "New York", "10001-1234", "US", "1-212-555-"),
    ("London", "England", "SW1A 1AA", "GB", "+44 20 7183 "),
    ("São Paulo", "SP", "01310-100", "BR", "+55 11 5555-"),
    ("Berlin", "Berlin", "10115", "DE", "+49 30 5555 "),
];
/// Characters of a click id after its first four.
const CLICK_ID_CHARS: usize = 57;
const USER_AGENT: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";

/// Numbers that look random and are the same on every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or(0)]
    }

    fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }
}

/// The purchase of this number, with so many products, that happened a little before `now_ms`.
pub(crate) fn purchase(number: u64, products: u64, now_ms: i64) -> String {
    let mut numbers = Numbers(number);
    let (city, state, zip, country, phone) = numbers.pick(PLACES);
    let (first, last) = (numbers.pick(FIRST), numbers.pick(LAST));
    let ascii = |text: &str| {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
    };
    let at_ms = now_ms - 3_600_000 + i64::try_from(numbers.below(3_000_000)).unwrap_or(0);
    let time = jiff::Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| String::new(), |t| format!("{t:.3}"));
    let mut cents = 0;
    let items: Vec<Value> = (0..products)
        .map(|i| {
            let (price, quantity) = (100 + numbers.below(20_000), 1 + numbers.below(4));
            cents += price * quantity;
            json!({
                "product_id": format!("SKU-{:05}", numbers.below(100_000)), "sku": format!("S{:05}", numbers.below(100_000)),
                "name": format!("Product {i}"), "price": amount(price), "quantity": quantity,
                "category": format!("Cat{}", numbers.below(9)), "brand": "Acme",
            })
        })
        .collect();
    let traits = json!({
        "email": format!("  {}.{}{number}@Example.COM ", ascii(first), ascii(last)),
        "phone": format!("{phone}{:04}", number % 10_000), "firstName": first, "lastName": last,
        "birthday": format!("1979-12-{:02}", number % 28 + 1), "gender": numbers.pick(&["male", "Female", "f", "m"]),
        "address": { "city": city, "state": state, "postalCode": zip, "zip": zip, "country": country },
    });
    let fbp = format!(
        "fb.1.{}.{}",
        at_ms - 86_400_000,
        1_000_000_000 + numbers.below(8_999_999_999)
    );
    let click = format!("{}_{}", numbers.uuid(), numbers.uuid());
    let fbc = format!(
        "fb.1.{}.IwAR{}",
        at_ms - 3_600_000,
        &click[..CLICK_ID_CHARS]
    );
    let total = amount(cents);
    written(&json!({
        "type": "track", "event": "Order Completed", "messageId": numbers.uuid(),
        "timestamp": time, "originalTimestamp": time, "sentAt": time,
        "userId": format!("user_{}", 100_000 + number), "anonymousId": numbers.uuid(), "channel": "web",
        "properties": {
            "order_id": format!("ORD-{number:07}"), "total": total, "revenue": total, "value": total, "currency": "USD",
            "fbp": fbp, "fbc": fbc, "coupon": "SUMMER", "products": items,
        },
        "context": {
            "ip": format!("203.0.113.{}", number % 250 + 1), "userAgent": USER_AGENT, "locale": "en-US",
            "fbp": fbp, "fbc": fbc,
            "page": {
                "url": format!("https://shop.example.com/checkout/complete?order={number}"), "path": "/checkout/complete",
                "referrer": "https://shop.example.com/checkout", "title": "Order confirmation", "search": "",
            },
            "traits": traits,
            "consent": {
                "categories": { "marketing": true },
                "canonical": { "essential": true, "analytics": true, "marketing": true },
            },
        },
        "traits": traits,
    }))
}

/// With a space behind each colon and comma, as Python writes JSON: the form of the peers' input.
fn written(event: &Value) -> String {
    struct Spaced;
    impl Formatter for Spaced {
        fn begin_array_value<W: ?Sized + Write>(
            &mut self,
            out: &mut W,
            first: bool,
        ) -> io::Result<()> {
            out.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_key<W: ?Sized + Write>(
            &mut self,
            out: &mut W,
            first: bool,
        ) -> io::Result<()> {
            out.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
            out.write_all(b": ")
        }
    }
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, Spaced);
    event
        .serialize(&mut serializer)
        .expect("a vector takes all");
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn amount(cents: u64) -> Value {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    serde_json::from_str(&text).unwrap_or(Value::Null)
}
