//! The header of a file: who can open it, and a code that proves that it was not changed.

use crate::keys::Recipient;
use crate::{FILE_KEY_BYTES, Identities, OpenError, TAG_BYTES, decrypt, derived, encrypt};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

const VERSION: &str = "age-encryption.org/v1";
const STANZA: &str = "-> ";
const KIND: &str = "X25519";
const LABEL: &[u8] = b"age-encryption.org/v1/X25519";
const END: &str = "---";
/// Letters of a line of a stanza's body; a shorter line is the last one.
const LINE: usize = 64;
/// Recipients of one file that are looked at.
const MAX_STANZAS: usize = 32;

/// What a header says.
pub(crate) struct Header<'f> {
    stanzas: Vec<Stanza>,
    /// What the code is made of.
    proven: &'f [u8],
    code: Vec<u8>,
    pub(crate) payload: &'f [u8],
}

/// A file key that is sealed for one recipient.
struct Stanza {
    share: [u8; 32],
    sealed: Vec<u8>,
}

/// A header for one recipient.
pub(crate) fn write(to: &Recipient, file_key: &[u8; FILE_KEY_BYTES]) -> Option<Vec<u8>> {
    let ephemeral = PrivateKey::generate(&X25519).ok()?;
    let public = ephemeral.compute_public_key().ok()?;
    let share: [u8; 32] = public.as_ref().try_into().ok()?;
    let key = wrapping_key(&ephemeral, &to.0, &share, &to.0)?;
    let mut sealed = file_key.to_vec();
    encrypt(&key, [0; 12], &mut sealed)?;
    let (share, sealed) = (BASE64.encode(share), BASE64.encode(sealed));
    let mut header = format!("{VERSION}\n{STANZA}{KIND} {share}\n{sealed}\n{END}").into_bytes();
    let code = hmac::sign(&mac_key(file_key)?, &header);
    let code = BASE64.encode(code);
    header.extend_from_slice(format!(" {code}\n").as_bytes());
    Some(header)
}

/// Reads a header; `None` if the bytes are not one.
pub(crate) fn read(file: &[u8]) -> Option<Header<'_>> {
    let mut rest = file;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end + 1..];
        Some((line, rest))
    };
    let (version, mut before) = line()?;
    if version != VERSION {
        return None;
    }
    let mut stanzas = Vec::new();
    for _ in 0..=MAX_STANZAS {
        let (head, after) = line()?;
        if let Some(code) = head.strip_prefix(END) {
            let code = BASE64.decode(code.strip_prefix(' ')?).ok()?;
            let proven = file.len() - before.len() + END.len();
            return Some(Header {
                stanzas,
                proven: &file[..proven],
                code,
                payload: after,
            });
        }
        let arguments = head.strip_prefix(STANZA)?;
        let mut body = String::new();
        loop {
            let (text, after) = line()?;
            body.push_str(text);
            before = after;
            if text.len() < LINE {
                break;
            }
        }
        // Others are sealed in ways that are not known here.
        if let Some(share) = arguments
            .strip_prefix(KIND)
            .and_then(|it| it.strip_prefix(' '))
        {
            stanzas.push(Stanza {
                share: BASE64.decode(share).ok()?.try_into().ok()?,
                sealed: BASE64.decode(body).ok()?,
            });
        }
    }
    None
}

impl Header<'_> {
    /// The key of the file.
    pub(crate) fn file_key(&self, identities: &Identities) -> Result<Vec<u8>, OpenError> {
        let opened = self.stanzas.iter().find_map(|stanza| {
            let mut identities = identities.0.iter();
            identities.find_map(|identity| {
                let public = identity.compute_public_key().ok()?;
                let public: [u8; 32] = public.as_ref().try_into().ok()?;
                let key = wrapping_key(identity, &stanza.share, &stanza.share, &public)?;
                // Of this length only, as the format demands.
                let sealed = &stanza.sealed;
                let is_key = sealed.len() == FILE_KEY_BYTES + TAG_BYTES;
                is_key.then(|| decrypt(&key, [0; 12], sealed)).flatten()
            })
        });
        let file_key = opened.ok_or(OpenError::OtherKey)?;
        let key = mac_key(&file_key).ok_or(OpenError::Damaged)?;
        hmac::verify(&key, self.proven, &self.code).map_err(|_| OpenError::Damaged)?;
        Ok(file_key)
    }
}

/// The key that a file key is sealed with. Fails for a point that makes every secret the same.
fn wrapping_key(
    own: &PrivateKey,
    peer: &[u8; 32],
    share: &[u8; 32],
    to: &[u8; 32],
) -> Option<[u8; 32]> {
    let salt = [*share, *to].concat();
    let peer = UnparsedPublicKey::new(&X25519, peer.as_slice());
    agree(own, peer, (), |secret| {
        let is_weak = secret.iter().all(|byte| *byte == 0);
        let key = derived(&salt, secret, LABEL);
        key.filter(|_| !is_weak).ok_or(())
    })
    .ok()
}

fn mac_key(file_key: &[u8]) -> Option<hmac::Key> {
    let key = derived(&[], file_key, b"header")?;
    Some(hmac::Key::new(hmac::HMAC_SHA256, &key))
}
