//! Who is in a process group: read from `/proc`, for reports and to tell zombies from the living.
//!
//! Whom to signal is never decided here.

use std::fmt;
use std::fs;

use nix::unistd::Pid;

/// A living process, as the report names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name.escape_debug(), self.pid)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Census {
    pub(crate) living: Vec<Process>,
    pub(crate) zombies: usize,
}

impl Census {
    /// Everybody in the group `pgid`; nobody where there is no `/proc`.
    pub(crate) fn of_group(pgid: Pid) -> Census {
        let mut census = Census::default();
        let Ok(entries) = fs::read_dir("/proc") else {
            return census;
        };
        for entry in entries.flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            // Processes come and go while we read.
            let Ok(stat) = fs::read(entry.path().join("stat")) else {
                continue;
            };
            match parse(&stat) {
                Some(stat) if stat.pgid != pgid.as_raw() => {}
                Some(stat) if matches!(stat.state, b'Z' | b'X') => census.zombies += 1,
                Some(stat) => census.living.push(Process {
                    pid,
                    name: stat.name,
                }),
                None => {}
            }
        }
        census.living.sort_by_key(|process| process.pid);
        census
    }

    /// Only zombies are left. They hold nothing, they are waiting for a parent that does not care;
    /// where pid 1 does not reap, they wait for ever.
    pub(crate) fn is_dead(&self) -> bool {
        self.living.is_empty() && self.zombies > 0
    }
}

struct Stat {
    name: String,
    state: u8,
    pgid: i32,
}

/// `pid (name) state ppid pgrp …`, where the name may hold anything, parentheses included.
fn parse(stat: &[u8]) -> Option<Stat> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let name = String::from_utf8_lossy(stat.get(open + 1..close)?).into_owned();
    let rest = std::str::from_utf8(&stat[close + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let pgid = fields.nth(1)?.parse().ok()?;
    Some(Stat { name, state, pgid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses() {
        let stat = parse(b"17 (a) S 1 ) b) Z 1 42 42 0 -1").unwrap();
        assert_eq!(
            (stat.name.as_str(), stat.state, stat.pgid),
            ("a) S 1 ) b", b'Z', 42)
        );
        assert!(parse(b"17 (a").is_none());
        assert!(parse(b"").is_none());
        assert!(parse(b") (").is_none());
    }

    #[test]
    fn zombies_alone_are_dead_and_nobody_is_unknown() {
        let zombies = Census {
            living: vec![],
            zombies: 2,
        };
        assert!(zombies.is_dead());
        assert!(!Census::default().is_dead());
    }
}
