//! A Slurm of its own: munge, a controller and two nodes on loopback, in one folder.
//!
//! - The daemons run in the foreground, so each is a child with a handle.
//! - Steps are no children. A process belongs to a cluster if its environment, its command line,
//!   its working directory or an open file names the folder. `srun` gives each step `SLURM_CONF`,
//!   which names it. The daemon of a step hides its environment, but has the log of its node open.
//! - Every file and every socket with a name is in the folder. Three ports are outside of it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

/// Nothing here takes this long unless it hangs.
const HANG: Duration = Duration::from_secs(60);
/// Between two questions to a daemon, which needs a processor to make progress.
const PAUSE: Duration = Duration::from_millis(10);

/// The names of the nodes. Each has four processors, 4000 MB and two GPUs, whatever the machine
/// has.
pub(crate) const NODES: [&str; 2] = ["n1", "n2"];

/// A running Slurm. Dropping it ends all its processes, those of steps included, and removes its
/// folder.
pub(crate) struct Cluster {
    folder: TempDir,
    ports: Ports,
    munge: Option<Child>,
    controller: Option<Child>,
    nodes: [Option<Child>; 2],
}

struct Ports {
    controller: u16,
    nodes: [u16; 2],
}

impl Cluster {
    /// Starts a cluster and waits until both nodes are idle, which takes less than a second.
    pub(crate) fn start() -> Cluster {
        Cluster::start_with("")
    }

    /// The same, with more lines for `slurm.conf`. A line replaces an earlier one for the same key.
    pub(crate) fn start_with(more: &str) -> Cluster {
        // Another program may take a port between its choice and its use.
        let cluster = Cluster::try_start(more)
            .or_else(|_| Cluster::try_start(more))
            .or_else(|_| Cluster::try_start(more));
        cluster.unwrap_or_else(|why| panic!("no cluster: {why}"))
    }

    fn try_start(more: &str) -> Result<Cluster, String> {
        let mut cluster = Cluster {
            folder: TempDir::with_prefix("slurm-").unwrap(),
            ports: Ports::free(),
            munge: None,
            controller: None,
            nodes: [None, None],
        };
        cluster.write_files(more);
        cluster.start_munge();
        cluster.start_controller();
        let controller = cluster.ports.controller;
        cluster.await_that("the controller listens", |_| listens(controller))?;
        for node in NODES {
            cluster.start_node(node);
        }
        cluster.await_that("both nodes are idle", |cluster| {
            NODES.iter().all(|node| cluster.node_state(node) == "idle")
        })?;
        Ok(cluster)
    }

    fn write_files(&self, more: &str) {
        let mut key = fs::OpenOptions::new();
        let key = key.write(true).create_new(true).mode(0o600);
        let mut key = key.open(self.path("munge.key")).unwrap();
        let secret: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(128)
            .collect();
        std::io::Write::write_all(&mut key, &secret).unwrap();
        for folder in ["state", "spool-n1", "spool-n2", "work"] {
            fs::create_dir(self.path(folder)).unwrap();
        }
        fs::write(self.path("slurm.conf"), self.configuration(more)).unwrap();
        // Two devices that are everywhere: Slurm counts them, and gives each a number.
        let gpus = "AutoDetect=off\n\
            NodeName=n[1-2] Name=gpu File=/dev/null\n\
            NodeName=n[1-2] Name=gpu File=/dev/zero\n";
        fs::write(self.path("gres.conf"), gpus).unwrap();
    }

