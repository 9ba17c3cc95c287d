//! The members of an object, by what their keys mean: one pass over its text, which remembers how such objects were written.
//!
//! Programs write the objects of one kind alike: the same keys in the same order, with the same white space. So the bytes
//! that came between two values the last time are compared with the text first, at every level of it, as the walk along
//! [`Paths`](crate::Paths) does it for the keys that its paths name. A wrong prediction costs one comparison and changes no
//! result.
//!
//! Invariant: a prediction that matches gives the same result as reading, because
//!
//! * it was learned from a separator that was read and checked against the grammar, and contains every byte from the end of
//!   the previous value (or from the opening brace) to the colon. So equal bytes are the same key, which means the same;
//! * it never closes an object or a list: closing brackets are always read.

use crate::prediction::Separator;
use crate::scan::{Broken, Scanner};
use std::ops::Range;

/// Keys that are remembered.
const MAX_PLACES: usize = 1024;
/// Levels on which keys are predicted; what is nested more deeply is passed without. It bounds the call stack.
const MAX_DEPTH: usize = 32;

/// The place of a prediction that is never made.
const NOWHERE: usize = 0;
/// The place of the first key of the outermost object.
const FIRST: usize = 1;

/// Where an object ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectEnd {
    /// The place of its closing brace, in bytes from the start of the text.
    pub close: usize,
    /// Whether it has no members.
    pub is_empty: bool,
}

/// Reads objects of one kind, and remembers how they are written. `M` is what keys mean.
///
/// ```
/// use json_paths::MemberReader;
///
/// let mut reader = MemberReader::default();
/// let mut times = Vec::new();
/// let text = r#"{"name": {"first": "Ada"}, "time": 7}, what follows"#;
/// let is_time = |key: &[u8]| (key == b"\"time\"").then_some("a time");
/// let end = reader.read(text, is_time, |meaning, value| times.push((meaning, &text[value])));
/// assert_eq!(times, [("a time", "7")]);
/// assert_eq!(end.map(|end| &text[end.close..]), Some("}, what follows"));
/// ```
#[derive(Debug)]
pub struct MemberReader<M> {
    places: Vec<Place<M>>,
}

/// A key that may come next. It fills one line of the processor's cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Place<M> {
    /// The bytes from the value before it to its own value; `None` where no key has been read yet.
    separator: Option<Separator>,
    /// The place of the key after it, in the same object.
    after: u32,
    /// The place of the first key of the object, or of the objects in the list, that is its value.
    inside: u32,
    /// What it means; nothing, for keys that are nested.
    meaning: Option<M>,
}

/// What comes next in an object.
enum Next<'a, M> {
    Value {
        meaning: Option<M>,
        start: Scanner<'a>,
    },
    End(Scanner<'a>),
}

impl<M> Place<M> {
    const UNKNOWN: Self = Self {
        separator: None,
        after: 0,
        inside: 0,
        meaning: None,
    };
}

impl<M> Default for MemberReader<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> MemberReader<M> {
    /// A reader that remembers nothing yet.
    pub const fn new() -> Self {
        Self { places: Vec::new() }
    }
}

impl<M: Copy> MemberReader<M> {
    /// Passes the object that a text begins with, and shows `visit` the values of its members whose keys mean something, in
    /// their order, as ranges of bytes of the text. `None` where the text does not begin with a whole JSON object; members
    /// before the damage have been shown then.
    ///
    /// `meaning` gets keys in their quotation marks, as they are written. What it answers must depend on the key alone,
    /// because it is asked once and its answer is remembered.
    pub fn read(
        &mut self,
        text: &str,
        meaning: impl Fn(&[u8]) -> Option<M>,
        mut visit: impl FnMut(M, Range<usize>),
    ) -> Option<ObjectEnd> {
        if self.places.is_empty() {
            self.places = vec![Place::UNKNOWN; FIRST + 1];
        }
        let start = Scanner::new(text);
        if start.byte() != b'{' {
            return None;
        }
        let position = |scanner: Scanner<'_>| text.len() - scanner.rest().len();
        let show = |meaning, value, end| visit(meaning, position(value)..position(end));
        let (behind, is_empty) = self.object(start, FIRST, MAX_DEPTH, meaning, show).ok()?;
        Some(ObjectEnd {
            close: position(behind).saturating_sub(1),
            is_empty,
        })
    }

