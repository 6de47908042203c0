#[taskgroup_macros::main]
async fn serve() {}
