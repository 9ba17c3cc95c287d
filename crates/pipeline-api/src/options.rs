//! The section `api` of a pipeline file: where the interface listens, and who may use it.
//!
//! Invariant: what another machine can reach needs a token, and its operator has said that the connection is not encrypted.

use pipeline_core::options::Problem;
use pipeline_core::{SensitiveString, schemars};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The name of the section.
pub(crate) const SECTION: &str = "api";
/// The longest token, and so the largest token file, in bytes.
pub(crate) const MAX_TOKEN_BYTES: u64 = 4096;
/// Host names that can be allowed.
const MAX_HOSTS: usize = 64;
/// A shorter token can be guessed.
const MIN_TOKEN_BYTES: usize = 16;

/// What a running pipeline does, over HTTP: `/health`, `/ready`, `/metrics` for Prometheus, and JSON below `/api/v1`. Default: nothing listens. Example: `{ address: "127.0.0.1:8686" }`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(crate) struct ApiOptions {
    /// The address it listens on. Another one than this machine's own needs `token` or `token_file`, and `allow_plain_http`. Default: `127.0.0.1:8686`.
    #[serde(default = "default_address")]
    address: String,
    /// What a client has to send as `Authorization: Bearer …`: 16 characters or more. Default: none, and then only programs of this machine can ask. Example: `${PIPELINE_API_TOKEN}`.
    #[serde(default)]
    token: Option<SensitiveString>,
    /// A file with the token, instead of `token`; an absolute path. Example: `/run/secrets/pipeline-api`.
    #[serde(default)]
    token_file: Option<PathBuf>,
    /// Names by which clients may call this machine, besides its addresses and `localhost`; a request for another name is refused, so that no web page can reach the interface by a name of its own. Example: `["pipeline.internal"]`.
    #[serde(default)]
    hosts: Vec<String>,
    /// Listen on an address that other machines can reach although the connection is not encrypted: a proxy in front does that. Default: `false`.
    #[serde(default)]
    allow_plain_http: bool,
    /// Whether the pipeline runs on after the end of its input until it is interrupted, so that one can look at what it did. Default: `false`.
    #[serde(default)]
    stay: bool,
    /// Whether nothing can be changed over HTTP, also with the token: neither the pipeline file nor what runs. Default: `false`.
    #[serde(default)]
    read_only: bool,
    /// Show of a single event also the bytes as they are sent: identity is hashed, but IP address, user agent, click ids and page addresses are in the clear, as the destination takes them. Default: `true`.
    #[serde(default = "default_show_as_sent")]
    show_as_sent: bool,
    /// Set by `pipeline console`, never by a file: whether it made the token.
    #[serde(default)]
    #[schemars(skip)]
    console: Option<bool>,
}

fn default_show_as_sent() -> bool {
    true
}

fn default_address() -> String {
    "127.0.0.1:8686".to_owned()
}

/// Options that have been found good.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) address: SocketAddr,
    pub(crate) hosts: Vec<String>,
    /// Whether the pipeline runs on after the end of its input.
    pub(crate) stay: bool,
    /// Whether nothing can be changed over HTTP.
    pub(crate) read_only: bool,
    /// Set where `pipeline console` runs it: whether it made the token.
    pub(crate) console: Option<bool>,
    pub(crate) shows_as_sent: bool,
    token: Option<SensitiveString>,
    token_file: Option<PathBuf>,
}

impl Settings {
    /// Reads the section, or reports every problem of it. Opens no file.
    pub(crate) fn read(options: &Value) -> Result<Self, Vec<Problem>> {
        let options: ApiOptions = serde_json::from_value(options.clone()).map_err(|_| {
            let expected = "what `pipeline schema` describes";
            vec![Problem::new("", "cannot be read", expected)]
        })?;
        let mut problems = Vec::new();
        let address: Option<SocketAddr> = options.address.parse().ok();
        if address.is_none() {
            let expected = "an IP address and a port: `127.0.0.1:8686`";
            problems.push(Problem::new("address", "is not an address", expected));
        }
        let token = options.token.filter(|token| !token.is_empty());
        check_token(token.as_ref(), options.token_file.as_deref(), &mut problems);
        let has_token = token.is_some() || options.token_file.is_some();
        if address.is_some_and(|address| !is_loopback(address)) {
            let problem = "can be reached from other machines";
            if !has_token {
                let expected = "`token` or `token_file`, or an address of this machine alone: `127.0.0.1:8686`";
                problems.push(Problem::new("address", problem, expected));
            } else if !options.allow_plain_http {
                let expected = "`allow_plain_http: true`, with a proxy in front that encrypts, or an address of this machine alone";
                problems.push(Problem::new("address", problem, expected));
            }
        }
        check_hosts(&options.hosts, &mut problems);
        match address {
            Some(address) if problems.is_empty() => Ok(Self {
                address,
                hosts: options.hosts,
                stay: options.stay,
                read_only: options.read_only,
                console: options.console,
                shows_as_sent: options.show_as_sent,
                token,
                token_file: options.token_file,
            }),
            _ => Err(problems),
        }
    }

