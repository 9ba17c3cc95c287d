//! Keys compared without regard to how they are spelled: `order_id`, `orderId` and `Order ID` are one key.
//!
//! In goes a key, out comes its folded form: in ASCII lower case, without `_`, `-` and spaces. Everything else is as it is.

/// Appends the folded form of a key: in ASCII lower case, without `_`, `-` and spaces.
///
/// ```
/// let mut folded = String::new();
/// json_paths::fold("Order-ID", &mut folded);
/// assert_eq!(folded, "orderid");
/// ```
pub fn fold(key: &str, folded: &mut String) {
    let kept = key.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    folded.extend(kept.map(|c| c.to_ascii_lowercase()));
}

/// Whether two keys have the same folded form.
///
/// ```
/// assert!(json_paths::eq_folded("order_id", "OrderID"));
/// assert!(!json_paths::eq_folded("order_id", "orders_id"));
/// ```
pub fn eq_folded(one: &str, other: &str) -> bool {
    folded_bytes(one.as_bytes()).eq(folded_bytes(other.as_bytes()))
}

/// The bytes of the folded form.
#[inline]
pub(crate) fn folded_bytes(key: &[u8]) -> impl Iterator<Item = u8> + Clone {
    let kept = key
        .iter()
        .filter(|byte| !matches!(byte, b'_' | b'-' | b' '));
    kept.map(u8::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_case_of_ascii_letters_and_three_characters_are_ignored() {
        for (one, other, expected) in [
            ("order_id", "orderId", true),
            ("order_id", "ORDER-ID", true),
            ("order_id", " Order Id ", true),
            ("_fbp", "fbp", true),
            ("", "_- ", true),
            ("order_id", "order.id", false),
            ("order_id", "order\tid", false),
            ("größe", "GRÖSSE", false),
            ("é", "É", false),
            ("é_é", "éé", true),
            ("a", "ab", false),
        ] {
            assert_eq!(eq_folded(one, other), expected, "{one:?} and {other:?}");
            assert_eq!(eq_folded(other, one), expected, "{other:?} and {one:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn keys_are_equal_folded_if_their_folded_forms_are(one in "[aAbB_\\- é.]{0,8}", other in "[aAbB_\\- é.]{0,8}") {
            let folded = |key: &str| {
                let mut folded = String::new();
                fold(key, &mut folded);
                folded
            };
            prop_assert_eq!(eq_folded(&one, &other), folded(&one) == folded(&other));
            let bytes: Vec<_> = folded_bytes(one.as_bytes()).collect();
            prop_assert_eq!(folded(&one).into_bytes(), bytes);
            prop_assert_eq!(folded(&folded(&one)), folded(&one));
        }
    }
}
