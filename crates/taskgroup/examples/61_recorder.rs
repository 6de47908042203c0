//! A recorded run: which task ran when, which failed first, which were cancelled because of it, how
//! long cleanup took.
//!
//! With a folder as its argument it writes `timeline.html` and `trace.json` there; the latter opens
//! in <https://ui.perfetto.dev>.

use std::fs::File;
use std::time::Duration;

use taskgroup::observe::recorder::{Recorder, Recording};
use taskgroup::{BoxError, Cancelled, TaskGroup, shield, until_cancelled};
use tokio::time::sleep;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A page of the catalogue.
async fn page(number: u64) {
    sleep(ms(60 + 40 * (number % 4))).await;
}

/// Commits its data when it is cancelled.
async fn index() -> Result<(), Cancelled> {
    let Err(cancelled) = until_cancelled(sleep(ms(5000))).await else {
        return Ok(());
    };
    sleep(ms(120)).await;
    Err(cancelled)
}

/// Never ends.
async fn stubborn() -> Result<(), Cancelled> {
    let Err(cancelled) = until_cancelled(sleep(ms(5000))).await else {
        return Ok(());
    };
    sleep(ms(5000)).await;
    Err(cancelled)
}

async fn shop() -> Result<(), BoxError> {
    let shop = TaskGroup::builder().name("shop").grace(ms(250));
    let shop = shop.run(async |group| {
        group.task("catalogue").spawn(async {
            let pages = TaskGroup::builder().name("pages").limit(4);
            pages
                .run(async |group| {
                    for number in 1..=24 {
                        group.task(format!("page {number}")).spawn(page(number));
                    }
                    Ok(())
                })
                .await
        });
        group.task("index").spawn(index());
        group.task("stubborn").spawn(stubborn());
        group.task("order").spawn(shield(sleep(ms(550))));
        group.task("greeting").spawn(sleep(ms(150)));
        group.task("payment").spawn(async {
            sleep(ms(420)).await;
            Err::<(), _>("the bank said no")
        });
        Ok(())
    });
    Ok(shop.await?)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let recorder = Recorder::start();
    if let Err(error) = shop().await {
        println!("{error}\n");
    }
    let recording = recorder
        .finish()
        .titled("The shop, with a payment that fails");
    print(&recording);
    if let Some(folder) = std::env::args_os().nth(1) {
        let folder = std::path::PathBuf::from(folder);
        recording.write_html(File::create(folder.join("timeline.html"))?)?;
        recording.write_trace(File::create(folder.join("trace.json"))?)?;
    }
    Ok(())
}

/// The same, as text.
fn print(recording: &Recording) {
    for (index, depth) in recording.rows() {
        let task = &recording.tasks[index];
        let name = format!("{}{} {}", "  ".repeat(depth), task.kind, task.name);
        let phases = task.phases(recording.duration_ns).into_iter();
        let phases: Vec<_> = phases
            .map(|(phase, from, to)| format!("{} {} ms", phase.as_str(), (to - from) / 1_000_000))
            .collect();
        let outcome = task
            .outcome
            .map_or("unfinished", |outcome| outcome.as_str());
        println!("{name:<24} {outcome:<10} {}", phases.join(", "));
    }
}
