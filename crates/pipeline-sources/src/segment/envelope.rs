//! Takes the body of a request apart: the events as they are written, and what the batch says about all of them.
//!
//! A batch is one object whose member `batch` holds the events. Where the object is whole, its members say where the array
//! is. Where it is damaged, the members in front of the array and behind it are read by themselves, and the array is cut
//! like any other, so that one damaged event costs only itself.
//!
//! Invariant: however a body is damaged, every event that is whole in it is found.

use super::calls::Call;
use super::outline::{Element, Elements, Outline, list};
use crate::http::members::{Member, each, is_named, past_space, walk_sound};
use crate::http::{Events, Refusal, events, read_sound};
use bytes::Bytes;
use json_paths::ObjectEnd;
use std::ops::Range;

/// Ends of arrays that are tried where a batch is damaged.
const MAX_ENDS_TRIED: usize = 16;
/// The longest key that is looked at.
const MAX_KEY_BYTES: usize = 1024;

/// A body that was taken apart.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub(super) events: Elements,
    /// What the batch says about all of its events.
    pub(super) common: Common,
    /// The key that the body names.
    pub(super) write_key: Option<String>,
    /// What was found and not used.
    pub(super) notes: Vec<&'static str>,
}

/// What a batch says about all of its events: JSON as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Common {
    pub(super) context: Option<Bytes>,
    pub(super) integrations: Option<Bytes>,
    pub(super) timestamp: Option<Bytes>,
    pub(super) sent_at: Option<Bytes>,
}

impl Common {
    /// Bytes that it may add to each event.
    pub(super) fn bytes(&self) -> usize {
        let parts = [
            &self.context,
            &self.integrations,
            &self.timestamp,
            &self.sent_at,
        ];
        parts.into_iter().flatten().map(Bytes::len).sum()
    }
}

impl Envelope {
    /// Takes apart a body that came to this path.
    pub(super) fn read(body: &Bytes, call: Call) -> Result<Self, Refusal> {
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if matches!(text, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..]) {
            let problem =
                "the body is packed once more than its `Content-Encoding` says; expected JSON";
            return Err(Refusal::new(400, "still_packed", problem));
        }
        let text = body.slice_ref(text);
        let start = past_space(&text, 0);
        if let Some(envelope) = Self::read_whole(&text, start, call) {
            return Ok(envelope);
        }
        let mut found = Outline::default();
        let whole = each(&text, start, |member| found.take(&text, member));
        let is_alone = whole.is_some_and(|whole| past_space(&text, whole.close + 1) == text.len());
        match (&found.batch, is_alone) {
            (Some(batch), true) if text.get(batch.start) == Some(&b'[') => {
                let batch = batch.clone();
                found.into_batch(&text, batch)
            }
            (Some(_), true) if !found.has_type => Err(no_batch()),
            (None, true) if call == Call::Batch && !found.has_type => Err(no_batch()),
            (_, true) => {
                let write_key = found.key(&text);
                let event = text.slice(start..text.trim_ascii_end().len());
                Ok(Self {
                    events: checked(vec![Ok(event)]),
                    write_key,
                    ..Self::default()
                })
            }
            (Some(batch), false) if text.get(batch.start) == Some(&b'[') => {
                let batch = batch.clone();
                found.into_damaged_batch(&text, batch)
            }
            _ => Ok(Self {
                events: checked(cut(&text)?),
                ..Self::default()
            }),
        }
    }

    /// A batch or an event in which nothing is damaged, in one pass; `None` where the body is something else.
    fn read_whole(text: &Bytes, start: usize, call: Call) -> Option<Self> {
        let plain = simdutf8::basic::from_utf8(text).ok()?;
        if call != Call::Batch && start == 0 {
            let (found, whole) = Outline::of(plain)?;
            if past_space(text, whole.close + 1) != text.len() {
                return None;
            }
            if found.has_type || found.batch.is_none() {
                return Some(Self::of_event(text, found, whole));
            }
        }
        let (mut found, mut events) = (Outline::default(), None);
        let whole = walk_sound(plain, start, |name, at| {
            let is_list = events.is_none() && text.get(at) == Some(&b'[');
            let end = if is_list && is_named(&text[name.clone()], "batch") {
                // Where the first `batch` is not a list, there is more to look at.
                let (elements, end) = list(text, plain, at).filter(|_| found.batch.is_none())?;
                events = Some(elements);
                end
            } else {
                read_sound(plain, at)?
            };
            let value = at..end;
            found.take(text, Member { name, value });
            Some(end)
        })?;
        if past_space(text, whole.close + 1) != text.len() {
            return None;
        }
        if let Some(events) = events {
            return Some(found.envelope(text, events));
        }
        (start == 0 && found.has_type).then(|| Self::of_event(text, found, whole))
    }

    /// A body that is one event.
    fn of_event(text: &Bytes, found: Outline, whole: ObjectEnd) -> Self {
        let write_key = found.key(text);
        let event = text.slice(..text.trim_ascii_end().len());
        Self {
            events: vec![Element::new(event, Some((found, whole)))],
            write_key,
            ..Self::default()
        }
    }
}

