//! Sets of parameters of `user_data`.

use super::{PARAMETERS, ParameterId};

/// A set of parameters of `user_data`: a bit for each, by its place in the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Identifiers(u128);

impl Identifiers {
    /// The set of the parameters with these keys.
    pub(crate) fn of(keys: &[&str]) -> Self {
        let mut set = Self::default();
        for parameter in PARAMETERS {
            if let Some(key) = parameter.name.strip_prefix("user_data.")
                && keys.contains(&key)
                && let Some(id) = ParameterId::named(parameter.name)
            {
                set.insert(id);
            }
        }
        set
    }

    pub(crate) fn insert(&mut self, parameter: ParameterId) {
        self.0 |= 1 << parameter.place();
    }

    pub(crate) fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The places of its parameters in the table, lowest first.
    pub(crate) fn places(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(place)
        })
    }
}
