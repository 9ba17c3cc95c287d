//! The events of a request's body, cut out without looking inside them.

use super::answer::Refusal;
use crate::line::{Line, LineReader, too_large};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use pipeline_core::Reason;
use serde_json::value::RawValue;
use std::io::Read as _;

/// Events of one request.
pub const MAX_EVENTS_PER_REQUEST: usize = 10_000;

/// How a body was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
}

impl Coding {
    pub(super) fn of(content_encoding: Option<&[u8]>) -> Result<Self, Refusal> {
        let coding = content_encoding.unwrap_or(b"identity");
        match coding.trim_ascii().to_ascii_lowercase().as_slice() {
            b"identity" | b"" => Ok(Self::Plain),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip),
            _ => {
                let expected = "expected a body that is plain or packed with `gzip`";
                Err(Refusal::new(415, "unsupported_encoding", expected))
            }
        }
    }

    /// The body unpacked, which may have at most that many bytes.
    pub(super) fn plain(self, body: Bytes, max_bytes: usize) -> Result<Bytes, Refusal> {
        if self == Self::Plain {
            return Ok(body);
        }
        let mut plain = Vec::new();
        let read = MultiGzDecoder::new(body.as_ref())
            .take(max_bytes as u64 + 1)
            .read_to_end(&mut plain);
        match read {
            Ok(_) if plain.len() > max_bytes => Err(too_large_or_broken(max_bytes)),
            Ok(_) => Ok(plain.into()),
            Err(_) => {
                let problem = "the body is not whole gzip, as its `Content-Encoding` says";
                Err(Refusal::new(400, "malformed_gzip", problem))
            }
        }
    }
}

/// A body that did not come to an end within the limit.
pub(super) fn too_large_or_broken(max_bytes: usize) -> Refusal {
    let problem = format!("the body is larger than {max_bytes} bytes, or broke off");
    Refusal::new(413, "too_large", problem)
}

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// By its first byte: an array, or objects one a line.
    Json,
    /// One event a line.
    Lines,
    /// JSON from a client that calls every body a form, as `curl -d` does; a real form is refused.
    Form,
}

impl Format {
    pub(super) fn of(content_type: Option<&[u8]>) -> Result<Self, Refusal> {
        let essence = content_type
            .unwrap_or(b"application/json")
            .split(|byte| *byte == b';')
            .next();
        let essence = essence
            .unwrap_or_default()
            .trim_ascii()
            .to_ascii_lowercase();
        match essence.as_slice() {
            // Browsers send beacons as plain text.
            b"application/json" | b"text/plain" => Ok(Self::Json),
            b"application/x-ndjson" | b"application/ndjson" | b"application/jsonl" => {
                Ok(Self::Lines)
            }
            b"application/x-www-form-urlencoded" => Ok(Self::Form),
            _ => Err(unsupported("")),
        }
    }

    /// Every event of the body, or the reason why a line cannot be an event.
    pub(super) fn split(self, body: &Bytes) -> Result<Vec<Result<Bytes, Reason>>, Refusal> {
        let text = body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(body)
            .trim_ascii();
        let unreadable = |message| Refusal::new(400, "malformed_json", message);
        let events = match (self, text.first()) {
            (_, None) => return Err(Refusal::new(400, "empty", "the body is empty")),
            (Self::Form, Some(b'{' | b'[')) => return Self::Json.split(body),
            (Self::Form, _) => return Err(unsupported("a form cannot be read; ")),
            (Self::Json, Some(b'[')) => serde_json::from_slice::<Vec<&RawValue>>(text)
                .map_err(|_| unreadable("the body is not a JSON array"))?
                .into_iter()
                .map(|event| Ok(body.slice_ref(event.get().as_bytes())))
                .collect(),
            (Self::Json, Some(b'{')) if serde_json::from_slice::<&RawValue>(text).is_ok() => {
                vec![Ok(body.slice_ref(text))]
            }
            (Self::Json, Some(b'{')) | (Self::Lines, _) => lines(text),
            (Self::Json, _) => {
                return Err(unreadable(
                    "the body is not a JSON object, a JSON array, or one JSON object a line",
                ));
            }
        };
        if events.len() > MAX_EVENTS_PER_REQUEST {
            let message = format!("more than {MAX_EVENTS_PER_REQUEST} events in one request");
            return Err(Refusal::new(413, "too_many_events", message));
        }
        Ok(events)
    }
}

