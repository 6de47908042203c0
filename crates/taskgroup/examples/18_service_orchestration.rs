//! Why cancel the rest? An order that goes through four services, one of which refuses.
//!
//! The goods are reserved and the card is charged side by side; shipping comes after both. The card
//! is declined. The reservation, which exists already, is taken back before the error is returned,
//! and the services downstream are never called.

mod common;

use std::sync::{Arc, Mutex};

use common::{Answer, HttpError, Server, ok, serve};
use hyper::StatusCode;
use taskgroup::{BoxError, ErrorGroup, TaskGroup, shield, until_cancelled};
use tokio::sync::Notify;

/// Reserves the goods, and keeps them reserved until the order is completed or given up.
async fn reserve(server: Server, ordered: Arc<Notify>) -> Result<(), BoxError> {
    shield(server.get("/warehouse/reserve")).await?;
    if let Err(cancelled) = until_cancelled(ordered.notified()).await {
        server.get("/warehouse/release").await?;
        return Err(cancelled.into());
    }
    Ok(())
}

async fn charge(server: Server, card: &'static str) -> Result<String, HttpError> {
    server.get(&format!("/payment/{card}")).await
}

async fn order(server: &Server, card: &'static str) -> Result<String, ErrorGroup> {
    let group = TaskGroup::builder().name("order");
    let run = group.run(async |group| {
        let ordered = Arc::new(Notify::new());
        let reservation = reserve(server.clone(), ordered.clone());
        group.task("reserve").spawn(reservation);
        let receipt = group.task("charge").spawn(charge(server.clone(), card));
        let receipt = receipt.await?;
        ordered.notify_one();
        server.get("/shipping").await?;
        Ok(receipt)
    });
    run.await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let reserved = Arc::new(Notify::new());
    let handler = {
        let calls = calls.clone();
        move |path: String| {
            calls.lock().unwrap().push(path.clone());
            let reserved = reserved.clone();
            async move { answer(&path, &reserved).await }
        }
    };
    serve(handler, async |server| {
        for card in ["valid", "expired"] {
            match order(&server, card).await {
                Ok(receipt) => println!("{receipt}"),
                Err(error) => println!("{error}"),
            }
            let mut called = std::mem::take(&mut *calls.lock().unwrap());
            called[..2].sort(); // these two run side by side
            println!("  called: {}", called.join(" "));
        }
        Ok(())
    })
    .await
}

async fn answer(path: &str, reserved: &Notify) -> Answer {
    match path {
        "/warehouse/reserve" => reserved.notify_one(),
        "/payment/valid" => {
            reserved.notified().await;
            return ok("receipt 42");
        }
        "/payment/expired" => {
            reserved.notified().await;
            return (StatusCode::PAYMENT_REQUIRED, String::new());
        }
        _ => {}
    }
    ok("")
}
