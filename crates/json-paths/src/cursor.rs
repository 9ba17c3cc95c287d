//! The walk: one pass over a text along a tree of paths, which notes the position of each value that a path names.
//!
//! In goes a text, out comes [`Found`], or the fact that the text was rejected. It is written by hand because most of the
//! time of an event is spent here. It recurses once per step of a path, never per level of the text.

use crate::deviation::Deviation;
#[cfg(any(test, feature = "fault-injection"))]
use crate::fault;
use crate::found::Found;
use crate::items;
use crate::node::Node;
use crate::paths::Paths;
use crate::prediction::{KeyPrediction, Memory, NO_NODE, Separator};
use crate::root::Root;
use crate::rows::{ListRows, MAX_ELEMENTS, RowMut, Span};
use crate::scan::{Broken, Scanner};
use crate::scratch::Parts;
use crate::selector::Selector;
use crate::slot::List;

/// Walks one JSON text.
///
/// # Errors
///
/// When the walk rejects the text: see the guarantees of the crate.
#[inline]
pub(crate) fn walk<'a>(
    paths: &Paths,
    root: Root,
    text: &'a str,
    memory: Memory,
) -> Result<Found<'a>, Broken> {
    let mut found = Found::new(text, paths, root, memory);
    let mut cursor = Cursor::of_text(&mut found, paths);
    let start = Scanner::new(text).token();
    let end = match root {
        Root::Object => cursor.value::<EXACT>(start, 0)?,
        Root::List(list) => cursor.list_alone(start, list)?,
    };
    #[cfg(any(test, feature = "fault-injection"))]
    fault::fail_if_told(memory)?;
    match end.token().rest() {
        [] => Ok(found),
        _ => Err(Broken),
    }
}

/// Whether all keys on the way are spelled as the paths have them: a walk is compiled twice, so that the usual one has no
/// deviation to think of.
type IsExact = bool;
pub(crate) const EXACT: IsExact = true;
pub(crate) const DEVIATING: IsExact = false;

/// Walks one object along one tree of paths, and notes what it finds.
pub(crate) struct Cursor<'p, 'm> {
    pub(crate) paths: &'p Paths,
    /// Bytes of the whole text.
    length: usize,
    row: RowMut<'m>,
    prediction: &'m mut KeyPrediction,
    /// Empty in the elements of lists, whose paths have no lists.
    pub(crate) lists: &'m mut [ListRows],
    /// How the keys on the way to the position deviate from the paths.
    pub(crate) deviation: Deviation,
}

impl<'p, 'm> Cursor<'p, 'm> {
    /// The cursor for the text itself.
    #[inline]
    pub(crate) fn of_text(found: &'m mut Found<'_>, paths: &'p Paths) -> Self {
        let length = found.text().len();
        let Parts {
            row,
            prediction,
            lists,
        } = found.parts();
        Self {
            paths,
            length,
            row,
            prediction,
            lists,
            deviation: Deviation::NONE,
        }
    }

    /// The cursor for an element of a list, which has a row and the predictions of the list.
    #[inline]
    pub(crate) fn of_element(
        (row, prediction): (RowMut<'m>, &'m mut KeyPrediction),
        paths: &'p Paths,
        length: usize,
    ) -> Self {
        Self {
            paths,
            length,
            row,
            prediction,
            lists: &mut [],
            deviation: Deviation::NONE,
        }
    }

