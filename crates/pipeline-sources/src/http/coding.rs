//! Unpacks a body, within a limit: gzip, deflate, zstd, br, and several of them one around the other.
//!
//! Invariant: however much a body would unpack to, no more than one byte beyond the limit is ever unpacked, and no
//! decoder keeps a window larger than [`MAX_WINDOW_BYTES`].

use super::body::too_large;
use super::refusal::Refusal;
use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use std::io::{self, Read};

/// Memory that has to be there so that any body of at most so many bytes can be unpacked.
pub(crate) const fn least_memory(max_body_bytes: usize) -> usize {
    4 * max_body_bytes + BROTLI_WINDOW_BYTES
}

/// Codings around one body.
const MAX_CODINGS: usize = 3;
/// The largest window of zstd that is read: what RFC 8878 asks decoders to support.
const MAX_WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// The largest window of br.
const BROTLI_WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that are unpacked at a time.
const STEP_BYTES: usize = 16 * 1024;

/// How a body was packed, the coding that was applied last first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coding(Vec<Packing>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Deflate,
    Zstd,
    Brotli,
}

impl Coding {
    /// Reads a `Content-Encoding`.
    pub(crate) fn of(content_encoding: Option<&[u8]>) -> Result<Self, Refusal> {
        let text = String::from_utf8_lossy(content_encoding.unwrap_or_default());
        let mut packings = Vec::new();
        for name in text.split(',') {
            packings.push(match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Packing::Gzip,
                "deflate" | "zlib" => Packing::Deflate,
                "zstd" => Packing::Zstd,
                "br" => Packing::Brotli,
                _ => return Err(unsupported()),
            });
        }
        if packings.len() > MAX_CODINGS {
            return Err(unsupported());
        }
        packings.reverse();
        Ok(Self(packings))
    }

    /// Whether nothing is packed.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.is_empty()
    }

    /// The body unpacked, where that takes next to no time: `None` when it is packed and unpacks to more than so many bytes.
    pub(crate) fn plain_at_once(
        &self,
        body: &Bytes,
        most: usize,
    ) -> Option<Result<Bytes, Refusal>> {
        // A decoder of zstd fills its window first.
        if self.0.contains(&Packing::Zstd) {
            return None;
        }
        match self.plain(body.clone(), most) {
            Err(refusal) if refusal.status == 413 => None,
            plain => Some(plain),
        }
    }

    /// The most memory that unpacking a body of so many bytes takes.
    pub(crate) fn cost(&self, packed: usize, max_bytes: usize) -> usize {
        let cost = |packing: &Packing| match packing {
            // Deflate packs 1,032 bytes into one at best.
            Packing::Gzip | Packing::Deflate if self.0.len() == 1 => {
                max_bytes.min(packed.saturating_mul(1032)) + 4 * STEP_BYTES
            }
            Packing::Gzip | Packing::Deflate => max_bytes + 4 * STEP_BYTES,
            Packing::Zstd => 2 * max_bytes,
            Packing::Brotli => max_bytes + BROTLI_WINDOW_BYTES,
        };
        self.0.iter().map(cost).max().unwrap_or(0) + if self.0.len() > 1 { max_bytes } else { 0 }
    }

    /// The body unpacked, which may have at most that many bytes.
    pub(crate) fn plain(&self, body: Bytes, max_bytes: usize) -> Result<Bytes, Refusal> {
        let mut plain = body;
        for packing in &self.0 {
            plain = packing.unpack(&plain, max_bytes)?.into();
        }
        Ok(plain)
    }
}