    fn configuration(&self, more: &str) -> String {
        let folder = self.folder.path().display();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim();
        let user = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(user.stdout).unwrap();
        let user = user.trim();
        let controller = self.ports.controller;
        let mut text = format!(
            "ClusterName=loopback
            SlurmctldHost={host}(127.0.0.1)
            SlurmctldPort={controller}
            AuthType=auth/munge
            AuthInfo=socket={folder}/munge.sock
            CredType=cred/munge
            SlurmUser={user}
            SlurmdUser={user}
            StateSaveLocation={folder}/state
            SlurmdSpoolDir={folder}/spool-%n
            SlurmctldPidFile={folder}/controller.pid
            SlurmdPidFile={folder}/%n.pid
            SlurmctldLogFile={folder}/controller.log
            SlurmdLogFile={folder}/%n.log
            # Without cgroups, which a container may not have.
            ProctrackType=proctrack/linuxproc
            TaskPlugin=task/none
            MpiDefault=none
            # A step that uses more memory than it asked for is ended, within a second or two.
            JobAcctGatherType=jobacct_gather/linux
            JobAcctGatherParams=OverMemoryKill
            JobAcctGatherFrequency=1
            SelectType=select/cons_tres
            SelectTypeParameters=CR_Core_Memory
            DefMemPerCPU=500
            GresTypes=gpu
            SlurmdParameters=config_overrides
            SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
            PrologFlags=Alloc
            KillWait=5
            InactiveLimit=0
            # A node that does not answer is down after some ten seconds. Less would be too
            # little on a busy machine.
            SlurmdTimeout=5
            MessageTimeout=5
            ReturnToService=2\n"
        );
        for (node, port) in NODES.iter().zip(self.ports.nodes) {
            text.push_str(&format!(
                "NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} \
                 CPUs=4 RealMemory=4000 Gres=gpu:2 State=UNKNOWN\n"
            ));
        }
        text.push_str("PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP\n");
        text + more + "\n"
    }

    fn start_munge(&mut self) {
        let mut munge = self.daemon("munged");
        munge.args(["--foreground", "--force"]);
        for (flag, file) in [
            ("--key-file", "munge.key"),
            ("--socket", "munge.sock"),
            ("--pid-file", "munge.pid"),
            ("--log-file", "munge.log"),
            ("--seed-file", "munge.seed"),
        ] {
            munge.arg(flag).arg(self.path(file));
        }
        self.munge = Some(self.spawn(munge, "munge"));
    }

    fn start_controller(&mut self) {
        let mut controller = self.daemon("slurmctld");
        controller.arg("-D").arg("-f").arg(self.path("slurm.conf"));
        self.controller = Some(self.spawn(controller, "controller"));
    }

    fn start_node(&mut self, node: &str) {
        let mut daemon = self.daemon("slurmd");
        daemon.args(["-D", "-N", node]);
        daemon.arg("-f").arg(self.path("slurm.conf"));
        self.nodes[number(node)] = Some(self.spawn(daemon, node));
    }

    /// A daemon. Debian has them in a folder that may not be in a user's path.
    fn daemon(&self, name: &str) -> Command {
        let mut command = self.program(name);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command
    }

    fn spawn(&self, mut daemon: Command, name: &str) -> Child {
        let mut said = File::options();
        let said = said.create(true).append(true);
        let said = said.open(self.path(&format!("{name}.err"))).unwrap();
        daemon.stdout(Stdio::null()).stderr(said);
        daemon.spawn().unwrap_or_else(|error| {
            panic!(
                "no {:?} here, see `.ci/run slurm`: {error}",
                daemon.get_program()
            )
        })
    }

    /// A file or a folder of the cluster. `work` is an empty folder for the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text that every process of the cluster has: see `processes_left`.
    pub(crate) fn marker(&self) -> &OsStr {
        self.folder.path().as_os_str()
    }

