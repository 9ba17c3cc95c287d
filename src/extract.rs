//! Takes the values at a known set of paths out of a JSON text, in one pass.
//!
//! All paths a preset names are compiled into one tree ([`Paths`]). Reading an event walks the text once along that
//! tree: what no path names is skipped without being looked at, and what a path names is kept as a slice of the text,
//! undecoded ([`Found`]). No tree of values is built, and nothing is copied. The walk is our own ([`scan`]) because it is
//! where the time of an event goes. A text that the walk rejects is passed to serde_json, which says where and why; if
//! serde_json accepts it, [`fallback`] reads the event without the walk's short cuts, and counts it.
//!
//! Invariants: whatever JSON comes in, a value of an unexpected kind is simply not found; only text that is not JSON is
//! an error. What is found in a text does not depend on the texts that were read before it ([`Guesses`]).

mod fallback;
#[cfg(test)]
pub(crate) mod fault;
mod keys;
mod scan;
#[cfg(any(test, fuzzing))]
mod seen;
#[cfg(test)]
mod tests;

pub(crate) use keys::Keys;
#[cfg(fuzzing)]
pub(crate) use seen::Readings;

use crate::path::{Path, Segment};
use scan::{Broken, Glue, Key, Scanner};
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Elements of one list that are looked at. A longer list is cut, and says so.
pub(crate) const MAX_ELEMENTS: usize = 2_000;

/// The place of one path's value in [`Found`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(usize);

/// The place of one list's rows in [`Found`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct List(usize);

/// A set of paths, compiled.
#[derive(Debug)]
pub(crate) struct Paths {
    /// Tells these paths from all others of the process.
    id: u64,
    nodes: Vec<Node>,
    slots: usize,
    /// What is looked for in the elements of each list. Lists within lists are not.
    lists: Vec<Paths>,
    known: Vec<Path>,
    /// Texts that the walk rejected although they are JSON, and that the fallback parser read.
    fallback_reads: AtomicU64,
}

#[derive(Debug, Default)]
struct Node {
    slot: Option<Slot>,
    list: Option<List>,
    keys: Keys,
    places: Vec<(usize, usize)>,
}

impl Default for Paths {
    fn default() -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            nodes: vec![Node::default()],
            slots: 0,
            lists: Vec::new(),
            known: Vec::new(),
            fallback_reads: AtomicU64::new(0),
        }
    }
}

impl Paths {
    /// The slot that will hold the value at `path`; the same path always gets the same slot.
    pub(crate) fn slot(&mut self, path: &Path) -> Slot {
        let node = self.node(path);
        if let Some(slot) = self.nodes[node].slot {
            return slot;
        }
        let slot = Slot(self.slots);
        self.slots += 1;
        self.known.push(path.clone());
        self.nodes[node].slot = Some(slot);
        slot
    }

    /// The rows of the list at `path`, and the paths that are looked for in each of its elements.
    pub(crate) fn list(&mut self, path: &Path) -> (List, &mut Paths) {
        let node = self.node(path);
        let list = *self.nodes[node].list.get_or_insert_with(|| {
            self.lists.push(Self::default());
            List(self.lists.len() - 1)
        });
        (list, &mut self.lists[list.0])
    }

    /// The paths that are looked for in the elements of a list.
    pub(crate) fn of_list(&self, list: List) -> &Self {
        &self.lists[list.0]
    }

    /// The path a slot belongs to.
    pub(crate) fn path(&self, slot: Slot) -> &Path {
        &self.known[slot.0]
    }

