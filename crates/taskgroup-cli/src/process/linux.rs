//! Small things that only Linux has.

use std::io;

use rustix::process::{getpid, set_child_subreaper};

/// From now on this process adopts what its children leave behind.
pub(super) fn adopt() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// The name that `ps` and `top` show for a guard.
pub(super) fn set_name() {
    // Nothing depends on it.
    let _ = rustix::thread::set_name(c"taskgroup-guard");
}
