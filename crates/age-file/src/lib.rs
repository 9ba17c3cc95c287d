//! Files of age (<https://age-encryption.org/v1>) for one public key of X25519, short enough for one chunk.
//!
//! In: a text of up to [`MAX_PLAIN_BYTES`] and a public key (`age1…`). Out: a file that `age --decrypt` opens, too. And back: such a
//! file and the secret keys (`AGE-SECRET-KEY-1…`) of an identity file.
//!
//! The format is age's, the primitives are those of `aws-lc`, which does the TLS of the program already; what is left of the format for
//! one recipient and one chunk is short. The crate `age` would bring 60 further packages, most of them for translations.
//!
//! Invariant: nothing here writes or shows a key or a plain text.

mod bech32;
mod header;
mod keys;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
pub use keys::{Identities, KeyError, MAX_IDENTITIES, MAX_IDENTITY_FILE_BYTES, Recipient};

/// The longest text that is sealed: one chunk of the format.
pub const MAX_PLAIN_BYTES: usize = 64 * 1024;
/// The longest file that is opened; one that was sealed here is shorter.
pub const MAX_SEALED_BYTES: usize = MAX_PLAIN_BYTES + 4 * 1024;

/// Bytes of the key that a file is encrypted with.
const FILE_KEY_BYTES: usize = 16;
/// Bytes of the nonce in front of the payload.
const PAYLOAD_NONCE_BYTES: usize = 16;
/// Bytes that encryption adds.
const TAG_BYTES: usize = 16;
/// The nonce of the only chunk: number 0, and the mark of the last one.
const ONLY_CHUNK: [u8; NONCE_LEN] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Why a text cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is longer than one chunk.
    #[error("the text is longer than {MAX_PLAIN_BYTES} bytes")]
    TooLong,
    /// The system gives no random numbers, or the public key is no usable point.
    #[error("the text cannot be encrypted")]
    Failed,
}

/// Why a file cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It was sealed for another key.
    #[error("the file was sealed for another key")]
    OtherKey,
    /// It is not a file of this format, or was changed.
    #[error("the file is damaged, or is not one of age with one chunk")]
    Damaged,
}

impl Recipient {
    /// The text, sealed for this key; sealed again, it looks different.
    ///
    /// # Errors
    ///
    /// [`SealError::TooLong`] beyond [`MAX_PLAIN_BYTES`]; [`SealError::Failed`] when the machine has no random numbers.
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        if plain.len() > MAX_PLAIN_BYTES {
            return Err(SealError::TooLong);
        }
        let mut file_key = [0; FILE_KEY_BYTES];
        let mut nonce = [0; PAYLOAD_NONCE_BYTES];
        rand::fill(&mut file_key).map_err(|_| SealError::Failed)?;
        rand::fill(&mut nonce).map_err(|_| SealError::Failed)?;
        let mut file = header::write(self, &file_key).ok_or(SealError::Failed)?;
        file.extend_from_slice(&nonce);
        let key = derived(&nonce, &file_key, b"payload").ok_or(SealError::Failed)?;
        let mut chunk = plain.to_vec();
        encrypt(&key, ONLY_CHUNK, &mut chunk).ok_or(SealError::Failed)?;
        file.extend_from_slice(&chunk);
        Ok(file)
    }
}

impl Identities {
    /// The text of a file that was sealed for one of these keys.
    ///
    /// # Errors
    ///
    /// [`OpenError::OtherKey`] where it was sealed for none of them; [`OpenError::Damaged`] for anything else.
    pub fn open(&self, file: &[u8]) -> Result<Vec<u8>, OpenError> {
        if file.len() > MAX_SEALED_BYTES {
            return Err(OpenError::Damaged);
        }
        let header = header::read(file).ok_or(OpenError::Damaged)?;
        let file_key = header.file_key(self)?;
        let (nonce, chunk) = header
            .payload
            .split_at_checked(PAYLOAD_NONCE_BYTES)
            .ok_or(OpenError::Damaged)?;
        let key = derived(nonce, &file_key, b"payload").ok_or(OpenError::Damaged)?;
        decrypt(&key, ONLY_CHUNK, chunk).ok_or(OpenError::Damaged)
    }
}

/// A key of 32 bytes, as the length of a derived key.
struct Key32;

impl KeyType for Key32 {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-SHA-256.
fn derived(salt: &[u8], key: &[u8], info: &[u8]) -> Option<[u8; 32]> {
    let mut derived = [0; 32];
    let info = [info];
    let extracted = Salt::new(HKDF_SHA256, salt).extract(key);
    let expanded = extracted.expand(&info, Key32).ok()?;
    expanded.fill(&mut derived).ok()?;
    Some(derived)
}

fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(
        UnboundKey::new(&CHACHA20_POLY1305, key).ok()?,
    ))
}

/// Encrypts in place, and adds the tag.
fn encrypt(key: &[u8; 32], nonce: [u8; NONCE_LEN], text: &mut Vec<u8>) -> Option<()> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    cipher(key)?
        .seal_in_place_append_tag(nonce, Aad::empty(), text)
        .ok()
}

fn decrypt(key: &[u8; 32], nonce: [u8; NONCE_LEN], text: &[u8]) -> Option<Vec<u8>> {
    let mut text = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let plain = cipher(key)?
        .open_in_place(nonce, Aad::empty(), &mut text)
        .ok()?
        .len();
    text.truncate(plain);
    Some(text)
}

#[cfg(test)]
mod tests;
