//! Why cancel the rest? One step on three nodes, one of which is down.
//!
//! A change is prepared on all nodes, and committed when all have promised. The third node refuses
//! connections, so the preparation ends for the other two as well. The client closes the request to
//! the slow one, and both get an `abort`, which nothing may interrupt. No node keeps a lock for a
//! change that will never come.

mod common;

use common::{Answer, Server, ok, serve};
use taskgroup::{BoxError, ErrorGroup, TaskGroup, gather, shield};

async fn prepare(nodes: &[(&'static str, Server)]) -> Result<(), ErrorGroup> {
    let group = TaskGroup::builder().name("prepare");
    let prepare = group.run(async |group| {
        for (name, node) in nodes {
            group.task(*name).spawn(node.get("/prepare"));
        }
        Ok(())
    });
    prepare.await
}

async fn change(nodes: &[(&'static str, Server)]) -> Result<(), BoxError> {
    if let Err(errors) = prepare(nodes).await {
        println!("{errors}");
        // The nodes that may have promised. One that is down has nothing to undo.
        let is_down = |name: &str| errors.leaves().any(|leaf| leaf.name() == name);
        let promised = nodes.iter().filter(|(name, _)| !is_down(name));
        let aborts = promised.map(|(_, node)| node.get("/abort"));
        let aborted = shield(gather(aborts)).await?;
        println!("aborted: {aborted:?}");
        return Err(errors.into());
    }
    gather(nodes.iter().map(|(_, node)| node.get("/commit"))).await?;
    Ok(())
}

async fn prompt(path: String) -> Answer {
    ok(format!("node 1 {path}"))
}

async fn busy(path: String) -> Answer {
    match path.as_str() {
        "/prepare" => std::future::pending().await,
        _ => ok(format!("node 2 {path}")),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    serve(prompt, async |first| {
        serve(busy, async |second| {
            let down = Server::refusing().await?;
            let nodes = [("node 1", first), ("node 2", second), ("node 3", down)];
            if change(&nodes).await.is_err() {
                println!("nothing was changed");
            }
            Ok(())
        })
        .await
    })
    .await
}
