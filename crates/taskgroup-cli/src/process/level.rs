//! The levels of containment, from one without requirements to those that need privileges.

use clap::ValueEnum;

/// How commands are contained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// A guard process for each running command, which adopts what the command leaves behind
    Guard,
    /// The same in a separate pid namespace: the kernel ends all of it, even without the guard
    Namespace,
    /// The same in a separate cgroup, which is killed in one step
    Cgroup,
    /// A guard process and a process group, without adopting; the default outside of Linux
    Group,
}

impl Default for Level {
    fn default() -> Level {
        if cfg!(target_os = "linux") {
            Level::Guard
        } else {
            Level::Group
        }
    }
}

impl Level {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Level::Guard => "guard",
            Level::Namespace => "namespace",
            Level::Cgroup => "cgroup",
            Level::Group => "group",
        }
    }

    /// The wording of the report.
    pub(crate) const fn described(self) -> &'static str {
        match self {
            Level::Guard => "contained by guard processes",
            Level::Namespace => "contained by pid namespaces",
            Level::Cgroup => "contained by cgroups",
            Level::Group => "contained by process groups",
        }
    }
}
