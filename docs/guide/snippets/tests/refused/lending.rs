use taskgroup::{BoxError, map};

#[tokio::main]
async fn main() {
let prefix = String::from("page ");
let work = async move |number: u32| Ok::<_, BoxError>(format!("{prefix}{number}"));
map(5, 1..=9, work).await.unwrap();
}
