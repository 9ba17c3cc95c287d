//! Letters without a payload: they cannot be sent again, so they are notes for people, and get a small part of the room.
//!
//! Anybody who can reach a source can cause them, at almost no cost. So they are bounded apart from the letters that can be
//! replayed, and no client, source or reason takes more of that room than it leaves to the others.
//!
//! Invariant: together they have at most a [`PLAIN_SHARE`]th of `max_bytes`, or one letter; whatever was received is in them as
//! a masked form only.

use super::letter::Letter;
use super::segment::Access;
use super::{DeadLetterError, DeadLetters};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The part of `max_bytes` that letters without a payload may take: one in so many, which is 5 %.
pub const PLAIN_SHARE: u64 = 20;
/// Clients, sources and reasons that are told apart; what comes after them shares one place.
const MAX_SHARES: usize = 1_024;

/// Whose letters they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    source: Arc<str>,
    client: Option<IpAddr>,
    reason: &'static str,
}

/// How much of the room everybody has taken since it was last emptied.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    bytes: BTreeMap<Origin, u64>,
    /// The length of the file when it was last written to.
    length: u64,
}

impl Shares {
    /// Whether a letter of this length is kept where so many bytes are left. A share never grows larger than what it leaves.
    fn take(&mut self, letter: &Letter, length: u64, left: u64) -> bool {
        let mut origin = Origin {
            source: Arc::clone(letter.origin.source()),
            client: letter.trace.as_ref().and_then(|trace| trace.client),
            reason: letter.reason.code,
        };
        if self.bytes.len() >= MAX_SHARES && !self.bytes.contains_key(&origin) {
            origin.client = None;
            origin.reason = "";
            origin.source = Arc::default();
        }
        let share = self.bytes.entry(origin).or_default();
        let fits = *share + length <= left.saturating_sub(length);
        if fits {
            *share += length;
        }
        fits
    }
}

impl DeadLetters {
    /// Appends as many of the letters as their part of the room has place for; how many. They are on the disk when this
    /// returns. Blocks.
    pub(crate) fn append_plain(
        &self,
        letters: &[Letter],
        shares: &mut Shares,
        now_ms: i64,
    ) -> Result<usize, DeadLetterError> {
        let mut recognized = self.known.look(self);
        let appended = self.folder.create().and_then(|()| {
            let _lock = self.folder.lock(Access::Change)?;
            let file = self.folder.plain()?;
            let length = file.as_ref().map_or(0, |file| file.bytes);
            if length < shares.length {
                shares.bytes.clear();
            }
            let others: u64 = self
                .folder
                .segments()?
                .iter()
                .map(|segment| segment.bytes)
                .sum();
            let room = (self.max_bytes / PLAIN_SHARE).min(self.max_bytes.saturating_sub(others));
            let mut left = room.saturating_sub(length);
            let (mut lines, mut kept) = (Vec::new(), 0);
            for letter in letters {
                if recognized.has(letter) {
                    kept += 1;
                    continue;
                }
                let before = lines.len();
                letter.write_line(&self.sink, now_ms, &mut lines)?;
                let bytes = (lines.len() - before) as u64;
                let is_first = length == 0 && before == 0;
                if is_first || shares.take(letter, bytes, left) {
                    left = left.saturating_sub(bytes);
                    kept += 1;
                } else {
                    lines.truncate(before);
                }
            }
            if !lines.is_empty() {
                self.folder.append(&self.folder.plain_path(), &lines)?;
            }
            shares.length = length + lines.len() as u64;
            Ok(kept)
        });
        let appended = appended.map_err(|error| self.failed("written", error))?;
        recognized.done();
        Ok(appended)
    }

