//! One place of a tree of paths.

use crate::folding::fold;
use crate::keys::Keys;
use crate::scan::{Broken, Key};
use crate::selector::Selector;
use crate::slot::{List, Slot};

/// A place in a text that a path leads to or through. Node 0 is the whole text.
///
/// Every spelling of a key that a path has is a node of its own. One more node for each key, the *link*, is what all other
/// spellings lead to: no path ends there, but it has the nodes of all spellings in `also`. So every spelling in a text
/// leads to one node, and predictions need not know of spellings.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) slot: Option<Slot>,
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
    /// Steps of the paths before the last one that leads here.
    pub(crate) steps_before: usize,
    pub(crate) is_link: bool,
    /// Whether noting a value takes more than its slot.
    pub(crate) is_special: bool,
}

/// Adds the node of a key to the object of node `at`, which does not have this spelling of the key yet.
pub(crate) fn add_key(nodes: &mut Vec<Node>, at: usize, key: &str, steps_before: usize) -> usize {
    let mut folded = String::new();
    fold(key, &mut folded);
    let link = nodes[at].links.find_text(&folded).unwrap_or_else(|| {
        let link = nodes.len();
        nodes.push(Node {
            is_link: true,
            is_special: true,
            ..Node::default()
        });
        nodes[at].links.insert(&folded, link);
        link
    });
    let new = nodes.len();
    let others = nodes[link].also.clone();
    for node in others.iter().chain([&link]) {
        nodes[*node].also.push(new);
        nodes[*node].is_special = true;
    }
    nodes.push(Node {
        steps_before,
        is_special: !others.is_empty(),
        also: others,
        ..Node::default()
    });
    nodes[at].keys.insert(key, new);
    new
}

/// Adds the node of an index to the list of node `at`, which does not have it yet.
pub(crate) fn add_index(nodes: &mut Vec<Node>, at: usize, index: usize) -> usize {
    let new = add(nodes);
    nodes[at].indexes.push((index, new));
    new
}

/// Adds the node of a selector to the list of node `at`, which does not have it yet.
pub(crate) fn add_selector(nodes: &mut Vec<Node>, at: usize, selector: Selector) -> usize {
    let new = add(nodes);
    nodes[at].selectors.push((selector, new));
    new
}

fn add(nodes: &mut Vec<Node>) -> usize {
    nodes.push(Node::default());
    nodes.len() - 1
}

impl Node {
    /// Whether paths lead into a list, or into an object that is read as one.
    #[inline]
    pub(crate) fn reads_items(&self) -> bool {
        self.list.is_some() || !self.indexes.is_empty() || !self.selectors.is_empty()
    }

    /// The node of this index of a list.
    #[inline]
    pub(crate) fn at_index(&self, index: usize) -> Option<usize> {
        let known = self.indexes.iter().find(|(known, _)| *known == index);
        known.map(|(_, node)| *node)
    }

    /// The node of this selector.
    pub(crate) fn at_selector(&self, selector: &Selector) -> Option<usize> {
        let known = self.selectors.iter().find(|(known, _)| known == selector);
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
