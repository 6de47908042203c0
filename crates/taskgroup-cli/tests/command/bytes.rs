//! Bytes pass through unchanged, and readers may be slow, may close the output, or may never exist.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::support::{
    Ended, NEVER, Running, Sandbox, assert_gone, guarded, name, terminal, wait_for,
};

#[test]
fn bytes_that_are_not_utf_8_pass_through() {
    let ended = Sandbox::new().run(&["--names=b", r"printf 'a\377\376\000\r\033[31mz\n\n\001'"]);
    ended.code(0);
    assert_eq!(ended.out, b"b | a\xff\xfe\0\r\x1b[31mz\nb | \nb | \x01\n");
}

#[test]
fn bytes_in_the_report_are_made_printable() {
    let ended = Sandbox::new().run(&[r"printf 'bad \377\007 \033[2Jend\n' >&2; exit 1"]);
    ended.code(1).says("    | bad \u{fffd} end\n");
}

#[test]
fn a_line_of_ten_megabytes_stays_whole() {
    const SIZE: usize = 10_000_000;
    let line = format!("head -c {SIZE} /dev/zero | tr '\\0' x; echo; echo end");
    let ended = Sandbox::new().run(&["--names=big", &line]);
    ended.code(0);
    let mut lines = ended.out.split(|&byte| byte == b'\n');
    let big = lines.next().unwrap().strip_prefix(b"big | ").unwrap();
    assert!(
        big.len() == SIZE && big.iter().all(|&byte| byte == b'x'),
        "{} bytes",
        big.len()
    );
    assert_eq!(lines.next(), Some(&b"big | end"[..]));
}

#[test]
fn lines_of_many_commands_do_not_mix() {
    let command = |name: &str| format!("seq -f '{name} %.0f {name}' 1 20000");
    let ended = Sandbox::new().run(&["--names=a,b", &command("a"), &command("b")]);
    ended.code(0);
    for name in ["a", "b"] {
        let start = format!("{name} | ");
        let lines: Vec<&str> = ended
            .out()
            .lines()
            .filter(|l| l.starts_with(&start))
            .collect();
        assert_eq!(lines.len(), 20_000);
        for (index, line) in lines.into_iter().enumerate() {
            assert_eq!(line, format!("{name} | {name} {} {name}", index + 1));
        }
    }
}

#[test]
fn commands_have_an_empty_standard_input() {
    let sandbox = Sandbox::new();
    // The runner's standard input stays open and empty: a command that read it would hang.
    let mut running = Running::of(
        sandbox
            .command()
            .args(["run", "cat; echo end"])
            .stdin(Stdio::piped()),
    );
    let open = running.child().stdin.take();
    let ended = running.ended();
    drop(open);
    ended.code(0);
    assert_eq!(ended.out(), "cat | end\n");
}

#[test]
fn closed_descriptors_are_no_panic() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let sandbox = Sandbox::new();
        let mut shell = sandbox.by_shell(&format!("exec \"$@\" {closed}"));
        let ended = Running::of(shell.args(["run", "cat; echo out; echo err >&2; exit 1"])).ended();
        ended.code(1);
    }
}

#[test]
fn a_reader_that_goes_away_stops_the_run() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.start(&[
        "--names=talk,quiet",
        NEVER,
        "echo $$ > \"$DIR/talk\"; until [ -e \"$DIR/quiet\" ]; do sleep 0.01; done; exec yes",
        "echo $$ > \"$DIR/quiet\"; sleep 100",
    ]);
    let mut reader = running.child().stdout.take().unwrap();
    guarded("the first line", move || {
        reader.read_exact(&mut [0; 8]).unwrap();
    });
    let ended = running.ended();
    ended
        .code(141)
        .says("the output could not be written (")
        .says("Broken pipe")
        .says("2 cancelled");
    // One line is enough: `taskgroup … | head` is no failure of the commands.
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    assert_gone(sandbox.pid("talk"));
    assert_gone(sandbox.pid("quiet"));
}

