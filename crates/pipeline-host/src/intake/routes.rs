//! What reads one source: the transforms in their order, and the sinks.
//!
//! Invariant: each transform edits a chunk once, however many sinks read it.

use crate::ack::Ack;
use crate::runtime::Failure;
use crate::sink_input::{Encoding, InputGuard, SinkInput};
use futures_util::FutureExt as _;
use pipeline_core::{Chunk, Transform};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// A running transform.
pub(crate) struct TransformNode {
    pub(crate) name: String,
    pub(crate) transform: Arc<dyn Transform>,
}

/// What reads one source.
#[derive(Default)]
pub(crate) struct Routes {
    stages: Vec<Stage>,
    sinks: Vec<SinkRoute>,
}

/// A transform that the source leads to.
struct Stage {
    node: Arc<TransformNode>,
    feeds: Vec<Feed>,
}

/// A sink that the source leads to.
struct SinkRoute {
    guard: InputGuard,
    feeds: Vec<Feed>,
}

/// Where a chunk comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feed {
    Source,
    /// The transform of this index.
    Stage(usize),
}

/// A chunk as the source sent it, and after each transform.
pub(super) struct Chunks {
    source: Chunk,
    stages: Vec<Chunk>,
}

impl Routes {
    /// Adds a transform that reads these inputs, where the source of this name leads to any of them. Transforms are added
    /// after all that they read.
    pub(crate) fn add_transform(
        &mut self,
        source: &str,
        inputs: &[String],
        node: &Arc<TransformNode>,
    ) {
        let feeds = self.feeds(source, inputs);
        if !feeds.is_empty() {
            let node = Arc::clone(node);
            self.stages.push(Stage { node, feeds });
        }
    }

    /// Adds a sink that reads these inputs, where the source of this name leads to any of them.
    pub(crate) fn add_sink(&mut self, source: &str, inputs: &[String], sink: &Arc<SinkInput>) {
        let feeds = self.feeds(source, inputs);
        if !feeds.is_empty() {
            let guard = InputGuard::new(sink);
            self.sinks.push(SinkRoute { guard, feeds });
        }
    }

    fn feeds(&self, source: &str, inputs: &[String]) -> Vec<Feed> {
        let feed = |input: &String| {
            if input == source {
                return Some(Feed::Source);
            }
            let stage = self
                .stages
                .iter()
                .position(|stage| stage.node.name == *input);
            stage.map(Feed::Stage)
        };
        inputs.iter().filter_map(feed).collect()
    }

    /// Whether a transform asks for the order of the source.
    pub(super) fn is_ordered(&self) -> bool {
        self.stages
            .iter()
            .any(|stage| stage.node.transform.is_ordered())
    }

    /// Whether any transform reads the source.
    pub(super) fn has_transforms(&self) -> bool {
        !self.stages.is_empty()
    }

    /// The sinks.
    pub(super) fn sinks(&self) -> impl Iterator<Item = &Arc<SinkInput>> {
        self.sinks.iter().map(|route| route.guard.sink())
    }

    /// Runs every transform on a chunk.
    pub(super) async fn transform(&self, source: Chunk) -> Result<Chunks, Failure> {
        let mut chunks = Chunks {
            source,
            stages: Vec::with_capacity(self.stages.len()),
        };
        for stage in &self.stages {
            let mut chunk = chunks.merged(&stage.feeds);
            let inputs = chunk.inputs();
            let task = || format!("transform `{}`", stage.node.name);
            let apply = AssertUnwindSafe(stage.node.transform.apply(&mut chunk));
            match apply.catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(Failure::task(task(), format!("failed: {error}"))),
                Err(_) => return Err(Failure::panicked(task())),
            }
            if chunk.inputs() != inputs {
                let problem = "replaced a chunk instead of editing it; please report it";
                return Err(Failure::task(task(), problem));
            }
            chunks.stages.push(chunk);
        }
        Ok(chunks)
    }

    /// Encodes a chunk for every sink, each with clones of `ack`. Uses the calling thread.
    pub(super) fn encode(&self, chunks: &Chunks, ack: &Ack) -> Vec<Encoding> {
        let encode = |route: &SinkRoute| {
            let sink = route.guard.sink();
            match route.feeds.as_slice() {
                [feed] => sink.encode(chunks.of(*feed), ack),
                feeds => sink.encode(&chunks.merged(feeds), ack),
            }
        };
        self.sinks.iter().map(encode).collect()
    }
}

impl Chunks {
    fn of(&self, feed: Feed) -> &Chunk {
        match feed {
            Feed::Source => &self.source,
            Feed::Stage(index) => &self.stages[index],
        }
    }

    /// One chunk with everything of these. Events share their bytes.
    fn merged(&self, feeds: &[Feed]) -> Chunk {
        let mut chunks = feeds.iter().map(|feed| self.of(*feed).clone());
        let first = chunks.next().unwrap_or_default();
        chunks.fold(first, |mut all, chunk| {
            all.append(chunk);
            all
        })
    }
}
