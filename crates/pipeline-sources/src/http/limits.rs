//! What the options of every source that listens have in common: the address and who may reach it, and the memory of requests.

use super::admission::DEFAULT_MAX_BYTES_IN_FLIGHT;
use super::coding::least_memory;
use super::proxies::Proxies;
use pipeline_core::options::Problem;
use std::net::SocketAddr;

/// Largest request body a source takes unless told otherwise, in bytes.
pub const DEFAULT_MAX_BODY_BYTES: usize = 5 * 1024 * 1024;

pub(crate) fn default_address() -> String {
    "127.0.0.1:8080".to_owned()
}

pub(crate) fn default_max_body_bytes() -> usize {
    DEFAULT_MAX_BODY_BYTES
}

/// The address to listen on. `guard` is the option that lets it be reached from other machines, as it is written in a sentence.
pub(crate) fn listen_address(
    address: &str,
    allow_non_loopback: bool,
    guard: &str,
) -> Result<SocketAddr, Problem> {
    let parsed: SocketAddr = address.parse().map_err(|_| {
        let expected = "an IP address and a port: `127.0.0.1:8080`";
        Problem::new("address", "is not an address", expected)
    })?;
    if !parsed.ip().is_loopback() && !allow_non_loopback {
        let problem = "can be reached from other machines";
        let expected = format!("a loopback address, or `allow_non_loopback: true` with {guard}");
        return Err(Problem::new("address", problem, expected));
    }
    Ok(parsed)
}

/// Memory for requests: enough for any one of them.
pub(crate) fn memory(chosen: Option<usize>, max_body_bytes: usize) -> Result<usize, Problem> {
    let least = least_memory(max_body_bytes);
    match chosen {
        None => Ok(least.max(DEFAULT_MAX_BYTES_IN_FLIGHT)),
        Some(chosen) if chosen >= least => Ok(chosen),
        Some(_) => {
            let expected = format!("at least {least} with this `max_body_bytes`");
            let problem = "is less than one request may take";
            Err(Problem::new("max_bytes_in_flight", problem, expected))
        }
    }
}

/// The proxies that are trusted, and those whose connections begin with the PROXY protocol.
pub(crate) fn proxies(
    proxy_protocol: bool,
    trusted: &[String],
) -> Result<(Proxies, Option<Proxies>), Vec<Problem>> {
    let trusted = Proxies::new(trusted)?;
    if proxy_protocol && trusted.is_empty() {
        let problem = "needs to know whose word about clients is believed";
        let expected = "the balancers in `trusted_proxies`: `[10.0.0.0/8]`";
        return Err(vec![Problem::new("proxy_protocol", problem, expected)]);
    }
    let spoken = proxy_protocol.then(|| trusted.clone());
    Ok((trusted, spoken))
}
