//! Signals to the runner stop everything, are reported, and have their own exit codes.

use std::os::unix::process::CommandExt;

use rustix::process::Signal;

use crate::support::{
    NEVER, Running, Sandbox, assert_gone, kill, living, name, skipped, state, wait_for,
};

#[test]
fn every_stop_signal_stops_all_commands_with_sigterm() {
    let signals = [
        (Signal::HUP, 129),
        (Signal::INT, 130),
        (Signal::QUIT, 131),
        (Signal::TERM, 143),
    ];
    for (signal, code) in signals {
        let sandbox = Sandbox::new();
        sandbox.fifo("ready");
        let running = Running::of(sandbox.command().args([
            "run",
            "--names=one",
            NEVER,
            "trap 'echo got TERM; exit 0' TERM; trap 'echo got INT' INT
             echo $$ > \"$DIR/ready\"; while :; do sleep 0.01; done",
        ]));
        let pgid = sandbox.pid("ready");
        running.signal(signal);
        let ended = running.ended();
        ended
            .code(code)
            .says(&format!("stopped by {}: 1 cancelled in ", name(signal)));
        ended.says(&format!(
            "stopped by SIGTERM (exit code 0), because of {}",
            name(signal)
        ));
        assert_eq!(ended.out(), "one | got TERM\n");
        assert_gone(pgid);
    }
}

#[test]
fn a_second_signal_skips_the_grace() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("heard");
    let running = sandbox.start(&[
        NEVER,
        "trap 'echo x > \"$DIR/heard\"' TERM; echo $$ > \"$DIR/ready\"; while :; do sleep 0.01; done",
    ]);
    let pgid = sandbox.pid("ready");
    running.signal(Signal::INT);
    sandbox.hear("heard");
    running.signal(Signal::INT);
    let ended = running.ended();
    ended
        .code(130)
        .says("stopped by SIGKILL at once, because of SIGINT");
    assert_gone(pgid);
}

#[test]
fn a_signal_keeps_what_waits_from_starting() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let running = sandbox.start(&[
        "-j1",
        "--keep-going",
        "--names=a,b",
        "echo $$ > \"$DIR/ready\"; sleep 100",
        "touch \"$DIR/started\"",
    ]);
    sandbox.pid("ready");
    running.signal(Signal::TERM);
    running
        .ended()
        .code(143)
        .says("NOT STARTED b: because of SIGTERM");
    assert!(!sandbox.path("started").exists());
}

#[test]
fn a_signal_during_the_cleanup_after_a_failure_decides_the_exit_code() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("heard");
    let running = sandbox.start(&[
        "--names=bad,slow",
        NEVER,
        "cat \"$DIR/ready\"; exit 1",
        "trap 'echo x > \"$DIR/heard\"' TERM; echo x > \"$DIR/ready\"; while :; do sleep 0.01; done",
    ]);
    sandbox.hear("heard");
    // This is not a second signal yet: the grace continues until another one comes.
    running.signal(Signal::TERM);
    running.signal(Signal::INT);
    let ended = running.ended();
    assert!(matches!(ended.code, Some(130 | 143)), "{ended:?}");
    ended
        .says("FAILED bad: exit code 1")
        .says("arrived while the run was ending");
    ended
        .says("CANCELLED slow: ")
        .says("stopped by SIGKILL at once, because bad failed");
}

#[test]
fn nohup_is_respected() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("go");
    let mut shell = sandbox.by_shell("trap '' HUP; exec \"$@\"");
    let running = Running::of(shell.args([
        "run",
        "echo x > \"$DIR/ready\"; cat \"$DIR/go\"; echo lived on",
    ]));
    sandbox.hear("ready");
    running.signal(Signal::HUP);
    sandbox.tell("go");
    let ended = running.ended();
    ended.code(0);
    assert!(ended.out().ends_with("lived on\n"));
}

