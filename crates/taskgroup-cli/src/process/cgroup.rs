//! A cgroup (version 2) for the commands of one guard, next to the guard's own.
//!
//! `cgroup.kill` reaches all processes in it in one step, even those that fork as fast as they can.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

/// Created by [`for_guard`](Cgroup::for_guard), removed when its last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct Cgroup(Rc<Folder>);

#[derive(Debug)]
struct Folder {
    home: PathBuf,
    path: PathBuf,
}

impl Cgroup {
    /// A new cgroup below the one that this process is in.
    pub(super) fn for_guard() -> io::Result<Cgroup> {
        let home = home().map_err(|text| io::Error::new(io::ErrorKind::Unsupported, text))?;
        let path = home.join(name(std::process::id()));
        fs::create_dir(&path).map_err(|error| {
            let text = format!(
                "cannot create a cgroup in {} ({error}); with systemd, this command gives you your \
                 own: systemd-run --user --scope -p Delegate=yes taskgroup …",
                home.display()
            );
            io::Error::new(error.kind(), text)
        })?;
        let cgroup = Cgroup(Rc::new(Folder { home, path }));
        if !cgroup.0.path.join("cgroup.kill").exists() {
            let text = "this kernel has no cgroup.kill, which needs Linux 5.14";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        cgroup.visit().and_then(Visit::leave).map_err(|error| {
            let text = format!(
                "cannot enter a cgroup in {} ({error})",
                cgroup.0.home.display()
            );
            io::Error::new(error.kind(), text)
        })?;
        Ok(cgroup)
    }

    /// Enters the cgroup, so that a process that is started now begins in it.
    pub(super) fn visit(&self) -> io::Result<Visit<'_>> {
        move_to(&self.0.path)?;
        Ok(Visit(self))
    }

    /// Sends SIGKILL to every process in it. If the write fails, the survivors show it.
    pub(super) fn kill(&self) {
        let _ = fs::write(self.0.path.join("cgroup.kill"), "1");
    }
}

#[must_use = "the guard must leave before it kills"]
pub(super) struct Visit<'a>(&'a Cgroup);

impl Visit<'_> {
    pub(super) fn leave(self) -> io::Result<()> {
        move_to(&self.0.0.home)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes the cgroup that a killed guard with this pid has left in the cgroup of this process.
pub(super) fn remove_of(guard: u32) {
    if let Ok(home) = home() {
        remove(&home.join(name(guard)));
    }
}

/// The kernel refuses this, rightly, while a process is in the cgroup. But it may still count a
/// process that was already reaped, until that has left its processor. So this retries for a
/// moment.
fn remove(path: &Path) {
    for _ in 0..50 {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                thread::sleep(Duration::from_millis(1));
            }
            _ => return,
        }
    }
}

fn name(guard: u32) -> String {
    format!("taskgroup-{guard}")
}

fn move_to(cgroup: &Path) -> io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), "0")
}

/// The folder of the cgroup that this process is in.
fn home() -> Result<PathBuf, String> {
    let read = |path| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let mounts = read("/proc/self/mountinfo")?;
    let own = read("/proc/self/cgroup")?;
    locate(&mounts, &own).ok_or_else(|| "this system has no cgroups of version 2".to_owned())
}

fn locate(mounts: &str, own: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        // `id parent device root mountpoint options … - type source options`
        let (mount, kind) = line.split_once(" - ")?;
        if kind.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        // In a container, the mount may begin somewhere below.
        let below = Path::new(path).strip_prefix(root).ok()?;
        Some(Path::new(&unescaped(point)).join(below))
    })
}

/// Blanks in a mount point are written as `\040`.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
24 29 0:22 / /proc rw - proc proc rw
31 24 0:27 /docker/1 /sys/fs/c\\040group rw,nosuid shared:9 - cgroup2 cgroup rw";

    #[test]
    fn the_own_cgroup_is_found_below_its_mount() {
        let own = "4:memory:/a\n0::/docker/1/job\n";
        assert_eq!(
            locate(MOUNTS, own),
            Some(PathBuf::from("/sys/fs/c group/job"))
        );
        assert_eq!(locate(MOUNTS, "0::/elsewhere\n"), None);
        assert_eq!(locate("", "0::/\n"), None);
        assert_eq!(locate(MOUNTS, "4:memory:/\n"), None);
    }
}