/// A type of body that is not taken.
fn unsupported(why: &str) -> Refusal {
    let expected = "expected `application/json` or `application/x-ndjson`; with curl, add `-H 'Content-Type: application/json'`";
    Refusal::new(415, "unsupported_media_type", format!("{why}{expected}"))
}

fn lines(text: &[u8]) -> Vec<Result<Bytes, Reason>> {
    let mut reader = LineReader::new(text);
    let mut events = Vec::new();
    // Reading from memory cannot fail; the extra event shows that there are too many.
    while let Ok(Some(line)) = reader.next_line()
        && events.len() <= MAX_EVENTS_PER_REQUEST
    {
        match line {
            Line::Empty => {}
            Line::Whole(line) => events.push(Ok(Bytes::copy_from_slice(line))),
            Line::TooLong => events.push(Err(too_large())),
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

    fn split(content_type: &str, body: &str) -> Result<Vec<String>, u16> {
        let format = Format::of(Some(content_type.as_bytes())).map_err(|refusal| refusal.status)?;
        let events = format.split(&Bytes::copy_from_slice(body.as_bytes()));
        let texts = events.map_err(|refusal| refusal.status)?.into_iter();
        Ok(texts
            .map(|event| String::from_utf8_lossy(&event.unwrap()).into_owned())
            .collect())
    }

    #[test]
    fn every_form_of_body_gives_its_events() {
        let json = "application/json; charset=utf-8";
        let cases: [(&str, &str, &[&str]); 10] = [
            (json, " {\"a\": 1.0} ", &["{\"a\": 1.0}"]),
            (
                json,
                "[{\"a\":1e2}, 7 ,\"x\"]",
                &["{\"a\":1e2}", "7", "\"x\""],
            ),
            (json, "\u{feff}[]", &[]),
            (
                json,
                "{\"a\":1}\n{broken\r\n\n{\"b\":2}",
                &["{\"a\":1}", "{broken", "{\"b\":2}"],
            ),
            (json, "{broken", &["{broken"]),
            (
                "application/x-ndjson",
                "[1]\n{\"a\":1}\n",
                &["[1]", "{\"a\":1}"],
            ),
            ("TEXT/PLAIN", "{\"a\":1}", &["{\"a\":1}"]),
            (FORM, " {\"a\":1}", &["{\"a\":1}"]),
            (FORM, "[{\"a\":1},2]", &["{\"a\":1}", "2"]),
            (FORM, "{\"a\":1}\n{\"b\":2}", &["{\"a\":1}", "{\"b\":2}"]),
        ];
        for (content_type, body, expected) in cases {
            assert_eq!(split(content_type, body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(split("application/json", " \n"), Err(400));
        assert_eq!(split("application/json", "[{\"a\":1},"), Err(400));
        assert_eq!(split("application/json", "hello"), Err(400));
        assert_eq!(split("text/html", "{}"), Err(415));
        assert_eq!(split(FORM, "event=Order+Completed"), Err(415));
        assert_eq!(split(FORM, "[{\"a\":1},"), Err(400));
        assert_eq!(split(FORM, ""), Err(400));
        let many = "{}\n".repeat(MAX_EVENTS_PER_REQUEST + 1);
        assert_eq!(split("application/x-ndjson", &many), Err(413));
    }

    #[test]
    fn a_packed_body_is_unpacked_within_the_limit() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &[b'1'; 1_000]).unwrap();
        let packed = Bytes::from(packed.finish().unwrap());
        let gzip = Coding::of(Some(b" GZIP ")).unwrap();
        assert_eq!(gzip.plain(packed.clone(), 1_000).unwrap().len(), 1_000);
        let code = |refused: Result<Bytes, Refusal>| refused.unwrap_err().code;
        assert_eq!(code(gzip.plain(packed.clone(), 999)), "too_large");
        assert_eq!(
            code(gzip.plain(packed.slice(..20), 1_000)),
            "malformed_gzip"
        );
        assert_eq!(Coding::of(None).unwrap(), Coding::Plain);
        assert_eq!(Coding::of(Some(b"br")).unwrap_err().status, 415);
    }
}
