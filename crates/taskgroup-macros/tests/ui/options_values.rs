#[taskgroup_macros::main(flavor = "multithread", worker_threads = 0, start_paused = "yes", grace = "5 seconds")]
async fn main() {}

mod kinds {
    #[taskgroup_macros::test(flavor = current_thread, worker_threads = "2", grace = 5)]
    async fn name() {}
}

mod missing_value {
    #[taskgroup_macros::test(start_paused)]
    async fn name() {}
}

mod too_many_threads {
    #[taskgroup_macros::test(worker_threads = 99999999999999999999999)]
    async fn name() {}
}
