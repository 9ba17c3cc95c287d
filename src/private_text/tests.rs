//! Tests of what is found, and of what is not.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const IN_WORDS: &[(&str, Private)] = &[
    ("mary@example.com", Private::Email),
    ("orders of Mary@x.example", Private::Email),
    ("<Mary.Smith+tag@sub.example.co.uk>,", Private::Email),
    ("\"mary smith\"@example.com", Private::Email),
    ("mary@bücher.example", Private::Email),
    ("mary@xn--bcher-kva.example", Private::Email),
    ("mary＠example．com", Private::Email),
    ("mary﹫example。com", Private::Email),
    ("mary\u{200b}@\u{200b}example.com", Private::Email),
    ("mary@example\u{200b}.com", Private::Email),
    ("mary (at) example (dot) com", Private::Email),
    ("mary[AT]example.com", Private::Email),
    ("mary{at}example{dot}com", Private::Email),
    ("mary @ example.com", Private::Email),
    ("mary%40example.com", Private::Email),
    ("mary%2540example.com", Private::Email),
    ("mary%25252540example.com", Private::Email),
    ("%6D%61%72%79%40example.com", Private::Email),
    ("mary%EF%BC%A0example.com", Private::Email),
    ("mary&#64;example.com", Private::Email),
    ("mary&commat;example.com", Private::Email),
    ("mary&#x40;example&period;com", Private::Email),
    ("mary\\u0040example.com", Private::Email),
    ("mary\\x40example.com", Private::Email),
    ("bWFyeUBleGFtcGxlLmNvbQ==", Private::Email),
    ("bWFyeUBleGFtcGxlLmNvbQ", Private::Email),
    ("bWFyee+8oGV4YW1wbGUuY29t", Private::Email),
    ("bWFyee-8oGV4YW1wbGUuY29t", Private::Email),
    ("of bWFyeUBleGFtcGxlLmNvbQ%3D%3D", Private::Email),
    ("YldGeWVVQmxlR0Z0Y0d4bExtTnZiUT09", Private::Email),
    ("+4915112345678", Private::Phone),
    ("call +49 (0)151 12345678 now", Private::Phone),
    ("＋４９１５１１２３４５６７８", Private::Phone),
    ("%2B4915112345678", Private::Phone),
    ("&#43;49 151 12345678", Private::Phone),
    ("KzQ5MTUxMTIzNDU2Nzg=", Private::Phone),
    ("+1 (650) 253-0000, evenings", Private::Phone),
    ("tel:015112345678", Private::Phone),
    ("Phone: 015112345678", Private::Phone),
    ("WhatsApp 4915112345678", Private::Phone),
    ("(650) 253-0000", Private::Phone),
    ("650-253-0000", Private::Phone),
    ("650.253.0000 or mail", Private::Phone),
    ("1 650 253 0000", Private::Phone),
    ("0151 12345678", Private::Phone),
    ("0151/12345678", Private::Phone),
    ("06 12 34 56 78", Private::Phone),
    ("(020) 7946 0018", Private::Phone),
    ("0049 151 12345678", Private::Phone),
    (
        "EAABsbCS1iHgBAKZCq2xZB0ZAexample0ZBqZAfexample0abcdef",
        Private::Token,
    ),
    ("Bearer abcdefghijklmnopqrstuvwxyz", Private::Token),
    (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        Private::Token,
    ),
];

#[test]
fn what_must_not_leave_is_found_in_words_however_it_is_encoded() {
    for (text, expected) in IN_WORDS {
        assert_eq!(found(text, Use::Words), Some(*expected), "{text}");
    }
    let mut nested = "mary@example.com".to_owned();
    for _ in 0..20 {
        nested = nested.replace('%', "%25").replace('@', "%40");
        assert_eq!(found(&nested, Use::Words), Some(Private::Email), "{nested}");
    }
}

