//! A secret that clients have to show in a header.
//!
//! Invariant: the secret is never shown, and how long a comparison takes does not depend on how much of it was right.

use super::query;
use super::refusal::Refusal;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use pipeline_core::options::Problem;
use pipeline_core::{BuildError, SensitiveString, schemars};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;
use subtle::ConstantTimeEq as _;

/// How often files with secrets are looked at.
pub(crate) const LOOK_PAUSE: Duration = Duration::from_secs(10);
/// The longest file that holds a secret.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The shortest secret: 16 characters of random text cannot be guessed.
const MIN_SECRET_CHARS: usize = 16;

/// What clients have to show.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretOptions {
    /// The header that has to hold the secret. Default: `x-pipeline-secret`, or the one that the service behind `envelope` sends: `x-amz-firehose-access-key`. Example: `authorization`.
    #[serde(default)]
    header: Option<String>,
    /// The whole value of the header, of at least 16 characters; use a variable rather than the text itself. Give `value` or `file`. Example: `${PIPELINE_SECRET}`.
    #[serde(default)]
    value: Option<SensitiveString>,
    /// A file that holds the whole value of the header. It is read again when it changes. Give `value` or `file`. Example: `secret.txt`.
    #[serde(default)]
    file: Option<PathBuf>,
}

/// Where clients show the secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// The header, unless the options name one.
    pub(crate) header: &'static str,
    /// The parameter of the query that may hold it instead, for senders that cannot set a header.
    pub(crate) parameter: Option<&'static str>,
}

impl Shown {
    /// In a header.
    pub(crate) const IN_HEADER: Self = Self {
        header: "x-pipeline-secret",
        parameter: None,
    };
}

/// A secret as the options name it; its file has not been read.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    header: HeaderName,
    parameter: Option<&'static str>,
    from: From,
}

#[derive(Debug, Clone)]
enum From {
    Value(SensitiveString),
    File(PathBuf),
}

/// A secret that has been read.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) header: HeaderName,
    parameter: Option<&'static str>,
    value: RwLock<SensitiveString>,
    /// Where it comes from, where that is a file.
    file: Option<SecretFile>,
}

impl SecretOptions {
    /// Checks the options; a relative path starts at `base_dir`.
    pub(crate) fn check(self, base_dir: &Path, shown: Shown) -> Result<Secret, Problem> {
        let header = self.header.as_deref().unwrap_or(shown.header);
        let header = HeaderName::try_from(header).map_err(|_| {
            let expected = "letters, digits and `-`: `x-pipeline-secret`";
            Problem::new("secret.header", "is not the name of a header", expected)
        })?;
        let from = match (self.value, self.file) {
            (Some(value), None) if is_long_enough(&value) => From::Value(value),
            (Some(_), None) => {
                let expected = format!(
                    "at least {MIN_SECRET_CHARS} characters of ASCII, without spaces around them"
                );
                return Err(Problem::new(
                    "secret.value",
                    "is too easy to guess",
                    expected,
                ));
            }
            (None, Some(file)) => From::File(base_dir.join(file)),
            _ => {
                let expected = "exactly one of `value` and `file`";
                return Err(Problem::new(
                    "secret",
                    "does not say what the secret is",
                    expected,
                ));
            }
        };
        Ok(Secret {
            header,
            parameter: shown.parameter,
            from,
        })
    }
}

impl Secret {
    /// Reads the secret.
    pub(super) fn open(self, source: &str) -> Result<Expected, BuildError> {
        let (value, file) = match self.from {
            From::Value(value) => (value, None),
            From::File(file) => {
                let value = read_secret(&file, MIN_SECRET_CHARS).map_err(|problem| {
                    let file = file.display();
                    BuildError::new(format!(
                        "source `{source}`: the secret in `{file}` {problem}"
                    ))
                })?;
                (value, Some(SecretFile::new(file, MIN_SECRET_CHARS)))
            }
        };
        Ok(Expected {
            header: self.header,
            parameter: self.parameter,
            value: RwLock::new(value),
            file,
        })
    }
}

