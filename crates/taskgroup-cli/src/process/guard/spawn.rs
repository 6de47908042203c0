//! Starts the command of a guard, and says what is missing if that fails.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::io::Errno;

use crate::process::limits;
use crate::process::pool::this_program;
use crate::process::terminal;
use crate::process::wire::{Start, Stdio};

/// The kernel takes no argument of this size, its end included.
const TOO_LONG: usize = 128 << 10;

/// A shell reads a script that is too long for an argument from its standard input. The script
/// itself gets an empty one.
const READS_ITS_SCRIPT: &[u8] = b"eval \"exec < /dev/null\n$(cat)\"";

/// How much of a file shows whether it is a script.
const HEAD: usize = 256;

/// Starts the command in a process group of its own, with the descriptors that its standard
/// streams need.
pub(super) fn spawn(start: &Start, given: Vec<OwnedFd>) -> io::Result<Child> {
    let mut argv: Vec<&[u8]> = start.argv.iter().map(Vec::as_slice).collect();
    let mut streams = Streams::new(start.stdio, given)?;
    if let Some(at) = script(&argv) {
        let text = argv[at];
        if text.len() >= TOO_LONG && streams.input_is_empty {
            argv[at] = READS_ITS_SCRIPT;
            streams.input = held(text)?.into();
        } else if matches!(text.first(), Some(b'-' | b'+')) && argv[at - 1] != b"--" {
            // Otherwise the shell takes the script for its options.
            argv.insert(at, b"--");
        }
    }
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    if let Stdio::Terminal { .. } = start.stdio {
        return on_a_terminal(start, program, arguments, &streams);
    }
    let mut first = command(start, OsStr::from_bytes(program), arguments);
    let error = match streams.attach(&mut first)?.process_group(0).spawn() {
        Ok(child) => return Ok(child),
        Err(error) => error,
    };
    if Errno::from_io_error(&error) != Some(Errno::NOEXEC) {
        return Err(explained(error, start, program, arguments));
    }
    let words = as_script(start, program, arguments)?;
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let mut by_shell = command(start, OsStr::new("/bin/sh"), &words);
    streams.attach(&mut by_shell)?.process_group(0).spawn()
}

/// Starts the process that makes a session, takes the terminal and becomes the command. What would
/// keep the command from starting is found before that.
fn on_a_terminal(
    start: &Start,
    program: &[u8],
    arguments: &[&[u8]],
    streams: &Streams,
) -> io::Result<Child> {
    let runs = |path: PathBuf| interpreter(&path).is_none_or(|interpreter| interpreter.exists());
    if !found(start, program).is_some_and(runs) {
        let error = io::Error::from(Errno::NOENT);
        return Err(explained(error, start, program, arguments));
    }
    let words = [&[terminal::MARK.as_bytes(), program][..], arguments].concat();
    let mut command = command(start, this_program()?.as_os_str(), &words);
    let child = streams.attach(&mut command)?.spawn();
    child.map_err(|error| explained(error, start, program, arguments))
}

/// What every shell does with a script that has no first line that says by what to run it.
fn as_script(start: &Start, program: &[u8], arguments: &[&[u8]]) -> io::Result<Vec<Vec<u8>>> {
    let path = found(start, program).filter(|path| is_text(path));
    let Some(path) = path else {
        let text = "it is neither a program for this system nor a script";
        return Err(io::Error::other(text));
    };
    let words = [&[path.as_os_str().as_bytes()][..], arguments].concat();
    Ok(words.into_iter().map(<[u8]>::to_vec).collect())
}

/// The standard streams of a command.
struct Streams {
    input: OwnedFd,
    input_is_empty: bool,
    output: OwnedFd,
    error: OwnedFd,
}

impl Streams {
    fn new(stdio: Stdio, given: Vec<OwnedFd>) -> io::Result<Streams> {
        let missing = || io::Error::from(io::ErrorKind::InvalidInput);
        let mut given = given.into_iter();
        let mut next = || given.next().ok_or_else(missing);
        let (input, input_is_empty, output) = match stdio {
            Stdio::Output => (null()?.into(), true, next()?),
            Stdio::InputAndOutput => (next()?, false, next()?),
            Stdio::Terminal { input: false } => (null()?.into(), true, next()?),
            Stdio::Terminal { input: true } => {
                let terminal = next()?;
                (terminal.try_clone()?, false, terminal)
            }
        };
        let error = match stdio {
            Stdio::Terminal { .. } => output.try_clone()?,
            _ => next()?,
        };
        Ok(Streams {
            input,
            input_is_empty,
            output,
            error,
        })
    }

    /// Gives copies to the command: it may be tried twice.
    fn attach<'a>(&self, command: &'a mut Command) -> io::Result<&'a mut Command> {
        let command = command.stdin(self.input.try_clone()?);
        let command = command.stdout(self.output.try_clone()?);
        Ok(command.stderr(self.error.try_clone()?))
    }
}

fn command(start: &Start, program: &OsStr, arguments: &[&[u8]]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|word| OsStr::from_bytes(word)));
    for (name, value) in &start.env {
        let name = OsStr::from_bytes(name);
        match value {
            Some(value) => command.env(name, OsStr::from_bytes(value)),
            None => command.env_remove(name),
        };
    }
    if let Some(cwd) = &start.cwd {
        command.current_dir(OsStr::from_bytes(cwd));
    }
    command
}

