//! S33: the tree on demand, by a signal.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use taskgroup::{Runner, TaskGroup};
use tokio::signal::unix::SignalKind;

/// The program that the test below starts: this one test of this binary, in a process of its own.
/// Ends with its input.
#[test]
#[ignore = "the program of another test"]
fn program() {
    let runner = Runner::new()
        .current_thread()
        .tree_on_signal(SignalKind::user_defined1());
    let run = runner.run(async || {
        TaskGroup::builder()
            .name("stuck")
            .run(async |group| {
                group.task("waits").spawn(std::future::pending::<()>());
                tokio::task::yield_now().await;
                println!("\nready");
                // The one worker is blocked, and still a thread prints.
                let _ = std::io::stdin().read(&mut [0]);
                group.cancel();
                Ok(())
            })
            .await
            .unwrap();
    });
    run.unwrap();
}

#[test]
fn a_signal_prints_the_tree_even_of_a_program_that_is_stuck() {
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "signal::program", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(program.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap() == "ready"));
    let mut errors = BufReader::new(program.stderr.take().unwrap()).lines();
    // Twice: it is not used up.
    for _ in 0..2 {
        let kill = Command::new("kill")
            .args(["-USR1", &program.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let mut line = || errors.next().unwrap().unwrap();
        assert_eq!(line(), "process, 1 task");
        assert!(line().starts_with("└─ run running, 1 task, at "));
        assert!(line().starts_with("   └─ group `stuck` ["));
        assert!(line().starts_with("      └─ task `waits` ["));
    }
    drop(program.stdin.take());
    assert!(output.any(|line| line.unwrap().contains("1 passed")));
    assert!(program.wait().unwrap().success());
}
