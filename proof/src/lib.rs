//! Checks the library with random programs against other implementations of structured
//! concurrency.
//!
//! ```text
//! generate ──► program ──► oracle (Trio or asyncio, in Python) ──► trace ─┐
//!                     └──► ours   (the library, on Tokio)      ──► trace ─┴─► compare ──► counts, or shrink
//! ```
//!
//! [`program`] is the neutral form. [`rules`] names every intended difference.

pub mod campaign;
pub mod compare;
pub mod generate;
pub mod invariants;
pub mod oracle;
pub mod ours;
pub mod print;
pub mod program;
pub mod random;
pub mod rules;
pub mod shrink;
pub mod soak;
pub mod stress;
pub mod trace;
