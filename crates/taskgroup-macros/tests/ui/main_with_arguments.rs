#[taskgroup_macros::main]
async fn main(arguments: Vec<String>, verbose: bool) {}
