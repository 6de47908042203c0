//! The command as its users meet it: real processes, real signals.
//!
//! What has to happen in order is put in order with FIFOs and files. Limits of time are guards
//! against a hang and nothing else.
//!
//! A command with a trap waits by `while :; do sleep 0.01; done` and not by one long `sleep`: a
//! signal that comes between fork and exec runs into the handler that the forked shell still has,
//! and is lost.

#[path = "../../../taskgroup/tests/observe/browser.rs"]
mod browser;
mod bytes;
#[path = "../../../taskgroup/tests/observe/chrome_trace.rs"]
mod chrome_trace;
mod files;
mod map;
mod outcome;
mod policies;
mod signals;
mod stopping;
mod support;
mod tasks;
mod torture;
mod usage;
