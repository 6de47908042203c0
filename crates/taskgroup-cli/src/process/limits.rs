//! The limits of the machine: a run that reaches one lets commands wait instead of failing them.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What one command takes: the socket of its guard, two pipes, a file for output that is held back,
/// and one more while it is started.
const EACH: u64 = 5;

/// What the runner needs besides: files, pipes to new guards, a look into `/proc`.
const RESERVE: u64 = 48;

/// More descriptors are of no use. Some systems have no limit at all.
const ENOUGH: u64 = 1 << 20;

/// The fewest commands that may run at a time, whatever the limit.
const FEWEST: u64 = 4;

/// The limit of open descriptors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptors {
    /// The soft limit from before it was raised. The commands get it back: some programs close
    /// every descriptor that they could have.
    before: Option<u64>,
    /// How many commands may run at a time.
    pub(super) commands: usize,
}

impl Descriptors {
    /// Raises the soft limit of this process as far as it goes.
    pub(super) fn raise() -> Descriptors {
        let limit = getrlimit(Resource::Nofile);
        let (before, most) = (
            limit.current.unwrap_or(ENOUGH),
            limit.maximum.unwrap_or(ENOUGH).min(ENOUGH),
        );
        let raised = Rlimit {
            current: Some(most),
            maximum: limit.maximum,
        };
        let is_raised = before < most && setrlimit(Resource::Nofile, raised).is_ok();
        let now = if is_raised { most } else { before };
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
        let commands = now.saturating_sub(open + RESERVE) / EACH;
        Descriptors {
            before: is_raised.then_some(before),
            commands: usize::try_from(commands.max(FEWEST)).unwrap_or(usize::MAX),
        }
    }

    /// What [`restore`] takes.
    pub(super) fn before(self) -> String {
        self.before
            .map(|before| before.to_string())
            .unwrap_or_default()
    }
}

/// Called by a guard, which passes its limits on: gives the soft limit back that the runner had.
pub(super) fn restore(before: &str) {
    if let Ok(before) = before.parse() {
        let limit = Rlimit {
            current: Some(before),
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        // It is lowered, which is always allowed.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// There are too many processes or open files just now.
pub(super) fn is_reached(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM | Errno::NOBUFS)
    )
}

/// The error with another text. One that says that a limit is reached stays as it is: otherwise
/// [`is_reached`] would not find it.
pub(super) fn unless_reached(
    error: io::Error,
    text: impl FnOnce(&io::Error) -> String,
) -> io::Error {
    if is_reached(&error) {
        return error;
    }
    io::Error::new(error.kind(), text(&error))
}
