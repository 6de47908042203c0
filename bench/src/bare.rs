//! The same program with an engine that publishes nothing. The difference between the two is the
//! cost of the live tree.
//!
//! With `--cfg taskgroup_bare`, a task has no name, no spawn location and no start of its wait. The
//! engine reads no clock for ages, and threads do not publish what they poll. Cancelling and
//! waiting need the rest of the tree. The `cfg` has to be set when the library is built, so this is
//! another build, below `target/bench`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::machine::{ALLOCATOR, workspace};

/// The contender's name.
pub(crate) const NAME: &str = "bare";

/// Whether this process runs that build.
pub(crate) const IS_BARE: bool = cfg!(taskgroup_bare);

/// The path of that build, which is up to date. A quick run builds nothing.
pub(crate) fn program(quick: bool) -> Result<PathBuf, String> {
    let folder = workspace().join("target/bench/bare");
    let program = folder.join("release/taskgroup-bench");
    if quick {
        return match program.exists() {
            true => Ok(program),
            false => Err("it is not built, and a quick run builds nothing".into()),
        };
    }
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--quiet", "-p", "taskgroup-bench"])
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTFLAGS", format!("{flags} --cfg taskgroup_bare"))
        .current_dir(workspace());
    if ALLOCATOR == "mimalloc" {
        cargo.args(["--features", "mimalloc"]);
    }
    eprintln!("building the engine without the live tree");
    match cargo.status() {
        Ok(status) if status.success() => Ok(program),
        Ok(status) => Err(format!("its build ended with {status}")),
        Err(error) => Err(format!("cargo cannot be run: {error}")),
    }
}
