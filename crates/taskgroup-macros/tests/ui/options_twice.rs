#[taskgroup_macros::main(grace = "5s", grace = "6s")]
async fn main() {}