    /// Reads one JSON text.
    ///
    /// # Errors
    ///
    /// When it is not JSON, or not an object.
    pub(crate) fn read<'a>(&self, text: &'a str) -> Result<Found<'a>, Unreadable> {
        let Ok(_) = u32::try_from(text.len()) else {
            return Err(Unreadable::Malformed {
                column: u32::MAX as usize,
            });
        };
        let read = self.walk(text, Memory::Kept);
        let found = read.or_else(|Broken| fallback::read(self, text))?;
        if is_object(text) {
            Ok(found)
        } else {
            Err(Unreadable::NotAnObject)
        }
    }

    /// How many texts the walk rejected although they are JSON, so that the fallback parser read them. Each is a fault of
    /// the walk.
    pub(crate) fn fallback_reads(&self) -> u64 {
        self.fallback_reads.load(Ordering::Relaxed)
    }

    /// Walks one JSON text.
    #[inline]
    fn walk<'a>(&self, text: &'a str, memory: Memory) -> Result<Found<'a>, Broken> {
        let mut found = Found::new(text, self, memory);
        let mut sheet = found.sheet(self);
        let end = sheet.value(Scanner::new(text).token(), 0)?;
        #[cfg(test)]
        fault::fail_if_told(memory)?;
        match end.token().rest() {
            [] => Ok(found),
            _ => Err(Broken),
        }
    }

    fn node(&mut self, path: &Path) -> usize {
        let mut at = 0;
        for segment in path.segments() {
            let known = match segment {
                Segment::Key(key) => self.nodes[at].keys.find_text(key),
                Segment::Index(place) => self.nodes[at]
                    .places
                    .iter()
                    .find(|(p, _)| p == place)
                    .map(|(_, node)| *node),
            };
            at = known.unwrap_or_else(|| {
                let new = self.nodes.len();
                self.nodes.push(Node::default());
                match segment {
                    Segment::Key(key) => {
                        self.nodes[at].keys.insert(key, new);
                    }
                    Segment::Index(place) => self.nodes[at].places.push((*place, new)),
                }
                new
            });
        }
        at
    }
}

/// What was found in one text: slices of it, undecoded.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    text: &'a str,
    marks: Marks,
}

/// The place of a value in its text.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// `read` takes no text that is longer than what a span can tell.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked when the text came in"
    )]
    fn new(range: Range<usize>) -> Self {
        Self {
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    #[inline]
    fn of(self, text: &str) -> Option<&str> {
        text.get(self.start as usize..self.end as usize)
    }
}

/// Whether a walk uses and learns guesses ([`Guesses`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Memory {
    #[default]
    Kept,
    /// Nothing is learned, so nothing is guessed.
    Off,
}

/// Which key came after which, and how they were written.
///
/// Events of one origin have their keys in one order, with the same white space. So what stood between two values the last
/// time is held against the text first, which takes one comparison; reading a separator and a key, and looking it up,
/// takes two hundred instructions. A wrong guess costs that comparison and changes nothing.
///
/// Each guess has a place: by a key's node, what comes after it; behind those, by an object's node, what comes first in it;
/// behind those, what comes after keys that lead nowhere.
///
/// Why a matching guess gives the same result as reading:
///
/// * A guess is learned only from a separator and a key that were read at its place, never from another guess.
/// * A place belongs to one object of one tree of paths, so its key is always looked up among the same keys. All guesses
///   are discarded when another tree is read.
/// * A guess contains every byte from the end of the previous value (or from the opening brace) to the colon, so equal
///   bytes mean the same key. Only the white space after the colon can be longer than in the guess;
///   [`Scanner::glue`] passes the rest of it, so that the position is the same as after reading.
/// * A guess never closes an object or a list; closing brackets are always read.
#[derive(Debug, Default)]
struct Guesses {
    /// The paths that the nodes are of, and how many these are.
    of: (u64, usize),
    all: Vec<Guess>,
    memory: Memory,
}

/// A key that may come next.
#[derive(Debug, Clone, Copy, Default)]
struct Guess {
    /// What stands between the value before it and its own.
    glue: Glue,
    /// The node that it leads to, or [`NO_NODE`]; 0, which no key leads to, where nothing is known.
    child: usize,
    /// The place of what comes after a key that leads nowhere, or [`NOWHERE`].
    after_unknown: usize,
}

