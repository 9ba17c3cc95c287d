//! `client_ip_address`: the visitor's own public address, never hashed.
//!
//! Reads an address in any written form, with a port, brackets or a zone, or a list from a `Forwarded` or `X-Forwarded-For` header.
//! Returns the first public address in it, as it was written. Invariant: the result parses as IPv4 or IPv6 (a builder's appendix may
//! follow) and is not private, local or otherwise unroutable.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{MAX_VALUE_BYTES, digest::is_appendix, text};
use crate::omitted::Omitted;
use crate::placeholder::{Role, is_placeholder};

/// The first public address of a value, which may be a list.
///
/// # Errors
///
/// The reason why it has no public address.
pub(crate) fn client_ip(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    if raw.len() > MAX_VALUE_BYTES {
        return Err(Omitted::TooLong);
    }
    let mut reason = Omitted::Empty;
    let mut nothing = Omitted::Empty;
    for entry in raw.split(',') {
        let entry = text::trim(entry);
        if entry.is_empty() {
            continue;
        }
        match address(entry) {
            Some((ip, text)) if is_public(ip) => return Ok(text),
            // What senders write where they know none.
            Some((ip, _)) if ip.is_unspecified() => nothing = Omitted::Placeholder,
            None if is_placeholder(entry, Role::Text) => nothing = Omitted::Placeholder,
            Some(_) => reason = Omitted::PrivateIp,
            None if reason == Omitted::Empty => reason = Omitted::NotAnIp,
            None => {}
        }
    }
    Err(if reason == Omitted::Empty {
        nothing
    } else {
        reason
    })
}

/// One address and how it is sent: as written, without port, brackets and zone; an IPv4-mapped IPv6 address as IPv4.
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