#[test]
fn an_id_is_private_with_an_address_or_a_number_that_no_code_looks_like() {
    for of in [Use::Id, Use::ItemId] {
        for (text, expected) in [
            ("mary@example.com", Private::Email),
            ("order-mary@example.com-17", Private::Email),
            ("mary＠example.com", Private::Email),
            ("bWFyeUBleGFtcGxlLmNvbQ==", Private::Email),
            ("mary%40example.com", Private::Email),
            ("+4915112345678", Private::Phone),
            ("wa_+4915112345678", Private::Phone),
            ("tel:+4915112345678", Private::Phone),
            ("(650) 253-0000", Private::Phone),
            (
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
                Private::Token,
            ),
        ] {
            assert_eq!(found(text, of), Some(expected), "{text}");
        }
    }
    assert_eq!(found("650-253-0000", Use::Id), Some(Private::Phone));
    assert_eq!(found("650-253-0000", Use::ItemId), None);
}

#[test]
fn what_only_looks_a_little_like_it_may_leave() {
    for text in [
        "10012345678",
        "4915112345678",
        "4006381333931",
        "550e8400-e29b-41d4-a716-446655440000",
        "2026-01-15T12:00:00+01:00",
        "2026-01-15 12:00:00",
        "01/02/2026 14:30",
        "01.02.2026 14:30",
        "1768478400.123456789",
        "112-1234567-1234567",
        "Mug @ home",
        "2 for 1 @ 9.99",
        "logo@2x.png",
        "@mary",
        "npm install left-pad@1.3.0",
        "100% cotton (L)",
        "50%25 off",
        "H&M; Tops",
        "C++ 17",
        "Café au lait 500 g",
        "Größe 38 40 42 44 46 48",
        "iPhone 15 128 GB 2026",
        "ISBN 978-3-16-148410-0",
        "192.168.100.200",
        "Basic Instinct (1992)",
        "SG.1",
        "EAA123",
        "ABCDEFGHIJKLMNOPQRSTUVWX",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0",
        "",
        "+",
        "%",
        "@",
        "&;",
        "\\u",
        "(at",
        "é",
    ] {
        for of in [Use::Words, Use::Id, Use::ItemId, Use::Browser] {
            assert_eq!(found(text, of), None, "{text}");
        }
    }
}

/// Numbers as a linear congruential generator makes them, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// The pattern with a digit for each `9`, a capital for each `A`, a letter for each `a`, and a digit in hex for each `f`.
    fn fill(&mut self, pattern: &str) -> String {
        let mut one_of = |set: &[u8]| {
            let place = self.below(set.len() as u64);
            char::from(set[usize::try_from(place).expect("small")])
        };
        let filled = pattern.chars().map(|c| match c {
            '9' => one_of(b"0123456789"),
            'A' => one_of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
            'a' => one_of(b"abcdefghijklmnopqrstuvwxyz"),
            'x' => one_of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            'f' => one_of(b"0123456789abcdef"),
            other => other,
        });
        filled.collect()
    }
}

/// Forms of ids and codes as shops, clouds and standards make them.
const IDS: &[&str] = &[
    "999999",
    "99999999",
    "9999999999",
    "10099999999",
    "9999999999999",
    "0999999999",
    "4999999999999",
    "#99999",
    "AAA-99999",
    "AA999999",
    "AAA-999-99-A",
    "SKU-9999-99",
    "sku_aaaa_9999",
    "99-9999-999",
    "999-9999999-9999999",
    "9999-99-99-9999",
    "4711-0815-99",
    "999.999.99",
    "99999/99",
    "A99-999-9999",
    "999-999-9999-9",
    "020-9999-9999",
    "ffffffff-ffff-4fff-8fff-ffffffffffff",
    "ffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffff",
    "xxxxxxxxxxx",
    "xxxxxxxxxxxxxxxxxxxxx",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "ord_xxxxxxxxxxxxxxxx",
    "pi_9Axxxxxxxxxxxxxxxxxxxxxx",
    "gid://shopify/Order/9999999999999",
    "99999999999999.9999999999",
    "17684784999.999",
    "2026-01-15T12:99:99Z",
    "1768478499999",
    "GA1.2.999999999.1768478499",
    "AAAA-AAAA-9999",
    "99999999-A",
    "(99) AAA-9999",
    "aaaa+9999",
    "AA+99",
    "99999+99",
    "01AAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAA",
    "AAAAAAAAAAAA",
    "978-9-99-999999-9",
    "9.999.999-9",
    "aaaa:9999:ffff",
    "shopify_US_9999999999999_99999999999999",
];

