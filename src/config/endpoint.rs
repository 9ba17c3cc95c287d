//! Where the Graph API is, and in which version.

/// Whether a text is a version of the Graph API: `v25.0`.
pub(super) fn is_version(text: &str) -> bool {
    let digits = |part: &str| {
        !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit())
    };
    text.strip_prefix('v')
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// What is wrong with an endpoint, if anything.
pub(super) fn problem(endpoint: &str, allow_plain_http: bool) -> Option<&'static str> {
    let Ok(url) = reqwest::Url::parse(endpoint) else {
        return Some("is not a URL");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Some("has a user name or a password");
    }
    if url.query().is_some() {
        return Some("has a query");
    }
    if url.fragment().is_some() {
        return Some("has a fragment");
    }
    if !matches!(url.path(), "" | "/") && matches!(url.scheme(), "https" | "http") {
        return Some("has a path, and the version and the pixel would be added behind it");
    }
    let is_loopback = match url.host_str() {
        None => return Some("has no host"),
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
    };
    match url.scheme() {
        "https" => None,
        "http" if is_loopback || allow_plain_http => None,
        "http" => Some(
            "is plain http, which would send the token in the clear (`allow_plain_http: true` if you must)",
        ),
        _ => Some("is neither https nor http"),
    }
}
