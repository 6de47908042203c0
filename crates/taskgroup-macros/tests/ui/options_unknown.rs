#[taskgroup_macros::main(flavour = "current_thread")]
async fn main() {}

mod far_from_any {
    #[taskgroup_macros::test(banana = 1)]
    async fn name() {}
}

mod bare_word {
    #[taskgroup_macros::test(paused)]
    async fn name() {}
}
