//! The shell that runs commands.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// A program and its options. The command is the argument after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shell(Arc<[OsString]>);

static DEFAULT: LazyLock<Shell> = LazyLock::new(|| Shell(["sh".into(), "-c".into()].into()));

fn is_posix(word: &OsString) -> bool {
    let name = Path::new(word).file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| Shell::POSIX.contains(&name))
}

/// Whether a folder of PATH has a file of this name.
pub(crate) fn is_in_path(program: &OsStr) -> bool {
    static FOLDERS: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).collect()
    });
    let is_path = program.as_encoded_bytes().contains(&b'/');
    !is_path && FOLDERS.iter().any(|folder| folder.join(program).is_file())
}

impl Default for Shell {
    fn default() -> Shell {
        DEFAULT.clone()
    }
}

impl Shell {
    /// Shells that give a script the words after it as `$1` and so on.
    pub(crate) const POSIX: [&str; 9] = [
        "sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "busybox", "yash",
    ];

    /// None if there is no program, or a shell without `-c`, which would take the command for the
    /// name of a file.
    pub(crate) fn from_words(words: Vec<OsString>) -> Option<Shell> {
        let is_bare = words.len() == 1 && words.iter().any(is_posix);
        let is_empty = words.first().is_none_or(|program| program.is_empty());
        (!is_empty && !is_bare).then(|| Shell(words.into()))
    }

    pub(crate) fn words(&self) -> &[OsString] {
        &self.0
    }

    pub(crate) fn program(&self) -> &OsStr {
        &self.0[0]
    }

    /// Whether the script finds its arguments in `$1` and so on. Also in `env bash -c`.
    pub(crate) fn takes_arguments(&self) -> bool {
        self.0.iter().any(is_posix)
    }

    /// Whether its program is in PATH, or a file. What a relative path leads to depends on the
    /// folder of a task.
    pub(crate) fn may_be_there(&self) -> bool {
        let program = Path::new(self.program());
        let is_path = self.program().as_encoded_bytes().contains(&b'/');
        match program.is_absolute() {
            true => program.is_file(),
            false => is_path || is_in_path(self.program()),
        }
    }

    /// In one line, for people.
    pub(crate) fn shown(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }
}
