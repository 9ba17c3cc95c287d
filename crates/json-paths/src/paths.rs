//! A set of paths, compiled into a tree.
//!
//! In go paths, out come slots and lists: the numbers under which their values will be found. Reading is in `read`.

use crate::node::{Node, add_step, set_twins};
use crate::path::{Path, Segment};
use crate::slot::{Cell, List, Slot};
use std::sync::atomic::{AtomicU64, Ordering};

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
    known_lists: Vec<Path>,
    /// Texts that the walk rejected although they are JSON, and that the fallback parser read.
    pub(crate) fallback_reads: AtomicU64,
}

/// The paths that are looked up in each element of a list. A list inside an element can only be
/// read as a whole, by index or with a selector.
#[derive(Debug, Default)]
pub struct ElementPaths(pub(crate) Paths);

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
            known_lists: Vec::new(),
            fallback_reads: AtomicU64::new(0),
        }
    }
}

impl Paths {
    /// Adds a path and returns the slot of its value. The same path always gets the same slot.
    pub fn slot(&mut self, path: &Path) -> Slot {
        let node = self.node(path);
        if let Some(cell) = self.nodes[node].cell {
            return cell.slot;
        }
        let slot = Slot(self.slots);
        self.slots += 1;
        self.known.push(path.clone());
        self.nodes[node].cell = Some(Cell::of(slot));
        self.set_twins(path);
        slot
    }

    /// Adds a list at `path`, and returns it with the paths that are looked up in each of its elements. The same path
    /// always gets the same list.
    pub fn list(&mut self, path: &Path) -> (List, &mut ElementPaths) {
        let node = self.node(path);
        let list = self.nodes[node].list.unwrap_or_else(|| {
            let list = List(self.lists.len());
            self.lists.push(ElementPaths::default());
            self.known_lists.push(path.clone());
            self.nodes[node].add_list(list);
            self.set_twins(path);
            list
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

    /// The path of a list.
    ///
    /// # Panics
    ///
    /// When the list belongs to other paths that have more lists.
    pub fn list_path(&self, list: List) -> &Path {
        &self.known_lists[list.0]
    }

    /// How many texts the walk rejected although they are JSON, so that the fallback parser read them. Each is a fault of
    /// the walk; none is known.
    pub fn fallback_reads(&self) -> u64 {
        self.fallback_reads.load(Ordering::Relaxed)
    }

    /// The node at the end of a path, added where it is missing.
    fn node(&mut self, path: &Path) -> usize {
        let mut at = 0;
        for (steps_before, step) in path.segments().iter().enumerate() {
            at = self.nodes[at]
                .at(step)
                .unwrap_or_else(|| add_step(&mut self.nodes, at, step, steps_before));
        }
        at
    }

    fn set_twins(&mut self, path: &Path) {
        let mut at = 0;
        for step in path.segments() {
            if let Segment::Key(key) = step {
                set_twins(&mut self.nodes, at, key);
            }
            at = self.nodes[at].at(step).unwrap_or(at);
        }
    }
}

impl ElementPaths {
    /// Adds a path from the element on and returns the slot of its value. The same path always gets the same slot.
    pub fn slot(&mut self, path: &Path) -> Slot {
        self.0.slot(path)
    }

    /// The slot of the element itself, whatever it is: for lists of numbers or text, which have nothing to look up inside.
    /// Its [`path`](Self::path) has no steps and is written as empty text.
    pub fn element_slot(&mut self) -> Slot {
        self.0.slot(&Path::of_element())
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
