//! The guards of a run. One is started when no idle one exists; all end with the run.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, RwLock, Semaphore};
use tokio::time::timeout;

use super::level::Level;
use super::limits::{self, Descriptors};
use super::slurm::{Cluster, For, Lease, Settings, Used};
use super::wire::{Event, Inbox, Process, Request, frame, send};
use super::{adopt, cgroup, children, group, guard, sweep};
use crate::needs::Needs;

/// How long a command that a limit keeps from starting waits for the next try, at most.
const PAUSE: Duration = Duration::from_secs(1);

/// All guards of a run. Clones are the same pool.
#[derive(Clone)]
pub(crate) struct Guards {
    level: Level,
    state: Arc<Mutex<State>>,
    descriptors: Descriptors,
    /// For commands that run at the same time, as far as there are descriptors.
    places: Arc<Semaphore>,
    /// A command has ended.
    freed: Arc<Notify>,
    turn: Arc<tokio::sync::Mutex<()>>,
    children: Children,
    /// Where commands run that do not run on this machine.
    cluster: Cluster,
}

/// The children of the runner that are not strays: guards, other programs that it has started, and
/// children from before it was this program. Clones are the same set.
#[derive(Clone, Default)]
pub(super) struct Children {
    ours: Arc<Mutex<HashSet<Pid>>>,
    /// Steps that are about to end share it.
    ending: Arc<RwLock<()>>,
}

