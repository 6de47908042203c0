//! See the library of the same package.

use std::process::ExitCode;

fn main() -> ExitCode {
    taskgroup_cli::main()
}
