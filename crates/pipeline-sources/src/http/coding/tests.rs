use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write as _;

const TEXT: &[u8] = b"{\"a\":1}";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).unwrap()
}

/// One uncompressed metablock of br, as RFC 7932 writes it, and its end.
fn br(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len() - 1).unwrap();
    // WBITS 16 (0), ISLAST 0, MNIBBLES 4 (00), MLEN - 1 (16 bits), ISUNCOMPRESSED 1.
    let head = (length << 4) | (1 << 20);
    let mut packed = head.to_le_bytes()[..3].to_vec();
    packed.extend_from_slice(text);
    packed.push(3);
    packed
}

fn plain(coding: &str, packed: &[u8], max_bytes: usize) -> Result<Vec<u8>, &'static str> {
    let coding = Coding::of(Some(coding.as_bytes())).map_err(|refusal| refusal.code)?;
    let plain = coding.plain(Bytes::copy_from_slice(packed), max_bytes);
    plain
        .map(|plain| plain.to_vec())
        .map_err(|refusal| refusal.code)
}

#[test]
fn every_coding_is_unpacked_within_the_limit() {
    let twice = gzip(&gzip(TEXT));
    for (coding, packed) in [
        ("", TEXT.to_vec()),
        ("identity", TEXT.to_vec()),
        (" GZIP ", gzip(TEXT)),
        ("x-gzip", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("deflate", deflate(TEXT)),
        ("zstd", zstd(TEXT)),
        ("br", br(TEXT)),
        ("gzip, identity", gzip(TEXT)),
        ("gzip, gzip", twice),
        ("zstd, gzip", gzip(&zstd(TEXT))),
    ] {
        assert_eq!(plain(coding, &packed, 100).as_deref(), Ok(TEXT), "{coding}");
    }
    let long = vec![b'1'; 60_000];
    for (coding, packed) in [
        ("gzip", gzip(&long)),
        ("deflate", zlib(&long)),
        ("deflate", deflate(&long)),
        ("zstd", zstd(&long)),
        ("br", br(&long)),
    ] {
        assert_eq!(
            plain(coding, &packed, 60_000).as_ref(),
            Ok(&long),
            "{coding}"
        );
        assert_eq!(plain(coding, &packed, 59_999), Err("too_large"), "{coding}");
        assert!(
            plain(coding, &packed[..packed.len() / 2], 60_000).is_err(),
            "{coding}"
        );
    }
}

#[test]
fn members_follow_one_another_and_padding_is_nothing() {
    let members = [gzip(TEXT), gzip(b"x"), vec![0; 512]].concat();
    assert_eq!(plain("gzip", &members, 100).unwrap(), b"{\"a\":1}x");
    let frames = [
        zstd(TEXT),
        b"\x50\x2a\x4d\x18\x02\0\0\0ab".to_vec(),
        zstd(b"x"),
        vec![0; 2],
    ]
    .concat();
    assert_eq!(plain("zstd", &frames, 100).unwrap(), b"{\"a\":1}x");
    let text_behind = [gzip(TEXT), b"text".to_vec()].concat();
    assert_eq!(plain("gzip", &text_behind, 100), Err("malformed_gzip"));
}

#[test]
fn a_frame_that_asks_for_too_much_memory_is_refused_before_it_gets_it() {
    // A window of 128 MiB; one segment of 1 GiB.
    let window = b"\x28\xb5\x2f\xfd\x00\x88\x01\0\0";
    assert_eq!(plain("zstd", window, 5_000_000), Err("malformed_zstd"));
    let segment = b"\x28\xb5\x2f\xfd\xa0\0\0\0\x40\x01\0\0";
    assert_eq!(plain("zstd", segment, 5_000_000), Err("too_large"));
}

#[test]
fn unknown_codings_are_refused_with_those_that_are_read() {
    for coding in ["compress", "utf-8", "gzip, gzip, gzip, gzip", "snappy"] {
        let refusal = Coding::of(Some(coding.as_bytes())).unwrap_err();
        assert_eq!(refusal.status, 415, "{coding}");
        assert!(
            refusal
                .message
                .contains("`gzip`, `deflate`, `zstd` or `br`")
        );
    }
}
