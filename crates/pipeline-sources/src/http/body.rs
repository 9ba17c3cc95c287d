//! Reads the body of a request into memory that was admitted for it, at no less than the least rate.
//!
//! Invariant: a body holds no more memory than has arrived of it, doubled, whatever its `Content-Length` promises.

use super::admission::Hold;
use super::deadlines::Deadlines;
use super::refusal::Refusal;
use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

/// The least memory of a request: small bodies do not grow step by step.
const LEAST_BYTES: usize = 4 * 1024;

/// The whole body, of at most so many bytes.
pub(crate) async fn read(
    mut body: Body,
    max_bytes: usize,
    hold: &mut Hold,
    deadlines: &Deadlines,
) -> Result<Bytes, Refusal> {
    let promised = body.size_hint();
    if promised.lower() > max_bytes as u64 {
        return Err(too_large(max_bytes));
    }
    // Not one byte more than it can be.
    let most = promised.upper().map_or(max_bytes, |upper| {
        usize::try_from(upper).map_or(max_bytes, |upper| upper.min(max_bytes))
    });
    hold.grow_to(LEAST_BYTES).await?;
    let mut read = Vec::with_capacity(LEAST_BYTES.min(most));
    let mut pace = Pace::new(deadlines);
    loop {
        let frame = timeout_at(pace.window_end, body.frame()).await;
        let arrived = match frame {
            Err(_) => 0,
            Ok(None) => break,
            Ok(Some(Err(_))) => {
                let problem = "the body broke off before its end";
                return Err(Refusal::new(400, "broke_off", problem));
            }
            Ok(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_default();
                let bytes = read.len() + data.len();
                if bytes > max_bytes {
                    return Err(too_large(max_bytes));
                }
                if bytes > read.capacity() {
                    let capacity = (read.capacity() * 2).clamp(bytes, most.max(bytes));
                    hold.grow_to(capacity).await?;
                    read.reserve_exact(capacity - read.len());
                    pace.pause();
                }
                read.extend_from_slice(&data);
                data.len()
            }
        };
        pace.add(arrived, hold.memory().is_scarce())?;
    }
    Ok(read.into())
}

/// A body that is larger than the limit.
pub(super) fn too_large(max_bytes: usize) -> Refusal {
    let problem = format!("the body is larger than {max_bytes} bytes (`max_body_bytes`)");
    Refusal::new(413, "too_large", problem)
}

/// How fast a body comes, looked at once in a window.
struct Pace<'d> {
    deadlines: &'d Deadlines,
    start: Instant,
    window_end: Instant,
    arrived: u64,
}

impl<'d> Pace<'d> {
    fn new(deadlines: &'d Deadlines) -> Self {
        let start = Instant::now();
        Self {
            deadlines,
            start,
            window_end: start + deadlines.body_window,
            arrived: 0,
        }
    }

    /// The client was kept waiting: the window starts again.
    fn pause(&mut self) {
        self.window_end = self
            .window_end
            .max(Instant::now() + self.deadlines.body_window / 2);
    }

    fn add(&mut self, bytes: usize, is_scarce: bool) -> Result<(), Refusal> {
        self.arrived += bytes as u64;
        let now = Instant::now();
        if now < self.window_end {
            return Ok(());
        }
        let least = self.deadlines.least_bytes(now - self.start, is_scarce);
        if self.arrived < least {
            let problem = "the request took too long to arrive";
            return Err(Refusal::new(408, "timeout", problem));
        }
        self.arrived = 0;
        self.window_end = now + self.deadlines.body_window;
        Ok(())
    }
}
