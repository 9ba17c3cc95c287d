//! How exactly the keys of a text are those of the path along which a value was found.

/// Which steps of a path led through a key that is spelled differently in the text: a bit for each step, the first step's
/// the highest. Of two values at one path, the one with the lower number counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deviation(u32);

impl Deviation {
    /// All keys are spelled as the path has them.
    pub(crate) const NONE: Self = Self(0);

    /// One step deviates, the one after so many others. Steps too many for the bits share the lowest one.
    pub(crate) fn at_step(steps_before: usize) -> Self {
        const LAST: usize = u32::BITS as usize - 1;
        Self(1 << (LAST - steps_before.min(LAST)))
    }

    /// The steps of both deviate.
    #[inline]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_step_weighs_most_and_any_number_of_steps_can_be_counted() {
        let at = |steps: &[usize]| {
            let steps = steps.iter();
            let steps = steps.map(|step| Deviation::at_step(*step));
            steps.fold(Deviation::NONE, Deviation::and)
        };
        assert!(at(&[]) < at(&[1_000]));
        assert!(at(&[1_000]) < at(&[15]));
        assert!(at(&[1, 2, 3, 15]) < at(&[0]));
        assert!(at(&[0, 3]) < at(&[0, 2]));
        assert_eq!(at(&[2, 2]), at(&[2]));
    }
}
