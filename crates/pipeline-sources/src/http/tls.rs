//! TLS for a source that listens: a certificate and its key from two files, read again when they change.
//!
//! Invariant: a pair of files that cannot be used never replaces one that works; a handshake that does not come ends within
//! the time of a head.

use pipeline_core::options::Problem;
use pipeline_core::{BuildError, schemars};
use schemars::JsonSchema;
use serde::Deserialize;
use std::convert::Infallible;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The longest file of certificates or of a key.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// What a client offers that speaks HTTP/2.
pub(super) const HTTP_2: &[u8] = b"h2";
/// How often the files are looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(10);

/// The certificate that clients are shown.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsOptions {
    /// The file with the certificate and those between it and its authority, in PEM. It is read again when it changes. Example: `/etc/ssl/events.pem`.
    cert_file: PathBuf,
    /// The file with the private key of the certificate, in PEM. It is read again when it changes. Example: `/etc/ssl/private/events.key`.
    key_file: PathBuf,
}

/// Files that hold a certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    cert: PathBuf,
    key: PathBuf,
}

/// A certificate and its key, as they are now.
#[derive(Debug)]
pub(crate) struct Tls {
    source: String,
    files: TlsFiles,
    /// What the files held when they were read last.
    read: RwLock<Pair>,
}

#[derive(Debug, Clone)]
struct Pair {
    texts: (Vec<u8>, Vec<u8>),
    config: Arc<ServerConfig>,
}

impl TlsOptions {
    /// The files; a relative path starts at `base_dir`.
    pub(crate) fn files(self, base_dir: &Path) -> TlsFiles {
        TlsFiles {
            cert: base_dir.join(self.cert_file),
            key: base_dir.join(self.key_file),
        }
    }
}

impl TlsFiles {
    /// What is wrong with the files on this machine.
    pub(crate) fn check(&self) -> Option<Problem> {
        let problem = self.read().err()?;
        let expected = "a certificate and its private key, in PEM";
        Some(Problem::new("tls", problem, expected))
    }

    /// Reads the files for the source of this name.
    pub(crate) fn open(self, source: &str) -> Result<Tls, BuildError> {
        let read = self
            .read()
            .map_err(|problem| BuildError::new(format!("source `{source}`: TLS {problem}")))?;
        Ok(Tls {
            source: source.to_owned(),
            files: self,
            read: RwLock::new(read),
        })
    }

    fn texts(&self) -> Result<(Vec<u8>, Vec<u8>), String> {
        Ok((text(&self.cert)?, text(&self.key)?))
    }

    fn read(&self) -> Result<Pair, String> {
        let texts = self.texts()?;
        let config = config(&texts).map_err(|problem| {
            let (cert, key) = (self.cert.display(), self.key.display());
            format!("cannot use `{cert}` with the key `{key}`: {problem}")
        })?;
        Ok(Pair { texts, config })
    }
}

impl Tls {
    /// What the next connection is accepted with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        // Nothing under the lock can panic.
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&read.config))
    }

    /// Reads the files again each time that they have changed.
    pub(super) async fn follow(&self) -> Infallible {
        let mut refused = None;
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            self.look(&mut refused);
        }
    }

    /// Reads the files again if they have changed; `refused` is what could not be used the last time.
    fn look(&self, refused: &mut Option<(Vec<u8>, Vec<u8>)>) {
        let source = &*self.source;
        let texts = self.files.texts().ok();
        let is_known = {
            let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
            texts.as_ref() == Some(&read.texts)
        };
        // A file that is missing is perhaps being replaced.
        if is_known || texts.is_none() || *refused == texts {
            return;
        }
        match self.files.read() {
            Ok(pair) => {
                *self.read.write().unwrap_or_else(PoisonError::into_inner) = pair;
                *refused = None;
                tracing::info!(%source, "the certificate has changed and is used from now on");
            }
            Err(problem) => {
                *refused = texts;
                tracing::warn!(%source, "the certificate has changed, and the one before is still used: TLS {problem}");
            }
        }
    }
}

/// What a file holds.
fn text(file: &Path) -> Result<Vec<u8>, String> {
    let problem = |what: &str| format!("cannot read `{}`: {what}", file.display());
    // Opening something else than a file could wait for ever.
    let metadata = std::fs::metadata(file).map_err(|error| problem(&error.to_string()))?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(problem("it is not a file of at most 1 MiB"));
    }
    let mut text = Vec::new();
    let read = File::open(file).and_then(|open| open.take(MAX_FILE_BYTES).read_to_end(&mut text));
    read.map_err(|error| problem(&error.to_string()))?;
    Ok(text)
}

fn config((cert, key): &(Vec<u8>, Vec<u8>)) -> Result<Arc<ServerConfig>, String> {
    let certs = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>();
    let certs = certs.map_err(|error| format!("the certificate: {error}"))?;
    if certs.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    // What the parser says of a key may quote it.
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|_| "the key is not a private key in PEM")?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