    /// A program that uses this cluster, in an environment without any other.
    pub(crate) fn program(&self, name: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(name);
        for (name, _) in std::env::vars_os() {
            let prefixes = [
                "SLURM", "SRUN_", "SALLOC_", "SBATCH_", "SQUEUE_", "SINFO_", "SCANCEL_",
            ];
            if prefixes
                .iter()
                .any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()))
            {
                command.env_remove(name);
            }
        }
        command
            .env("SLURM_CONF", self.path("slurm.conf"))
            .current_dir(self.path("work"))
            .stdin(Stdio::null());
        command
    }

    /// A `taskgroup` that can be configured further.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_taskgroup"));
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What a program of Slurm prints. If it fails or hangs, what it prints on standard error.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<String, String> {
        let mut program = self.program("timeout");
        let program = program.arg(HANG.as_secs().to_string()).args(words);
        let output = program.output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// What `ask` finds, as lines.
    #[track_caller]
    fn lines(&self, words: &[&str]) -> Vec<String> {
        let text = self
            .ask(words)
            .unwrap_or_else(|why| panic!("{words:?}: {why}"));
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// The jobs that have not ended, as `1 RUNNING n[1-2]`. One that waits has no node.
    #[track_caller]
    pub(crate) fn jobs(&self) -> Vec<String> {
        self.lines(&["squeue", "--noheader", "--format=%i %T %N"])
    }

    /// The running steps, as `1.0 n2`.
    #[track_caller]
    pub(crate) fn steps(&self) -> Vec<String> {
        self.lines(&["squeue", "--noheader", "--steps", "--format=%i %N"])
    }

    /// The state of a node in the words of `sinfo`, such as `idle` or `down*`. A star means that
    /// the node does not answer. Empty if the controller does not answer.
    pub(crate) fn node_state(&self, node: &str) -> String {
        let state = self.ask(&["sinfo", "--noheader", "--nodes", node, "--format=%T"]);
        state.unwrap_or_default().trim().to_owned()
    }

    /// Waits until `holds` returns true. Panics when that does not happen, or when a daemon ends.
    /// The logs are printed when the cluster is dropped.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, holds: impl FnMut(&Cluster) -> bool) {
        if let Err(why) = self.await_that(what, holds) {
            panic!("{why}");
        }
    }

    /// Waits for a program of this cluster, and returns what it printed: not much, or it would wait
    /// for a reader.
    #[track_caller]
    pub(crate) fn ended(&mut self, mut program: Child) -> Output {
        self.wait_until("the program ends", |_| {
            program.try_wait().unwrap().is_some()
        });
        program.wait_with_output().unwrap()
    }

    /// The same as `wait_until`, but fails when a daemon ends.
    #[track_caller]
    fn await_that(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&Cluster) -> bool,
    ) -> Result<(), String> {
        let begin = Instant::now();
        while !holds(self) {
            let ended = self.daemons_that_ended();
            if !ended.is_empty() {
                let logs = self.logs();
                return Err(format!("before {what}, these ended: {ended:?}\n{logs}"));
            }
            assert!(begin.elapsed() < HANG, "not within {HANG:?}: {what}");
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The daemons that ended although no test ended them.
    fn daemons_that_ended(&mut self) -> Vec<String> {
        let named = ["munge", "controller"].into_iter().chain(NODES);
        let [first, second] = &mut self.nodes;
        let daemons = [&mut self.munge, &mut self.controller, first, second];
        let ended = named.zip(daemons).filter_map(|(name, daemon)| {
            let status = daemon.as_mut()?.try_wait().unwrap()?;
            Some(format!("{name}: {status}"))
        });
        ended.collect()
    }

    /// The last lines of each log.
    pub(crate) fn logs(&self) -> String {
        let mut logs = String::new();
        for name in ["munge", "controller", "n1", "n2"] {
            let read = |kind| fs::read(self.path(&format!("{name}.{kind}"))).unwrap_or_default();
            // A daemon that cannot read its configuration has no log yet.
            let mut text = [read("log"), read("err")].into_iter();
            let text = text.find(|text| !text.is_empty()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(30)..];
            logs.push_str(&format!("== {name}\n{}\n", last.join("\n")));
        }
        logs
    }

    /// Ends a node as a loss of power does: its daemon, the daemons of its steps and all that the
    /// steps have started. One thing differs: the kernel closes their connections.
    pub(crate) fn kill_node(&mut self, node: &str) {
        self.kill_daemon(node);
        // A step must not report how its tasks ended, so no process runs while the others end.
        self.freeze_node(node);
        signal_until_none(Signal::KILL, |process| {
            process.is_on(self.folder.path(), node)
        });
    }

    /// Ends the daemon of a node by SIGKILL. Its steps run on.
    pub(crate) fn kill_daemon(&mut self, node: &str) {
        end(&mut self.nodes[number(node)]);
    }

    /// Starts the daemon of a node again, and waits until the node can take a job.
    pub(crate) fn restart_node(&mut self, node: &str) {
        self.start_node(node);
        let port = self.ports.nodes[number(node)];
        let usable = ["idle", "mixed", "allocated"];
        self.wait_until(&format!("{node} is back"), |cluster| {
            listens(port) && usable.contains(&cluster.node_state(node).as_str())
        });
    }

    /// Stops all processes of a node by SIGSTOP, as a network that loses every packet would: its
    /// connections stay open, and nothing answers. `thaw_node` lets them go on.
    pub(crate) fn freeze_node(&self, node: &str) {
        let runs =
            |process: &Process| process.is_on(self.folder.path(), node) && !process.is_stopped();
        signal_until_none(Signal::STOP, runs);
    }

    /// See `freeze_node`.
    pub(crate) fn thaw_node(&self, node: &str) {
        let waits =
            |process: &Process| process.is_on(self.folder.path(), node) && process.is_stopped();
        signal_until_none(Signal::CONT, waits);
    }

    /// Ends these processes of the cluster by SIGKILL. None runs while others end.
    pub(crate) fn kill_all(&self, chosen: impl Fn(&Process) -> bool) {
        let chosen = |process: &Process| process.names(self.marker()) && chosen(process);
        signal_until_none(Signal::STOP, |process| {
            chosen(process) && !process.is_stopped()
        });
        signal_until_none(Signal::KILL, chosen);
    }

    /// Ends the controller by SIGKILL. Nodes and steps run on. The controller saves its state every
    /// five seconds at most, so it may lose jobs that are younger.
    pub(crate) fn kill_controller(&mut self) {
        end(&mut self.controller);
    }

    /// Ends the controller in good order, so it loses no job.
    pub(crate) fn stop_controller(&mut self) {
        let mut controller = self.controller.take().unwrap();
        kill_process(Pid::from_child(&controller), Signal::TERM).unwrap();
        controller.wait().unwrap();
    }

    /// Starts the controller again, with the state that it had saved, and waits until it answers.
    pub(crate) fn restart_controller(&mut self) {
        self.start_controller();
        let port = self.ports.controller;
        self.wait_until("the controller is back", |cluster| {
            listens(port) && cluster.ask(&["squeue"]).is_ok()
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.logs());
        }
        end(&mut self.controller);
        for node in &mut self.nodes {
            end(node);
        }
        end(&mut self.munge);
        signal_until_none(Signal::KILL, |process| {
            process.names(self.marker()) || process.is_in(self.folder.path())
        });
    }
}

impl Ports {
    /// Ports on which nothing listens. The kernel gives such low ports to no connection, so a
    /// daemon finds its port free when it is started again.
    fn free() -> Ports {
        let listen = || {
            std::iter::repeat_with(|| fastrand::u16(10_000..30_000))
                .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
                .unwrap()
        };
        // All are bound at the same time, so they differ.
        let bound = [listen(), listen(), listen()];
        let [controller, first, second] = bound
            .each_ref()
            .map(|socket| socket.local_addr().unwrap().port());
        Ports {
            controller,
            nodes: [first, second],
        }
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn number(node: &str) -> usize {
    let found = NODES.iter().position(|name| *name == node);
    found.unwrap_or_else(|| panic!("no node {node}, only {NODES:?}"))
}

/// Ends a daemon by SIGKILL, and reaps it.
fn end(daemon: &mut Option<Child>) {
    if let Some(mut daemon) = daemon.take() {
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }
}

/// Sends the signal to the chosen processes until none is left. Processes start others
/// meanwhile.
fn signal_until_none(signal: Signal, chosen: impl Fn(&Process) -> bool) {
    let begin = Instant::now();
    loop {
        let mut left = processes();
        left.retain(&chosen);
        if left.is_empty() {
            return;
        }
        assert!(begin.elapsed() < HANG, "in spite of {signal:?}: {left:?}");
        for process in left {
            process.signal_if(signal, &chosen);
        }
        thread::sleep(PAUSE);
    }
}

/// The processes with this text in their environment or on their command line, other than this one.
/// Zombies have neither. Does not wait.
pub(crate) fn processes_left(marker: impl AsRef<OsStr>) -> Vec<Process> {
    let mut found = processes();
    found.retain(|process| process.names(&marker));
    found
}

/// A process other than this one, as it was a moment ago.
pub(crate) struct Process {
    pub(crate) pid: i32,
    command: Vec<u8>,
    environment: Vec<u8>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let command = String::from_utf8_lossy(&self.command).replace('\0', " ");
        write!(to, "{}: {}", self.pid, command.trim())
    }
}

impl Process {
    /// `None` if there is none, or if its environment is not ours to read.
    fn of(pid: i32) -> Option<Process> {
        let read = |name| fs::read(format!("/proc/{pid}/{name}")).ok();
        Some(Process {
            pid,
            command: read("cmdline")?,
            environment: read("environ")?,
        })
    }

    /// Whether the text is in its environment or on its command line.
    pub(crate) fn names(&self, text: impl AsRef<OsStr>) -> bool {
        let text = text.as_ref().as_bytes();
        let contains = |all: &[u8]| memchr::memmem::find(all, text).is_some();
        contains(&self.environment) || contains(&self.command)
    }

    /// Whether it works in this folder or has a file of it open.
    fn is_in(&self, folder: &Path) -> bool {
        let process = PathBuf::from(format!("/proc/{}", self.pid));
        let files = fs::read_dir(process.join("fd")).into_iter().flatten();
        let files = files.flatten().map(|entry| entry.path());
        let mut links = files.chain([process.join("cwd")]);
        links.any(|link| fs::read_link(link).is_ok_and(|path| path.starts_with(folder)))
    }

    /// Whether it belongs to that node of the cluster in this folder.
    fn is_on(&self, folder: &Path, node: &str) -> bool {
        let named = format!("SLURMD_NODENAME={node}");
        let mut variables = self.environment.split(|byte| *byte == 0);
        let is_task = variables.any(|variable| variable == named.as_bytes()) && self.names(folder);
        is_task || self.is_in(&folder.join(format!("{node}.log")))
    }

    /// The name of its program.
    pub(crate) fn program(&self) -> String {
        let path = self.command.split(|byte| *byte == 0).next().unwrap();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap();
        String::from_utf8_lossy(name).into_owned()
    }

    /// Whether it is a part of Slurm itself, which runs on when jobs have ended.
    pub(crate) fn is_daemon(&self) -> bool {
        let program = self.program();
        // A part of the controller gives itself another name, behind a colon.
        let is_part = memchr::memmem::find(&self.command, b"slurmscriptd").is_some();
        is_part || program == "munged" || program.starts_with("slurm")
    }

    fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit(") ").next().unwrap().starts_with('T')
    }

    /// Sends the signal, unless a process that is not chosen has got this number meanwhile.
    fn signal_if(&self, signal: Signal, chosen: impl Fn(&Process) -> bool) {
        let pid = Pid::from_raw(self.pid).unwrap();
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        if Process::of(self.pid).is_some_and(|now| chosen(&now)) {
            // It may end before the signal arrives.
            let _ = pidfd_send_signal(handle, signal);
        }
    }
}

fn processes() -> Vec<Process> {
    let own = i32::try_from(std::process::id()).unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != own)
        .filter_map(Process::of)
        .collect()
}
