//! Writes the run as a JUnit report.

use std::fs;
use std::io;
use std::path::Path;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::result;
use crate::record::{Ending, Entry, Summary};
use crate::report;

pub(crate) fn write(path: &Path, summary: &Summary) -> io::Result<()> {
    let text = build(summary).to_string().map_err(io::Error::other)?;
    fs::write(path, text)
}

fn build(summary: &Summary) -> Report {
    let mut suite = TestSuite::new("taskgroup");
    suite.set_time(summary.elapsed);
    // A step of cleanup is a separate case only if there is something to report.
    let is_case = |entry: &&Entry| entry.cleans_up.is_none() || !entry.record.is_plain();
    suite.add_test_cases(summary.entries.iter().filter(is_case).map(case));
    let mut report = Report::new("taskgroup");
    report.set_time(summary.elapsed);
    report.add_test_suite(suite);
    report
}

fn case(entry: &Entry) -> TestCase {
    let mut status = match &entry.record.ending {
        ending if ending.is_success() => TestCaseStatus::success(),
        Ending::CouldNotStart(_) | Ending::Lost(_) => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
        ending if ending.is_failure() => TestCaseStatus::non_success(NonSuccessKind::Failure),
        _ => TestCaseStatus::skipped(),
    };
    if !entry.record.ending.is_success() {
        status.set_type(result(entry));
        status.set_message(report::what(entry));
    }
    let mut case = TestCase::new(&*entry.name, status);
    case.set_time(entry.record.ran);
    let stderr: Vec<String> = entry.record.stderr.lines().collect();
    if !stderr.is_empty() {
        case.set_system_err(stderr.join("\n"));
    }
    case
}
