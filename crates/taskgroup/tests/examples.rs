//! Runs every numbered example and compares what it prints with the file beside it, byte for byte.
//!
//! One test per example, `examples/03_name.rs` against `examples/03_name.out`, and one that finds
//! an example without its output or an output without its example. Cargo knows the list of
//! examples, but not how to run them as tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, io};

use libtest_mimic::{Arguments, Failed, Trial};

/// The clock of most examples is paused, and the others use the loopback device: one that is not
/// done by then hangs.
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> io::Result<()> {
    let arguments = Arguments::from_args();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = stems(&sources, "rs")?;
    let outputs = stems(&sources, "out")?;
    let binaries = build()?;
    let mut trials = vec![Trial::test("every_example_has_its_output", {
        let names = names.clone();
        move || pairs(&names, &outputs)
    })];
    for name in names {
        let promised = sources.join(format!("{name}.out"));
        let binary = binaries.join(format!("{name}{}", env::consts::EXE_SUFFIX));
        trials.push(Trial::test(name, move || compare(&binary, &promised)));
    }
    libtest_mimic::run(&arguments, trials).exit()
}

/// The names of the files with this extension.
fn stems(dir: &Path, extension: &str) -> io::Result<BTreeSet<String>> {
    let mut stems = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            stems.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    Ok(stems)
}

fn pairs(names: &BTreeSet<String>, outputs: &BTreeSet<String>) -> Result<(), Failed> {
    let mut complaints = Vec::new();
    if names.is_empty() {
        complaints.push("there are no examples".to_owned());
    }
    for name in names.difference(outputs) {
        complaints.push(format!("{name}.rs has no {name}.out"));
    }
    for name in outputs.difference(names) {
        complaints.push(format!("{name}.out has no {name}.rs"));
    }
    for name in names.iter().filter(|name| !is_numbered(name)) {
        complaints.push(format!("{name}.rs has no number: call it `42_{name}.rs`"));
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints.join("\n").into())
    }
}

/// Two digits, an underscore and the name.
fn is_numbered(name: &str) -> bool {
    matches!(name.as_bytes(), [tens, ones, b'_', _, ..] if tens.is_ascii_digit() && ones.is_ascii_digit())
}

/// Builds the examples and gives the folder that they are in.
///
/// `cargo test` has built them already; a run of this test alone has not, and would compare with
/// what they once were.
fn build() -> io::Result<PathBuf> {
    // This binary is target/debug/deps/examples-…, theirs are in target/debug/examples.
    let this = env::current_exe()?;
    let profile = this.ancestors().nth(2);
    let profile = profile.ok_or_else(|| io::Error::other("no target directory above this test"))?;
    let mut cargo = Command::new(env!("CARGO"));
    // The whole workspace, because that is what README's command chooses features for: nothing is
    // built twice then.
    cargo.args([
        "build",
        "--quiet",
        "--workspace",
        "--all-features",
        "--examples",
    ]);
    cargo.args([
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    cargo.arg("--target-dir").args(profile.parent());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    if cargo.status()?.success() {
        Ok(profile.join("examples"))
    } else {
        Err(io::Error::other("the examples do not build"))
    }
}

fn compare(binary: &Path, promised: &Path) -> Result<(), Failed> {
    let promised = fs::read_to_string(promised)?;
    let mut child = Command::new(binary)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().ok_or("no stdout")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(io::read_to_string(&mut stdout));
    });
    let Ok(printed) = receiver.recv_timeout(LIMIT) else {
        child.kill()?;
        child.wait()?;
        return Err(format!("still running after {LIMIT:?}").into());
    };
    let printed = printed?;
    let status = child.wait()?;
    if printed != promised {
        return Err(difference(&promised, &printed).into());
    }
    if !status.success() {
        return Err(format!("printed what it should, but ended with {status}").into());
    }
    Ok(())
}

/// The first line that differs, in both versions.
fn difference(promised: &str, printed: &str) -> String {
    let line = promised
        .lines()
        .zip(printed.lines())
        .take_while(|(want, got)| want == got)
        .count();
    let shown = |text: &str| text.lines().nth(line).unwrap_or("<nothing>").to_owned();
    format!(
        "line {} differs\n  promised: {}\n  printed:  {}\n\nall of it:\n{printed}",
        line + 1,
        shown(promised),
        shown(printed),
    )
}
