//! Adds to an event what the path, the batch and the connection say, where it does not say it itself.
//!
//! Members are spliced into the event's text; `null` counts as absent for what the batch says, and as given for what the
//! connection says: a sender that writes `"ip": null` does not want one.
//!
//! Invariant: a value that an event has is never replaced, and an event that cannot be read is left as it is.

use super::envelope::Common;
use super::outline::Element;
use crate::http::members::{Edit, append, each, edited, folded, push};
use bytes::Bytes;
use json_paths::ObjectEnd;
use std::ops::Range;

/// Bytes that everything but the batch's own members may add to an event, beside the connection's.
pub(super) const FIXED_BYTES: usize = 256;
/// Bytes that are usually added at the end of an event.
const USUAL_BYTES: usize = 128;

/// What is added to events where it is absent.
#[derive(Debug, Clone, Default)]
pub(super) struct Completion {
    /// The type of call, from the path.
    pub(super) kind: Option<&'static str>,
    pub(super) common: Common,
    /// Members of `context` that the connection gives: a name and its JSON.
    pub(super) connection: Vec<(&'static str, String)>,
    /// When the request was received, as JSON.
    pub(super) received_at: String,
}

impl Completion {
    /// The most bytes that it adds to an event.
    pub(super) fn bytes(&self) -> usize {
        let connection = self.connection.iter();
        let connection: usize = connection
            .map(|(name, json)| name.len() + json.len() + 4)
            .sum();
        self.common.bytes() + connection + FIXED_BYTES
    }

    /// The same with further members of `context` that the connection gives.
    pub(super) fn with(&self, more: impl Iterator<Item = (&'static str, String)>) -> Self {
        let mut all = self.clone();
        all.connection.extend(more);
        all
    }

    /// The event with what was absent.
    pub(super) fn of(&self, event: &Element) -> Bytes {
        let Some((own, whole)) = &event.outline else {
            return event.text.clone();
        };
        let mut splice = Splice {
            text: &event.text,
            edits: Vec::new(),
            members: Vec::with_capacity(USUAL_BYTES),
        };
        if let Some(kind) = self.kind {
            let kind = format!("\"{kind}\"");
            splice.value("type", own.kind.as_ref(), Some(kind.as_bytes()));
        }
        let Common {
            context,
            integrations,
            timestamp,
            sent_at,
        } = &self.common;
        if !own.has_time {
            splice.value("timestamp", own.timestamp.as_ref(), timestamp.as_deref());
        }
        splice.value("sentAt", own.sent_at.as_ref(), sent_at.as_deref());
        let received_at = Some(self.received_at.as_bytes());
        splice.value("receivedAt", own.received_at.as_ref(), received_at);
        let of_event = own.context.as_ref();
        splice.object("context", of_event, context.as_deref(), &self.connection);
        let of_event = own.integrations.as_ref();
        splice.object("integrations", of_event, integrations.as_deref(), &[]);
        splice.finish(*whole)
    }
}

/// An event that is being completed.
struct Splice<'e> {
    text: &'e Bytes,
    edits: Vec<Edit>,
    /// Members for its end.
    members: Vec<u8>,
}

impl Splice<'_> {
    /// Whether a member is there and says something.
    fn is_given(&self, own: Option<&Range<usize>>) -> bool {
        own.is_some_and(|own| &self.text[own.clone()] != b"null")
    }

    /// A member that is absent, or `null`, gets this value.
    fn value(&mut self, name: &str, own: Option<&Range<usize>>, value: Option<&[u8]>) {
        let Some(value) = value.filter(|_| !self.is_given(own)) else {
            return;
        };
        match own {
            Some(null) => self.edits.push(Edit {
                part: null.clone(),
                with: value.to_vec(),
            }),
            None => push_plain(&mut self.members, name, value),
        }
    }

    /// An object gets the members that it lacks: first the batch's, then the connection's.
    fn object(
        &mut self,
        name: &str,
        own: Option<&Range<usize>>,
        common: Option<&[u8]>,
        connection: &[(&str, String)],
    ) {
        if common.is_none() && connection.is_empty() {
            return;
        }
        let mut known = Vec::new();
        let given = own.filter(|own| self.is_given(Some(own)));
        let whole = given.map(|own| {
            let text = self.text;
            each(text, own.start, |member| {
                known.push(folded(&text[member.name]));
                true
            })
        });
        // Something else than an object is not for us to change.
        if whole == Some(None) {
            return;
        }
        let mut added = Vec::new();
        if let Some(common) = common {
            each(common, 0, |member| {
                let name = folded(&common[member.name.clone()]);
                if name.is_empty() || !known.contains(&name) {
                    push(&mut added, &common[member.name], &common[member.value]);
                    known.push(name);
                }
                true
            });
        }
        for (name, json) in connection {
            if !known.contains(&folded(name.as_bytes())) {
                push_plain(&mut added, name, json.as_bytes());
            }
        }
        match whole.flatten() {
            Some(whole) => self.edits.extend(append(whole, added)),
            None if added.is_empty() => {}
            None => {
                let object = [b"{", &added[..], b"}"].concat();
                self.value(name, own, Some(&object));
            }
        }
    }

