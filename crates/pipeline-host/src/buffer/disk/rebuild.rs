//! A database with damaged pages made anew while it is in use, because a page that cannot be read cannot be written either: nothing
//! behind it would be added, and nothing that is done would leave.
//!
//! In: an open store. Out: the same store on a new database with every chunk that can be read; the old one is set aside, whole.
//!
//! Invariant: what is lost is in the new database as a gap, so that it is counted when its turn comes, and once.

use super::MIN_LOG_BYTES;
use super::chunk;
use super::error::{Cause, DiskBufferError};
use super::files::{Files, remove_folder};
use super::pages::Pages;
use super::store::{Change, Found, Gap, Row, Store};
use crate::config::option::Sync;
use std::collections::BTreeSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Steps over what cannot be read, along the tree. Behind as many, only single pages are looked at.
const MAX_GAPS: usize = 1_000;

/// Makes the database anew from chunks up to the number `last`, with so many records that are not done; says where the old one is
/// now.
pub(super) fn rebuild(
    store: &mut Store,
    last: u64,
    events: u64,
) -> Result<PathBuf, DiskBufferError> {
    let refused = |error: io::Error| DiskBufferError::Refused(Cause::of(&error));
    let making = store.files_to_rebuild()?.making().map_err(refused)?;
    let built = Store::open(&making, Sync::Relaxed, MIN_LOG_BYTES).and_then(|(mut new, _)| {
        let mut copy = Copy {
            new: &mut new,
            last,
            events,
        };
        let gaps = copy.tree(store)?;
        copy.pages(store.files_to_rebuild()?, gaps)?;
        new.finish()
    });
    if built.is_err() {
        // Its room is needed, and the next attempt begins with nothing.
        let _ = remove_folder(&making);
    }
    built?;
    let made = store.files_to_rebuild()?.complete().map_err(refused)?;
    store.replace(&made)
}

/// Chunks on their way to a new database.
struct Copy<'a> {
    new: &'a mut Store,
    last: u64,
    events: u64,
}

impl Copy<'_> {
    /// Copies what can be read along the tree, and the chunks whose content alone is lost, without it; the numbers between which
    /// nothing can be read.
    fn tree(&mut self, store: &Store) -> Result<Vec<RangeInclusive<u64>>, DiskBufferError> {
        let (mut after, mut gaps) = (0, Vec::new());
        while after < self.last {
            let Some(found) = store.read_after(after, self.last)? else {
                break;
            };
            if gaps.len() == MAX_GAPS {
                gaps.push(after + 1..=self.last);
                break;
            }
            if found.gap == Some(Gap::Page) {
                gaps.push(after + 1..=found.id);
            }
            after = found.id;
            if found.gap != Some(Gap::Page) {
                self.add(found.id, found.events, &found.data, found.marks)?;
            }
        }
        Ok(gaps)
    }

    /// Copies what pages hold of the numbers in the gaps, and notes each gap.
    fn pages(
        &mut self,
        files: &Files,
        gaps: Vec<RangeInclusive<u64>>,
    ) -> Result<(), DiskBufferError> {
        if gaps.is_empty() {
            return Ok(());
        }
        let mut taken = BTreeSet::new();
        let pages = Pages::open(&files.database(), &files.log());
        let mut pages = pages.map_err(|error| DiskBufferError::Refused(Cause::of(&error)))?;
        pages.chunks(|found| {
            let is_wanted = gaps.iter().any(|gap| gap.contains(&found.id))
                && chunk::decode(found.id, &found.data).is_ok()
                && taken.insert(found.id);
            if is_wanted {
                self.add(found.id, found.events, &found.data, None)
            } else {
                Ok(())
            }
        })?;
        for mut gap in gaps {
            if let Some(free) = gap.find(|id| !taken.contains(id)) {
                self.add(free, 0, &[], None)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        id: u64,
        events: u64,
        data: &[u8],
        marks: Option<Vec<u8>>,
    ) -> Result<(), DiskBufferError> {
        let row = Row {
            id,
            events,
            data: data.to_vec(),
        };
        let marks = marks.map(|marks| (id, marks));
        self.new.commit(&Change {
            added: &[row],
            finished: &[],
            progress: marks.as_slice(),
            events: self.events,
            next: self.last + 1,
        })
    }
}

impl Found {
    /// A gap of a database that was made anew.
    pub(super) fn is_noted_gap(&self) -> bool {
        self.gap.is_none() && self.data.is_empty()
    }
}
