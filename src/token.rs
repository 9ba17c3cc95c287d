//! The access token: given in the options, or kept in a file that may change while the sink runs.
//!
//! Makes the `Authorization` header of the next requests. A changed file is read again, also if a mounted secret changes by
//! moving a symbolic link. While a file is unreadable or does not contain a token, the last good token stays in use.
//!
//! Invariant: the token is only in that header, which is marked as sensitive, and never in a text.

use crate::response::Code;
use pipeline_core::options::is_placeholder;
use pipeline_core::{Reason, SensitiveString};
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 4_096;
/// Longest file, in bytes: a token and white space around it.
const MAX_FILE_BYTES: u64 = 16 * 1_024;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenProblem {
    /// The file cannot be read.
    #[error("cannot be read ({0})")]
    ReadError(#[from] io::Error),
    /// There is something between its characters.
    #[error("has a space or a line break in the token")]
    Spaces,
    /// Quotes were kept that were meant to surround it.
    #[error("has quotation marks around the token")]
    Quotes,
    /// It is a name in the place of a token.
    #[error("is a variable that is not filled in")]
    Placeholder,
    /// What was read cannot be a token.
    #[error("does not contain a token")]
    NoToken,
}

impl TokenProblem {
    pub(crate) fn expected(&self) -> &'static str {
        match self {
            Self::ReadError(_) => "a readable file that contains only the token",
            Self::Quotes => "the token without quotation marks",
            Self::Placeholder => "the token, or `${NAME}` for an environment variable",
            Self::Spaces | Self::NoToken => {
                "one line of letters, digits and punctuation, without spaces"
            }
        }
    }
}

/// Checks that a text can be a token.
pub(crate) fn check(token: SensitiveString) -> Result<SensitiveString, TokenProblem> {
    let text = token.expose();
    if is_placeholder(text) {
        return Err(TokenProblem::Placeholder);
    }
    if !text.trim().is_empty() && text.contains(char::is_whitespace) {
        return Err(TokenProblem::Spaces);
    }
    if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
        return Err(TokenProblem::Quotes);
    }
    let is_token = !text.is_empty()
        && text.len() <= MAX_TOKEN_BYTES
        && text.bytes().all(|b| b.is_ascii_graphic());
    is_token.then_some(token).ok_or(TokenProblem::NoToken)
}

/// Reads a file that contains a token, and nothing else but white space around it.
pub(crate) fn read(file: &Path) -> Result<SensitiveString, TokenProblem> {
    let mut bytes = Vec::new();
    let kind = std::fs::metadata(file)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        // A pipe that nobody writes into would never be read to its end.
        return Err(io::Error::other("it is a pipe or a device").into());
    }
    File::open(file)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    let is_whole = bytes.len() as u64 <= MAX_FILE_BYTES;
    let text = String::from_utf8(bytes).ok().filter(|_| is_whole);
    let text = text.ok_or(TokenProblem::NoToken)?;
    check(SensitiveString::from(text.trim().to_owned()))
}

/// The token for requests.
#[derive(Debug)]
pub(crate) struct AccessToken {
    file: Option<PathBuf>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    bearer: HeaderValue,
    /// The stamp of the file before it was read; `None` if the file must be read the next time.
    stamp: Option<Stamp>,
    /// Why the file could not be used the last time.
    problem: Option<TokenProblem>,
}

impl AccessToken {
    /// Uses this token, until `file` contains another one.
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

