//! A run on two nodes, made by hand, for the tests of what is written about it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use crate::process::{Stopped, StoppedBy};
use crate::record::{Cause, Counts, Ending, Entry, JobUsed, Record, Summary};

/// When the nodes of the job were there.
const THERE: Duration = Duration::from_millis(5_100);

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// With the exit code, from the one time to the other since the nodes are there.
fn exited(code: i32, node: &str, (from, to): (u64, u64)) -> Record {
    let ran = millis(to - from);
    Record {
        began: Some(THERE + millis(from)),
        ran,
        gone: ran,
        node: Some(node.to_owned()),
        ..Record::without_process(Ending::Exited(ExitStatus::from_raw(code << 8)))
    }
}

fn entry(id: usize, name: String, record: Record) -> Entry {
    Entry {
        id,
        cleans_up: None,
        command: format!("./{name}"),
        name,
        group: String::new(),
        argument: None,
        attempts: 1,
        earlier: Vec::new(),
        known: Duration::ZERO,
        began: record.began,
        date: record.began.map(|began| SystemTime::UNIX_EPOCH + began),
        ended: record.until().unwrap_or(THERE + millis(2_500)),
        because: None,
        ignored: false,
        outrun: None,
        record,
    }
}

/// 30 tasks, four at a time. `prepare` ran on this machine while the run waited for its job. Number
/// 7 came through at its third attempt. Number 20 failed, which stopped three others on both nodes,
/// and nine did not start.
pub(super) fn on_two_nodes() -> Summary {
    let mut prepare = exited(0, "", (0, 0));
    (prepare.began, prepare.ran, prepare.node) = (Some(millis(20)), millis(900), None);
    let mut entries = vec![entry(0, "prepare".to_owned(), prepare)];
    for id in 1..30 {
        let (slot, turn) = ((id - 1) % 4, (id as u64 - 1) / 4);
        let node = ["n1", "n1", "n2", "n2"][slot];
        let from = turn * 500 + slot as u64 * 30;
        let because = || {
            Some(Cause::Failed {
                name: "item-20".to_owned(),
            })
        };
        let name = format!("item-{id}");
        let record = exited(0, node, (from, from + 440));
        entries.push(match id {
            7 => Entry {
                attempts: 3,
                earlier: vec![
                    (1, exited(1, "n2", (from, from + 120))),
                    (2, exited(1, "n1", (from + 140, from + 260))),
                ],
                began: Some(THERE + millis(from)),
                date: Some(SystemTime::UNIX_EPOCH + THERE + millis(from)),
                ..entry(id, name, exited(0, "n2", (from + 280, from + 440)))
            },
            20 => {
                let mut record = exited(3, node, (from, from + 300));
                record.stderr.push(b"item-20: no such table\n");
                entry(id, name, record)
            }
            17..=19 => {
                let mut record = exited(0, node, (from, 2_390));
                record.ending = Ending::Cancelled(Some(ExitStatus::from_raw(15)));
                record.gone = record.ran + millis(60);
                record.stopped = Some(Stopped {
                    by: StoppedBy::Term,
                    survivors: Vec::new(),
                });
                Entry {
                    because: because(),
                    ..entry(id, name, record)
                }
            }
            21.. => Entry {
                because: because(),
                ..entry(id, name, Record::without_process(Ending::NotStarted))
            },
            _ => entry(id, name, record),
        });
    }
    let mut counts = Counts::default();
    for entry in &entries {
        counts.add(&entry.record.ending);
    }
    counts.flaky = 1;
    Summary {
        entries,
        counts,
        cause: Some(Cause::Failed {
            name: "item-20".to_owned(),
        }),
        failed: true,
        signal: None,
        output_error: None,
        report_errors: Vec::new(),
        input_error: None,
        open_end: false,
        internal: None,
        elapsed: THERE + millis(2_500),
        date: SystemTime::UNIX_EPOCH,
        slowest: Vec::new(),
        job: Some(JobUsed {
            id: "65".to_owned(),
            nodes: vec!["n1".to_owned(), "n2".to_owned()],
            own: true,
            asked: millis(100),
            waited: millis(5_000),
            trouble: None,
        }),
    }
}

/// The task with this number.
pub(super) fn task(summary: &Summary, id: usize) -> &Entry {
    summary.entries.iter().find(|entry| entry.id == id).unwrap()
}
