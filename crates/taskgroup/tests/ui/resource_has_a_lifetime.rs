// In a child the future has to be `Send`. The compiler forgets there that the `'static` in the
// closure is the one of the resource.
use taskgroup::{BoxError, TaskGroup, bracket};

struct Session<'a>(&'a str);

async fn log_in() -> Result<Session<'static>, BoxError> {
    Ok(Session("a"))
}

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        group.spawn(async {
            bracket(
                log_in(),
                async |session: &mut Session<'static>| Ok::<_, BoxError>(session.0.len()),
                async |session| drop(session),
            )
            .await
        });
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
