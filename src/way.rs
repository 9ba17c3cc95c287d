//! The way to the destination: a proxy, the certificates that are trusted, a certificate of our own. Options and variables of the
//! environment come in, an HTTP client goes out.
//!
//! Invariant: what was given is used or reported, and never shown: a proxy's address can have a password.

use crate::small_file;
use pipeline_core::SensitiveString;
use reqwest::{Certificate, Client, ClientBuilder, Identity, NoProxy, Proxy, Url, redirect};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

/// The longest file of certificates, in bytes: a whole store of an operating system has less than a megabyte.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// The longest time for a connection with its TLS handshake.
const MAX_CONNECT: Duration = Duration::from_secs(10);

/// Why a file of certificates is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileProblem {
    #[error("cannot be read ({0})")]
    ReadError(#[from] io::Error),
    #[error("is larger than 8 MiB")]
    TooLarge,
    #[error("holds no certificate in PEM")]
    NoCertificate,
    #[error("holds a certificate that cannot be read")]
    BadCertificate,
    #[error("does not hold a certificate and the private key that belongs to it")]
    NoIdentity,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WayProblem {
    #[error(
        "the environment variable `{0}` is not a proxy's address; expected one such as `http://proxy.example:3128`, with http, https, socks5 or socks5h, or the option `proxy`"
    )]
    Variable(&'static str),
    #[error(
        "the file of the environment variable `SSL_CERT_FILE` {0}; expected certificates in PEM"
    )]
    StoreFile(FileProblem),
    #[error(
        "this machine has no certificates to trust; expected the system's package of them, `SSL_CERT_FILE`, `SSL_CERT_DIR`, or the option `ca_file`"
    )]
    NoStore,
    #[error("the HTTP client could not be set up; expected a usable proxy and usable certificates")]
    Client,
}

/// How the destination is reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// The proxy of the options; an empty text for none. Without it, the environment counts.
    pub(crate) proxy: Option<SensitiveString>,
    /// Trusted besides those of the machine.
    pub(crate) authorities: Vec<Certificate>,
    pub(crate) identity: Option<Identity>,
}

