//! The job in which the commands are steps: one that is there already, or one that the run asks
//! for and gives back.
//!
//! `salloc` asks for it and runs a small process of this program, the *holder*, which ends when its
//! standard input does; then `salloc` gives the job back. So the job ends with the runner, however
//! that ends. The holder keeps a step on a node in the same way, which ends the job if the machine
//! of the runner is gone as well.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Sender;
use tokio::time::{Instant, sleep, timeout};

use super::hold::{ASK, END, MARK, NOT_THERE};
use super::nodes::{Amounts, Node};
use super::tools::{Tool, ask};
use super::words;
use crate::flag::Flag;
use crate::needs::JobRequest;
use crate::process::pool::{Children, lasting_path};

/// How often a controller that does not answer is tried, and the pause before that.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(5);

/// How often Slurm is asked why a job has to wait: first soon, then less often.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(10);

/// How long Slurm may take to give a job back.
const RELEASE: Duration = Duration::from_secs(30);

/// What a run waits for, in words. None when it does not wait any longer.
pub(super) type Notice = dyn Fn(Option<String>) + Send + Sync;

pub(super) struct Job {
    pub(super) id: String,
    pub(super) nodes: Vec<Node>,
    /// The job was asked for, and is given back.
    own: Option<Own>,
}

struct Own {
    salloc: Tool,
    holder: Option<Sender>,
}

/// A job that this process is inside of.
pub(super) fn around() -> Option<String> {
    std::env::var("SLURM_JOB_ID")
        .ok()
        .filter(|id| !id.is_empty())
}

impl Job {
    /// Finds the job that is there, or asks for one. If that is `given_up`, the error is of the
    /// kind `Interrupted`, and nothing is left of the request.
    pub(super) async fn get(
        children: &Children,
        request: &JobRequest,
        limit: Duration,
        notice: &Notice,
        given_up: &Flag,
    ) -> io::Result<Job> {
        if let Some(id) = around() {
            let nodes = nodes_of(children, &id).await?;
            return Ok(Job {
                id,
                nodes,
                own: None,
            });
        }
        let mut tries = 1;
        loop {
            let asked = Own::ask_for(children, request, limit, notice, given_up).await;
            let error = match asked {
                Ok((id, own)) => {
                    let nodes = nodes_of(children, &id).await;
                    let own = Some(own);
                    return match nodes {
                        Ok(nodes) => Ok(Job { id, nodes, own }),
                        Err(error) => {
                            let nodes = Vec::new();
                            Job { id, nodes, own }.give_back(children, given_up).await;
                            Err(error)
                        }
                    };
                }
                Err(error) => error,
            };
            if error.kind() != io::ErrorKind::TimedOut || tries == TRIES {
                return Err(error);
            }
            tries += 1;
            notice(Some(format!(
                "Slurm, because {error}; this is try {tries} of {TRIES}"
            )));
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = given_up.wait() => return Err(io::ErrorKind::Interrupted.into()),
            }
        }
    }

    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Gives the job back, if it was asked for. Returns what went wrong. In a `hurry`, it does not
    /// wait until that is done.
    pub(super) async fn give_back(self, children: &Children, hurry: &Flag) -> Option<String> {
        let (id, mut own) = (self.id, self.own?);
        tokio::select! {
            biased;
            trouble = own.give_back(children, &id) => return trouble,
            () = hurry.wait() => {}
        }
        // It gives the job back after the end of this process, too.
        own.salloc.leave();
        Some(format!("whether job {id} is gone was not waited for"))
    }
}

impl Own {
    /// Cancel safe: then `salloc` goes on.
    async fn give_back(&mut self, children: &Children, id: &str) -> Option<String> {
        if let Some(mut holder) = self.holder.take() {
            let _ = holder.write_all(&[END]).await;
        }
        let mut rest = Vec::new();
        let ended = timeout(RELEASE, self.salloc.out.read_to_end(&mut rest)).await;
        if ended.is_err() {
            let _ = timeout(RELEASE, ask(children, "scancel", &[id])).await;
        }
        is_gone(children, id).await
    }

