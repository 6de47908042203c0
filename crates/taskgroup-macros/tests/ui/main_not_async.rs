#[taskgroup_macros::main]
fn main() {}
