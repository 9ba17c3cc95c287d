//! The parameters of one section of a server event, and which of them an event can fill.
//!
//! A preset maps a hundred parameters, and an event holds about a third of them. The filled slots say which ones, so that
//! the others cost nothing.

use super::field::FieldPlan;
use json_paths::{ObjectView, SlotBits};
use std::ops::Deref;

/// The plans of some parameters, in the order of sending.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    plans: Vec<FieldPlan>,
    /// For each [`GROUP`] of plans.
    groups: Vec<Group>,
}

/// Plans in a group: as many as a word has bits.
const GROUP: usize = u64::BITS as usize;

/// A bit for each plan of a group, the first one in the lowest.
#[derive(Debug, Default)]
struct Group {
    all: u64,
    /// Those that can have a value although none of their slots does.
    always: u64,
    /// For each slot, those that read it.
    by_slot: SlotBits,
}

impl Group {
    fn of(plans: &[FieldPlan]) -> Self {
        let mut group = Self::default();
        for (place, plan) in plans.iter().enumerate() {
            let bit = 1 << place;
            group.all |= bit;
            if plan.can_do_without_slots() {
                group.always |= bit;
            }
            for slot in &plan.slots {
                group.by_slot.add(*slot, bit);
            }
        }
        group
    }
}

impl From<Vec<FieldPlan>> for Fields {
    /// Sorts them into the order of sending.
    fn from(mut plans: Vec<FieldPlan>) -> Self {
        plans.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        let groups = plans.chunks(GROUP).map(Group::of).collect();
        Self { plans, groups }
    }
}

impl Deref for Fields {
    type Target = [FieldPlan];

    fn deref(&self) -> &[FieldPlan] {
        &self.plans
    }
}

impl Fields {
    /// Those that can have a value in what was found, and perhaps some others; with `all`, every one.
    #[inline]
    pub(crate) fn within<'p, 'f, 'a>(
        &'p self,
        cells: ObjectView<'f, 'a>,
        all: bool,
    ) -> Within<'p, 'f, 'a> {
        Within {
            fields: self,
            cells,
            all,
            next_group: 0,
            left: 0,
        }
    }
}

/// Those of some fields that can have a value.
#[derive(Debug)]
pub(crate) struct Within<'p, 'f, 'a> {
    fields: &'p Fields,
    cells: ObjectView<'f, 'a>,
    all: bool,
    next_group: usize,
    /// The bits of the current group that are not visited yet.
    left: u64,
}

impl<'p> Iterator for Within<'p, '_, '_> {
    type Item = &'p FieldPlan;

    #[inline]
    fn next(&mut self) -> Option<&'p FieldPlan> {
        while self.left == 0 {
            let group = self.fields.groups.get(self.next_group)?;
            self.next_group += 1;
            self.left = if self.all {
                group.all
            } else {
                group.always | self.cells.bits_of(&group.by_slot)
            };
        }
        let place = self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        self.fields.plans.get((self.next_group - 1) * GROUP + place)
    }
}
