//! Page addresses without the parts that could identify a person.
//!
//! Meta wants the browser's URL, and sites put e-mail addresses, phone numbers and tokens into it. In: the value of an event. Out: the
//! URL without query parameters whose name or value is personal, with a dash for such a step of its path, and without a fragment that
//! is more than an anchor. Invariant: neither the result nor anything that it is an encoding of holds what [`private_text`] finds.

use crate::byte_search;
use crate::json_text;
use crate::omitted::Omitted;
use crate::private_text::{self, Scan, Use, is_personal_in_url};
use std::borrow::Cow;

/// The URL without user information, personal query parameters, and a fragment that is more than an anchor.
///
/// # Errors
///
/// When it is not an absolute URL, or its host is private text.
pub(crate) fn page_url(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    let text = json_text::text(raw)?;
    let (scheme, rest) = match text.strip_prefix("https://") {
        Some(rest) => ("https", rest),
        None => split_scheme(&text)?,
    };
    if rest.is_empty() || has_space(rest) {
        return Err(Omitted::NotAUrl);
    }
    if is_clean(rest) {
        return Ok(text);
    }
    cleaned(scheme, rest).map(Cow::Owned)
}

/// The scheme of a URL, and what is behind its slashes.
fn split_scheme(text: &str) -> Result<(&str, &str), Omitted> {
    let (scheme, rest) = byte_search::split_once(text, b':').ok_or(Omitted::NotAUrl)?;
    let is_of_scheme = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    match rest.strip_prefix("//") {
        Some(rest) if !scheme.is_empty() && scheme.bytes().all(is_of_scheme) => Ok((scheme, rest)),
        _ => Err(Omitted::NotAUrl),
    }
}

fn has_space(text: &str) -> bool {
    byte_search::has(text, |bytes| {
        bytes.is_at_most(b' ') | bytes.is_in(0x80, 0xff)
    }) && text.contains(char::is_whitespace)
}

/// Whether nothing has to be removed, which is so for most URLs.
fn is_clean(rest: &str) -> bool {
    let scan = Scan::of(rest);
    let has_sign =
        scan.needs_a_look() || byte_search::has(rest, |bytes| bytes.is(b'#') | bytes.is(b';'));
    if has_sign && !is_harmless(rest, &scan) {
        return false;
    }
    if !scan.has_usual_parts(rest, Use::Url) {
        return false;
    }
    let Some((_, query)) = byte_search::split_once(rest, b'?') else {
        return true;
    };
    let mut pairs = query.trim_start_matches('?').split('&');
    pairs.all(|pair| match byte_search::split_once(pair, b'=') {
        Some((name, value)) => {
            // A URL inside the URL has names of its own.
            !byte_search::has(value, |bytes| bytes.is(b'=') | bytes.is(b'?'))
                && !is_personal_in_url(name)
        }
        None => !is_personal_in_url(pair),
    })
}

/// Whether the signs of a URL are only those that most URLs have: ampersands between parameters, pluses and escapes for spaces and
/// punctuation, and few digits.
fn is_harmless(rest: &str, scan: &Scan) -> bool {
    let bytes = rest.as_bytes();
    let has_others = byte_search::has(rest, |bytes| {
        private_text::need_a_look_in_urls(bytes) | bytes.is(b'#') | bytes.is(b';')
    });
    let mut escapes = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .map(|(at, _)| bytes.get(at + 1..at + 3).unwrap_or_default());
    let mut is_spaced = byte_search::has(rest, |bytes| bytes.is(b'+'));
    let are_harmless = !has_others
        && escapes.all(|escape| {
            is_spaced = true;
            is_harmless_escape(escape)
        });
    are_harmless && !(is_spaced && scan.has_many_digits())
}

/// Whether an escape is one of punctuation that has no part in an address, a phone number, a name or a further encoding, or of a letter
/// beyond ASCII.
fn is_harmless_escape(escape: &[u8]) -> bool {
    match escape {
        [b'2', low] => matches!(
            low,
            b'0' | b'1' | b'2' | b'3' | b'4' | b'7' | b'9' | b'C' | b'c' | b'F' | b'f'
        ),
        [b'3', low] => matches!(low, b'A' | b'a' | b'F' | b'f'),
        [
            b'8' | b'9' | b'A' | b'a' | b'B' | b'b' | b'C' | b'c' | b'D' | b'd',
            _,
        ] => true,
        [b'E' | b'e', low] => !matches!(low, b'F' | b'f'),
        _ => false,
    }
}

