//! The two processes that end a job when its runner is gone: the holder, which `salloc` runs, and
//! the keeper, which is a step of the job.
//!
//! The holder ends when the runner has ended and no step is left, and with it `salloc` gives the
//! job back. The keeper covers the case in which that machine is gone: it gets a sign of life from
//! the holder, and without one it cancels the job.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::getppid;
use signal_hook::flag;

use super::link::{BEAT, SILENCE};
use super::step;
use super::tools::{not_there, without_preferences};
use crate::process::pool::lasting_path;
use crate::process::set_name;
use crate::signals::Ignored;

/// The first argument of the holder. No user types it by accident.
pub(super) const MARK: &str = "--taskgroup-hold-process";
/// The first argument of the keeper.
pub(super) const KEEP: &str = "--taskgroup-keep-process";

/// The first argument of the process that becomes `salloc`.
pub(super) const ASK: &str = "--taskgroup-ask-process";

/// The exit code of that process if it does not become `salloc`.
pub(super) const NOT_THERE: i32 = 127;

/// What the runner writes when it needs the job no longer, and the holder to the keeper.
pub(super) const END: u8 = b'e';
const ALIVE: u8 = b'.';

/// How often the holder asks for the steps that are left.
const LOOK: Duration = Duration::from_millis(500);

/// How long the keeper may take to end, and how often the holder looks.
const KEEPER_END: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(5);

/// Holds the job until the runner ends. The argument is how many seconds its commands may take to
/// end after that.
pub(super) fn hold_if_asked(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    match hold(seconds(args.next())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The runner reads it among the messages of `salloc`.
            let _ = writeln!(io::stderr(), "error: the job could not be held: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Becomes the program in the arguments, which asks for the job. The first argument is the pid of
/// the runner.
///
/// When the runner ends, `salloc` gets SIGINT. That withdraws a request which waits. Once there is
/// a job, `salloc` takes no notice of the signal, and the holder ends the job in its own way.
pub(super) fn ask_if_asked(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let runner = args.next().and_then(|text| text.into_string().ok());
    let program = args.next().unwrap_or_default();
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        let _ = set_parent_process_death_signal(Some(Signal::INT));
    }
    // It may have ended before.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if parent != runner {
        return ExitCode::FAILURE;
    }
    let error = not_there(&program, Command::new(&program).args(args).exec());
    let _ = writeln!(io::stderr(), "{error}");
    ExitCode::from(NOT_THERE as u8)
}

/// Cancels the job when the holder shows no life. The argument is the same.
pub(super) fn keep_if_asked(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::from(u8::from(keep(seconds(args.next())).is_err()))
}

fn seconds(argument: Option<OsString>) -> Duration {
    let seconds = argument.and_then(|text| text.into_string().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

fn hold(limit: Duration) -> io::Result<()> {
    prepare()?;
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let id = std::env::var("SLURM_JOB_ID").map_err(|_| missing())?;
    let salloc = getppid();
    let (mut keeper, mut to_keeper) = start_keeper(&id, limit)?;
    let mut output = io::stdout();
    writeln!(output, "{id}")?;
    output.flush()?;
    let was_told = loop {
        match next_byte(BEAT)? {
            Next::Byte(END) => break true,
            Next::Byte(_) => {}
            Next::End => break false,
            Next::Nothing => {
                let _ = to_keeper.write_all(&[ALIVE]);
            }
        }
    };
    let end = Instant::now().checked_add(limit);
    while !was_told && end.is_none_or(|end| Instant::now() < end) && has_steps(&id) {
        let _ = to_keeper.write_all(&[ALIVE]);
        thread::sleep(LOOK);
    }
    let _ = to_keeper.write_all(&[END]);
    drop(to_keeper);
    if getppid() != salloc {
        cancel(&id);
    }
    // Otherwise `salloc` would have a step to kill. But a keeper that never began does not end.
    let end = Instant::now() + KEEPER_END;
    while matches!(keeper.try_wait(), Ok(None)) {
        if Instant::now() > end {
            let _ = keeper.kill();
        }
        thread::sleep(SHORT);
    }
    Ok(())
}

/// The keeper takes nothing of the job.
fn start_keeper(id: &str, limit: Duration) -> io::Result<(Child, ChildStdin)> {
    let mut command = Command::new("srun");
    step::without_settings(&mut command)
        .args(step::options(id))
        .args(["--overlap", "--mem=0", "--job-name=taskgroup-keeper"])
        .arg(lasting_path()?)
        .args([KEEP, &limit.as_secs().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let started = command.spawn();
    let mut keeper = started.map_err(|error| not_there("srun".as_ref(), error))?;
    let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
    let to_keeper = keeper.stdin.take().ok_or_else(missing)?;
    Ok((keeper, to_keeper))
}

fn keep(limit: Duration) -> io::Result<()> {
    prepare()?;
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let id = std::env::var("SLURM_JOB_ID").map_err(|_| missing())?;
    loop {
        match next_byte(SILENCE)? {
            Next::Byte(END) => return Ok(()),
            Next::Byte(_) => {}
            Next::End | Next::Nothing => break,
        }
    }
    // The commands learn the same by themselves, and have their grace.
    thread::sleep(limit);
    cancel(&id);
    Ok(())
}

fn prepare() -> io::Result<()> {
    set_name();
    // Caught, not ignored: `srun` would inherit that.
    for signal in Ignored::now().outlived() {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

enum Next {
    Byte(u8),
    End,
    /// Nothing came within the limit.
    Nothing,
}

/// The next byte of standard input.
fn next_byte(limit: Duration) -> io::Result<Next> {
    let input = io::stdin();
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let input = input.as_fd();
        match poll(&mut [PollFd::new(&input, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return Ok(Next::Nothing),
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut byte = [0];
    // Without a buffer, so that what is left is seen by the next look.
    Ok(match rustix::io::read(&input, &mut byte)? {
        0 => Next::End,
        _ => Next::Byte(byte[0]),
    })
}

/// Whether a command is left in the job. If Slurm does not answer, there may be one.
fn has_steps(id: &str) -> bool {
    let asked = without_preferences(&mut Command::new("squeue"))
        .args(["-h", "-s", "-j", id, "-o", "%j"])
        .stdin(Stdio::null())
        .output();
    match asked {
        Ok(answer) if answer.status.success() => {
            let names = String::from_utf8_lossy(&answer.stdout);
            let mut names = names.lines().map(str::trim);
            names.any(|name| name == super::STEP)
        }
        // The job is unknown, or the controller does not answer.
        Ok(answer) => !String::from_utf8_lossy(&answer.stderr).contains("Invalid job id"),
        Err(_) => true,
    }
}

fn cancel(id: &str) {
    let _ = without_preferences(&mut Command::new("scancel"))
        .arg(id)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