    /// How many letters without a payload there are in their own file.
    pub(crate) fn count_plain(&self) -> Result<usize, DeadLetterError> {
        let file = self.folder.plain();
        let file = file.map_err(|error| self.failed("read", error))?;
        Ok(file.map_or(0, |file| file.letters().flatten().count()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::{StoredLetter, Trace};
    use pipeline_core::{Origin as Place, Reason};
    use proptest::prelude::*;

    fn letter(reason: &'static str, client: u8) -> Letter {
        Letter {
            reason: Reason::new(reason, "a sentence"),
            origin: Place::request("web".into(), 1, 0),
            attempts: 0,
            first_ms: 0,
            record: None,
            label: None,
            history: Arc::default(),
            trace: Some(Box::new(Trace::of(b"{", Some([10, 0, 0, client].into())))),
            sealed: None,
        }
    }

    /// Letters with room for so many bytes of such without a payload.
    fn letters(folder: &tempfile::TempDir, bytes: u64) -> DeadLetters {
        DeadLetters::new(folder.path(), "meta", bytes * PLAIN_SHARE)
    }

    fn kept(letters: &DeadLetters) -> Vec<StoredLetter> {
        letters.letters().unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_stranger_that_sends_nothing_but_rubbish_leaves_room_for_everybody_else() {
        let folder = tempfile::tempdir().unwrap();
        let letters = letters(&folder, 100_000);
        let mut shares = Shares::default();
        let flood: Vec<_> = std::iter::repeat_with(|| letter("malformed_json", 1))
            .take(2_000)
            .collect();
        let taken = letters.append_plain(&flood, &mut shares, 0).unwrap();
        assert!(taken > 100 && taken < 1_000, "{taken}");
        assert_eq!(letters.append_plain(&flood, &mut shares, 0).unwrap(), 0);
        for (reason, client) in [
            ("malformed_json", 2),
            ("no_event_name", 1),
            ("malformed_json", 3),
        ] {
            let other = [letter(reason, client)];
            let kept = letters.append_plain(&other, &mut shares, 0).unwrap();
            assert_eq!(kept, 1, "{reason} of client {client}");
        }
        // Letters that can be sent again have the rest of the room for themselves.
        letters.append(&[letter("expired", 1)], 0).unwrap();
        assert_eq!(kept(&letters).len(), taken + 4);
    }

    #[test]
    fn the_room_that_a_person_has_made_is_shared_anew() {
        let folder = tempfile::tempdir().unwrap();
        let letters = letters(&folder, 10_000);
        let mut shares = Shares::default();
        let flood: Vec<_> = std::iter::repeat_with(|| letter("malformed_json", 1))
            .take(100)
            .collect();
        let first = letters.append_plain(&flood, &mut shares, 0).unwrap();
        assert_eq!(letters.append_plain(&flood, &mut shares, 0).unwrap(), 0);
        let purged = letters
            .purge(&crate::dead_letter::Filter::default())
            .unwrap();
        assert_eq!((purged.deleted, purged.kept), (first as u64, 0));
        assert_eq!(letters.append_plain(&flood, &mut shares, 0).unwrap(), first);
    }

    #[test]
    fn one_letter_is_kept_however_small_the_room_is() {
        let folder = tempfile::tempdir().unwrap();
        let letters = letters(&folder, 1);
        let mut shares = Shares::default();
        let both = [letter("a", 1), letter("b", 2)];
        assert_eq!(letters.append_plain(&both, &mut shares, 0).unwrap(), 1);
        assert_eq!(letters.append_plain(&both, &mut shares, 0).unwrap(), 0);
    }

    #[test]
    fn a_replay_leaves_letters_without_a_payload_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let letters = letters(&folder, 10_000);
        letters
            .append_plain(&[letter("a", 1)], &mut Shares::default(), 0)
            .unwrap();
        let replay = letters.take_for_replay().unwrap();
        assert!(replay.segments().is_empty());
        drop(replay);
        assert_eq!(kept(&letters).len(), 1);
    }

    proptest! {
        #[test]
        fn the_part_is_never_exceeded(steps in prop::collection::vec((0_u8..4, 1_usize..30), 1..20)) {
            let folder = tempfile::tempdir().unwrap();
            let letters = letters(&folder, 3_000);
            let mut shares = Shares::default();
            for (client, count) in steps {
                let sent: Vec<_> = std::iter::repeat_with(|| letter("a", client)).take(count).collect();
                letters.append_plain(&sent, &mut shares, 0).unwrap();
                let length = letters.folder.plain().unwrap().unwrap().bytes;
                prop_assert!(length <= 3_000, "{}", length);
            }
        }
    }
}
