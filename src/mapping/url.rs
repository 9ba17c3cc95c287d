//! Page addresses without the parts that could identify a person.
//!
//! Meta wants the browser's URL, and sites put e-mail addresses, phone numbers and tokens into query strings. A query
//! parameter with such a name, or with a value that looks like an e-mail address, is removed before the URL is buffered.

use crate::byte_search;
use crate::json_text;
use crate::omitted::Omitted;
use std::borrow::Cow;

/// Query parameters that hold personal data or credentials, in the comparable form of [`is_personal`], sorted.
const PERSONAL: &[&str] = &[
    "accesstoken",
    "address",
    "apikey",
    "auth",
    "authtoken",
    "birthdate",
    "birthday",
    "code",
    "dob",
    "email",
    "emailaddress",
    "firstname",
    "fname",
    "fullname",
    "idtoken",
    "lastname",
    "lname",
    "mail",
    "mobile",
    "msisdn",
    "otp",
    "passwd",
    "password",
    "phone",
    "phonenumber",
    "postcode",
    "pwd",
    "resettoken",
    "secret",
    "sessionid",
    "ssn",
    "surname",
    "tel",
    "telephone",
    "token",
    "username",
    "zip",
    "zipcode",
];

/// The URL without user information, personal query parameters, and a fragment that is more than an anchor.
///
/// # Errors
///
/// When it is not an absolute URL.
pub(crate) fn page_url(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    let text = json_text::text(raw)?;
    let (scheme, rest) = byte_search::split_once(&text, b':')
        .and_then(|(scheme, rest)| Some((scheme, rest.strip_prefix("//")?)))
        .ok_or(Omitted::NotAUrl)?;
    let good_scheme = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !good_scheme || rest.is_empty() || has_space(rest) {
        return Err(Omitted::NotAUrl);
    }
    if is_clean(rest) {
        return Ok(text);
    }
    Ok(Cow::Owned(cleaned(scheme, rest)))
}

fn has_space(text: &str) -> bool {
    byte_search::has(text, |byte| (byte <= b' ') | !byte.is_ascii())
        && text.contains(char::is_whitespace)
}

/// Whether nothing has to be removed, which is so for most URLs.
fn is_clean(rest: &str) -> bool {
    let needs_a_look = |byte| (byte == b'@') | (byte == b'%') | (byte == b'#');
    if byte_search::has(rest, needs_a_look) && (rest.contains('#') || is_personal_value(rest)) {
        return false;
    }
    let Some((_, query)) = byte_search::split_once(rest, b'?') else {
        return true;
    };
    let name = |pair| byte_search::split_once(pair, b'=').map_or(pair, |(name, _)| name);
    let mut pairs = query.trim_start_matches('?').split('&');
    pairs.all(|pair| !is_personal(name(pair)))
}

fn cleaned(scheme: &str, rest: &str) -> String {
    let (rest, fragment) = rest.split_once('#').map_or((rest, ""), |(r, f)| (r, f));
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(r, q)| (r, q));
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let mut url = format!("{scheme}://{host}");
    for step in path.split_inclusive('/') {
        if is_personal_value(step) {
            url.push_str(if step.ends_with('/') { "-/" } else { "-" });
        } else {
            url.push_str(step);
        }
    }
    let mut sign = '?';
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or(pair);
        if !is_personal(name) && !is_personal_value(pair) {
            url.push(sign);
            url.push_str(pair);
            sign = '&';
        }
    }
    if !fragment.is_empty() && !fragment.contains(['=', '&']) && !is_personal_value(fragment) {
        url.push('#');
        url.push_str(fragment);
    }
    url
}

/// Whether a parameter of this name holds personal data: `e-mail`, `customer[email]`, `user_phone`. In a URL that was printed for a web
/// page, `amp;` is in front of it.
fn is_personal(name: &str) -> bool {
    let name = name.strip_prefix("amp;").unwrap_or(name);
    let mut comparable = String::new();
    for word in name.split(['[', ']', '.']).filter(|word| !word.is_empty()) {
        comparable.clear();
        comparable.extend(
            word.chars()
                .filter(char::is_ascii_alphanumeric)
                .map(|c| c.to_ascii_lowercase()),
        );
        let bare = ["user", "customer", "billing", "shipping", "contact"]
            .iter()
            .find_map(|prefix| comparable.strip_prefix(prefix));
        let is_listed = |name: &str| PERSONAL.binary_search(&name).is_ok();
        if bare.is_some_and(is_listed) || is_listed(&comparable) {
            return true;
        }
    }
    false
}

/// Whether it contains an e-mail address, plain or percent-encoded.
fn is_personal_value(text: &str) -> bool {
    text.contains('@') || text.contains("%40") || text.contains("%2540")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted() {
        assert!(PERSONAL.is_sorted());
    }

    #[test]
    fn personal_parts_are_removed_and_the_rest_stays() {
        for (written, expected) in [
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
            ("android-app://com.example", "android-app://com.example"),
        ] {
            let raw = serde_json::to_string(written).expect("text");
            assert_eq!(page_url(&raw).as_deref(), Ok(expected), "{written}");
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