impl Outline {
    /// The key that it names.
    fn key(&self, text: &[u8]) -> Option<String> {
        let key = &text[self.write_key.clone()?];
        if key.len() > MAX_KEY_BYTES {
            return None;
        }
        let key: String = serde_json::from_slice(key).ok()?;
        // Clients that send the key in a header mask it, or its secret, in the body.
        (!key.is_empty() && !key.ends_with("***")).then_some(key)
    }

    fn into_batch(self, text: &Bytes, batch: Range<usize>) -> Result<Envelope, Refusal> {
        let events = match cut(&text.slice(batch)) {
            // Nothing in it is JSON: its elements are rejected one by one, as everywhere.
            Err(refusal) if refusal.code == "empty" => Vec::new(),
            events => events?,
        };
        Ok(self.envelope(text, checked(events)))
    }

    /// A batch whose object is not whole: the events between the members that are.
    fn into_damaged_batch(
        mut self,
        text: &Bytes,
        batch: Range<usize>,
    ) -> Result<Envelope, Refusal> {
        let end = end_of_batch(text, batch.start);
        let events = cut(&text.slice(batch.start..end))?;
        if end < text.len() {
            // `"x":0` replaces everything in front of the array's end.
            let rest = [b"{\"x\":0", &text[end..]].concat();
            let moved = |range: Range<usize>| range.start + end - 6..range.end + end - 6;
            each(&rest, 0, |member| {
                let (name, value) = (moved(member.name), moved(member.value));
                name.start < end || self.take(text, Member { name, value })
            });
        }
        Ok(self.envelope(text, checked(events)))
    }

    fn envelope(self, text: &Bytes, events: Elements) -> Envelope {
        let mut notes = Vec::new();
        let write_key = self.key(text);
        let mut object = |range: Option<Range<usize>>, note| {
            let value = range.map(|range| text.slice(range));
            let value = value.filter(|value| &**value != b"null")?;
            if value.starts_with(b"{") {
                return Some(value);
            }
            notes.push(note);
            None
        };
        let common = Common {
            context: object(
                self.context,
                "the `context` of the batch is not an object and was not used",
            ),
            integrations: object(
                self.integrations,
                "the `integrations` of the batch are not an object and were not used",
            ),
            timestamp: self.timestamp.and_then(|range| given(text, range)),
            sent_at: self.sent_at.and_then(|range| given(text, range)),
        };
        Envelope {
            events,
            common,
            write_key,
            notes,
        }
    }
}

/// A value that is not `null`.
fn given(text: &Bytes, range: Range<usize>) -> Option<Bytes> {
    Some(text.slice(range)).filter(|value| &**value != b"null")
}

/// Behind the `]` of a damaged batch: the last one behind which the text is the rest of an object.
fn end_of_batch(text: &[u8], start: usize) -> usize {
    let ends = memchr::memrchr_iter(b']', &text[start..]).map(|at| start + at + 1);
    let mut ends = ends.take(MAX_ENDS_TRIED);
    let is_end = |end: &usize| {
        let rest = [b"{\"x\":0", &text[*end..]].concat();
        let whole = each(&rest, 0, |_| true);
        whole.is_some_and(|whole| past_space(&rest, whole.close + 1) == rest.len())
    };
    ends.find(is_end).unwrap_or(text.len())
}

fn cut(text: &Bytes) -> Result<Events, Refusal> {
    events(text).map_err(|mut refusal| {
        // Clients of this API drop what gets 400; 422 is for those of log pipelines.
        if refusal.status == 422 {
            refusal.status = 400;
        }
        refusal
    })
}