/// The URL with everything private taken out.
#[cold]
fn cleaned(scheme: &str, rest: &str) -> Result<String, Omitted> {
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if let Some(private) = private_text::found(host, Use::Url) {
        return Err(private.why());
    }
    let mut url = format!("{scheme}://{host}");
    let host_end = url.len();
    for step in path.split_inclusive('/') {
        let (step, slash) = match step.strip_suffix('/') {
            Some(step) => (step, "/"),
            None => (step, ""),
        };
        let (step, parameters) = step.split_once(';').unwrap_or((step, ""));
        url.push_str(if is_private(step) { "-" } else { step });
        append_pairs(parameters.split(';'), &mut url, ";", ";");
        url.push_str(slash);
    }
    let mut sign = "?";
    for pairs in query.split('&').filter(|pairs| !pairs.is_empty()) {
        // In a URL that was printed for a web page, an ampersand is `&amp;`.
        let (entity, pairs) = pairs
            .strip_prefix("amp;")
            .map_or(("", pairs), |pairs| ("amp;", pairs));
        let before = url.len();
        append_pairs(pairs.split(';'), &mut url, &format!("{sign}{entity}"), ";");
        if url.len() > before {
            sign = "&";
        }
    }
    if !fragment.is_empty() && !fragment.contains(['=', '&', ';']) && !is_private(fragment) {
        url.push('#');
        url.push_str(fragment);
    }
    // What is private only as a whole, with a sign of the URL in its middle.
    if private_text::found(&url[scheme.len() + "://".len()..], Use::Url).is_some() {
        url.truncate(host_end);
    }
    Ok(url)
}

/// Appends those parameters that are not personal: `first` in front of the first one, `next` in front of the others.
fn append_pairs<'p>(
    pairs: impl Iterator<Item = &'p str>,
    url: &mut String,
    first: &str,
    next: &str,
) {
    let mut sign = first;
    for pair in pairs.filter(|pair| !pair.is_empty() && !is_personal_pair(pair)) {
        url.push_str(sign);
        url.push_str(pair);
        sign = next;
    }
}

/// Whether a parameter's name is personal, or its value private.
fn is_personal_pair(pair: &str) -> bool {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    is_personal_in_url(&private_text::without_encoding(name))
        || private_text::found(pair, Use::Url).is_some()
        || is_private(value)
}

