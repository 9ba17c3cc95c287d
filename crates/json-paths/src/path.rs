//! A path into a JSON value, as people write it: `context.traits.email`, `properties.items[0].price`, `a["b.c"]`,
//! `externalIds[type=email].id`.

use std::fmt;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Segment {
    /// The value of this key of an object.
    Key(Box<str>),
    /// The element at this index of a list, from 0.
    Index(usize),
    /// The first element of a list that is an object and has this text at this key. The key is found in any spelling, and
    /// the case of ASCII letters in the text does not matter.
    Where {
        /// The key that selects.
        key: Box<str>,
        /// The text that the element has there.
        value: Box<str>,
    },
}

/// A path that has been parsed. [`Display`](fmt::Display) gives it back as it was written.
///
/// ```
/// let path = json_paths::Path::parse(r#"order.items[0]["unit.price"]"#)?;
/// assert_eq!(path.segments().len(), 4);
/// assert_eq!(path.last_key(), Some("unit.price"));
/// # Ok::<(), json_paths::PathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Vec<Segment>,
    written: Box<str>,
}

/// Why a text is not a path. The message is a predicate, for a sentence that begins with the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// There is nothing between two dots, or a bracket closes that was not opened.
    #[error("has an empty or broken step")]
    BadStep,
    /// A bracket holds neither an index nor a quoted key nor a selector, or does not close.
    #[error("has a `[` without a number, a quoted key or `key=text`, and `]`")]
    BadBracket,
    /// A selector lacks its key or its text, or they contain a bracket or a quote although they are not quoted.
    #[error("has a selector in brackets that is not of the form `[key=text]` or `[key=\"text\"]`")]
    BadSelector,
    /// The path has more than [`Path::MAX_SEGMENTS`] steps.
    #[error("has more than {} steps", Path::MAX_SEGMENTS)]
    TooManySteps,
}

impl Path {
    /// Steps that a written path has at most. It bounds how deep a walk recurses.
    pub const MAX_SEGMENTS: usize = 16;

    /// Parses a path: keys separated by dots, indexes in brackets, keys that contain dots or brackets as `["key"]`, and
    /// selectors of an element as `[key=text]`, or as `[key="text"]` if the text contains brackets, quotes or spaces around
    /// it.
    ///
    /// # Errors
    ///
    /// When the text is empty, a step is, a bracket or what it holds is broken, or there are more than
    /// [`Path::MAX_SEGMENTS`] steps.
    pub fn parse(written: &str) -> Result<Self, PathError> {
        let mut segments = Vec::new();
        let mut rest = written;
        if rest.is_empty() {
            return Err(PathError::Empty);
        }
        while !rest.is_empty() {
            rest = if let Some(inside) = rest.strip_prefix('[') {
                bracket(inside, &mut segments)?
            } else {
                let key = rest
                    .strip_prefix('.')
                    .filter(|_| !segments.is_empty())
                    .unwrap_or(rest);
                let end = key.find(['.', '[']).unwrap_or(key.len());
                if end == 0 || key[..end].contains(']') {
                    return Err(PathError::BadStep);
                }
                segments.push(Segment::Key(key[..end].into()));
                &key[end..]
            };
            if segments.len() > Self::MAX_SEGMENTS {
                return Err(PathError::TooManySteps);
            }
        }
        Ok(Self {
            segments,
            written: written.into(),
        })
    }

    /// The path of one key of an object.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of_key(key: &str) -> Self {
        Self {
            segments: vec![Segment::Key(key.into())],
            written: key.into(),
        }
    }

    /// The path from an element of a list to itself.
    pub(crate) fn of_element() -> Self {
        Self {
            segments: Vec::new(),
            written: "".into(),
        }
    }

    /// The steps, from the outermost on. Every parsed path has at least one.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The path that leads from the end of this one along `relative`.
    #[must_use]
    pub fn join(&self, relative: &Self) -> Self {
        Self {
            segments: [self.segments.as_slice(), relative.segments.as_slice()].concat(),
            written: format!("{}.{}", self.written, relative.written).into(),
        }
    }

    /// The last step, if it is a key.
    pub fn last_key(&self) -> Option<&str> {
        match self.segments.last() {
            Some(Segment::Key(key)) => Some(key),
            _ => None,
        }
    }
}

/// Parses what follows a `[`, up to and including its `]`; returns the rest.
fn bracket<'a>(inside: &'a str, segments: &mut Vec<Segment>) -> Result<&'a str, PathError> {
    if let Some(quoted) = inside.strip_prefix('"') {
        let (key, rest) = quoted.split_once("\"]").ok_or(PathError::BadBracket)?;
        segments.push(Segment::Key(key.into()));
        return Ok(rest);
    }
    let end = inside.find([']', '=']).ok_or(PathError::BadBracket)?;
    if let Some(value) = inside[end..].strip_prefix('=') {
        return selector(&inside[..end], value, segments);
    }
    let index = inside[..end].parse().map_err(|_| PathError::BadBracket)?;
    segments.push(Segment::Index(index));
    Ok(&inside[end + 1..])
}

