//! Faults that were found once, each as a test named after it: `fault_b4_...`. The list is
//! `docs/proof/faults.md`. Each test runs in a process of its own.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/counting.rs"]
mod counting;

mod context;
mod growth;
mod memory;
mod promise;
mod standstill;
