//! One task of many is cancelled; others come and go while the group runs.
//!
//! A plain group can do that. A handle cancels its own task. A clone of the group adds tasks from
//! anywhere, even after the body has finished and the group is only waiting. No other task notices,
//! and the group does not fail.

use std::collections::HashMap;
use std::time::Duration;

use taskgroup::{BoxError, TaskGroup, TaskHandle};
use tokio::sync::mpsc;
use tokio::time::sleep;

enum Command {
    Watch(&'static str),
    Forget(&'static str),
}

/// Never ends by itself.
async fn watch(file: &'static str) {
    println!("watching {file}");
    loop {
        sleep(Duration::from_secs(2)).await;
        println!("  {file} has not changed");
    }
}

/// Holds only a handle for each task.
async fn manage(group: TaskGroup, mut commands: mpsc::Receiver<Command>) -> Result<(), BoxError> {
    let mut watched: HashMap<&str, TaskHandle<()>> = HashMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Watch(file) => {
                watched.insert(file, group.task(file).spawn(watch(file)));
            }
            Command::Forget(file) => {
                if let Some(mut task) = watched.remove(file) {
                    task.cancel();
                    if let Err(error) = (&mut task).await {
                        println!("{file}: cancelled is {}", error.is_cancelled());
                    }
                }
            }
        }
        println!("{} tasks", group.live());
    }
    for task in watched.values() {
        task.cancel();
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        let (commands, received) = mpsc::channel(8);
        group.task("manage").spawn(manage(group.clone(), received));
        commands.send(Command::Watch("a.txt")).await?;
        sleep(Duration::from_secs(1)).await;
        commands.send(Command::Watch("b.txt")).await?;
        sleep(Duration::from_millis(1500)).await;
        commands.send(Command::Forget("a.txt")).await?;
        sleep(Duration::from_secs(2)).await;
        Ok(())
    })
    .await?;
    println!("all gone");
    Ok(())
}