/// As a shell does: `nohup` ignores SIGHUP, the `&` of a script SIGINT and SIGQUIT.
#[test]
fn signals_that_were_ignored_at_the_start_stay_ignored_except_sigterm() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("go");
    let mut shell = sandbox.by_shell("trap '' HUP INT TERM QUIT; exec \"$@\"");
    let running = Running::of(shell.args([
        "run",
        NEVER,
        "grep SigIgn /proc/self/status > \"$DIR/ignored\"; echo $$ > \"$DIR/ready\"
         cat \"$DIR/go\"; echo x > \"$DIR/ready\"; sleep 100",
    ]));
    let pgid = sandbox.pid("ready");
    let ignored = sandbox.read("ignored");
    let mask = ignored.split_whitespace().nth(1).unwrap();
    // The commands ignore the first three signals, and not SIGTERM, the fifteenth.
    assert_eq!(u64::from_str_radix(mask, 16).unwrap() & 0x4007, 7);
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT] {
        running.signal(signal);
    }
    sandbox.tell("go");
    sandbox.hear("ready");
    running.signal(Signal::TERM);
    running.ended().code(143).says("stopped by SIGTERM");
    assert_gone(pgid);
}

/// The mask of blocked signals is inherited by `exec`, and some programs forget to restore it.
#[test]
fn signals_that_were_blocked_at_the_start_are_not() {
    let block = "exec env --block-signal=CHLD,TERM,INT,HUP,QUIT,TSTP \"$@\"";
    for level in ["guard", "namespace", "cgroup"] {
        let sandbox = Sandbox::new();
        if sandbox.run(&["--contain", level, "true"]).code != Some(0) {
            skipped(level);
            continue;
        }
        sandbox.fifo("ready");
        let mut shell = sandbox.by_shell(block);
        let file = sandbox.file(
            "t.toml",
            "tasks.t.run = ['grep', 'SigBlk', '/proc/self/status']",
        );
        let ended = Running::of(shell.args(["run", "--contain", level, "-f", &file])).ended();
        ended.code(0);
        assert_eq!(ended.out(), "t | SigBlk:\t0000000000000000\n");
        let mut shell = sandbox.by_shell(block);
        let text = "echo $$ > \"$DIR/ready\"; sleep 100";
        let running = Running::of(shell.args(["run", "--contain", level, NEVER, text]));
        sandbox.hear("ready");
        running.signal(Signal::TERM);
        running.ended().code(143).says("stopped by SIGTERM");
    }
}

/// Whether the process blocks the signal, or has it pending, as that mask of `/proc` says.
fn has(pid: i32, mask: &str, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut masks = status.lines().filter_map(|line| line.strip_prefix(mask));
    let mask = u64::from_str_radix(masks.next().unwrap().trim(), 16).unwrap();
    mask & 1 << (signal.as_raw() - 1) != 0
}

/// Ctrl-Z and `fg`, as a shell with job control brings them about.
#[test]
fn a_suspended_run_suspends_its_commands_and_its_clocks() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("go");
    // An inner runner has to suspend what it runs itself. `cat` takes the place of the shell: a
    // shell that starts a program waits for it in a way in which it does not count as stopped.
    let inner = format!(
        "exec {} run 'echo $$ > \"$DIR/inner\"; echo x > \"$DIR/ready\"; exec cat \"$DIR/go\"'",
        env!("CARGO_BIN_EXE_taskgroup")
    );
    let mut command = sandbox.command();
    let (json, joblog) = (sandbox.word("json"), sandbox.word("joblog"));
    command.args(["run", "--json", &json, "--joblog", &joblog]);
    command.args(["--timeout=5s", "--deadline=5s", &inner]);
    // Otherwise there may be no process that could continue it.
    let mut running = Running::of(command.process_group(0));
    sandbox.hear("ready");
    let inner = sandbox.pid("inner");
    let runner = i32::try_from(running.child().id()).unwrap();
    running.signal(Signal::TSTP);
    wait_for("the runner is not suspended", move || state(runner) == 'T');
    wait_for("the command is not suspended", move || state(inner) == 'T');
    // One that has the rest of its timeout after that.
    let late = Sandbox::new();
    late.fifo("ready");
    let mut command = late.command();
    let text = "echo x > \"$DIR/ready\"; exec sleep 100";
    command.args(["run", "--json", &late.word("json"), "--timeout=1s", text]);
    let mut times_out = Running::of(command.process_group(0));
    late.hear("ready");
    let runner = i32::try_from(times_out.child().id()).unwrap();
    times_out.signal(Signal::TSTP);
    wait_for("the other runner is not suspended", move || {
        matches!(state(runner), 'T' | 'Z')
    });
    // Longer than the timeout. Nothing else shows that its clock stands still.
    std::thread::sleep(std::time::Duration::from_secs(6));
    running.signal(Signal::CONT);
    sandbox.tell("go");
    let ended = running.ended();
    ended.code(0);
    assert!(ended.out().ends_with("go\n"), "{}", ended.out());
    // No duration has the time of the suspension.
    times_out.signal(Signal::CONT);
    times_out.ended().code(124).says("TIMED OUT");
    for sandbox in [&sandbox, &late] {
        let seconds = |event: &str, key: &str| {
            let events = sandbox.events_of("json", event);
            events[0][key].as_f64().unwrap()
        };
        assert!(seconds("ended", "ran") < 5.0);
        assert!(seconds("end", "at") < 5.0);
    }
    let joblog = sandbox.read("joblog");
    let runtime = joblog.lines().nth(1).unwrap().split('\t').nth(3).unwrap();
    assert!(runtime.trim().parse::<f64>().unwrap() < 5.0, "{joblog}");
}