impl Expected {
    /// Refuses a request that does not show the secret.
    pub(super) fn check(&self, headers: &HeaderMap, query: Option<&str>) -> Result<(), Refusal> {
        let shown = headers.get(&self.header).map(HeaderValue::as_bytes);
        let in_query = self.in_query(shown.is_some(), query);
        let shown = shown.or(in_query.as_deref().map(str::as_bytes));
        let is_right = {
            // Nothing under the lock can panic.
            let expected = self.value.read().unwrap_or_else(PoisonError::into_inner);
            let expected = expected.expose().as_bytes();
            bool::from(expected.ct_eq(shown.unwrap_or_default()))
        };
        if is_right {
            return Ok(());
        }
        let what = if shown.is_some() {
            "is not the one"
        } else {
            "is missing"
        };
        let parameter = self.parameter.map(|name| format!(" or in `?{name}=`"));
        let message = format!(
            "the secret in the header `{}`{} {what}; expected what the option `secret` of this source says",
            self.header,
            parameter.unwrap_or_default()
        );
        Err(Refusal::new(401, "wrong_secret", message))
    }

    /// Reads the secret again where it comes from a file.
    pub(super) fn look(&self, source: &str) {
        let now = self.file.as_ref();
        let Some(now) = now.and_then(|file| file.look(source, "the secret")) else {
            return;
        };
        let mut value = self.value.write().unwrap_or_else(PoisonError::into_inner);
        if value.expose() != now.expose() {
            *value = now;
            tracing::info!(%source, "the secret has changed and is used from now on");
        }
    }

    /// What the query shows, where the header shows nothing.
    fn in_query(&self, is_in_header: bool, query: Option<&str>) -> Option<String> {
        let (wanted, query) = self.parameter.zip(query).filter(|_| !is_in_header)?;
        query::value(query, |name| name == wanted)
    }
}

/// A file with a secret that may change.
#[derive(Debug)]
pub(crate) struct SecretFile {
    path: PathBuf,
    least_chars: usize,
    /// What was wrong with it the last time.
    told: Mutex<Option<String>>,
}

impl SecretFile {
    pub(crate) fn new(path: PathBuf, least_chars: usize) -> Self {
        Self {
            path,
            least_chars,
            told: Mutex::default(),
        }
    }

    /// What it holds now, where that can be used. What is wrong with it is told to the log once; `what` says what it is.
    pub(crate) fn look(&self, source: &str, what: &str) -> Option<SensitiveString> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // A file that is missing is perhaps being replaced.
        if !self.path.exists() {
            return None;
        }
        match read_secret(&self.path, self.least_chars) {
            Ok(secret) => {
                *told = None;
                Some(secret)
            }
            Err(problem) if told.as_ref() != Some(&problem) => {
                let file = self.path.display();
                tracing::warn!(%source, "{what} in `{file}` {problem}; the one before is still used");
                *told = Some(problem);
                None
            }
            Err(_) => None,
        }
    }
}

/// The secret in this file, of at least so many characters; or what is wrong with it.
pub(crate) fn read_secret(file: &Path, least_chars: usize) -> Result<SensitiveString, String> {
    // Opening something else than a file could wait for ever.
    let metadata = std::fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("cannot be read: it is not a file".to_owned());
    }
    let mut text = String::new();
    let read =
        File::open(file).and_then(|open| open.take(MAX_FILE_BYTES).read_to_string(&mut text));
    read.map_err(|error| format!("cannot be read: {error}"))?;
    let secret = SensitiveString::from(text.trim().to_owned());
    if is_secret(&secret, least_chars) {
        return Ok(secret);
    }
    Err(format!(
        "is too easy to guess; expected at least {least_chars} characters of ASCII"
    ))
}

fn is_long_enough(secret: &SensitiveString) -> bool {
    is_secret(secret, MIN_SECRET_CHARS)
}

/// Whether it has that many characters and could be the value of a header.
pub(crate) fn is_secret(secret: &SensitiveString, least_chars: usize) -> bool {
    let text = secret.expose();
    text.len() >= least_chars
        && text.trim() == text
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_may_change_and_one_that_cannot_be_used_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        write("the-first-secret\n");
        let options = SecretOptions {
            header: None,
            value: None,
            file: Some("secret".into()),
        };
        let secret = options.check(folder.path(), Shown::IN_HEADER).unwrap();
        let secret = secret.open("web").unwrap();
        let knows = |shown: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-pipeline-secret", HeaderValue::from_str(shown).unwrap());
            secret.check(&headers, None).is_ok()
        };
        for unusable in [
            "short",
            "",
            "not ASCII: \u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            write(unusable);
            secret.look("web");
            assert!(knows("the-first-secret") && !knows(unusable.trim_end_matches('\u{e9}')));
        }
        std::fs::remove_file(&file).unwrap();
        secret.look("web");
        assert!(knows("the-first-secret"));
        write("the-second-secret");
        assert!(!knows("the-second-secret"), "it is looked at first");
        secret.look("web");
        assert!(knows("the-second-secret") && !knows("the-first-secret"));
    }
}
