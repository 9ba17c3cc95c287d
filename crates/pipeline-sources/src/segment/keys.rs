//! The write keys of a source, and where clients show them.
//!
//! A key is public where a page sends with it, so it says who sends rather than that he may: `allowed_origins` binds it to
//! pages, `hmac` to who knows a secret.
//!
//! Invariant: keys are held as hashes only and are never shown; how long a comparison takes does not depend on the keys.

use super::rate::Rate;
use crate::http::{Access, AccessOptions, Refusal, SecretFile, is_secret, query, read_secret};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pipeline_core::options::Problem;
use pipeline_core::{BuildError, SensitiveString, schemars};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use subtle::ConstantTimeEq as _;

/// Keys of one source.
const MAX_KEYS: usize = 1000;
/// The shortest key.
const MIN_KEY_CHARS: usize = 8;
/// The shortest secret of signatures.
const MIN_SECRET_CHARS: usize = 16;
/// The longest name of a key.
const MAX_NAME_CHARS: usize = 40;
/// The longest key that is compared.
const MAX_SHOWN_BYTES: usize = 1024;
const WRITE_KEY: HeaderName = HeaderName::from_static("x-write-key");

/// A key: its text, or what else there is to say about it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum KeyOptions {
    /// The key itself, of at least 8 characters.
    Text(SensitiveString),
    /// The key with its options.
    Full(FullKeyOptions),
}

/// A key with its options.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FullKeyOptions {
    /// The key itself, of at least 8 characters. Give `value` or `file`. Example: `${WEB_KEY}`.
    #[serde(default)]
    value: Option<SensitiveString>,
    /// A file that holds the key. It is read again when it changes. Give `value` or `file`. Example: `/run/secrets/key`.
    #[serde(default)]
    file: Option<PathBuf>,
    /// Events that may come with this key in a second, on average; ten times as many may come at once. What is more gets 429 with `Retry-After`. Default: any number.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    rate_limit: Option<u32>,
    /// The origins of web pages that may send with this key, instead of the source's `allowed_origins`. Example: `["https://shop.example"]`.
    #[serde(default)]
    allowed_origins: Option<Vec<String>>,
    /// A signature that every request with this key has to bring, for servers. Default: none.
    #[serde(default)]
    hmac: Option<HmacOptions>,
}

/// A signature: HMAC-SHA256 of the body as it is sent, in hexadecimal digits.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HmacOptions {
    /// The header that holds the signature; `sha256=` in front of it is ignored. Default: `x-signature`.
    #[serde(default = "default_header")]
    header: String,
    /// The file that holds the secret, of at least 16 characters. It is read again when it changes. Example: `/run/secrets/signing`.
    secret_file: PathBuf,
}

fn default_header() -> String {
    "x-signature".to_owned()
}

/// A key as the options name it; its files have not been read.
#[derive(Debug, Clone)]
pub(super) struct KeyPlan {
    name: String,
    from: From,
    rate_limit: Option<u32>,
    pages: Option<AccessOptions>,
    /// Origins of `pages`.
    pub(super) origins: Vec<String>,
    hmac: Option<(HeaderName, PathBuf)>,
}

#[derive(Debug, Clone)]
enum From {
    Value(SensitiveString),
    File(PathBuf),
}

/// A key that is known.
#[derive(Debug)]
pub(super) struct Key {
    /// What origins of its events begin with: the source's name and its own.
    pub(super) source: Arc<str>,
    name: String,
    hash: RwLock<[u8; 32]>,
    /// Where it comes from, where that is a file.
    file: Option<SecretFile>,
    rate: Option<Rate>,
    /// The pages that may send with it, where it has its own.
    pages: Option<Access>,
    signature: Option<Signature>,
    events: AtomicU64,
}

/// A signature that requests with a key have to bring.
#[derive(Debug)]
struct Signature {
    header: HeaderName,
    hmac: RwLock<Hmac<Sha256>>,
    file: SecretFile,
}

/// The keys of a source.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Arc<Key>>);

