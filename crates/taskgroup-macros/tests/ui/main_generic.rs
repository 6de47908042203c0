#[taskgroup_macros::main]
async fn main<T: Default>() {}
