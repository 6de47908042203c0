//! Places for commands on the nodes of the job.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::job::{Job, Notice};
use super::nodes::{Nodes, TooMuch};
use super::{STEP, node, step};
use crate::flag::Flag;
use crate::needs::{JobRequest, Needs};
use crate::process::level::Level;
use crate::process::pool::{Children, Guard, lasting_path};

/// How often a command that waits for another place looks whether it is given up.
const LOOK: Duration = Duration::from_millis(100);

/// How a run uses Slurm.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) job: JobRequest,
    /// How many commands share a step, one after the other.
    pub(crate) items_per_step: NonZeroU32,
    /// The longest time that a command may take to end when it is stopped.
    pub(crate) grace: Duration,
    /// Slurm is not waited for any longer.
    pub(crate) hurry: Flag,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            job: JobRequest::default(),
            items_per_step: NonZeroU32::MIN,
            grace: Duration::ZERO,
            hurry: Flag::new(),
        }
    }
}

/// The job that a run has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) id: String,
    pub(crate) nodes: Vec<String>,
    pub(crate) own: bool,
    /// When it was asked for.
    pub(crate) asked: Instant,
    pub(crate) waited: Duration,
    /// What went wrong when it was given back.
    pub(crate) trouble: Option<String>,
}

/// The job of a run and its nodes. Clones are the same one.
#[derive(Clone)]
pub(in crate::process) struct Cluster(Arc<Inner>);

struct Inner {
    settings: Settings,
    level: Level,
    children: Children,
    notice: OnceLock<Box<Notice>>,
    /// The job is not waited for any longer.
    given_up: Flag,
    state: Mutex<State>,
    /// Something was given back, or something has changed otherwise.
    changed: Notify,
    /// Commands get their places in the order in which they ask.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    asking: Option<Asking>,
    job: Option<Job>,
    nodes: Nodes,
    used: Option<Used>,
    /// Steps that wait for their next command.
    idle: Vec<Guard>,
    /// How many commands have a place and will end.
    ending: usize,
}

struct Asking {
    answer: watch::Receiver<Option<Result<(), (io::ErrorKind, String)>>>,
    task: JoinHandle<()>,
}

/// What a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Ends by itself.
    Task,
    /// Does not end by itself.
    Service,
}

/// A place for one command: so much of these nodes. Dropping the last clone gives it back.
#[derive(Clone)]
pub(crate) struct Lease(Arc<Place>);

struct Place {
    cluster: Cluster,
    job: String,
    /// The command runs on the first one.
    nodes: Vec<String>,
    needs: Arc<Needs>,
    /// It takes nothing: a step of cleanup runs beside everything else.
    is_beside: bool,
    lasts: bool,
    /// A step that waits for a command.
    step: Mutex<Option<Guard>>,
}

/// Why there is no place.
type Answer = Result<Option<Lease>, TooMuch>;