/// Where in `argv` a shell finds its script, if it is a shell that gets one.
fn script(argv: &[&[u8]]) -> Option<usize> {
    const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "ksh", "zsh"];
    let shell = Path::new(OsStr::from_bytes(argv.first()?)).file_name()?;
    if !SHELLS.iter().any(|name| shell == *name) {
        return None;
    }
    let flag = argv
        .iter()
        .position(|word| word.starts_with(b"-") && word.ends_with(b"c"))?;
    let dashes = usize::from(argv.get(flag + 1).is_some_and(|word| word == b"--"));
    let at = flag + dashes + 1;
    (at < argv.len()).then_some(at)
}

/// An empty standard input.
fn null() -> io::Result<File> {
    let path = "/dev/null";
    let file = File::open(path);
    file.map_err(|error| limits::unless_reached(error, |error| format!("{path}: {error}")))
}

/// An unnamed file with this text, at its beginning.
fn held(text: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(text)?;
    file.rewind()?;
    Ok(file)
}

/// The system's error says that something is missing, but not what.
fn explained(error: io::Error, start: &Start, program: &[u8], arguments: &[&[u8]]) -> io::Error {
    let text = match Errno::from_io_error(&error) {
        Some(Errno::TOOBIG) => Some(too_big(arguments)),
        Some(Errno::NOENT | Errno::NOTDIR) => what_is_missing(start, program),
        _ => None,
    };
    text.map_or(error, |text| io::Error::new(io::ErrorKind::NotFound, text))
}

fn too_big(arguments: &[&[u8]]) -> String {
    let long = arguments.iter().position(|word| word.len() >= TOO_LONG);
    match long {
        Some(at) => format!(
            "its argument {} has {} bytes, and the system takes fewer than {TOO_LONG}",
            at + 1,
            arguments[at].len()
        ),
        None => {
            "its arguments and its environment together are larger than the system takes".to_owned()
        }
    }
}

fn what_is_missing(start: &Start, program: &[u8]) -> Option<String> {
    if folder(start).is_some_and(|folder| !folder.is_dir()) {
        return Some("there is no such folder".to_owned());
    }
    let Some(path) = found(start, program) else {
        if program.contains(&b' ') && program.contains(&b'/') {
            let text = "nothing has this name, which has a space; each argument is its own word";
            return Some(text.to_owned());
        }
        if program.contains(&b'/') {
            return None;
        }
        let path = path_of(start).unwrap_or_default();
        let path = path.to_string_lossy();
        return Some(format!("no such program in PATH, which is `{path}`"));
    };
    match interpreter(&path) {
        Some(interpreter) => Some(format!(
            "its interpreter `{}`, which its first line names, is missing",
            interpreter.to_string_lossy().escape_debug()
        )),
        None => Some("it is there, but the loader that it needs is missing".to_owned()),
    }
}

/// Where the command runs, if that is not where the guard runs.
fn folder(start: &Start) -> Option<&Path> {
    let cwd = start.cwd.as_deref()?;
    Some(Path::new(OsStr::from_bytes(cwd)))
}

/// The file that would be executed.
fn found(start: &Start, program: &[u8]) -> Option<PathBuf> {
    let program = Path::new(OsStr::from_bytes(program));
    let folder = folder(start).unwrap_or(Path::new(""));
    if program.as_os_str().as_bytes().contains(&b'/') {
        let path = folder.join(program);
        return path.is_file().then_some(path);
    }
    std::env::split_paths(&path_of(start)?)
        .map(|part| folder.join(part).join(program))
        .find(|path| path.is_file())
}

fn path_of(start: &Start) -> Option<OsString> {
    match start.env.iter().rev().find(|(name, _)| name == b"PATH") {
        Some((_, value)) => value
            .as_deref()
            .map(|value| OsStr::from_bytes(value).to_owned()),
        None => std::env::var_os("PATH"),
    }
}

fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let file = File::open(path).ok()?;
    file.take(HEAD as u64).read_to_end(&mut head).ok()?;
    Some(head)
}

fn is_text(path: &Path) -> bool {
    head(path).is_some_and(|head| !head.contains(&0))
}

/// What the first line of a script names, if it has one. A carriage return belongs to the name
/// that the kernel looks for.
fn interpreter(path: &Path) -> Option<PathBuf> {
    let head = head(path)?;
    let line = head
        .strip_prefix(b"#!")?
        .split(|&byte| byte == b'\n')
        .next()?;
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t'));
    let word = words.find(|word| !word.is_empty())?;
    Some(PathBuf::from(OsStr::from_bytes(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_found_behind_the_options() {
        let at = |argv: &[&[u8]]| script(argv);
        assert_eq!(at(&[b"sh", b"-c", b"x", b"sh", b"1"]), Some(2));
        assert_eq!(
            at(&[b"/bin/bash", b"-eo", b"pipefail", b"-c", b"x"]),
            Some(4)
        );
        assert_eq!(at(&[b"bash", b"-ec", b"--", b"x"]), Some(3));
        assert_eq!(at(&[b"sh", b"x"]), None);
        assert_eq!(at(&[b"sh", b"-c"]), None);
        assert_eq!(at(&[b"cc", b"-c", b"x.c"]), None);
        assert_eq!(at(&[]), None);
    }
}