    /// The header for the next requests; reads the file if it has changed.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut current = self.current();
        self.refresh(&mut current);
        current.bearer.clone()
    }

    /// Like [`header`](Self::header), but always reads the file.
    pub(crate) fn header_from_file(&self) -> HeaderValue {
        self.current().stamp = None;
        self.header()
    }

    /// Adds to the reason for a block where this sink's token comes from, if a new one is needed, and that the file with a
    /// newer token could not be used.
    pub(crate) fn explain(&self, mut reason: Reason) -> Reason {
        let needs_token = [Code::TokenInvalid, Code::TokenExpired]
            .iter()
            .any(|code| reason.code == code.as_str());
        if needs_token {
            let what_to_do = match self.file {
                Some(_) => "write it into `access_token_file`, which is read again",
                None => {
                    "this sink's comes from `access_token`: if that names an environment variable, set it and restart, else \
                     change the pipeline file and reload; or use `access_token_file`, which is read again"
                }
            };
            reason.detail = format!("{}; {what_to_do}", reason.detail).into();
        }
        if let Some(problem) = &self.current().problem {
            reason.detail = format!(
                "{}; `access_token_file` {problem}, so the previous token is still used; expected {}",
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

    fn refresh(&self, current: &mut Current) {
        let Some(file) = &self.file else {
            return;
        };
        // The stamp is taken before reading, so that a later change is seen the next time.
        let stamp = match std::fs::metadata(file) {
            // A pipe can be read only once.
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

/// What changes when a file changes; of the file at the end of all links.
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

    #[cfg(unix)]
    #[test]
    fn a_pipe_that_nobody_writes_into_and_a_device_hold_no_token() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("token");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo").success());
        for file in [&*pipe, Path::new("/dev/zero")] {
            let problem = read(file).expect_err("no token");
            assert!(
                problem.to_string().contains("it is a pipe or a device"),
                "{problem}"
            );
        }
    }
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
        for useless in ["", "\n", "ümlaut", &"x".repeat(4_097), &" ".repeat(20_000)] {
            fs::write(&file, useless).unwrap();
            assert_eq!(said(&token), "Bearer fresh");
            let expected = "a new one is needed; write it into `access_token_file`, which is read again; \
                            `access_token_file` does not contain a token, so the previous token is \
                            still used; expected one line of letters, digits and punctuation, without spaces";
            assert_eq!(explained(&token), expected);
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(said(&token), "Bearer fresh");
        assert!(explained(&token).contains("`access_token_file` cannot be read (No such file"));
        fs::write(&file, "x".repeat(4_096)).unwrap();
        assert_eq!(said(&token).len(), "Bearer ".len() + 4_096);
        assert_eq!(
            explained(&token),
            "a new one is needed; write it into `access_token_file`, which is read again"
        );
    }

    #[test]
    fn where_the_token_comes_from_is_said_only_if_a_new_one_is_needed() {
        let token = AccessToken::new(&token("EAAB-secret"), None).unwrap();
        let detail = |code| {
            token
                .explain(Reason::new(code, "words"))
                .detail
                .into_owned()
        };
        for code in ["token_invalid", "token_expired"] {
            assert!(detail(code).contains("comes from `access_token`"));
            assert!(detail(code).contains("restart"));
        }
        for code in ["permission_missing", "app_invalid"] {
            assert_eq!(detail(code), "words");
        }
    }

    #[test]
    fn what_is_no_token_is_told_apart_by_its_form() {
        for (text, problem) in [
            ("two words", "has a space or a line break in the token"),
            ("two\nlines", "has a space or a line break in the token"),
            (" EAAB", "has a space or a line break in the token"),
            ("\"EAAB\"", "has quotation marks around the token"),
            ("'EAAB'", "has quotation marks around the token"),
            ("$META_ACCESS_TOKEN", "is a variable that is not filled in"),
            (
                "${META_ACCESS_TOKEN}",
                "is a variable that is not filled in",
            ),
            ("%TOKEN%", "is a variable that is not filled in"),
            ("{{ secrets.token }}", "is a variable that is not filled in"),
            ("<your token>", "is a variable that is not filled in"),
            ("", "does not contain a token"),
            ("  ", "does not contain a token"),
            ("ümlaut", "does not contain a token"),
        ] {
            let found = check(token(text)).expect_err(text);
            assert_eq!(found.to_string(), problem, "{text}");
        }
        assert!(check(token("ab$cd${X}$$e")).is_ok());
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
        assert_eq!(token.header_from_file(), "Bearer two");
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
        assert!(!explained(&token).contains("EAAB"));
        assert!(!format!("{token:?}").contains("EAAB"));
    }
}
