//! The guard of a step: for the runner, a guard like any other. Its command runs on a node, in a
//! step that this process starts with `srun` and that may run several commands, one after the
//! other.
//!
//! `srun` ends a step at once when it gets SIGTERM, so no signal is ever passed to it. The process
//! of the step is asked through its standard input, and it stops its command as a guard does. If
//! this process ends, so does that input, and then the same happens.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::flag;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::runtime;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::link::{BEAT, BEGIN, CHUNK, FromNode, ToNode, WINDOW};
use super::tools::not_there;
use super::words::{self, Why};
use crate::process::wire::{self, Event, Inbox, Request, Start, frame, send};
use crate::process::{limits, set_name};
use crate::signals::Ignored;

/// The first argument of the guard of a step. No user types it by accident.
pub(super) const MARK: &str = "--taskgroup-step-process";

/// How long the messages of Slurm about the end of a step may take after that end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How long `srun` may take to tell the controller of that end.
const ITS_END: Duration = Duration::from_secs(30);

/// How long a node may take to answer that a command is stopped, beyond the time that the command
/// has for it.
const NO_ANSWER: Duration = Duration::from_secs(10);

/// How much of what `srun` writes to its standard error is kept.
const KEPT: usize = 16 << 10;

/// The options of every `srun`: a step with one process, whose streams pass everything on as it
/// is.
pub(super) fn options(job: &str) -> [String; 8] {
    [
        format!("--jobid={job}"),
        "--nodes=1".to_owned(),
        "--ntasks=1".to_owned(),
        "--input=0".to_owned(),
        "--unbuffered".to_owned(),
        "--mpi=none".to_owned(),
        "--exact".to_owned(),
        "--export=ALL".to_owned(),
    ]
}

/// Variables by which users set options of `srun` that do not fit these steps. Inside a job, some
/// are set for the script of the job.
const SETTINGS: [&str; 74] = [
    "SLURM_BCAST",
    "SLURM_BCAST_EXCLUDE",
    "SLURM_BURST_BUFFER",
    "SLURM_COMPRESS",
    "SLURM_CONSTRAINT",
    "SLURM_CORE_SPEC",
    "SLURM_CPUS_PER_GPU",
    "SLURM_CPUS_PER_TASK",
    "SLURM_CPU_BIND",
    "SLURM_DELAY_BOOT",
    "SLURM_DISTRIBUTION",
    "SLURM_DIST_PLANESIZE",
    "SLURM_EPILOG",
    "SLURM_EXACT",
    "SLURM_EXCLUSIVE",
    "SLURM_EXPORT_ENV",
    "SLURM_GPUS",
    "SLURM_GPUS_PER_NODE",
    "SLURM_GPUS_PER_SOCKET",
    "SLURM_GPUS_PER_TASK",
    "SLURM_GPU_BIND",
    "SLURM_GRES",
    "SLURM_GRES_FLAGS",
    "SLURM_HINT",
    "SLURM_HOSTFILE",
    "SLURM_IMMEDIATE",
    "SLURM_JOBID",
    "SLURM_JOB_ID",
    "SLURM_JOB_NUM_NODES",
    "SLURM_KILL_BAD_EXIT",
    "SLURM_LABELIO",
    "SLURM_MEM_BIND",
    "SLURM_MEM_PER_CPU",
    "SLURM_MEM_PER_GPU",
    "SLURM_MEM_PER_NODE",
    "SLURM_MULTI_PROG",
    "SLURM_NNODES",
    "SLURM_NO_KILL",
    "SLURM_NPROCS",
    "SLURM_NTASKS",
    "SLURM_NTASKS_PER_CORE",
    "SLURM_NTASKS_PER_GPU",
    "SLURM_NTASKS_PER_NODE",
    "SLURM_NTASKS_PER_SOCKET",
    "SLURM_OVERCOMMIT",
    "SLURM_OVERLAP",
    "SLURM_PROLOG",
    "SLURM_RELATIVE",
    "SLURM_REMOTE_CWD",
    "SLURM_RESV_PORTS",
    "SLURM_SEND_LIBS",
    "SLURM_SIGNAL",
    "SLURM_SRUN_MULTI",
    "SLURM_STDERRMODE",
    "SLURM_STDINMODE",
    "SLURM_STDOUTMODE",
    "SLURM_STEP_GRES",
    "SLURM_TASK_EPILOG",
    "SLURM_TASK_PROLOG",
    "SLURM_TEST_EXEC",
    "SLURM_THREADS",
    "SLURM_THREADS_PER_CORE",
    "SLURM_THREAD_SPEC",
    "SLURM_TIMELIMIT",
    "SLURM_TRES_PER_TASK",
    "SLURM_UMASK",
    "SLURM_UNBUFFEREDIO",
    "SLURM_USE_MIN_NODES",
    "SLURM_WAIT",
    "SLURM_WHOLE",
    "SLURM_WORKING_DIR",
    "SRUN_CONTAINER",
    "SRUN_CPUS_PER_TASK",
    "SRUN_EXPORT_ENV",
];

