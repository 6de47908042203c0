//! The run as a timeline in the Trace Event Format, which Perfetto and chrome://tracing open.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::result;
use crate::record::{Entry, Summary};
use crate::report;

#[derive(Serialize)]
struct Slice<'a> {
    name: &'a str,
    cat: &'a str,
    ph: &'a str,
    /// Microseconds.
    ts: u128,
    dur: u128,
    pid: u32,
    tid: usize,
    args: serde_json::Value,
}

pub(crate) fn write(path: &Path, summary: &Summary) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer(&mut file, &json!({ "traceEvents": slices(summary) }))?;
    file.flush()
}

/// Commands that run at the same time are on lanes of their own.
fn slices(summary: &Summary) -> Vec<Slice<'_>> {
    let mut entries: Vec<(&Entry, Duration)> = summary
        .entries
        .iter()
        .filter_map(|entry| Some((entry, entry.record.began?)))
        .collect();
    entries.sort_by_key(|(_, began)| *began);
    let mut free_from: Vec<Duration> = Vec::new();
    let mut slices = Vec::new();
    for (entry, began) in entries {
        let gone = began + entry.record.gone.max(entry.record.ran);
        let lane = match free_from.iter().position(|free| *free <= began) {
            Some(lane) => lane,
            None => {
                free_from.push(Duration::ZERO);
                free_from.len() - 1
            }
        };
        free_from[lane] = gone;
        let slice = |name, begin: Duration, end: Duration, args| Slice {
            name,
            cat: result(entry),
            ph: "X",
            ts: begin.as_micros(),
            dur: end.saturating_sub(begin).as_micros(),
            pid: 1,
            tid: lane + 1,
            args,
        };
        let args = json!({
            "command": entry.command,
            "result": result(entry),
            "what": report::what(entry),
            "attempts": entry.attempts,
        });
        slices.push(slice(&entry.name, began, gone, args));
        let ended = began + entry.record.ran;
        if entry.record.stopped.is_some() && gone > ended {
            slices.push(slice("stopping", ended, gone, json!({})));
        }
    }
    slices
}