    async fn ask_for(
        children: &Children,
        request: &JobRequest,
        limit: Duration,
        notice: &Notice,
        given_up: &Flag,
    ) -> io::Result<(String, Own)> {
        let program = lasting_path()?;
        let mut command = Command::new(&program);
        command.args([ASK, &std::process::id().to_string(), "salloc"]);
        command.args(options(request)).arg(program);
        command.args([MARK, &limit.as_secs().to_string()]);
        command.stdin(Stdio::piped()).process_group(0);
        let mut salloc = Tool::start(children, command)?;
        let holder = salloc.child.stdin.take();
        let holder = holder
            .map(OwnedFd::from)
            .map(Sender::from_owned_fd)
            .transpose()?;
        let mut own = Own { salloc, holder };
        let granted = tokio::select! {
            granted = own.granted(children, request, notice) => Some(granted),
            () = given_up.wait() => None,
        };
        notice(None);
        match granted {
            Some(Ok(id)) => return Ok((id, own)),
            Some(Err(error)) => return Err(error),
            None => {}
        }
        // A request that waits is withdrawn, and a job that was granted just now is given back.
        own.holder = None;
        let _ = kill_process(Pid::from_child(&own.salloc.child), Signal::TERM);
        let mut rest = Vec::new();
        let _ = timeout(RELEASE, own.salloc.out.read_to_end(&mut rest)).await;
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Resolves when the holder runs, with the number of the job.
    async fn granted(
        &mut self,
        children: &Children,
        request: &JobRequest,
        notice: &Notice,
    ) -> io::Result<String> {
        let (mut said, mut messages) = (Vec::new(), Vec::new());
        let (mut of_out, mut of_errors) = ([0; 256], [0; 4096]);
        let mut look = Instant::now() + FIRST_LOOK;
        let mut has_errors = true;
        loop {
            if let Some(end) = said.iter().position(|&byte| byte == b'\n') {
                return Ok(String::from_utf8_lossy(&said[..end]).into_owned());
            }
            tokio::select! {
                biased;
                count = self.salloc.errors.read(&mut of_errors), if has_errors => match count {
                    Ok(count @ 1..) => messages.extend_from_slice(&of_errors[..count]),
                    _ => has_errors = false,
                },
                count = self.salloc.out.read(&mut of_out) => match count {
                    Ok(count @ 1..) => said.extend_from_slice(&of_out[..count]),
                    _ => return Err(refused(&mut self.salloc, &messages).await),
                },
                () = tokio::time::sleep_until(look) => {
                    let messages = String::from_utf8_lossy(&messages);
                    if let Some(id) = pending(&messages) {
                        notice(Some(reason(children, id, request).await));
                    } else {
                        notice(Some("an answer of Slurm".to_owned()));
                    }
                    look = Instant::now() + LOOK;
                }
            }
        }
    }
}

/// The options of `salloc`. Those of the user come last, so that they count.
fn options(request: &JobRequest) -> Vec<std::ffi::OsString> {
    let mut options = vec![
        "--job-name=taskgroup".to_owned(),
        "--no-bell".to_owned(),
        // What runs on the other nodes goes on when one fails.
        "--no-kill".to_owned(),
        format!("--nodes={}", request.nodes),
        "--ntasks-per-node=1".to_owned(),
    ];
    match request.cpus {
        Some(cpus) => options.push(format!("--cpus-per-task={cpus}")),
        None => options.push("--exclusive".to_owned()),
    }
    match request.memory {
        Some(memory) => options.push(format!("--mem={}K", memory.div_ceil(1 << 10))),
        None if request.cpus.is_none() => options.push("--mem=0".to_owned()),
        None => {}
    }
    options.extend(request.gpus.map(|gpus| format!("--gpus-per-node={gpus}")));
    options.extend(request.time.map(|time| {
        // Slurm counts in minutes, and takes seconds.
        format!("--time=0-0:0:{}", time.as_secs().max(1))
    }));
    let texts = [
        ("partition", &request.partition),
        ("account", &request.account),
        ("constraint", &request.constraint),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.as_ref()?)));
    options.extend(texts.map(|(name, text)| format!("--{name}={text}")));
    let options = options.into_iter().map(Into::into);
    options.chain(request.extra.iter().cloned()).collect()
}

