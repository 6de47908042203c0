//! Services: when they are ready, and when nothing needs them any longer.

use std::collections::HashSet;
use std::io;
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use taskgroup::{BoxError, CancelScope, TaskGroup, bracket};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::Engine;
use super::group::Failed;
use super::task::Turn;
use crate::duration::Human;
use crate::flag::Flag;
use crate::job::{Job, Sought, Surroundings, With};
use crate::output::Show;
use crate::plan::{Node, Plan, Ready, Service, Url, Work};
use crate::record::{Ending, Record};
use crate::report;
use crate::verdict::Verdict;

/// The pauses between two looks at a service that is not ready grow from the first to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);

/// How long the look before the start may take. On this machine the answer comes at once.
const EARLY_LOOK: Duration = Duration::from_secs(1);

/// How much of an answer is taken after its first line, and for how long.
const LONGEST_ANSWER: u64 = 1 << 20;
const REST: Duration = Duration::from_secs(1);

impl Turn {
    /// Runs the service until everything that needs it has ended. A service that ends before has
    /// failed.
    pub(super) async fn serve(&self) -> Result<(), BoxError> {
        let needs = self.engine().needs(self.id());
        let mut needed = CancelScope::new();
        let stop = needed.canceller();
        let (engine, turn) = (self.engine().clone(), self.clone());
        let served = TaskGroup::builder()
            .name(format!("service {}", self.name()))
            .run(async move |group| {
                let until = async move {
                    engine.not_needed(&needs).await;
                    stop.cancel_with("nothing needs the service any longer");
                };
                group.task("needed").background().spawn(until);
                // An error of the service is no error of this group, which has only its watcher.
                Ok::<_, BoxError>(needed.run(turn.attempts()).await)
            })
            .await;
        match served? {
            Some(ended) => ended,
            // Its own failure may have ended all that needed it.
            None if self.latest(|latest| latest.gave_up) => Err(Failed.into()),
            None => {
                self.latest(|latest| {
                    if let Some(record) = &mut latest.record {
                        let status = record.ending.status();
                        record.ending = Ending::Served(status);
                    }
                });
                Ok(())
            }
        }
    }

    /// Watches one attempt at a service: until it is ready, and then until it ends.
    pub(super) async fn serve_once(
        &self,
        service: &Service,
        number: u32,
        job: &mut Job,
        line_seen: &Flag,
    ) -> Verdict {
        let (engine, node) = (self.engine(), Node::Task(self.id()));
        let waits_for_ready = !engine.nodes.is_settled(node);
        let looked = Looked::default();
        let runs_on = job.node();
        let is_ready = async {
            if waits_for_ready {
                let ready = (&service.ready, runs_on.as_deref());
                tokio::select! {
                    biased;
                    () = engine.ready(ready, line_seen, &looked) => true,
                    () = engine.around.clock.after(service.ready_timeout) => false,
                }
            } else {
                std::future::pending().await
            }
        };
        let verdict = {
            let ended = job.watch();
            tokio::pin!(ended, is_ready);
            tokio::select! {
                biased;
                verdict = &mut ended => Some(verdict),
                ready = &mut is_ready => match ready {
                    true => {
                        engine.ready_at(self.task());
                        engine.nodes.settle(node, Verdict::Succeeded);
                        Some(ended.await)
                    }
                    false => None,
                },
            }
        };
        match verdict {
            None => {
                let check = format!("{} {}", service.ready, looked.result());
                job.end_with(Ending::NotReady(check));
                Verdict::Failed
            }
            Some(Verdict::Succeeded) if !self.goes_on(number, Verdict::Succeeded) => {
                job.ended_early();
                self.latest(|latest| latest.gave_up = true);
                Verdict::Failed
            }
            Some(verdict) => verdict,
        }
    }
}

/// What came of the last look at a service that was not ready. Clones share one text.
#[derive(Clone, Default)]
struct Looked(Arc<Mutex<Option<String>>>);

