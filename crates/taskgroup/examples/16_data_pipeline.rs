//! Why cancel the rest? Extract, transform, load, with bounded channels in between.
//!
//! A line that cannot be transformed ends all three stages, and no incomplete data reaches the end:
//! the loader writes only when a batch is full or the end was announced. A closed channel does not
//! announce the end, because the sender is also dropped when the previous stage fails.

use std::convert::Infallible;

use taskgroup::{BoxError, TaskGroup};
use tokio::sync::mpsc::{self, Receiver, Sender};

const BATCH: usize = 4;

enum Row {
    Value(i64),
    End,
}

async fn extract(lines: &'static [&'static str], next: Sender<&'static str>) {
    for line in lines {
        // Waits while the channel is full. Without the next stage there is no point in continuing.
        if next.send(line).await.is_err() {
            return;
        }
    }
}

async fn transform(mut lines: Receiver<&'static str>, next: Sender<Row>) -> Result<(), BoxError> {
    while let Some(line) = lines.recv().await {
        let value = line.parse();
        let value = value.map_err(|error| format!("line {line:?}: {error}"))?;
        if next.send(Row::Value(value)).await.is_err() {
            return Ok(());
        }
    }
    // It does not matter if the loader has ended.
    let _ = next.send(Row::End).await;
    Ok(())
}

async fn load(mut rows: Receiver<Row>) -> Result<i64, Infallible> {
    let mut sum = 0;
    let mut batch = Vec::new();
    loop {
        let end = match rows.recv().await {
            Some(Row::Value(value)) => {
                batch.push(value);
                false
            }
            Some(Row::End) => true,
            // The previous stage has failed and reports for both: this one is cancelled.
            None => std::future::pending().await,
        };
        if batch.len() == BATCH || end {
            println!("  loaded {batch:?}");
            sum += batch.drain(..).sum::<i64>();
        }
        if end {
            return Ok(sum);
        }
    }
}

async fn pipeline(lines: &'static [&'static str]) -> Result<i64, BoxError> {
    let group = TaskGroup::builder().name("etl");
    let run = group.run(async |group| {
        let (to_transform, lines_out) = mpsc::channel(2);
        let (to_load, rows_out) = mpsc::channel(2);
        group.task("extract").spawn(extract(lines, to_transform));
        group.task("transform").spawn(transform(lines_out, to_load));
        let sum = group.task("load").spawn(load(rows_out));
        Ok(sum.await?)
    });
    Ok(run.await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("sum: {}", pipeline(&["1", "2", "3", "4", "5"]).await?);

    let broken = &["1", "2", "3", "4", "5", "6", "seven", "8"];
    println!("{}", pipeline(broken).await.unwrap_err());
    Ok(())
}