/// The number of a job that waits, from the messages of `salloc`.
fn pending(messages: &str) -> Option<&str> {
    let (_, rest) = messages.split_once("Pending job allocation ")?;
    rest.split_whitespace().next()
}

/// Why `salloc` has ended without a job.
async fn refused(salloc: &mut Tool, messages: &[u8]) -> io::Error {
    let mut messages = messages.to_vec();
    let _ = timeout(RELEASE, salloc.errors.read_to_end(&mut messages)).await;
    let messages = String::from_utf8_lossy(&messages);
    let unreachable = ["Unable to contact", "Socket timed out", "connect failure"];
    let why = words::last_line(&messages);
    let why = why.unwrap_or_else(|| "salloc has ended without a message".to_owned());
    // It has ended, or is about to be killed anyway.
    let _ = salloc.child.kill();
    if matches!(salloc.child.wait(), Ok(status) if status.code() == Some(NOT_THERE)) {
        return io::Error::new(io::ErrorKind::NotFound, why);
    }
    if unreachable.iter().any(|sign| messages.contains(sign)) {
        let text = format!("the controller of Slurm does not answer ({why})");
        return io::Error::new(io::ErrorKind::TimedOut, text);
    }
    io::Error::other(format!("Slurm has refused the job: {why}"))
}

/// What the job waits for, and how many of its partition are before it.
async fn reason(children: &Children, id: &str, request: &JobRequest) -> String {
    let of = |text: Answered| text.ok().map(|text| text.trim().to_owned());
    let why = of(told(children, &["-h", "-j", id, "-o", "%r"]).await);
    let why = why.filter(|why| is_reason(why));
    let mut waiting = vec!["-h", "-t", "PD", "--sort=-p,i", "-o", "%i"];
    if let Some(partition) = &request.partition {
        waiting.extend(["-p", partition]);
    }
    let queue = of(told(children, &waiting).await).unwrap_or_default();
    let place = queue.lines().position(|line| line.trim() == id);
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    match place {
        Some(place) => format!("job {id}{why}, number {} in the queue", place + 1),
        None => format!("job {id}{why}"),
    }
}

/// Slurm writes `None` until it has looked at the job.
fn is_reason(why: &str) -> bool {
    !why.is_empty() && why != "None"
}

type Answered = io::Result<String>;

async fn told(children: &Children, arguments: &[&str]) -> Answered {
    ask(children, "squeue", arguments).await?.text()
}

/// Waits until nothing of the job is left. Returns what is.
async fn is_gone(children: &Children, id: &str) -> Option<String> {
    let end = Instant::now() + RELEASE;
    let mut pause = Duration::from_millis(50);
    loop {
        let state = ask(children, "squeue", &["-h", "-j", id, "-o", "%T %N"]).await;
        let state = match state {
            Ok(answer) if answer.succeeded && answer.text.trim().is_empty() => return None,
            Ok(answer) if answer.messages.contains("Invalid job id") => return None,
            Ok(answer) => answer.text(),
            Err(error) => Err(error),
        };
        if Instant::now() > end {
            return Some(match state {
                Ok(state) => {
                    let (state, nodes) = state.trim().split_once(' ').unwrap_or((&state, ""));
                    format!("job {id} is not gone yet: it is {state} on {nodes}")
                }
                Err(error) => format!("whether job {id} is gone is unknown: {error}"),
            });
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// What the job has on its nodes.
async fn nodes_of(children: &Children, id: &str) -> io::Result<Vec<Node>> {
    let no_job = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("Slurm does not show job {id}: {error}"),
        )
    };
    let shown = ask(children, "scontrol", &["-d", "show", "job", id]).await?;
    let shown = shown.text().map_err(no_job)?;
    let mut nodes = Vec::new();
    for line in shown
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("CPU_IDs="))
    {
        let list = field(line, "Nodes").unwrap_or_default();
        let names = ask(children, "scontrol", &["show", "hostnames", list]).await?;
        let names = names.text().map_err(no_job)?;
        nodes.extend(names.lines().map(|name| of_line(name.trim(), line)));
    }
    if nodes.is_empty() {
        let state = field(&shown, "JobState").unwrap_or("unknown");
        return Err(io::Error::other(format!(
            "job {id} has no nodes: it is {state}"
        )));
    }
    for node in &mut nodes {
        let shown = ask(children, "scontrol", &["show", "node", "-o", &node.name]).await?;
        let shown = shown.text().map_err(no_job)?;
        let threads = field(&shown, "ThreadsPerCore").and_then(|text| text.parse().ok());
        node.threads = threads.unwrap_or(1);
        let features = field(&shown, "ActiveFeatures").unwrap_or_default();
        node.features = features.split(',').map(str::to_owned).collect();
    }
    Ok(nodes)
}

