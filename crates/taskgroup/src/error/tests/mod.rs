//! Tests of the error tree. Trees are built as the engine builds them, through the constructors of
//! the crate.

use super::*;
use crate::cancel::{CancelReason, ReasonKind};
use std::any::Any;
use std::fmt;
use std::io;
use std::panic::Location;

mod cause;
mod clauses;
mod deep;
mod interop;
mod layout;
mod properties;
mod render;
mod select;
mod tree;

/// A task or group below a group called `main`.
#[track_caller]
fn info(name: &'static str, index: u32) -> TaskInfo {
    let main = TaskInfo::new("main", TaskId::new(1, 0), None, Location::caller());
    TaskInfo::new(name, TaskId::new(1, index), Some(&main), Location::caller())
}

#[track_caller]
fn main_info() -> TaskInfo {
    TaskInfo::new("main", TaskId::new(1, 0), None, Location::caller())
}

#[track_caller]
fn failed(name: &'static str, error: impl Into<BoxError>) -> Member {
    Member::from_failure(info(name, 1), error.into(), Interval::now())
}

#[track_caller]
fn panicked(name: &'static str, payload: impl Any + Send) -> Member {
    Member::from_panic(info(name, 2), Box::new(payload), Interval::now())
}

#[track_caller]
fn group(name: &'static str, members: Vec<Member>) -> ErrorGroup {
    ErrorGroup::new(info(name, 3), members).expect("a group with members")
}

/// A group that the task `by` returned as its error.
#[track_caller]
fn nested(by: &'static str, name: &'static str, members: Vec<Member>) -> Member {
    Member::from_failure(info(by, 4), Box::new(group(name, members)), Interval::now())
}

/// Why a group was being cancelled; prints as `what` and this location.
#[track_caller]
fn reason(what: &str) -> CancelReason {
    CancelReason::deadline(what.to_owned(), Location::caller())
}

fn io_error(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

/// An error with a type other than `io::Error`.
#[derive(Debug, PartialEq)]
struct Invalid(&'static str);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Invalid {}

/// An error that was caused by another one.
#[derive(Debug)]
struct Wrapped(&'static str, BoxError);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.1)
    }
}

/// The shape of a tree in a line: `main(a, inner(b, c))`.
fn shape(group: &ErrorGroup) -> String {
    let members: Vec<String> = group
        .members()
        .iter()
        .map(|member| match member {
            Member::Task(task) => task.name().to_owned(),
            Member::Group(group) => shape(group),
        })
        .collect();
    format!("{}({})", group.name(), members.join(", "))
}

fn shape_or_none(group: Option<&ErrorGroup>) -> String {
    group.map_or_else(|| "none".to_owned(), shape)
}
