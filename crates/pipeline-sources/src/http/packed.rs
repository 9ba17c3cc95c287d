//! A body as it came, unpacked and read into what a source makes of it: a small one at once, a large one on a thread of its
//! own.
//!
//! Invariant: reading a large body holds up no other request, and takes only memory that was admitted for it.

use super::admission::Hold;
use super::coding::Coding;
use super::media::Media;
use super::refusal::Refusal;
use bytes::Bytes;
use tokio::sync::Semaphore;

/// Bytes up to which a plain body is read by the task that received it: it takes a part of a millisecond, and another thread would
/// first have to fetch the bytes from the caches of this one.
const READ_IN_PLACE_BYTES: usize = 256 * 1024;
/// Bytes up to which a packed one is unpacked there, packed and unpacked: thousands of packed pieces without anything in them take
/// far longer than as many plain bytes.
const UNPACKED_IN_PLACE_BYTES: usize = 64 * 1024;

/// A body as it came.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) body: Bytes,
    pub(crate) media: Media,
    pub(crate) coding: Coding,
}

/// Unpacks bodies, as many large ones at a time as there are cores.
#[derive(Debug)]
pub(crate) struct Unpacker {
    turns: Semaphore,
    max_body_bytes: usize,
}

impl Unpacker {
    pub(crate) fn new(max_body_bytes: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            turns: Semaphore::new(cores),
            max_body_bytes,
        }
    }

    /// What `make` makes of the body in plain text.
    pub(crate) async fn unpack<T: Send + 'static>(
        &self,
        packed: Packed,
        hold: &mut Hold,
        make: impl FnOnce(&Bytes) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        if let Some(plain) = packed.at_once(self.max_body_bytes) {
            return make_of(&plain?, packed.media, make);
        }
        let _turn = self.turns.acquire().await.map_err(|_| unavailable())?;
        let max_bytes = self.max_body_bytes;
        let cost = packed.coding.cost(packed.body.len(), max_bytes);
        hold.grow_to(packed.body.len() + cost).await?;
        let task = tokio::task::spawn_blocking(move || {
            let plain = packed.coding.plain(packed.body, max_bytes)?;
            make_of(&plain, packed.media, make)
        });
        task.await.map_err(|_| unavailable())?
    }

    /// Work on so many bytes, whose memory has been admitted.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        bytes: usize,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        if bytes <= READ_IN_PLACE_BYTES {
            return Ok(make());
        }
        let _turn = self.turns.acquire().await.map_err(|_| unavailable())?;
        let task = tokio::task::spawn_blocking(make);
        task.await.map_err(|_| unavailable())
    }
}

fn unavailable() -> Refusal {
    Refusal::new(
        500,
        "internal",
        "the body could not be read; please report it",
    )
}

impl Packed {
    /// The body in plain text, of at most so many bytes, where it is so small that this takes next to no time.
    fn at_once(&self, max_bytes: usize) -> Option<Result<Bytes, Refusal>> {
        let in_place = if self.coding.is_plain() {
            READ_IN_PLACE_BYTES
        } else {
            UNPACKED_IN_PLACE_BYTES
        };
        if self.body.len() > in_place {
            return None;
        }
        self.coding
            .plain_at_once(&self.body, in_place.min(max_bytes))
    }
}

fn make_of<T>(
    plain: &Bytes,
    media: Media,
    make: impl FnOnce(&Bytes) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    media.check(plain)?;
    make(plain)
}

#[cfg(test)]
mod tests {
    use super::super::admission::Memory;
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Ends a test that would hang.
    const PATIENCE: Duration = Duration::from_secs(30);
    const MAX_BODY_BYTES: usize = 5 * 1024 * 1024;

    fn packed(coding: &str, body: Vec<u8>) -> Packed {
        Packed {
            body: body.into(),
            media: Media::of(None).unwrap(),
            coding: Coding::of(Some(coding.as_bytes())).unwrap(),
        }
    }

    fn empty_member() -> Vec<u8> {
        let member = GzEncoder::new(Vec::new(), Compression::fast());
        member.finish().unwrap()
    }

    #[tokio::test]
    async fn what_unpacks_to_more_than_the_limit_is_refused_however_small_the_limit() {
        let pack = |bytes: usize| {
            let mut packed = GzEncoder::new(Vec::new(), Compression::best());
            packed.write_all(&vec![b' '; bytes]).unwrap();
            packed.finish().unwrap()
        };
        for limit in [10, 1_000, UNPACKED_IN_PLACE_BYTES, READ_IN_PLACE_BYTES] {
            let unpacker = Unpacker::new(limit);
            for (bytes, expected) in [(limit, None), (limit + 1, Some(413))] {
                let mut hold = Memory::new(usize::MAX).hold(PATIENCE);
                let read = |_: &Bytes| Ok(());
                let read = unpacker.unpack(packed("gzip", pack(bytes)), &mut hold, read);
                let status = read.await.err().map(|refusal| refusal.status);
                assert_eq!(status, expected, "{bytes} of {limit}");
            }
        }
    }

    /// The one thread of the test is free while a body is read: it says when the reading may end.
    #[tokio::test]
    async fn what_takes_time_to_read_leaves_the_thread_to_other_requests() {
        let bomb = {
            let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
            bomb.write_all(&vec![b' '; MAX_BODY_BYTES]).unwrap();
            bomb.finish().unwrap()
        };
        let unpacker = Unpacker::new(MAX_BODY_BYTES);
        for (coding, body) in [
            ("gzip", empty_member().repeat(4_000)),
            ("gzip", bomb),
            ("identity", vec![b' '; READ_IN_PLACE_BYTES + 1]),
        ] {
            let (go, waits) = mpsc::channel();
            let mut hold = Memory::new(usize::MAX).hold(PATIENCE);
            let make = move |_: &Bytes| Ok(waits.recv_timeout(PATIENCE).is_ok());
            let read = unpacker.unpack(packed(coding, body), &mut hold, make);
            let (is_free, ()) = tokio::join!(read, async { go.send(()).unwrap() });
            assert_eq!(is_free, Ok(true), "{coding}");
        }
        let (go, waits) = mpsc::channel();
        let work = unpacker.work(READ_IN_PLACE_BYTES + 1, move || {
            waits.recv_timeout(PATIENCE).is_ok()
        });
        let (is_free, ()) = tokio::join!(work, async { go.send(()).unwrap() });
        assert_eq!(is_free, Ok(true));
    }
}