impl Looked {
    fn set(&self, result: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    fn result(&self) -> String {
        let result = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        result
            .clone()
            .unwrap_or_else(|| "gave no result".to_owned())
    }
}

/// Adds to the check of a service that was not ready what it wrote last.
pub(super) fn with_last_line(record: &mut Record, service: &Service) {
    let (Ready::Line(_), Ending::NotReady(check)) = (&service.ready, &mut record.ending) else {
        return;
    };
    let streams = [("output", &record.stdout), ("error", &record.stderr)];
    let lines = streams.into_iter().filter_map(|(stream, tail)| {
        let last = tail.last(1).1.pop()?;
        Some(format!("its standard {stream} ends with {last:?}"))
    });
    let lines: Vec<String> = lines.collect();
    let wrote = match lines.is_empty() {
        true => "it wrote nothing".to_owned(),
        false => lines.join(", "),
    };
    *check = format!("{check}: {wrote}");
}

/// Fails if something else answers already. The service would be ready before it has begun, and
/// often it could not have the port.
pub(super) async fn is_free(service: &Service) -> io::Result<()> {
    let (address, is_taken) = match &service.ready {
        Ready::Started | Ready::Command(_) | Ready::Line(_) => return Ok(()),
        Ready::Port(address) => {
            let look = TcpStream::connect(&**address);
            (address, answers(EARLY_LOOK, look).await.is_ok())
        }
        Ready::Http(url) => (&url.host, answers(EARLY_LOOK, get(url)).await.is_ok()),
    };
    if !is_taken {
        return Ok(());
    }
    let text = format!(
        "another program answers at {address} already, so `ready` would be about that; stop it, or \
         give the service another port"
    );
    Err(io::Error::new(io::ErrorKind::AddrInUse, text))
}

impl Engine {
    /// Resolves when the service is ready. Cancel safe: a look that was begun leaves no process.
    async fn ready(
        &self,
        (ready, node): (&Ready, Option<&str>),
        line_seen: &Flag,
        looked: &Looked,
    ) {
        let mut pause = FIRST_PAUSE;
        loop {
            let result = match ready {
                Ready::Started => return,
                Ready::Line(_) => {
                    looked.set("did not come".to_owned());
                    return line_seen.wait().await;
                }
                // It notes its result itself, when nothing is left of it.
                Ready::Command(work) => match self.succeeds((work, node), looked).await {
                    true => return,
                    false => None,
                },
                Ready::Port(address) => answers(LOOK, TcpStream::connect(&**address)).await.err(),
                Ready::Http(url) => answers(LOOK, get(url)).await.err(),
            };
            match (ready, result) {
                (Ready::Port(_) | Ready::Http(_), None) => return,
                (_, Some(error)) => looked.set(format!("failed: {error}")),
                (_, None) => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Runs a command that looks whether a service is ready, on the node of the service if it is
    /// on one. Nothing of its output is shown.
    async fn succeeds(&self, (work, node): (&Work, Option<&str>), looked: &Looked) -> bool {
        let around = Surroundings {
            show: Show::Quiet,
            ..self.around.clone()
        };
        let start = async {
            let job = match self.beside(work, node).await {
                Ok(lease) => {
                    let with = With {
                        timeout: Some(LOOK),
                        lease,
                        ..With::label(self.labels.of_task(0, "", None))
                    };
                    Job::start(work, with, around, || false).await
                }
                Err(error) => Err(error),
            };
            Ok::<_, BoxError>(job)
        };
        let looked = looked.clone();
        let succeeded = bracket(
            start,
            async |job| {
                let verdict = match job {
                    Ok(job) => job.watch().await,
                    Err(_) => Verdict::Failed,
                };
                Ok(verdict == Verdict::Succeeded)
            },
            |job| async move {
                let record = match job {
                    Ok(job) => job.finish().await.0,
                    Err(error) => Record::without_process(Ending::CouldNotStart(error)),
                };
                // A look that was cut off has no result.
                if record.is_failure() {
                    let last = [&record.stdout, &record.stderr].map(|tail| tail.last(1).1);
                    let last = last.concat().pop().map(|line| format!(", {line:?}"));
                    let last = last.unwrap_or_default();
                    looked.set(format!("failed: {}{last}", report::ended(&record)));
                }
            },
        );
        succeeded.await.unwrap_or(false)
    }

    /// Resolves when a service that is needed by these may end. A service that nothing needs runs
    /// until it is stopped. If the run halts, that is when all other commands have ended.
    async fn not_needed(&self, needs: &[Node]) {
        if needs.is_empty() {
            self.halted.wait().await;
            let others = self.plan.tasks.iter().enumerate();
            let others = others.filter(|(_, task)| task.service.is_none());
            let others: Vec<Node> = others.map(|(id, _)| Node::Task(id)).collect();
            self.nodes.over(&others).await;
        }
        self.nodes.over(needs).await;
    }

    /// What has to end before the service may: everything that comes after it, or after a group
    /// that it is in, directly or not. A plan has no cycles, so neither the service nor a group
    /// around it is among these.
    fn needs(&self, service: usize) -> Vec<Node> {
        let mut found: HashSet<Node> = HashSet::new();
        // What waits for these is known.
        let mut provided: HashSet<Node> = HashSet::new();
        let mut open = vec![Node::Task(service)];
        while let Some(node) = open.pop() {
            let around = self.plan.around(node).map(Node::Group);
            let provides = iter::once(node).chain(around);
            // Once a group is in the set, the groups around it are, too.
            let provides = provides.take_while(|&node| provided.insert(node));
            let mut later: Vec<Node> = provides
                .flat_map(|node| self.nodes.waiters(node))
                .copied()
                .collect();
            while let Some(node) = later.pop() {
                if !found.insert(node) {
                    continue;
                }
                open.push(node);
                // What is in a group that waits comes later, too.
                if let Node::Group(id) = node {
                    later.extend(&self.inside[id]);
                }
            }
        }
        found.into_iter().collect()
    }
}

/// Looks for at most that time.
async fn answers<T>(limit: Duration, look: impl Future<Output = io::Result<T>>) -> io::Result<()> {
    match timeout(limit, look).await {
        Ok(answer) => answer.map(drop),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {}", Human(limit)),
        )),
    }
}

/// An HTTP request that is answered by success or by a redirection.
async fn get(url: &Url) -> io::Result<()> {
    let mut stream = TcpStream::connect(&*url.host).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: taskgroup\r\nConnection: close\r\n\r\n",
        url.path, url.host
    );
    stream.write_all(request.as_bytes()).await?;
    // `HTTP/1.1 200`
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    // A server that cannot send the rest may complain.
    let (mut rest, mut nowhere) = (stream.take(LONGEST_ANSWER), sink());
    let _ = timeout(REST, copy(&mut rest, &mut nowhere)).await;
    match (&answer[..7], answer[9]) {
        (b"HTTP/1.", b'2' | b'3') => Ok(()),
        _ => Err(io::Error::other(match &answer[..5] {
            b"HTTP/" => format!("the answer is {:?}", String::from_utf8_lossy(&answer)),
            _ => "the answer is not HTTP".to_owned(),
        })),
    }
}

impl Plan {
    /// For each group, whether there is a service in it, however deep.
    pub(super) fn serve(&self) -> Vec<bool> {
        let mut serve = vec![false; self.groups.len()];
        for (id, task) in self.tasks.iter().enumerate() {
            if task.service.is_some() {
                for group in self.around(Node::Task(id)) {
                    serve[group] = true;
                }
            }
        }
        serve
    }
}

/// What the output of a service is searched for.
pub(super) fn sought(service: Option<&Service>) -> Option<Sought> {
    match &service?.ready {
        Ready::Line(text) => Some(Sought::new(text.as_bytes())),
        _ => None,
    }
}
