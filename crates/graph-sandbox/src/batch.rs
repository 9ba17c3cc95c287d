//! The body of one request taken apart: JSON bytes in, the events as raw text and the other top-level keys out.
//! However long the list is, no more than one event beyond Meta's limit is ever held.

use crate::json::Name;
use crate::refusal::excerpt;
use crate::rule::{Field, Kind};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Meta takes at most this many events in one request.
pub const MAX_EVENTS_PER_REQUEST: usize = 1000;

/// The largest top-level value besides `data`, in bytes.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Every top-level key that Meta documents or its own SDKs send, next to `data`.
const TOP_LEVEL: &[Field] = &[
    Field::new("test_event_code", Kind::FilledText),
    Field::new("access_token", Kind::Text),
    Field::new("appsecret_proof", Kind::Text),
    Field::new("partner_agent", Kind::Text),
    Field::new("namespace_id", Kind::Id),
    Field::new("upload_id", Kind::Id),
    Field::new("upload_tag", Kind::Text),
    Field::new("upload_source", Kind::Text),
    Field::new("platforms", Kind::List),
    Field::new("progress", Kind::Object),
    Field::new("trace", Kind::Integer),
];

/// What one request carries.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    /// The events, at most one more than [`MAX_EVENTS_PER_REQUEST`]; none when `data` is missing or no list.
    pub(crate) events: Vec<&'a RawValue>,
    /// How many events were sent, held or not.
    pub(crate) count: usize,
    pub(crate) access_token: Option<String>,
    pub(crate) appsecret_proof: Option<String>,
    pub(crate) partner_agent: Option<String>,
    pub(crate) has_test_event_code: bool,
    /// What is wrong with the body as a whole, if anything.
    pub(crate) problem: Option<String>,
}

impl<'a> Batch<'a> {
    /// Reads a body. Nothing is refused here: the caller checks the token before it looks at `problem`.
    pub(crate) fn parse(body: &'a [u8]) -> Self {
        let mut batch = match serde_json::from_slice::<Batch>(body) {
            Ok(batch) => batch,
            // The parser's own text could quote the body, so only the place is said.
            Err(error) => Batch {
                problem: Some(format!(
                    "the body is not a JSON object whose `data` is an array (line {}, column {})",
                    error.line(),
                    error.column()
                )),
                ..Batch::default()
            },
        };
        if batch.problem.is_none() {
            batch.problem = match batch.count {
                0 => Some("param data must be a non-empty array of events".to_owned()),
                1..=MAX_EVENTS_PER_REQUEST => None,
                count => Some(format!(
                    "param data has {count} events, the maximum is {MAX_EVENTS_PER_REQUEST}"
                )),
            };
        }
        batch
    }

    fn take(&mut self, key: &str, raw: &'a RawValue) {
        let field = TOP_LEVEL.iter().find(|field| field.key == key);
        let value = field
            .filter(|_| raw.get().len() <= MAX_VALUE_BYTES)
            .and_then(|field| {
                let value = serde_json::from_str(raw.get()).ok()?;
                field.kind.check(&value).then_some(value)
            });
        match (field, value) {
            (None, _) => self.blame(format!("unexpected key `{}`", excerpt(key))),
            (Some(_), None) => self.blame(format!("param {key} is malformed")),
            (Some(_), Some(value)) if key == "access_token" => {
                self.access_token = value.text().map(str::to_owned);
            }
            (Some(_), Some(value)) if key == "appsecret_proof" => {
                self.appsecret_proof = value.text().map(str::to_owned);
            }
            (Some(_), Some(value)) if key == "partner_agent" => {
                self.partner_agent = value.text().map(excerpt);
            }
            (Some(_), Some(_)) => self.has_test_event_code |= key == "test_event_code",
        }
    }

    fn blame(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

impl<'de> Deserialize<'de> for Batch<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Batch<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of an events request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Batch<'de>, A::Error> {
        let mut batch = Batch::default();
        while let Some(Name(key)) = map.next_key()? {
            if key != "data" {
                batch.take(&key, map.next_value()?);
                continue;
            }
            // `data` is read on the spot, so a list is walked once; anything else than a list fails here.
            let Data { events, count } = map.next_value()?;
            (batch.events, batch.count) = (events, count);
        }
        Ok(batch)
    }
}

struct Data<'a> {
    events: Vec<&'a RawValue>,
    count: usize,
}

impl<'de> Deserialize<'de> for Data<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Data<'de>, A::Error> {
        let mut events = Vec::with_capacity(MAX_EVENTS_PER_REQUEST);
        while events.len() <= MAX_EVENTS_PER_REQUEST {
            match seq.next_element()? {
                Some(event) => events.push(event),
                None => {
                    return Ok(Data {
                        count: events.len(),
                        events,
                    });
                }
            }
        }
        let mut count = events.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count = count
                .checked_add(1)
                .ok_or_else(|| A::Error::custom("too many events"))?;
        }
        Ok(Data { events, count })
    }
}
