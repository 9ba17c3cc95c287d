//! How exactly the keys of a text are those of the path along which a value was found.

/// Which steps of a path led through a key that is spelled differently in the text: a bit for each step, the first step's
/// the highest. Of two values at one path, the one with the lower number counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deviation(u32);

impl Deviation {
    /// All keys are spelled as the path has them.
    pub(crate) const NONE: Self = Self(0);

    /// The same with one more step, after so many others. Steps too many for the bits share the lowest one.
    #[inline]
    pub(crate) fn at_step(self, steps_before: usize) -> Self {
        const LAST: usize = u32::BITS as usize - 1;
        Self(self.0 | 1 << (LAST - steps_before.min(LAST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_step_weighs_most_and_any_number_of_steps_can_be_counted() {
        let at = |steps: &[usize]| {
            let steps = steps.iter();
            steps.fold(Deviation::NONE, |deviation, step| deviation.at_step(*step))
        };
        assert!(at(&[]) < at(&[1_000]));
        assert!(at(&[1_000]) < at(&[15]));
        assert!(at(&[1, 2, 3, 15]) < at(&[0]));
        assert!(at(&[0, 3]) < at(&[0, 2]));
        assert_eq!(at(&[2, 2]), at(&[2]));
    }
}
