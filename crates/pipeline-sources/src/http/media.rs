//! What a request says about its body: its media type and its character encoding.
//!
//! Invariant: text in another encoding than UTF-8 is refused by name, never read as if it were UTF-8.

use super::refusal::Refusal;

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON, in any framing.
    Json,
    /// JSON from a client that calls it plain text, as browsers do for beacons.
    Text,
    /// JSON from a client that calls every body a form, as `curl -d` does; a real form is refused.
    Form,
}

/// A media type and the charset that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) format: Format,
    charset: Charset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    /// UTF-8, or nothing was said.
    Utf8,
    /// Two or four bytes a character.
    Wide,
    /// An encoding by whose name UTF-8 is often called by mistake: what is valid UTF-8 is read.
    Other,
}

impl Media {
    /// Reads a `Content-Type`; JSON where the header is missing.
    pub(crate) fn of(content_type: Option<&[u8]>) -> Result<Self, Refusal> {
        let text = content_type.unwrap_or(b"application/json");
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        let mut parts = text.split(';').map(str::trim);
        let format = format(parts.next().unwrap_or_default()).ok_or_else(|| unsupported(""))?;
        let charset = parts.find_map(|parameter| parameter.strip_prefix("charset="));
        let charset = match charset.map(|name| name.trim_matches(['"', '\'', ' '])) {
            None | Some("" | "utf-8" | "utf8" | "us-ascii" | "ascii") => Charset::Utf8,
            Some(name) if name.starts_with("utf-") || name.starts_with("utf1") => Charset::Wide,
            Some(name) if name.starts_with("ucs") || name.starts_with("iso-10646") => Charset::Wide,
            Some(_) => Charset::Other,
        };
        Ok(Self { format, charset })
    }

    /// Reads a `Content-Type` of a client whose bodies are JSON whatever it calls them.
    pub(crate) fn of_json(content_type: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(content_type.unwrap_or_default());
        let parameters = text
            .split_once(';')
            .map_or("", |(_, parameters)| parameters);
        let known = Self::of(content_type);
        known
            .or_else(|_| Self::of(Some(format!("text/plain;{parameters}").as_bytes())))
            .unwrap_or(Self {
                format: Format::Text,
                charset: Charset::Utf8,
            })
    }

    /// Refuses a body in another encoding than UTF-8, and a real form.
    pub(crate) fn check(self, body: &[u8]) -> Result<(), Refusal> {
        let first = body.trim_ascii_start().first();
        if self.format == Format::Form && !matches!(first, None | Some(b'{' | b'[')) {
            return Err(unsupported("a form cannot be read; "));
        }
        let looks_wide = match body {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 0, 0xfe, 0xff, ..] => true,
            // No JSON has a zero byte, and every JSON begins with two ASCII characters in UTF-16.
            [0, second, ..] => *second != 0,
            [first, 0, ..] => *first != 0,
            _ => false,
        };
        let is_other = self.charset == Charset::Other && std::str::from_utf8(body).is_err();
        let name = if looks_wide || self.charset == Charset::Wide {
            "UTF-16 or UTF-32"
        } else if is_other {
            "another encoding than UTF-8, as its `charset` says"
        } else {
            return Ok(());
        };
        let problem = format!("the body is in {name}; expected UTF-8");
        Err(Refusal::new(415, "unsupported_charset", problem))
    }
}

fn format(essence: &str) -> Option<Format> {
    let (kind, subtype) = essence.split_once('/')?;
    match (kind, subtype) {
        ("text", "plain") => Some(Format::Text),
        ("application", "x-www-form-urlencoded") => Some(Format::Form),
        ("application" | "text", subtype) => {
            let name = subtype.strip_prefix("x-").unwrap_or(subtype);
            let lines = ["ndjson", "jsonl", "jsonlines", "json-lines", "ldjson"];
            let known = name == "json" || name == "json-seq" || lines.contains(&name);
            // RFC 6838: the suffix says what is inside, as in `application/cloudevents-batch+json`.
            let suffix = subtype.rsplit_once('+').map(|(_, suffix)| suffix);
            let by_suffix = matches!(suffix, Some("json" | "json-seq" | "ndjson"));
            (known || by_suffix).then_some(Format::Json)
        }
        _ => None,
    }
}

/// A type of body that is not taken.
fn unsupported(why: &str) -> Refusal {
    let expected = "expected `application/json`, `application/x-ndjson` or another type of JSON; with curl, add `-H 'Content-Type: application/json'`";
    Refusal::new(415, "unsupported_media_type", format!("{why}{expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(content_type: &str) -> Option<Format> {
        let media = Media::of(Some(content_type.as_bytes()));
        media.ok().map(|media| media.format)
    }

    #[test]
    fn every_name_of_json_is_known() {
        for json in [
            "application/json; charset=utf-8",
            "APPLICATION/JSON",
            "text/json",
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/x-jsonlines",
            "application/json-seq",
            "application/stream+json",
            "application/vnd.shop.event.v2+json;v=2",
            "application/cloudevents+json",
            "application/cloudevents-batch+json; charset=UTF-8",
        ] {
            assert_eq!(format_of(json), Some(Format::Json), "{json}");
        }
        assert_eq!(format_of("text/plain;charset=UTF-8"), Some(Format::Text));
        let form = "application/x-www-form-urlencoded";
        assert_eq!(format_of(form), Some(Format::Form));
        for other in ["image/png", "text/html", "application/xml+jso", "json", ""] {
            assert_eq!(format_of(other), None, "{other}");
        }
        assert_eq!(Media::of(None).unwrap().format, Format::Json);
    }

    #[test]
    fn another_encoding_than_utf_8_is_refused_by_name() {
        let check = |content_type: &str, body: &[u8]| {
            let media = Media::of(Some(content_type.as_bytes())).unwrap();
            media.check(body).map_err(|refusal| refusal.message)
        };
        let json = "application/json";
        let wide = Err("the body is in UTF-16 or UTF-32; expected UTF-8".to_owned());
        assert_eq!(check("text/json; charset=\"utf-16le\"", b"{}"), wide);
        for body in [b"\xff\xfe{\0", b"\xfe\xff\0{", b"{\0}\0", b"\0{\0}"] {
            assert_eq!(check(json, body), wide, "{body:?}");
        }
        let latin = "application/json; charset=iso-8859-1";
        assert_eq!(check(latin, "{\"a\":\"\u{e9}\"}".as_bytes()), Ok(()));
        assert!(
            check(latin, b"{\"a\":\"\xe9\"}")
                .unwrap_err()
                .contains("`charset`")
        );
        // One byte costs one event.
        assert_eq!(check(json, b"{\"a\":\"\xe9\"}"), Ok(()));
        assert_eq!(check(json, b""), Ok(()));
    }
}
