//! Acquire, process, clean up, end as cancelled, release: a whole cancellable operation, once for
//! each way it can end.
//!
//! Cleanup for a cancellation (give back the half-written order) is where the task learns of it.
//! Cleanup of the resource (close the connection) is in the `bracket` and runs in every case, last.

use std::time::Duration;

use taskgroup::{BoxError, TaskGroup, bracket, until_cancelled};
use tokio::time::sleep;

struct Connection {
    id: &'static str,
}

async fn acquire(id: &'static str) -> Result<Connection, BoxError> {
    if id == "refused" {
        return Err("connection refused".into());
    }
    println!("  acquired");
    Ok(Connection { id })
}

async fn process(connection: &mut Connection) -> Result<String, BoxError> {
    sleep(Duration::from_secs(1)).await;
    match connection.id {
        "broken" => Err("connection reset".into()),
        "bug" => panic!("index out of bounds"),
        id => Ok(format!("{id} processed")),
    }
}

async fn cleanup(_connection: &mut Connection) {
    println!("  cleaned up, because it was cancelled");
}

async fn release(_connection: Connection) {
    sleep(Duration::from_millis(100)).await;
    println!("  released");
}

async fn cancellable_operation(id: &'static str) -> Result<String, BoxError> {
    bracket(
        acquire(id),
        async |connection: &mut Connection| match until_cancelled(process(connection)).await {
            Ok(processed) => processed,
            Err(cancelled) => {
                cleanup(connection).await;
                Err(cancelled.into())
            }
        },
        release,
    )
    .await
}

async fn report(id: &'static str, cancel: bool) {
    println!("{id}:");
    let run = TaskGroup::run(async |group| {
        let task = group.task(id).spawn(cancellable_operation(id));
        sleep(Duration::from_millis(500)).await;
        if cancel {
            task.cancel();
        }
        Ok(match task.await {
            Err(error) if error.is_cancelled() => "cancelled, as it should".to_owned(),
            other => other?,
        })
    });
    match run.await {
        Ok(text) => println!("  {text}"),
        Err(errors) if errors.cause().is_panic() => println!("  panicked"),
        Err(errors) => println!("  {}", errors.cause()),
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    std::panic::set_hook(Box::new(|_| {})); // the panic is reported below
    report("order", false).await;
    report("order", true).await;
    report("broken", false).await;
    report("bug", false).await;
    report("refused", false).await;
}