/// The node of a key that leads nowhere.
const NO_NODE: usize = usize::MAX;
/// The place of the guess that is never made.
const NOWHERE: usize = 0;
/// Keys that lead nowhere and that are remembered, of one tree of paths.
const MAX_UNKNOWN: usize = 256;

impl Guesses {
    fn start(&mut self, paths: &Paths, memory: Memory) {
        let of = (paths.id, paths.nodes.len());
        if self.of != of || self.memory != memory {
            (self.of, self.memory) = (of, memory);
            self.all.clear();
            self.all.resize(2 * of.1, Guess::default());
        }
    }

    /// The place of what comes first in an object.
    #[inline]
    fn first(&self, object: usize) -> usize {
        self.of.1 + object
    }

    /// The place of what comes after this key, which stands where the guess of `place` is made.
    #[inline]
    fn after(&self, place: usize, child: usize) -> usize {
        if child == NO_NODE {
            self.all[place].after_unknown
        } else {
            child
        }
    }

    /// Remembers what has come, for the next time.
    fn learn(&mut self, place: usize, child: usize, glue: Glue) {
        if place == NOWHERE || self.memory == Memory::Off {
            return;
        }
        let end = self.all.len();
        let guess = &mut self.all[place];
        (guess.child, guess.glue) = (child, glue);
        if child == NO_NODE && guess.after_unknown == NOWHERE && end < 2 * self.of.1 + MAX_UNKNOWN {
            guess.after_unknown = end;
            self.all.push(Guess::default());
        }
    }
}

/// The places of everything that was found in a text.
#[derive(Debug, Default)]
struct Marks {
    values: Values,
    slots: usize,
    guesses: Guesses,
    lists: Vec<Rows>,
}

/// The places of the values of some objects: row after row of as many slots each.
#[derive(Debug, Default)]
struct Values {
    /// Where nothing was found stands what earlier texts have left.
    spans: Vec<Span>,
    /// A bit for each slot of a row, in as many words as it takes.
    found: Vec<u64>,
}

/// The slots of one object.
#[derive(Debug)]
struct Row<'m> {
    spans: &'m mut [Span],
    found: &'m mut [u64],
}

impl Values {
    /// Makes room for a row of so many slots, and empties it.
    fn start(&mut self, row: usize, slots: usize) -> Row<'_> {
        let words = words_for(slots);
        let (first_span, first_word) = (row * slots, row * words);
        if self.spans.len() < first_span + slots {
            self.spans.resize(first_span + slots, Span::default());
        }
        self.found.truncate(first_word);
        self.found.resize(first_word + words, 0);
        Row {
            spans: &mut self.spans[first_span..first_span + slots],
            found: &mut self.found[first_word..],
        }
    }

    /// A row that has been filled.
    fn row<'f, 'a>(&'f self, text: &'a str, row: usize, slots: usize) -> Cells<'f, 'a> {
        let words = words_for(slots);
        let spans = self.spans.get(row * slots..(row + 1) * slots);
        let found = self.found.get(row * words..(row + 1) * words);
        Cells {
            text,
            spans: spans.unwrap_or_default(),
            found: found.unwrap_or_default(),
        }
    }
}

/// What was found in one object: the event itself, or an element of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cells<'f, 'a> {
    text: &'a str,
    spans: &'f [Span],
    found: &'f [u64],
}

impl<'a> Cells<'_, 'a> {
    /// The JSON text at this slot's path.
    #[inline]
    pub(crate) fn get(self, slot: Slot) -> Option<&'a str> {
        let word = self.found.get(slot.0 / WORD_BITS)?;
        if word >> (slot.0 % WORD_BITS) & 1 == 0 {
            return None;
        }
        self.spans.get(slot.0)?.of(self.text)
    }

    /// The bits of all of these slots at whose paths something stands.
    #[inline]
    pub(crate) fn bits_of(self, slots: &SlotBits) -> u64 {
        let mut bits = 0;
        for word in &slots.0 {
            let mut left = self
                .found
                .get(word.place)
                .map_or(0, |found| found & word.wanted);
            while left != 0 {
                bits |= word.of_slot[left.trailing_zeros() as usize];
                left &= left - 1;
            }
        }
        bits
    }
}

