//! What the servers of the guide have in common: a stand-in for the work that they do.
//!
//! A request waits in its handler until the input of the process ends, so a test decides when it is
//! answered. One whose path contains `stuck` waits for ever.

use std::io::Read;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// The number of jobs that are under way at the same time.
pub const AT_ONCE: usize = 200;

/// The number of jobs in the queue when the program starts.
pub const JOBS: u32 = 250;

/// How long a stop may take: `SERVER_GRACE_MS`, or ten seconds.
pub fn grace() -> Duration {
    let set = std::env::var("SERVER_GRACE_MS").ok();
    let millis = set.and_then(|millis| millis.parse().ok());
    Duration::from_millis(millis.unwrap_or(10_000))
}

/// Listens on a free port of the loopback device and prints its address.
///
/// # Errors
/// As [`TcpListener::bind`].
pub async fn listen() -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

/// A queue with [`JOBS`] jobs. No more come, and it never closes.
pub fn jobs() -> mpsc::UnboundedReceiver<String> {
    let (queue, jobs) = mpsc::unbounded_channel();
    for job in 1..=JOBS {
        let _ = queue.send(format!("job/{job}"));
    }
    // As if a producer lived as long as the program.
    std::mem::forget(queue);
    jobs
}

/// Does the work of a request or a job.
pub async fn answer(what: &str) -> String {
    let mut open = gate();
    begin();
    if what.contains("stuck") {
        std::future::pending::<()>().await;
    }
    let _ = open.wait_for(|open| *open).await;
    format!("answer to {what}\n")
}

/// Counts a request or a job that begins, and prints the number.
fn begin() {
    static BEGUN: Mutex<usize> = Mutex::new(0);
    let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    *begun += 1;
    println!("in flight: {begun}");
}

/// True once the input has ended.
fn gate() -> watch::Receiver<bool> {
    static GATE: OnceLock<watch::Sender<bool>> = OnceLock::new();
    let begin = || {
        let gate = watch::Sender::new(false);
        let sender = gate.clone();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            sender.send_replace(true);
        });
        gate
    };
    GATE.get_or_init(begin).subscribe()
}
