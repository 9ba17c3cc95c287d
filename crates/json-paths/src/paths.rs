//! A set of paths, compiled into a tree.
//!
//! In go paths, out come slots and lists: the numbers under which their values will be found. Reading is in `read`.

use crate::keys::Keys;
use crate::path::{Path, Segment};
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of one path's value in [`Found`](crate::Found) and [`ObjectView`](crate::ObjectView).
///
/// It belongs to the [`Paths`] that made it; with others it gives the value at another path, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub(crate) usize);

/// The number of one list in [`Found`](crate::Found). It belongs to the [`Paths`] that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct List(pub(crate) usize);

/// A set of paths, compiled into a tree along which texts are read.
#[derive(Debug)]
pub struct Paths {
    /// Tells this tree from all others of the process.
    pub(crate) id: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) slots: usize,
    /// The paths that are looked up in the elements of each list.
    pub(crate) lists: Vec<ElementPaths>,
    known: Vec<Path>,
    /// Texts that the walk rejected although they are JSON, and that the fallback parser read.
    pub(crate) fallback_reads: AtomicU64,
}

/// The paths that are looked up in each element of a list. Lists inside elements can only be read as a whole or by index.
#[derive(Debug, Default)]
pub struct ElementPaths(pub(crate) Paths);

/// A place in a text that a path leads to or through. Node 0 is the whole text.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) slot: Option<Slot>,
    pub(crate) list: Option<List>,
    /// The nodes of the keys of an object.
    pub(crate) keys: Keys,
    /// The indexes of a list that paths lead to, and their nodes.
    pub(crate) indexes: Vec<(usize, usize)>,
}

impl Default for Paths {
    /// No paths.
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
    /// Adds a path and returns the slot of its value. The same path always gets the same slot.
    pub fn slot(&mut self, path: &Path) -> Slot {
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

    /// Adds a list at `path`, and returns it with the paths that are looked up in each of its elements. The same path
    /// always gets the same list.
    pub fn list(&mut self, path: &Path) -> (List, &mut ElementPaths) {
        let node = self.node(path);
        let list = *self.nodes[node].list.get_or_insert_with(|| {
            self.lists.push(ElementPaths::default());
            List(self.lists.len() - 1)
        });
        (list, &mut self.lists[list.0])
    }

    /// The paths that are looked up in the elements of a list.
    ///
    /// # Panics
    ///
    /// When the list belongs to other paths that have more lists.
    pub fn of_list(&self, list: List) -> &ElementPaths {
        &self.lists[list.0]
    }

    /// The path of a slot.
    ///
    /// # Panics
    ///
    /// When the slot belongs to other paths that have more slots.
    pub fn path(&self, slot: Slot) -> &Path {
        &self.known[slot.0]
    }

    /// How many texts the walk rejected although they are JSON, so that the fallback parser read them. Each is a fault of
    /// the walk; none is known.
    pub fn fallback_reads(&self) -> u64 {
        self.fallback_reads.load(Ordering::Relaxed)
    }

    /// The node at the end of a path, added where it is missing.
    fn node(&mut self, path: &Path) -> usize {
        let mut at = 0;
        for segment in path.segments() {
            let known = match segment {
                Segment::Key(key) => self.nodes[at].keys.find_text(key),
                Segment::Index(index) => self.nodes[at].at_index(*index),
            };
            at = known.unwrap_or_else(|| {
                let new = self.nodes.len();
                self.nodes.push(Node::default());
                match segment {
                    Segment::Key(key) => self.nodes[at].keys.insert(key, new),
                    Segment::Index(index) => self.nodes[at].indexes.push((*index, new)),
                }
                new
            });
        }
        at
    }
}

impl ElementPaths {
    /// Adds a path from the element on and returns the slot of its value. The same path always gets the same slot.
    pub fn slot(&mut self, path: &Path) -> Slot {
        self.0.slot(path)
    }

    /// The path of a slot, from the element on.
    ///
    /// # Panics
    ///
    /// When the slot belongs to other paths that have more slots.
    pub fn path(&self, slot: Slot) -> &Path {
        self.0.path(slot)
    }
}

impl Node {
    /// The node of this index of a list.
    #[inline]
    pub(crate) fn at_index(&self, index: usize) -> Option<usize> {
        let known = self.indexes.iter().find(|(known, _)| *known == index);
        known.map(|(_, node)| *node)
    }
}
