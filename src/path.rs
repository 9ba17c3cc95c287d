//! Paths into an event, as people write them: `context.traits.email`, `properties.items[0].price`, `a["b.c"]`.

use std::fmt;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// The value of this key of an object.
    Key(Box<str>),
    /// The element at this place of a list, from 0.
    Index(usize),
}

/// A path that has been read. Shows itself as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    segments: Vec<Segment>,
    written: Box<str>,
}

/// Steps in one path, at most. Events are shallow; this bounds the work per key.
const MAX_SEGMENTS: usize = 16;

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// A few words that say what is wrong with it.
    pub(crate) fn parse(written: &str) -> Result<Self, &'static str> {
        let mut segments = Vec::new();
        let mut rest = written;
        if rest.is_empty() {
            return Err("is an empty path");
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
                    return Err("has an empty or broken step");
                }
                segments.push(Segment::Key(key[..end].into()));
                &key[end..]
            };
            if segments.len() > MAX_SEGMENTS {
                return Err("has more than 16 steps");
            }
        }
        Ok(Self {
            segments,
            written: written.into(),
        })
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The path that leads from here along `relative`.
    pub(crate) fn join(&self, relative: &Self) -> Self {
        Self {
            segments: [self.segments.as_slice(), relative.segments.as_slice()].concat(),
            written: format!("{}.{}", self.written, relative.written).into(),
        }
    }

    /// The name of the last step, where it is a key.
    pub(crate) fn last_key(&self) -> Option<&str> {
        match self.segments.last() {
            Some(Segment::Key(key)) => Some(key),
            _ => None,
        }
    }
}

/// Reads what follows a `[`, up to and including its `]`.
fn bracket<'a>(inside: &'a str, segments: &mut Vec<Segment>) -> Result<&'a str, &'static str> {
    const BROKEN: &str = "has a `[` without a number or a quoted key and `]`";
    if let Some(quoted) = inside.strip_prefix('"') {
        let (key, rest) = quoted.split_once("\"]").ok_or(BROKEN)?;
        segments.push(Segment::Key(key.into()));
        return Ok(rest);
    }
    let (digits, rest) = inside.split_once(']').ok_or(BROKEN)?;
    segments.push(Segment::Index(digits.parse().map_err(|_| BROKEN)?));
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
    fn a_path_has_keys_and_places() {
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
        for written in [
            "", ".a", "a..b", "a.", "a[", "a[x]", "a[-1]", "a]b", "a[\"b]",
        ] {
            assert!(Path::parse(written).is_err(), "{written}");
        }
        assert!(Path::parse(&vec!["a"; MAX_SEGMENTS].join(".")).is_ok());
        assert!(Path::parse(&vec!["a"; MAX_SEGMENTS + 1].join(".")).is_err());
    }
}
