//! The access token, and the secret of its app: given in the options, or kept in files that may change while the sink runs.
//!
//! Makes the `Authorization` header of the next requests, and the proof that some apps want with every call. A changed file is read again, also if a mounted secret changes by
//! moving a symbolic link. While a file is unreadable or does not contain a secret, the last good one stays in use.
//!
//! Invariant: the token is only in that header, which is marked as sensitive, and never in a text; the app's secret is nowhere.

use crate::response::Code;
use crate::small_file;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pipeline_core::options::is_placeholder;
use pipeline_core::{Reason, SensitiveString};
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use sha2::Sha256;
use std::fs::Metadata;
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
    small_file::open(file)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    let is_whole = bytes.len() as u64 <= MAX_FILE_BYTES;
    let text = String::from_utf8(bytes).ok().filter(|_| is_whole);
    let text = text.ok_or(TokenProblem::NoToken)?;
    check(SensitiveString::from(text.trim().to_owned()))
}

/// The token for requests, and the secret of its app if there is one.
#[derive(Debug)]
pub(crate) struct AccessToken {
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    token: Kept,
    app_secret: Option<Kept>,
    made: Credentials,
}

/// What the next requests carry.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// The `Authorization` header.
    pub(crate) bearer: HeaderValue,
    /// `appsecret_proof`, if the secret of the token's app is known.
    pub(crate) proof: Option<SensitiveString>,
}

impl Credentials {
    fn of(
        token: &SensitiveString,
        app_secret: Option<&SensitiveString>,
    ) -> Result<Self, InvalidHeaderValue> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))?;
        bearer.set_sensitive(true);
        let proof = app_secret.map(|secret| proof(secret, token));
        Ok(Self { bearer, proof })
    }
}

/// HMAC-SHA256 of the token under the secret of its app, in lower-case hexadecimal digits.
fn proof(secret: &SensitiveString, token: &SensitiveString) -> SensitiveString {
    // A key of any length is good, so that this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return SensitiveString::default();
    };
    mac.update(token.expose().as_bytes());
    SensitiveString::from(const_hex::encode(mac.finalize().into_bytes()))
}

/// A secret, and the file that may get a newer one.
#[derive(Debug)]
pub(crate) struct Kept {
    value: SensitiveString,
    file: Option<PathBuf>,
    /// The stamp of the file before it was read; `None` if the file must be read the next time.
    stamp: Option<Stamp>,
    /// Why the file could not be used the last time.
    problem: Option<TokenProblem>,
}

impl Kept {
    /// Uses this secret, until `file` contains another one.
    pub(crate) fn new(value: SensitiveString, file: Option<PathBuf>) -> Self {
        Self {
            value,
            file,
            stamp: None,
            problem: None,
        }
    }

    /// Reads the file if it has changed. Says whether there is a secret that may be new.
    fn refresh(&mut self) -> bool {
        let Some(file) = &self.file else {
            return false;
        };
        // The stamp is taken before reading, so that a later change is seen the next time.
        let stamp = match std::fs::metadata(file) {
            // A pipe can be read only once.
            Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => return false,
            metadata => metadata.as_ref().ok().map(Stamp::of),
        };
        if stamp.is_some() && stamp == self.stamp {
            return false;
        }
        match read(file) {
            Ok(value) => {
                (self.value, self.stamp, self.problem) = (value, stamp, None);
                true
            }
            Err(problem) => {
                (self.stamp, self.problem) = (None, Some(problem));
                false
            }
        }
    }

    /// What is wrong with the file, for a reason.
    fn complaint(&self, option: &str, what: &str) -> Option<String> {
        let problem = self.problem.as_ref()?;
        let expected = problem.expected().replace("token", what);
        let problem = problem.to_string().replace("token", what);
        Some(format!(
            "`{option}` {problem}, so the previous {what} is still used; expected {expected}"
        ))
    }
}

impl AccessToken {
    pub(crate) fn new(token: Kept, app_secret: Option<Kept>) -> Result<Self, InvalidHeaderValue> {
        let secret = app_secret.as_ref().map(|secret| &secret.value);
        let made = Credentials::of(&token.value, secret)?;
        Ok(Self {
            current: Mutex::new(Current {
                token,
                app_secret,
                made,
            }),
        })
    }

    /// What the next requests carry; reads the files if they have changed.
    pub(crate) fn credentials(&self) -> Credentials {
        let mut current = self.current();
        let Current {
            token,
            app_secret,
            made,
        } = &mut *current;
        let is_new = token.refresh() | app_secret.as_mut().is_some_and(Kept::refresh);
        if is_new {
            let secret = app_secret.as_ref().map(|secret| &secret.value);
            // What a file contains was checked, so that it can be a header.
            if let Ok(new) = Credentials::of(&token.value, secret) {
                *made = new;
            }
        }
        made.clone()
    }