    /// The token, read from its file where it is in one.
    pub(crate) fn token(&self) -> Result<Option<SensitiveString>, String> {
        match &self.token_file {
            None => Ok(self.token.clone()),
            Some(file) => read_token(file).map(Some).map_err(|problem| {
                format!(
                    "the token file `{}` of the api {problem}",
                    pipeline_core::shown(file)
                )
            }),
        }
    }
}

/// Whether only this machine can reach an address.
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn check_token(token: Option<&SensitiveString>, file: Option<&Path>, problems: &mut Vec<Problem>) {
    if let Some(file) = file {
        if token.is_some() {
            let problem = "is given, and `token` as well";
            problems.push(Problem::new("token_file", problem, "one of the two"));
        }
        if !file.is_absolute() {
            let expected = "an absolute path: `/run/secrets/pipeline-api`";
            problems.push(Problem::new("token_file", "is a relative path", expected));
        }
    }
    if token.is_some_and(|token| !is_strong(token)) {
        problems.push(Problem::new(
            "token",
            "can be guessed or cannot be sent",
            "16 to 4096 visible ASCII characters",
        ));
    }
}

fn is_strong(token: &SensitiveString) -> bool {
    let bytes = token.expose().as_bytes();
    bytes.len() >= MIN_TOKEN_BYTES
        && bytes.len() as u64 <= MAX_TOKEN_BYTES
        && bytes.iter().all(u8::is_ascii_graphic)
}

fn check_hosts(hosts: &[String], problems: &mut Vec<Problem>) {
    if hosts.len() > MAX_HOSTS {
        let expected = format!("{MAX_HOSTS} names or fewer");
        problems.push(Problem::new("hosts", "has too many names", expected));
    }
    for (index, host) in hosts.iter().enumerate() {
        let is_good = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b == b'_';
        if host.is_empty() || host.len() > 253 || !host.bytes().all(is_good) {
            let expected = "a name without a port: `pipeline.internal`";
            let place = format!("hosts[{index}]");
            problems.push(Problem::new(
                place,
                "is not the name of a machine",
                expected,
            ));
        }
    }
}

fn read_token(path: &Path) -> Result<SensitiveString, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // A pipe would keep the start waiting.
    if !path.metadata().map_err(cannot)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    let read = file.take(MAX_TOKEN_BYTES + 2).read_to_string(&mut text);
    read.map_err(|_| "is not text".to_owned())?;
    let token = SensitiveString::from(text.trim().to_owned());
    if is_strong(&token) {
        return Ok(token);
    }
    Err("must hold 16 to 4096 visible ASCII characters".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places(options: &Value) -> Vec<String> {
        let problems = Settings::read(options).err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn an_address_that_others_can_reach_needs_a_token_and_a_word_about_the_connection() {
        let token = "0123456789abcdef";
        for (options, expected) in [
            (json!({}), vec![]),
            (json!({"address": "[::1]:0"}), vec![]),
            (json!({"address": "127.9.9.9:1"}), vec![]),
            (json!({"address": "[::ffff:127.0.0.1]:1"}), vec![]),
            (json!({"address": "localhost:1"}), vec!["address"]),
            (json!({"address": "0.0.0.0:1"}), vec!["address"]),
            (json!({"address": "[::]:1", "token": ""}), vec!["address"]),
            (
                json!({"address": "10.0.0.1:1", "token": token}),
                vec!["address"],
            ),
            (
                json!({"address": "10.0.0.1:1", "token": token, "allow_plain_http": true}),
                vec![],
            ),
            (
                json!({"address": "10.0.0.1:1", "allow_plain_http": true}),
                vec!["address"],
            ),
            (json!({"token": "short"}), vec!["token"]),
            (json!({"token": "0123456789 abcdef"}), vec!["token"]),
            (json!({"token_file": "token"}), vec!["token_file"]),
            (
                json!({"token": token, "token_file": "/token"}),
                vec!["token_file"],
            ),
            (
                json!({"hosts": ["a.b", "a:80", "", "é"]}),
                vec!["hosts[1]", "hosts[2]", "hosts[3]"],
            ),
        ] {
            assert_eq!(places(&options), expected, "{options}");
        }
    }

    #[test]
    fn a_token_is_read_from_its_file_without_the_end_of_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let settings = Settings::read(&json!({"token_file": path})).unwrap();
        assert!(settings.token().unwrap_err().contains("cannot be read"));
        for (text, expected) in [
            ("0123456789abcdef\n", Some("0123456789abcdef")),
            ("short\n", None),
            ("", None),
            (&"x".repeat(5_000), None),
        ] {
            std::fs::write(&path, text).unwrap();
            let token = settings.token().ok().flatten();
            assert_eq!(token.as_ref().map(SensitiveString::expose), expected);
            let told = format!("{settings:?} {:?}", settings.token());
            assert!(!told.contains("0123456789"), "{told}");
        }
        let folder = Settings::read(&json!({"token_file": folder.path()})).unwrap();
        assert!(folder.token().unwrap_err().ends_with("is not a file"));
    }
}
