//! The children of this process as the kernel lists them: those it started and those it adopted.

use std::fs;
use std::io;

use rustix::process::{Pid, Signal};

use super::wire::Process;

/// The children of this process. The kernel may skip some while others come and go. So use this
/// list to decide which to signal, and `waitid` to find out whether any is left.
pub(super) fn own() -> io::Result<Vec<Pid>> {
    let mut children = Vec::new();
    let mut listed = false;
    for task in listed_in("/proc/self/task")?.flatten() {
        let Ok(text) = fs::read_to_string(task.path().join("children")) else {
            continue;
        };
        listed = true;
        children.extend(text.split_ascii_whitespace().filter_map(pid));
    }
    if listed {
        Ok(children)
    } else {
        // A kernel without CONFIG_PROC_CHILDREN.
        by_their_parent()
    }
}

/// The parent of a process, 0 if it is outside of the namespace.
pub(super) fn parent_of(pid: i32) -> Option<i32> {
    Some(Stat::of(Pid::from_raw(pid)?)?.parent)
}

/// The name of the process that asks the terminal: one in the leader's group that has it open, or
/// else the leader.
pub(super) fn who_asks_the_terminal(leader: Pid) -> String {
    let group = leader.as_raw_nonzero().get();
    let processes = fs::read_dir("/proc").into_iter().flat_map(all);
    let mut pids: Vec<Pid> = processes
        .filter(|(_, stat)| stat.group == group)
        .map(|(pid, _)| pid)
        .collect();
    // The latest first: what the others wait for.
    pids.sort_by_key(|pid| std::cmp::Reverse(pid.as_raw_nonzero()));
    let asks = pids.into_iter().find(|&pid| has_terminal_open(pid));
    let stat = Stat::of(asks.unwrap_or(leader));
    stat.map_or_else(|| "it".to_owned(), |stat| stat.name)
}

fn has_terminal_open(pid: Pid) -> bool {
    let folder = format!("/proc/{}/fd", pid.as_raw_nonzero());
    let fds = fs::read_dir(folder).into_iter().flatten().flatten();
    fds.filter_map(|fd| fs::read_link(fd.path()).ok())
        .any(|target| {
            ["/dev/tty", "/dev/pts/"]
                .iter()
                .any(|tty| starts(&target, tty))
        })
}

fn starts(path: &std::path::Path, with: &str) -> bool {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().starts_with(with.as_bytes())
}

fn listed_in(folder: &str) -> io::Result<fs::ReadDir> {
    fs::read_dir(folder).map_err(|error| {
        let text = format!("{folder}: {error}; is /proc mounted?");
        io::Error::new(error.kind(), text)
    })
}

fn by_their_parent() -> io::Result<Vec<Pid>> {
    let me = i32::try_from(std::process::id()).ok();
    let processes = all(listed_in("/proc")?);
    Ok(processes
        .filter(|(_, stat)| Some(stat.parent) == me)
        .map(|(child, _)| child)
        .collect())
}

/// The processes of the system, from `/proc`.
fn all(proc: fs::ReadDir) -> impl Iterator<Item = (Pid, Stat)> {
    proc.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str().and_then(pid)?;
        Some((pid, Stat::of(pid)?))
    })
}

fn pid(text: &str) -> Option<Pid> {
    text.parse().ok().and_then(Pid::from_raw)
}

/// The living processes among `children`, as the report names them.
pub(super) fn describe(children: &[Pid]) -> Vec<Process> {
    let mut living: Vec<Process> = children
        .iter()
        .filter_map(|&child| {
            let stat = Stat::of(child)?;
            stat.is_living().then(|| Process {
                pid: child.as_raw_nonzero().get(),
                name: stat.name,
            })
        })
        .collect();
    living.sort_by_key(|process| process.pid);
    living
}

pub(super) struct Stat {
    name: String,
    state: u8,
    parent: i32,
    pub(super) group: i32,
}

impl Stat {
    pub(super) fn of(pid: Pid) -> Option<Stat> {
        let raw = pid.as_raw_nonzero();
        parse(&fs::read(format!("/proc/{raw}/stat")).ok()?)
    }

    /// It has not ended. A zombie has.
    fn is_living(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }
}

/// Whether a process of the group lives: one that has not ended. True if that cannot be found out.
pub(super) fn is_group_alive(group: Pid) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return true;
    };
    let group = group.as_raw_nonzero().get();
    all(processes).any(|(_, stat)| stat.group == group && stat.is_living())
}

/// Whether the signal is pending for a process of the group, which blocks it.
pub(super) fn has_pending(group: Pid, signal: Signal) -> bool {
    let group = group.as_raw_nonzero().get();
    let processes = fs::read_dir("/proc").into_iter().flat_map(all);
    let mut members = processes.filter(|(_, stat)| stat.group == group);
    members.any(|(pid, _)| {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
        is_in(&status.unwrap_or_default(), "ShdPnd:", signal)
    })
}

/// Whether that mask of a `/proc/…/status` has the signal.
fn is_in(status: &str, mask: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix(mask));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0)
}

/// `pid (name) state ppid pgrp …`, where the name may hold anything, parentheses included.
fn parse(stat: &[u8]) -> Option<Stat> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let name = String::from_utf8_lossy(stat.get(open + 1..close)?).into_owned();
    let rest = std::str::from_utf8(&stat[close + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Stat {
        name,
        state,
        parent,
        group,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_may_hold_parentheses() {
        let stat = parse(b"17 (a) S 1 ) b) Z 3 42 42 0 -1").unwrap();
        assert_eq!(
            (stat.name.as_str(), stat.state, stat.parent, stat.group),
            ("a) S 1 ) b", b'Z', 3, 42)
        );
        assert!(parse(b"17 (a").is_none());
        assert!(parse(b"").is_none());
        assert!(parse(b") (").is_none());
    }

    #[test]
    fn both_ways_find_a_child_and_tell_it_from_a_zombie() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(own().unwrap().contains(&pid));
        assert!(by_their_parent().unwrap().contains(&pid));
        let named = |name: &str| describe(&[pid]).iter().any(|process| process.name == name);
        assert!(named("cat"));
        drop(child.stdin.take());
        // Ended, and not reaped yet.
        let options =
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
        assert!(own().unwrap().contains(&pid));
        assert!(describe(&[pid]).is_empty());
        child.wait().unwrap();
        assert!(!own().unwrap().contains(&pid));
    }
}