    /// Passes an object whose first key is predicted at a place, and tells whether it is empty. `visit` gets the positions of
    /// values whose keys mean something, and those behind them.
    #[inline]
    fn object<'a>(
        &mut self,
        start: Scanner<'a>,
        first: usize,
        levels: usize,
        meaning: impl Fn(&[u8]) -> Option<M>,
        mut visit: impl FnMut(M, Scanner<'a>, Scanner<'a>),
    ) -> Result<(Scanner<'a>, bool), Broken> {
        let (mut here, mut place, mut is_first) = (start, first, true);
        loop {
            match self.next(here, place, is_first, &meaning)? {
                Next::Value { meaning, start } => {
                    here = self.value(start, place, levels)?;
                    if let Some(meaning) = meaning {
                        visit(meaning, start, here);
                    }
                }
                Next::End(behind) => return Ok((behind, is_first)),
            }
            place = self.places[place].after as usize;
            is_first = false;
        }
    }

    /// Passes the value of the key at a place.
    #[inline]
    fn value<'a>(
        &mut self,
        start: Scanner<'a>,
        key: usize,
        levels: usize,
    ) -> Result<Scanner<'a>, Broken> {
        match start.byte() {
            b'"' => start.string(),
            b'{' | b'[' => {
                let inside = self.inside(key);
                self.nested(start, inside, levels)
            }
            _ => start.scalar(),
        }
    }

    /// Passes a value; the keys in it begin at a place.
    fn nested<'a>(
        &mut self,
        start: Scanner<'a>,
        inside: usize,
        levels: usize,
    ) -> Result<Scanner<'a>, Broken> {
        let first = start.byte();
        if levels == 0 || inside == NOWHERE || !matches!(first, b'{' | b'[') {
            return start.value();
        }
        if first == b'[' {
            let (mut here, mut is_over) = start.open(b']');
            while !is_over {
                (here, is_over) = self.nested(here, inside, levels - 1)?.after_element(b']')?;
            }
            return Ok(here);
        }
        let (behind, _) = self.object(start, inside, levels - 1, |_| None, |_, _, _| {})?;
        Ok(behind)
    }

    /// Passes what is between two values of an object, or in front of its first one.
    #[inline]
    fn next<'a>(
        &mut self,
        here: Scanner<'a>,
        place: usize,
        is_first: bool,
        meaning: impl Fn(&[u8]) -> Option<M>,
    ) -> Result<Next<'a, M>, Broken> {
        let known = &self.places[place];
        if let Some(separator) = &known.separator
            && let Some(start) = separator.pass(here)
        {
            let meaning = known.meaning;
            return Ok(Next::Value { meaning, start });
        }
        let (key, is_over) = if is_first {
            here.open(b'}')
        } else {
            here.after_element(b'}')?
        };
        if is_over {
            return Ok(Next::End(key));
        }
        let (name, start) = key.quoted_key()?;
        let meaning = meaning(name);
        if let Some(separator) = Separator::between(here, start) {
            self.learn(place, separator, meaning);
        }
        Ok(Next::Value { meaning, start })
    }

    /// Remembers the key that was read at a place.
    fn learn(&mut self, place: usize, separator: Separator, meaning: Option<M>) {
        if place == NOWHERE {
            return;
        }
        let known = &mut self.places[place];
        (known.separator, known.meaning) = (Some(separator), meaning);
        if known.after as usize == NOWHERE {
            self.places[place].after = self.new_place();
        }
    }

    /// The place of the first key inside of the value of a key.
    #[inline]
    fn inside(&mut self, key: usize) -> usize {
        if self.places[key].inside as usize == NOWHERE && key != NOWHERE {
            self.places[key].inside = self.new_place();
        }
        self.places[key].inside as usize
    }

    /// A place that is not in use, or [`NOWHERE`].
    #[cold]
    fn new_place(&mut self) -> u32 {
        let new = self.places.len();
        if new == MAX_PLACES {
            return 0;
        }
        self.places.push(Place::UNKNOWN);
        u32::try_from(new).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    type Seen = (Vec<(String, Range<usize>)>, Option<ObjectEnd>);

    /// Keys with an `a` mean something: their length.
    fn meaning(key: &[u8]) -> Option<usize> {
        key.contains(&b'a').then_some(key.len())
    }

    fn read(reader: &mut MemberReader<usize>, text: &str) -> Seen {
        let mut seen = Vec::new();
        let end = reader.read(text, meaning, |meaning, value| {
            seen.push((meaning.to_string(), value));
        });
        (seen, end)
    }

    /// The same, token by token, with nothing that is remembered.
    fn read_token_by_token(text: &str) -> Seen {
        let mut seen = Vec::new();
        let end = members_of(text, &mut seen);
        (seen, end.ok())
    }

    fn members_of(text: &str, seen: &mut Vec<(String, Range<usize>)>) -> Result<ObjectEnd, Broken> {
        let start = Scanner::new(text);
        if start.byte() != b'{' {
            return Err(Broken);
        }
        let position = |scanner: Scanner<'_>| text.len() - scanner.rest().len();
        let (mut here, is_empty) = start.open(b'}');
        let mut is_over = is_empty;
        while !is_over {
            let (key, value) = here.key()?;
            let end = value.value()?;
            let quoted = format!("\"{}\"", String::from_utf8_lossy(key.name));
            if let Some(meaning) = meaning(quoted.as_bytes()) {
                seen.push((meaning.to_string(), position(value)..position(end)));
            }
            (here, is_over) = end.after_element(b'}')?;
        }
        Ok(ObjectEnd {
            close: position(here) - 1,
            is_empty,
        })
    }

    /// JSON as one of a few programs writes it, so that some texts are written alike and others are not.
    fn object() -> impl Strategy<Value = String> {
        let scalar = select(vec![
            "1",
            "-0.5e3",
            "\"a\"",
            "\"\\\"}\"",
            "null",
            "true",
            "\"\"",
        ]);
        let value = scalar.prop_map(str::to_owned);
        let value = value.prop_recursive(4, 24, 4, |inner| {
            let key = select(vec![
                "a",
                "b",
                "name of a",
                "\\u0061",
                "a key that is too long to be remembered",
            ]);
            let members = prop::collection::vec((key, inner.clone()), 0..4);
            let elements = prop::collection::vec(inner, 0..4);
            prop_oneof![
                (members, select(vec!["", " ", "\n  "])).prop_map(|(members, space)| {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(key, value)| format!("\"{key}\":{space}{value}"))
                        .collect();
                    format!("{{{}}}", members.join(&format!(",{space}")))
                }),
                elements.prop_map(|elements| format!("[{}]", elements.join(", "))),
            ]
        });
        value.prop_map(|value| format!("{{\"a\": {value}, \"b\":{value},\"name of a\" :{value}}}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_sequence_of_texts_is_read_as_each_is_token_by_token(
            kinds in prop::collection::vec(object(), 1..4),
            texts in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::option::of((any::<prop::sample::Index>(), select(b"{}[],:\" 1a".to_vec()))), "[,} ]{0,40}"),
                1..24,
            ),
        ) {
            let mut reader = MemberReader::new();
            for (kind, damage, behind) in texts {
                let mut text = kind.get(&kinds).clone().into_bytes();
                if let Some((place, byte)) = damage {
                    let place = place.index(text.len());
                    text[place] = byte;
                }
                let text = String::from_utf8(text).unwrap() + &behind;
                let expected = read_token_by_token(&text);
                prop_assert_eq!(&read(&mut MemberReader::new(), &text), &expected, "{}", text);
                prop_assert_eq!(read(&mut reader, &text), expected, "{}", text);
            }
        }
    }

    #[test]
    fn what_was_read_before_is_predicted_on_every_level() {
        let text = r#"{"a": {"b": [{"x": 1, "y": {}}, {"x": 2, "y": []}]}, "c": 3}        and what follows it"#;
        let mut reader = MemberReader::new();
        read(&mut reader, text);
        let keys = |reader: &MemberReader<usize>| {
            let known = reader
                .places
                .iter()
                .filter(|place| place.separator.is_some());
            known.count()
        };
        assert_eq!(keys(&reader), 5, "a, b, x, y and c");
        let places = reader.places.len();
        read(&mut reader, text);
        assert_eq!((keys(&reader), reader.places.len()), (5, places));
    }

    #[test]
    fn however_many_keys_and_levels_there_are_memory_and_stack_are_bounded() {
        let mut reader = MemberReader::new();
        let keys: Vec<_> = (0..5_000)
            .map(|key| format!("\"a{key}\":{{\"b\":{key}}}"))
            .collect();
        let wide = format!("{{{}}}", keys.join(","));
        let deep = format!(
            "{{\"a\":{}1{}}}",
            "[{\"b\":".repeat(100_000),
            "}]".repeat(100_000)
        );
        for text in [&wide, &deep, &wide] {
            assert_eq!(read(&mut reader, text), read_token_by_token(text));
            assert!(reader.places.len() <= MAX_PLACES);
        }
        assert_eq!(size_of::<Place<u8>>(), 64);
    }
}