#[test]
fn a_full_disk_stops_the_run() {
    let sandbox = Sandbox::new();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = sandbox.command();
    command
        .args([
            "run",
            "--names=talk",
            "echo $$ > \"$DIR/pid\"; echo x; sleep 100",
        ])
        .stdout(full);
    let ended = Running::of(&mut command).ended();
    ended.code(74).says("No space left").says("CANCELLED talk");
    assert_gone(sandbox.pid("pid"));
}

#[test]
fn what_fails_to_be_written_at_the_very_end_is_told_too() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = Running::of(
        Sandbox::new()
            .command()
            .args(["run", "echo x"])
            .stdout(full),
    )
    .ended();
    ended
        .code(74)
        .says("could not be written")
        .says("No space left");
}

/// Runs `yes` into a pipe until it is full and nothing reads it, and then does `what`.
fn unread(args: &[&str], what: impl FnOnce(&Running)) -> Ended {
    let sandbox = Sandbox::new();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let mut command = sandbox.command();
    command.args(["run", NEVER]).args(args);
    command.arg("echo $$ > \"$DIR/pid\"; exec yes");
    let running = Running::of(command.stdout(File::from(writer.try_clone().unwrap())));
    wait_for("a pipe that never fills", move || {
        let mut poll_fds = [PollFd::new(&writer, PollFlags::OUT)];
        poll(&mut poll_fds, Some(&Timespec::default())).unwrap() == 0
    });
    drop(command);
    let pgid = sandbox.pid("pid");
    what(&running);
    let ended = running.ended();
    crate::support::assert_gone(pgid);
    drop(reader);
    ended
}

#[test]
fn a_reader_that_stands_still_does_not_keep_a_signal_out() {
    for signal in [Signal::INT, Signal::TERM] {
        let ended = unread(&[], |running| running.signal(signal));
        let code = if signal == Signal::INT { 130 } else { 143 };
        ended
            .code(code)
            .says(&format!("stopped by {}", name(signal)))
            .says("some output could not be written: nothing read it");
    }
}

#[test]
fn a_reader_that_stands_still_does_not_keep_a_deadline_out() {
    unread(&["--deadline=1s"], |_| {})
        .code(74)
        .says("the deadline expired: 1 cancelled")
        .says("some output could not be written: nothing read it");
}

#[test]
fn a_reader_of_the_report_that_stands_still_does_not_keep_a_signal_out() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    let mut command = sandbox.command();
    // The names fill more than the pipe.
    let text = "echo $$ > \"$DIR/ready\"; sleep 100";
    let names = (0..10)
        .map(|n| n.to_string().repeat(1000))
        .collect::<Vec<_>>()
        .join(",");
    command
        .args(["run", "-j1", NEVER, "--names", &names, text])
        .args(["true"; 9]);
    let running = Running::of(command.stderr(File::from(writer)));
    drop(command);
    sandbox.hear("ready");
    running.signal(Signal::TERM);
    running.ended().code(143);
    drop(reader);
}

/// Output that is left when the commands have ended is under the deadline as well.
#[test]
fn a_deadline_covers_the_writing() {
    let sandbox = Sandbox::new();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    let mut command = sandbox.command();
    command.args(["run", "--deadline=1s", "seq 2000"]);
    let running = Running::of(command.stdout(File::from(writer)));
    drop(command);
    running.ended().code(74).says("nothing read it");
    drop(reader);
}

/// Reads the terminal until its output contains `part`, or to its end.
fn read_until(mut terminal: File, part: Option<&'static str>) -> (File, String) {
    guarded("the terminal", move || {
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        // The end of a terminal is an error.
        while let Ok(count @ 1..) = terminal.read(&mut chunk) {
            text.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&text);
            if part.is_some_and(|part| text.contains(part)) {
                break;
            }
        }
        (terminal, String::from_utf8(text).unwrap())
    })
}

