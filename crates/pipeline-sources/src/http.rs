//! What every source that listens for HTTP shares: connections, deadlines, admission by bytes, bodies, and refusals.
//!
//! ```text
//! accept ─► connection ─► access ─► body ─► coding ─► cut ─► the source's own: events, offer, answer
//!           (bound,       (Host,    (bytes  (gzip,    (array, lines,
//!           deadlines)    Origin,   admitted zstd, …) values one after
//!                         secret)   as they           the other)
//!                                   come)
//! ```
//!
//! Invariant: what a stranger can make the process hold is bounded: connections by [`MAX_CONNECTIONS`] and the process's
//! limit of descriptors, bytes of requests by [`admission`], time by [`deadlines`].

mod access;
mod admission;
mod answer;
mod body;
mod coding;
mod connections;
mod cut;
mod damage;
mod deadlines;
mod detached;
mod http1;
mod limits;
mod media;
pub(crate) mod members;
mod offering;
mod packed;
mod proxies;
mod proxy_protocol;
pub(crate) mod query;
mod refusal;
mod refusal_log;
mod secret;
mod serve;
mod tls;
mod values;
mod watched;

pub(crate) use access::{Access, AccessOptions};
pub use admission::DEFAULT_MAX_BYTES_IN_FLIGHT;
pub(crate) use admission::{Hold, Memory};
pub(crate) use answer::Answer;
pub(crate) use body::read;
pub(crate) use coding::Coding;
pub use connections::MAX_CONNECTIONS;
pub use cut::MAX_EVENTS_PER_REQUEST;
pub(crate) use cut::events;
pub(crate) use deadlines::Deadlines;
pub(crate) use detached::detached;
pub use limits::DEFAULT_MAX_BODY_BYTES;
pub(crate) use limits::{default_address, default_max_body_bytes, listen_address, memory, proxies};
pub(crate) use media::Media;
pub(crate) use offering::{Events, Offering};
pub(crate) use packed::{Packed, Unpacker};
pub(crate) use proxies::Proxies;
pub(crate) use refusal::Refusal;
pub(crate) use refusal_log::Refusals;
pub(crate) use secret::{LOOK_PAUSE, SecretFile, SecretOptions, Shown, is_secret, read_secret};
pub(crate) use serve::Server;
pub(crate) use tls::{TlsFiles, TlsOptions};
pub(crate) use values::{read_sound, read_value};