    /// Like [`credentials`](Self::credentials), but always reads the files.
    pub(crate) fn credentials_from_files(&self) -> Credentials {
        let mut current = self.current();
        current.token.stamp = None;
        if let Some(secret) = &mut current.app_secret {
            secret.stamp = None;
        }
        drop(current);
        self.credentials()
    }

    /// Adds to the reason for a block where this sink's token comes from, if a new one is needed, whether a proof was sent, if
    /// Meta wants one, and that a file with a newer secret could not be used.
    pub(crate) fn explain(&self, mut reason: Reason) -> Reason {
        let needs_token = [Code::TokenInvalid, Code::TokenExpired]
            .iter()
            .any(|code| reason.code == code.as_str());
        let current = self.current();
        let mut more = Vec::new();
        if needs_token {
            more.push(match current.token.file {
                Some(_) => "write it into `access_token_file`, which is read again".to_owned(),
                None => {
                    "this sink's comes from `access_token`: if that names an environment variable, set it and restart, else \
                     change the pipeline file and reload; or use `access_token_file`, which is read again"
                        .to_owned()
                }
            });
        }
        if reason.code == Code::AppSecretRequired.as_str() && current.app_secret.is_some() {
            let text = "a proof was sent, so the secret is not that of the token's app";
            more.push(text.to_owned());
        }
        let secret = current.app_secret.as_ref();
        more.extend(current.token.complaint("access_token_file", "token"));
        more.extend(secret.and_then(|it| it.complaint("app_secret_file", "secret")));
        for text in more {
            reason.detail = format!("{}; {text}", reason.detail).into();
        }
        reason
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
                problem
                    .to_string()
                    .contains("it is a pipe, a socket or a device"),
                "{problem}"
            );
        }
    }
    use std::fs;
    use std::fs::File;

    fn token(text: &str) -> SensitiveString {
        SensitiveString::from(text.to_owned())
    }

    fn start(file: &Path) -> AccessToken {
        AccessToken::new(Kept::new(read(file).unwrap(), Some(file.to_owned())), None).unwrap()
    }

    fn said(token: &AccessToken) -> String {
        let header = token.credentials().bearer;
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
        let token = AccessToken::new(Kept::new(token("EAAB-secret"), None), None).unwrap();
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
        assert_eq!(token.credentials_from_files().bearer, "Bearer two");
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
        let token = AccessToken::new(Kept::new(token("EAAB-secret"), None), None).unwrap();
        assert_eq!(said(&token), "Bearer EAAB-secret");
        assert!(!explained(&token).contains("EAAB"));
        assert!(!format!("{token:?}").contains("EAAB"));
    }

    #[test]
    fn a_proof_is_what_other_tools_compute_and_changes_with_either_secret() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["token", "secret"].map(|name| folder.path().join(name));
        fs::write(&files[0], "access_token").unwrap();
        fs::write(&files[1], "app_secret\n").unwrap();
        let [kept, secret] = files
            .each_ref()
            .map(|file| Kept::new(read(file).unwrap(), Some(file.clone())));
        let token = AccessToken::new(kept, Some(secret)).unwrap();
        let said = || token.credentials().proof.unwrap();
        // From `openssl dgst -sha256 -hmac`.
        let first = "d52ddf968d622d8af8677906b7fbae09ac1f89f7cd5c1584b27544624cc23e5a";
        assert_eq!(said().expose(), first);
        fs::write(&files[1], "another secret").unwrap();
        assert_eq!(said().expose(), first, "it has a space");
        assert_eq!(
            explained(&token),
            "a new one is needed; write it into `access_token_file`, which is read again; `app_secret_file` has a space or a line \
             break in the secret, so the previous secret is still used; expected one line of letters, digits and punctuation, \
             without spaces"
        );
        fs::write(&files[1], "x").unwrap();
        let second = "f7337df83ea50df1b25865a6d7a729316801f921ed24e3238ada277a7cefd978";
        assert_eq!(said().expose(), second);
        fs::write(&files[0], "y").unwrap();
        let third = "1b56188fbdc65a885923886c8b7271332149050589d91803364521080cd0792d";
        assert_eq!(said().expose(), third);
        assert_eq!(
            token.credentials_from_files().proof.unwrap().expose(),
            third
        );
        let shown = format!("{token:?} {:?}", token.credentials());
        for secret in [first, second, third, "access_token\"", "app_secret\""] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
