//! The access token: given in the options, or kept in a file that may change while the sink runs.
//!
//! Out comes the `Authorization` header of the next requests. A changed file is read anew, also where a mounted secret is
//! changed by moving a symbolic link; a file that cannot be read, or holds no token, leaves the last good one in force.
//!
//! Invariant: the token is in that header, which is marked sensitive, and never in a text.

use pipeline_core::{Reason, SensitiveString};
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// No token is longer.
const MAX_TOKEN_BYTES: usize = 4_096;
/// Bytes of a file that are read; the rest of it would have to be blanks.
const MAX_FILE_BYTES: u64 = 16 * 1_024;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenProblem {
    /// The machine does not give the file.
    #[error("cannot be read ({0})")]
    Unreadable(#[from] io::Error),
    /// What is there is none.
    #[error("does not hold a token")]
    NoToken,
}

impl TokenProblem {
    pub(crate) fn expected(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "a readable file with the token alone",
            Self::NoToken => "one line of letters, digits and signs",
        }
    }
}

/// Holds a token against what a token can be.
pub(crate) fn check(token: SensitiveString) -> Result<SensitiveString, TokenProblem> {
    let text = token.expose();
    let is_token = !text.is_empty()
        && text.len() <= MAX_TOKEN_BYTES
        && text.bytes().all(|b| b.is_ascii_graphic());
    is_token.then_some(token).ok_or(TokenProblem::NoToken)
}

/// Reads a file that holds a token, with blanks around it at the most.
pub(crate) fn read(file: &Path) -> Result<SensitiveString, TokenProblem> {
    let mut bytes = Vec::new();
    File::open(file)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    let is_whole = bytes.len() as u64 <= MAX_FILE_BYTES;
    let text = String::from_utf8(bytes).ok().filter(|_| is_whole);
    let text = text.ok_or(TokenProblem::NoToken)?;
    check(SensitiveString::from(text.trim().to_owned()))
}

/// The token that requests are made with.
#[derive(Debug)]
pub(crate) struct AccessToken {
    file: Option<PathBuf>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    bearer: HeaderValue,
    /// What the file looked like before it was read; `None` where it is to be read the next time.
    stamp: Option<Stamp>,
    /// Why the file was of no use the last time.
    problem: Option<TokenProblem>,
}

impl AccessToken {
    /// This token, until `file` says another.
    pub(crate) fn new(
        token: &SensitiveString,
        file: Option<PathBuf>,
    ) -> Result<Self, InvalidHeaderValue> {
        let current = Current {
            bearer: bearer(token)?,
            stamp: None,
            problem: None,
        };
        Ok(Self {
            file,
            current: Mutex::new(current),
        })
    }

    /// The header for the next requests; the file is looked at, and read where it has changed.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut current = self.current();
        self.look(&mut current);
        current.bearer.clone()
    }

    /// As [`header`](Self::header), and the file is read whether it seems to have changed or not.
    pub(crate) fn header_read_anew(&self) -> HeaderValue {
        self.current().stamp = None;
        self.header()
    }

    /// Adds to the reason of a block that there may be a better token, which could not be had.
    pub(crate) fn explain(&self, mut reason: Reason) -> Reason {
        if let Some(problem) = &self.current().problem {
            reason.detail = format!(
                "{}; `access_token_file` {problem}, so the token from before is in use; expected {}",
                reason.detail,
                problem.expected()
            )
            .into();
        }
        reason
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, current: &mut Current) {
        let Some(file) = &self.file else {
            return;
        };
        // Taken first: a change after this look shows at the next one.
        let stamp = match std::fs::metadata(file) {
            // A pipe gives its token once.
            Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => return,
            metadata => metadata.as_ref().ok().map(Stamp::of),
        };
        if stamp.is_some() && stamp == current.stamp {
            return;
        }
        let read = read(file).and_then(|token| {
            bearer(&token).map_err(|_: InvalidHeaderValue| TokenProblem::NoToken)
        });
        match read {
            Ok(bearer) => {
                *current = Current {
                    bearer,
                    stamp,
                    problem: None,
                }
            }
            Err(problem) => {
                current.stamp = None;
                current.problem = Some(problem);
            }
        }
    }
}

fn bearer(token: &SensitiveString) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// By what a changed file is known: the one at the end of all links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    /// The device and the number of the file.
    identity: (u64, u64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let identity = (0, 0);
        Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            identity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn token(text: &str) -> SensitiveString {
        SensitiveString::from(text.to_owned())
    }

    fn start(file: &Path) -> AccessToken {
        AccessToken::new(&read(file).unwrap(), Some(file.to_owned())).unwrap()
    }

    fn said(token: &AccessToken) -> String {
        let header = token.header();
        assert!(header.is_sensitive());
        header.to_str().unwrap().to_owned()
    }

    fn explained(token: &AccessToken) -> String {
        let reason = token.explain(Reason::new("token_invalid", "a new one is needed"));
        reason.detail.into_owned()
    }

    #[test]
    fn a_changed_file_is_read_and_a_useless_one_leaves_the_old_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "old\n").unwrap();
        let token = start(&file);
        assert_eq!(said(&token), "Bearer old");
        fs::write(&file, " fresh \n").unwrap();
        assert_eq!(said(&token), "Bearer fresh");
        for useless in [
            "",
            "\n",
            "two words",
            "ümlaut",
            &"x".repeat(4_097),
            &" ".repeat(20_000),
        ] {
            fs::write(&file, useless).unwrap();
            assert_eq!(said(&token), "Bearer fresh");
            let expected = "a new one is needed; `access_token_file` does not hold a token, so the token from before is \
                            in use; expected one line of letters, digits and signs";
            assert_eq!(explained(&token), expected);
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(said(&token), "Bearer fresh");
        assert!(explained(&token).contains("`access_token_file` cannot be read (No such file"));
        fs::write(&file, "x".repeat(4_096)).unwrap();
        assert_eq!(said(&token).len(), "Bearer ".len() + 4_096);
        assert_eq!(explained(&token), "a new one is needed");
    }

    #[test]
    fn a_file_that_is_as_it_was_is_not_read_unless_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "one").unwrap();
        let token = start(&file);
        assert_eq!(said(&token), "Bearer one");
        let modified = file.metadata().unwrap().modified().unwrap();
        fs::write(&file, "two").unwrap();
        let handle = File::options().write(true).open(&file).unwrap();
        handle.set_modified(modified).unwrap();
        assert_eq!(said(&token), "Bearer one");
        assert_eq!(token.header_read_anew(), "Bearer two");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_is_moved_to_another_file_is_seen() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (version, text) in [("v1", "one"), ("v2", "two")] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("token"), text).unwrap();
        }
        let modified = path("v1/token").metadata().unwrap().modified().unwrap();
        let second = File::options().write(true).open(path("v2/token")).unwrap();
        second.set_modified(modified).unwrap();
        // As mounted secrets are laid out: token -> data/token, data -> v1.
        symlink("v1", path("data")).unwrap();
        symlink("data/token", path("token")).unwrap();
        let token = start(&path("token"));
        assert_eq!(said(&token), "Bearer one");
        symlink("v2", path("data.new")).unwrap();
        fs::rename(path("data.new"), path("data")).unwrap();
        assert_eq!(said(&token), "Bearer two");
    }

    #[test]
    fn a_token_of_the_options_stays_and_is_never_shown() {
        let token = AccessToken::new(&token("EAAB-secret"), None).unwrap();
        assert_eq!(said(&token), "Bearer EAAB-secret");
        assert_eq!(explained(&token), "a new one is needed");
        assert!(!format!("{token:?}").contains("EAAB"));
    }
}