    /// Reads the value of a node.
    fn value<'a, const E: IsExact>(
        &mut self,
        start: Scanner<'a>,
        at: usize,
    ) -> Result<Scanner<'a>, Broken> {
        let node = &self.paths.nodes[at];
        let end = match start.byte() {
            b'{' | b'[' => self.inside::<E>(start, at)?,
            _ => start.scalar()?,
        };
        self.note::<E>(node, start, end)
    }

    /// Reads what is inside a list or object. An object is also read as a list, where one is looked for.
    #[inline]
    fn inside<'a, const E: IsExact>(
        &mut self,
        start: Scanner<'a>,
        at: usize,
    ) -> Result<Scanner<'a>, Broken> {
        let node = &self.paths.nodes[at];
        let mut end = None;
        if node.reads_items {
            end = Some(self.list::<E>(start, node)?);
        }
        if start.byte() == b'{' && !node.keys.is_empty() {
            end = Some(self.object::<E>(start, at)?);
        }
        end.map_or_else(|| start.value(), Ok)
    }

    /// Notes the value between two positions, for its node and for those of other spellings.
    #[expect(
        clippy::inline_always,
        reason = "saves a tenth of the instructions of the walk"
    )]
    #[inline(always)]
    fn note<'a, const E: IsExact>(
        &mut self,
        node: &'p Node,
        start: Scanner<'a>,
        end: Scanner<'a>,
    ) -> Result<Scanner<'a>, Broken> {
        let span = self.span(start, end);
        self.set::<E>(node, span);
        if node.is_special {
            if let Some(twin) = node.twin {
                let deviation = if E == EXACT {
                    node.step
                } else {
                    self.deviation.and(node.step)
                };
                self.row.set_deviating(twin, span, deviation);
            } else {
                self.note_special(node, start, span)?;
            }
        }
        Ok(end)
    }

    /// Where the value between two positions is in the text.
    #[inline]
    pub(crate) fn span(&self, start: Scanner<'_>, end: Scanner<'_>) -> Span {
        let place = |scanner: Scanner<'_>| self.length - scanner.rest().len();
        Span::new(place(start)..place(end))
    }

    /// Stores a value in the cell of its node.
    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    pub(crate) fn set<const E: IsExact>(&mut self, node: &Node, span: Span) {
        if let Some(cell) = node.cell {
            if E == EXACT {
                self.row.set(cell, span);
            } else {
                self.row.set_deviating(cell, span, self.deviation);
            }
        }
    }

    /// Notes what takes more than a cell: the same value for other spellings of its key, and a value that is not a list.
    /// Cold, so that calling it costs nothing where it is not called: this saves 300 instructions per event.
    #[cold]
    fn note_special(
        &mut self,
        node: &'p Node,
        start: Scanner<'_>,
        span: Span,
    ) -> Result<(), Broken> {
        let before = self.deviation;
        for at in &node.also {
            self.deviation = before.and(node.step);
            self.note_other_spelling(*at, start, span)?;
        }
        self.deviation = before;
        self.note_for_list(node, start);
        Ok(())
    }

    /// Notes a value for one node of another spelling of its key.
    fn note_other_spelling(
        &mut self,
        at: usize,
        start: Scanner<'_>,
        span: Span,
    ) -> Result<(), Broken> {
        let node = &self.paths.nodes[at];
        if matches!(start.byte(), b'{' | b'[') && !node.is_end {
            self.inside::<DEVIATING>(start, at)?;
        }
        self.set::<DEVIATING>(node, span);
        self.note_for_list(node, start);
        Ok(())
    }

    /// Notes a value that is neither a list nor read as one, where one is looked for.
    pub(crate) fn note_for_list(&mut self, node: &Node, start: Scanner<'_>) {
        if let Some(list) = node.list
            && !matches!(start.byte(), b'[' | b'{' | b'n')
        {
            self.lists[list.0].note_other_value(self.deviation);
        }
    }

    fn object<'a, const E: IsExact>(
        &mut self,
        start: Scanner<'a>,
        at: usize,
    ) -> Result<Scanner<'a>, Broken> {
        let paths: &'p Paths = self.paths;
        let (mut here, mut is_first) = (start, true);
        let mut place = self.prediction.first(at);
        loop {
            let predicted = self.prediction.at(place);
            let (child, value);
            if predicted.child != 0
                && let Some(behind) = predicted.separator.pass(here)
            {
                (child, value) = (predicted.child, behind);
                place = predicted.after;
            } else {
                let (key, is_over) = if is_first {
                    here.open(b'}')
                } else {
                    here.after_element(b'}')?
                };
                if is_over {
                    return Ok(key);
                }
                let (key, behind) = key.key()?;
                child = paths.nodes[at].at_raw_key(key)?.unwrap_or(NO_NODE);
                value = behind;
                if let Some(separator) = Separator::between(here, value) {
                    self.prediction.learn(place, child, separator);
                }
                place = self.prediction.after(place, child);
            }
            is_first = false;
            here = match (paths.nodes.get(child), value.byte()) {
                (Some(_), b'{' | b'[') => self.value::<E>(value, child)?,
                (Some(node), first) => {
                    let is_text = first == b'"';
                    let end = if is_text {
                        value.string()
                    } else {
                        value.scalar()
                    }?;
                    self.note::<E>(node, value, end)?
                }
                (None, _) => value.value()?,
            };
        }
    }

    /// Reads a list by index, by selectors, and for its elements. Usually it is one of these; each takes a pass over the
    /// list, and each selector one of its own.
    fn list<'a, const E: IsExact>(
        &mut self,
        start: Scanner<'a>,
        node: &'p Node,
    ) -> Result<Scanner<'a>, Broken> {
        let mut end = None;
        if !node.indexes.is_empty() {
            end = Some(self.indexes::<E>(start, node)?);
        }
        for (selector, child) in &node.selectors {
            end = Some(self.selected::<E>(start, selector, *child)?);
        }
        if let Some(list) = node.list {
            end = self.elements(start, list)?.or(end);
        }
        end.map_or_else(|| start.value(), Ok)
    }

    /// Reads a text that is a list.
    #[cold]
    fn list_alone<'a>(&mut self, start: Scanner<'a>, list: List) -> Result<Scanner<'a>, Broken> {
        let end = match start.byte() {
            b'[' | b'{' => self.elements(start, list)?,
            _ => None,
        };
        end.map_or_else(|| start.value(), Ok)
    }

    /// Reads the elements of a list, unless one that deviates less was read before.
    fn elements<'a>(
        &mut self,
        start: Scanner<'a>,
        list: List,
    ) -> Result<Option<Scanner<'a>>, Broken> {
        let memory = self.prediction.memory();
        let (paths, rows) = (&self.paths.lists[list.0].0, &mut self.lists[list.0]);
        if rows.start(paths, memory, self.deviation) {
            elements(rows, paths, start, self.length).map(Some)
        } else {
            Ok(None)
        }
    }

    fn indexes<'a, const E: IsExact>(
        &mut self,
        start: Scanner<'a>,
        node: &Node,
    ) -> Result<Scanner<'a>, Broken> {
        let mut index = 0;
        items::each(start, |item| {
            let child = node.at_index(index);
            index += 1;
            match child {
                Some(child) => self.value::<E>(item, child),
                None => item.value(),
            }
        })
    }

    /// Reads the first element that a selector selects. Its key can come after the wanted ones, so it is looked up first.
    fn selected<'a, const E: IsExact>(
        &mut self,
        start: Scanner<'a>,
        selector: &Selector,
        child: usize,
    ) -> Result<Scanner<'a>, Broken> {
        let mut left = MAX_ELEMENTS;
        items::each(start, |item| {
            if left == 0 {
                return item.value();
            }
            left -= 1;
            match items::is_selected(item, selector)? {
                (true, _) => {
                    left = 0;
                    self.value::<E>(item, child)
                }
                (false, end) => Ok(end),
            }
        })
    }
}

/// Reads the elements of a list. An element that is not an object becomes an empty row, so that the rows have the numbers
/// of their elements.
fn elements<'a>(
    rows: &mut ListRows,
    paths: &Paths,
    start: Scanner<'a>,
    length: usize,
) -> Result<Scanner<'a>, Broken> {
    items::each(start, |item| match rows.next() {
        Some(row) => Cursor::of_element(row, paths, length).value::<EXACT>(item, 0),
        None => item.value(),
    })
}
