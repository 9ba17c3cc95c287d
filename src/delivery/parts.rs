//! The parts of a batch that are still to be sent.

/// What is still to be sent; the last part is sent next.
#[derive(Default)]
pub(super) struct Parts(Vec<Part>);

/// Events that are sent in one request.
pub(super) struct Part {
    /// Positions in the batch.
    pub(super) positions: Vec<usize>,
    pub(super) role: Role,
}

/// What is known of a part before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing.
    Plain,
    /// The left half of a refused part; the next part is its right half. If all of the left half is delivered, the bad
    /// event is in the right half, so that sending the right half undivided would waste a request.
    LeftOfRefused,
    /// The event that Meta named as the bad one of a part, whose other events are the next part. As above, if it is delivered.
    Named,
    /// An event that was refused alone once, before another one passed.
    Confirming,
}

impl Parts {
    /// The part that is sent next.
    pub(super) fn pop(&mut self) -> Option<Part> {
        self.0.pop()
    }

    pub(super) fn push(&mut self, positions: Vec<usize>, role: Role) {
        if !positions.is_empty() {
            self.0.push(Part { positions, role });
        }
    }

    /// Adds both halves of a part. Halving goes down to single events, so that Meta's answer is about that event.
    pub(super) fn halve(&mut self, mut left: Vec<usize>, role_of_left: Role) {
        let right = left.split_off(left.len() / 2);
        self.push(right, Role::Plain);
        self.push(left, role_of_left);
    }

    /// Merges all parts into one, in order; returns its length.
    pub(super) fn merge(&mut self) -> usize {
        let parts = std::mem::take(&mut self.0).into_iter().rev();
        let positions: Vec<usize> = parts.flat_map(|part| part.positions).collect();
        let length = positions.len();
        self.push(positions, Role::Plain);
        length
    }

    /// Takes one event out of the next part, to be sent alone.
    pub(super) fn take(&mut self, index: usize) -> Option<Part> {
        let mut part = self.0.pop()?;
        let position = part.positions.remove(index);
        self.push(part.positions, part.role);
        Some(Part {
            positions: vec![position],
            role: Role::Plain,
        })
    }
}
