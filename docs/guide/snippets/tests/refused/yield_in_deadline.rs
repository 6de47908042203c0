use std::time::Duration;
use taskgroup::timeout;

async fn items() {
    timeout(Duration::from_secs(10), async {
        yield 1;
    })
    .await;
}
fn main() {}
