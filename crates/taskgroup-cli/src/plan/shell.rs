//! The shell that runs commands.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// A program and its options. The command is the argument after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shell(Arc<[OsString]>);

static DEFAULT: LazyLock<Shell> = LazyLock::new(|| Shell(["sh".into(), "-c".into()].into()));

/// Shells that give a script the words after it as `$1` and so on.
const POSIX: [&str; 9] = [
    "sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "busybox", "yash",
];

impl Default for Shell {
    fn default() -> Shell {
        DEFAULT.clone()
    }
}

impl Shell {
    /// None if there is no program.
    pub(crate) fn from_words(words: Vec<OsString>) -> Option<Shell> {
        let program = words.first()?;
        (!program.is_empty()).then(|| Shell(words.into()))
    }

    pub(crate) fn words(&self) -> &[OsString] {
        &self.0
    }

    pub(crate) fn program(&self) -> &OsStr {
        &self.0[0]
    }

    /// Whether the script finds its arguments in `$1` and so on. Also in `env bash -c`.
    pub(crate) fn takes_arguments(&self) -> bool {
        let is_posix = |word: &OsString| {
            let name = Path::new(word).file_name().and_then(OsStr::to_str);
            name.is_some_and(|name| POSIX.contains(&name))
        };
        self.0.iter().any(is_posix)
    }

    /// In one line, for people.
    pub(crate) fn shown(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }
}