/// Parses a selector from behind its `=`, up to and including its `]`; returns the rest.
fn selector<'a>(
    key: &str,
    value: &'a str,
    segments: &mut Vec<Segment>,
) -> Result<&'a str, PathError> {
    let is_plain = |text: &str| !text.is_empty() && !text.contains(['[', '"']);
    let key = key.trim_ascii();
    let (value, rest) = if let Some(quoted) = value.trim_ascii_start().strip_prefix('"') {
        quoted.split_once("\"]").ok_or(PathError::BadBracket)?
    } else {
        let (value, rest) = value.split_once(']').ok_or(PathError::BadBracket)?;
        if !is_plain(value.trim_ascii()) {
            return Err(PathError::BadSelector);
        }
        (value.trim_ascii(), rest)
    };
    if !is_plain(key) || value.is_empty() {
        return Err(PathError::BadSelector);
    }
    segments.push(Segment::Where {
        key: key.into(),
        value: value.into(),
    });
    Ok(rest)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_keys_and_indexes() {
        let path = Path::parse(r#"properties.items[0]["a.b"].c"#).expect("good");
        let key = |k: &str| Segment::Key(k.into());
        assert_eq!(
            path.segments(),
            [
                key("properties"),
                key("items"),
                Segment::Index(0),
                key("a.b"),
                key("c")
            ]
        );
    }

    #[test]
    fn a_broken_path_is_refused() {
        for (written, expected) in [
            ("", PathError::Empty),
            (".a", PathError::BadStep),
            ("a..b", PathError::BadStep),
            ("a.", PathError::BadStep),
            ("a]b", PathError::BadStep),
            ("a[", PathError::BadBracket),
            ("a[x]", PathError::BadBracket),
            ("a[-1]", PathError::BadBracket),
            ("a[\"b]", PathError::BadBracket),
            ("a[b=c", PathError::BadBracket),
            ("a[b=\"c]", PathError::BadBracket),
            ("a[b=\"c\"", PathError::BadBracket),
            ("a[=c]", PathError::BadSelector),
            ("a[ =c]", PathError::BadSelector),
            ("a[b=]", PathError::BadSelector),
            ("a[b= ]", PathError::BadSelector),
            ("a[b=\"\"]", PathError::BadSelector),
            ("a[b=c\"d]", PathError::BadSelector),
            ("a[b=[c]", PathError::BadSelector),
            ("a[[b]=c]", PathError::BadBracket),
            ("a[b[=c]", PathError::BadSelector),
            ("a[b=c]d]", PathError::BadStep),
        ] {
            assert_eq!(Path::parse(written), Err(expected), "{written}");
        }
        let of_length = |length| Path::parse(&vec!["a"; length].join("."));
        assert!(of_length(Path::MAX_SEGMENTS).is_ok());
        assert_eq!(
            of_length(Path::MAX_SEGMENTS + 1),
            Err(PathError::TooManySteps)
        );
    }

    #[test]
    fn a_selector_is_a_key_and_a_text_that_may_be_quoted() {
        for (written, key, value) in [
            ("ids[type=email].id", "type", "email"),
            ("ids[ type = an email ].id", "type", "an email"),
            ("ids[type=\"email\"].id", "type", "email"),
            (
                "ids[type= \" e[0]=\"mail\" \"].id",
                "type",
                " e[0]=\"mail\" ",
            ),
            ("ids[0=a=b].id", "0", "a=b"),
            ("ids[a.b=c.d].id", "a.b", "c.d"),
        ] {
            let path = Path::parse(written).expect(written);
            let expected = Segment::Where {
                key: key.into(),
                value: value.into(),
            };
            assert_eq!(path.segments()[1], expected, "{written}");
            assert_eq!(path.segments().len(), 3, "{written}");
            assert_eq!(path.to_string(), written);
            assert_eq!(path.last_key(), Some("id"));
        }
    }

    #[test]
    fn a_joined_path_has_the_steps_of_both() {
        let join = |one: &str, other: &str| {
            let (one, other) = (Path::parse(one), Path::parse(other));
            one.expect("good").join(&other.expect("good"))
        };
        assert_eq!(join("a.b", "c[1]"), Path::parse("a.b.c[1]").expect("good"));
        assert_eq!(
            join("a", "[\"b.c\"]").segments(),
            Path::parse("a[\"b.c\"]").expect("good").segments()
        );
    }
}
