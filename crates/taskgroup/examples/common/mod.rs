//! A small HTTP server and client for the examples that need a network: real sockets on the
//! loopback device, with hyper on both ends.
//!
//! The server is an ordinary task below the client's scope: it lives exactly as long as the body of
//! [`serve`]. [`Seen`] has what it saw of its clients.

#![allow(dead_code, reason = "no example uses all of it")]

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use taskgroup::{BoxError, TaskGroup};
use tokio::net::{TcpListener, TcpStream};

/// What a server answers: a status and a text.
pub(crate) type Answer = (StatusCode, String);

/// `200` and a text.
pub(crate) fn ok(text: impl Into<String>) -> Answer {
    (StatusCode::OK, text.into())
}

/// The number at the end of `/user/7`.
pub(crate) fn number(path: &str) -> u32 {
    let last = path.rsplit('/').next();
    last.and_then(|last| last.parse().ok())
        .unwrap_or_else(|| panic!("{path} does not end with a number"))
}

/// What a server has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    running: AtomicUsize,
    most: AtomicUsize,
    answered: AtomicUsize,
    hung_up: AtomicUsize,
}

impl Seen {
    /// The requests that are in progress.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// The greatest number of requests at the same time.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// The requests that got their answer.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// The requests whose client closed the connection before the answer.
    pub(crate) fn hung_up(&self) -> usize {
        self.hung_up.load(Ordering::SeqCst)
    }
}

/// One request in progress. Its destructor records how it ended.
struct InWork {
    seen: Arc<Seen>,
    answered: bool,
}

impl InWork {
    fn new(seen: Arc<Seen>) -> Self {
        let running = seen.running.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(running, Ordering::SeqCst);
        Self {
            seen,
            answered: false,
        }
    }

    fn answer(&mut self) {
        self.answered = true;
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        let count = match self.answered {
            true => &self.seen.answered,
            false => &self.seen.hung_up,
        };
        count.fetch_add(1, Ordering::SeqCst);
        self.seen.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A server, as its clients see it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// Starts a server, runs `client`, and stops the server. `handler` gets the path of each request.
pub(crate) async fn serve<H, F, T>(
    handler: H,
    client: impl AsyncFnOnce(Server) -> Result<T, BoxError>,
) -> Result<T, BoxError>
where
    H: Fn(String) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let server = Server {
        address: listener.local_addr()?,
        seen: Arc::default(),
    };
    let group = TaskGroup::builder().name("server");
    let run = group.run(async |group| {
        let listening = accept(listener, server.seen.clone(), handler);
        let accept = group.task("accept").spawn(listening);
        let result = client(server.clone()).await;
        accept.cancel();
        result
    });
    Ok(run.await?)
}

/// Each connection is a task of a separate group, so a cancelled `accept` ends them all.
async fn accept<H, F>(listener: TcpListener, seen: Arc<Seen>, handler: H) -> Result<(), BoxError>
where
    H: Fn(String) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let connections = TaskGroup::run(async |group| {
        loop {
            let (stream, _) = listener.accept().await?;
            group.spawn(connection(stream, seen.clone(), handler.clone()));
        }
    });
    Ok(connections.await?)
}

async fn connection<H, F>(stream: TcpStream, seen: Arc<Seen>, handler: H)
where
    H: Fn(String) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let mut work = InWork::new(seen.clone());
        let answer = handler(request.uri().path().to_owned());
        async move {
            let (status, text) = answer.await;
            work.answer();
            let mut response = Response::new(Full::new(Bytes::from(text)));
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // An error here is a client that closed its connection, which `Seen` has counted.
    let _ = connection.await;
}

impl Server {
    /// What the server has seen of its clients.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Sends `GET path` and returns the text of the answer. When dropped half-way, it closes the
    /// connection.
    pub(crate) fn get(
        &self,
        path: &str,
    ) -> impl Future<Output = Result<String, HttpError>> + Send + use<> {
        get(self.address, path.to_owned())
    }

    /// The address of a server that does not exist: connections to it are refused.
    pub(crate) async fn refusing() -> std::io::Result<Server> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Ok(Server {
            address: listener.local_addr()?,
            seen: Arc::default(),
        })
    }
}

async fn get(address: SocketAddr, path: String) -> Result<String, HttpError> {
    let broken = |error: hyper::Error| HttpError::Broken(Box::new(error));
    let stream = TcpStream::connect(address).await;
    let stream = TokioIo::new(stream.map_err(HttpError::Refused)?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(broken)?;
    let request = Request::get(&path)
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|error| HttpError::Broken(Box::new(error)))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(broken)?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        match status {
            StatusCode::OK => Ok(text),
            _ => Err(HttpError::Status(path, status)),
        }
    };
    // The connection is polled here, not in a task, so dropping this future closes the socket.
    let (exchanged, _) = tokio::join!(exchange, async {
        let _ = connection.await;
    });
    exchanged
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// No server listens there.
    Refused(std::io::Error),
    /// The server answered with something else than `200`.
    Status(String, StatusCode),
    /// The connection broke, or was not HTTP.
    Broken(BoxError),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_) => f.write_str("connection refused"),
            Self::Status(path, status) => write!(f, "GET {path}: {status}"),
            Self::Broken(_) => f.write_str("the connection broke"),
        }
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Status(..) => None,
            Self::Broken(error) => Some(error.as_ref()),
        }
    }
}
