//! Three children of three types, from three endpoints of a server, assembled into one record: all
//! of it, or an error.
//!
//! Each handle has the type of its child, so no cast is needed to assemble the record. For the
//! second user one endpoint fails. The client closes the other two requests, which the server would
//! never answer, and the error says which task failed.

mod common;

use common::{Answer, HttpError, Server, ok, serve};
use hyper::StatusCode;
use taskgroup::{BoxError, ErrorGroup, TaskGroup};

#[derive(Debug)]
#[expect(dead_code, reason = "read by `Debug` only")]
struct Record {
    user: String,
    orders: Vec<u32>,
    newsletter: bool,
}

async fn fetch_user(server: Server, id: u32) -> Result<String, HttpError> {
    server.get(&format!("/user/{id}")).await
}

async fn fetch_orders(server: Server, id: u32) -> Result<Vec<u32>, BoxError> {
    let text = server.get(&format!("/orders/{id}")).await?;
    let orders = text.split(' ').map(str::parse);
    Ok(orders.collect::<Result<_, _>>()?)
}

async fn fetch_newsletter(server: Server, id: u32) -> Result<bool, BoxError> {
    let text = server.get(&format!("/newsletter/{id}")).await?;
    Ok(text.parse()?)
}

async fn fetch_record(server: &Server, id: u32) -> Result<Record, ErrorGroup> {
    let group = TaskGroup::builder().name(format!("user_{id}"));
    let fetch = group.run(async |group| {
        let user = group.task("user").spawn(fetch_user(server.clone(), id));
        let orders = group.task("orders").spawn(fetch_orders(server.clone(), id));
        let newsletter = group
            .task("newsletter")
            .spawn(fetch_newsletter(server.clone(), id));
        Ok(Record {
            user: user.await?,
            orders: orders.await?,
            newsletter: newsletter.await?,
        })
    });
    fetch.await
}

/// Serves user 1. For user 2 the endpoint of the orders fails, and the other endpoints hang.
async fn handler(path: String) -> Answer {
    match path.as_str() {
        "/user/1" => ok("Ada"),
        "/orders/1" => ok("7 11 13"),
        "/newsletter/1" => ok("true"),
        "/orders/2" => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        _ => std::future::pending().await,
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    serve(handler, async |server| {
        println!("{:?}", fetch_record(&server, 1).await?);
        let error = fetch_record(&server, 2).await.unwrap_err();
        println!("{error}");
        Ok(())
    })
    .await
}