/// Checks the options of all keys.
pub(super) fn plans(
    options: BTreeMap<String, KeyOptions>,
    base_dir: &Path,
) -> Result<Vec<KeyPlan>, Vec<Problem>> {
    let mut problems = Vec::new();
    if options.len() > MAX_KEYS {
        let expected = format!("at most {MAX_KEYS} keys");
        problems.push(Problem::new("keys", "has too many keys", expected));
    }
    let mut plans = Vec::new();
    for (name, options) in options.into_iter().take(MAX_KEYS) {
        match KeyPlan::new(name.clone(), options, base_dir) {
            Ok(plan) => plans.push(plan),
            Err(found) => {
                let path = pipeline_core::options::join("keys", &name);
                problems.extend(found.into_iter().map(|problem| problem.within(&path)));
            }
        }
    }
    if problems.is_empty() {
        Ok(plans)
    } else {
        Err(problems)
    }
}

impl KeyPlan {
    fn new(name: String, options: KeyOptions, base_dir: &Path) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.bytes().all(known) {
            let expected = format!("at most {MAX_NAME_CHARS} letters, digits, `_`, `-`, `.`");
            problems.push(Problem::new("", "is not a name for a key", expected));
        }
        let full = match options {
            KeyOptions::Full(full) => full,
            KeyOptions::Text(value) => FullKeyOptions {
                value: Some(value),
                file: None,
                rate_limit: None,
                allowed_origins: None,
                hmac: None,
            },
        };
        let from = match (full.value, full.file) {
            (Some(value), None) if is_secret(&value, MIN_KEY_CHARS) => Some(From::Value(value)),
            (None, Some(file)) => Some(From::File(base_dir.join(file))),
            (Some(_), None) => {
                let expected = format!(
                    "at least {MIN_KEY_CHARS} characters of ASCII, without spaces around them"
                );
                problems.push(Problem::new("", "is not a key", expected));
                None
            }
            _ => {
                let expected = "exactly one of `value` and `file`";
                problems.push(Problem::new("", "does not say what the key is", expected));
                None
            }
        };
        let origins = full.allowed_origins.clone().unwrap_or_default();
        let pages = full
            .allowed_origins
            .map(|origins| AccessOptions::new(&origins, &[], None))
            .transpose()
            .map_err(|more| problems.extend(more))
            .ok()
            .flatten();
        let hmac = full.hmac.and_then(|hmac| {
            let header = HeaderName::try_from(&hmac.header).map_err(|_| {
                let expected = "letters, digits and `-`: `x-signature`";
                problems.push(Problem::new(
                    "hmac.header",
                    "is not the name of a header",
                    expected,
                ));
            });
            Some((header.ok()?, base_dir.join(hmac.secret_file)))
        });
        match from {
            Some(from) if problems.is_empty() => Ok(Self {
                name,
                from,
                rate_limit: full.rate_limit,
                pages,
                origins,
                hmac,
            }),
            _ => Err(problems),
        }
    }

    /// Reads what has to be read.
    fn open(self, source: &str, address: SocketAddr) -> Result<Key, BuildError> {
        let name = self.name;
        let read = |file: &Path, what: &str, least| {
            read_secret(file, least).map_err(|problem| {
                let file = file.display();
                BuildError::new(format!(
                    "source `{source}`: the {what} of the key `{name}` in `{file}` {problem}"
                ))
            })
        };
        let (key, key_file) = match self.from {
            From::Value(value) => (value, None),
            From::File(file) => {
                let key = read(&file, "text", MIN_KEY_CHARS)?;
                (key, Some(SecretFile::new(file, MIN_KEY_CHARS)))
            }
        };
        let signature = match self.hmac {
            None => None,
            Some((header, file)) => {
                let secret = read(&file, "signing secret", MIN_SECRET_CHARS)?;
                Some(Signature {
                    header,
                    hmac: RwLock::new(hmac_of(&secret)?),
                    file: SecretFile::new(file, MIN_SECRET_CHARS),
                })
            }
        };
        Ok(Key {
            source: format!("{source} key {name}").into(),
            hash: RwLock::new(Sha256::digest(key.expose()).into()),
            file: key_file,
            rate: self.rate_limit.map(Rate::new),
            pages: self
                .pages
                .map(|pages| pages.open(source, address))
                .transpose()?,
            signature,
            events: AtomicU64::new(0),
            name,
        })
    }
}

