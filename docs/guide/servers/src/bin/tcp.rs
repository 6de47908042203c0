//! A line server over TCP. Before the program ends, it answers each line that it has read.

use std::process::ExitCode;

use taskgroup::{BoxError, Policy, Runner, TaskGroup, shield, until_cancelled, until_stopped};
use taskgroup_servers::{answer, grace, listen};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

fn main() -> ExitCode {
    Runner::new().graceful().grace(grace()).run_main(serve)
}

async fn serve() -> Result<(), BoxError> {
    let listener = listen().await?;
    let clients = TaskGroup::builder()
        .name("clients")
        .policy(Policy::report(|failure| eprintln!("{failure}")));
    let service = clients.run(async |clients| {
        while let Ok(accepted) = until_cancelled(listener.accept()).await {
            let (stream, address) = accepted?;
            clients
                .task(format!("client {address}"))
                .spawn(talk(stream));
        }
        println!("stopping");
        Ok(())
    });
    until_stopped(service).await.transpose()?;
    println!("stopped");
    Ok(())
}

async fn talk(mut stream: TcpStream) -> Result<(), BoxError> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(line) = until_cancelled(lines.next_line()).await {
        let Some(line) = line? else { break };
        shield(async { writer.write_all(answer(&line).await.as_bytes()).await }).await?;
    }
    Ok(())
}