/// Whether a part of a URL is or contains something private, perhaps as a URL or a query of its own.
fn is_private(text: &str) -> bool {
    if private_text::found(text, Use::Url).is_some() {
        return true;
    }
    let inner = private_text::without_encoding(text);
    let mut names = inner
        .split(['?', '&', ';', '#'])
        .filter_map(|pair| Some(pair.split_once('=')?.0));
    names.any(is_personal_in_url)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A URL, and what is sent of it.
    const URLS: &[(&str, &str)] = &[
        ("https://shop.example/thanks", "https://shop.example/thanks"),
        (
            "https://shop.example/a?utm_source=x&order=1&fbclid=IwAR_-1",
            "https://shop.example/a?utm_source=x&order=1&fbclid=IwAR_-1",
        ),
        (
            "https://shop.example/a?email=a%40b.com&order=1",
            "https://shop.example/a?order=1",
        ),
        (
            "https://shop.example/a?x=mary@example.com",
            "https://shop.example/a",
        ),
        (
            "https://shop.example/a?customer[e-mail]=x&Phone=1&userPhone=2&q=z",
            "https://shop.example/a?q=z",
        ),
        (
            "https://shop.example/a?x=1&amp;phone=015112345678&amp;q=z",
            "https://shop.example/a?x=1&amp;q=z",
        ),
        (
            "https://shop.example/a?x=1&#038;phone=015112345678",
            "https://shop.example/a?x=1",
        ),
        ("https://u:p@shop.example/a", "https://shop.example/a"),
        (
            "https://shop.example/u/mary@example.com/orders",
            "https://shop.example/u/-/orders",
        ),
        (
            "https://shop.example/cb#access_token=t&x=1",
            "https://shop.example/cb",
        ),
        ("https://shop.example/#/cart", "https://shop.example/#/cart"),
        // Names of parameters, however they are written.
        (
            "https://shop.example/a?name=m&given_name=m&family_name=s&last=s&customer=m&street=x&address1=x&city=x&order=1",
            "https://shop.example/a?order=1",
        ),
        (
            "https://shop.example/a?postal_code=1&plz=1&phone_no=1&mobilenumber=1&cell=1&contact=1&userid=1&session=1&key=1&fb_access=1&q=1",
            "https://shop.example/a?q=1",
        ),
        (
            "https://shop.example/a?%65mail=x&ph%6fne=1&customer%5Bemail%5D=x&%2565mail=x&q=1",
            "https://shop.example/a?q=1",
        ),
        (
            "https://shop.example/a?q=1;email=x;step=2;phone=1",
            "https://shop.example/a?q=1;step=2",
        ),
        (
            "https://shop.example/a?to=%2Fb%3Femail%3Dx&back=/c?phone=015112345678&q=1",
            "https://shop.example/a?q=1",
        ),
        // Values, however they are encoded.
        (
            "https://shop.example/a?x=mary%25252540example.com&y=mary%EF%BC%A0example.com&z=mary＠example.com&q=1",
            "https://shop.example/a?q=1",
        ),
        (
            "https://shop.example/a?x=bWFyeUBleGFtcGxlLmNvbQ==&y=bWFyeUBleGFtcGxlLmNvbQ%3D%3D&z=mary(at)example.com&q=1",
            "https://shop.example/a?q=1",
        ),
        (
            "https://shop.example/a?x=%2B4915112345678&y=+49+151+12345678&z=0151%2012345678&w=0151+12345678&q=1",
            "https://shop.example/a?q=1",
        ),
        (
            "https://shop.example/a?t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln&q=1",
            "https://shop.example/a?q=1",
        ),
        // Steps of paths, and fragments.
        (
            "https://shop.example/u/+4915112345678/bWFyeUBleGFtcGxlLmNvbQ/(650)253-0000/650-253-0000/x",
            "https://shop.example/u/-/-/-/-/x",
        ),
        (
            "https://shop.example/a;jsessionid=1F;v=2/b?q=1",
            "https://shop.example/a;v=2/b?q=1",
        ),
        (
            "https://shop.example/a#+4915112345678",
            "https://shop.example/a",
        ),
        (
            "https://shop.example/a#bWFyeUBleGFtcGxlLmNvbQ",
            "https://shop.example/a",
        ),
        // What only looks a little like it.
        (
            "https://shop.example/p/4006381333931?gclid=Cj0KCQiA&utm_id=1234567890&q=50%25%20off&size=42",
            "https://shop.example/p/4006381333931?gclid=Cj0KCQiA&utm_id=1234567890&q=50%25%20off&size=42",
        ),
        (
            "https://shop.example/a%20b/caf%C3%A9?q=red+shoes&utm_term=a%2Cb%3Ac",
            "https://shop.example/a%20b/caf%C3%A9?q=red+shoes&utm_term=a%2Cb%3Ac",
        ),
        ("android-app://com.example", "android-app://com.example"),
    ];

    #[test]
    fn personal_parts_are_removed_and_the_rest_stays() {
        for (written, expected) in URLS {
            let raw = serde_json::to_string(written).expect("text");
            assert_eq!(page_url(&raw).as_deref(), Ok(*expected), "{written}");
        }
    }

    #[test]
    fn a_text_that_is_not_an_absolute_url_is_omitted() {
        for written in [
            "/checkout",
            "shop.example",
            "://x",
            "https://",
            "https://a b",
            "1 2://x",
        ] {
            let raw = serde_json::to_string(written).expect("text");
            assert_eq!(page_url(&raw), Err(Omitted::NotAUrl), "{written}");
        }
        assert_eq!(page_url("true"), Err(Omitted::WrongType));
    }
}
