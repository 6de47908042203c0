//! The rules that every trace of the library has to keep, for any program, without an oracle.
//!
//! - **I1** Everything ends: no wait lasts for ever, and the library itself never panics.
//! - **I2** A task starts at most once, ends once, and does nothing after its end. A task that
//!   never started was cancelled (S9, S16). The trace has no end for a task that was never ready
//!   (S29), or for one side of a race.
//! - **I3** No task outlives its group: when a group is left, each of its tasks that was spawned
//!   has ended (S2).
//! - **I4** No error is lost: the failure of a task is a member of the error of its group (S6,
//!   S23), unless the group wanted one success and has it (S26).
//! - **I5** No error is invented or reported twice: each leaf of an error happened below the group
//!   that reports it, and is in it once.
//! - **I6** No cleanup is skipped: a release or deferred work that begins also ends, once (S14).
//! - **I7** No task wakes early: a wait lasts as long as requested.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::program::{Block, Id, Rigour, Stmt};
use crate::trace::{Event, Kind, Outcome, Trace, Tree};

/// What is wrong with a trace of `program`. Empty if the library keeps its promise.
pub fn broken(program: &Block, trace: &Trace) -> Vec<String> {
    let mut places = Places::default();
    places.walk(program, &[]);
    let mut judge = Judge {
        places,
        events: trace.0.values().flatten().collect(),
        faults: Vec::new(),
    };
    judge.everything_ends();
    for (task, events) in &trace.0 {
        judge.task(*task, events);
    }
    judge.groups();
    judge.errors();
    judge.faults
}

/// The places of the statements in a program.
#[derive(Default)]
struct Places {
    /// The group of each task.
    groups: HashMap<Id, Id>,
    /// The length of each sleep.
    sleeps: HashMap<Id, u64>,
    /// The groups that tolerate failures once one of their tasks has succeeded.
    lenient: HashSet<Id>,
    /// The sides of races. The trace shows their beginning but not their end.
    sides: HashSet<Id>,
    /// The tasks whose end the trace shows only after they were ready.
    starting: HashSet<Id>,
    /// The groups that report a failure of a statement: those around it, through the tasks, up to
    /// the root.
    around: HashMap<Id, Vec<Id>>,
}

impl Places {
    fn walk(&mut self, block: &[Stmt], around: &[Id]) {
        for stmt in block {
            let id = stmt.id();
            let mut inner = around.to_vec();
            match stmt {
                Stmt::Sleep { ms, .. } => {
                    self.sleeps.insert(id, *ms);
                }
                Stmt::Group { policy, .. } => {
                    if *policy == Rigour::FirstSuccess {
                        self.lenient.insert(id);
                    }
                    inner.push(id);
                }
                Stmt::Race { left, right, .. } => {
                    self.sides.extend([left.id, right.id]);
                    inner.push(id);
                }
                Stmt::Spawn { group, .. } | Stmt::Start { group, .. } => {
                    if matches!(stmt, Stmt::Start { .. }) {
                        self.starting.insert(id);
                    }
                    self.groups.insert(id, *group);
                    let depth = around.iter().position(|open| open == group);
                    inner.truncate(depth.map_or(0, |at| at + 1));
                }
                _ => {}
            }
            self.around.insert(id, inner.clone());
            for block in stmt.blocks() {
                self.walk(block, &inner);
            }
        }
    }
}

struct Judge<'a> {
    places: Places,
    events: Vec<&'a Event>,
    faults: Vec<String>,
}

impl<'a> Judge<'a> {
    fn fault(&mut self, rule: &str, what: impl std::fmt::Display) {
        self.faults.push(format!("{rule}: {what}"));
    }

    fn everything_ends(&mut self) {
        for event in self.events.clone() {
            if matches!(event.2, Kind::Broken | Kind::Stuck) {
                self.fault("I1", event);
            }
        }
    }

    fn task(&mut self, task: Id, events: &[Event]) {
        let count = |kind| events.iter().filter(|event| event.2 == kind).count();
        let (starts, ends) = (count(Kind::Start), count(Kind::End));
        let seen_to_end = if self.places.sides.contains(&task) {
            ends == 0
        } else if self.places.starting.contains(&task) && ends == 0 {
            // Its starter got the failure, or was cancelled.
            true
        } else {
            ends == 1 && events.last().map(|event| event.2) == Some(Kind::End)
        };
        if !seen_to_end {
            self.fault(
                "I2",
                format!("task {task} ends {ends} times, or goes on after its end"),
            );
        }
        let outcome = events.last().and_then(|event| event.4.as_ref());
        match starts {
            0 if task == 0 || (events.len() == 1 && outcome == Some(&Outcome::CANCELLED)) => {}
            1 if task != 0 && events[0].2 == Kind::Start => {}
            _ => self.fault("I2", format!("task {task} starts {starts} times")),
        }
        let mut before = 0;
        for event in events {
            if event.2 == Kind::Slept && event.0 < before + self.places.sleeps[&event.3] {
                self.fault("I7", event);
            }
            if event.0 < before {
                self.fault("I7", format!("the clock goes back: {event}"));
            }
            before = event.0;
        }
        if let [.., last, end] = events {
            // Nothing came between, so nothing has caught it.
            let fell = matches!(last.2, Kind::Fail | Kind::Panic) && end.2 == Kind::End;
            if fell && !leaves(end).contains(&last.3) {
                self.fault("I4", format!("{last}, and then {end}"));
            }
        }
        for (first, last) in [
            (Kind::Release, Kind::Released),
            (Kind::Deferred, Kind::Undeferred),
        ] {
            for begun in events.iter().filter(|event| event.2 == first) {
                let of = |kind| {
                    let same = events.iter().filter(move |other| other.2 == kind);
                    same.filter(|other| other.3 == begun.3).count()
                };
                if (of(first), of(last)) != (1, 1) {
                    self.fault("I6", begun);
                }
            }
        }
    }