impl Keys {
    /// Reads the keys of the source of this name.
    pub(super) fn open(
        plans: Vec<KeyPlan>,
        source: &str,
        address: SocketAddr,
    ) -> Result<Self, BuildError> {
        let mut keys: Vec<Arc<Key>> = Vec::new();
        for plan in plans {
            let key = plan.open(source, address)?;
            if let Some(twin) = keys.iter().find(|known| known.hash() == key.hash()) {
                let (one, other) = (&twin.name, &key.name);
                return Err(BuildError::new(format!(
                    "source `{source}`: the keys `{one}` and `{other}` are the same; expected a different one for each"
                )));
            }
            keys.push(Arc::new(key));
        }
        Ok(Self(keys))
    }

    /// Whether anybody may send.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that this text is. It may have a secret or nothing behind a `:`, as some clients write it.
    pub(super) fn find(&self, shown: &str) -> Option<&Arc<Key>> {
        if shown.len() > MAX_SHOWN_BYTES {
            return None;
        }
        let user = shown.split_once(':').map_or(shown, |(user, _)| user);
        let hashes = [Sha256::digest(shown), Sha256::digest(user)];
        let mut found = None;
        // All are compared, whatever is found.
        for key in &self.0 {
            let known = key.hash();
            let [whole, user] = hashes.each_ref().map(|hash| hash.as_slice().ct_eq(&known));
            if bool::from(whole | user) {
                found = Some(key);
            }
        }
        found
    }

    /// Reads the files of all keys again.
    pub(super) fn look(&self, source: &str) {
        for key in &self.0 {
            key.look_at_text(source, &self.0);
            key.look_at_signature(source);
        }
    }

    /// Events that were taken, by the name of their key.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        let keys = self.0.iter();
        keys.map(|key| (key.name.as_str(), key.events.load(Ordering::Relaxed)))
    }
}

/// What signs with this secret.
fn hmac_of(secret: &SensitiveString) -> Result<Hmac<Sha256>, BuildError> {
    let hmac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
    hmac.map_err(|error| BuildError::new(error.to_string()))
}

impl Key {
    /// Its name in the options.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn hash(&self) -> [u8; 32] {
        // Nothing under the lock can panic.
        *self.hash.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads its text again, where it comes from a file.
    fn look_at_text(&self, source: &str, all: &[Arc<Self>]) {
        let what = || format!("the text of the key `{}`", self.name);
        let now = self.file.as_ref();
        let Some(now) = now.and_then(|file| file.look(source, &what())) else {
            return;
        };
        let hash: [u8; 32] = Sha256::digest(now.expose()).into();
        if hash == self.hash() {
            return;
        }
        let key = self.name.as_str();
        if let Some(twin) = all.iter().find(|other| other.hash() == hash) {
            let other = &twin.name;
            tracing::warn!(%source, "the key `{key}` has changed to what the key `{other}` is; the one before is still used");
            return;
        }
        *self.hash.write().unwrap_or_else(PoisonError::into_inner) = hash;
        tracing::info!(%source, key, "the write key has changed and is used from now on");
    }

    /// Reads the secret of its signature again.
    fn look_at_signature(&self, source: &str) {
        let what = || format!("the signing secret of the key `{}`", self.name);
        let Some(signature) = &self.signature else {
            return;
        };
        let now = signature.file.look(source, &what());
        if let Some(Ok(now)) = now.as_ref().map(hmac_of) {
            let hmac = signature.hmac.write();
            *hmac.unwrap_or_else(PoisonError::into_inner) = now;
        }
    }

    /// Refuses a page that may not send with this key.
    pub(super) fn check_page(&self, source: &Access, headers: &HeaderMap) -> Result<(), Refusal> {
        let pages = self.pages.as_ref().unwrap_or(source);
        pages.check_page(headers).map_err(|_| {
            let message = "the request is of a web page whose origin is not in `allowed_origins` for this write key";
            Refusal::new(403, "foreign_origin", message)
        })
    }

    /// Refuses a body without the signature that this key asks for.
    pub(super) fn check_signature(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let Some(Signature { header, hmac, .. }) = &self.signature else {
            return Ok(());
        };
        let shown = headers.get(header).map(HeaderValue::as_bytes);
        let digits = shown.unwrap_or_default();
        let digits = digits.strip_prefix(b"sha256=").unwrap_or(digits);
        let mut signature = [0; 32];
        let is_read = const_hex::decode_to_slice(digits, &mut signature).is_ok();
        let mut hmac = hmac.read().unwrap_or_else(PoisonError::into_inner).clone();
        hmac.update(body);
        if is_read && hmac.verify_slice(&signature).is_ok() {
            return Ok(());
        }
        let message = format!(
            "the signature in the header `{header}` is missing or is not that of the body; expected HMAC-SHA256 of the \
             body as it is sent, in hexadecimal digits"
        );
        Err(Refusal::new(401, "wrong_signature", message))
    }

