//! The outermost members of an object that mean something here: of an event, or of a batch. They are found in one pass.
//!
//! Invariant: of members whose names are alike, the first counts.

use crate::http::members::{Member, each, initial, is_named, past_blank};
use crate::http::{MAX_EVENTS_PER_REQUEST, read_sound};
use crate::line::MAX_LINE_BYTES;
use bytes::Bytes;
use json_paths::{MemberReader, ObjectEnd};
use pipeline_core::Reason;
use std::cell::RefCell;
use std::ops::Range;

thread_local! {
    /// How the events were written that this thread has read.
    static EVENTS: RefCell<MemberReader<Name>> = const { RefCell::new(MemberReader::new()) };
}

/// Where the values of members are.
#[derive(Debug, Clone, Default)]
pub(super) struct Outline {
    pub(super) kind: Option<Range<usize>>,
    pub(super) batch: Option<Range<usize>>,
    pub(super) context: Option<Range<usize>>,
    pub(super) integrations: Option<Range<usize>>,
    pub(super) timestamp: Option<Range<usize>>,
    pub(super) sent_at: Option<Range<usize>>,
    pub(super) received_at: Option<Range<usize>>,
    pub(super) write_key: Option<Range<usize>>,
    /// Whether it says what kind of event it is, as events do.
    pub(super) has_type: bool,
    /// Another member that holds the time of the event.
    pub(super) has_time: bool,
}

/// A member that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Kind,
    Event,
    Batch,
    Context,
    Integrations,
    Timestamp,
    SentAt,
    ReceivedAt,
    WriteKey,
    /// Another one that holds the time of the event.
    OtherTime,
}

impl Name {
    /// Names as they are compared.
    const ALL: [(&str, Self); 12] = [
        ("type", Self::Kind),
        ("event", Self::Event),
        ("batch", Self::Batch),
        ("context", Self::Context),
        ("integrations", Self::Integrations),
        ("timestamp", Self::Timestamp),
        ("sentat", Self::SentAt),
        ("receivedat", Self::ReceivedAt),
        ("writekey", Self::WriteKey),
        ("originaltimestamp", Self::OtherTime),
        ("time", Self::OtherTime),
        ("eventtime", Self::OtherTime),
    ];

    /// What a name means, as it is written in quotation marks.
    fn of(quoted: &[u8]) -> Option<Self> {
        let first = initial(quoted);
        let may_be = |form: &str| first == 0 || form.as_bytes().first() == Some(&first);
        let mut all = Self::ALL.into_iter();
        let found = all.find(|(form, _)| may_be(form) && is_named(quoted, form));
        found.map(|(_, name)| name)
    }
}

/// An event as it is written.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) text: Bytes,
    /// What it says, where it is a whole object.
    pub(super) outline: Option<(Outline, ObjectEnd)>,
}

/// What is in the place of each event.
pub(super) type Elements = Vec<Result<Element, Reason>>;

impl Outline {
    /// Takes note of a member. Answers `true`, so that all of them are looked at.
    pub(super) fn take(&mut self, text: &[u8], member: Member) -> bool {
        if let Some(name) = Name::of(&text[member.name]) {
            self.take_named(text, name, member.value);
        }
        true
    }

    /// The same for a member of this name.
    fn take_named(&mut self, text: &[u8], name: Name, value: Range<usize>) {
        let place = match name {
            Name::Event => {
                self.has_type = true;
                return;
            }
            Name::OtherTime => {
                self.has_time |= &text[value] != b"null";
                return;
            }
            Name::Kind => {
                self.has_type = true;
                &mut self.kind
            }
            Name::Batch => &mut self.batch,
            Name::Context => &mut self.context,
            Name::Integrations => &mut self.integrations,
            Name::Timestamp => &mut self.timestamp,
            Name::SentAt => &mut self.sent_at,
            Name::ReceivedAt => &mut self.received_at,
            Name::WriteKey => &mut self.write_key,
        };
        place.get_or_insert(value);
    }

    /// What the object says that a text begins with, and where it ends; `None` where it is damaged.
    pub(super) fn of(text: &str) -> Option<(Self, ObjectEnd)> {
        EVENTS.with_borrow_mut(|reader| {
            let mut outline = Self::default();
            let end = reader.read(text, Name::of, |name, value| {
                outline.take_named(text.as_bytes(), name, value);
            })?;
            Some((outline, end))
        })
    }

    /// Whether it is a batch: its member `batch` is a list, and nothing says that it is an event.
    fn is_batch(&self, text: &[u8]) -> bool {
        let batch = self.batch.as_ref().map(|batch| batch.start);
        !self.has_type && batch.is_some_and(|start| text.get(start) == Some(&b'['))
    }
}

impl Element {
    /// An event, or why it is not one.
    pub(super) fn read(text: Bytes) -> Result<Self, Reason> {
        let mut outline = Outline::default();
        let whole = each(&text, 0, |member| outline.take(&text, member));
        Self::new(text, whole.map(|whole| (outline, whole)))
    }