impl Cluster {
    pub(in crate::process) fn new(settings: Settings, level: Level, children: Children) -> Cluster {
        Cluster(Arc::new(Inner {
            settings,
            level,
            children,
            notice: OnceLock::new(),
            given_up: Flag::new(),
            state: Mutex::default(),
            changed: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// Learns what the run waits for.
    pub(in crate::process) fn on_wait(&self, notice: Box<Notice>) {
        let _ = self.0.notice.set(notice);
    }

    /// Waits for the job, and for room in it. Cancel safe.
    pub(in crate::process) async fn lease(
        &self,
        needs: &Arc<Needs>,
        what: For,
    ) -> io::Result<Lease> {
        self.job().await?;
        let _turn = self.0.turn.lock().await;
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.lease_now(needs, what) {
                Ok(Some(lease)) => return Ok(lease),
                Ok(None) => {}
                Err(TooMuch(text)) => return Err(io::Error::other(text)),
            }
            if !self.retire_idle() && self.lock().ending == 0 {
                let text = "services have taken the rest of the job, and they do not end by \
                            themselves; a larger job, or `on = \"local\"` for some of them, \
                            gives it room";
                return Err(io::Error::other(text));
            }
            changed.await;
        }
    }

    /// For a step of cleanup: a place that takes nothing, on this node if it answers. Cancel safe.
    pub(in crate::process) async fn beside(
        &self,
        needs: &Arc<Needs>,
        node: Option<&str>,
    ) -> io::Result<Lease> {
        self.job().await?;
        let state = self.lock();
        let answers = |name: &&str| {
            let mut nodes = state.nodes.0.iter();
            nodes.any(|node| node.name == *name && !node.is_lost)
        };
        let node = node.filter(answers).map(str::to_owned);
        let node = node.or_else(|| state.nodes.any().map(|node| node.name.clone()));
        let (Some(node), Some(job)) = (node, &state.job) else {
            return Err(io::Error::other("no node of the job answers any longer"));
        };
        Ok(Lease(Arc::new(Place {
            cluster: self.clone(),
            job: job.id.clone(),
            nodes: vec![node],
            needs: Arc::clone(needs),
            is_beside: true,
            lasts: true,
            step: Mutex::default(),
        })))
    }

    /// Waits until there is a job. The first caller asks for it. Cancel safe.
    async fn job(&self) -> io::Result<()> {
        let mut answer = {
            let mut state = self.lock();
            let asking = state.asking.get_or_insert_with(|| {
                let (send, answer) = watch::channel(None);
                let cluster = self.clone();
                let task = tokio::spawn(async move {
                    let got = cluster.get_job().await;
                    let got = got.map_err(|error| (error.kind(), error.to_string()));
                    let _ = send.send(Some(got));
                });
                Asking { answer, task }
            });
            asking.answer.clone()
        };
        let answer = answer.wait_for(Option::is_some).await;
        let answer = answer.ok().and_then(|answer| (*answer).clone());
        match answer {
            Some(Ok(())) => Ok(()),
            Some(Err((kind, text))) => Err(io::Error::new(kind, text)),
            None => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    async fn get_job(&self) -> io::Result<()> {
        let Inner {
            settings,
            children,
            notice,
            given_up,
            ..
        } = &*self.0;
        let silent = |_| {};
        let notice = notice.get().map_or(&silent as &Notice, |notice| &**notice);
        let asked = Instant::now();
        // The holder waits for the end of the commands, and a little longer.
        let limit = settings.grace.saturating_add(Duration::from_secs(5));
        let job = Job::get(children, &settings.job, limit, notice, given_up).await?;
        let mut state = self.lock();
        state.used = Some(Used {
            id: job.id.clone(),
            nodes: job.nodes.iter().map(|node| node.name.clone()).collect(),
            own: job.is_own(),
            asked,
            waited: asked.elapsed(),
            trouble: None,
        });
        state.nodes = Nodes(job.nodes.clone());
        state.job = Some(job);
        Ok(())
    }

    fn lease_now(&self, needs: &Arc<Needs>, what: For) -> Answer {
        let mut state = self.lock();
        let lasts = what == For::Service;
        let idle = state.idle.iter().position(|guard| {
            let lease = guard.lease.as_ref();
            lease.is_some_and(|lease| lease.0.needs == *needs && lease.0.lasts == lasts)
        });
        if let Some(at) = idle {
            let mut guard = state.idle.swap_remove(at);
            if let Some(lease) = guard.lease.take() {
                *lease.step() = Some(guard);
                return Ok(Some(lease));
            }
        }
        let Some(nodes) = state.nodes.take(needs)? else {
            return Ok(None);
        };
        state.ending += usize::from(!lasts);
        let job = state.job.as_ref().map(|job| job.id.clone());
        Ok(Some(Lease(Arc::new(Place {
            cluster: self.clone(),
            job: job.unwrap_or_default(),
            nodes,
            needs: Arc::clone(needs),
            is_beside: false,
            lasts,
            step: Mutex::default(),
        }))))
    }

    /// Ends the steps that wait for a command, to make room. False if there are none.
    fn retire_idle(&self) -> bool {
        let idle = std::mem::take(&mut self.lock().idle);
        let any = !idle.is_empty();
        for guard in idle {
            guard.end_step();
        }
        any
    }

    /// A step waits for its next command.
    pub(in crate::process) fn idle(&self, guard: Guard) {
        self.lock().idle.push(guard);
        self.0.changed.notify_waiters();
    }

    /// Ends the idle steps and gives the job back.
    pub(in crate::process) async fn close(&self) -> Option<Used> {
        self.0.given_up.set();
        let asking = self.lock().asking.take();
        if let Some(asking) = asking {
            let _ = asking.task.await;
        }
        let (job, used) = {
            let mut state = self.lock();
            (state.job.take(), state.used.take())
        };
        let mut used = used?;
        used.trouble = job?
            .give_back(&self.0.children, &self.0.settings.hurry)
            .await;
        Some(used)
    }

    /// Takes the idle steps, whose end is waited for.
    pub(in crate::process) fn take_idle(&self) -> Vec<Guard> {
        std::mem::take(&mut self.lock().idle)
    }

    fn has_lost_node(&self) -> bool {
        self.lock().nodes.0.iter().any(|node| node.is_lost)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The name of the node on which the command runs.
    pub(crate) fn node(&self) -> &str {
        self.0.nodes.first().map_or("", String::as_str)
    }

    /// Variables that tell the command where it is.
    ///
    /// The step is on one node, and Slurm describes that one. A command that takes more of them
    /// needs them described, for a `srun` or an `mpirun` in it: these fit into what it has taken,
    /// beside the step.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let Place { nodes, needs, .. } = &*self.0;
        let list = nodes.join(",");
        let mut variables = vec![
            ("TASKGROUP_NODE", self.node().to_owned()),
            ("TASKGROUP_NODES", list.clone()),
        ];
        if nodes.len() > 1 {
            let (count, cpus) = (nodes.len(), needs.cpus);
            variables.extend([
                ("SLURM_JOB_NODELIST", list.clone()),
                ("SLURM_NODELIST", list),
                ("SLURM_JOB_NUM_NODES", count.to_string()),
                ("SLURM_NNODES", count.to_string()),
                ("SLURM_JOB_CPUS_PER_NODE", format!("{cpus}(x{count})")),
                ("SLURM_TASKS_PER_NODE", format!("{cpus}(x{count})")),
                ("SLURM_OVERLAP", "1".to_owned()),
                ("SLURM_MEM_PER_NODE", "0".to_owned()),
            ]);
        }
        variables
    }

    /// The same on another node, because this one does not answer. Waits for room. When it is
    /// `given_up`, the error is of the kind `Interrupted`.
    pub(crate) async fn elsewhere(&self, given_up: &impl Fn() -> bool) -> io::Result<Lease> {
        self.lose();
        let Place {
            cluster,
            needs,
            is_beside,
            lasts,
            ..
        } = &*self.0;
        if *is_beside {
            return cluster.beside(needs, None).await;
        }
        let what = match lasts {
            true => For::Service,
            false => For::Task,
        };
        loop {
            if let Ok(lease) = timeout(LOOK, cluster.lease(needs, what)).await {
                return lease;
            }
            if given_up() {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
    }

    /// Nothing more is started on the node: it does not answer.
    pub(crate) fn lose(&self) {
        self.0.cluster.lock().nodes.lose(self.node());
    }

    /// Whether the step takes another command after this many.
    pub(in crate::process) fn shares_step(&self, served: u32) -> bool {
        !self.0.is_beside && served < self.0.cluster.0.settings.items_per_step.get()
    }

    /// How long commands may take to end after their step process was killed.
    pub(in crate::process) fn patience(&self) -> Duration {
        self.0
            .cluster
            .0
            .settings
            .grace
            .saturating_add(Duration::from_secs(5))
    }

    /// The step that waits for a command, if there is one.
    pub(in crate::process) fn take_step(&self) -> Option<Guard> {
        self.step().take()
    }

    fn step(&self) -> MutexGuard<'_, Option<Guard>> {
        self.0.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The program that becomes the guard of a step here. Commands get the limit that was `before`.
    pub(in crate::process) fn guard(&self, before: &str) -> io::Result<Command> {
        let Place {
            cluster,
            job,
            needs,
            is_beside,
            ..
        } = &*self.0;
        let program = lasting_path()?;
        let mut command = Command::new(&program);
        command.args([step::MARK, before, self.node(), "srun"]);
        command.args(step::options(job));
        command.arg(format!("--nodelist={}", self.node()));
        command.arg(format!("--job-name={STEP}"));
        if *is_beside {
            command.args(["--overlap", "--mem=0"]);
        } else {
            // When a job loses a node, Slurm 22.05 does not free what steps have that run on the
            // other nodes at that moment. The run gives the places, so a step need not wait.
            command.args(cluster.has_lost_node().then_some("--overlap"));
            command.arg(format!("--cpus-per-task={}", needs.cpus));
            command.arg(match needs.memory {
                Some(memory) => format!("--mem={}K", memory.div_ceil(1 << 10)),
                None => "--mem=0".to_owned(),
            });
            // Without a word about them, a step takes all GPUs that the job has on the node.
            command.arg(match needs.gpus {
                0 => "--gres=none".to_owned(),
                gpus => format!("--gres=gpu:{gpus}"),
            });
        }
        command.args(&needs.extra);
        let folder = std::env::current_dir()
            .map(OsString::from)
            .unwrap_or_default();
        command
            .arg(program)
            .args([node::MARK, cluster.0.level.word()]);
        command.arg(folder);
        Ok(command)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_beside {
            return;
        }
        let step = self.step.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut guard) = step.take() {
            // The command was not started after all. The step, and so its place, is for another.
            guard.lease = Some(Lease(Arc::new(Place {
                cluster: self.cluster.clone(),
                job: std::mem::take(&mut self.job),
                nodes: std::mem::take(&mut self.nodes),
                needs: Arc::clone(&self.needs),
                is_beside: false,
                lasts: self.lasts,
                step: Mutex::default(),
            })));
            return self.cluster.idle(guard);
        }
        let mut state = self.cluster.lock();
        state.nodes.give_back(&self.nodes, &self.needs);
        state.ending -= usize::from(!self.lasts);
        drop(state);
        self.cluster.0.changed.notify_waiters();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.0.nodes).finish()
    }
}