    fn finish(mut self, whole: ObjectEnd) -> Bytes {
        self.edits.extend(append(whole, self.members));
        if self.edits.is_empty() {
            return self.text.clone();
        }
        edited(self.text, self.edits).into()
    }
}

/// Appends a member whose name needs no escapes.
fn push_plain(members: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !members.is_empty() {
        members.push(b',');
    }
    members.push(b'"');
    members.extend_from_slice(name.as_bytes());
    members.extend_from_slice(b"\":");
    members.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn completion() -> Completion {
        let json = |text: &str| Some(Bytes::from(text.to_owned()));
        Completion {
            kind: Some("track"),
            common: Common {
                context: json(r#"{"consent":{"marketing":true},"ip":"203.0.113.1"}"#),
                integrations: json(r#"{"All":false}"#),
                timestamp: json("\"batch time\""),
                sent_at: json("\"sent\""),
            },
            connection: vec![
                ("ip", "\"198.51.100.7\"".to_owned()),
                ("userAgent", "\"Mozilla/5.0\"".to_owned()),
            ],
            received_at: "\"received\"".to_owned(),
        }
    }

    fn element(event: &str) -> Element {
        Element::read(Bytes::from(event.to_owned())).unwrap()
    }

    fn completed(event: &str) -> String {
        let completed = completion().of(&element(event));
        String::from_utf8(completed.to_vec()).unwrap()
    }

    #[test]
    fn an_event_without_anything_gets_everything() {
        let read: Value = serde_json::from_str(&completed("{}")).unwrap();
        assert_eq!(
            read,
            json!({
                "type": "track", "timestamp": "batch time", "sentAt": "sent", "receivedAt": "received",
                "context": {"consent": {"marketing": true}, "ip": "203.0.113.1", "userAgent": "Mozilla/5.0"},
                "integrations": {"All": false},
            })
        );
    }

    #[test]
    fn what_an_event_says_itself_stays_byte_by_byte_and_only_what_it_lacks_is_added() {
        let event = r#"{ "type": "page", "sent_at":"mine","originalTimestamp" : "o", "context": {"IP": "0.0.0.0", "consent" : {}, "user_agent":null} , "integrations": {"All":true} }"#;
        let expected = r#"{ "type": "page", "sent_at":"mine","originalTimestamp" : "o", "context": {"IP": "0.0.0.0", "consent" : {}, "user_agent":null} , "integrations": {"All":true} ,"receivedAt":"received"}"#;
        assert_eq!(completed(event), expected);
    }

    #[test]
    fn null_is_filled_where_the_batch_says_more() {
        let event = r#"{"type":null,"timestamp":null,"sentAt":null,"receivedAt":"r","context":null,"integrations":null}"#;
        let read: Value = serde_json::from_str(&completed(event)).unwrap();
        assert_eq!(
            read,
            json!({
                "type": "track", "timestamp": "batch time", "sentAt": "sent", "receivedAt": "r",
                "context": {"consent": {"marketing": true}, "ip": "203.0.113.1", "userAgent": "Mozilla/5.0"},
                "integrations": {"All": false},
            })
        );
    }

    #[test]
    fn an_ip_that_is_null_was_withheld_and_stays_so() {
        let completion = Completion {
            common: Common::default(),
            ..completion()
        };
        let event = element(r#"{"type":"track","context":{"ip":null},"receivedAt":1}"#);
        let expected =
            r#"{"type":"track","context":{"ip":null,"userAgent":"Mozilla/5.0"},"receivedAt":1}"#;
        assert_eq!(completion.of(&event), expected.as_bytes());
    }

    #[test]
    fn what_cannot_be_read_is_left_as_it_is() {
        for event in ["7", "[]", r#"{"a":NaN}"#, r#"{"a":1"#] {
            assert_eq!(completed(event), event);
        }
        for context in ["\"c\"", "[1]", "7", "false"] {
            let event = format!(r#"{{"type":"t","context":{context}}}"#);
            assert!(completed(&event).contains(&format!("\"context\":{context}")));
        }
    }
}
