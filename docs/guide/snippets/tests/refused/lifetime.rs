use taskgroup::{BoxError, TaskGroup, bracket};

struct Session<'a>(&'a str);

#[tokio::main]
async fn main() {
TaskGroup::run(async |group| {
    group.spawn(async {
        let log_in = async { Ok::<_, BoxError>(Session("Ada")) };
        let work = async |session: &mut Session<'static>| Ok(session.0.len());
        bracket(log_in, work, async |session| drop(session)).await
    });
    Ok(())
})
.await
.unwrap();
}
