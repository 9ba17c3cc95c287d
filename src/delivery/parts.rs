//! The parts of a batch that are still to be sent.

/// What is still to be sent; the last part is sent next.
#[derive(Default)]
pub(super) struct Parts(Vec<Part>);

/// Events that are sent in one request.
pub(super) struct Part {
    /// Positions in the batch.
    pub(super) positions: Vec<usize>,
    /// Whether this is the left half of a refused part, and the next part its right half. If all of the left half is delivered,
    /// the bad event is in the right half, so that sending the right half undivided would waste a request.
    pub(super) left_of_refused: bool,
}

impl Parts {
    /// The part that is sent next.
    pub(super) fn pop(&mut self) -> Option<Part> {
        self.0.pop()
    }

    pub(super) fn push(&mut self, positions: Vec<usize>, left_of_refused: bool) {
        if !positions.is_empty() {
            self.0.push(Part {
                positions,
                left_of_refused,
            });
        }
    }

    /// Adds both halves of a part. Halving goes down to single events, so that Meta's answer is about that event.
    pub(super) fn halve(&mut self, mut left: Vec<usize>, refused: bool) {
        let right = left.split_off(left.len() / 2);
        self.push(right, false);
        self.push(left, refused);
    }

    /// Merges all parts into one, in order; returns its length.
    pub(super) fn merge(&mut self) -> usize {
        let parts = std::mem::take(&mut self.0).into_iter().rev();
        let positions: Vec<usize> = parts.flat_map(|part| part.positions).collect();
        let length = positions.len();
        self.push(positions, false);
        length
    }

    /// Takes one event out of the next part, to be sent alone.
    pub(super) fn take(&mut self, index: usize) -> Option<Part> {
        let mut part = self.0.pop()?;
        let position = part.positions.remove(index);
        self.push(part.positions, part.left_of_refused);
        Some(Part {
            positions: vec![position],
            left_of_refused: false,
        })
    }
}
