//! Each server of the guide is asked to stop with 200 requests in flight. S54.
//!
//! The requests are held in their handlers until the program has said that it stops, so no time and
//! no luck decides what is in flight. `cargo test -p taskgroup-servers -- --nocapture` prints what
//! came out, which is the table of the guide.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const REQUESTS: usize = 200;

/// No test comes near this limit: it turns a hang into a failure.
const LIMIT: Duration = Duration::from_secs(100);

/// A grace that does not end while a test runs.
const LONG: &str = "600000";

/// The path of a server's program.
macro_rules! program {
    ($name:literal) => {
        ($name, env!(concat!("CARGO_BIN_EXE_", $name)))
    };
}

type Path = (&'static str, &'static str);

/// A server that runs. Killed when it is dropped before its end.
struct Server {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: ChildStderr,
}

impl Server {
    fn start((_, path): Path, grace: &str) -> Self {
        let mut child = Command::new(path)
            .env("SERVER_GRACE_MS", grace)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self {
            input: child.stdin.take(),
            errors: child.stderr.take().unwrap(),
            child,
            lines,
        }
    }

    /// Waits for a line that begins so, and gives the rest of it.
    fn says(&self, begin: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(LIMIT).unwrap();
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.to_owned();
            }
        }
    }

    fn terminate(&self) {
        let mut kill = Command::new("kill");
        kill.args(["-TERM", &self.child.id().to_string()]);
        assert!(kill.status().unwrap().success());
    }

    /// From now on requests are answered.
    fn open(&mut self) {
        drop(self.input.take());
    }

    /// What it printed last, its standard error, and how it ended.
    fn end(mut self) -> (Vec<String>, String, ExitStatus) {
        let lines = self.lines.iter().collect();
        let mut errors = String::new();
        self.errors.read_to_string(&mut errors).unwrap();
        (lines, errors, self.child.wait().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Lines,
    Http,
}

/// A client with one request, which gives what comes back.
fn client(protocol: Protocol, address: &str, path: String) -> JoinHandle<std::io::Result<String>> {
    let address = address.to_owned();
    std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        match protocol {
            Protocol::Lines => writeln!(stream, "{path}")?,
            Protocol::Http => write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")?,
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
}

fn is_answered(path: &str, answer: &std::io::Result<String>) -> bool {
    matches!(answer, Ok(text) if text.ends_with(&format!("answer to {path}\n")))
}

/// 200 requests in flight, SIGTERM, and then their answers.
fn loses_nothing(path: Path, protocol: Protocol) {
    let mut server = Server::start(path, LONG);
    let address = server.says("listening on ");
    let paths: Vec<String> = (1..=REQUESTS)
        .map(|number| format!("/held/{number}"))
        .collect();
    let clients: Vec<_> = paths
        .iter()
        .map(|path| client(protocol, &address, path.clone()))
        .collect();
    server.says(&format!("in flight: {REQUESTS}"));
    server.terminate();
    server.says("stopping");
    server.open();
    let answers = clients.into_iter().map(|client| client.join().unwrap());
    let lost = paths
        .iter()
        .zip(answers)
        .filter(|(path, answer)| !is_answered(path, answer))
        .count();
    let (lines, errors, status) = server.end();
    println!(
        "{}: {lost} lost, {status}, printed {lines:?} {errors:?}",
        path.0
    );
    assert_eq!(lost, 0);
    assert_eq!(lines, ["stopped"]);
    assert_eq!(errors, "");
    assert_eq!(status.code(), Some(0));
}

/// Three requests that never end, and a grace that does. Returns standard error.
fn is_cut_off(path: Path, protocol: Protocol) -> String {
    let server = Server::start(path, "1");
    let address = server.says("listening on ");
    let clients: Vec<_> = (1..=3)
        .map(|number| client(protocol, &address, format!("/stuck/{number}")))
        .collect();
    server.says("in flight: 3");
    server.terminate();
    cut_off(path, server, clients)
}

/// As [`is_cut_off`], by a second signal.
fn is_cut_off_by_signal(path: Path, protocol: Protocol) -> String {
    let server = Server::start(path, LONG);
    let address = server.says("listening on ");
    let clients: Vec<_> = (1..=3)
        .map(|number| client(protocol, &address, format!("/stuck/{number}")))
        .collect();
    server.says("in flight: 3");
    server.terminate();
    server.says("stopping");
    server.terminate();
    cut_off(path, server, clients)
}

fn cut_off(
    path: Path,
    server: Server,
    clients: Vec<JoinHandle<std::io::Result<String>>>,
) -> String {
    let (_, errors, status) = server.end();
    println!("{}: cut off, {status}, printed\n{errors}", path.0);
    for client in clients {
        let answer = client.join().unwrap();
        assert!(!is_answered("/stuck", &answer), "{answer:?}");
    }
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    errors
}

/// 200 jobs in flight and 50 in the queue.
fn loses_no_job(path: Path) {
    let mut server = Server::start(path, LONG);
    server.says("in flight: 200");
    server.terminate();
    server.says("stopping");
    server.open();
    let (lines, errors, status) = server.end();
    println!("{}: {status}, printed {lines:?} {errors:?}", path.0);
    let (last, begun) = lines.split_last().unwrap();
    let left = 50 - begun.len();
    assert_eq!(*last, format!("stopped: {left} jobs are left"));
    // Workers of tokio-graceful-shutdown may be told a moment after the program is.
    assert!(begun.is_empty() || path.0 == "queue_toplevel", "{begun:?}");
    assert_eq!(errors, "");
    assert_eq!(status.code(), Some(0));
}

macro_rules! servers {
    ($($name:literal, $protocol:ident, $lost:ident, $cut:ident;)*) => {$(
        #[test]
        fn $lost() {
            loses_nothing(program!($name), Protocol::$protocol);
        }

        #[test]
        fn $cut() {
            is_cut_off(program!($name), Protocol::$protocol);
        }
    )*};
}

servers! {
    "tcp", Lines, tcp_loses_nothing, tcp_is_cut_off;
    "hyper", Http, hyper_loses_nothing, hyper_is_cut_off;
    "axum", Http, axum_loses_nothing, axum_is_cut_off;
    "tcp_tracker", Lines, tcp_tracker_loses_nothing, tcp_tracker_is_cut_off;
    "hyper_tracker", Http, hyper_tracker_loses_nothing, hyper_tracker_is_cut_off;
    "axum_tracker", Http, axum_tracker_loses_nothing, axum_tracker_is_cut_off;
    "tcp_toplevel", Lines, tcp_toplevel_loses_nothing, tcp_toplevel_is_cut_off;
    "hyper_toplevel", Http, hyper_toplevel_loses_nothing, hyper_toplevel_is_cut_off;
    "axum_toplevel", Http, axum_toplevel_loses_nothing, axum_toplevel_is_cut_off;
}

#[test]
fn queues_lose_no_job() {
    loses_no_job(program!("queue"));
    loses_no_job(program!("queue_tracker"));
    loses_no_job(program!("queue_toplevel"));
}

/// Both ways to cut something off say what that was.
#[test]
fn what_is_cut_off_is_named() {
    let by_grace = |path, protocol| is_cut_off(path, protocol);
    let by_signal = |path, protocol| is_cut_off_by_signal(path, protocol);
    for (path, protocol, name) in [
        (program!("tcp"), Protocol::Lines, "client 127.0.0.1:"),
        (program!("hyper"), Protocol::Http, "client 127.0.0.1:"),
        (program!("axum"), Protocol::Http, "GET /stuck/"),
    ] {
        for errors in [by_grace(path, protocol), by_signal(path, protocol)] {
            assert_eq!(errors.matches(name).count(), 3, "{errors}");
        }
    }
}

/// The same with 200 transfers of curl, where there is one.
#[test]
fn curl_loses_nothing() {
    if Command::new("curl").arg("--version").output().is_err() {
        // Past the capture of the test harness, which shows nothing of tests that pass.
        std::io::stderr()
            .write_all(b"skipped: there is no curl\n")
            .unwrap();
        return;
    }
    for path in [program!("axum"), program!("hyper")] {
        let mut server = Server::start(path, LONG);
        let address = server.says("listening on ");
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--no-buffer"])
            .args([
                "--parallel",
                "--parallel-immediate",
                "--parallel-max",
                "200",
            ])
            .arg(format!("http://{address}/held/[1-{REQUESTS}]"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let curl = curl.spawn().unwrap();
        server.says(&format!("in flight: {REQUESTS}"));
        server.terminate();
        server.says("stopping");
        server.open();
        let curl = curl.wait_with_output().unwrap();
        let answers = String::from_utf8(curl.stdout).unwrap();
        let (lines, errors, status) = server.end();
        let answered = answers.matches("answer to /held/").count();
        println!("{} and curl: {answered} answered, {status}", path.0);
        assert_eq!(
            answered,
            REQUESTS,
            "{}",
            String::from_utf8_lossy(&curl.stderr)
        );
        assert!(curl.status.success());
        assert_eq!((lines, errors.as_str()), (vec!["stopped".to_owned()], ""));
        assert_eq!(status.code(), Some(0));
    }
}
