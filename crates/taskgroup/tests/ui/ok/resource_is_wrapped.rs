use taskgroup::{BoxError, TaskGroup, bracket};

struct Session<'a>(&'a str);

// A type without a lifetime, around the one that has it.
struct Held(Session<'static>);

async fn log_in() -> Result<Held, BoxError> {
    Ok(Held(Session("a")))
}

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        group.spawn(async {
            bracket(
                log_in(),
                async |held: &mut Held| Ok::<_, BoxError>(held.0.0.len()),
                async |held| drop(held),
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
