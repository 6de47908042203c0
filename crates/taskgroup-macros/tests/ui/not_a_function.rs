#[taskgroup_macros::main]
struct Main;