impl Packing {
    fn unpack(self, packed: &[u8], max_bytes: usize) -> Result<Vec<u8>, Refusal> {
        let unpacked = match self {
            Self::Gzip => members(packed, max_bytes),
            Self::Deflate => {
                // RFC 9110 means zlib; some clients send bare deflate.
                let is_zlib = packed.first().is_some_and(|first| first & 0x0f == 8)
                    && packed.get(..2).is_some_and(|head| {
                        (u16::from(head[0]) << 8 | u16::from(head[1])).is_multiple_of(31)
                    });
                if is_zlib {
                    bounded(ZlibDecoder::new(packed), max_bytes)
                } else {
                    bounded(DeflateDecoder::new(packed), max_bytes)
                }
            }
            Self::Zstd => frames(packed, max_bytes),
            Self::Brotli => bounded(
                brotli_decompressor::Decompressor::new(packed, STEP_BYTES),
                max_bytes,
            ),
        };
        let unpacked = unpacked.map_err(|error| {
            if error.kind() == io::ErrorKind::FileTooLarge {
                return too_large(max_bytes);
            }
            let name = self.name();
            let problem = format!("the body is not whole {name}, as its `Content-Encoding` says");
            Refusal::new(400, self.code(), problem)
        })?;
        if unpacked.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        Ok(unpacked)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd (with a window of 8 MiB at most)",
            Self::Brotli => "br",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Gzip => "malformed_gzip",
            Self::Deflate => "malformed_deflate",
            Self::Zstd => "malformed_zstd",
            Self::Brotli => "malformed_br",
        }
    }
}

fn unsupported() -> Refusal {
    let expected = "expected a body that is plain or packed with `gzip`, `deflate`, `zstd` or `br`";
    Refusal::new(415, "unsupported_encoding", expected)
}

/// Everything of this reader, and one byte beyond the limit at most.
fn bounded(reader: impl Read, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    append(reader, max_bytes, &mut plain)?;
    Ok(plain)
}

/// Appends up to one byte beyond the limit, without growing far ahead of what is there.
fn append(reader: impl Read, max_bytes: usize, plain: &mut Vec<u8>) -> io::Result<()> {
    let left = (max_bytes + 1).saturating_sub(plain.len());
    let mut reader = reader.take(left as u64);
    loop {
        // `Vec` doubles; the last time it takes exactly what is allowed.
        let room =
            (max_bytes + 1 - plain.len().min(max_bytes + 1)).min(plain.len().max(STEP_BYTES));
        if room == 0 {
            return Ok(());
        }
        plain.reserve_exact(room);
        let read = (&mut reader).take(room as u64).read_to_end(plain)?;
        if read < room {
            return Ok(());
        }
    }
}

/// The members of a gzip file, and nothing or zeros behind them.
fn members(mut packed: &[u8], max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    loop {
        append(GzDecoder::new(&mut packed), max_bytes, &mut plain)?;
        if is_padding(packed) || plain.len() > max_bytes {
            return Ok(plain);
        }
    }
}

/// The frames of a zstd file, and nothing or zeros behind them.
fn frames(mut packed: &[u8], max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    loop {
        skip_frames(&mut packed)?;
        if is_padding(packed) {
            return Ok(plain);
        }
        check_window(packed, max_bytes)?;
        let frame = zstd::Decoder::with_buffer(&mut packed)?.single_frame();
        append(frame, max_bytes, &mut plain)?;
        if plain.len() > max_bytes {
            return Ok(plain);
        }
    }
}

/// Skips frames that hold something else than data.
fn skip_frames(packed: &mut &[u8]) -> io::Result<()> {
    while let [kind, 0x2a, 0x4d, 0x18, sizes @ ..] = *packed
        && kind & 0xf0 == 0x50
    {
        let (size, rest) = sizes
            .split_first_chunk()
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = u32::from_le_bytes(*size) as usize;
        *packed = rest.get(size..).ok_or(io::ErrorKind::UnexpectedEof)?;
    }
    Ok(())
}

/// Refuses a frame of zstd whose window is too large, before a decoder makes room for it: it keeps a whole window before it
/// gives anything away.
fn check_window(packed: &[u8], max_bytes: usize) -> io::Result<()> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = packed else {
        return Err(bad());
    };
    if descriptor & 0x20 == 0 {
        let window = *rest.first().ok_or_else(bad)?;
        let base = 1_u64 << (10 + (window >> 3));
        let window = base + base / 8 * u64::from(window & 7);
        return if window > MAX_WINDOW_BYTES {
            Err(bad())
        } else {
            Ok(())
        };
    }
    // One segment: its window is all of it. The size comes after the dictionary's id.
    let id_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_bytes = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let size = rest.get(id_bytes..id_bytes + size_bytes).ok_or_else(bad)?;
    let mut bytes = [0; 8];
    bytes[..size_bytes].copy_from_slice(size);
    if u64::from_le_bytes(bytes) > max_bytes as u64 {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

/// Whether nothing but zeros is left, which archives are padded with.
fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests;
