//! Which letters of a segment that a replay has taken are finished, so that a replay that was killed sends none of them again.
//!
//! In: numbers of lines whose letters were delivered, or are dead letters again. Out: the same, read back. They are in a file
//! beside the segment, `replaying/00000007.done`: its first line is the length of the segment, each further one a number.
//!
//! Invariant: marks of another file, or of the segment as it was before it was rewritten, are not used: its length is
//! another one, and marks without a segment are deleted before a new segment can get its number. What a crash has left of a
//! line is no mark.

use super::segment::{Segment, owner_only, sync_parent};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The ending of a file of marks.
const DONE: &str = "done";

/// The lines of a segment whose letters are finished.
pub(super) fn read(segment: &Segment) -> io::Result<HashSet<u64>> {
    let text = match std::fs::read(path(segment)) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    Ok(parse(&text, segment.bytes).map_or_else(HashSet::new, |(lines, _)| lines))
}

/// Adds lines. They are on the disk when this returns.
pub(super) fn add(segment: &Segment, lines: &[u64]) -> io::Result<()> {
    let path = path(segment);
    let mut options = owner_only();
    let options = options.create(true).truncate(false).read(true).write(true);
    let mut file = options.open(&path)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let mut added = String::new();
    let end = if let Some((_, end)) = parse(&text, segment.bytes) {
        end
    } else {
        added = format!("{}\n", segment.bytes);
        0
    };
    for line in lines {
        added.push_str(&line.to_string());
        added.push('\n');
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    file.write_all(added.as_bytes())?;
    file.sync_data()?;
    if end == 0 {
        sync_parent(&path)?;
    }
    Ok(())
}

/// Deletes the marks of a segment.
pub(super) fn remove(segment: &Segment) -> io::Result<()> {
    delete(&path(segment))
}

/// Deletes the marks in a folder that belong to none of its segments.
pub(super) fn remove_others(folder: &Path, segments: &[Segment]) -> io::Result<()> {
    let known: HashSet<_> = segments.iter().map(path).collect();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(DONE)) && !known.contains(&path) {
            delete(&path)?;
        }
    }
    Ok(())
}

fn delete(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn path(segment: &Segment) -> PathBuf {
    segment.path.with_extension(DONE)
}

/// The marks of a segment of this length, and where the last whole line ends; `None` where they belong to another file.
fn parse(text: &[u8], bytes: u64) -> Option<(HashSet<u64>, u64)> {
    let end = text.iter().rposition(|byte| *byte == b'\n')? + 1;
    let mut numbers = text[..end].split(|byte| *byte == b'\n').map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        line.parse::<u64>().ok()
    });
    if numbers.next()?? != bytes {
        return None;
    }
    Some((numbers.flatten().collect(), end as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(folder: &tempfile::TempDir, bytes: u64) -> Segment {
        let path = folder.path().join("00000001.ndjson");
        let number = 1;
        Segment {
            number,
            path,
            bytes,
        }
    }

    fn sorted(segment: &Segment) -> Vec<u64> {
        let mut lines: Vec<_> = read(segment).unwrap().into_iter().collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn marks_are_read_back_and_what_a_crash_has_cut_is_no_mark() {
        let folder = tempfile::tempdir().unwrap();
        let segment = segment(&folder, 1_000);
        assert_eq!(sorted(&segment), [] as [u64; 0]);
        add(&segment, &[3, 17]).unwrap();
        add(&segment, &[123]).unwrap();
        assert_eq!(sorted(&segment), [3, 17, 123]);
        let file = path(&segment);
        let text = std::fs::read(&file).unwrap();
        for length in 0..=text.len() {
            std::fs::write(&file, &text[..length]).unwrap();
            let expected = match length {
                ..7 => &[][..],
                7..10 => &[3],
                10..14 => &[3, 17],
                _ => &[3, 17, 123],
            };
            assert_eq!(sorted(&segment), expected, "{length}");
            add(&segment, &[4]).unwrap();
            let mut expected = [expected, &[4]].concat();
            expected.sort_unstable();
            assert_eq!(sorted(&segment), expected, "{length}");
        }
    }

    #[test]
    fn marks_of_another_file_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        add(&segment(&folder, 1_000), &[1, 2]).unwrap();
        let rewritten = segment(&folder, 900);
        assert_eq!(sorted(&rewritten), [] as [u64; 0]);
        add(&rewritten, &[1]).unwrap();
        assert_eq!(sorted(&rewritten), [1]);
        remove_others(folder.path(), std::slice::from_ref(&rewritten)).unwrap();
        assert_eq!(sorted(&rewritten), [1]);
        remove_others(folder.path(), &[]).unwrap();
        assert_eq!(sorted(&rewritten), [] as [u64; 0]);
        remove(&rewritten).unwrap();
    }
}
