//! Kills what a killed guard leaves: its children become children of the runner.
//!
//! Only here does the runner have children that it did not start. It reaps them one by one, by pid.
//! It leaves alone the guards, and children from before it was `taskgroup` (a shell's `exec` passes
//! them on).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::time::sleep;

use super::children;
use super::wire::Process;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(64);
/// The same limit as in the guard: SIGKILL acts at once or not at all.
const LIMIT: Duration = Duration::from_secs(2);

/// Kills and reaps until no stranger is among the children. Returns those that are left when the
/// limit expires. Calls `ours` again every time.
pub(super) async fn sweep(ours: impl Fn() -> HashSet<Pid>) -> Vec<Process> {
    let begin = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        // Read the list first: a guard that starts later is not in it.
        let children = children::own().unwrap_or_default();
        let ours = ours();
        let strays: Vec<Pid> = children
            .into_iter()
            .filter(|child| !ours.contains(child))
            .filter(|&child| {
                let _ = kill_process(child, Signal::KILL);
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
                matches!(waitid(WaitId::Pid(child), options), Ok(None))
            })
            .collect();
        if strays.is_empty() {
            return Vec::new();
        }
        if begin.elapsed() > LIMIT {
            return children::describe(&strays);
        }
        sleep(pause).await;
        pause = LAST_PAUSE.min(pause * 2);
    }
}
