//! Sealed and opened here, and each with the program `age`.

use super::*;
use proptest::prelude::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Two pairs, made with `age-keygen`.
const PAIRS: [(&str, &str); 2] = [
    (
        "age1vumt3605pkgy6wt2atq7cy99q52w2gqexh68ns79an4lhgm0jvxqnm2cjw",
        "AGE-SECRET-KEY-1YAH69THXWQSK50VZEJHSY602CZ3UYTTMSXCYWHWYZFLS9XZKXA5S90JHV7",
    ),
    (
        "age1e50l2az33y24tm25yyupfh6a68cm6xgef9kj626x53lcx38eze5s6568u3",
        "AGE-SECRET-KEY-1J3TTE4AWTW92GWC3RCYRZSNV7G8EMRYQ6ECX2GZA4WWMERYSN6DSKL4VNA",
    ),
];

fn pair(number: usize) -> (Recipient, Identities) {
    let (public, secret) = PAIRS[number];
    (public.parse().unwrap(), Identities::parse(secret).unwrap())
}

/// What `age` answers, with this on its standard input; `None` where it is not installed, unless CI says that it must be.
fn age(arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let command = Command::new("age")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut age) = command else {
        assert!(std::env::var_os("CI").is_none(), "`age` is missing");
        let _ = writeln!(std::io::stderr(), "skipped: `age` is not installed");
        return None;
    };
    age.stdin.take().unwrap().write_all(input).unwrap();
    let output = age.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(output.stdout)
}

#[test]
fn what_is_sealed_here_opens_with_age_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity.txt");
    std::fs::write(&file, format!("# mine\n{}\n", PAIRS[0].1)).unwrap();
    let (recipient, identities) = pair(0);
    for length in [0, 1, 1_000, MAX_PLAIN_BYTES] {
        let text = vec![7; length];
        let sealed = recipient.seal(&text).unwrap();
        let Some(opened) = age(&["--decrypt", "-i", file.to_str().unwrap()], &sealed) else {
            return;
        };
        assert_eq!(opened, text);
        let sealed = age(&["-r", PAIRS[1].0, "-r", PAIRS[0].0], &text).unwrap();
        assert_eq!(identities.open(&sealed).unwrap(), text);
    }
}

#[test]
fn a_key_with_a_slip_of_the_pen_or_in_the_wrong_place_is_refused_and_not_quoted() {
    let (public, secret) = PAIRS[0];
    for position in 4..public.len() {
        let mut slip = public.to_owned().into_bytes();
        slip[position] = if slip[position] == b'q' { b'p' } else { b'q' };
        let slip = String::from_utf8(slip).unwrap();
        assert_eq!(slip.parse::<Recipient>(), Err(KeyError::NotPublic));
    }
    for text in [
        "",
        "age",
        "age1",
        "age1b",
        &public[..61],
        &format!("{public}q"),
        "ssh-ed25519 AAAA",
    ] {
        assert_eq!(
            text.parse::<Recipient>(),
            Err(KeyError::NotPublic),
            "{text}"
        );
    }
    assert_eq!(secret.parse::<Recipient>(), Err(KeyError::Secret));
    let of = |text: &str| Identities::parse(text).unwrap_err();
    assert_eq!(of("# nothing\n\n"), KeyError::Empty);
    assert_eq!(of(&format!("{secret}\n{public}")), KeyError::NotSecret(2));
    assert_eq!(
        of(&format!("{secret}\n").repeat(MAX_IDENTITIES + 1)),
        KeyError::TooMany
    );
    assert!(!of(&secret[..70]).to_string().contains(&secret[20..40]));
    assert_eq!(format!("{:?}", pair(0).1), "Identities(1)");
}

#[test]
fn a_text_beyond_one_chunk_is_refused() {
    let sealed = pair(0).0.seal(&vec![0; MAX_PLAIN_BYTES + 1]);
    assert_eq!(sealed, Err(SealError::TooLong));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_sealed_text_opens_for_its_key_only_and_never_once_it_was_changed(
        text in prop::collection::vec(any::<u8>(), 0..500),
        place in any::<prop::sample::Index>(),
        bit in 0_u32..8,
    ) {
        let ((recipient, identities), (_, others)) = (pair(0), pair(1));
        let mut sealed = recipient.seal(&text).unwrap();
        prop_assert_ne!(&sealed, &recipient.seal(&text).unwrap());
        prop_assert_eq!(identities.open(&sealed), Ok(text));
        prop_assert_eq!(others.open(&sealed), Err(OpenError::OtherKey));
        let place = place.index(sealed.len());
        prop_assert!(identities.open(&sealed[..place]).is_err());
        sealed[place] ^= 1 << bit;
        prop_assert!(identities.open(&sealed).is_err());
    }

    #[test]
    fn anything_else_is_no_file_and_breaks_nothing(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let identities = pair(0).1;
        prop_assert!(identities.open(&text).is_err());
        let framed = [b"age-encryption.org/v1\n-> X25519 ".as_slice(), &text].concat();
        prop_assert!(identities.open(&framed).is_err());
        let shown = String::from_utf8_lossy(&text);
        prop_assert!(shown.parse::<Recipient>().is_err());
    }
}
