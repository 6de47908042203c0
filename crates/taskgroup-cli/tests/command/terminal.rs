//! Commands and the terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::support::{Ended, Running, Sandbox, guarded, kill, skipped, terminal, wait_for};

/// `taskgroup` in the foreground of a terminal of its own, on which the test types.
struct Session {
    running: Running,
    terminal: File,
}

const SIZE: Winsize = Winsize {
    ws_row: 30,
    ws_col: 100,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

impl Session {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Session {
        Session::on(sandbox, args, |_, _| {})
    }

    /// The output goes to the terminal, too, with the progress below it.
    fn with_progress(sandbox: &Sandbox, args: &[&str]) -> Session {
        Session::on(sandbox, args, |command, theirs| {
            command.stdout(theirs.try_clone().unwrap());
            command.stderr(theirs.try_clone().unwrap());
            command.env("TERM", "xterm");
        })
    }

    fn on(sandbox: &Sandbox, args: &[&str], with: impl FnOnce(&mut Command, &File)) -> Session {
        let (terminal, theirs) = terminal();
        tcsetwinsize(&terminal, SIZE).unwrap();
        let mut setsid = Command::new("setsid");
        setsid.args(["--wait", "--ctty", env!("CARGO_BIN_EXE_taskgroup"), "run"]);
        let mut command = sandbox.through(setsid);
        with(&mut command, &theirs);
        let running = Running::of(command.args(args).stdin(theirs));
        Session { running, terminal }
    }

    /// Reads what is drawn until `text` is there, and returns all that came.
    fn shows(&self, text: &'static str) -> String {
        let mut terminal = self.terminal.try_clone().unwrap();
        let mut shown = Vec::new();
        guarded(text, move || {
            loop {
                let mut chunk = [0; 1024];
                let count = terminal.read(&mut chunk).unwrap();
                shown.extend_from_slice(&chunk[..count]);
                let so_far = String::from_utf8_lossy(&shown);
                if so_far.contains(text) {
                    return so_far.into_owned();
                }
            }
        })
    }

    fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until what is typed is shown, or not.
    fn shows_what_is_typed(&self, shown: bool) {
        let terminal = self.terminal.try_clone().unwrap();
        wait_for("the settings of the terminal", move || {
            let modes = tcgetattr(&terminal).unwrap().local_modes;
            modes.contains(LocalModes::ECHO) == shown
        });
    }

    fn ended(self) -> Ended {
        let mut terminal = self.terminal;
        let reader = std::thread::spawn(move || {
            let mut shown = Vec::new();
            // It ends with an error, when no process has the other side open.
            let _ = terminal.read_to_end(&mut shown);
        });
        let ended = self.running.ended();
        guarded("a terminal that stays open", || reader.join().unwrap());
        ended
    }
}

fn on_a_terminal(sandbox: &Sandbox, args: &[&str]) -> Ended {
    Session::start(sandbox, args).ended()
}

#[test]
fn a_command_that_asks_the_terminal_fails_at_once_and_is_named() {
    for level in ["guard", "namespace"] {
        let sandbox = Sandbox::new();
        if sandbox.run(&["--contain", level, "true"]).code != Some(0) {
            skipped(level);
            continue;
        }
        sandbox.fifo("go");
        let asks = "cat \"$DIR/go\"; read x < /dev/tty";
        let args = ["--contain", level, "--names=ask,other", "--grace=1h"];
        let ended = on_a_terminal(
            &sandbox,
            &[&args[..], &[asks, "echo x > \"$DIR/go\"; exec sleep 100"]].concat(),
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

#[test]
fn a_command_gets_a_terminal_of_the_right_size() {
    let sandbox = Sandbox::new();
    let ended = on_a_terminal(
        &sandbox,
        &[
            "--tty=a",
            "--names=a,b",
            "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && stty size && tty > \"$DIR/tty\"",
            "[ -t 1 ] || echo none",
        ],
    );
    ended.code(0);
    // `a | ` takes four columns.
    assert!(ended.out().contains("a | 30 96\n"), "{}", ended.out());
    assert!(ended.out().contains("b | none\n"), "{}", ended.out());
    assert!(sandbox.read("tty").starts_with("/dev/pts/"));
}

#[test]
fn a_terminal_follows_the_size_of_ours() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let session = Session::start(
        &sandbox,
        &[
            "--tty",
            "--names=a",
            "trap 'stty size; exit' WINCH; echo x > \"$DIR/ready\"; while :; do sleep 0.01; done",
        ],
    );
    sandbox.hear("ready");
    let larger = Winsize {
        ws_col: 120,
        ..SIZE
    };
    tcsetwinsize(&session.terminal, larger).unwrap();
    let ended = session.ended();
    ended.code(0);
    assert_eq!(ended.out(), "a | 30 116\n");
}

#[test]
fn a_prompt_is_answered_and_a_password_is_not_shown() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let mut session = Session::start(
        &sandbox,
        &[
            "--tty",
            "--names=ask",
            "printf 'Password: ' > /dev/tty; stty -echo; echo x > \"$DIR/ready\"; read x < /dev/tty
             stty echo; echo; echo \"got $x\"; echo x > \"$DIR/ready\"; read y; echo \"and $y\"",
        ],
    );
    sandbox.hear("ready");
    session.shows_what_is_typed(false);
    session.types("secret\n");
    sandbox.hear("ready");
    session.shows_what_is_typed(true);
    session.types("more\n");
    let ended = session.ended();
    ended.code(0);
    assert!(
        ended.out().contains("ask | Password: \nask | got secret\n"),
        "{}",
        ended.out()
    );
    assert!(ended.out().ends_with("ask | and more\n"), "{}", ended.out());
}

#[test]
fn what_is_typed_stays_visible_below_the_output_of_others() {
    for way in ["--tty", "--stdin=ask"] {
        let sandbox = Sandbox::new();
        sandbox.fifo("go");
        let mut session = Session::with_progress(
            &sandbox,
            &[
                way,
                "--names=ask,busy",
                "--color=never",
                "printf 'name? '; read x; echo \"got $x\"",
                "read x < \"$DIR/go\"; echo done",
            ],
        );
        session.shows("ask | name? ");
        session.types("Bl\u{7f}o");
        session.shows("ask | name? Bo");
        // This erases all that stands below the output, and draws it again.
        sandbox.tell("go");
        session.shows("busy | done");
        session.shows("ask | name? Bo");
        session.types("b\n");
        session.shows("got Bob");
        session.shows_what_is_typed(true);
        session.ended().code(0);
    }
}

#[test]
fn a_password_is_not_shown_behind_its_prompt() {
    let sandbox = Sandbox::new();
    let mut session = Session::with_progress(
        &sandbox,
        &[
            "--tty",
            "--names=ask",
            "stty -echo; printf 'Password: '; read x; stty echo; echo; echo \"${#x} letters\"",
        ],
    );
    session.shows("ask | Password: ");
    session.types("secret\n");
    let shown = session.shows("6 letters");
    assert!(!shown.contains("secret"), "{shown}");
    session.ended().code(0);
}

#[test]
fn a_line_goes_to_the_command_that_it_names() {
    for way in ["--stdin=first", "--tty", "--stdin=a"] {
        let sandbox = Sandbox::new();
        sandbox.fifo("a");
        sandbox.fifo("b");
        let reads = "echo x > \"$DIR/$TASKGROUP_NAME\"; read x; echo \"got $x\"";
        let mut session = Session::start(&sandbox, &[way, "--names=a,b", reads, reads]);
        sandbox.hear("a");
        sandbox.hear("b");
        session.types("b: two\none: b: x\n");
        let ended = session.ended();
        ended.code(0);
        assert!(
            ended.out().contains("b | got two\n"),
            "{way}: {}",
            ended.out()
        );
        assert!(
            ended.out().contains("a | got one: b: x\n"),
            "{way}: {}",
            ended.out()
        );
    }
}

#[test]
fn a_line_for_a_command_that_has_ended_keeps_none_from_another() {
    for bar in ["--bar", "--no-bar"] {
        let sandbox = Sandbox::new();
        let json = sandbox.word("json");
        let args = ["--stdin=a", bar, "--names=a,b", "--json", &json];
        let commands = ["true", "read x; echo \"got $x\""];
        let mut session = Session::start(&sandbox, &[&args[..], &commands].concat());
        wait_for("a command does not end", move || {
            let lines = std::fs::read_to_string(&json).unwrap_or_default();
            lines.contains(r#""event":"ended""#)
        });
        session.types("lost\nb: two\n");
        let ended = session.ended();
        ended.code(0);
        assert!(ended.out().contains("b | got two\n"), "{}", ended.out());
    }
}

/// The first try of `b` is with the guard that `a` has left, which was killed meanwhile.
#[test]
fn what_is_typed_reaches_the_try_that_starts() {
    let sandbox = Sandbox::new();
    for fifo in ["guard", "go"] {
        sandbox.fifo(fifo);
    }
    let file = sandbox.file(
        "tasks.toml",
        r#"
[tasks.db]
run = 'cat "$DIR/go"; echo up; exec sleep 100'
service = true
ready.line = "up"
[tasks]
a = 'echo $PPID > "$DIR/guard"'
b = { run = 'read x; echo "got $x"', after = ["db"] }
"#,
    );
    let json = sandbox.path("json").into_os_string().into_string().unwrap();
    let mut session = Session::start(&sandbox, &["-f", &file, "--stdin=b", "--json", &json]);
    let guard = sandbox.pid("guard");
    guarded("the end of a command and of its guard", move || {
        let until = |path: &str, text: &str| {
            while !std::fs::read_to_string(path).unwrap().contains(text) {
                std::thread::yield_now();
            }
        };
        until(&json, "\"event\":\"ended\"");
        kill(guard, Signal::KILL).unwrap();
        until(&format!("/proc/{guard}/stat"), ") Z ");
    });
    session.types("b: hello\n");
    sandbox.tell("go");
    let ended = session.ended();
    ended.code(0);
    assert!(ended.out().contains("b  | got hello\n"), "{}", ended.out());
}

#[test]
fn the_end_of_what_is_typed_ends_the_input() {
    for way in ["--stdin=first", "--tty"] {
        let sandbox = Sandbox::new();
        let mut session = Session::start(&sandbox, &[way, "--names=a", "cat; echo end"]);
        session.types("text\n\u{4}");
        let ended = session.ended();
        ended.code(0);
        assert!(
            ended.out().ends_with("a | text\na | end\n"),
            "{way}: {}",
            ended.out()
        );
    }
}

/// Runs with this standard input, which is no terminal.
fn with_input(args: &[&str], input: &'static [u8]) -> Ended {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command();
    let mut running = Running::of(command.arg("run").args(args).stdin(Stdio::piped()));
    let mut stdin = running.child().stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input));
    let ended = running.ended();
    let _ = writer.join().unwrap();
    ended
}

#[test]
fn a_pipe_goes_to_one_command_unchanged() {
    let input = b"b: x\n\xff\0end";
    for who in ["--stdin=a", "--stdin=first"] {
        let ended = with_input(&[who, "--names=a,b", "cat", "cat; echo empty"], input);
        ended.code(0);
        let out = String::from_utf8_lossy(&ended.out).into_owned();
        // The line of `b` may stand anywhere.
        for line in ["a | b: x\n", "a | \u{fffd}\0end\n", "b | empty\n"] {
            assert!(out.contains(line), "{out:?}");
        }
    }
    let ended = with_input(&["--stdin=b", "--names=a,b", "-j1", "true", "wc -c"], input);
    assert_eq!(ended.code(0).out(), "b | 10\n");
    let ended = with_input(&["--stdin=none", "--names=a", "wc -c"], input);
    assert_eq!(ended.code(0).out(), "a | 0\n");
    // Nothing can be typed, so a terminal alone must not wait for it.
    let ended = with_input(
        &["--tty", "--names=a", "wc -c; [ -t 1 ] && echo yes"],
        input,
    );
    assert_eq!(ended.code(0).out(), "a | 0\na | yes\n");
}

/// A terminal takes one sign of the end for that of a line which has begun.
#[test]
fn the_end_of_the_input_is_seen_at_a_terminal_even_within_a_line() {
    for input in ["", "line\n", "no line", "line\nno line"] {
        let count = format!("stty -echo; echo ready; wc -c >&2; echo {}", input.len());
        let args = ["--tty", "--stdin=first", "--names=a", &count];
        let ended = with_input(&args, input.as_bytes());
        let last = format!("a | {0}\na | {0}\n", input.len());
        assert!(ended.code(0).out().ends_with(&last), "{}", ended.out());
    }
}

/// More than all buffers hold, for a command that reads late, and for one that never does.
#[test]
fn a_long_input_waits_for_its_reader() {
    let input: &'static [u8] = vec![b'x'; 1 << 20].leak();
    let ended = with_input(&["--stdin=first", "--names=a", "sleep 0.1; wc -c"], input);
    assert_eq!(ended.code(0).out(), "a | 1048576\n");
    with_input(&["--stdin=first", "--names=a", "true"], input).code(0);
}

#[test]
fn each_attempt_reads_on_where_the_one_before_has_stopped() {
    let again = ["--retries=2", "--backoff=1ms", "--stdin=a", "--names=a"];
    let text = "read x; echo \"$x\"; [ \"$x\" = 3 ] && cat";
    let ended = with_input(&[&again[..], &[text]].concat(), b"1\n2\n3\n4\nend");
    let lines = "a | 1\na | 2\na | 3\na | 4\na | end\n";
    assert_eq!(ended.code(0).out(), lines);
    // More than all buffers hold.
    let input: &'static [u8] = vec![b'x'; 1 << 20].leak();
    let text = "[ $TASKGROUP_ATTEMPT = 3 ] && exec wc -c; dd bs=10 count=1 2> /dev/null; exit 1";
    let ended = with_input(&[&again[..], &[text]].concat(), input);
    let ten = "a | xxxxxxxxxx\n";
    assert_eq!(ended.code(0).out(), format!("{ten}{ten}a | 1048556\n"));
}

#[test]
fn a_name_that_no_command_has_is_refused() {
    for flag in ["--tty=x", "--stdin=x"] {
        let what = flag.split('=').next().unwrap();
        Sandbox::new()
            .run(&[flag, "--names=a,b", "true", "true"])
            .code(2)
            .says(&format!(
                "{what}: no command has the name \"x\"; the names are: a, b"
            ));
    }
    let sandbox = Sandbox::new();
    sandbox
        .verb("map", &["--stdin=a", "true", ":::", "1"])
        .code(2);
}

#[test]
fn a_program_that_cannot_be_started_on_a_terminal_is_told() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("t.toml", "tasks.t.run = ['no-such-program']");
    sandbox
        .run(&["--tty", "-f", &file])
        .code(1)
        .says("could not be started: `no-such-program`: no such program in PATH");
}

#[test]
fn commands_colour_what_they_write_if_our_output_is_coloured() {
    let sandbox = Sandbox::new();
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = sandbox.command();
        for name in ["FORCE_COLOR", "COLORTERM", "TERM"] {
            command.env_remove(name);
        }
        let text = "echo \"$FORCE_COLOR,$CLICOLOR_FORCE\"";
        command.arg("run").args(args).args(["--prefix=none", text]);
        let ended = Running::of(command.envs(env.iter().copied())).ended();
        ended.code(0).out().to_owned()
    };
    assert_eq!(run(&[], &[]), ",\n");
    assert_eq!(run(&["--color=always"], &[]), "1,1\n");
    assert_eq!(
        run(&["--color=always"], &[("TERM", "xterm-256color")]),
        "2,1\n"
    );
    assert_eq!(run(&["--color=always"], &[("FORCE_COLOR", "0")]), "0,1\n");
    assert_eq!(run(&["--color=always"], &[("NO_COLOR", "1")]), ",\n");
}