/// The program without these settings.
pub(super) fn without_settings(command: &mut Command) -> &mut Command {
    for name in SETTINGS {
        command.env_remove(name);
    }
    command
}

/// If this process was started as the guard of a step, runs until the end of the step. The
/// arguments are the limit that commands get back, the name of the node, and the command line of
/// `srun`.
pub(super) fn run_if_asked(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let before = args.next().unwrap_or_default();
    let node = args.next().unwrap_or_default();
    let node = node.to_string_lossy().into_owned();
    limits::restore(before.to_str().unwrap_or_default());
    let ended = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(run(node, args.collect())));
    // Only the runner reads what a guard reports, and the runner has ended when there is an error.
    ExitCode::from(u8::from(ended.is_err()))
}

async fn run(node: String, srun: Vec<OsString>) -> io::Result<()> {
    set_name();
    // Caught, not ignored: `srun` would inherit that.
    for signal in Ignored::now().outlived() {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let socket = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let socket = UnixStream::from_std(socket)?;
    let step = match Step::begin(&srun) {
        Ok(step) => step,
        Err(error) => {
            let refused = frame(&Event::Refused(error.to_string()));
            socket.writable().await?;
            send(&socket, &refused, &[])?;
            return Err(error);
        }
    };
    let mut guard = StepGuard {
        socket,
        inbox: Inbox::default(),
        runner_gone: false,
        step,
        node,
        command: None,
        queue: VecDeque::new(),
        held: None,
        give_up: None,
    };
    guard.report(&Event::Ready).await;
    guard.run().await;
    Ok(())
}

/// The process `srun` with its streams.
struct Step {
    srun: Child,
    /// None when nothing more is to be said to the node.
    to: Option<Sender>,
    outgoing: Vec<u8>,
    beat: Instant,
    from: Receiver,
    /// What came before the first frame.
    before: Vec<u8>,
    has_begun: bool,
    inbox: Inbox,
    errors: Option<Receiver>,
    messages: Vec<u8>,
}

impl Step {
    fn begin(srun: &[OsString]) -> io::Result<Step> {
        let (program, arguments) = srun
            .split_first()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut srun = Command::new(program);
        let mut srun = without_settings(&mut srun)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| not_there(program, error))?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let to = OwnedFd::from(srun.stdin.take().ok_or_else(missing)?);
        let from = OwnedFd::from(srun.stdout.take().ok_or_else(missing)?);
        let errors = OwnedFd::from(srun.stderr.take().ok_or_else(missing)?);
        Ok(Step {
            srun,
            to: Some(Sender::from_owned_fd(to)?),
            outgoing: Vec::new(),
            beat: Instant::now() + BEAT,
            from: Receiver::from_owned_fd(from)?,
            before: Vec::new(),
            has_begun: false,
            inbox: Inbox::default(),
            errors: Some(Receiver::from_owned_fd(errors)?),
            messages: Vec::new(),
        })
    }

    fn tell(&mut self, message: &ToNode) {
        if self.to.is_some() {
            self.outgoing.extend(frame(message));
            self.beat = Instant::now() + BEAT;
        }
    }

    /// The process of the step learns that nothing more comes.
    fn end_input(&mut self) {
        self.to = None;
        self.outgoing.clear();
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.messages.extend_from_slice(bytes);
        let excess = self.messages.len().saturating_sub(KEPT);
        self.messages.drain(..excess);
    }

    /// Bytes from the node, from its first frame on.
    fn take(&mut self, bytes: &[u8]) {
        if self.has_begun {
            return self.inbox.push(bytes);
        }
        self.before.extend_from_slice(bytes);
        let begin = self.before.windows(BEGIN.len());
        if let Some(at) = begin.into_iter().position(|part| part == BEGIN) {
            self.has_begun = true;
            let before = std::mem::take(&mut self.before);
            self.keep(&before[..at]);
            self.inbox.push(&before[at + BEGIN.len()..]);
        }
    }

    fn next(&mut self) -> Option<FromNode> {
        // What is no frame is no answer either. The end of the stream follows.
        self.inbox.next().ok().flatten()
    }

    /// Everything else that Slurm writes about the step, which has ended or is about to.
    async fn last_words(&mut self) {
        self.end_input();
        let mut bytes = [0; 4096];
        let rest = async {
            while let Some(errors) = &mut self.errors {
                match errors.read(&mut bytes).await {
                    Ok(count @ 1..) => {
                        self.messages.extend_from_slice(&bytes[..count]);
                    }
                    _ => self.errors = None,
                }
            }
        };
        let _ = timeout(LAST_WORDS, rest).await;
        // It ends when the controller knows that the step has ended: what the step had is free.
        let end = Instant::now() + ITS_END;
        while matches!(self.srun.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = self.srun.kill();
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn why(&self) -> Option<Why> {
        words::why(&String::from_utf8_lossy(&self.messages))
    }

    fn last_line(&self) -> Option<String> {
        words::last_line(&String::from_utf8_lossy(&self.messages))
    }
}

/// The command that runs in the step.
struct Charge {
    output: Output,
    input: Input,
    started: bool,
    /// The runner has asked it to end.
    is_asked: bool,
    grace: Duration,
    /// A signal has ended its leader, and nothing has asked for that: Slurm may have done it.
    was_killed: bool,
}

/// Where its output goes.
struct Output {
    /// None if the reader has ended.
    to: [Option<Sender>; 2],
    /// What was not passed on yet, and to which of them it goes.
    pending: Option<(usize, Vec<u8>)>,
}

/// Where its input comes from.
struct Input {
    from: Option<Receiver>,
    /// How much may be sent.
    window: usize,
}

impl Charge {
    fn new(start: &Start, inbox: &mut Inbox) -> io::Result<Charge> {
        let mut next = || {
            let missing = || io::Error::other("its descriptors did not arrive");
            inbox.fd().ok_or_else(missing)
        };
        let from = match start.stdio {
            wire::Stdio::InputAndOutput => Some(Receiver::from_owned_fd(next()?)?),
            _ => None,
        };
        let to = [next()?, next()?].map(|fd| Sender::from_owned_fd(fd).ok());
        Ok(Charge {
            output: Output { to, pending: None },
            input: Input {
                from,
                window: WINDOW,
            },
            started: false,
            is_asked: false,
            grace: start.grace,
            was_killed: false,
        })
    }
}

impl Output {
    /// Writes some of what is pending. Cancel safe.
    async fn pass_on(&mut self) {
        let Some((stream, bytes)) = &mut self.pending else {
            return pending().await;
        };
        let count = match &mut self.to[*stream] {
            Some(to) => to.write(bytes).await,
            None => Ok(bytes.len()),
        };
        match count {
            Ok(count) => drop(bytes.drain(..count)),
            Err(_) => {
                self.to[*stream] = None;
                bytes.clear();
            }
        }
        if bytes.is_empty() {
            self.pending = None;
        }
    }
}

impl Input {
    /// Some of it. Nothing at its end. Cancel safe.
    async fn read(&mut self) -> Vec<u8> {
        let most = self.window.min(CHUNK);
        let Some(from) = self.from.as_mut().filter(|_| most > 0) else {
            return pending().await;
        };
        let mut bytes = vec![0; most];
        let count = from.read(&mut bytes).await.unwrap_or(0);
        bytes.truncate(count);
        self.window -= count;
        if count == 0 {
            self.from = None;
        }
        bytes
    }
}

struct StepGuard {
    socket: UnixStream,
    inbox: Inbox,
    runner_gone: bool,
    step: Step,
    node: String,
    command: Option<Charge>,
    /// What came from the node and waits until output before it is passed on.
    queue: VecDeque<FromNode>,
    /// The end of the command. It is reported when the step has ended and Slurm has said why.
    held: Option<Event>,
    /// The command is to be stopped, and the node is taken for lost at this moment.
    give_up: Option<Instant>,
}

/// What has happened.
enum Turn {
    /// Requests of the runner, or its end.
    Requests {
        more: bool,
    },
    /// So many bytes from the node, or the end of the step.
    FromNode(usize),
    /// So many bytes of messages, or their end.
    Messages(usize),
    Input(Vec<u8>),
    /// Some output to its reader.
    PassedOn,
    /// Something to the node.
    Said,
    Beat,
    /// The node does not answer.
    NoAnswer,
}

impl StepGuard {
    async fn run(&mut self) {
        let mut bytes = vec![0; CHUNK];
        let mut messages = vec![0; CHUNK];
        loop {
            self.work_off_queue().await;
            match self.turn(&mut bytes, &mut messages).await {
                Turn::Requests { more: true } => self.carry_out_requests().await,
                Turn::Requests { more: false } => self.lose_runner(),
                Turn::FromNode(0) => return self.lose_step().await,
                Turn::FromNode(count) => {
                    self.node_answers();
                    self.step.take(&bytes[..count]);
                    while let Some(message) = self.step.next() {
                        self.queue.push_back(message);
                    }
                }
                Turn::Messages(0) => self.step.errors = None,
                Turn::Messages(count) => self.step.keep(&messages[..count]),
                Turn::Input(input) if input.is_empty() => self.step.tell(&ToNode::EndOfInput),
                Turn::Input(input) => self.step.tell(&ToNode::Input(input)),
                Turn::PassedOn => self.node_answers(),
                Turn::Said => {}
                Turn::Beat => self.step.tell(&ToNode::Alive),
                Turn::NoAnswer => return self.lose_node().await,
            }
        }
    }

    /// Requests come before output, so that a command which writes without end can be stopped.
    async fn turn(&mut self, bytes: &mut [u8], messages: &mut [u8]) -> Turn {
        let command = self.command.as_mut();
        let (mut output, mut input) = command
            .map(|command| (&mut command.output, &mut command.input))
            .unzip();
        let step = &mut self.step;
        let is_blocked = output.as_ref().is_some_and(|it| it.pending.is_some());
        let (has_outgoing, has_space) = (!step.outgoing.is_empty(), step.outgoing.len() < WINDOW);
        tokio::select! {
            biased;
            more = receive(&self.socket, &mut self.inbox), if !self.runner_gone => {
                Turn::Requests { more }
            }
            () = write(&mut step.to, &mut step.outgoing), if has_outgoing => Turn::Said,
            () = sleep_until(step.beat), if step.to.is_some() => Turn::Beat,
            () = or_never(self.give_up.map(sleep_until)), if !is_blocked => Turn::NoAnswer,
            count = read(&mut step.errors, messages) => Turn::Messages(count),
            () = or_never(output.as_mut().map(|output| output.pass_on())), if is_blocked => {
                Turn::PassedOn
            }
            count = step.from.read(bytes), if !is_blocked => {
                Turn::FromNode(count.unwrap_or(0))
            }
            input = or_never(input.as_mut().map(|input| input.read())), if has_space => {
                Turn::Input(input)
            }
        }
    }

    async fn carry_out_requests(&mut self) {
        loop {
            let request = match self.inbox.next() {
                Ok(Some(request)) => request,
                Ok(None) => return,
                Err(_) => return self.lose_runner(),
            };
            match &request {
                Request::Start(start) => match Charge::new(start, &mut self.inbox) {
                    Ok(charge) => {
                        self.command = Some(charge);
                        self.give_up = None;
                    }
                    Err(error) => {
                        let (code, text) = (error.raw_os_error(), error.to_string());
                        self.report(&Event::NotStarted { code, text }).await;
                        continue;
                    }
                },
                Request::Stop { grace } => self.stops_within(*grace),
                Request::Kill => self.stops_within(Duration::ZERO),
                Request::Withdraw => {
                    self.withdraw();
                    continue;
                }
                Request::Census | Request::Suspend | Request::Resume => {}
            }
            self.step.tell(&ToNode::Request(request));
        }
    }

    /// The process of the step stops its command when its input ends.
    fn lose_runner(&mut self) {
        self.runner_gone = true;
        self.step.end_input();
        let grace = self.command.as_ref().map(|command| command.grace);
        self.stops_within(grace.unwrap_or_default());
    }

    /// If the step has not begun, `srun` may wait for it without end. It gives the step up at
    /// SIGTERM. If the step begins just now, its process finds the end of its input.
    fn withdraw(&mut self) {
        if self.step.has_begun {
            return;
        }
        self.step.end_input();
        // What was waited for may have given its number to another process.
        if matches!(self.step.srun.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.step.srun), Signal::TERM);
        }
    }

    /// Beyond the clock: no end.
    fn stops_within(&mut self, grace: Duration) {
        if let Some(command) = &mut self.command {
            command.is_asked = true;
        }
        self.give_up = Instant::now().checked_add(grace.saturating_add(NO_ANSWER));
    }

    /// The reader of the output may be slow. That is no fault of the node.
    fn node_answers(&mut self) {
        if let Some(give_up) = &mut self.give_up {
            *give_up = (*give_up).max(Instant::now() + NO_ANSWER);
        }
    }

    /// The node has not answered. Slurm cancels the step when `srun` is killed, if it can.
    async fn lose_node(&mut self) {
        let _ = self.step.srun.kill();
        let text = format!(
            "node {} does not answer, so what is left of it there is unknown",
            self.node
        );
        let elsewhere = true;
        self.report(&Event::Lost { text, elsewhere }).await;
        let _ = self.step.srun.wait();
    }

    async fn work_off_queue(&mut self) {
        loop {
            let command = self.command.as_ref();
            if command.is_some_and(|command| command.output.pending.is_some()) {
                return;
            }
            let Some(message) = self.queue.pop_front() else {
                return;
            };
            match (message, &mut self.command) {
                (FromNode::Event(event), _) => self.pass_on(event).await,
                (FromNode::Output { error, bytes }, Some(command)) => {
                    command.output.pending = Some((usize::from(error), bytes));
                }
                (FromNode::InputClosed, Some(command)) => command.input.from = None,
                (FromNode::Took(count), Some(command)) => {
                    command.input.window += usize::try_from(count).unwrap_or(0);
                }
                (_, None) => {}
            }
        }
    }

    async fn pass_on(&mut self, event: Event) {
        match event {
            Event::Ready => {}
            Event::Refused(text) => {
                let text = format!("on node {}: {text}", self.node);
                self.report(&Event::Refused(text)).await;
            }
            Event::Started(leader) => {
                if let Some(command) = &mut self.command {
                    command.started = true;
                }
                self.report(&Event::Started(leader)).await;
            }
            Event::NotStarted { code, text } => {
                self.command = None;
                // The runner waits and tries again if a limit is reached. Other numbers describe
                // files of the node, so only the text goes on.
                let code =
                    code.filter(|&code| limits::is_reached(&io::Error::from_raw_os_error(code)));
                let text = format!("on node {}: {text}", self.node);
                self.report(&Event::NotStarted { code, text }).await;
            }
            Event::LeaderEnded { status, ran, .. } => {
                // The node asks it, too, if Slurm ends the step. Then it has ended by itself.
                let asked = self.command.as_ref().is_none_or(|it| it.is_asked);
                if let Some(command) = &mut self.command {
                    let signal = ExitStatus::from_raw(status).signal();
                    command.was_killed = !asked && signal.is_some();
                }
                self.report(&Event::LeaderEnded { status, asked, ran })
                    .await;
            }
            Event::Empty(by) if self.command.as_ref().is_some_and(|it| it.was_killed) => {
                self.held = Some(Event::Empty(by));
                self.step.end_input();
            }
            Event::Empty(_) | Event::Survived(..) | Event::Lost { .. } => {
                self.command = None;
                if !self.runner_gone {
                    self.give_up = None;
                }
                self.report(&event).await;
            }
            _ => self.report(&event).await,
        }
    }

    /// The step has ended, or it never began.
    async fn lose_step(&mut self) {
        self.step.last_words().await;
        let begun = self.step.has_begun;
        while !begun && self.command.is_none() && !self.runner_gone {
            // The answer is for the command that the runner is about to send.
            match receive(&self.socket, &mut self.inbox).await {
                true => self.carry_out_requests().await,
                false => self.lose_runner(),
            }
        }
        if begun {
            // From now on the runner sees that this step takes no command.
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Read);
        }
        // This closes its streams. Otherwise the runner could see its end before theirs.
        let started = self.command.take().map(|command| command.started);
        if let Some(started) = started {
            self.report_end(started).await;
        }
        if begun {
            self.turn_away().await;
        }
    }

    /// The command has ended with its step.
    async fn report_end(&mut self, started: bool) {
        let why = self.step.why();
        if let Some(end) = self.held.take() {
            if let Some(why) = why {
                let text = self.ended(&why.text);
                let elsewhere = why.node;
                self.report(&Event::Why { text, elsewhere }).await;
            }
            return self.report(&end).await;
        }
        let elsewhere = why.as_ref().is_some_and(|why| why.node);
        let text = why.map(|why| why.text).or_else(|| self.step.last_line());
        let text = text.unwrap_or_else(|| "srun has ended without a message".to_owned());
        let event = match started {
            true => Event::Lost {
                text: self.ended(&text),
                elsewhere,
            },
            // It may have begun, so it must not be started again by itself.
            false if self.step.has_begun => Event::Lost {
                text: format!("{}; whether it had begun is unknown", self.ended(&text)),
                elsewhere,
            },
            false => {
                let is_missing = text.contains("execve()") && text.contains("No such file");
                let hint = match is_missing {
                    true => "; is it on a file system that all nodes share?",
                    false => "",
                };
                let node = &self.node;
                let text = format!("Slurm did not start a step on node {node}: {text}{hint}");
                Event::NotBegun { text, elsewhere }
            }
        };
        self.report(&event).await;
    }

    /// The runner may have sent a command before it saw the end of the step. Nothing of it has run.
    async fn turn_away(&mut self) {
        while !self.runner_gone && receive(&self.socket, &mut self.inbox).await {
            self.carry_out_requests().await;
        }
        if self.command.take().is_some() {
            let text = self.step.why().map(|why| why.text);
            let text = self.ended(text.as_deref().unwrap_or("no message says why"));
            let elsewhere = false;
            self.report(&Event::NotBegun { text, elsewhere }).await;
        }
    }

    fn ended(&self, why: &str) -> String {
        format!("Slurm ended its step on node {}: {why}", self.node)
    }

    async fn report(&mut self, event: &Event) {
        let frame = frame(event);
        let mut sent = 0;
        while sent < frame.len() && !self.runner_gone {
            let write = || send(&self.socket, &frame[sent..], &[]);
            match self.socket.async_io(Interest::WRITABLE, write).await {
                Ok(count) => sent += count,
                Err(_) => self.lose_runner(),
            }
        }
    }
}

/// Waits for requests. False at the end of the runner. Cancel safe.
async fn receive(socket: &UnixStream, inbox: &mut Inbox) -> bool {
    let receive = || inbox.receive(socket);
    let more = socket.async_io(Interest::READABLE, receive).await;
    more.unwrap_or(false)
}

/// Writes some of what is outgoing. Cancel safe.
async fn write(to: &mut Option<Sender>, outgoing: &mut Vec<u8>) {
    let written = match to {
        Some(to) => to.write(outgoing).await,
        None => Ok(outgoing.len()),
    };
    match written {
        Ok(count) => drop(outgoing.drain(..count)),
        // The end of the step is found where it is read.
        Err(_) => {
            *to = None;
            outgoing.clear();
        }
    }
}

/// The number of bytes, zero at the end. Never resolves after that. Cancel safe.
async fn read(from: &mut Option<Receiver>, bytes: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(bytes).await.unwrap_or(0),
        None => pending().await,
    }
}

async fn or_never<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
