//! Files that options name: tokens, presets, certificates. They are small, and reading one never waits.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a regular file. A pipe that is never written to would block, and a device may never end.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        let text = "it is a pipe, a socket or a device, not a file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    File::open(path)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_device_a_folder_and_a_socket_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [Path::new("/dev/zero"), folder.path(), &socket] {
            open(path).unwrap_err();
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        open(&file).unwrap();
    }
}
