//! Keys of 32 bytes in Bech32 (BIP 173), with the checksum that finds slips of the pen.

const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [
    0x3b6a_57b2,
    0x2650_8e6d,
    0x1ea1_19fa,
    0x3d42_33dd,
    0x2a14_62b3,
];
const CHECKSUM: usize = 6;
/// Letters of a key without its checksum: 256 bits in groups of five, and four bits that are zero.
const KEY: usize = 52;

/// The key behind this prefix and `1`, in lower case; `None` if the text is not a key.
pub(crate) fn decode(prefix: &str, text: &str) -> Option<[u8; 32]> {
    let letters = text.strip_prefix(prefix)?.strip_prefix('1')?;
    let group = |letter| {
        let group = LETTERS.iter().position(|known| *known == letter)?;
        u8::try_from(group).ok()
    };
    let groups: Option<Vec<u8>> = letters.bytes().map(group).collect();
    let groups = groups.filter(|groups| groups.len() == KEY + CHECKSUM)?;
    let prefix = prefix.as_bytes();
    let high = prefix.iter().map(|byte| byte >> 5);
    let low = prefix.iter().map(|byte| byte & 31);
    let all = high.chain([0]).chain(low).chain(groups.iter().copied());
    if polymod(all) != 1 {
        return None;
    }
    let (mut key, mut bits, mut held, mut at) = ([0; 32], 0_u32, 0_u32, 0);
    for group in &groups[..KEY] {
        bits = (bits << 5 | u32::from(*group)) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            *key.get_mut(at)? = u8::try_from(bits >> held & 0xff).ok()?;
            at += 1;
        }
    }
    let padding = bits & ((1 << held) - 1);
    (at == key.len() && padding == 0).then_some(key)
}

fn polymod(groups: impl Iterator<Item = u8>) -> u32 {
    groups.fold(1, |sum: u32, group| {
        let top = sum >> 25;
        let shifted = (sum & 0x01ff_ffff) << 5 ^ u32::from(group);
        let chosen = GENERATOR.iter().enumerate();
        let chosen = chosen.filter(|(bit, _)| top >> bit & 1 == 1);
        chosen.fold(shifted, |sum, (_, generator)| sum ^ generator)
    })
}