/// A script may do that, or a guard whose command acts late.
#[test]
fn a_run_that_is_continued_before_it_stops_goes_on() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("t.toml", "tasks.t.run = 'echo done'");
    std::fs::create_dir_all(sandbox.path("results/t")).unwrap();
    sandbox.fifo("results/t/stdout");
    let mut command = sandbox.command();
    command.args(["run", "-f", &file, "--results", &sandbox.word("results")]);
    let mut running = Running::of(command.process_group(0));
    let runner = i32::try_from(running.child().id()).unwrap();
    // There is no reader. Until one comes, the runner acts on no signal.
    wait_for("the runner does not wait for a reader", move || {
        let call = std::fs::read_to_string(format!("/proc/{runner}/wchan")).unwrap();
        call.contains("partner") || call.contains("fifo")
    });
    running.signal(Signal::TSTP);
    // A runner that has a handler has called it by then.
    wait_for("the runner does not receive the signal", move || {
        has(runner, "SigBlk:", Signal::TSTP) || !has(runner, "ShdPnd:", Signal::TSTP)
    });
    running.signal(Signal::CONT);
    assert_eq!(sandbox.hear("results/t/stdout"), "done");
    running.ended().code(0);
}

/// As in some containers: the leaders of the session and of the first group are outside of the
/// namespace, where the kernel calls both of them 0.
#[test]
fn a_run_in_a_namespace_of_its_own_can_be_suspended() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("go");
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["--fork", "--pid", "--mount-proc", "bash", "-c"]);
    let shell = "set -m; \"$@\" & read -r _ < \"$DIR/ready\"; kill -TSTP $!
                 until grep -q '^State:.T' /proc/$!/status; do :; done
                 kill -CONT $!; echo x > \"$DIR/go\"; wait $!";
    let text = "echo x > \"$DIR/ready\"; cat \"$DIR/go\"";
    unshare.args([shell, "bash", env!("CARGO_BIN_EXE_taskgroup"), "run", text]);
    let ended = Running::of(&mut sandbox.through(unshare)).ended();
    if ended.err.contains("unshare failed") || ended.err.contains("permission denied") {
        skipped(&ended.err);
        return;
    }
    ended.code(0);
    assert!(ended.out().ends_with("x\n"), "{}", ended.out());
}

#[test]
fn a_suspended_run_can_be_stopped() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let mut command = sandbox.command();
    command.args(["run", NEVER, "echo $$ > \"$DIR/ready\"; sleep 100"]);
    let mut running = Running::of(command.process_group(0));
    let pgid = sandbox.pid("ready");
    let runner = i32::try_from(running.child().id()).unwrap();
    running.signal(Signal::TSTP);
    wait_for("the runner is not suspended", move || state(runner) == 'T');
    // What a shell sends to end a job.
    running.signal(Signal::TERM);
    running.signal(Signal::CONT);
    running.ended().code(143).says("stopped by SIGTERM");
    assert_gone(pgid);
}

