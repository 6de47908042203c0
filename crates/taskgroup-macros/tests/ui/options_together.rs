#[taskgroup_macros::main(start_paused = true)]
async fn main() {}

mod threads_of_a_single_thread {
    #[taskgroup_macros::test(worker_threads = 2)]
    async fn name() {}
}

mod paused_threads {
    #[taskgroup_macros::test(flavor = "multi_thread", start_paused = true)]
    async fn name() {}
}
