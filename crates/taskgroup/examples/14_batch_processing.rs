//! Why cancel the rest? Batch processing: records that belong together.
//!
//! An invalid record stops the batch before more of it is imported. The same code that would have
//! committed the staged rows takes them back, so the table is never half full: the state is
//! consistent, and no cleanup is forgotten.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskgroup::{BoxError, TaskGroup, bracket};
use tokio::time::sleep;

#[derive(Default)]
struct Table {
    rows: Mutex<Vec<u32>>,
}

/// The rows of one batch: in the table if it was committed, nowhere otherwise.
struct Staging {
    table: Arc<Table>,
    rows: Arc<Mutex<Vec<u32>>>,
    committed: bool,
}

impl Staging {
    async fn close(self) {
        let rows = std::mem::take(&mut *self.rows.lock().unwrap());
        if self.committed {
            println!("{} rows committed", rows.len());
            self.table.rows.lock().unwrap().extend(rows);
        } else {
            println!("{} rows rolled back", rows.len());
        }
    }
}

async fn import(row: u32, rows: Arc<Mutex<Vec<u32>>>) -> Result<(), BoxError> {
    sleep(Duration::from_millis(u64::from(row))).await;
    if row == 13 {
        return Err("row 13 has no price".into());
    }
    rows.lock().unwrap().push(row);
    Ok(())
}

async fn batch(table: &Arc<Table>, rows: std::ops::Range<u32>) -> Result<(), BoxError> {
    let staging = Staging {
        table: table.clone(),
        rows: Arc::default(),
        committed: false,
    };
    bracket(
        async { Ok(staging) },
        async |staging: &mut Staging| {
            let run = TaskGroup::run(async |group| {
                for row in rows {
                    group.spawn(import(row, staging.rows.clone()));
                }
                Ok(())
            });
            run.await?;
            staging.committed = true;
            Ok(())
        },
        Staging::close,
    )
    .await
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let table = Arc::<Table>::default();
    batch(&table, 0..10).await?;
    let error = batch(&table, 10..20).await.unwrap_err();
    println!("{error}");
    println!("the table has {} rows", table.rows.lock().unwrap().len());
    Ok(())
}
