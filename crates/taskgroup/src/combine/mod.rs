//! Helpers over groups: several futures, one outcome.

pub(crate) mod progress;
