//! A path into a JSON value, as people write it: `context.traits.email`, `properties.items[0].price`, `a["b.c"]`.

use std::fmt;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Segment {
    /// The value of this key of an object.
    Key(Box<str>),
    /// The element at this index of a list, from 0.
    Index(usize),
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
    /// A bracket holds neither an index nor a quoted key, or does not close.
    #[error("has a `[` without a number or a quoted key and `]`")]
    BadBracket,
    /// The path has more than [`Path::MAX_SEGMENTS`] steps.
    #[error("has more than {} steps", Path::MAX_SEGMENTS)]
    TooManySteps,
}

impl Path {
    /// Steps that a written path has at most. It bounds how deep a walk recurses.
    pub const MAX_SEGMENTS: usize = 16;

    /// Parses a path: keys separated by dots, indexes in brackets, and keys that contain dots or brackets as `["key"]`.
    ///
    /// # Errors
    ///
    /// When the text is empty, a step is, a bracket is broken, or there are more than [`Path::MAX_SEGMENTS`] steps.
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

    /// The steps, from the outermost on; at least one.
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
    let (digits, rest) = inside.split_once(']').ok_or(PathError::BadBracket)?;
    let index = digits.parse().map_err(|_| PathError::BadBracket)?;
    segments.push(Segment::Index(index));
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
