//! A SHA-256 in hex on the stack, made here or found ready-made.
//!
//! In goes a normal form, or a value that is already hashed; out come 64 lowercase hex digits and the appendix of Meta's own parameter
//! builder where there was one. Invariant: a value that is already hashed is never hashed again.

use std::fmt;

use sha2::{Digest as _, Sha256, block_api::compress256};

use super::text;

const HEX_LEN: usize = 64;
const MD5_HEX_LEN: usize = 32;
/// Dot and eight characters.
const APPENDIX_MAX_LEN: usize = 9;

/// 64 lowercase hex digits, perhaps with a builder's appendix (`.AQQCAQIB`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    bytes: [u8; HEX_LEN + APPENDIX_MAX_LEN],
    len: usize,
}

impl Digest {
    /// The SHA-256 of a normal form.
    pub(crate) fn of(normal_form: &str) -> Self {
        let mut bytes = [0; HEX_LEN + APPENDIX_MAX_LEN];
        let hash = sha256(normal_form.as_bytes());
        const_hex::encode_to_slice(hash, &mut bytes[..HEX_LEN])
            .expect("32 bytes are 64 hex digits");
        Self {
            bytes,
            len: HEX_LEN,
        }
    }

    /// The value itself, when it is a SHA-256 in hex: any case, white space around, a builder's appendix kept as it is.
    pub(crate) fn already(raw: &str) -> Option<Self> {
        if raw.len() < HEX_LEN {
            return None;
        }
        let raw = text::trim(raw).as_bytes();
        let (hex, appendix) = raw.split_at_checked(HEX_LEN)?;
        if !hex.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        match appendix {
            [] => {}
            [b'.', rest @ ..] if is_appendix(rest) => {}
            _ => return None,
        }
        let mut bytes = [0; HEX_LEN + APPENDIX_MAX_LEN];
        bytes[..raw.len()].copy_from_slice(raw);
        bytes[..HEX_LEN].make_ascii_lowercase();
        Some(Self {
            bytes,
            len: raw.len(),
        })
    }

    /// Whether it is the hash of the empty text, which a sender made of an absent value. It would match strangers with
    /// one another.
    pub(crate) fn is_of_nothing(&self) -> bool {
        const OF_NOTHING: &[u8] =
            b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        self.bytes.starts_with(OF_NOTHING)
    }

    #[cfg(test)]
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap()
    }

    /// The text as Meta takes it, which is ASCII.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Debug for Digest {
    /// A hash of personal data is personal data: it is not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// The SHA-256. Nearly all normal forms fit into one block with their padding, which then needs no buffer to be kept.
fn sha256(text: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    /// Behind the text stand a one bit, and its length in bits as eight bytes.
    const LONGEST: usize = BLOCK - 1 - size_of::<u64>();
    const INITIAL: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    if text.len() > LONGEST {
        return Sha256::digest(text).into();
    }
    let mut block = [0; BLOCK];
    block[..text.len()].copy_from_slice(text);
    block[text.len()] = 0x80;
    let bits = text.len() as u64 * u64::from(u8::BITS);
    block[BLOCK - size_of::<u64>()..].copy_from_slice(&bits.to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(size_of::<u32>()).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

/// Whether this is what follows the dot in a value of Meta's parameter builder: six bytes in base64url, or an older two-letter token.
pub(super) fn is_appendix(text: &[u8]) -> bool {
    match text.len() {
        2 => matches!(text, b"AQ" | b"Ag" | b"Aw" | b"BA" | b"BQ" | b"Bg"),
        8 => text
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')),
        _ => false,
    }
}

/// Whether the value is an MD5 in hex, with or without a builder's appendix.
pub(super) fn is_md5(raw: &str) -> bool {
    let Some((hex, rest)) = raw.as_bytes().split_at_checked(MD5_HEX_LEN) else {
        return false;
    };
    hex.iter().all(u8::is_ascii_hexdigit)
        && match rest {
            [] => true,
            [b'.', appendix @ ..] => is_appendix(appendix),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_hash_in_one_block_is_the_hash(text in prop::collection::vec(any::<u8>(), 0..70)) {
            let expected: [u8; 32] = Sha256::digest(&text).into();
            prop_assert_eq!(sha256(&text), expected);
        }
    }
}
