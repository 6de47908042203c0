//! What a killed guard leaves: its children become children of the runner, which kills them.
//!
//! Only here does the runner have children that it did not start. They are reaped one by one, by
//! pid; those whom the program had before it was `taskgroup` (a shell's `exec` hands them on) and the
//! guards are left alone.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::time::sleep;

use super::children;
use super::wire::Process;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(64);
/// As in the guard: SIGKILL acts at once or not at all.
const LIMIT: Duration = Duration::from_secs(2);

/// Kills and reaps until no stranger is among our children; who is still there at the end of the
/// limit. `ours` is asked again every time.
pub(super) async fn sweep(ours: impl Fn() -> HashSet<Pid>) -> Vec<Process> {
    let begin = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        // The list first: a guard that was started after it is not in it.
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
