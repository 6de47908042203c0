//! Writes a line for each command that has ended, with the columns of GNU parallel's `--joblog`.

use std::os::unix::process::ExitStatusExt;
use std::time::UNIX_EPOCH;

use super::files::{Finishing, Target};
use crate::output::one_line;
use crate::record::{Ending, Entry, Record};

#[derive(Default)]
pub(crate) struct JobLog(Option<Target>);

impl JobLog {
    pub(crate) fn begin(target: Option<Target>) -> JobLog {
        let mut log = JobLog(target);
        let columns = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
        log.write(columns.to_owned());
        log
    }

    pub(crate) fn ended(&mut self, entry: &Entry) {
        if let Some(line) = line(entry) {
            self.write(line);
        }
    }

    pub(crate) fn end(self) -> Option<Finishing> {
        self.0.map(Target::finish)
    }

    fn write(&mut self, line: String) {
        if let Some(target) = &mut self.0 {
            target.write(line.into_bytes());
        }
    }
}

/// None for what did not run, and for a step of cleanup.
fn line(entry: &Entry) -> Option<String> {
    let (Some(date), None) = (entry.date, &entry.cleans_up) else {
        return None;
    };
    let started = date.duration_since(UNIX_EPOCH);
    let status = entry.record.ending.status();
    // GNU parallel has -1 for a command that could not be run or was killed by its timeout.
    let code = match &entry.record.ending {
        Ending::Exited(_) | Ending::Cancelled(_) | Ending::Served(_) | Ending::EndedEarly(_) => {
            status.and_then(|status| status.code())
        }
        _ => Some(-1),
    };
    Some(format!(
        "{}\t{}\t{:.3}\t{:10.3}\t0\t{}\t{}\t{}\t{}\n",
        entry.id + 1,
        host(&entry.record),
        started.unwrap_or_default().as_secs_f64(),
        entry.took().as_secs_f64(),
        entry.record.stdout.total(),
        code.unwrap_or(0),
        status.and_then(|status| status.signal()).unwrap_or(0),
        one_line(&entry.command),
    ))
}

/// GNU parallel has `:` for this machine.
fn host(record: &Record) -> String {
    record
        .node
        .as_deref()
        .map_or_else(|| ":".to_owned(), one_line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tell::sample;

    #[test]
    fn the_host_is_the_node_of_the_last_attempt() {
        let summary = sample::on_two_nodes();
        let line = |id| line(sample::task(&summary, id));
        assert_eq!(
            line(0).unwrap(),
            "1\t:\t0.020\t     0.900\t0\t0\t0\t0\t./prepare\n"
        );
        assert_eq!(
            line(7).unwrap(),
            "8\tn2\t5.660\t     0.440\t0\t0\t0\t0\t./item-7\n"
        );
        assert!(line(20).unwrap().starts_with("21\tn2\t"));
        assert_eq!(line(29), None);
    }
}
