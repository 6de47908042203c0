//! The root of a program, seen from outside: signals, exit codes, what goes to standard error. S1,
//! S15, S17, S18, S46, S54.
//!
//! Signals and exit codes belong to a whole process, so this binary starts itself again: with
//! `TASKGROUP_TEST_PROGRAM` in the environment it is the program of that name from `programs`,
//! otherwise it runs the tests.

#[cfg(unix)]
mod ends;
mod graceful;
mod inside;
mod plain;
#[cfg(unix)]
mod process;
mod programs;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod stops;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// The name of the program to be, in the environment.
const PROGRAM: &str = "TASKGROUP_TEST_PROGRAM";

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(PROGRAM) {
        return programs::run(&name);
    }
    let mut trials = inside::trials();
    #[cfg(unix)]
    trials.extend(signals::trials());
    #[cfg(unix)]
    trials.extend(stops::trials());
    #[cfg(unix)]
    trials.extend(ends::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