impl Row<'_> {
    #[inline]
    fn set(&mut self, slot: Slot, span: Span) {
        self.spans[slot.0] = span;
        self.found[slot.0 / WORD_BITS] |= 1 << (slot.0 % WORD_BITS);
    }
}

const WORD_BITS: usize = u64::BITS as usize;

fn words_for(slots: usize) -> usize {
    slots.div_ceil(WORD_BITS)
}

/// Bits that stand for what a slot's value is for. Most slots hold nothing, and those that do are quickly told from the
/// others, so that nothing else needs to be looked at.
#[derive(Debug, Default)]
pub(crate) struct SlotBits(Vec<WordBits>);

/// The slots of one word.
#[derive(Debug)]
struct WordBits {
    place: usize,
    /// The slots that have bits.
    wanted: u64,
    of_slot: [u64; WORD_BITS],
}

impl SlotBits {
    /// Adds bits to those of a slot.
    pub(crate) fn add(&mut self, Slot(slot): Slot, bits: u64) {
        let place = slot / WORD_BITS;
        let known = self.0.iter().position(|word| word.place == place);
        let at = known.unwrap_or_else(|| {
            self.0.push(WordBits {
                place,
                wanted: 0,
                of_slot: [0; WORD_BITS],
            });
            self.0.len() - 1
        });
        let word = &mut self.0[at];
        word.wanted |= 1 << (slot % WORD_BITS);
        word.of_slot[slot % WORD_BITS] |= bits;
    }
}

thread_local! {
    /// The last text's marks, so that the next one finds its memory ready. They are places, not values.
    static SPARE: Cell<Marks> = const {
        Cell::new(Marks {
            values: Values { spans: Vec::new(), found: Vec::new() },
            slots: 0,
            guesses: Guesses { of: (0, 0), all: Vec::new(), memory: Memory::Kept },
            lists: Vec::new(),
        })
    };
}

impl Drop for Found<'_> {
    fn drop(&mut self) {
        /// Enough for lists of hundreds of items.
        const MAX_SPARE_SPANS: usize = 64 * 1_024;
        let marks = std::mem::take(&mut self.marks);
        let rows = marks.lists.iter().map(|rows| rows.values.spans.len());
        if rows.sum::<usize>() <= MAX_SPARE_SPANS {
            // A thread that is ending keeps nothing.
            let _ = SPARE.try_with(|spare| spare.set(marks));
        }
    }
}

#[derive(Debug, Default)]
struct Rows {
    values: Values,
    slots: usize,
    guesses: Guesses,
    count: usize,
    cut: bool,
    /// Something else stands where the list should.
    is_other: bool,
}

impl Rows {
    fn clear(&mut self) {
        (self.count, self.cut, self.is_other) = (0, false, false);
    }

    /// Prepares for the elements of another list.
    fn start(&mut self, paths: &Paths, memory: Memory) {
        self.clear();
        self.slots = paths.slots;
        self.guesses.start(paths, memory);
    }

    /// The sheet for the next element; `None` at [`MAX_ELEMENTS`], where the list is cut.
    fn next<'m>(&'m mut self, paths: &'m Paths, length: usize) -> Option<Sheet<'m, 'm>> {
        if self.count == MAX_ELEMENTS {
            self.cut = true;
            return None;
        }
        let row = self.values.start(self.count, self.slots);
        self.count += 1;
        Some(Sheet {
            paths,
            length,
            row,
            guesses: &mut self.guesses,
            lists: &mut [],
        })
    }

    /// Reads the elements of a list. An element that is no object becomes an empty row, so that places keep their
    /// numbers.
    fn read<'a>(
        &mut self,
        paths: &Paths,
        start: Scanner<'a>,
        length: usize,
        memory: Memory,
    ) -> Result<Scanner<'a>, Broken> {
        self.start(paths, memory);
        let (mut here, mut is_over) = start.open(b']');
        while !is_over {
            let end = match self.next(paths, length) {
                Some(mut sheet) => sheet.value(here, 0)?,
                None => here.value()?,
            };
            (here, is_over) = end.after_element(b']')?;
        }
        Ok(here)
    }
}

