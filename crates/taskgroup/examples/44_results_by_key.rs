//! Results by key: a map from user id to user, fetched side by side.

mod common;

use std::collections::BTreeMap;

use common::{Answer, Server, number, ok, serve};
use taskgroup::{BoxError, ErrorGroup, TaskGroup};

async fn fetch_all_users(
    server: &Server,
    ids: &[u32],
) -> Result<BTreeMap<u32, String>, ErrorGroup> {
    TaskGroup::run(async |group| {
        let tasks: BTreeMap<u32, _> = ids
            .iter()
            .map(|&id| (id, group.spawn(server.get(&format!("/user/{id}")))))
            .collect();
        let mut users = BTreeMap::new();
        for (id, task) in tasks {
            users.insert(id, task.await?);
        }
        Ok(users)
    })
    .await
}

async fn handler(path: String) -> Answer {
    ok(format!("User {}", number(&path)))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    serve(handler, async |server| {
        println!("{:?}", fetch_all_users(&server, &[7, 3, 5]).await?);
        Ok(())
    })
    .await
}