/// Without a shell to continue it, a process is not suspended by SIGTSTP.
#[test]
fn a_run_that_could_not_be_continued_is_not_suspended() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("go");
    let mut setsid = std::process::Command::new("setsid");
    setsid.args(["--wait", env!("CARGO_BIN_EXE_taskgroup"), "run"]);
    let text = "echo $PPID > \"$DIR/guard\"; echo x > \"$DIR/ready\"; cat \"$DIR/go\"";
    let running = Running::of(sandbox.through(setsid).arg(text));
    sandbox.hear("ready");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", sandbox.pid("guard"))).unwrap();
    let runner = stat[stat.rfind(')').unwrap() + 1..]
        .split_whitespace()
        .nth(1);
    let runner = runner.unwrap().parse().unwrap();
    kill(runner, Signal::TSTP).unwrap();
    sandbox.tell("go");
    running.ended().code(0);
}

#[test]
fn a_file_that_nothing_reads_keeps_no_signal_out() {
    let sandbox = Sandbox::new();
    sandbox.fifo("journal");
    let journal = sandbox.path("journal");
    // Its end is kept open, and has room for a few lines only.
    let reader = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&journal)
        .unwrap();
    rustix::pipe::fcntl_setpipe_size(&reader, 4096).unwrap();
    let mut command = sandbox.command();
    let text = "echo $$ > \"$DIR/pid\"; sleep 100";
    command.args(["run", "-j1", NEVER, "--json"]).arg(&journal);
    let running = Running::of(command.arg(text).args(["true"; 100]));
    let pid = sandbox.path("pid");
    wait_for("nothing starts", move || {
        std::fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n'))
    });
    // The lines about all that is not started have no room.
    running.signal(Signal::TERM);
    running.ended().code(143);
    // The guard ends the command after the runner has gone.
    let pgid = sandbox.pid("pid");
    wait_for("a command stays", move || living(pgid).is_empty());
    drop(reader);
}

#[test]
fn an_ignored_sigchld_hides_no_exit_code() {
    use std::process::Stdio;
    // Shells do not ignore SIGCHLD for their children. Here `env` requests it, where it can.
    let probe = std::process::Command::new("env")
        .args(["--ignore-signal=CHLD", "true"])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        skipped("this `env` has no --ignore-signal");
        return;
    }
    let sandbox = Sandbox::new();
    let mut shell = sandbox.by_shell("exec env --ignore-signal=CHLD \"$@\"");
    Running::of(shell.args(["run", "exit 3"]))
        .ended()
        .code(1)
        .says("exit code 3");
}

/// Ctrl-S, or a terminal on the other side of a network that has gone. The progress line is written
/// there, too.
#[test]
fn a_terminal_that_takes_nothing_keeps_no_signal_out() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let (ours, theirs) = crate::support::terminal();
    let mut command = sandbox.command();
    command.env("TERM", "xterm").args([
        "run",
        "echo $$ > \"$DIR/ready\"; yes >&2",
        "sleep 0.5",
        "sleep 0.6",
    ]);
    let running = Running::of(command.stderr(theirs));
    drop(command);
    let pgid = sandbox.pid("ready");
    let full = ours.try_clone().unwrap();
    wait_for("the terminal is never full", move || {
        rustix::io::ioctl_fionread(&full).unwrap() >= 3000
    });
    running.signal(Signal::TERM);
    running.ended().code(143);
    // The guards may have to stop them.
    wait_for("a command stays", move || living(pgid).is_empty());
    drop(ours);
}

/// Only a second signal stops it.
#[test]
fn a_cleanup_that_is_stopped_says_by_which_signal() {
    let sandbox = Sandbox::new();
    sandbox.fifo("runs");
    sandbox.fifo("cleans");
    sandbox.file(
        "tasks.toml",
        r#"
cleanup = ['echo x > "$DIR/cleans"; exec sleep 100']
tasks.a = 'echo x > "$DIR/runs"; exec sleep 100'
"#,
    );
    let file = sandbox.path("tasks.toml");
    let running = sandbox.start(&["-f", file.to_str().unwrap()]);
    sandbox.hear("runs");
    running.signal(Signal::INT);
    sandbox.hear("cleans");
    running.signal(Signal::INT);
    let ended = running.ended();
    ended
        .code(130)
        .says("CANCELLED run (cleanup 1): after ")
        .says("stopped by SIGKILL at once, because of SIGINT")
        .says_not("cause unknown");
}
