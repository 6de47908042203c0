//! How large programs become by the library, and how long its own build takes.
//!
//! The programs are in `bench/size`: three children, and a hundred kinds of them, once in a group
//! and once in a `JoinSet`. They are built as a user builds them: the release profile as it is, and
//! stripped. They make a package below `target/bench/size`, with the dependencies that are locked
//! here.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::machine::{said_by, workspace};

/// How many bytes the hello may be larger than the one with a `JoinSet`: with and without the
/// default features. A change that makes it larger explains why, and raises the limit.
const LIMITS: [(&str, bool, u64); 2] = [
    ("without features", false, 345_000),
    ("with the default features", true, 380_000),
];

/// How many bytes each further kind of child may add.
const LIMIT_OF_CHILD: u64 = 2_200;

/// Where the wrapper of rustc writes the user time of the library's build.
const TIME: &str = "TASKGROUP_BENCH_TIME";

const PROGRAMS: [&str; 4] = [
    "hello_taskgroup",
    "hello_joinset",
    "many_taskgroup",
    "many_joinset",
];

/// Prints the sizes, and the time of the build unless it has to be quick; whether the sizes are
/// within the limits.
pub(crate) fn run(quick: bool) -> Result<bool, String> {
    let folder = workspace().join("target/bench/size");
    write_package(&folder).map_err(|error| error.to_string())?;
    println!("{}", said_by("rustc", &["--version"]));
    let mut is_met = true;
    for (name, with_features, limit) in LIMITS {
        build(&folder, with_features, None)?;
        let [hello, joinset, many, many_joinset] = PROGRAMS.map(|program| size(&folder, program));
        let (hello, joinset) = (hello?, joinset?);
        // A hello has two kinds of children of its own, which is a rounding error here.
        let each = many?.saturating_sub(hello) / 100;
        let each_joinset = many_joinset?.saturating_sub(joinset) / 100;
        let more = hello.saturating_sub(joinset);
        println!("{name}: a hello of {hello} bytes, {more} more than with a JoinSet");
        println!("    each further kind of child: {each} bytes; in a JoinSet: {each_joinset}");
        if more > limit || each > LIMIT_OF_CHILD {
            is_met = false;
            println!("    over the limit of {limit} bytes, or of {LIMIT_OF_CHILD} for a child");
        }
    }
    if quick {
        return Ok(is_met);
    }
    let time = folder.join("time");
    build(&folder, false, Some(&time))?;
    let seconds = fs::read_to_string(&time).map_err(|error| error.to_string())?;
    println!("the build of the library without features: {seconds} s of user time");
    Ok(is_met)
}

fn write_package(folder: &Path) -> io::Result<()> {
    let root = workspace();
    fs::create_dir_all(folder)?;
    let bin = |name: &str| {
        let path = root.join("bench/size").join(name).with_extension("rs");
        format!("[[bin]]\nname = {name:?}\npath = {path:?}\n\n")
    };
    let bins = PROGRAMS.map(bin).concat();
    let manifest = format!(
        "[package]\nname = \"size\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n{bins}\
         [features]\nfull = [\"taskgroup/default\"]\n\n\
         [dependencies]\n\
         taskgroup = {{ path = {library:?}, default-features = false }}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\", \"time\"] }}\n\n\
         [profile.release]\nstrip = true\n\n[workspace]\n",
        library = root.join("crates/taskgroup"),
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).map(drop)
}

fn build(folder: &Path, with_features: bool, time: Option<&Path>) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--release", "--quiet"])
        .env_remove("RUSTFLAGS")
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .current_dir(folder);
    if with_features {
        build.args(["--features", "full"]);
    }
    if let Some(time) = time {
        // In a folder of its own, so that the library is built again.
        let fresh = folder.join("fresh");
        let _ = fs::remove_dir_all(&fresh);
        let own = env::current_exe().map_err(|error| error.to_string())?;
        build
            .args(["--lib", "-p", "taskgroup"])
            .env("CARGO_TARGET_DIR", fresh)
            .env("RUSTC_WRAPPER", own)
            .env(TIME, time);
    }
    match build.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the build of bench/size ended with {status}")),
        Err(error) => Err(format!("cargo cannot be run: {error}")),
    }
}

fn size(folder: &Path, program: &str) -> Result<u64, String> {
    let path = folder.join("target/release").join(program);
    let read = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(read.len())
}

/// Where this program is called as the wrapper of rustc: runs rustc, and writes the user time of
/// the library's build.
pub(crate) fn as_wrapper() -> Option<ExitCode> {
    let time = PathBuf::from(env::var_os(TIME)?);
    let mut arguments = env::args_os().skip(1);
    let Some(rustc) = arguments.next() else {
        eprintln!("{TIME} is set, so cargo calls this with the path of rustc; it got none");
        return Some(ExitCode::FAILURE);
    };
    let ended = run_rustc(&rustc, &arguments.collect::<Vec<_>>(), &time);
    let code = ended.unwrap_or_else(|error| {
        eprintln!("{}: {error}", rustc.to_string_lossy());
        ExitCode::FAILURE
    });
    Some(code)
}

fn run_rustc(rustc: &OsStr, arguments: &[OsString], time: &Path) -> io::Result<ExitCode> {
    let status = Command::new(rustc).args(arguments).status()?;
    let is_named = |pair: &[OsString]| pair[0] == "--crate-name" && pair[1] == "taskgroup";
    if arguments.windows(2).any(is_named) {
        fs::write(time, format!("{:.1}", user_seconds_of_children()?))?;
    }
    Ok(ExitCode::from(u8::from(!status.success())))
}

/// The user time of the children that have ended.
fn user_seconds_of_children() -> io::Result<f64> {
    // The 16th field, in ticks of 10 ms. The 2nd is a name in brackets, which may hold spaces.
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().nth(13);
    let ticks = ticks.and_then(|ticks| ticks.parse::<f64>().ok());
    let ticks = ticks.ok_or_else(|| io::Error::other(format!("/proc/self/stat says {stat:?}")))?;
    Ok(ticks / 100.0)
}
