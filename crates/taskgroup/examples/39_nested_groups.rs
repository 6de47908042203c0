//! Groups in groups: ten users and ten products, each set in its own group, both at the same time.
//!
//! When one of the products fails, its group ends, then the task that ran the group, then the outer
//! group with all users in it. The error is a tree of the same shape.

mod common;

use std::sync::Arc;

use common::{Answer, HttpError, Server, number, ok, serve};
use hyper::StatusCode;
use taskgroup::{BoxError, ErrorGroup, TaskGroup};
use tokio::sync::Barrier;

async fn fetch(server: Server, kind: &'static str, id: u32) -> Result<String, HttpError> {
    server.get(&format!("/{kind}/{id}")).await
}

async fn fetch_all(server: Server, kind: &'static str) -> Result<Vec<String>, ErrorGroup> {
    let group = TaskGroup::builder().name(format!("{kind}s"));
    let run = group.run(async |group| {
        let fetch_one = |id| {
            let task = group.task(format!("{kind}_{id}"));
            task.spawn(fetch(server.clone(), kind, id))
        };
        let tasks: Vec<_> = (0..10).map(fetch_one).collect();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await?);
        }
        Ok(results)
    });
    run.await
}

async fn complex_operation(server: &Server) -> Result<(Vec<String>, Vec<String>), ErrorGroup> {
    let group = TaskGroup::builder().name("shop");
    let run = group.run(async |group| {
        let users = fetch_all(server.clone(), "user");
        let users = group.task("all users").spawn(users);
        let products = fetch_all(server.clone(), "product");
        let products = group.task("all products").spawn(products);
        Ok((users.await?, products.await?))
    });
    run.await
}

/// No request is answered before all twenty are there. The second time, product 3 is missing, and
/// no other request gets an answer.
async fn answer(path: &str, requests: &Barrier, healthy: bool) -> Answer {
    requests.wait().await;
    match path {
        "/product/3" if !healthy => (StatusCode::GONE, String::new()),
        _ if healthy => ok(format!("{}", number(path))),
        _ => std::future::pending().await,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    for healthy in [true, false] {
        let requests = Arc::new(Barrier::new(20));
        let handler = move |path: String| {
            let requests = requests.clone();
            async move { answer(&path, &requests, healthy).await }
        };
        serve(handler, async |server| {
            match complex_operation(&server).await {
                Ok((users, products)) => {
                    println!("users {}", users.join(" "));
                    println!("products {}", products.join(" "));
                }
                Err(errors) => println!("{errors:#}"),
            }
            println!("{} at once", server.seen().most());
            Ok(())
        })
        .await?;
    }
    Ok(())
}