/// The value of a field like `Mem=4000`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut words = text.split_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn of_line(name: &str, line: &str) -> Node {
    let cpus = field(line, "CPU_IDs").map_or(0, |ids| ids.split(',').map(count).sum());
    let memory = field(line, "Mem").and_then(|text| text.parse::<u64>().ok());
    let gpus = field(line, "GRES").map_or(0, gpus);
    Node {
        name: name.to_owned(),
        has: Amounts {
            cpus,
            memory: memory
                .filter(|&mebibytes| mebibytes > 0)
                .map(|mebibytes| mebibytes << 20),
            gpus,
        },
        threads: 1,
        features: BTreeSet::new(),
        taken: Amounts::default(),
        is_lost: false,
    }
}

/// How many numbers there are in `0-3` or `5`.
fn count(range: &str) -> u32 {
    let number = |text: &str| text.parse::<u32>().ok();
    match range.split_once('-') {
        Some((first, last)) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => last - first + 1,
            _ => 0,
        },
        None => u32::from(number(range).is_some()),
    }
}

/// How many GPUs there are in `gpu:a100:2(IDX:0-1),gpu:1,shard:4`.
fn gpus(resources: &str) -> u32 {
    let mut depth = 0;
    let outside: String = resources
        .chars()
        .filter(|&c| {
            depth += i32::from(c == '(');
            let is_outside = depth == 0;
            depth -= i32::from(c == ')');
            is_outside
        })
        .collect();
    let of_gpus = outside.split(',').filter(|part| part.starts_with("gpu:"));
    of_gpus
        .filter_map(|part| part.rsplit(':').next()?.parse::<u32>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_has_stands_in_the_line_of_scontrol() {
        let node = of_line(
            "n7",
            "Nodes=n[7-8] CPU_IDs=0-3,6 Mem=4000 GRES=gpu:a:2(IDX:0,2),gpu:1",
        );
        let has = Amounts {
            cpus: 5,
            memory: Some(4000 << 20),
            gpus: 3,
        };
        assert_eq!((node.name.as_str(), node.has), ("n7", has));
        let bare = of_line("n1", "Nodes=n1 CPU_IDs=0 Mem=0 GRES=").has;
        assert_eq!((bare.cpus, bare.memory, bare.gpus), (1, None, 0));
    }

    #[test]
    fn a_job_without_a_number_of_processors_has_whole_nodes() {
        let text = |request: &JobRequest| {
            let words = options(request)
                .into_iter()
                .map(|word| word.into_string().unwrap());
            words.collect::<Vec<_>>().join(" ")
        };
        let whole = text(&JobRequest::default());
        assert!(whole.contains("--exclusive --mem=0"), "{whole}");
        let part = text(&JobRequest {
            cpus: std::num::NonZeroU32::new(8),
            time: Some(Duration::from_secs(90)),
            partition: Some("gpu".to_owned()),
            extra: vec!["--qos=long".into()],
            ..JobRequest::default()
        });
        assert!(part.contains("--cpus-per-task=8 --time=0-0:0:90 --partition=gpu --qos=long"));
        assert!(
            !part.contains("exclusive") && !part.contains("mem"),
            "{part}"
        );
    }

    #[test]
    fn the_number_of_a_job_that_waits_is_found() {
        let messages = "salloc: Pending job allocation 65\nsalloc: job 65 queued and waiting\n";
        assert_eq!(pending(messages), Some("65"));
        assert_eq!(pending("salloc: error: no"), None);
    }
}