impl<'a> Found<'a> {
    fn new(text: &'a str, paths: &Paths, memory: Memory) -> Self {
        let mut marks = SPARE.try_with(Cell::take).unwrap_or_default();
        marks.slots = paths.slots;
        marks.guesses.start(paths, memory);
        marks.lists.iter_mut().for_each(Rows::clear);
        marks.lists.resize_with(paths.lists.len(), Rows::default);
        Self { text, marks }
    }

    /// The sheet for the event itself.
    #[inline]
    fn sheet<'m>(&'m mut self, paths: &'m Paths) -> Sheet<'m, 'm> {
        Sheet {
            paths,
            length: self.text.len(),
            row: self.marks.values.start(0, paths.slots),
            guesses: &mut self.marks.guesses,
            lists: &mut self.marks.lists,
        }
    }

    /// The JSON text at this slot's path.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&'a str> {
        self.cells().get(slot)
    }

    /// What was found in the event itself.
    #[inline]
    pub(crate) fn cells(&self) -> Cells<'_, 'a> {
        self.marks.values.row(self.text, 0, self.marks.slots)
    }

    /// How many elements the list has that were looked at, and whether there were more.
    pub(crate) fn rows(&self, list: List) -> (usize, bool) {
        let rows = &self.marks.lists[list.0];
        (rows.count, rows.cut)
    }

    /// Whether something that is no list stands in the list's place.
    pub(crate) fn is_other(&self, list: List) -> bool {
        self.marks.lists[list.0].is_other
    }

    /// What was found in one element of the list, which is one of those that were looked at.
    pub(crate) fn element(&self, list: List, row: usize) -> Cells<'_, 'a> {
        let rows = &self.marks.lists[list.0];
        rows.values.row(self.text, row, rows.slots)
    }
}

/// Why a text could not be read. Carries places and kinds, never a piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the event is not a JSON object")]
    NotAnObject,
    #[error("the event is not valid UTF-8 from byte {valid} on")]
    NotUtf8 { valid: usize },
    #[error("the event ends in the middle of its JSON, after {column} bytes")]
    Cut { column: usize },
    #[error("the event is not valid JSON at byte {column}")]
    Malformed { column: usize },
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        let column = error.column();
        if error.is_eof() {
            Self::Cut { column }
        } else {
            Self::Malformed { column }
        }
    }
}

/// Where a walk along one tree of paths notes what it finds.
struct Sheet<'p, 'm> {
    paths: &'p Paths,
    /// Bytes of the whole text.
    length: usize,
    row: Row<'m>,
    guesses: &'m mut Guesses,
    lists: &'m mut [Rows],
}

