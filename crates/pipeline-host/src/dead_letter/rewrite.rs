//! Rewrites a segment with some of its lines.
//!
//! Invariant: the target is replaced by a rename, after all of its new lines are on the disk; a crash leaves it as it was.

use super::reader::{Line, Lines};
use super::segment::{Folder, Segment, owner_only, sync_parent};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

/// The file in which a segment is written anew.
const REWRITING: &str = "rewriting";

impl Folder {
    /// Writes such lines of a segment to `target`, which may be the segment itself. Until they are all on the disk,
    /// `target` is as it was.
    pub(super) fn rewrite(
        &self,
        segment: &Segment,
        target: &Path,
        mut is_such: impl FnMut(&Line) -> bool,
    ) -> io::Result<()> {
        let such = |line: &Line, bytes: &[u8]| is_such(line).then(|| bytes.to_vec());
        self.rewrite_to(segment, target, such)
    }

    /// Writes a segment anew, each line as `changed` makes it; drops a line where it returns nothing.
    pub(super) fn rewrite_lines(
        &self,
        segment: &Segment,
        changed: impl FnMut(&Line, &[u8]) -> Option<Vec<u8>>,
    ) -> io::Result<()> {
        self.rewrite_to(segment, &segment.path, changed)
    }

    fn rewrite_to(
        &self,
        segment: &Segment,
        target: &Path,
        changed: impl FnMut(&Line, &[u8]) -> Option<Vec<u8>>,
    ) -> io::Result<()> {
        let written = self.path().join(REWRITING);
        let result = copy(segment, &written, changed)
            .and_then(|()| std::fs::rename(&written, target))
            .and_then(|()| sync_parent(target));
        if result.is_err() {
            // What is left of it would be written over the next time; until then it takes room.
            let _ = std::fs::remove_file(&written);
        }
        result
    }
}

fn copy(
    segment: &Segment,
    target: &Path,
    mut changed: impl FnMut(&Line, &[u8]) -> Option<Vec<u8>>,
) -> io::Result<()> {
    let mut options = owner_only();
    let target = options
        .create(true)
        .truncate(true)
        .write(true)
        .open(target)?;
    let mut target = BufWriter::new(target);
    if let Some(mut lines) = Lines::open(segment)? {
        while let Some(line) = lines.next_line()? {
            if let Some(bytes) = changed(&line, lines.bytes()) {
                target.write_all(&bytes)?;
            }
        }
    }
    target.into_inner()?.sync_all()
}
