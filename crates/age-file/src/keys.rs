//! Public and secret keys, as people write them.
//!
//! Invariant: a secret key is in no error and in no `Debug`.

use crate::bech32;
use aws_lc_rs::agreement::{PrivateKey, X25519};
use std::fmt;
use std::str::FromStr;

/// Secret keys of one identity file.
pub const MAX_IDENTITIES: usize = 64;
/// The longest identity file.
pub const MAX_IDENTITY_FILE_BYTES: usize = 64 * 1024;

const PUBLIC: &str = "age";
const SECRET: &str = "age-secret-key-";

/// Whom a text is sealed for: a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(pub(crate) [u8; 32]);

/// Secret keys.
pub struct Identities(pub(crate) Vec<PrivateKey>);

/// Why something is not a key. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a public key.
    #[error("is not a public key of age")]
    NotPublic,
    /// A secret key in the place of a public one.
    #[error("is a secret key of age, which belongs into no configuration")]
    Secret,
    /// A line of an identity file is no secret key.
    #[error("line {0} is not a secret key of age")]
    NotSecret(usize),
    /// There is no key in an identity file.
    #[error("has no secret key of age")]
    Empty,
    /// There are too many.
    #[error("has more than {MAX_IDENTITIES} secret keys")]
    TooMany,
}

impl FromStr for Recipient {
    type Err = KeyError;

    /// Reads `age1…`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.to_ascii_lowercase().starts_with(SECRET) {
            return Err(KeyError::Secret);
        }
        let key = Some(text).filter(|text| !text.bytes().any(|byte| byte.is_ascii_uppercase()));
        let key = key.and_then(|text| bech32::decode(PUBLIC, text));
        key.map(Self).ok_or(KeyError::NotPublic)
    }
}

impl Identities {
    /// Reads an identity file: one key a line; empty lines and those that begin with `#` are comments.
    ///
    /// # Errors
    ///
    /// When another line is no secret key, or the file has no key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if keys.len() >= MAX_IDENTITIES {
                return Err(KeyError::TooMany);
            }
            let key = bech32::decode(SECRET, &line.to_ascii_lowercase());
            let key = key.and_then(|key| PrivateKey::from_private_key(&X25519, &key).ok());
            keys.push(key.ok_or(KeyError::NotSecret(index + 1))?);
        }
        if keys.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self(keys))
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}