impl Way {
    /// A client for requests to `endpoint`, with the variables of this process's environment.
    pub(crate) fn client(&self, endpoint: &str, timeout: Duration) -> Result<Client, WayProblem> {
        // A value that is not UTF-8 is reported, as any other that is not understood.
        let text = |name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned());
        let variable = |name: &str| text(name).filter(|text| !text.is_empty());
        self.client_in(endpoint, timeout, &variable)
    }

    fn client_in(
        &self,
        endpoint: &str,
        timeout: Duration,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Client, WayProblem> {
        let proxy = self.proxy(endpoint, variable)?;
        let is_encrypted = |url: &str| url.starts_with("https:");
        let needs_store = is_encrypted(endpoint)
            || proxy
                .as_ref()
                .is_some_and(|(url, _)| is_encrypted(url.as_str()));
        let mut client = Client::builder()
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ))
            .timeout(timeout)
            .connect_timeout((timeout * 3 / 4).min(MAX_CONNECT))
            .redirect(redirect::Policy::none())
            .no_proxy();
        if let Some((url, no_proxy)) = proxy {
            let proxy = Proxy::all(url).map_err(|_| WayProblem::Client)?;
            client = client.proxy(proxy.no_proxy(no_proxy));
        }
        let client = if needs_store {
            self.with_store(client, variable)?
        } else {
            client.tls_certs_only([])
        };
        client.build().map_err(|_| {
            if needs_store && self.authorities.is_empty() && self.identity.is_none() {
                WayProblem::NoStore
            } else {
                WayProblem::Client
            }
        })
    }

    fn with_store(
        &self,
        mut client: ClientBuilder,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ClientBuilder, WayProblem> {
        if let Some(file) = variable("SSL_CERT_FILE") {
            authorities(Path::new(&file)).map_err(WayProblem::StoreFile)?;
        }
        if !self.authorities.is_empty() {
            client = client.tls_certs_merge(self.authorities.iter().cloned());
        }
        if let Some(identity) = &self.identity {
            client = client.identity(identity.clone());
        }
        Ok(client)
    }

    /// The proxy for requests to `endpoint`, and the hosts that are reached without it.
    fn proxy(
        &self,
        endpoint: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<(Url, Option<NoProxy>)>, WayProblem> {
        if let Some(written) = &self.proxy {
            let url = match written.expose() {
                "" => return Ok(None),
                text => proxy_url(text).ok_or(WayProblem::Client)?,
            };
            return Ok(Some((url, None)));
        }
        // As curl reads them: the lower case first, and `HTTP_PROXY` not at all where a web server may have set it.
        let names: &[&str] = match (endpoint.starts_with("https:"), variable("REQUEST_METHOD")) {
            (true, _) => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
            (false, None) => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
            (false, Some(_)) => &["http_proxy", "all_proxy", "ALL_PROXY"],
        };
        let given = names.iter().find_map(|name| Some((*name, variable(name)?)));
        let Some((name, text)) = given else {
            return Ok(None);
        };
        let url = proxy_url(text.trim()).ok_or(WayProblem::Variable(upper(name)))?;
        let without = variable("no_proxy").or_else(|| variable("NO_PROXY"));
        // The library takes the asterisk for names only, not for addresses.
        if without
            .as_ref()
            .is_some_and(|list| list.split(',').any(|host| host.trim() == "*"))
        {
            return Ok(None);
        }
        Ok(Some((
            url,
            without.and_then(|list| NoProxy::from_string(&list)),
        )))
    }
}

/// The name of a variable as people know it.
fn upper(name: &'static str) -> &'static str {
    match name {
        "https_proxy" => "HTTPS_PROXY",
        "http_proxy" => "HTTP_PROXY",
        "all_proxy" => "ALL_PROXY",
        other => other,
    }
}

/// The schemes of proxies: of SOCKS, those where a user name and a password can be shown.
const PROXY_SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// The address of a proxy: a URL with one of [`PROXY_SCHEMES`], or only its host and port, for http.
pub(crate) fn proxy_url(text: &str) -> Option<Url> {
    let url = if text.contains("://") {
        Url::parse(text)
    } else {
        Url::parse(&format!("http://{text}"))
    };
    let is_proxy = |url: &Url| {
        PROXY_SCHEMES.contains(&url.scheme())
            && url.host_str().is_some_and(|host| !host.is_empty())
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
    };
    url.ok().filter(is_proxy)
}

/// The certificates of a PEM file, at least one.
pub(crate) fn authorities(file: &Path) -> Result<Vec<Certificate>, FileProblem> {
    let text = read(file)?;
    let mut store = RootCertStore::empty();
    let mut certificates = Vec::new();
    for der in CertificateDer::pem_slice_iter(&text) {
        let der = der.map_err(|_| FileProblem::BadCertificate)?;
        certificates.push(Certificate::from_der(&der).map_err(|_| FileProblem::BadCertificate)?);
        store.add(der).map_err(|_| FileProblem::BadCertificate)?;
    }
    if certificates.is_empty() {
        return Err(FileProblem::NoCertificate);
    }
    Ok(certificates)
}

/// The certificate and the private key of a PEM file.
pub(crate) fn identity(file: &Path) -> Result<Identity, FileProblem> {
    let identity = Identity::from_pem(&read(file)?).map_err(|_| FileProblem::NoIdentity)?;
    // Only a client finds out whether the two belong together.
    let client = Client::builder().no_proxy().tls_certs_only([]);
    let built = client.identity(identity.clone()).build();
    built.map(|_| identity).map_err(|_| FileProblem::NoIdentity)
}

fn read(file: &Path) -> Result<Vec<u8>, FileProblem> {
    let mut bytes = Vec::new();
    small_file::open(file)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(FileProblem::TooLarge);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
