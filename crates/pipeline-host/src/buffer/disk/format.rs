//! The form of the database.

/// The version of the file's layout.
pub(super) const FORMAT_VERSION: u32 = 1;