    /// A batch inside of a batch is not an event.
    pub(super) fn new(text: Bytes, outline: Option<(Outline, ObjectEnd)>) -> Result<Self, Reason> {
        if let Some((outline, _)) = &outline
            && outline.is_batch(&text)
        {
            let problem = "an element of the batch is itself a batch; expected an event";
            return Err(Reason::new("nested_batch", problem));
        }
        Ok(Self { text, outline })
    }
}

/// The elements of the list that starts here, and its end; `None` where anything in it asks for a closer look. The text is
/// that of `bytes`.
pub(super) fn list(bytes: &Bytes, text: &str, start: usize) -> Option<(Elements, usize)> {
    let byte = |at: usize| text.as_bytes().get(at);
    if byte(start) != Some(&b'[') {
        return None;
    }
    let mut elements = Elements::new();
    let mut at = past_blank(bytes, start + 1);
    if byte(at) == Some(&b']') {
        return Some((elements, at + 1));
    }
    loop {
        let (outline, end) = element(text, at)?;
        if end - at > MAX_LINE_BYTES || elements.len() == MAX_EVENTS_PER_REQUEST {
            return None;
        }
        elements.push(Element::new(bytes.slice(at..end), outline));
        at = past_blank(bytes, end);
        match byte(at)? {
            b',' => at = past_blank(bytes, at + 1),
            b']' => return Some((elements, at + 1)),
            _ => return None,
        }
    }
}

/// What the value that starts here says, if it is an object, and its end.
fn element(text: &str, start: usize) -> Option<(Option<(Outline, ObjectEnd)>, usize)> {
    if text.as_bytes().get(start) != Some(&b'{') {
        return Some((None, read_sound(text, start)?));
    }
    let (outline, whole) = Outline::of(text.get(start..)?)?;
    Some((Some((outline, whole)), start + whole.close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::events;
    use crate::http::members::folded;
    use proptest::prelude::*;

    fn shown(elements: impl IntoIterator<Item = Result<Element, Reason>>) -> Vec<String> {
        let shown = elements.into_iter().map(|element| match element {
            Ok(Element { text, outline }) => format!("{text:?} {outline:?}"),
            Err(reason) => reason.code.to_owned(),
        });
        shown.collect()
    }

    proptest! {
        #[test]
        fn a_name_is_found_as_its_folded_form_is(
            known in prop::sample::select(Name::ALL.to_vec()),
            marks in prop::collection::vec("[-_ é]{0,2}|\\\\u0074|\\\\u00e9", 20),
            upper in prop::collection::vec(any::<bool>(), 20),
            more in prop::option::of("[a-z0-9é]|[a-z]{70}"),
        ) {
            let mut name = String::from("\"");
            for ((letter, mark), is_upper) in known.0.chars().zip(marks).zip(upper) {
                name.push_str(&mark);
                name.push(if is_upper { letter.to_ascii_uppercase() } else { letter });
            }
            name.extend(more);
            name.push('"');
            let form = folded(name.as_bytes());
            let expected = Name::ALL.into_iter().find(|(known, _)| *known == form.as_str());
            prop_assert_eq!(Name::of(name.as_bytes()), expected.map(|(_, name)| name), "{}", name);
        }

        #[test]
        fn a_list_is_read_in_one_pass_as_it_is_cut_and_looked_at_element_by_element(
            elements in prop::collection::vec(
                "(\\{ ?\"(ba_tch|type|SENT_AT|x)\" ?:(1|null|\\[\\]|\"é\"|\\{\\})(,\"(batch|time|context)\": \\[\\])?\\}|7|\"a\"|\\[1\\])[ \n]?",
                0..6,
            ),
            damage in prop::option::of((0..60_usize, prop::sample::select(b"{}[],:\" \x1e\xff1".to_vec()))),
        ) {
            let mut text = format!("[ {}]", elements.join(",")).into_bytes();
            if let Some((place, byte)) = damage {
                let place = place % text.len();
                text[place] = byte;
            }
            let text = Bytes::from(text);
            // What is damaged is left to the closer look.
            let found = std::str::from_utf8(&text).ok().and_then(|plain| list(&text, plain, 0));
            if let Some((found, end)) = found {
                let cut = events(&text.slice(..end)).unwrap();
                prop_assert_eq!(shown(found), shown(cut.into_iter().map(|text| Element::read(text?))));
            } else {
                prop_assert!(damage.is_some());
            }
        }
    }

    #[test]
    fn what_asks_for_a_closer_look_gets_one() {
        let list = |text: &str| {
            list(&Bytes::from(text.to_owned()), text, 0).map(|(found, end)| (found.len(), end))
        };
        assert_eq!(list("[]"), Some((0, 2)));
        assert_eq!(list("[{},1] ,"), Some((2, 6)));
        for text in [
            "[",
            "[{}",
            "[{},]",
            "[{} {}]",
            "[{\"a\":NaN}]",
            "[{\"a\":1\u{1e}}]",
            "[\u{1e}{}]",
        ] {
            assert_eq!(list(text), None, "{text:?}");
        }
        let full = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert!(list(&full(MAX_EVENTS_PER_REQUEST)).is_some());
        assert_eq!(list(&full(MAX_EVENTS_PER_REQUEST + 1)), None);
    }
}