    /// Takes so many events from its rate, or says how long to wait.
    pub(super) fn take(&self, events: usize) -> Result<(), std::time::Duration> {
        let Some(rate) = &self.rate else {
            return Ok(());
        };
        rate.take(events, tokio::time::Instant::now())
    }

    /// Counts events that were taken.
    pub(super) fn count(&self, events: usize) {
        self.events.fetch_add(events as u64, Ordering::Relaxed);
    }
}

/// The key that a request shows outside of its body, with a colon and a secret perhaps. A header comes before the query.
pub(super) fn shown(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let authorized = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, shown) = value.trim().split_once(' ')?;
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = STANDARD.decode(shown.trim()).ok()?;
            return String::from_utf8(decoded).ok();
        }
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer.then(|| shown.trim().to_owned())
    });
    let shown = authorized
        .or_else(|| text(WRITE_KEY).map(|value| value.trim().to_owned()))
        .or_else(|| in_query(query?));
    shown.filter(|shown| !shown.trim_end_matches(':').is_empty())
}

/// The key that a query names.
fn in_query(query: &str) -> Option<String> {
    query::value(query, |name| {
        name.eq_ignore_ascii_case("writeKey") || name.eq_ignore_ascii_case("write_key")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys(options: serde_json::Value) -> Keys {
        let options = serde_json::from_value(options).unwrap();
        let plans = plans(options, Path::new("")).unwrap();
        Keys::open(plans, "seg", ([127, 0, 0, 1], 0).into()).unwrap()
    }

    fn shown_in(name: &str, value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        let name = HeaderName::try_from(name).unwrap();
        headers.insert(name, HeaderValue::try_from(value).unwrap());
        shown(&headers, None)
    }

    #[test]
    fn a_key_is_found_however_clients_show_it_and_only_as_it_is() {
        let keys = keys(json!({"web": "the-web-key", "jitsu": {"value": "jitsukey:secret"}}));
        let name = |shown: &str| keys.find(shown).map(|key| key.name.as_str());
        for shown in ["the-web-key", "the-web-key:", "the-web-key:anything"] {
            assert_eq!(name(shown), Some("web"), "{shown}");
        }
        assert_eq!(name("jitsukey:secret"), Some("jitsu"));
        for shown in [
            "",
            ":",
            "THE-WEB-KEY",
            "the-web-ke",
            "the-web-key2",
            "jitsukey",
            "jitsukey:other",
            "web",
        ] {
            assert_eq!(name(shown), None, "{shown}");
        }
        assert_eq!(name(&"x".repeat(100_000)), None);
        assert!(!format!("{keys:?}").contains("the-web-key"));
    }

    #[test]
    fn a_key_is_read_from_every_place_and_a_header_comes_first() {
        let basic = format!("Basic {}", STANDARD.encode("the-key:"));
        assert_eq!(
            shown_in("authorization", &basic).as_deref(),
            Some("the-key:")
        );
        assert_eq!(
            shown_in("authorization", "bearer the-key").as_deref(),
            Some("the-key")
        );
        assert_eq!(
            shown_in("x-write-key", "the-key:s").as_deref(),
            Some("the-key:s")
        );
        for useless in ["Basic ???", "Basic Og==", "Digest a", "Basic"] {
            assert_eq!(shown_in("authorization", useless), None, "{useless}");
        }
        let none = HeaderMap::new();
        assert_eq!(
            shown(&none, Some("a=b&writeKey=the%2Dkey&c")).as_deref(),
            Some("the-key")
        );
        assert_eq!(
            shown(&none, Some("writeKey=%zz%2")).as_deref(),
            Some("%zz%2")
        );
        let mut both = HeaderMap::new();
        both.insert(WRITE_KEY, HeaderValue::from_static("header"));
        assert_eq!(
            shown(&both, Some("writeKey=query")).as_deref(),
            Some("header")
        );
    }

    #[test]
    fn a_signature_is_that_of_the_body_as_it_was_sent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "a secret of some length\n").unwrap();
        let keys =
            keys(json!({"server": {"value": "the-server-key", "hmac": {"secret_file": file}}}));
        let key = keys.find("the-server-key").unwrap();
        let mut hmac = Hmac::<Sha256>::new_from_slice(b"a secret of some length").unwrap();
        hmac.update(b"{}");
        let good = const_hex::encode(hmac.finalize().into_bytes());
        let check = |value: &str, body: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-signature", HeaderValue::try_from(value).unwrap());
            key.check_signature(&headers, body)
                .map_err(|refusal| refusal.code)
        };
        for good in [good.clone(), good.to_uppercase(), format!("sha256={good}")] {
            assert_eq!(check(&good, b"{}"), Ok(()), "{good}");
        }
        assert_eq!(check(&good, b"{ }"), Err("wrong_signature"));
        for bad in ["", "sha256=", &good[1..], "zz"] {
            assert_eq!(check(bad, b"{}"), Err("wrong_signature"), "{bad}");
        }
    }

    #[test]
    fn files_of_keys_may_change_and_what_cannot_be_used_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("key", "the-first-key");
        write("signing", "the-first-signing-secret");
        let file = |name: &str| folder.path().join(name);
        let hmac = json!({"secret_file": file("signing")});
        let keys = keys(json!({
            "shop": {"file": file("key"), "hmac": hmac, "rate_limit": 1}, "web": "the-web-key",
        }));
        let name = |shown: &str| keys.find(shown).map(|key| key.name.as_str());
        let signed = |secret: &str| {
            let mut hmac = hmac_of(&secret.to_owned().into()).unwrap();
            hmac.update(b"body");
            let digits = const_hex::encode(hmac.finalize().into_bytes());
            let mut headers = HeaderMap::new();
            headers.insert("x-signature", HeaderValue::try_from(digits).unwrap());
            let key = keys.0.iter().find(|key| key.name == "shop").unwrap();
            key.check_signature(&headers, b"body").is_ok()
        };
        assert!(signed("the-first-signing-secret"));
        keys.find("the-first-key").unwrap().take(1_000).unwrap();
        for unusable in ["short", "", "the-web-key"] {
            write("key", unusable);
            write("signing", "short");
            keys.look("seg");
            assert_eq!(name("the-first-key"), Some("shop"), "{unusable}");
            assert!(signed("the-first-signing-secret"));
        }
        assert_eq!(name("the-web-key"), Some("web"));
        write("key", "the-second-key\n");
        write("signing", "the-second-signing-secret");
        keys.look("seg");
        assert_eq!(
            (name("the-second-key"), name("the-first-key")),
            (Some("shop"), None)
        );
        assert!(signed("the-second-signing-secret") && !signed("the-first-signing-secret"));
        // It is the same sender, who has sent too much.
        assert!(keys.find("the-second-key").unwrap().take(1).is_err());
        assert!(!format!("{keys:?}").contains("the-second"));
    }

    #[test]
    fn keys_that_cannot_be_meant_are_problems_with_a_path() {
        let problems = |options: serde_json::Value| {
            let options = serde_json::from_value(options).unwrap();
            let problems = plans(options, Path::new("")).map(drop).unwrap_err();
            problems
                .into_iter()
                .map(|problem| problem.path)
                .collect::<Vec<_>>()
        };
        assert_eq!(problems(json!({"web": "short"})), ["keys.web"]);
        assert_eq!(problems(json!({"web": {}})), ["keys.web"]);
        assert_eq!(
            problems(json!({"web": {"value": "the-web-key", "file": "f"}})),
            ["keys.web"]
        );
        let origins = json!({"web": {"value": "the-web-key", "allowed_origins": ["shop.example"]}});
        assert_eq!(problems(origins), ["keys.web.allowed_origins[0]"]);
        assert_eq!(problems(json!({"a b": "the-web-key"})).len(), 1);
        let plans = plans(
            serde_json::from_value(json!({"a": "the-web-key", "b": "the-web-key"})).unwrap(),
            Path::new(""),
        );
        let twins = Keys::open(plans.unwrap(), "seg", ([127, 0, 0, 1], 0).into());
        let error = twins.map(drop).unwrap_err().to_string();
        assert!(
            error.contains("`a` and `b`") && !error.contains("the-web-key"),
            "{error}"
        );
    }
}
