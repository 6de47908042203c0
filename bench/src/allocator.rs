//! The same measurements with mimalloc. The allocator is chosen when a program is built, so this
//! runs another build of this program.

use std::process::Command;

use crate::machine::workspace;

/// The flag for mimalloc.
pub(crate) const FLAG: &str = "--mimalloc";

/// Builds this program with mimalloc and runs that build with these arguments, instead of measuring
/// in this process.
pub(crate) fn run_with_mimalloc<S: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = S>,
) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--release", "--quiet", "-p", "taskgroup-bench"])
        .args(["--features", "mimalloc", "--"])
        .args(arguments)
        .current_dir(workspace())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the run with mimalloc ended with {status}")),
        Err(error) => Err(format!("cargo cannot be run: {error}")),
    }
}
