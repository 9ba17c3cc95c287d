//! How a file is packed, by its first bytes: plain, gzip or zstd, which are read, and others, which are named and refused.
//!
//! A packed file may consist of several members, one behind the other. Zeros behind the last are padding and mean nothing;
//! other bytes are left out, which [`Behind`] tells.

use flate2::bufread::GzDecoder;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Read from a file at a time, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// As many first bytes as are needed to tell what kind of file it is.
const MAGIC_BYTES: usize = 10;
/// The largest window of a zstd file, as a power of two: what the `zstd` command reads without an option.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// Behind the first byte of a frame that zstd skips, which is 0x50 to 0x5f.
const ZSTD_SKIPPABLE: &[u8] = b"\x2a\x4d\x18";

/// First bytes of files that are not read, and what they are.
const REFUSED: [(&[u8], &str); 15] = [
    (b"\xff\xfe\0\0", "in UTF-32"),
    (b"\0\0\xfe\xff", "in UTF-32"),
    (b"\xff\xfe", "in UTF-16"),
    (b"\xfe\xff", "in UTF-16"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"\xff\x06\0\0sNaPpY", "compressed with snappy"),
    (b"\x1f\x9d", "compressed with compress"),
    (b"\x78\x9c", "compressed with zlib"),
    (b"\x78\xda", "compressed with zlib"),
    (b"PAR1", "a Parquet file"),
];

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// That of a regular file.
    ///
    /// # Errors
    ///
    /// When it is packed or encoded in a way that is not read, and those of the file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let mut first = [0; MAGIC_BYTES];
        let mut filled = 0;
        while filled < first.len() {
            match file.read_at(&mut first[filled..], filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Self::by(&first[..filled])
    }

    /// That of a file with these first bytes.
    pub(super) fn by(first: &[u8]) -> io::Result<Self> {
        if first.starts_with(GZIP) {
            return Ok(Self::Gzip);
        }
        if is_zstd(first) {
            return Ok(Self::Zstd);
        }
        let known = REFUSED.iter().find(|(magic, _)| first.starts_with(magic));
        let refused = match known {
            // These letters may also begin a text.
            Some((b"BZh", _)) if !matches!(first.get(4..6), Some(b"1A" | b"\x17\x72")) => None,
            Some((_, kind)) => Some(*kind),
            None => unmarked(first),
        };
        match refused {
            Some(kind) => {
                let text = format!(
                    "it is {kind}, which is not read; expected JSON in UTF-8, plain or compressed with gzip or zstd"
                );
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
            None => Ok(Self::Plain),
        }
    }
}

/// Wide characters without a mark in front of them: JSON begins with two characters of ASCII.
fn unmarked(first: &[u8]) -> Option<&'static str> {
    match first {
        [0, 0, 0, 1..=0x7f, 0, 0, 0, 1..=0x7f, ..] | [1..=0x7f, 0, 0, 0, 1..=0x7f, 0, 0, 0, ..] => {
            Some("in UTF-32")
        }
        [0, 1..=0x7f, 0, 1..=0x7f, ..] | [1..=0x7f, 0, 1..=0x7f, 0, ..] => Some("in UTF-16"),
        _ => None,
    }
}

fn is_zstd(first: &[u8]) -> bool {
    let is_skippable = matches!(first.first(), Some(0x50..=0x5f));
    first.starts_with(ZSTD) || (is_skippable && first[1..].starts_with(ZSTD_SKIPPABLE))
}

/// Whether bytes that are no padding were found behind the packed content.
#[derive(Debug, Clone, Default)]
pub(super) struct Behind(Arc<AtomicBool>);

impl Behind {
    pub(super) fn is_found(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The bytes of a stream, unpacked if it is packed.
pub(super) struct Unpacked<R> {
    member: Member<R>,
    is_first: bool,
    behind: Behind,
}

enum Member<R> {
    /// Between two members.
    Between(Ahead<R>),
    Gzip(Box<GzDecoder<Ahead<R>>>),
    Zstd(Box<zstd::Decoder<'static, Ahead<R>>>),
    Plain(Ahead<R>),
    Ended,
}

impl<R: Read> Unpacked<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            member: Member::Between(Ahead::new(stream)),
            is_first: true,
            behind: Behind::default(),
        }
    }

    pub(super) fn behind(&self) -> Behind {
        self.behind.clone()
    }

    /// Starts to read what comes next.
    fn begin(&mut self, mut input: Ahead<R>) -> io::Result<Member<R>> {
        let is_first = std::mem::replace(&mut self.is_first, false);
        let next = input.peek(MAGIC_BYTES)?;
        if next.is_empty() {
            return Ok(Member::Ended);
        }
        let packing = if is_first {
            Packing::by(next)?
        } else if next.starts_with(GZIP) {
            Packing::Gzip
        } else if is_zstd(next) {
            Packing::Zstd
        } else {
            if !input.has_only_zeros()? {
                self.behind.0.store(true, Ordering::Relaxed);
            }
            return Ok(Member::Ended);
        };
        Ok(match packing {
            Packing::Plain => Member::Plain(input),
            Packing::Gzip => Member::Gzip(Box::new(GzDecoder::new(input))),
            Packing::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(input)?.single_frame();
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Member::Zstd(Box::new(decoder))
            }
        })
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let read = match &mut self.member {
                Member::Plain(input) => return input.read(buffer),
                Member::Ended => return Ok(0),
                Member::Between(_) => 0,
                Member::Gzip(decoder) => decoder.read(buffer)?,
                Member::Zstd(decoder) => decoder.read(buffer)?,
            };
            if read > 0 {
                return Ok(read);
            }
            let input = match std::mem::replace(&mut self.member, Member::Ended) {
                Member::Between(input) | Member::Plain(input) => input,
                Member::Gzip(decoder) => decoder.into_inner(),
                Member::Zstd(decoder) => decoder.finish(),
                Member::Ended => return Ok(0),
            };
            self.member = self.begin(input)?;
        }
    }
}