impl Children {
    /// Starts it under the lock: otherwise a sweep could take it for a stray.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut ours = self.lock();
        let process = command.spawn()?;
        ours.insert(Pid::from_child(&process));
        Ok(process)
    }

    /// Waits for its end.
    pub(super) fn reap(&self, process: &mut Child) {
        // It fails only if SIGCHLD is ignored, and then there is nothing to reap.
        let _ = process.wait();
        self.lock().remove(&Pid::from_child(process));
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Pid>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to run one command. Dropping it frees the place.
pub(crate) type Place = OwnedSemaphorePermit;

struct State {
    idle: Vec<Guard>,
    /// The guards that have a command, by pid.
    active: HashMap<u32, Active>,
    /// Guards that are about to end and are not reaped yet.
    leaving: Vec<Child>,
    /// Guards that were killed. The sweep of what they left may come after they are reaped.
    buried: Vec<u32>,
}

/// A guard that has a command.
struct Active {
    socket: Arc<UnixStream>,
    /// The command does not end by itself.
    lasts: bool,
}

/// The runner's end of one guard.
pub(super) struct Guard {
    process: Child,
    socket: Arc<UnixStream>,
    inbox: Inbox,
    /// The process group of its command, at a level at which the runner has to kill it itself.
    group: Option<Pid>,
    children: Children,
    /// The place of its step, if its commands run on a node.
    pub(super) lease: Option<Lease>,
    /// How many commands the step has had.
    served: u32,
}

impl Guards {
    /// Makes the runner the subreaper of its guards. Needs a Tokio runtime.
    pub(crate) fn new(level: Level, settings: Settings) -> io::Result<Guards> {
        if level != Level::Group {
            if cfg!(not(target_os = "linux")) {
                let text = format!(
                    "--contain={} needs Linux; this system has --contain=group",
                    level.word()
                );
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            adopt()?;
        }
        let state = State {
            idle: Vec::new(),
            active: HashMap::new(),
            leaving: Vec::new(),
            buried: Vec::new(),
        };
        let children = Children::default();
        if level != Level::Group {
            children.lock().extend(children::own()?);
        }
        let cluster = Cluster::new(settings, level, children.clone());
        let descriptors = Descriptors::raise();
        let places = descriptors.commands.min(Semaphore::MAX_PERMITS);
        let guards = Guards {
            level,
            state: Arc::new(Mutex::new(state)),
            descriptors,
            places: Arc::new(Semaphore::new(places)),
            freed: Arc::default(),
            turn: Arc::default(),
            children,
            cluster,
        };
        Ok(guards)
    }

    /// Starts a first guard and waits for its message: an error if the level is unavailable.
    pub(crate) async fn probe(&self) -> io::Result<()> {
        let mut guard = self.start(None)?;
        match guard.event().await {
            Ok(Event::Ready) => {
                self.lock().idle.push(guard);
                Ok(())
            }
            answer => {
                self.retire(guard);
                Err(match answer {
                    Ok(Event::Refused(text)) => io::Error::new(io::ErrorKind::Unsupported, text),
                    Ok(event) => io::Error::other(format!(
                        "unexpected first message from a guard: {event:?}"
                    )),
                    Err(error) => error,
                })
            }
        }
    }

    /// Resolves when one more command may run. Cancel safe.
    pub(crate) async fn place(&self) -> Place {
        let places = Arc::clone(&self.places);
        places
            .acquire_owned()
            .await
            .expect("the places are never closed")
    }

    /// For one command at a time of those that a limit of the machine keeps from starting.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The command of this guard has begun, and this is its process group.
    pub(super) fn began(&self, guard: &mut Guard, leader: i32) {
        guard.group = Pid::from_raw(leader).filter(|_| self.level == Level::Group);
    }

    /// Whether a command runs that will end by itself.
    pub(super) fn will_change(&self) -> bool {
        self.lock().active.values().any(|active| !active.lasts)
    }

    /// Resolves when it is worth trying again to start a command that a limit of the machine keeps
    /// from starting: another one has ended, or a moment has passed.
    pub(super) async fn changed(&self) {
        let is_alone = {
            let mut state = self.lock();
            let is_alone = state.active.values().all(|active| active.lasts);
            if is_alone {
                // They are processes, too. One is left for the next try.
                let kept = state.idle.len().min(1);
                let idle = state.idle.split_off(kept);
                state
                    .leaving
                    .extend(idle.into_iter().map(|guard| guard.process));
            }
            is_alone
        };
        // Other programs may give something back as well.
        let pause = if is_alone { PAUSE / 10 } else { PAUSE };
        let _ = timeout(pause, self.freed.notified()).await;
    }

    /// A place on a node for a command. Waits until there is room. Cancel safe.
    pub(crate) async fn lease(&self, needs: &Arc<Needs>, what: For) -> io::Result<Lease> {
        self.cluster.lease(needs, what).await
    }

    /// A place for a step of cleanup, which takes nothing, on this node if it answers. Cancel safe.
    pub(crate) async fn beside(&self, needs: &Arc<Needs>, node: Option<&str>) -> io::Result<Lease> {
        self.cluster.beside(needs, node).await
    }

    /// Learns what the run waits for before commands can start on nodes. None: nothing any longer.
    pub(crate) fn on_wait(&self, notice: impl Fn(Option<String>) + Send + Sync + 'static) {
        self.cluster.on_wait(Box::new(notice));
    }

    /// A guard without a command, here or at this place.
    pub(super) fn get(&self, lease: Option<&Lease>) -> io::Result<Guard> {
        let idle = match lease {
            Some(lease) => lease.take_step(),
            None => self.lock().idle.pop(),
        };
        match idle {
            Some(mut guard) => {
                guard.lease = lease.cloned();
                Ok(guard)
            }
            None => self.start(lease),
        }
    }

    /// Takes back a guard whose command has ended.
    pub(super) fn give_back(&self, mut guard: Guard) {
        guard.group = None;
        self.lock().active.remove(&guard.process.id());
        guard.served += 1;
        match &guard.lease {
            None => self.lock().idle.push(guard),
            Some(lease) if lease.shares_step(guard.served) => self.cluster.idle(guard),
            Some(_) => guard.end_step(),
        }
        self.freed.notify_waiters();
    }

    /// From now on, [`suspend`](Self::suspend) reaches the command of this guard. Its request to
    /// start must have been sent whole.
    pub(super) fn has_command(&self, guard: &Guard, lasts: bool) {
        let socket = Arc::clone(&guard.socket);
        let active = Active { socket, lasts };
        self.lock().active.insert(guard.process.id(), active);
    }

    /// Suspends all commands. Those that are being ended go on.
    pub(crate) fn suspend(&self) {
        self.tell_all(&Request::Suspend);
    }

    /// Resumes what [`suspend`](Self::suspend) has suspended.
    pub(crate) fn resume(&self) {
        self.tell_all(&Request::Resume);
    }

    /// Does not wait: a guard whose socket is full has ended or is stopped itself.
    fn tell_all(&self, request: &Request) {
        let frame = frame(request);
        for active in self.lock().active.values() {
            let _ = send(&*active.socket, &frame, &[]);
        }
    }

    /// Retires a guard: at the end of its socket it stops its command and ends.
    pub(super) fn retire(&self, guard: Guard) {
        self.lock().active.remove(&guard.process.id());
        match guard.lease {
            None => self.lock().leaving.push(guard.process),
            Some(_) => guard.end_step(),
        }
        self.freed.notify_waiters();
    }

    /// Handles a guard that has ended. Its processes are now children of the runner, which kills
    /// them. Returns the processes that are left when the runner gives up. Cancel safe; may be
    /// called again.
    pub(super) async fn bury(&self, guard: &mut Guard) -> Vec<Process> {
        // Whatever went wrong with the socket, there is no guard any longer.
        let _ = guard.process.kill();
        self.lock().active.remove(&guard.process.id());
        self.children.reap(&mut guard.process);
        if let Some(group) = guard.group.take() {
            group::kill(group);
        }
        if let Some(lease) = &guard.lease {
            // What a killed step process leaves ends by itself, and may clean up before.
            self.wait_for_strays(lease.patience()).await;
        }
        let left = self.sweep().await;
        self.forget(guard.process.id());
        self.lock().buried.push(guard.process.id());
        guard.lease = None;
        left
    }

    /// Ends the guards, which are idle by now, and gives the job back, if there was one. Kills any
    /// remaining child of the runner, although there should be none.
    pub(crate) async fn close(&self) -> Option<Used> {
        self.cluster
            .take_idle()
            .into_iter()
            .for_each(Guard::end_step);
        drop(self.children.ending.write().await);
        let used = self.cluster.close().await;
        let (idle, mut leaving) = {
            let mut state = self.lock();
            (
                std::mem::take(&mut state.idle),
                std::mem::take(&mut state.leaving),
            )
        };
        // All sockets first, so that the guards end at the same time.
        leaving.extend(idle.into_iter().map(|guard| guard.process));
        for process in &mut leaving {
            self.children.reap(process);
        }
        self.sweep().await;
        let buried = std::mem::take(&mut self.lock().buried);
        let leaving = leaving.iter().map(Child::id);
        buried
            .into_iter()
            .chain(leaving)
            .for_each(|guard| self.forget(guard));
        used
    }

    async fn sweep(&self) -> Vec<Process> {
        if self.level == Level::Group {
            return Vec::new();
        }
        sweep::sweep(|| self.children.lock().clone()).await
    }

    async fn wait_for_strays(&self, limit: Duration) {
        if self.level != Level::Group {
            sweep::wait(|| self.children.lock().clone(), limit).await;
        }
    }

    fn start(&self, lease: Option<&Lease>) -> io::Result<Guard> {
        let (socket, theirs) = std::os::unix::net::UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let before = self.descriptors.before();
        let mut command = match lease {
            Some(lease) => lease.guard(&before)?,
            None => {
                let mut command = Command::new(this_program()?);
                command.args(guard::arguments(self.level, before));
                command
            }
        };
        command
            .arg0("taskgroup-guard")
            .stdin(OwnedFd::from(theirs))
            .stdout(dev_null()?)
            .stderr(dev_null()?)
            .process_group(0);
        let process = self.children.spawn(&mut command).map_err(no_guard)?;
        Ok(Guard {
            process,
            socket: Arc::new(UnixStream::from_std(socket)?),
            inbox: Inbox::default(),
            group: None,
            children: self.children.clone(),
            lease: lease.cloned(),
            served: 0,
        })
    }

    /// Removes what a killed guard could not remove. Call it after the sweep: a cgroup with a
    /// process in it stays.
    fn forget(&self, guard: u32) {
        if self.level == Level::Cgroup {
            cgroup::remove_of(guard);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard {
    /// Ends a step, with its command if it has one. Its place is free after that.
    pub(super) fn end_step(mut self) {
        let ending = Arc::clone(&self.children.ending).try_read_owned();
        let end = async move {
            let _ending = ending;
            let _ = rustix::net::shutdown(&*self.socket, rustix::net::Shutdown::Write);
            while self.event().await.is_ok() {}
            self.children.reap(&mut self.process);
            drop(self);
        };
        tokio::spawn(end);
    }

    /// Whether it has had a command before.
    pub(super) fn has_served(&self) -> bool {
        self.served > 0
    }

    /// The next event, or an error if the guard has ended. Cancel safe.
    pub(super) async fn event(&mut self) -> io::Result<Event> {
        let (socket, inbox) = (&self.socket, &mut self.inbox);
        loop {
            if let Some(event) = inbox.next()? {
                return Ok(event);
            }
            let readable = Interest::READABLE;
            let receive = || inbox.receive(&**socket);
            let more = socket.async_io(readable, receive).await?;
            if !more {
                return Err(gone());
            }
        }
    }

    /// The next event, if one has arrived.
    pub(super) fn event_now(&mut self) -> Option<Event> {
        // `event` finds the end and errors.
        let _ = self.inbox.receive(&*self.socket);
        self.inbox.next().ok().flatten()
    }

    pub(super) async fn ask(&self, request: &Request) -> io::Result<()> {
        self.ask_with(request, Vec::new()).await
    }

    /// Sends the request with its descriptors.
    pub(super) async fn ask_with(
        &self,
        request: &Request,
        mut fds: Vec<OwnedFd>,
    ) -> io::Result<()> {
        let frame = frame(request);
        let mut sent = 0;
        while sent < frame.len() {
            let write = || {
                let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
                send(&*self.socket, &frame[sent..], &fds)
            };
            sent += match write() {
                Err(full) if full.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.async_io(Interest::WRITABLE, write).await?
                }
                result => result?,
            };
            // They went with the first piece. There was room for it, so nothing else has run since
            // they were opened. A guard that is started while they are open has them too, until its
            // program begins, and would seem to hold the output.
            fds.clear();
        }
        Ok(())
    }
}

/// Opened by hand, because an error of `Stdio::null` does not say what is missing.
fn dev_null() -> io::Result<File> {
    let path = "/dev/null";
    let file = File::options().write(true).open(path);
    file.map_err(|error| limits::unless_reached(error, |error| format!("{path}: {error}")))
}

/// The path of this program. On Linux it leads to the file that runs now, even if another one has
/// taken its place.
pub(super) fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok("/proc/self/exe".into())
    } else {
        std::env::current_exe()
    }
}

/// The path of this program for other machines, and for programs that are started later.
pub(super) fn lasting_path() -> io::Result<PathBuf> {
    std::env::current_exe()
}

fn no_guard(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::NotFound {
        return error;
    }
    let text = format!("/proc/self/exe, the guard process: {error}; is /proc mounted?");
    io::Error::new(error.kind(), text)
}

pub(super) fn gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "its guard process was killed, and so was everything that it guarded",
    )
}
