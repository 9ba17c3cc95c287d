//! The pipeline file is replaced by a new one, all at once.
//!
//! In: a file, its text as it was read, and a text. Out: the file with that text, the same mode and owner, and the old one beside it
//! with the ending `.bak`.
//!
//! Invariant: at every moment, also in a power cut, the file is whole, either the old one or the new one; and a text that somebody
//! else has written meanwhile is not lost.

use rustix::fs::{Access, access};
use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Bits of a mode that belong to permissions.
const PERMISSIONS: u32 = 0o7777;

/// Why a file cannot be replaced, if it cannot.
pub(crate) fn not_writable(file: &Path) -> Option<String> {
    let target = match target(file) {
        Ok(target) => target,
        Err(problem) => return Some(problem),
    };
    let metadata = match fs::metadata(&target) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("the file cannot be looked at: {error}")),
    };
    if !metadata.is_file() {
        return Some("it is not a regular file".to_owned());
    }
    if metadata.nlink() > 1 {
        return Some(
            "the file has another name too (a hard link), which would keep the old content"
                .to_owned(),
        );
    }
    if let Err(error) = access(&target, Access::WRITE_OK) {
        return Some(format!(
            "the file cannot be written: {}",
            io::Error::from(error)
        ));
    }
    match access(folder(&target), Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => None,
        Err(error) => Some(format!(
            "its folder cannot be written: {}",
            io::Error::from(error)
        )),
    }
}

/// Replaces the file, and keeps the old one beside it.
pub(crate) fn replace(file: &Path, expected: &str, text: &str) -> Result<(), String> {
    let target = target(file)?;
    let backup = with_ending(&target, ".bak");
    let replaced = || -> io::Result<()> {
        let metadata = fs::metadata(&target)?;
        let made = Temporary::make(&target, text, &metadata)?;
        let old = Temporary::make(&target, expected, &metadata)?;
        let now = fs::read(&target)?;
        if now != expected.as_bytes() {
            let problem = "somebody else has changed the file at the same time";
            return Err(io::Error::other(problem));
        }
        old.put(&backup)?;
        made.put(&target)?;
        sync_folder(&target)
    };
    replaced().map_err(|error| error.to_string())
}

/// Puts the old text back, unless the file is no longer what was written.
pub(crate) fn restore(file: &Path, written: &str, old: &str) -> Result<(), String> {
    let target = target(file)?;
    let restored = || -> io::Result<()> {
        let metadata = fs::metadata(&target)?;
        let made = Temporary::make(&target, old, &metadata)?;
        if fs::read(&target)? != written.as_bytes() {
            let problem = "somebody else has changed the file at the same time";
            return Err(io::Error::other(problem));
        }
        made.put(&target)?;
        sync_folder(&target)
    };
    restored().map_err(|error| error.to_string())
}

/// The file itself, behind a link in the same folder. One that leads elsewhere belongs to something else, such as a mounted
/// configuration.
fn target(file: &Path) -> Result<PathBuf, String> {
    let cannot = |error: io::Error| format!("the file cannot be found: {error}");
    let target = file.canonicalize().map_err(cannot)?;
    let own = folder(file).canonicalize().map_err(cannot)?;
    if target.parent() != Some(&own) {
        return Err("the file is a link out of its folder".to_owned());
    }
    Ok(target)
}

fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(folder(file))?.sync_all()
}

/// A file that is whole and on the disk, and not in its place yet. Removed when dropped.
struct Temporary {
    path: PathBuf,
    is_in_place: bool,
}

impl Temporary {
    /// Makes one in the same folder, with the mode and the owner of the file.
    fn make(target: &Path, text: &str, like: &Metadata) -> io::Result<Self> {
        let number = RandomState::new().hash_one(target);
        let path = with_ending(target, &format!(".{number:016x}.tmp"));
        let mut options = OpenOptions::new();
        // No other user may read it before it has its mode.
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let temporary = Self {
            path,
            is_in_place: false,
        };
        file.write_all(text.as_bytes())?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            fchown(&file, Some(like.uid()), Some(like.gid()))?;
        }
        let mode = like.mode() & PERMISSIONS;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        file.sync_all()?;
        Ok(temporary)
    }

    fn put(mut self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place)?;
        self.is_in_place = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_in_place {
            // What is left is whole, and has a name of its own.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_the_old_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yaml");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(not_writable(&file), None);
        replace(&file, "old", "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & PERMISSIONS, 0o640);
        let backup = folder.path().join("p.yaml.bak");
        assert_eq!(fs::read_to_string(&backup).unwrap(), "old");
        assert_eq!(fs::metadata(&backup).unwrap().mode() & PERMISSIONS, 0o640);
        restore(&file, "new", "old").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(names(folder.path()), ["p.yaml", "p.yaml.bak"]);
    }

    #[test]
    fn what_somebody_else_has_written_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yaml");
        fs::write(&file, "theirs").unwrap();
        assert!(replace(&file, "old", "new").is_err());
        assert!(restore(&file, "new", "old").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "theirs");
        assert_eq!(names(folder.path()), ["p.yaml"]);
    }

    #[test]
    fn a_link_within_its_folder_is_followed_and_one_that_leads_out_of_it_is_not() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = |name: &str| folder.path().join(name);
        fs::write(path("real.yaml"), "old").unwrap();
        symlink("real.yaml", path("near.yaml")).unwrap();
        replace(&path("near.yaml"), "old", "new").unwrap();
        assert_eq!(fs::read_to_string(path("real.yaml")).unwrap(), "new");
        assert!(path("near.yaml").is_symlink());
        fs::write(other.path().join("far.yaml"), "old").unwrap();
        symlink(other.path().join("far.yaml"), path("far.yaml")).unwrap();
        assert!(not_writable(&path("far.yaml")).unwrap().contains("link"));
        assert!(replace(&path("far.yaml"), "old", "new").is_err());
        // As Kubernetes mounts a configuration.
        fs::create_dir(path("..2026")).unwrap();
        fs::write(path("..2026/map.yaml"), "old").unwrap();
        symlink("..2026", path("..data")).unwrap();
        symlink("..data/map.yaml", path("map.yaml")).unwrap();
        assert!(not_writable(&path("map.yaml")).is_some());
        fs::hard_link(path("real.yaml"), path("twin.yaml")).unwrap();
        assert!(
            not_writable(&path("twin.yaml"))
                .unwrap()
                .contains("hard link")
        );
        assert!(not_writable(&path("missing.yaml")).is_some());
    }
}
