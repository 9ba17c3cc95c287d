//! The contract between a host and a source.

use crate::options::Problem;
use crate::{BuildError, Clock, Intake, SourceError, Stop, SystemClock};
use async_trait::async_trait;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Options of a source that have been read and found good; opens the running source.
///
/// Reading options opens nothing, so that a configuration can be checked on any machine.
#[async_trait]
pub trait SourceConfig: fmt::Debug + Send + Sync {
    /// Takes hold of what the source reads, as far as something else could take it away: a port, a lock.
    ///
    /// # Errors
    ///
    /// When that is not possible: a port in use, a checkpoint that another process holds.
    async fn open(&self, cx: SourceContext) -> Result<Box<dyn Source>, BuildError>;

    /// What the source needs for itself alone, so that the host can refuse two sources that need the same.
    fn resources(&self) -> Vec<Resource> {
        Vec::new()
    }

    /// Whether its clients forget an event once they hear that it was taken, long before it is delivered: what a buffer in
    /// memory holds is then lost with the process. The host notes such buffers.
    fn clients_forget(&self) -> bool {
        false
    }

    /// What would stop the source from reading on this machine now, such as a file that is missing. Paths are relative to
    /// the source's options. Reads nothing but the state of the machine; called by `validate`.
    fn check(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// A source that is ready to run.
#[async_trait]
pub trait Source: Send {
    /// The address it listens on, if it does.
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// The path at which it takes events there, if there is one.
    fn path(&self) -> Option<&str> {
        None
    }

    /// Reads and sends until the input ends or `stop` says so, and until it is known what became of everything that was
    /// sent, or the deadline of `stop` has passed.
    ///
    /// # Errors
    ///
    /// When the source had to end before its input: the run is then incomplete. A panic is such an error too. What costs
    /// only a part of the input is reported with [`Intake::report`].
    async fn run(self: Box<Self>, to: Arc<dyn Intake>, stop: Stop) -> Result<(), SourceError>;
}

/// Something that one source needs for itself alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// The process's standard input.
    Stdin,
    /// An address to listen on. Port 0 is never shared.
    Listen(SocketAddr),
}

impl Resource {
    /// Whether two components that need these cannot run at the same time. An address of all interfaces takes the port of
    /// each of them.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stdin, Self::Stdin) => true,
            (Self::Listen(one), Self::Listen(other)) => {
                let (ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
                let takes_all = |all: IpAddr, ip: IpAddr| {
                    // Where a system lets `[::]` take IPv4 as well, which most do.
                    all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4())
                };
                one.port() == other.port()
                    && one.port() != 0
                    && (ip == other_ip || takes_all(ip, other_ip) || takes_all(other_ip, ip))
            }
            _ => false,
        }
    }
}

/// What a host hands to a source that is being opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceContext {
    /// The source's name in the pipeline file.
    pub name: String,
    /// The folder for what has to survive the process. It may not exist yet.
    pub data_dir: PathBuf,
    /// Where the source reads the time.
    pub clock: Arc<dyn Clock>,
    /// How long a client may be kept waiting for room in the buffers.
    pub room_limit: Duration,
}

impl SourceContext {
    /// How long a client waits for room unless the host says otherwise.
    pub const ROOM_LIMIT: Duration = Duration::from_secs(5);

    /// A context with the machine's clock.
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            data_dir: data_dir.into(),
            clock: Arc::new(SystemClock),
            room_limit: Self::ROOM_LIMIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_on_one_port_conflict_unless_their_addresses_differ() {
        let listen = |address: &str| Resource::Listen(address.parse().expect("an address"));
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "[::1]:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "0.0.0.0:80", true),
            ("[::1]:80", "127.0.0.1:80", false),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("[::]:80", "0.0.0.0:81", false),
        ] {
            let (one, other) = (listen(one), listen(other));
            assert_eq!(one.conflicts_with(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.conflicts_with(&one), expected, "{other:?} {one:?}");
        }
        assert!(Resource::Stdin.conflicts_with(&Resource::Stdin));
        assert!(!Resource::Stdin.conflicts_with(&listen("127.0.0.1:80")));
    }
}
