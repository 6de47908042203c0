//! Requests to an HTTP server on this machine, at most [`AT_ONCE`] at a time: a group with a limit,
//! and a `JoinSet` with a `Semaphore`.
//!
//! All programs use the same server, which has its own thread. Each program opens its own
//! connections.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper::{Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use taskgroup::{BoxError, GroupBuilder, TaskGroup};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Measured, Peer, Running};
use crate::row::Row;

const AT_ONCE: usize = 100;

pub(super) const TASKGROUP: Peer = Peer::new(
    "taskgroup",
    &[(Row::Http, |n| grouped(TaskGroup::builder(), n))],
);

pub(super) const LIGHT: Peer = Peer::new(
    "taskgroup.light",
    &[(Row::Http, |n| {
        grouped(TaskGroup::builder().light_tasks(), n)
    })],
);

pub(super) const JOINSET: Peer = Peer::new("joinset", &[(Row::Http, |n| Box::pin(join_set(n)))]);

fn grouped(builder: GroupBuilder, n: usize) -> Running {
    Box::pin(async move {
        let requests = Requests::new();
        let run = builder.limit(AT_ONCE).run(async |group| {
            let child = |_| group.spawn(requests.clone().one());
            let handles: Vec<_> = (0..n).map(child).collect();
            let mut waits = Vec::with_capacity(n);
            for handle in handles {
                waits.push(handle.await?);
            }
            Ok(waits)
        });
        let waits = run.await;
        Measured::waits(waits.unwrap_or_else(|error| panic!("a request failed: {error:#}")))
    })
}

async fn join_set(n: usize) -> Measured {
    let requests = Requests::new();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut set = JoinSet::new();
    for _ in 0..n {
        let (requests, places) = (requests.clone(), places.clone());
        set.spawn(async move {
            let place = places.acquire().await?;
            let wait = requests.one().await?;
            drop(place);
            Ok::<_, BoxError>(wait)
        });
    }
    let mut waits = Vec::with_capacity(n);
    while let Some(joined) = set.join_next().await {
        let wait = joined.expect("no child panics");
        waits.push(wait.expect("no request fails"));
    }
    Measured::waits(waits)
}

#[derive(Clone)]
struct Requests {
    client: Client<HttpConnector, Empty<Bytes>>,
    uri: Uri,
}

impl Requests {
    fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            uri: format!("http://{}/", server())
                .parse()
                .expect("an address is a URI"),
        }
    }

    /// Sends one request. Returns the time until the whole answer has arrived.
    async fn one(self) -> Result<Duration, BoxError> {
        let begin = Instant::now();
        let response = self.client.get(self.uri).await?;
        let body = response.into_body().collect().await?.to_bytes();
        if body == ANSWER {
            Ok(begin.elapsed())
        } else {
            Err("not the answer that the server gives".into())
        }
    }
}

static ANSWER: Bytes = Bytes::from_static(b"an answer of some forty characters length");

/// Starts the server on the first call.
fn server() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        std::thread::spawn(move || serve(listener));
        address
    })
}

fn serve(listener: TcpListener) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        listener.set_nonblocking(true).expect("a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        loop {
            // The server continues if a client has already disconnected.
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            let answer =
                |_| async { Ok::<_, Infallible>(Response::new(Full::new(ANSWER.clone()))) };
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer)),
            );
        }
    });
}