/// A stream whose next bytes can be looked at.
struct Ahead<R> {
    stream: R,
    buffer: Vec<u8>,
    at: usize,
}

impl<R: Read> Ahead<R> {
    fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            at: 0,
        }
    }

    /// The next bytes, so many if there are so many.
    fn peek(&mut self, bytes: usize) -> io::Result<&[u8]> {
        while self.buffer.len() - self.at < bytes && self.fill()? > 0 {}
        Ok(&self.buffer[self.at..])
    }

    /// Reads to the end of the stream.
    fn has_only_zeros(&mut self) -> io::Result<bool> {
        loop {
            if self.buffer[self.at..].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            self.at = self.buffer.len();
            if self.fill()? == 0 {
                return Ok(true);
            }
        }
    }

    /// Reads more behind what is there; returns how much.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let kept = self.buffer.len();
        self.buffer.resize(kept + READ_BYTES, 0);
        let read = loop {
            match self.stream.read(&mut self.buffer[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer
            .truncate(kept + read.as_ref().map_or(0, |read| *read));
        read
    }
}

impl<R: Read> BufRead for Ahead<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.peek(1)
    }

    fn consume(&mut self, bytes: usize) {
        self.at = self.buffer.len().min(self.at + bytes);
    }
}

impl<R: Read> Read for Ahead<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &str) -> Vec<u8> {
        zstd::encode_all(text.as_bytes(), 0).unwrap()
    }

    /// What is read of a stream that gives so many bytes at a time, and whether anything is behind it.
    fn unpack(packed: &[u8], bytes: usize) -> (String, bool) {
        struct Slowly<'b>(&'b [u8], usize);
        impl Read for Slowly<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let read = self.1.min(buffer.len());
                self.0.read(&mut buffer[..read])
            }
        }
        let mut unpacked = Unpacked::new(Slowly(packed, bytes));
        let behind = unpacked.behind();
        let mut text = String::new();
        unpacked.read_to_string(&mut text).unwrap();
        (text, behind.is_found())
    }

    #[test]
    fn members_of_any_packing_are_read_one_behind_the_other_and_padding_is_nothing() {
        let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
        let cases = [
            (vec![], "", false),
            (vec![b"plain\0\0".to_vec()], "plain\0\0", false),
            (vec![gzip("a")], "a", false),
            (vec![gzip("a"), gzip(""), gzip("b")], "ab", false),
            (vec![gzip("a"), vec![0; 4]], "a", false),
            (vec![gzip("a"), vec![0; 512]], "a", false),
            (vec![gzip("a"), b"\0\0text".to_vec()], "a", true),
            (vec![gzip("a"), b"text".to_vec()], "a", true),
            (vec![zstd("a"), zstd("b"), vec![0; 3]], "ab", false),
            (vec![skippable.clone(), zstd("a"), skippable], "a", false),
            (vec![zstd("a"), b"x".to_vec()], "a", true),
            (vec![zstd("a"), gzip("b")], "ab", false),
        ];
        for (parts, text, has_more) in cases {
            let packed = parts.concat();
            for bytes in [1, 3, 1024] {
                let expected = (text.to_owned(), has_more);
                assert_eq!(unpack(&packed, bytes), expected, "{packed:?}");
            }
        }
    }

    #[test]
    fn what_is_cut_is_an_error_behind_what_could_be_read() {
        for packed in [gzip("event\n"), zstd("event\n")] {
            let cut = &packed[..packed.len() - 2];
            let mut text = Vec::new();
            let error = Unpacked::new(cut).read_to_end(&mut text).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
        }
    }

    #[test]
    fn what_is_not_read_is_refused_by_its_name() {
        let utf16 = |text: &str, is_big: bool| -> Vec<u8> {
            let bytes = |unit: u16| {
                if is_big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            };
            text.encode_utf16().flat_map(bytes).collect()
        };
        let cases: [(&[u8], Option<&str>); 18] = [
            (b"", None),
            (b"{\"a\":1}", None),
            (b"\xef\xbb\xbf{}", None),
            (b"\0\0\0\0\0\0{\"a\":1}", None),
            (b"{}", None),
            (b"BZh is a text", None),
            (b"BZh91AY&SY", Some("bzip2")),
            (b"\xfd7zXZ\0\0", Some("xz")),
            (b"PK\x03\x04\x14\0", Some("zip")),
            (b"\x78\x9c\xab\x56", Some("zlib")),
            (b"\x04\x22\x4d\x18\x64", Some("lz4")),
            (&utf16("\u{feff}{\"a\":1}", true), Some("UTF-16")),
            (&utf16("\u{feff}{\"a\":1}", false), Some("UTF-16")),
            (&utf16("{\"a\":1}", true), Some("UTF-16")),
            (&utf16("{\"a\":1}", false), Some("UTF-16")),
            (&utf16("[\n{\"a\":1}]", false), Some("UTF-16")),
            (b"\xff\xfe\0\0{\0\0\0", Some("UTF-32")),
            (b"{\0\0\0\"\0\0\0", Some("UTF-32")),
        ];
        for (first, expected) in cases {
            let first = &first[..first.len().min(MAGIC_BYTES)];
            let found = Packing::by(first);
            match expected {
                None => assert_eq!(found.unwrap(), Packing::Plain, "{first:?}"),
                Some(name) => {
                    let error = found.unwrap_err().to_string();
                    assert!(error.contains(name), "{first:?}: {error}");
                }
            }
        }
    }
}
