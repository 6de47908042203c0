//! What does not compile yet and should.

/// As a report names it, without the place and the error.
#[rustfmt::skip]
pub(crate) const KNOWN: &[&str] = &[
    "`GroupBuilder::run_cancellable` with closure with an async move block, borrowed from a local",
    "`GroupBuilder::run_cancellable` with closure with an async move block, captured by reference",
    "`GroupBuilder::run_cancellable` with closure with an async move block, owned",
    "`GroupBuilder::run_cancellable` with closure with an async move block, with a reference in its type",
    "`GroupBuilder::run_to_end` with closure with an async move block, borrowed from a local",
    "`GroupBuilder::run_to_end` with closure with an async move block, captured by reference",
    "`GroupBuilder::run_to_end` with closure with an async move block, owned",
    "`GroupBuilder::run_to_end` with closure with an async move block, with a reference in its type",
    "`GroupBuilder::run` with closure with an async move block, borrowed from a local",
    "`GroupBuilder::run` with closure with an async move block, captured by reference",
    "`GroupBuilder::run` with closure with an async move block, owned",
    "`GroupBuilder::run` with closure with an async move block, with a reference in its type",
    "`TaskGroup::run` with closure with an async move block, borrowed from a local",
    "`TaskGroup::run` with closure with an async move block, captured by reference",
    "`TaskGroup::run` with closure with an async move block, owned",
    "`TaskGroup::run` with closure with an async move block, with a reference in its type",
];
