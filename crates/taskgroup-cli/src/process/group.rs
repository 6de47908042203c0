//! The process group of a command, for systems that have nothing stronger.
//!
//! A process group keeps its number from others as long as a process is in it. So its guard may
//! signal it even when the leader has been reaped, and looks often enough to see its end.

use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::children;
use super::wire::Process;

/// Whether no process is left in the group. Its leader must have been reaped.
///
/// A zombie of the group keeps its number, and an orphan is a zombie until the first process of the
/// system reaps it. In a container that may be never, so zombies do not count.
pub(super) fn is_empty(group: Pid) -> bool {
    // A process of another user counts, although it cannot be signalled.
    if test_kill_process_group(group) == Err(Errno::SRCH) {
        return true;
    }
    if children::is_group_alive(group) {
        return false;
    }
    // A process that was made during that look may have been overlooked. After this there are no
    // new ones: the kernel lets no process fork that has a SIGKILL.
    kill(group);
    !children::is_group_alive(group)
}

/// Kills what a killed guard has left of its group.
pub(super) fn kill(group: Pid) {
    // It fails when nothing is left.
    let _ = kill_process_group(group, Signal::KILL);
}

/// The living processes of the group, as the report names them. There is no other way to their
/// names than `ps` that all systems have.
pub(super) fn members(group: Pid) -> Vec<Process> {
    let mut ps = Command::new("ps");
    let output = ps.args(["-A", "-o", "pid=,pgid=,stat=,comm="]).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    parse(
        &String::from_utf8_lossy(&text),
        group.as_raw_nonzero().get(),
    )
}

fn parse(text: &str, group: i32) -> Vec<Process> {
    let mut processes: Vec<Process> = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let pid = fields.next()?.parse().ok()?;
            let is_member = fields.next()?.parse() == Ok(group);
            let is_living = !fields.next()?.starts_with('Z');
            // Some systems write the whole path.
            let name = fields.collect::<Vec<_>>().join(" ");
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            (is_member && is_living).then_some(Process { pid, name })
        })
        .collect();
    processes.sort_by_key(|process| process.pid);
    processes
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    #[test]
    fn members_are_told_from_others_and_from_zombies() {
        let text = "  12   7 S    sleep\n   9   7 Ss   /bin/my sh\n  13   7 Z    gone\n\
                    \x20 14   8 S    x\n\nodd\n";
        let found = parse(text, 7);
        let found: Vec<_> = found.iter().map(|p| (p.pid, p.name.as_str())).collect();
        assert_eq!(found, [(9, "my sh"), (12, "sleep")]);
    }

    #[test]
    fn a_group_of_zombies_is_empty() {
        let mut child = Command::new("sleep").arg("100").process_group(0).spawn();
        let child = child.as_mut().unwrap();
        let group = Pid::from_child(child);
        assert!(!is_empty(group));
        child.kill().unwrap();
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(group), ended).unwrap();
        assert!(is_empty(group));
        child.wait().unwrap();
    }
}
