//! `em`: trimmed and lowercased; a value that does not look like an address is omitted.
//!
//! Reads what people paste: `mailto:`, a display name, full-width letters, a trailing dot or comma; and what programs do to it: quotes,
//! a label, one layer of HTML or percent encoding. Returns the bare address; letters outside ASCII stay, in the domain too. Invariant:
//! the result has one `@`, a local part and a dotted domain.

use super::browser_id::percent_decoded;
use super::entity;
use super::text::{fold_compatible, is_invisible, is_space};
use crate::byte_search;
use crate::omitted::Omitted;
use crate::placeholder::{Role, is_placeholder};

pub(super) fn normalize(raw: &str, out: &mut String) -> Result<(), Omitted> {
    if raw.is_ascii() {
        out.push_str(raw);
        out.make_ascii_lowercase();
    } else {
        fold_compatible(raw, |c| !is_invisible(c), out);
        if out.contains('。') {
            *out = out.replace('。', ".");
        }
    }
    let address = bare(out);
    if !is_address(address) {
        *out = repaired(out).ok_or(Omitted::NotAnEmail)?;
    } else if address.len() < out.len() {
        *out = address.to_owned();
    }
    if is_of_nobody(out) {
        return Err(Omitted::Placeholder);
    }
    Ok(())
}

/// Whether both the local part and the domain's first label are words for a missing value: `none@none.com`.
fn is_of_nobody(address: &str) -> bool {
    byte_search::split_once(address, b'@').is_some_and(|(local, domain)| {
        is_placeholder(local, Role::Contact)
            && is_placeholder(
                byte_search::split_once(domain, b'.').map_or(domain, |(first, _)| first),
                Role::Contact,
            )
    })
}

/// The address in a text that is more than an address, or is encoded; `None` where more than one reading is possible.
#[cold]
fn repaired(text: &str) -> Option<String> {
    let text = entity::decoded(text);
    let text = match text {
        text if text.contains('@') => text,
        text => percent_decoded(&text)?.into_owned().into(),
    };
    let (before, after) = text.split_once('@')?;
    if is_quoted(before) && is_domain(after) {
        return Some(text.into_owned());
    }
    // A label: `Email: mary@example.com`.
    let before = before.rsplit_once(':').map_or(before, |(_, local)| local);
    let around = |c: char| {
        is_space(c)
            || matches!(
                c,
                '\'' | '"'
                    | '`'
                    | '<'
                    | '>'
                    | '('
                    | ')'
                    | '['
                    | ']'
                    | '{'
                    | '}'
                    | '‘'
                    | '’'
                    | '“'
                    | '”'
            )
    };
    let behind = |c: char| {
        around(c)
            || matches!(
                c,
                '/' | '\\' | '!' | '?' | '.' | ',' | ';' | ':' | '|' | '*'
            )
    };
    let local = before.trim_start_matches(around).trim_end_matches(is_space);
    let domain = after.trim_start_matches(is_space).trim_end_matches(behind);
    let is_carrier = || {
        CARRIERS.contains(&domain)
            && are_allowed(local.as_bytes(), IN_LOCAL_PART)
            && local.is_ascii()
    };
    let is_good = !local.is_empty() && (is_local_part(local) || is_carrier()) && is_domain(domain);
    is_good.then(|| format!("{local}@{domain}"))
}

/// Japanese carriers, which have given out addresses with dots in a row and in front of the `@`.
const CARRIERS: [&str; 3] = ["docomo.ne.jp", "ezweb.ne.jp", "au.com"];

/// Whether it is a quoted local part, such as `"mary smith"`.
fn is_quoted(local: &str) -> bool {
    local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .is_some_and(|inside| {
            !inside.is_empty()
                && !inside.contains(['"', '\\'])
                && !inside.contains(char::is_control)
        })
}

/// The address inside a `mailto:` link, a display name and trailing punctuation.
fn bare(text: &str) -> &str {
    // If it begins and ends with a letter or digit, only the prefix of the link can be removed.
    if let [first, .., last] = text.as_bytes()
        && first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && !text.starts_with("mailto:")
    {
        return text;
    }
    let mut address = text.trim_matches(|c| is_space(c) || c.is_control());
    if let Some(inner) = address
        .strip_suffix('>')
        .and_then(|rest| rest.rsplit_once('<'))
    {
        address = inner.1.trim_matches(is_space);
    }
    if let Some(link) = address.strip_prefix("mailto:") {
        address = link.split('?').next().unwrap_or(link);
    }
    address
        .trim_matches(|c| is_space(c) || matches!(c, ',' | ';' | '"' | '\'' | '`'))
        .trim_end_matches(|c| is_space(c) || matches!(c, '.' | ',' | ';'))
}

/// Whether the text is an address, without any changes.
pub(crate) fn is_address(text: &str) -> bool {
    byte_search::split_once(text, b'@')
        .is_some_and(|(local, domain)| is_local_part(local) && is_domain(domain))
}

/// Dot-separated atoms. Quoted local parts are not accepted, as in Meta's library.
fn is_local_part(local: &str) -> bool {
    let bytes = local.as_bytes();
    are_allowed(bytes, IN_LOCAL_PART)
        && !matches!(bytes, [] | [b'.', ..] | [.., b'.'])
        && !bytes.windows(2).any(|pair| pair == b"..")
        && (local.is_ascii() || !local.chars().any(|c| is_space(c) || c.is_control()))
}

/// Dot-separated labels, which neither begin nor end with a hyphen.
fn is_domain(domain: &str) -> bool {
    let bytes = domain.as_bytes();
    let Some(dot) = bytes.iter().rposition(|b| *b == b'.') else {
        return false;
    };
    let beyond_ascii = |c: char| c.is_ascii() || super::text::is_letter_or_digit(c);
    are_allowed(bytes, IN_DOMAIN)
        && !matches!(bytes, [b'.' | b'-', ..] | [.., b'.' | b'-'])
        && !bytes
            .windows(2)
            .any(|pair| matches!(pair, b".." | b".-" | b"-."))
        && (domain.is_ascii() || domain.chars().all(beyond_ascii))
        && !bytes[dot + 1..].iter().all(u8::is_ascii_digit)
}

const IN_LOCAL_PART: u8 = 1;
const IN_DOMAIN: u8 = 2;

/// For each byte, in which part it is allowed: visible characters except delimiters in a local part, letters, digits, hyphens and
/// dots in a domain. Bytes of other scripts are allowed in both.
const ALLOWED: [u8; 256] = {
    let mut allowed = [0; 256];
    let mut byte = 0_u8;
    loop {
        let is_delimiter = matches!(
            byte,
            b'(' | b')' | b'<' | b'>' | b'[' | b']' | b':' | b';' | b',' | b'\\' | b'"'
        );
        let is_of_another_script = !byte.is_ascii();
        if is_of_another_script || byte.is_ascii_graphic() && !is_delimiter {
            allowed[byte as usize] |= IN_LOCAL_PART;
        }
        if is_of_another_script || byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') {
            allowed[byte as usize] |= IN_DOMAIN;
        }
        if byte == u8::MAX {
            break allowed;
        }
        byte += 1;
    }
};

fn are_allowed(bytes: &[u8], place: u8) -> bool {
    bytes
        .iter()
        .all(|byte| ALLOWED[usize::from(*byte)] & place != 0)
}
