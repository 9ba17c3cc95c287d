//! `client_ip_address`: the visitor's own public address, never hashed.
//!
//! In goes an address in any written form, with a port, brackets or a zone, or a list from a `Forwarded` or `X-Forwarded-For` header; out
//! comes the first public address in it, as it was written. Invariant: what comes out parses as IPv4 or IPv6 (a builder's appendix may
//! follow) and is not private, local or otherwise unroutable.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{LeftOut, MAX_VALUE_BYTES, digest::is_appendix, text};

/// The first public address of a value, which may be a list.
///
/// # Errors
///
/// The reason why there is none.
pub(crate) fn client_ip(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    if raw.len() > MAX_VALUE_BYTES {
        return Err(LeftOut::TooLong);
    }
    let mut reason = LeftOut::Empty;
    for entry in raw.split(',') {
        let entry = text::trim(entry);
        if entry.is_empty() {
            continue;
        }
        match address(entry) {
            Some((ip, text)) if is_public(ip) => return Ok(text),
            Some(_) => reason = LeftOut::PrivateIp,
            None if reason == LeftOut::Empty => reason = LeftOut::NotAnIp,
            None => {}
        }
    }
    Err(reason)
}

/// One address and how it is sent: as written, without port, brackets and zone; an IPv4 address in IPv6 clothes as IPv4.
fn address(entry: &str) -> Option<(IpAddr, Cow<'_, str>)> {
    let entry = entry
        .split(';')
        .find_map(|pair| pair.trim().strip_prefix("for="))
        .unwrap_or(entry)
        .trim_matches('"');
    if let Some((ip, text)) = plain_address(entry) {
        return Some((ip, text));
    }
    let text = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match entry.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') && port.parse::<u16>().is_ok() => host,
            _ => entry,
        },
    };
    let text = text.split('%').next().unwrap_or(text);
    if let Some(found) = plain_address(text) {
        return Some(found);
    }
    let (ip, appendix) = entry.rsplit_once('.')?;
    let (ip, _) = plain_address(ip).filter(|_| is_appendix(appendix.as_bytes()))?;
    Some((ip, Cow::Borrowed(entry)))
}

fn plain_address(text: &str) -> Option<(IpAddr, Cow<'_, str>)> {
    let ip: IpAddr = text.parse().ok()?;
    match ip {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => Some((v4.into(), Cow::Owned(v4.to_string()))),
            None => Some((ip, Cow::Borrowed(text))),
        },
        IpAddr::V4(_) => Some((ip, Cow::Borrowed(text))),
    }
}

/// The documentation ranges count as public: Meta's own examples use them.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    !(a == 0
        || a >= 240
        || shared
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast())
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    !(ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_multicast()
        || ip.is_unique_local()
        || ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_sent_as_written_without_what_surrounds_it() {
        let documented = "2001:0db8:85a3:0000:0000:8a2e:0370:7334";
        for (raw, ip) in [
            ("168.212.226.204", "168.212.226.204"),
            (documented, documented),
            ("  203.0.113.7 ", "203.0.113.7"),
            ("203.0.113.7:443", "203.0.113.7"),
            ("2001:DB8::1", "2001:DB8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1%eth0", "2001:db8::1"),
            ("[2001:db8::1%25eth0]:443", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::ffff:cb00:7107", "203.0.113.7"),
            ("10.0.0.1, 203.0.113.7, 198.51.100.1", "203.0.113.7"),
            ("unknown, 203.0.113.7:1234, 2001:db8::1", "203.0.113.7"),
            ("for=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1"),
            ("for=192.168.0.1, for=203.0.113.7", "203.0.113.7"),
            ("203.0.113.7.AQQCAQIB", "203.0.113.7.AQQCAQIB"),
            ("2001:db8::1.AQQCAQIB", "2001:db8::1.AQQCAQIB"),
            ("203.0.113.7.Ag", "203.0.113.7.Ag"),
        ] {
            assert_eq!(client_ip(raw).as_deref(), Ok(ip), "{raw}");
        }
    }

    #[test]
    fn an_address_that_is_not_the_visitors_own_is_left_out() {
        for raw in [
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1%eth0",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "10.0.0.1.AQQCAQIB",
            "10.0.0.1, unknown",
        ] {
            assert_eq!(client_ip(raw), Err(LeftOut::PrivateIp), "{raw}");
        }
        for raw in [
            "256.1.1.1",
            "192.168.1",
            "not-an-ip",
            "unknown",
            "1.2.3.4.5",
            "😀",
            "[",
            "[]:1",
        ] {
            assert_eq!(client_ip(raw), Err(LeftOut::NotAnIp), "{raw}");
        }
        assert_eq!(client_ip(" , "), Err(LeftOut::Empty));
        assert_eq!(
            client_ip(&"1".repeat(MAX_VALUE_BYTES + 1)),
            Err(LeftOut::TooLong)
        );
    }
}
