//! Compares names as people write them: without case, white space, `_`, `-` and parentheses.
//!
//! In: two names. Out: whether they are the same name. Invariant: nothing is allocated.

/// Whether two names differ in nothing but case, white space, `_`, `-` and parentheses.
pub(crate) fn alike(one: &str, other: &str) -> bool {
    significant(one).eq(significant(other))
}

fn significant(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '(' | ')'))
        .flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_spaces_and_punctuation() {
        for (one, other) in [
            ("allowedConsentIds", "allowed_consent_ids"),
            ("Opt-In", "opt in"),
            (
                "Facebook Conversions API (Actions)",
                "facebook-conversions-api-actions",
            ),
            ("ÄRGER", "ärger"),
            ("", " _-()"),
        ] {
            assert!(alike(one, other) && alike(other, one), "{one} {other}");
        }
        for (one, other) in [("a", "b"), ("a", "ab"), ("ab", "a"), ("a.b", "ab")] {
            assert!(!alike(one, other), "{one} {other}");
        }
    }
}
