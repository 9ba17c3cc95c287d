use super::*;
use proptest::prelude::*;

/// Spellings of a word: in several cases, in quotes, among spaces.
fn dressed(word: &str) -> impl Strategy<Value = String> + use<> {
    let word = word.to_owned();
    let around = prop::sample::select(vec![
        "", " ", "\"", "'", "`", " \u{a0}", "\u{feff}", "\t'", "“", "«",
    ]);
    let cases = prop::collection::vec(any::<bool>(), word.len());
    (around.clone(), cases, around).prop_map(move |(before, cases, after)| {
        let in_case = |(c, upper): (char, bool)| if upper { c.to_ascii_uppercase() } else { c };
        let word: String = word.chars().zip(cases).map(in_case).collect();
        format!("{before}{word}{after}")
    })
}

/// A word of the data, with the kinds of values for which it means nothing.
fn words() -> Vec<(&'static str, u16)> {
    let by_length = WORDS.by_length.iter();
    by_length
        .flat_map(|of_length| &of_length.words)
        .map(|word| (&*word.text, word.roles))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_word_means_nothing_in_any_case_and_whatever_is_around_it(
        (word, roles, dressed) in prop::sample::select(words()).prop_flat_map(|(word, roles)| (Just(word), Just(roles), dressed(word))),
    ) {
        for role in Role::ALL {
            prop_assert_eq!(is_placeholder(&dressed, role), roles & role.bit() != 0 || is_placeholder(word, role), "{}", dressed);
        }
    }

    #[test]
    fn any_text_is_the_same_as_what_a_plain_search_finds(text in "[a-zA-Z0-9()'\" /._-]{0,12}") {
        let bare = text.trim_matches(|c: char| c == ' ' || c == '\'' || c == '"');
        for role in Role::ALL {
            let known = words().iter().any(|(word, roles)| {
                word.eq_ignore_ascii_case(bare) && roles & role.bit() != 0
            });
            let punctuation = bare.chars().all(|c| c.is_ascii_punctuation() || c == ' ');
            let zero = role.has_no_zero() && bare.contains('0') && bare.chars().all(|c| "0-.".contains(c));
            let expected = !text.is_empty() && (known || punctuation || zero);
            prop_assert_eq!(is_placeholder(&text, role), expected, "{:?} {:?}", text, role);
        }
    }

    #[test]
    fn nothing_panics(text in any::<String>(), other in "\\PC{0,70}") {
        for role in Role::ALL {
            let _ = (is_placeholder(&text, role), is_placeholder(&other, role), is_hash_of_nothing(&text, role));
        }
    }
}

#[test]
fn the_data_has_no_word_that_is_too_long_and_none_in_capitals() {
    let data: Data = serde_json::from_str(include_str!("../../schema/placeholders.json")).unwrap();
    let words = roles_of(&data);
    for word in words.keys() {
        assert!(
            word.len() <= MAX_BYTES && *word == word.to_lowercase(),
            "{word}"
        );
        assert!(!word.is_empty(), "an empty word");
    }
    for word in data.except.values().flatten() {
        assert!(data.words.contains(word), "{word} is excepted from nothing");
    }
    assert_eq!((data.md5.len(), data.sha1.len()), (34, 34));
    assert!(
        data.md5.iter().all(|hex| hex.len() == 32) && data.sha1.iter().all(|hex| hex.len() == 40)
    );
}

#[test]
fn what_is_a_name_or_a_country_is_no_placeholder() {
    for (text, role) in [
        ("Na", Role::LastName),
        ("Na", Role::FirstName),
        ("NA", Role::Country),
        ("NA", Role::State),
        ("Guest", Role::LastName),
        ("Nina", Role::FirstName),
        ("Unknownville", Role::City),
        ("0", Role::FirstName),
        ("000001", Role::Id),
        ("01", Role::Postcode),
        ("1", Role::Id),
        ("null-1", Role::Id),
        ("a", Role::Id),
        ("東京", Role::City),
        ("{a}", Role::Id),
        ("{{a", Role::Id),
        ("", Role::Id),
    ] {
        assert!(!is_placeholder(text, role), "{text} {role:?}");
    }
}

#[test]
fn what_no_sender_means_is_a_placeholder() {
    for (text, role) in [
        ("undefined", Role::Id),
        (" NULL ", Role::LastName),
        ("N/A", Role::Postcode),
        ("na", Role::Postcode),
        ("(Not Set)", Role::City),
        ("-", Role::City),
        ("...", Role::FirstName),
        ("—", Role::Id),
        ("''", Role::Id),
        ("0", Role::Id),
        ("0.0", Role::Id),
        ("00000", Role::Postcode),
        ("00000000-0000-0000-0000-000000000000", Role::Id),
        ("{00000000-0000-0000-0000-000000000000}", Role::Id),
        ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", Role::Id),
        ("[object Object]", Role::Id),
        ("[object HTMLInputElement]", Role::FirstName),
        ("{{user_id}}", Role::Id),
        ("${user.id}", Role::Id),
        ("%%email%%", Role::Contact),
        ("\\N", Role::Id),
        ("guest", Role::Id),
        ("false", Role::Id),
        ("undefined", Role::Click),
    ] {
        assert!(is_placeholder(text, role), "{text} {role:?}");
    }
}

/// From Python's hashlib.
#[test]
fn a_hash_of_a_placeholder_is_one() {
    for (hex, role) in [
        (
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            Role::Contact,
        ),
        (
            "eb045d78d273107348b0300c01d29b7552d622abbc6faf81b3ec55359aa9950c",
            Role::FirstName,
        ),
        (
            "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b",
            Role::Id,
        ),
        (
            "74234E98AFE7498FB5DAF1F36AC2D78ACC339464F950703B8C019892F982B90B",
            Role::LastName,
        ),
        (
            "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
            Role::Id,
        ),
        ("d41d8cd98f00b204e9800998ecf8427e", Role::Id),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", Role::Id),
        ("5E543256C480AC577D30F76F9120EB74", Role::Id),
    ] {
        assert!(is_hash_of_nothing(hex, role), "{hex}");
        assert!(is_placeholder(hex, Role::Id), "{hex}");
    }
    // Of `na`, which is a last name, and of `0`, which is a first name as much as any other digit.
    let na = "3d9fc4bde7ceef058d65b00186e79c1f14b42687b491644c303065135b644e18";
    assert!(is_hash_of_nothing(na, Role::Id) && !is_hash_of_nothing(na, Role::LastName));
    let zero = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";
    assert!(!is_hash_of_nothing(zero, Role::FirstName));
}
