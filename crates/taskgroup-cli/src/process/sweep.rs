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
    let strangers = || strangers(&ours);
    let remains = |child| {
        let _ = kill_process(child, Signal::KILL);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(child), options), Ok(None))
    };
    children::describe(&until_none(strangers, remains, LIMIT).await)
}

/// The children of the runner that it did not start.
fn strangers(ours: impl Fn() -> HashSet<Pid>) -> Vec<Pid> {
    // Read the list first: a guard that starts later is not in it.
    let children = children::own().unwrap_or_default();
    let ours = ours();
    let strangers = children.into_iter().filter(|child| !ours.contains(child));
    strangers.collect()
}

/// Reaps strangers that end by themselves, until there are none or the limit has passed.
pub(super) async fn wait(ours: impl Fn() -> HashSet<Pid>, limit: Duration) {
    let strangers = || strangers(&ours);
    let remains = |child| {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(child), options), Ok(None))
    };
    until_none(strangers, remains, limit).await;
}

/// Ends what is found until nothing is. Returns what remains when the limit expires.
async fn until_none(
    mut find: impl FnMut() -> Vec<Pid>,
    mut remains: impl FnMut(Pid) -> bool,
    limit: Duration,
) -> Vec<Pid> {
    let begin = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let found = find();
        if found.is_empty() {
            return found;
        }
        let left: Vec<Pid> = found.into_iter().filter(|&child| remains(child)).collect();
        if begin.elapsed() > limit {
            return left;
        }
        // Even if all are gone: their children are among ours only now.
        sleep(pause).await;
        pause = LAST_PAUSE.min(pause * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parent is reaped in the look that finds it, and its child comes after that.
    #[tokio::test]
    async fn what_the_last_one_leaves_is_found_too() {
        let pid = |pid| Pid::from_raw(pid).unwrap();
        let mut looks = [vec![pid(2)], vec![pid(3)], Vec::new()].into_iter();
        let mut ended = Vec::new();
        let remains = |child| {
            ended.push(child);
            false
        };
        let left = until_none(|| looks.next().unwrap(), remains, LIMIT).await;
        assert_eq!((ended, left), (vec![pid(2), pid(3)], Vec::new()));
    }
}