fn checked(events: Events) -> Elements {
    events
        .into_iter()
        .map(|event| Element::read(event?))
        .collect()
}

fn no_batch() -> Refusal {
    let problem = "the body has no events; expected an object whose `batch` is an array of events: `{\"batch\": [{\"type\": \
                   \"track\", …}]}`";
    Refusal::new(400, "no_batch", problem)
}

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers are small"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_batch_that_is_cut_anywhere_gives_all_events_before_the_cut(
            events in prop::collection::vec("[a-z\\]\\[{}, ]{0,8}", 1..6),
            part in 0.0..1.0_f64,
        ) {
            let written: Vec<_> = events
                .iter()
                .map(|text| serde_json::json!({"type": "track", "list": [{"text": text}]}).to_string())
                .collect();
            let head = r#"{"writeKey":"k","batch":["#;
            let body = format!(r#"{head}{}],"sentAt":"t"}}"#, written.join(","));
            let cut = head.len() + ((body.len() - head.len()) as f64 * part) as usize;
            // So far the events that are whole in it reach.
            let mut end = head.len();
            let whole = written.iter().take_while(|event| {
                end += event.len();
                let is_whole = end < cut;
                end += 1;
                is_whole
            });
            let whole: Vec<_> = whole.cloned().collect();
            match Envelope::read(&Bytes::from(body[..cut].to_owned()), Call::Batch) {
                Ok(read) => {
                    let found = shown(&read);
                    prop_assert!(found.starts_with(&whole), "{:?} {:?}", found, whole);
                    prop_assert_eq!(read.write_key.as_deref(), Some("k"));
                }
                Err(refusal) => prop_assert!(whole.is_empty(), "{:?}", refusal),
            }
        }

        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(prop::sample::select(b"{}[],:\"\\batch1 \n\xff".to_vec()), 0..60)) {
            for start in ["", "{\"batch\":[", "{\"batch\":"] {
                let body = Bytes::from([start.as_bytes(), &body[..]].concat());
                for call in [Call::Batch, Call::Event("track")] {
                    if let Err(refusal) = Envelope::read(&body, call) {
                        prop_assert_eq!(refusal.status, 400);
                    }
                }
            }
        }
    }

    fn read(body: &str, call: Call) -> Envelope {
        Envelope::read(&Bytes::from(body.to_owned()), call).unwrap()
    }

    fn shown(envelope: &Envelope) -> Vec<String> {
        let shown = envelope.events.iter().map(|event| match event {
            Ok(event) => String::from_utf8_lossy(&event.text).into_owned(),
            Err(reason) => reason.code.to_owned(),
        });
        shown.collect()
    }

    #[test]
    fn every_event_of_a_batch_keeps_its_bytes_in_any_style_of_json() {
        let batch = read(
            "{ \"batch\" : [ {\"a\": null , \"b\" :1.50},\n{\"c\":\"\\u00e9\"} ] , \"sentAt\": \"t\", \"writeKey\": \"k\" }",
            Call::Batch,
        );
        assert_eq!(
            shown(&batch),
            ["{\"a\": null , \"b\" :1.50}", "{\"c\":\"\\u00e9\"}"]
        );
        assert_eq!(batch.common.sent_at.as_deref(), Some(&b"\"t\""[..]));
        assert_eq!(batch.write_key.as_deref(), Some("k"));
    }

    #[test]
    fn names_of_the_batch_are_known_in_any_spelling_and_on_any_path() {
        let body = r#"{"BATCH": [{"x":1}], "sent_at": "t", "WriteKey": "k", "Context": {"c":1}, "integrations": null}"#;
        for call in [Call::Batch, Call::Event("track")] {
            let batch = read(body, call);
            assert_eq!(shown(&batch), [r#"{"x":1}"#]);
            assert_eq!(batch.write_key.as_deref(), Some("k"));
            assert_eq!(batch.common.context.as_deref(), Some(&br#"{"c":1}"#[..]));
            assert_eq!(batch.common.integrations, None);
        }
    }

    #[test]
    fn a_damaged_event_costs_no_other_and_the_members_around_it_are_read() {
        for (broken, kept) in [
            (
                r#"{"a":NaN}"#,
                vec![r#"{"id":1}"#, r#"{"a":NaN}"#, r#"{"id":2,"l":[1]}"#],
            ),
            (
                r#"{"a":"x"#,
                vec![r#"{"id":1}"#, r#"{"a":"x"#, r#"{"id":2,"l":[1]}"#],
            ),
            ("7", vec![r#"{"id":1}"#, "7", r#"{"id":2,"l":[1]}"#]),
        ] {
            let body = format!(
                r#"{{"timestamp":"s","batch":[{{"id":1}},{broken},{{"id":2,"l":[1]}}],"context":{{"l":[1]}},"sentAt":"t"}}"#
            );
            let batch = read(&body, Call::Batch);
            assert_eq!(shown(&batch), kept, "{body}");
            assert_eq!(
                batch.common.sent_at.as_deref(),
                Some(&b"\"t\""[..]),
                "{body}"
            );
            assert_eq!(
                batch.common.timestamp.as_deref(),
                Some(&b"\"s\""[..]),
                "{body}"
            );
            assert_eq!(
                batch.common.context.as_deref(),
                Some(&br#"{"l":[1]}"#[..]),
                "{body}"
            );
        }
    }

    #[test]
    fn a_batch_that_was_cut_in_the_middle_gives_the_events_that_are_whole() {
        let body = r#"{"writeKey":"k","batch":[{"id":1},{"id":2},{"id":3,"na"#;
        let batch = read(body, Call::Batch);
        assert_eq!(
            shown(&batch),
            [
                r#"{"id":1}"#,
                r#"{"id":2}"#,
                r#"{"id":3,"na"#,
                "malformed_json"
            ]
        );
        assert_eq!(batch.write_key.as_deref(), Some("k"));
    }

    #[test]
    fn events_without_a_batch_around_them_are_taken_on_every_path() {
        for call in [Call::Batch, Call::Event("track")] {
            assert_eq!(
                shown(&read(r#" {"type":"track"} "#, call)),
                [r#"{"type":"track"}"#]
            );
            assert_eq!(
                shown(&read(r#"[{"a":1},{"a":2}]"#, call)),
                [r#"{"a":1}"#, r#"{"a":2}"#]
            );
            let lines = "{\"type\":\"a\"}\n{\"type\":\"b\"}";
            assert_eq!(
                shown(&read(lines, call)),
                [r#"{"type":"a"}"#, r#"{"type":"b"}"#]
            );
        }
        assert_eq!(shown(&read(r#"{"batch":[]}"#, Call::Batch)), [""; 0]);
        // A property of that name is no batch.
        let event = r#"{"type":"track","batch":{"size":1}}"#;
        assert_eq!(shown(&read(event, Call::Event("track"))), [event]);
    }

    #[test]
    fn a_batch_inside_of_a_batch_is_rejected_alone() {
        let batch = read(r#"{"batch":[{"batch":[{"x":1}]},{"x":2}]}"#, Call::Batch);
        assert_eq!(shown(&batch), ["nested_batch", r#"{"x":2}"#]);
    }

    #[test]
    fn what_holds_no_events_is_refused_with_400() {
        for (body, code) in [
            (r#"{"batch":{}}"#, "no_batch"),
            (r#"{"batch":null}"#, "no_batch"),
            (r#"{"writeKey":"k"}"#, "no_batch"),
            ("{}", "no_batch"),
            ("", "empty"),
            ("hello", "malformed_json"),
            ("a=b&c=d", "malformed_json"),
            ("\u{1f}\u{8b}", "malformed_json"),
        ] {
            let refusal = Envelope::read(&Bytes::from(body), Call::Batch).unwrap_err();
            assert_eq!((refusal.status, refusal.code), (400, code), "{body}");
        }
        let packed = Envelope::read(&Bytes::from_static(b"\x1f\x8b\x08\0"), Call::Batch);
        assert_eq!(packed.unwrap_err().code, "still_packed");
    }

    #[test]
    fn members_of_the_batch_that_cannot_be_used_are_said() {
        let batch = read(
            r#"{"batch":[{"x":1}],"context":"c","integrations":[]}"#,
            Call::Batch,
        );
        assert_eq!(batch.notes.len(), 2);
        assert_eq!(batch.common, Common::default());
    }
}
