//! A pid namespace for a guard. The guard is its pid 1. When the guard ends, the kernel kills every
//! process that is left in the namespace.
//!
//! A process enters a new pid namespace only when it is created, so there are two processes: the
//! outer one makes the namespaces and waits, the inner one is the guard.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{getegid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, set_capabilities,
};

/// Makes the namespaces, starts this program in them with `arguments` and the same standard
/// input, and waits for its end.
pub(super) fn enter_and_wait(arguments: &[&str]) -> io::Result<()> {
    make().map_err(|error| {
        let text = format!(
            "this system does not allow {} to create a pid namespace ({error}); \
             see user.max_user_namespaces and kernel.apparmor_restrict_unprivileged_userns",
            if geteuid().is_root() {
                "root"
            } else {
                "a plain user"
            }
        );
        io::Error::new(error.kind(), text)
    })?;
    let mut inner = Command::new("/proc/self/exe")
        .arg0("taskgroup-guard")
        .args(arguments)
        .stdin(io::stdin().as_fd().try_clone_to_owned()?)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    inner.wait()?;
    Ok(())
}

fn make() -> io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    let namespaces = UnshareFlags::NEWPID | UnshareFlags::NEWNS;
    // A process that may do this without a user namespace keeps all its users and groups.
    if unshare(namespaces).is_ok() {
        return Ok(());
    }
    unshare(namespaces | UnshareFlags::NEWUSER)?;
    // Ids are mapped to themselves. Groups can be mapped only by a process that cannot change them.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", identity(user.as_raw()))?;
    fs::write("/proc/self/gid_map", identity(group.as_raw()))?;
    // Capabilities end with `exec`, except for root. The inner process needs one.
    let mut capabilities = capabilities(None)?;
    capabilities.inheritable |= CapabilitySet::SYS_ADMIN;
    set_capabilities(None, capabilities)?;
    configure_capability_in_ambient_set(CapabilitySet::SYS_ADMIN, true)?;
    Ok(())
}

/// The function that replaces this one is unsafe for the sake of a flag that shares descriptors,
/// which is not used here.
#[expect(deprecated, reason = "only its successor's other flags are unsafe")]
fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    rustix::thread::unshare(flags)
}

fn identity(id: u32) -> String {
    format!("{id} {id} 1")
}

/// Called by the inner process: gives the namespace a `/proc` that shows its own processes.
pub(super) fn inside() -> io::Result<()> {
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_change("/", private)
        .and_then(|()| mount("proc", "/proc", "proc", safe, None))
        .map_err(|error| {
            let text = format!(
                "this system does not allow a pid namespace to have its own /proc ({error})"
            );
            io::Error::new(io::Error::from(error).kind(), text)
        })?;
    if !geteuid().is_root() {
        // The commands get the capabilities of a plain user.
        clear_ambient_capability_set()?;
        let none = CapabilitySet::empty();
        set_capabilities(
            None,
            CapabilitySets {
                effective: none,
                permitted: none,
                inheritable: none,
            },
        )?;
    }
    Ok(())
}
