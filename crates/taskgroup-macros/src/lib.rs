//! The attribute macros of the `taskgroup` crate.