impl<'p> Sheet<'p, '_> {
    /// Reads the value of a node. It recurses once per step of a path.
    fn value<'a>(&mut self, start: Scanner<'a>, at: usize) -> Result<Scanner<'a>, Broken> {
        let node = &self.paths.nodes[at];
        let end = match start.byte() {
            b'{' if !node.keys.is_empty() => self.object(start, at),
            b'[' if node.list.is_some() || !node.places.is_empty() => self.list(start, node),
            b'{' | b'[' => start.value(),
            _ => start.scalar(),
        }?;
        self.note(node, start, end)
    }

    /// Takes note of the value between two positions.
    #[expect(
        clippy::inline_always,
        reason = "saves a tenth of the instructions of the walk"
    )]
    #[inline(always)]
    fn note<'a>(
        &mut self,
        node: &Node,
        start: Scanner<'a>,
        end: Scanner<'a>,
    ) -> Result<Scanner<'a>, Broken> {
        if let Some(list) = node.list
            && !matches!(start.byte(), b'[' | b'n')
        {
            self.lists[list.0].is_other = true;
        }
        let place = |scanner: Scanner<'_>| self.length - scanner.rest().len();
        if let Some(slot) = node.slot {
            let span = Span::new(place(start)..place(end));
            self.row.set(slot, span);
        } else if matches!(start.byte(), b'-' | b'0'..=b'9') {
            let number = &start.rest()[..place(end) - place(start)];
            return is_finite(number).then_some(end).ok_or(Broken);
        }
        Ok(end)
    }

    fn object<'a>(&mut self, start: Scanner<'a>, at: usize) -> Result<Scanner<'a>, Broken> {
        let paths: &'p Paths = self.paths;
        let (mut here, mut is_first) = (start, true);
        let mut place = self.guesses.first(at);
        loop {
            let guess = &self.guesses.all[place];
            let (child, value) = if guess.child != 0
                && let Some(value) = here.glue(&guess.glue)
            {
                (guess.child, value)
            } else {
                let (key, is_over) = if is_first {
                    here.open(b'}')
                } else {
                    here.after_element(b'}')?
                };
                if is_over {
                    return Ok(key);
                }
                let (key, value) = key.key()?;
                let child = child(&paths.nodes[at].keys, key)?.unwrap_or(NO_NODE);
                if let Some(glue) = Glue::between(here, value) {
                    self.guesses.learn(place, child, glue);
                }
                (child, value)
            };
            place = self.guesses.after(place, child);
            is_first = false;
            here = match (paths.nodes.get(child), value.byte()) {
                (Some(node), b'"') => self.note(node, value, value.string()?)?,
                (Some(_), b'{' | b'[') => self.value(value, child)?,
                (Some(node), _) => self.note(node, value, value.scalar()?)?,
                (None, _) => value.value()?,
            };
        }
    }

    /// Reads a list by rows, by places, or both, which is rare and takes a second look.
    fn list<'a>(&mut self, start: Scanner<'a>, node: &Node) -> Result<Scanner<'a>, Broken> {
        let mut end = start;
        if !node.places.is_empty() {
            end = self.places(start, &node.places)?;
        }
        if let Some(list) = node.list {
            let memory = self.guesses.memory;
            let paths = &self.paths.lists[list.0];
            end = self.lists[list.0].read(paths, start, self.length, memory)?;
        }
        Ok(end)
    }

    fn places<'a>(
        &mut self,
        start: Scanner<'a>,
        places: &[(usize, usize)],
    ) -> Result<Scanner<'a>, Broken> {
        let (mut here, mut is_over) = start.open(b']');
        let mut place = 0;
        while !is_over {
            let end = match places.iter().find(|(known, _)| *known == place) {
                Some((_, child)) => self.value(here, *child)?,
                None => here.value()?,
            };
            (here, is_over) = end.after_element(b']')?;
            place += 1;
        }
        Ok(here)
    }
}

/// Whether a text that is JSON is an object.
fn is_object(text: &str) -> bool {
    Scanner::new(text).token().byte() == b'{'
}

/// Whether a number is one that a double can hold.
fn is_finite(number: &[u8]) -> bool {
    let digits = std::str::from_utf8(number).unwrap_or_default();
    digits.parse().is_ok_and(f64::is_finite)
}

/// The node that a key leads to. Keys are compared decoded; most need no decoding.
#[inline]
fn child(keys: &Keys, key: Key<'_>) -> Result<Option<usize>, Broken> {
    if key.has_escapes {
        return Ok(keys.find_text(&key.decoded().ok_or(Broken)?));
    }
    Ok(keys.find(key.name, key.head))
}
