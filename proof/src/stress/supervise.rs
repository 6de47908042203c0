//! Runs the program in a process of its own, so that a crash is reported with its options.

use std::process::{Command, ExitStatus};
use std::time::Instant;

use crate::oracle::Error;

/// Runs `stress` with these options in a child process. Returns its exit code. An end by a signal
/// is a violation.
pub(crate) fn run(options: &[String]) -> Result<u8, Error> {
    let begin = Instant::now();
    let status = Command::new(std::env::current_exe()?)
        .arg("stress")
        .args(options)
        .arg("--direct")
        .status()?;
    let seconds = begin.elapsed().as_secs_f64();
    match status.code() {
        Some(0) => Ok(0),
        Some(code) => {
            println!("found after {seconds:.1} s (exit code {code})");
            Ok(u8::try_from(code).unwrap_or(1))
        }
        None => {
            println!("died{} after {seconds:.1} s", signal(status));
            Ok(1)
        }
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    let signal = status.signal();
    signal.map_or(String::new(), |signal| format!(" by signal {signal}"))
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> String {
    String::new()
}
