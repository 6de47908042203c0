fn main() {}

#[taskgroup_macros::test]
fn not_async() {}

#[taskgroup_macros::test]
async fn with_argument(case: u8) {}

#[taskgroup_macros::test]
#[test]
async fn twice() {}

#[taskgroup_macros::test(graceful)]
async fn stopped() {}