/// Forms of words as people write them in catalogs and searches.
const WORDS: &[&str] = &[
    "Aaaaa aaaa (99 aa)",
    "Aaaaaa 99 x 99 cm",
    "aaaa aaaaa 9999",
    "Aaaa-Aaaaa 99.99",
    "99% Aaaaaa",
    "Aaaaa & Aaaa",
    "Aaaaa @ Aaaaa",
    "Aaaaaa, 9-99 aaaaa, (9+)",
    "Aaaa 9999/9999",
    "aaaa 99999999",
    "Aaaaa Aaaaa A9999-99",
    "99/99/2026 99:99",
    "2026-99-99 99:99:99",
    "9.999,99 € - 99.999,99 €",
    "$9,999.99 - $99,999.99",
    "Aaaa 99 99 99",
    "4006399999999",
    "Aaaaa 9999999999999 Aaaa",
    "aaaa-aaaaaaa-aaa-99999999",
    "Aaaaaaaa",
    "AAAAAAAA",
    "99 - 99 - 99",
    "#aaaaa #aaaa9999",
    "Aaaaa+ Aaaaa 9 9 9",
    "9x9999 mAh, 99999 aa, 99.99 V",
    "Größe 99 / 99 / 99",
];

#[test]
#[expect(clippy::print_stdout, reason = "the figure is for people")]
fn plausible_ids_and_words_are_hardly_ever_taken_for_private() {
    const EACH: usize = 400;
    const UUID_LIKE: &str = "ffffffff";
    let mut numbers = Numbers(42);
    let (mut tried, mut wrong) = (0_usize, BTreeSet::new());
    let ids = IDS
        .iter()
        .flat_map(|pattern| [(pattern, Use::Id), (pattern, Use::ItemId)]);
    for (pattern, of) in ids.chain(WORDS.iter().map(|pattern| (pattern, Use::Words))) {
        for _ in 0..EACH {
            let text = if pattern.contains(UUID_LIKE) {
                numbers.fill(&pattern.replace(['a', 'A'], "f"))
            } else {
                numbers.fill(pattern)
            };
            tried += 1;
            if found(&text, of).is_some() {
                wrong.insert(text);
            }
        }
    }
    println!(
        "{} of {tried} plausible texts were taken for private: {wrong:?}",
        wrong.len()
    );
    assert!(tried > 40_000, "{tried}");
    assert!(
        wrong.len() * 1_000 < tried,
        "{} of {tried}: {wrong:#?}",
        wrong.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_looked_at_without_a_panic(text in "\\PC{0,60}|[%@+(&;#0-9a-fA-F=.\\\\ -]{0,60}") {
        for of in [Use::Words, Use::Id, Use::ItemId, Use::Browser, Use::Url] {
            let _ = found(&text, of);
        }
        let _ = without_encoding(&text);
    }

    #[test]
    fn the_quick_answer_is_that_of_the_look(text in "[a-zA-Z0-9@+. %-]{0,40}|[0-9 ().+-]{0,20}|[a-zA-Z0-9+/]{8,40}={0,2}") {
        for of in [Use::Id, Use::ItemId] {
            // In ids, Base64 and tokens are looked for at the start only, so a look can find more there.
            if look(&text, of, MAX_NESTING).is_some() && names::is_token(&text) == names::may_be_token(text.as_bytes()) {
                prop_assert!(found(&text, of).is_some(), "{:?}", text);
            }
        }
    }
}
