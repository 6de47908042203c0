//! The run as a JUnit report.

use std::collections::HashMap;
use std::io;

use quick_junit::{
    NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestRerun, TestSuite,
};

use super::result;
use crate::output::{Tail, printable};
use crate::record::{Ending, Entry, Record, Summary};
use crate::report;

/// The suite, and the class of what is in no group.
const SUITE: &str = "taskgroup";

pub(crate) fn junit(summary: &Summary) -> io::Result<Vec<u8>> {
    let text = build(summary).to_string().map_err(io::Error::other)?;
    Ok(text.into_bytes())
}

fn build(summary: &Summary) -> Report {
    let mut suite = TestSuite::new(SUITE);
    suite.set_time(summary.elapsed);
    if let Some(job) = &summary.job {
        suite.add_property(property("job", &job.id));
        suite.add_property(property("nodes", &job.nodes.join(",")));
    }
    // A step of cleanup is a separate case only if there is something to report.
    let is_case = |entry: &&Entry| entry.cleans_up.is_none() || !entry.record.is_plain();
    // Importers merge cases of the same name.
    let mut uses: HashMap<String, u64> = HashMap::new();
    for entry in summary.entries.iter().filter(is_case) {
        let mut name = text(entry.argument.as_ref().unwrap_or(&entry.name));
        let count = uses.entry(name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            name = format!("{name} #{count}");
        }
        suite.add_test_case(case(entry, &name));
    }
    if summary.open_end {
        suite.set_system_out("the rest of the input was not read, so it has no cases here");
    }
    let mut report = Report::new(SUITE);
    report.set_time(summary.elapsed);
    report.add_test_suite(suite);
    report
}

fn case(entry: &Entry, name: &str) -> TestCase {
    let record = &entry.record;
    let forgiven = entry.forgiven();
    let mut status = match &record.ending {
        ending if ending.is_success() => TestCaseStatus::success(),
        // What reads the file would call the run a failure. A skipped case is shown, with its text.
        _ if forgiven.is_some() => TestCaseStatus::skipped(),
        ending if ending.is_failure() => TestCaseStatus::non_success(kind(ending)),
        _ => TestCaseStatus::skipped(),
    };
    if !record.ending.is_success() {
        status.set_type(result(&record.ending));
        let forgiven = forgiven.map_or_else(String::new, |why| format!(" ({why})"));
        status.set_message(text(&format!("{}{forgiven}", report::what(entry))));
    }
    if record.is_failure() {
        // What a reader sees first: many show nothing else of a case.
        let said = report::ends(record);
        if !said.is_empty() {
            status.set_description(text(&said));
        }
    }
    status.add_reruns(entry.failed_before().map(rerun));
    let mut case = TestCase::new(name, status);
    case.set_classname(match &*entry.group {
        "" => SUITE.to_owned(),
        group => text(&group.replace('/', ".")),
    });
    case.set_time(entry.took());
    case.add_property(property("name", &entry.name));
    case.add_property(property("command", &entry.command));
    if let Some(argument) = &entry.argument {
        case.add_property(property("argument", argument));
    }
    if let Some(node) = &record.node {
        case.add_property(property("node", node));
    }
    if entry.attempts > 1 {
        case.add_property(property("attempts", &entry.attempts.to_string()));
    }
    if let Some(out) = whole(&record.stdout) {
        case.set_system_out(out);
    }
    if let Some(err) = whole(&record.stderr) {
        case.set_system_err(err);
    }
    case
}

fn property(name: &str, value: &str) -> Property {
    Property::new(name, text(value))
}

fn rerun((number, record): &(u32, Record)) -> TestRerun {
    let mut rerun = TestRerun::new(kind(&record.ending));
    let what = report::ended(record);
    rerun.set_time(record.ran);
    rerun.set_type(result(&record.ending));
    rerun.set_message(text(&format!("attempt {number}: {what}")));
    if let Some(out) = whole(&record.stdout) {
        rerun.set_system_out(out);
    }
    if let Some(err) = whole(&record.stderr) {
        rerun.set_system_err(err);
    }
    rerun
}

fn kind(ending: &Ending) -> NonSuccessKind {
    match ending {
        Ending::CouldNotStart(_) | Ending::Lost(_) => NonSuccessKind::Error,
        _ => NonSuccessKind::Failure,
    }
}

/// What is known of a stream; none if there was nothing.
fn whole(tail: &Tail) -> Option<String> {
    let (before, lines) = tail.lines();
    let lines = text(&lines.join("\n"));
    match (before, tail.is_empty()) {
        (_, true) => None,
        (0, _) => Some(lines),
        (before, _) => Some(format!("({before} earlier lines left out)\n{lines}")),
    }
}

/// As XML takes it: it has no way to write some characters.
fn text(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tell::sample;

    #[test]
    fn a_case_has_its_node_and_the_suite_the_job() {
        let mut summary = sample::on_two_nodes();
        let written = |summary: &Summary| String::from_utf8(junit(summary).unwrap()).unwrap();
        let text = written(&summary);
        let (suite, cases) = text.split_once("<testcase ").unwrap();
        for part in [
            r#"<property name="job" value="65"/>"#,
            r#"<property name="nodes" value="n1,n2"/>"#,
        ] {
            assert!(suite.contains(part), "no {part} in {suite}");
        }
        let case = |name: &str| {
            let start = format!("name=\"{name}\" classname");
            let (_, rest) = cases.split_once(&start).unwrap();
            rest.split_once("</testcase>").unwrap().0
        };
        let on = |node: &str| format!(r#"<property name="node" value="{node}"/>"#);
        assert!(!case("prepare").contains(r#"name="node""#));
        assert!(case("item-1").contains(&on("n1")));
        assert!(case("item-20").contains(&on("n2")));
        let tried = case("item-7");
        for part in [
            &*on("n2"),
            r#"message="attempt 1: exit code 1, after 0.12s on n2""#,
            r#"message="attempt 2: exit code 1, after 0.12s on n1""#,
        ] {
            assert!(tried.contains(part), "no {part} in {tried}");
        }
        summary.job = None;
        assert!(!written(&summary).contains(r#"name="job""#));
    }

    #[test]
    fn no_character_is_written_that_xml_has_not() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            let allowed = matches!(
                c,
                '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..
            );
            let written = text(&format!("a{c}b"));
            assert!(allowed || !written.contains(c), "{c:?}");
            assert!(
                written.starts_with('a') && written.ends_with('b') || c == '\u{1b}',
                "{c:?}"
            );
        }
    }
}
