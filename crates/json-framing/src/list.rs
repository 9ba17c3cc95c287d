//! A list whose elements are read one by one: whether its commas are where they belong.
//!
//! Invariant: a list is called broken once at most, and never because of an element that is broken itself.

use serde::{Deserialize, Serialize};

/// A list that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct List {
    /// Where it begins.
    pub(super) line: u64,
    /// White space in front of that line.
    pub(super) indent: usize,
    expected: Expected,
    is_excused: bool,
}

/// What a list consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Element,
    Comma,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expected {
    ElementOrEnd,
    Element,
    CommaOrEnd,
    /// An element has lost its end, and perhaps taken the comma along.
    Anything,
}

impl List {
    pub(super) fn new(line: u64, indent: usize) -> Self {
        Self {
            line,
            indent,
            expected: Expected::ElementOrEnd,
            is_excused: false,
        }
    }

    /// Takes what comes next. Answers whether that makes the list a broken one, and was not said before.
    pub(super) fn add(&mut self, part: Part) -> bool {
        let is_wrong = match (part, self.expected) {
            (_, Expected::Anything) => false,
            (Part::Comma, expected) => expected != Expected::CommaOrEnd,
            (Part::Element, expected) => expected == Expected::CommaOrEnd,
            (Part::End, expected) => expected == Expected::Element,
        };
        self.expected = match part {
            Part::Comma => Expected::Element,
            Part::Element | Part::End => Expected::CommaOrEnd,
        };
        is_wrong && !std::mem::replace(&mut self.is_excused, true)
    }

    /// An element has lost its end.
    pub(super) fn excuse(&mut self) {
        self.expected = Expected::Anything;
        self.is_excused = true;
    }

    /// The end of the stream is there and that of the list is not; answers whether that was not said before. The stream may
    /// grow.
    pub(super) fn end_of_stream(&mut self) -> bool {
        !std::mem::replace(&mut self.is_excused, true)
    }

    /// Whether no element is due.
    pub(super) fn can_end(&self) -> bool {
        self.expected != Expected::Element
    }

    /// Whether it can be called broken because it has no end.
    pub(super) fn needs_its_end(&self) -> bool {
        !self.is_excused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a list of these parts is called broken, and whether its end is missing then.
    fn broken(parts: &str) -> (usize, bool) {
        let mut list = List::new(1, 0);
        let mut times = 0;
        for part in parts.chars() {
            times += usize::from(match part {
                ',' => list.add(Part::Comma),
                ']' => list.add(Part::End),
                'x' => {
                    list.excuse();
                    false
                }
                _ => list.add(Part::Element),
            });
        }
        (times, list.needs_its_end())
    }

    #[test]
    fn a_comma_that_is_missing_or_one_too_many_is_told_once() {
        for good in ["]", "1]", "1,2]", "1,2,3]"] {
            assert_eq!(broken(good), (0, true), "{good}");
        }
        for bad in [",1]", "1,]", "12]", "1,,2]", ",,1 2 3,]"] {
            assert_eq!(broken(bad), (1, false), "{bad}");
        }
    }

    #[test]
    fn an_element_without_an_end_excuses_the_comma_behind_it_and_the_end() {
        for parts in ["1x2]", "1x,2]", "1,2x]", "1,2x", "1x,]"] {
            assert_eq!(broken(parts), (0, false), "{parts}");
        }
    }
}
