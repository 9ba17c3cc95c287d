//! Where a browser keeps cookies of this source: on the site that the page and this host share.
//!
//! In: the host by which the browser reached this source, the page's origin, and the option `domain`. Out: the scope of a
//! cookie, or why it is not set. Cookies of a site are for all of its hosts, so that the page's own scripts have them too.
//!
//! Invariant: a scope never reaches beyond the domain that somebody registered.

use std::net::IpAddr;

/// The longest name of a host.
const MAX_HOST_BYTES: usize = 253;

/// For which hosts a browser keeps a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// For the one that sets it: an address, a name without dots, or a name under which anybody can register.
    Host,
    /// For this domain and everything below it.
    Domain(String),
}

/// Why a browser would not keep a cookie, or should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoScope {
    /// The page belongs to another site.
    ForeignPage,
    /// The option `domain` names another domain.
    OtherDomain,
}

/// For which hosts a cookie is kept that this host sets for a page of this origin.
pub(super) fn scope(host: &str, origin: &str, domain: Option<&str>) -> Result<Scope, NoScope> {
    let page = origin.split_once("://").map(|(_, host)| host);
    let (Some(host), Some(page)) = (name(host), page.and_then(name)) else {
        return Err(NoScope::ForeignPage);
    };
    let site = site(&host);
    if site != self::site(&page) {
        return Err(NoScope::ForeignPage);
    }
    match domain {
        Some(domain) if is_below(&host, domain) => Ok(Scope::Domain(domain.to_owned())),
        Some(_) => Err(NoScope::OtherDomain),
        None if registered(&host).is_some() => Ok(Scope::Domain(site.to_owned())),
        None => Ok(Scope::Host),
    }
}

/// The domain that a cookie may be kept for, as the option names it.
pub(super) fn domain(text: &str) -> Option<String> {
    let text = text.strip_prefix('.').unwrap_or(text);
    let domain = name(text).filter(|domain| domain.len() == text.len())?;
    registered(&domain)?;
    Some(domain)
}

fn is_below(host: &str, domain: &str) -> bool {
    let below = host.strip_suffix(domain);
    below.is_some_and(|below| below.is_empty() || below.ends_with('.')) && !is_address(host)
}

/// The registered name: the name itself where no names can be registered below its parent.
fn site(host: &str) -> &str {
    registered(host).unwrap_or(host)
}

/// The part of a name that somebody registered. `None` for an address, a name without dots, and a public suffix.
fn registered(host: &str) -> Option<&str> {
    if is_address(host) || !host.contains('.') {
        return None;
    }
    psl::domain_str(host)
}

fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

/// A host in lower case, without its port and the dot at its end.
fn name(host: &str) -> Option<String> {
    if let Some(address) = host.strip_prefix('[') {
        let (address, _port) = address.split_once(']')?;
        return address.parse::<IpAddr>().ok().map(|it| it.to_string());
    }
    let host = host.split_once(':').map_or(host, |(host, _port)| host);
    let host = host.strip_suffix('.').unwrap_or(host);
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_good = !host.is_empty()
        && host.len() <= MAX_HOST_BYTES
        && host.bytes().all(known)
        && host.split('.').all(|label| !label.is_empty());
    is_good.then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(host: &str, origin: &str) -> Result<Scope, NoScope> {
        scope(host, origin, None)
    }

    fn on(domain: &str) -> Scope {
        Scope::Domain(domain.to_owned())
    }

    #[test]
    fn a_cookie_is_for_the_domain_that_somebody_registered() {
        for (host, origin, domain) in [
            (
                "events.shop.example",
                "https://www.shop.example",
                "shop.example",
            ),
            (
                "Shop.Example:8443",
                "https://shop.example:8443",
                "shop.example",
            ),
            ("a.b.shop.co.uk", "https://shop.co.uk", "shop.co.uk"),
            ("shop.co.uk.", "https://shop.co.uk", "shop.co.uk"),
            (
                "ottilie.github.io",
                "https://ottilie.github.io",
                "ottilie.github.io",
            ),
            (
                "e.xn--85x722f.com.cn",
                "https://xn--85x722f.com.cn",
                "xn--85x722f.com.cn",
            ),
        ] {
            assert_eq!(of(host, origin), Ok(on(domain)), "{host}");
        }
    }

    #[test]
    fn where_nothing_is_registered_a_cookie_is_for_the_host_alone() {
        for (host, origin) in [
            ("localhost:8080", "http://localhost:3000"),
            ("127.0.0.1:8080", "http://127.0.0.1:3000"),
            ("[::1]:8080", "http://[::1]:3000"),
            ("192.0.2.7", "https://192.0.2.7"),
            ("shop", "http://shop"),
            // Public suffixes themselves.
            ("github.io", "https://github.io"),
            ("co.uk", "https://co.uk"),
        ] {
            assert_eq!(of(host, origin), Ok(Scope::Host), "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_gets_no_cookie() {
        for (host, origin) in [
            ("events.shop.example", "https://shop.test"),
            ("events.example", "https://shop.example"),
            // Two customers of one suffix.
            ("one.github.io", "https://two.github.io"),
            ("one.co.uk", "https://two.co.uk"),
            ("github.io", "https://one.github.io"),
            ("127.0.0.1", "http://127.0.0.2"),
            ("127.0.0.1", "http://localhost"),
            ("shop.example", "null"),
            ("shop.example", ""),
            ("", "https://shop.example"),
            ("shop.example; Domain=com", "https://shop.example"),
            ("shop..example", "https://shop..example"),
        ] {
            assert_eq!(
                of(host, origin),
                Err(NoScope::ForeignPage),
                "{host} {origin}"
            );
        }
    }

    #[test]
    fn the_option_names_a_domain_that_covers_the_host_or_nothing_is_set() {
        let of = |host, option| {
            let domain = domain(option).unwrap();
            scope(host, &format!("https://{host}"), Some(&domain))
        };
        assert_eq!(
            of("www.eu.shop.example", "eu.shop.example"),
            Ok(on("eu.shop.example"))
        );
        assert_eq!(
            of("shop.example:443", ".Shop.Example"),
            Ok(on("shop.example"))
        );
        for (host, option) in [
            ("shop.example", "eu.shop.example"),
            ("myshop.example", "shop.example"),
            ("127.0.0.1", "shop.example"),
            ("localhost", "shop.example"),
        ] {
            assert_eq!(
                of(host, option),
                Err(NoScope::OtherDomain),
                "{host} {option}"
            );
        }
        for option in [
            "",
            "com",
            "co.uk",
            "github.io",
            "localhost",
            "127.0.0.1",
            "shop.example:80",
            "https://shop.example",
            "a b.example",
            "..example",
        ] {
            assert_eq!(domain(option), None, "{option}");
        }
    }

    proptest! {
        #[test]
        fn a_scope_covers_the_host_and_is_no_public_suffix(
            host in "[a-zA-Z0-9.:_\\[\\]-]{0,20}|([a-z]{1,3}\\.){0,3}(co\\.uk|github\\.io|com|example)(:[0-9]{1,4})?",
            option in prop::option::of("([a-z]{1,2}\\.){0,2}(co\\.uk|com|example)"),
        ) {
            let option = option.and_then(|option| domain(&option));
            if let Ok(Scope::Domain(domain)) = scope(&host, &format!("https://{host}"), option.as_deref()) {
                let host = name(&host).unwrap();
                prop_assert!(is_below(&host, &domain), "{} {}", host, domain);
                prop_assert!(psl::domain_str(&domain).is_some());
                prop_assert!(!domain.starts_with('.'));
            }
        }
    }
}