#[test]
fn a_terminal_shows_how_far_it_is_and_nothing_of_that_stays() {
    for (locale, bar) in [("C.UTF-8", "░░░░"), ("C", "----")] {
        let sandbox = Sandbox::new();
        sandbox.fifo("go");
        let (ours, theirs) = terminal();
        let mut command = sandbox.command();
        command.args(["run", "-k", "--color=never", "cat \"$DIR/go\"", "exit 1"]);
        command.env("LC_ALL", locale).env("TERM", "xterm");
        let running = Running::of(command.stderr(theirs));
        drop(command);
        let told = "1/2, 1 running, 1 failed";
        let (terminal, before) = read_until(ours, Some(told));
        assert!(before.contains(bar) && before.contains(told), "{before:?}");
        // No blanks up to the edge: an echoed `^C` would be wrapped.
        assert!(!before.contains("   "), "{before:?}");
        sandbox.tell("go");
        let (_, after) = read_until(terminal, None);
        running.ended().code(1);
        let (_, shown) = after.rsplit_once("\u{1b}[2K").unwrap();
        assert!(
            shown.starts_with("taskgroup: 1 failed, 1 succeeded in "),
            "{after:?}"
        );
    }
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let sandbox = Sandbox::new();
    let run = |when: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.command();
        command
            .arg("run")
            .args(when)
            .arg("echo x; exit 1")
            .envs(variables.iter().copied());
        let ended = Running::of(&mut command).ended();
        ended.code(1);
        (ended.out().contains('\x1b'), ended.err.contains('\x1b'))
    };
    assert_eq!(run(&[], &[]), (false, false));
    assert_eq!(run(&["--color=always"], &[]), (true, true));
    assert_eq!(
        run(&["--color=never"], &[("CLICOLOR_FORCE", "1")]),
        (false, false)
    );
    assert_eq!(run(&[], &[("CLICOLOR_FORCE", "1")]), (true, true));
    assert_eq!(
        run(&[], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]),
        (false, false)
    );
}

/// Two commands that write more than memory holds back, with no room for the rest.
#[test]
fn without_room_lines_come_out_whole_and_the_report_says_so() {
    let count = 300_000;
    let talk = format!("seq {count}");
    for (mode, more) in [("group", None), ("failures", Some("; exit 1"))] {
        let sandbox = Sandbox::new();
        let command = format!("{talk}{}", more.unwrap_or_default());
        let mut run = sandbox.command();
        run.args(["run", "-k", "-o", mode, "--names=a,b", &command, &command]);
        let ended = Running::of(run.env("TMPDIR", "/nowhere/at/all")).ended();
        ended.code(i32::from(more.is_some()));
        ended.says("its output could not be held back, so it came out at once");
        let mut next = [1, 1];
        for line in ended.out().lines() {
            let (name, number) = line.split_once(" | ").unwrap();
            let next = &mut next[usize::from(name == "b")];
            assert_eq!(number, next.to_string(), "{line:?}");
            *next += 1;
        }
        assert_eq!(next, [count + 1; 2]);
    }
}

#[test]
fn the_order_of_the_commands_is_kept() {
    let sandbox = Sandbox::new();
    for name in ["b", "c"] {
        sandbox.fifo(name);
    }
    // The third one ends first, then the second one, and the first one last.
    let run = |mode: &str| {
        sandbox.run(&[
            "--keep-order",
            "-k",
            "-o",
            mode,
            "--names=a,b,c",
            "echo a1; cat \"$DIR/b\"; echo a2",
            "echo b1; cat \"$DIR/c\"; echo b2 >&2; echo x > \"$DIR/b\"; exit 1",
            "echo c1; seq 100000; echo x > \"$DIR/c\"",
        ])
    };
    let numbers: String = (1..=100_000).map(|n| format!("c | {n}\n")).collect();
    let expected = format!("a | a1\na | x\na | a2\nb | b1\nb | x\nc | c1\n{numbers}");
    for mode in ["stream", "group"] {
        let ended = run(mode);
        ended.code(1).says("b | b2\n");
        assert_eq!(ended.out(), expected, "{mode}");
    }
    assert_eq!(run("failures").code(1).out(), "b | b1\nb | x\n");
}

