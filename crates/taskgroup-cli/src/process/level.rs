//! The levels of containment, from the one that needs nothing to those that need privileges.

use clap::ValueEnum;

/// How commands are kept together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// A guard process for each running command that adopts whatever the command leaves behind
    #[default]
    Guard,
    /// The same in a pid namespace of its own: the kernel ends it whole, also without the guard
    Namespace,
    /// The same in a cgroup of its own, killed at one stroke
    Cgroup,
}

impl Level {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Level::Guard => "guard",
            Level::Namespace => "namespace",
            Level::Cgroup => "cgroup",
        }
    }

    /// As the report says it.
    pub(crate) const fn described(self) -> &'static str {
        match self {
            Level::Guard => "contained by guard processes",
            Level::Namespace => "contained by pid namespaces",
            Level::Cgroup => "contained by cgroups",
        }
    }
}
