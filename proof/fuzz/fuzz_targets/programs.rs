//! Whatever program the bytes make: it ends, nothing stays alive, and its trace keeps the promise
//! (`proof/src/invariants.rs`).
//!
//!     cargo +nightly fuzz run programs --fuzz-dir proof/fuzz -- -runs=200000 -len_control=0 -max_len=400

#![no_main]

use libfuzzer_sys::fuzz_target;
use taskgroup_proof::generate::generate_of_bytes;
use taskgroup_proof::invariants;
use taskgroup_proof::oracle::Interpreter;
use taskgroup_proof::ours::Library;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, choices)) = bytes.split_first() else {
        return;
    };
    let program = generate_of_bytes(choices);
    let mut library = Library {
        light_tasks: first % 2 == 1,
        ..Library::default()
    };
    let answer = library.run(&program, 0).expect("a runtime can be made");
    let faults = invariants::broken(&program, &answer.trace);
    let lines = answer.trace.lines();
    assert!(faults.is_empty(), "{faults:#?}\n{lines:#?}\n{program:?}");
    assert_eq!(taskgroup::observe::live_tasks(), 0, "{lines:#?}\n{program:?}");
});
