//! Why an exchange failed, in our own words: a chain of errors of the HTTP library comes in, a reason goes out.
//!
//! Invariant: no text of the chain is repeated, because it can show a URL; the words are all in this file.

use crate::response::Code;
use pipeline_core::Reason;
use rustls::{AlertDescription, CertificateError};
use std::error::Error;
use std::io;

/// Links of a chain of errors that are looked at.
const MAX_LINKS: usize = 32;

/// Whether the request was under way when it failed, so that an event in it may be the cause.
pub(super) fn was_sent(error: &reqwest::Error) -> bool {
    !error.is_connect()
}

/// The reason for a failed exchange.
#[cold]
pub(super) fn reason(error: &reqwest::Error) -> Reason {
    if error.is_timeout() && !error.is_connect() {
        return Code::Timeout.reason();
    }
    let (mut is_at_proxy, mut link) = (false, error.source());
    let mut words = None;
    for _ in 0..MAX_LINKS {
        let Some(cause) = link else { break };
        let found = of_tunnel(cause)
            .or_else(|| of_socks(cause))
            .or_else(|| of(cause));
        if found.is_some() {
            words = found;
            break;
        }
        is_at_proxy |= is_tunnel(cause);
        link = next(cause);
    }
    let words = words.unwrap_or_else(|| of_phase(error));
    let at_proxy = if is_at_proxy { " at the proxy" } else { "" };
    let sentence = Code::ConnectionFailed.sentence();
    Code::ConnectionFailed.because(format!("{sentence}{at_proxy}: {words}"))
}

/// A proxy's answer to a request that it was to pass on unencrypted.
#[cold]
pub(super) fn refused_by_proxy() -> Reason {
    let sentence = Code::ConnectionFailed.sentence();
    Code::ConnectionFailed.because(format!("{sentence}: {PROXY_CREDENTIALS}"))
}

const PROXY_CREDENTIALS: &str =
    "the proxy wants a user name and a password, or others; give them in `proxy`";

/// What is known where the chain does not say more.
fn of_phase(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no connection was made in time; look for a firewall"
    } else if error.is_connect() {
        "no connection could be made"
    } else if error.is_body() || error.is_decode() {
        "it was closed before the answer was complete"
    } else {
        "it was closed before an answer came"
    }
}

/// The cause of a cause. An error of input and output does not show the error inside it as its source, only that one's source.
fn next<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let io = cause.downcast_ref::<io::Error>();
    match io.and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => cause.source(),
    }
}

/// The library keeps the types of these errors to itself; tests with a real proxy make sure that the texts are still these.
fn is_tunnel(cause: &(dyn Error + 'static)) -> bool {
    cause.to_string().starts_with("tunnel error")
}

fn of_tunnel(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    match cause.to_string().strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Some(PROXY_CREDENTIALS),
        "unsuccessful" => Some("the proxy refused to connect to `endpoint`"),
        "unexpected end of file" => Some("the proxy closed it without an answer"),
        "proxy response headers too long" => Some("the answer of the proxy is too long"),
        _ => None,
    }
}

/// The library drops the cause of these errors, and has texts for them only.
fn of_socks(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    let text = cause.to_string();
    if text == "error resolving for socks proxy" {
        return Some(
            "the host's name was not found; with `socks5h` in the proxy's address, the proxy looks it up",
        );
    }
    Some(match text.strip_prefix("SOCKS error: ")? {
        "failed to create underlying connection" => {
            "the proxy cannot be reached; check its address and port"
        }
        "io error during SOCKS handshake" => "the proxy closed it without an answer",
        "failed parsing server response" => "the answer of the proxy is not SOCKS 5",
        "server does not support user/pass authentication"
        | "server implements authentication incorrectly"
        | "credentials not accepted" => PROXY_CREDENTIALS,
        // Nine kinds of refusals, which each proxy understands in its own way.
        _ => "the proxy refused to connect to `endpoint`",
    })
}

fn of(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(of_tls(tls));
    }
    if let Some(io) = cause.downcast_ref::<io::Error>() {
        return of_io(io);
    }
    // This type is not public either.
    let is_name = cause.to_string() == "dns error";
    is_name.then_some("the host's name was not found; check the name and the DNS server")
}

fn of_io(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    Some(match error.kind() {
        Kind::ConnectionRefused => "refused; nothing listens there, or a firewall rejects it",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => {
            "it was reset by the other side"
        }
        Kind::UnexpectedEof => "it was closed by the other side",
        Kind::TimedOut => "no connection was made in time; look for a firewall",
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => {
            "the network has no route to the host"
        }
        Kind::AddrNotAvailable => "this machine has no address or port left for it",
        Kind::PermissionDenied => {
            "this machine does not allow it; look for a firewall or a sandbox"
        }
        _ if is_out_of_files(error) => {
            "this process has too many files and connections open; raise its limit"
        }
        _ => return None,
    })
}

/// Whether the process or the machine has no file descriptor left.
#[cfg(unix)]
fn is_out_of_files(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

#[cfg(not(unix))]
fn is_out_of_files(_: &io::Error) -> bool {
    false
}

fn of_tls(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(problem) => of_certificate(problem),
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => {
            "the server does not accept the client's certificate, or wants one; check `client_cert_file`"
        }
        rustls::Error::AlertReceived(_) => "the TLS handshake failed: the server ended it",
        rustls::Error::InvalidMessage(_) => {
            "the TLS handshake failed: the answer is not TLS; check `endpoint`, and look for a proxy"
        }
        rustls::Error::PeerIncompatible(_) => {
            "the TLS handshake failed: the server has no version or cipher that is accepted here"
        }
        _ => "the TLS handshake failed",
    }
}

fn of_certificate(problem: &CertificateError) -> &'static str {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired; check this machine's clock too"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; check this machine's clock too"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host; check `endpoint`, and look for a proxy"
        }
        CertificateError::UnknownIssuer => {
            "the server's certificate has an unknown issuer; if the issuer is to be trusted, give its certificate in `ca_file`"
        }
        CertificateError::Revoked => "the server's certificate is revoked",
        _ => "the server's certificate is not acceptable",
    }
}

#[cfg(test)]
mod tests;