/// The second command waits for what the reader sees of the first one.
#[test]
fn the_first_in_order_is_shown_at_once() {
    let sandbox = Sandbox::new();
    sandbox.fifo("go");
    let args = [
        "--keep-order",
        "--names=a,b",
        "echo a1; cat \"$DIR/go\"",
        "echo b1",
    ];
    let mut running = sandbox.start(&args);
    let mut out = running.child().stdout.take().unwrap();
    let mut first = [0; 7];
    let mut out = guarded("the first line", move || {
        out.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"a | a1\n");
        out
    });
    sandbox.tell("go");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "a | go\nb | b1\n");
    running.ended().code(0);
}

fn on_a_terminal(command: &mut Command) -> (Running, File) {
    let (ours, theirs) = terminal();
    command.stdout(theirs.try_clone().unwrap());
    command.stderr(theirs);
    (Running::of(command), ours)
}

#[test]
fn a_line_without_an_end_is_shown_with_its_name() {
    let sandbox = Sandbox::new();
    sandbox.fifo("go");
    let mut command = sandbox.command();
    let text = "printf 'Password: '; cat \"$DIR/go\"; printf '1%%\\r2%%'; cat \"$DIR/go\"";
    command.args(["run", "--color=never", "--names=ask", text]);
    command.env("TERM", "xterm");
    let (running, terminal) = on_a_terminal(&mut command);
    drop(command);
    // Below the progress, on a line of its own.
    let (terminal, _) = read_until(terminal, Some("0/1, 1 running\r\r\nask | Password:"));
    sandbox.tell("go");
    let (terminal, _) = read_until(terminal, Some("ask | 2%"));
    sandbox.tell("go");
    let (_, after) = read_until(terminal, None);
    running.ended().code(0);
    // Each state of the line has the name, and the line is there once, as a whole.
    assert!(after.contains("ask | 1%\rask | 2%go\r\n"), "{after:?}");
}

#[test]
fn a_dumb_terminal_gets_no_bar() {
    let sandbox = Sandbox::new();
    for (term, flag) in [("dumb", "-k"), ("", "-k"), ("xterm", "--no-bar")] {
        let mut command = sandbox.command();
        command.args(["run", "--color=never", flag, "echo x"]);
        let (running, terminal) = on_a_terminal(command.env("TERM", term));
        drop(command);
        let (_, shown) = read_until(terminal, None);
        running.ended().code(0);
        assert!(
            !shown.contains('\x1b') && !shown.contains("0/1"),
            "{shown:?}"
        );
    }
}

#[test]
fn a_cursor_that_a_command_left_hidden_is_shown_again() {
    let sandbox = Sandbox::new();
    for (text, hidden) in [
        ("printf '\\033[?25lx\\n'", true),
        ("printf '\\033[?25lx\\033[?25h\\n'", false),
    ] {
        let mut command = sandbox.command();
        command.args(["run", "--no-bar", "--color=never", text]);
        let (running, terminal) = on_a_terminal(&mut command);
        drop(command);
        let (_, shown) = read_until(terminal, None);
        running.ended().code(0);
        let end = shown.rsplit_once("x").unwrap().1;
        assert_eq!(end.matches("\x1b[?25h").count(), 1, "{hidden} {shown:?}");
    }
}

#[test]
fn while_it_stops_the_terminal_shows_what_it_waits_for() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let mut command = sandbox.command();
    let text = "trap '' TERM; echo x > \"$DIR/ready\"; while :; do sleep 0.01; done";
    command.args(["run", NEVER, "--color=never", "--names=stubborn", text]);
    let (running, terminal) = on_a_terminal(command.env("TERM", "xterm"));
    drop(command);
    sandbox.hear("ready");
    running.signal(Signal::INT);
    let told = "stopping, waiting for stubborn; Ctrl-C again kills";
    let (terminal, _) = read_until(terminal, Some(told));
    running.signal(Signal::INT);
    drop(read_until(terminal, None));
    running.ended().code(130);
}
