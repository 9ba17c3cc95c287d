//! `jiter`, with a walk along a tree of paths as somebody would write it with this library: keys that lead somewhere are
//! followed, everything else is skipped. The keys are looked up as `json-paths` does.

use super::Reader;
use crate::retail_paths::RetailPaths;
use jiter::{Jiter, JiterResult, Peek};
use json_paths::Keys;

/// A tree of paths.
struct Tree {
    nodes: Vec<Node>,
    slots: usize,
}

#[derive(Default)]
struct Node {
    slot: Option<usize>,
    list: Option<usize>,
    keys: Keys,
}

impl Tree {
    fn new<'p>(paths: impl IntoIterator<Item = &'p &'static str>) -> Self {
        let mut tree = Self {
            nodes: vec![Node::default()],
            slots: 0,
        };
        for path in paths {
            let node = tree.node(path);
            tree.nodes[node].slot = Some(tree.slots);
            tree.slots += 1;
        }
        tree
    }

    fn node(&mut self, path: &str) -> usize {
        path.split('.').fold(0, |at, key| {
            self.nodes[at].keys.find_text(key).unwrap_or_else(|| {
                let new = self.nodes.len();
                self.nodes.push(Node::default());
                self.nodes[at].keys.insert(key, new);
                new
            })
        })
    }
}

pub(crate) struct JiterWalk<'a> {
    tree: Tree,
    elements: Vec<Tree>,
    /// Memory for strings with escapes.
    tape: Vec<u8>,
    found: Found<'a>,
}

#[derive(Default)]
struct Found<'a> {
    of_object: Vec<Option<&'a [u8]>>,
    of_elements: Vec<Vec<Option<&'a [u8]>>>,
}

impl JiterWalk<'_> {
    pub(crate) fn new(retail: &RetailPaths) -> Self {
        let mut tree = Tree::new(&retail.values);
        for (number, list) in retail.lists.iter().enumerate() {
            let node = tree.node(list.path);
            tree.nodes[node].list = Some(number);
        }
        let elements = retail.lists.iter().map(|list| Tree::new(&list.values));
        Self {
            tree,
            elements: elements.collect(),
            tape: Vec::new(),
            found: Found {
                of_object: Vec::new(),
                of_elements: retail.lists.iter().map(|_| Vec::new()).collect(),
            },
        }
    }
}

impl<'a> Reader<'a> for JiterWalk<'a> {
    fn read(&mut self, text: &'a str) -> bool {
        let mut jiter = Jiter::with_tape(text.as_bytes(), std::mem::take(&mut self.tape));
        self.found.of_object.clear();
        self.found.of_object.resize(self.tree.slots, None);
        self.found.of_elements.iter_mut().for_each(Vec::clear);
        let mut walk = Walk {
            tree: &self.tree,
            elements: &self.elements,
            row: &mut self.found.of_object,
            lists: &mut self.found.of_elements,
        };
        let read = jiter.peek().and_then(|first| {
            walk.value(&mut jiter, first, 0)?;
            jiter.finish()
        });
        self.tape = jiter.into_tape();
        read.is_ok()
    }

    fn found(&self) -> Vec<Option<String>> {
        let of_elements = self.found.of_elements.iter().flatten();
        let values = self.found.of_object.iter().chain(of_elements);
        let text = |raw: &[u8]| String::from_utf8(raw.to_vec()).expect("a part of a text");
        values.map(|raw| raw.map(text)).collect()
    }
}

/// One object that is walked along one tree.
struct Walk<'w, 'a> {
    tree: &'w Tree,
    elements: &'w [Tree],
    row: &'w mut [Option<&'a [u8]>],
    lists: &'w mut [Vec<Option<&'a [u8]>>],
}

impl<'a> Walk<'_, 'a> {
    fn value(&mut self, jiter: &mut Jiter<'a>, first: Peek, at: usize) -> JiterResult<()> {
        let node = &self.tree.nodes[at];
        let start = jiter.current_index();
        match node.list {
            _ if first == Peek::Object && !node.keys.is_empty() => self.object(jiter, at)?,
            Some(list) if first == Peek::Array => self.list(jiter, list)?,
            _ => jiter.known_skip(first)?,
        }
        if let Some(slot) = node.slot {
            self.row[slot] = Some(jiter.slice_to_current(start));
        }
        Ok(())
    }

    fn object(&mut self, jiter: &mut Jiter<'a>, at: usize) -> JiterResult<()> {
        let keys = &self.tree.nodes[at].keys;
        let mut key = jiter.known_object()?;
        while let Some(name) = key {
            match keys.find_text(name) {
                Some(child) => {
                    let first = jiter.peek()?;
                    self.value(jiter, first, child)?;
                }
                None => jiter.next_skip()?,
            }
            key = jiter.next_key()?;
        }
        Ok(())
    }

    fn list(&mut self, jiter: &mut Jiter<'a>, list: usize) -> JiterResult<()> {
        let (tree, rows) = (&self.elements[list], &mut self.lists[list]);
        let mut first = jiter.known_array()?;
        while let Some(peek) = first {
            let start = rows.len();
            rows.resize(start + tree.slots, None);
            let mut walk = Walk {
                tree,
                elements: &[],
                row: &mut rows[start..],
                lists: &mut [],
            };
            walk.value(jiter, peek, 0)?;
            first = jiter.array_step()?;
        }
        Ok(())
    }
}
