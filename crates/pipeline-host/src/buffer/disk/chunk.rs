//! How records are stored: many in one chunk of bytes, guarded by a checksum.
//!
//! In: records with what the host remembers of each. Out: a checksum, then the chunk in postcard's format. Names that many
//! records share (partition, label, source) are stored once.
//!
//! Invariant: a chunk holds encoded records only, so no personal data in the clear. Bytes that are not exactly those that
//! were written are refused, never guessed at.

use crate::ack::Ack;
use crate::batch::{Queued, RecordMeta, Slot};
use crate::dead_letter::Past;
use bytes::Bytes;
use pipeline_core::Record;
use pipeline_core::{Origin, Place};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::time::Instant;

/// Bytes of the checksum (CRC-32, little endian) in front of a chunk.
const CHECKSUM_BYTES: usize = 4;
/// How many of the latest names are compared before a name is written again. Chunks have a handful.
const NAMES_COMPARED: usize = 32;

#[derive(Debug, Serialize, Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    names: Vec<&'a str>,
    #[serde(borrow)]
    records: Vec<Stored<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(with = "serde_bytes")]
    payload: &'a [u8],
    event_id: &'a str,
    partition: usize,
    label: usize,
    source: usize,
    place: StoredPlace,
    event_time: i64,
    expires_at: i64,
    first_ms: i64,
}

/// A place as it is stored: by the number of its variant, so that new ones are added at the end only.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum StoredPlace {
    Line(u64),
    Request { request: u64, event: usize },
    Whole,
    Offset { partition: u64, offset: u64 },
}

/// Bytes that are not a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a chunk of the disk buffer is damaged")]
pub(super) struct Damaged;

/// Writes records as one chunk.
pub(super) fn encode(records: &[Queued]) -> Vec<u8> {
    let mut names = Vec::new();
    let stored = records
        .iter()
        .map(|Queued { record, meta }| Stored {
            payload: &record.payload,
            event_id: &record.event_id,
            partition: name(&mut names, &record.partition),
            label: name(&mut names, &record.label),
            source: name(&mut names, meta.origin.source()),
            place: meta.origin.place().into(),
            event_time: record.event_time,
            expires_at: record.expires_at,
            first_ms: meta.first_ms,
        })
        .collect();
    let chunk = Chunk {
        names,
        records: stored,
    };
    let room = records
        .iter()
        .map(|queued| queued.record.size_bytes())
        .sum();
    let mut bytes = Vec::with_capacity(room);
    bytes.extend_from_slice(&[0; CHECKSUM_BYTES]);
    // Writing to memory fails for no value of these types; bytes without a chunk would be found damaged when read.
    let mut bytes =
        postcard::to_extend(&chunk, bytes).unwrap_or_else(|_| vec![0; CHECKSUM_BYTES + 1]);
    let checksum = crc32fast::hash(&bytes[CHECKSUM_BYTES..]);
    bytes[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The place of a name in the table, which gets it where it is not among the latest.
fn name<'a>(names: &mut Vec<&'a str>, name: &'a str) -> usize {
    let start = names.len().saturating_sub(NAMES_COMPARED);
    let known = names[start..].iter().position(|known| *known == name);
    known.map_or_else(
        || {
            names.push(name);
            names.len() - 1
        },
        |at| start + at,
    )
}

/// Reads the records of the chunk of this number. Payloads are slices of `bytes`.
pub(super) fn decode(number: u64, bytes: &Bytes) -> Result<Vec<Queued>, Damaged> {
    let (checksum, body) = bytes.split_at_checked(CHECKSUM_BYTES).ok_or(Damaged)?;
    if crc32fast::hash(body).to_le_bytes() != *checksum {
        return Err(Damaged);
    }
    let chunk: Chunk<'_> = postcard::from_bytes(body).map_err(|_| Damaged)?;
    let names: Vec<Arc<str>> = chunk.names.iter().map(|name| Arc::from(*name)).collect();
    let name = |index: usize| names.get(index).cloned().ok_or(Damaged);
    let (since, history) = (Instant::now(), Arc::<[Past]>::default());
    let queued = |(index, stored): (usize, Stored<'_>)| {
        Ok(Queued {
            record: Record::from_parts(
                bytes.slice_ref(stored.payload),
                stored.event_id.into(),
                name(stored.partition)?,
                name(stored.label)?,
                stored.event_time,
                stored.expires_at,
            ),
            meta: RecordMeta {
                origin: Origin::new(name(stored.source)?, stored.place.into()),
                attempts: 0,
                failures: 0,
                since,
                first_ms: stored.first_ms,
                history: Arc::clone(&history),
                ack: Ack::none(),
                slot: Some(Slot {
                    chunk: number,
                    index,
                }),
            },
        })
    };
    chunk.records.into_iter().enumerate().map(queued).collect()
}

impl From<Place> for StoredPlace {
    fn from(place: Place) -> Self {
        match place {
            Place::Line(line) => Self::Line(line),
            Place::Request { request, event } => Self::Request { request, event },
            Place::Offset { partition, offset } => Self::Offset { partition, offset },
            // A kind of place that this version does not store: the name of the source remains.
            _ => Self::Whole,
        }
    }
}

impl From<StoredPlace> for Place {
    fn from(place: StoredPlace) -> Self {
        match place {
            StoredPlace::Line(line) => Self::Line(line),
            StoredPlace::Request { request, event } => Self::Request { request, event },
            StoredPlace::Whole => Self::Whole,
            StoredPlace::Offset { partition, offset } => Self::Offset { partition, offset },
        }
    }
}
