//! Commands and the terminal.

use std::fs::File;
use std::io::Read;
use std::process::Command;

use crate::support::{Ended, Running, Sandbox, guarded};

/// Runs `taskgroup` in the foreground of a terminal of its own.
fn on_a_terminal(sandbox: &Sandbox, args: &[&str]) -> Ended {
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut setsid = Command::new("setsid");
    setsid.args(["--wait", "--ctty", env!("CARGO_BIN_EXE_taskgroup"), "run"]);
    let mut command = sandbox.through(setsid);
    let running = Running::of(command.args(args).stdin(File::from(pty.slave)));
    drop(command);
    let mut terminal = File::from(pty.master);
    let reader = std::thread::spawn(move || {
        let mut shown = Vec::new();
        // It ends with an error, when no process has the other side open.
        let _ = terminal.read_to_end(&mut shown);
        shown
    });
    let ended = running.ended();
    guarded("a terminal that stays open", || reader.join().unwrap());
    ended
}

#[test]
fn a_command_that_asks_the_terminal_fails_at_once_and_is_named() {
    for level in ["guard", "namespace"] {
        let sandbox = Sandbox::new();
        if sandbox.run(&["--contain", level, "true"]).code != Some(0) {
            eprintln!("skipped: {level}");
            continue;
        }
        let args = ["--contain", level, "--names=ask,other", "--grace=1h"];
        let ended = on_a_terminal(
            &sandbox,
            &[&args[..], &["read x < /dev/tty", "sleep 100"]].concat(),
        );
        ended
            .code(1)
            .says("FAILED ask: `sh` asks the terminal, which it cannot have")
            .says("CANCELLED other: ")
            .says("because ask failed");
        // Settings of the terminal are refused in the same way.
        let ended = on_a_terminal(&sandbox, &["--contain", level, "stty -echo < /dev/tty; :"]);
        ended
            .code(1)
            .says("`stty` asks the terminal, which it cannot have");
    }
}

#[test]
fn a_command_that_stops_itself_for_another_reason_has_not_failed() {
    let sandbox = Sandbox::new();
    let text = "kill -STOP $$; echo went on";
    let waker = "until [ -e \"$DIR/on\" ]; do kill -CONT \"$(cat \"$DIR/pid\")\"; sleep 0.01; done";
    let stops = format!("echo $$ > \"$DIR/pid\"; {text}; touch \"$DIR/on\"");
    sandbox.file("pid", "");
    let ended = on_a_terminal(&sandbox, &["--names=stops,waker", &stops, waker]);
    ended.code(0);
    assert_eq!(ended.out(), "stops | went on\n");
}
