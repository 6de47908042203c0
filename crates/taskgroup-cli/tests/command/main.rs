//! The command as users run it: real processes, real signals.
//!
//! FIFOs and files put events in order. Time limits only guard against a hang.
//!
//! A command with a trap waits by `while :; do sleep 0.01; done` and not by one long `sleep`. A
//! signal between fork and exec reaches the handler that the forked shell still has, and is lost.

mod asking;
#[path = "../../../taskgroup/tests/observe/browser.rs"]
mod browser;
mod bytes;
#[path = "../../../taskgroup/tests/observe/chrome_trace.rs"]
mod chrome_trace;
mod files;
mod limits;
mod map;
mod outcome;
mod parallel;
mod place;
mod plans;
mod policies;
mod schema;
mod services;
mod signals;
mod starting;
mod stopping;
mod support;
mod tasks;
mod terminal;
mod torture;
mod tutorial;
mod usage;
