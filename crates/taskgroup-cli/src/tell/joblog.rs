//! Writes a line for each command that has ended, with the columns of GNU parallel's `--joblog`.

use std::os::unix::process::ExitStatusExt;
use std::time::UNIX_EPOCH;

use super::files::{Finishing, Target};
use crate::output::one_line;
use crate::record::{Ending, Entry};

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
        let (Some(date), None) = (entry.date, &entry.cleans_up) else {
            return;
        };
        let started = date.duration_since(UNIX_EPOCH);
        let status = entry.record.ending.status();
        // GNU parallel has -1 for a command that could not be run or was killed by its timeout.
        let code = match &entry.record.ending {
            Ending::Exited(_)
            | Ending::Cancelled(_)
            | Ending::Served(_)
            | Ending::EndedEarly(_) => status.and_then(|status| status.code()),
            _ => Some(-1),
        };
        self.write(format!(
            "{}\t:\t{:.3}\t{:10.3}\t0\t{}\t{}\t{}\t{}\n",
            entry.id + 1,
            started.unwrap_or_default().as_secs_f64(),
            entry.took().as_secs_f64(),
            entry.record.stdout.total(),
            code.unwrap_or(0),
            status.and_then(|status| status.signal()).unwrap_or(0),
            one_line(&entry.command),
        ));
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