    fn groups(&mut self) {
        let left: HashMap<Id, &Event> = self
            .events
            .iter()
            .filter(|event| event.2 == Kind::Group)
            .map(|event| (event.3, *event))
            .collect();
        let ends = self
            .events
            .clone()
            .into_iter()
            .filter(|event| event.2 == Kind::End);
        for end in ends {
            let Some(group) = self.places.groups.get(&end.1) else {
                continue;
            };
            let Some(group) = left.get(group) else {
                self.fault(
                    "I3",
                    format!("a task of a group that was never left: {end}"),
                );
                continue;
            };
            if end.0 > group.0 {
                self.fault("I3", format!("{end}, after the end of its {group}"));
            }
            if let Some(Outcome::Failed(failure)) = &end.4 {
                let told = match &group.4 {
                    Some(Outcome::Failed(Tree::Group { members, .. })) => members.contains(failure),
                    _ => false,
                };
                let put_up_with = self.places.lenient.contains(&group.3)
                    && self.events.iter().any(|other| {
                        self.places.groups.get(&other.1) == Some(&group.3)
                            && other.2 == Kind::End
                            && other.4 == Some(Outcome::OK)
                    });
                if !told && !put_up_with {
                    self.fault("I4", format!("{group} does not report: {end}"));
                }
            }
        }
    }

    /// I5, for every reported error.
    fn errors(&mut self) {
        let happened: BTreeSet<(Kind, Id)> =
            self.events.iter().map(|event| (event.2, event.3)).collect();
        for event in self.events.clone() {
            let Some(Outcome::Failed(tree)) = &event.4 else {
                continue;
            };
            let mut seen = HashSet::new();
            let mut stack = vec![(tree, None)];
            while let Some((tree, around)) = stack.pop() {
                let (id, kinds): (Id, &[Kind]) = match tree {
                    Tree::Group { group, members } => {
                        if members.is_empty() {
                            self.fault("I5", format!("an empty group: {event}"));
                        }
                        stack.extend(members.iter().map(|member| (member, Some(*group))));
                        (*group, &[Kind::Group, Kind::Raced])
                    }
                    Tree::Fail { fail } => (*fail, &[Kind::Fail, Kind::Cleaned]),
                    Tree::Panic { panic } => (*panic, &[Kind::Panic]),
                    Tree::Timeout { timeout } => (*timeout, &[Kind::Deadline]),
                    Tree::Missed { missed } => (*missed, &[Kind::Group]),
                };
                if !kinds.iter().any(|kind| happened.contains(&(*kind, id))) {
                    self.fault("I5", format!("{tree} never happened: {event}"));
                }
                let missed = matches!(tree, Tree::Missed { .. });
                if !missed && !seen.insert(id) {
                    self.fault("I5", format!("{tree} is reported twice: {event}"));
                }
                if missed && around != Some(id) {
                    self.fault("I5", format!("{tree} is not of that group: {event}"));
                }
                if !missed && around.is_some_and(|group| !self.places.around[&id].contains(&group))
                {
                    self.fault("I5", format!("{tree} did not happen there: {event}"));
                }
            }
        }
    }
}

/// The statements that failed, by the outcome of an event.
fn leaves(event: &Event) -> Vec<Id> {
    let mut leaves = Vec::new();
    let mut stack = match &event.4 {
        Some(Outcome::Failed(tree)) => vec![tree],
        _ => Vec::new(),
    };
    while let Some(tree) = stack.pop() {
        match tree {
            Tree::Group { members, .. } => stack.extend(members),
            Tree::Fail { fail: id } | Tree::Panic { panic: id } | Tree::Timeout { timeout: id } => {
                leaves.push(*id);
            }
            Tree::Missed { .. } => {}
        }
    }
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::generate;
    use crate::oracle::Interpreter;
    use crate::ours::{Library, Planted};

    fn faults(library: Library, seeds: std::ops::Range<u64>) -> Vec<String> {
        let mut library = library;
        let mut faults = Vec::new();
        for seed in seeds {
            let program = generate(seed);
            let answer = library.run(&program, 0).expect("ours runs");
            for fault in broken(&program, &answer.trace) {
                faults.push(format!("seed {seed}: {fault}"));
            }
        }
        faults
    }

    #[test]
    fn the_library_keeps_them() {
        for light_tasks in [false, true] {
            let library = Library {
                light_tasks,
                ..Library::default()
            };
            assert_eq!(faults(library, 0..1500), Vec::<String>::new());
        }
    }

    #[test]
    fn planted_bugs_break_them() {
        for (planted, rule) in [
            (Planted::LostWakeup, "I1"),
            (Planted::LostError, "I4"),
            (Planted::Orphan, "I2"),
        ] {
            let library = Library {
                planted: Some(planted),
                ..Library::default()
            };
            let faults = faults(library, 0..300);
            assert!(
                faults.iter().any(|fault| fault.contains(rule)),
                "{planted:?}: {faults:?}"
            );
        }
    }
}
