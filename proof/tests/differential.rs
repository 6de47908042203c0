//! The library against Trio and asyncio, the oracles against each other, and the test against bugs.
//!
//! Without Python or Trio these tests say that they are skipped, and install nothing. With
//! `TASKGROUP_SKIP=deny`, as in CI, they fail then.

use std::collections::BTreeSet;
use std::io::Write as _;

use taskgroup_proof::campaign::{Campaign, Subject};
use taskgroup_proof::compare::{Verdict, compare};
use taskgroup_proof::oracle::{Oracle, Process, missing};
use taskgroup_proof::ours::{Library, Planted};
use taskgroup_proof::program::{Block, is_valid};
use taskgroup_proof::rules::Rule;

const PROGRAMS: u64 = 400;

/// Whether a test that needs these oracles is skipped. It says so past the capture of the test
/// harness, which shows nothing of tests that pass.
fn skipped(oracles: &[Oracle]) -> bool {
    let Some(missing) = oracles.iter().find_map(|oracle| missing(*oracle)) else {
        return false;
    };
    let denied = std::env::var_os("TASKGROUP_SKIP").is_some_and(|value| value == "deny");
    assert!(!denied, "nothing may be skipped here: {missing}");
    let line = format!("skipped: {missing}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    true
}

fn campaign(against: Oracle, subject: Subject) -> Campaign {
    Campaign {
        against,
        subject,
        programs: PROGRAMS,
        seed: 1,
        jobs: 1,
        shrink: true,
    }
}

fn on_light_tasks() -> Subject {
    Subject::Library(Library {
        light_tasks: true,
        ..Library::default()
    })
}

fn buggy(bug: Planted) -> Subject {
    Subject::Library(Library {
        planted: Some(bug),
        ..Library::default()
    })
}

fn agree(against: Oracle, subject: Subject) {
    let needs_both = matches!(subject, Subject::Oracle(_));
    let both = [Oracle::Trio, Oracle::Asyncio];
    if skipped(if needs_both {
        &both
    } else {
        std::slice::from_ref(&against)
    }) {
        return;
    }
    let report = campaign(against, subject)
        .run()
        .expect("the oracle can be had");
    assert!(report.difference.is_none(), "{report}");
    assert_eq!(report.programs, PROGRAMS);
}

#[test]
fn the_library_agrees_with_trio() {
    agree(Oracle::Trio, Subject::Library(Library::default()));
}

#[test]
fn the_library_agrees_with_asyncio() {
    agree(Oracle::Asyncio, Subject::Library(Library::default()));
}

#[test]
fn the_library_on_light_tasks_agrees_with_trio() {
    agree(Oracle::Trio, on_light_tasks());
}

#[test]
fn the_library_on_light_tasks_agrees_with_asyncio() {
    agree(Oracle::Asyncio, on_light_tasks());
}

#[test]
fn the_neutral_form_means_the_same_to_both_oracles() {
    agree(Oracle::Trio, Subject::Oracle(Oracle::Asyncio));
}

#[test]
fn every_planted_bug_is_found() {
    if skipped(&[Oracle::Trio]) {
        return;
    }
    for bug in Planted::ALL {
        let campaign = Campaign {
            shrink: false,
            ..campaign(Oracle::Trio, buggy(bug))
        };
        let report = campaign.run().expect("the oracle can be had");
        assert!(
            report.difference.is_some(),
            "{bug:?} got through {PROGRAMS} programs"
        );
    }
}

/// A planted bug shrinks to a program that a person can read.
#[test]
fn a_difference_comes_out_small() {
    if skipped(&[Oracle::Trio]) {
        return;
    }
    let report = campaign(Oracle::Trio, buggy(Planted::LostWakeup))
        .run()
        .unwrap();
    let difference = report.difference.expect("the bug is found");
    let printed = difference.to_string();
    assert!(
        taskgroup_proof::program::size(&difference.program) <= 4,
        "{printed}"
    );
    assert!(printed.contains("join"), "{printed}");
}

/// One small program for each named difference, so that no rule is there without need.
#[test]
fn every_rule_has_a_program_that_needs_it() {
    if skipped(&[Oracle::Trio, Oracle::Asyncio]) {
        return;
    }
    let mut trio = Process::start(Oracle::Trio).expect("Trio can be had");
    let mut asyncio = Process::start(Oracle::Asyncio).expect("Python can be had");
    let mut met = BTreeSet::new();
    for line in include_str!("rules.txt").lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(name), Some(oracle), Some(json)) = (words.next(), words.next(), words.next())
        else {
            panic!("a line is a rule, an oracle and a program: {line}");
        };
        let program: Block = serde_json::from_str(json).unwrap();
        assert!(is_valid(&program), "{line}");
        let rule = taskgroup_proof::rules::by_name(name).expect(name);
        let oracle = if oracle == "Trio" {
            &mut trio
        } else {
            &mut asyncio
        };
        match compare(&program, oracle, &mut Library::default()).unwrap() {
            Verdict::Same { rules, .. } => {
                assert!(rules.contains_key(&rule), "{line}\nmet {rules:?}");
            }
            Verdict::Different { .. } => panic!("unexplained: {line}"),
        }
        met.insert(rule);
    }
    let all: BTreeSet<Rule> = Rule::ALL.iter().copied().collect();
    assert_eq!(met, all);
}

/// Programs that differed once, whichever side was wrong, on both drivers and against both oracles.
#[test]
fn programs_that_differed_once_agree() {
    if skipped(&[Oracle::Trio, Oracle::Asyncio]) {
        return;
    }
    let mut oracles = [Oracle::Trio, Oracle::Asyncio]
        .map(|oracle| Process::start(oracle).expect("the oracle can be had"));
    for line in include_str!("programs.txt").lines() {
        let (name, json) = line.split_once(' ').expect("a name and a program");
        let program: Block = serde_json::from_str(json).expect(name);
        assert!(is_valid(&program), "{line}");
        for oracle in &mut oracles {
            for light_tasks in [false, true] {
                let mut library = Library {
                    light_tasks,
                    ..Library::default()
                };
                if let Verdict::Different { oracle, subject } =
                    compare(&program, oracle, &mut library).unwrap()
                {
                    panic!("{name}, light tasks: {light_tasks}\n{oracle:?}\n{subject:?}");
                }
            }
        }
    }
}
