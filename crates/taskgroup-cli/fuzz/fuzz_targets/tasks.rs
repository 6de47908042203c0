//! Every text gives a tree or a list of faults, and never a panic.
//!
//!     cargo +nightly fuzz run tasks --fuzz-dir crates/taskgroup-cli/fuzz -- -runs=200000

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    assert!(!taskgroup_cli::check(text).is_empty());
});
