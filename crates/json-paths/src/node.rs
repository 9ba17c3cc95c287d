//! One place of a tree of paths.

use crate::deviation::Deviation;
use crate::folding::fold;
use crate::keys::Keys;
use crate::path::Segment;
use crate::scan::{Broken, Key};
use crate::selector::Selector;
use crate::slot::{Cell, List};

/// A place in a text that a path leads to or through. Node 0 is the whole text.
///
/// Every spelling of a key that a path has is a node of its own. One more node for each key, the *link*, is what all other
/// spellings lead to: no path ends there, but it has the nodes of all spellings in `also`. So every spelling in a text
/// leads to one node, and predictions need not know of spellings.
///
/// What is needed for every value comes first, so that it is in one line of the processor's cache.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Node {
    /// Where the value is stored.
    pub(crate) cell: Option<Cell>,
    /// Whether noting a value takes more than its cell.
    pub(crate) is_special: bool,
    /// Whether paths lead into a list, or into an object that is read as one.
    pub(crate) reads_items: bool,
    /// Whether no path leads further: it ends here, or this is a link.
    pub(crate) is_end: bool,
    pub(crate) list: Option<List>,
    /// The nodes of the keys of an object.
    pub(crate) keys: Keys,
    /// The links of the same keys, by their folded forms.
    links: Keys,
    /// The indexes of a list that paths lead to, and their nodes.
    pub(crate) indexes: Vec<(usize, usize)>,
    /// The selectors of a list's elements, and their nodes.
    pub(crate) selectors: Vec<(Selector, usize)>,
    /// The nodes of other spellings of the key that leads here. Its value is theirs as well, where their own spelling is
    /// absent.
    pub(crate) also: Vec<usize>,
    /// The cell of the only node in `also`, if noting the value there takes no more than this cell.
    pub(crate) twin: Option<Cell>,
    /// What the nodes in `also` deviate by.
    pub(crate) step: Deviation,
}

/// Adds the node of a step behind node `at`, which does not have it yet. So many steps are before it.
pub(crate) fn add_step(
    nodes: &mut Vec<Node>,
    at: usize,
    step: &Segment,
    steps_before: usize,
) -> usize {
    match step {
        Segment::Key(key) => add_key(nodes, at, key, steps_before),
        Segment::Index(index) => {
            let new = add(nodes, at, steps_before);
            nodes[at].indexes.push((*index, new));
            nodes[at].reads_items = true;
            new
        }
        Segment::Where { key, value } => {
            let new = add(nodes, at, steps_before);
            let (key, value) = (key.clone(), value.clone());
            nodes[at].selectors.push((Selector { key, value }, new));
            nodes[at].reads_items = true;
            new
        }
    }
}

fn add_key(nodes: &mut Vec<Node>, at: usize, key: &str, steps_before: usize) -> usize {
    let mut folded = String::new();
    fold(key, &mut folded);
    let link = nodes[at].links.find_text(&folded).unwrap_or_else(|| {
        let link = add(nodes, at, steps_before);
        nodes[link].is_special = true;
        nodes[at].links.insert(&folded, link);
        link
    });
    let new = add(nodes, at, steps_before);
    let others = nodes[link].also.clone();
    for node in others.iter().chain([&link]) {
        nodes[*node].also.push(new);
        nodes[*node].is_special = true;
    }
    nodes[new].is_special = !others.is_empty();
    nodes[new].also = others;
    nodes[at].keys.insert(key, new);
    new
}

/// Sets the twins of all spellings of a key of the object of node `at`, after a path through one of them was added.
pub(crate) fn set_twins(nodes: &mut [Node], at: usize, key: &str) {
    let Some(link) = nodes[at].links.find_folded(key.as_bytes()) else {
        return;
    };
    let spellings = nodes[link].also.clone();
    for node in spellings.into_iter().chain([link]) {
        nodes[node].twin = match (nodes[node].list, &*nodes[node].also) {
            (None, [other]) if nodes[*other].is_end => nodes[*other].cell,
            _ => None,
        };
    }
}

/// Adds a node behind node `at`.
fn add(nodes: &mut Vec<Node>, at: usize, steps_before: usize) -> usize {
    nodes.push(Node {
        step: Deviation::at_step(steps_before),
        is_end: true,
        ..Node::default()
    });
    nodes[at].is_end = false;
    nodes.len() - 1
}

impl Node {
    /// Makes the value a list.
    pub(crate) fn add_list(&mut self, list: List) {
        self.list = Some(list);
        (self.is_special, self.reads_items, self.is_end) = (true, true, false);
    }

    /// The node that a step of a path leads to.
    pub(crate) fn at(&self, step: &Segment) -> Option<usize> {
        match step {
            Segment::Key(key) => self.keys.find_text(key),
            Segment::Index(index) => self.at_index(*index),
            Segment::Where { key, value } => {
                let mut known = self.selectors.iter();
                let same = |known: &Selector| known.key == *key && known.value == *value;
                known.find(|(known, _)| same(known)).map(|(_, node)| *node)
            }
        }
    }

    /// The node of this index of a list.
    #[inline]
    pub(crate) fn at_index(&self, index: usize) -> Option<usize> {
        let known = self.indexes.iter().find(|(known, _)| *known == index);
        known.map(|(_, node)| *node)
    }

    /// The node that a key leads to: that of its spelling, else the link.
    pub(crate) fn at_key(&self, key: &str) -> Option<usize> {
        let exact = self.keys.find_text(key);
        exact.or_else(|| self.links.find_folded(key.as_bytes()))
    }

    /// The node that a key of a text leads to. Keys are compared decoded; most need no decoding.
    #[inline]
    pub(crate) fn at_raw_key(&self, key: Key<'_>) -> Result<Option<usize>, Broken> {
        if key.has_escapes {
            return Ok(self.at_key(&key.decoded().ok_or(Broken)?));
        }
        let exact = self.keys.find(key.name, key.head);
        Ok(exact.or_else(|| self.links.find_folded(key.name)))
    }
}
