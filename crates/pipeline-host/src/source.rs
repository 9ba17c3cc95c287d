//! Sources: where events come from.
//!
//! A source is planned while the configuration is read, opened when the pipeline starts (so that a port in use stops the
//! start), and then runs until its input ends or the pipeline stops. What it cannot read costs no other source.

mod chunk;
mod file;
mod http_server;
mod line;
mod mark;
mod pump;

use crate::ack::Until;
use crate::config::option::{Acknowledgements, SourceOptions};
use crate::outlet::Feed;
use crate::stop::StopSignal;
use crate::topology::StartOptions;
pub use file::CheckpointError;
pub(crate) use http_server::ROOM_LIMIT;
pub use http_server::{MAX_EVENTS_PER_REQUEST, MAX_REQUESTS_IN_FLIGHT};
pub use line::{Line, LineReader, MAX_LINE_BYTES, too_large};
use pipeline_core::options::Problem;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A source whose options are good.
#[derive(Debug, Clone)]
pub struct SourcePlan {
    /// Its name in the pipeline file.
    pub name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    File(file::Files),
    Stdin,
    HttpServer(http_server::Settings),
}

/// Why a source could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be read.
    #[error("source `{name}`: `{}` cannot be read: {error}", path.display())]
    File {
        /// The source's name.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Standard input cannot be read.
    #[error("source `{name}`: standard input cannot be read: {error}")]
    Stdin {
        /// The source's name.
        name: String,
        /// What the system says.
        error: io::Error,
    },
    /// How far the source has come cannot be kept.
    #[error("source `{name}`: the checkpoint `{}` {error}", path.display())]
    Checkpoint {
        /// The source's name.
        name: String,
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong and what to do.
        error: CheckpointError,
    },
    /// The address cannot be listened on.
    #[error("source `{name}`: cannot listen on {address}: {error}")]
    Listen {
        /// The source's name.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

impl SourcePlan {
    pub(crate) fn new(
        name: &str,
        options: &SourceOptions,
        base_dir: &Path,
    ) -> Result<Self, Problem> {
        let kind = match options {
            SourceOptions::File {
                path,
                shift_times,
                checkpoint,
                follow,
            } => Kind::File(
                file::Files {
                    paths: path.to_vec().into_iter().map(PathBuf::from).collect(),
                    base_dir: base_dir.to_owned(),
                    shift_times: *shift_times,
                    checkpoint: checkpoint.unwrap_or(!shift_times),
                    follow: *follow,
                }
                .checked(name)?,
            ),
            SourceOptions::Stdin {} => Kind::Stdin,
            SourceOptions::HttpServer {
                address,
                allow_non_loopback,
                path,
                max_body_bytes,
                acknowledgements,
            } => Kind::HttpServer(http_server::Settings {
                address: listen_address(address, *allow_non_loopback)?,
                path: http_path(path)?,
                max_body_bytes: *max_body_bytes,
                until: match acknowledgements {
                    Acknowledgements::Buffered => Until::Buffered,
                    Acknowledgements::EndToEnd => Until::Final,
                },
            }),
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
        })
    }

    /// What would stop the source from starting: files that cannot be read.
    pub fn check(&self) -> Vec<Problem> {
        let Kind::File(files) = &self.kind else {
            return Vec::new();
        };
        let sources = pipeline_core::options::join("sources", &self.name);
        let unreadable = files.expand().into_iter().filter_map(|found| {
            let opened = found.and_then(|path| file::open(&path).map_err(|error| (path, error)));
            // What is followed may come later.
            let awaited =
                |error: &io::Error| files.follow && error.kind() == io::ErrorKind::NotFound;
            opened.err().filter(|(_, error)| !awaited(error))
        });
        unreadable
            .map(|(path, error)| {
                let problem = format!("`{}` cannot be read: {error}", path.display());
                let expected = "a file that exists and can be read";
                Problem::new(format!("{sources}.path"), problem, expected)
            })
            .collect()
    }

    /// Takes hold of what the source reads, as far as others could take it away.
    pub(crate) async fn open(
        self,
        options: &StartOptions,
        data_dir: &Path,
    ) -> Result<Source, SourceError> {
        let (from, keeper) = match self.kind {
            Kind::File(files) => {
                let (reader, keeper) = files.open(&self.name, data_dir)?;
                (pump::From::Files(reader), keeper)
            }
            Kind::Stdin => (pump::From::Stdin, None),
            Kind::HttpServer(settings) => {
                let server = http_server::HttpServer::bind(self.name, settings, options).await?;
                return Ok(Source::HttpServer(server));
            }
        };
        Ok(Source::Lines(pump::Pump {
            name: self.name,
            from,
            clock: Arc::clone(&options.clock),
            keeper,
        }))
    }
}

/// A source that is ready to run.
pub(crate) enum Source {
    Lines(pump::Pump),
    HttpServer(http_server::HttpServer),
}

impl Source {
    /// The address it listens on.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Lines(_) => None,
            Self::HttpServer(server) => Some(server.address()),
        }
    }

    /// Runs until the input ends or the pipeline stops; returns what could not be read to its end.
    pub(crate) async fn run(self, feed: Feed, stop: StopSignal) -> Vec<SourceError> {
        match self {
            Self::Lines(pump) => pump.run(feed, stop).await,
            Self::HttpServer(server) => {
                server.run(feed, stop).await;
                Vec::new()
            }
        }
    }
}

/// An IP address with a port.
pub(crate) fn socket_address(address: &str) -> Result<SocketAddr, Problem> {
    let expected = "an IP address and a port: `127.0.0.1:8080`";
    let parsed = address.parse();
    parsed.map_err(|_| Problem::new("address", "is not an address", expected))
}

fn listen_address(address: &str, allow_non_loopback: bool) -> Result<SocketAddr, Problem> {
    let parsed = socket_address(address)?;
    if !parsed.ip().is_loopback() && !allow_non_loopback {
        let problem = "can be reached from other machines, and nothing here asks who is calling";
        let expected = "a loopback address, or `allow_non_loopback: true`";
        return Err(Problem::new("address", problem, expected));
    }
    Ok(parsed)
}

fn http_path(path: &str) -> Result<String, Problem> {
    let plain = path
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b));
    if path.starts_with('/') && plain && path.len() > 1 && path != http_server::HEALTH_PATH {
        return Ok(path.to_owned());
    }
    let expected = "letters, digits, `-`, `_`, `.` after a `/`, and not `/health`: `/v1/events`";
    Err(Problem::new("path", "is not a path to listen on", expected))
}
