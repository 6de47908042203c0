//! Services: ready, needed, restarted, stopped.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use rustix::process::Signal;
use tokio::net::TcpSocket;
use tokio::runtime::Builder;

use crate::support::{Ended, Running, Sandbox, assert_gone};

fn start(sandbox: &Sandbox, text: &str) -> Running {
    let path = sandbox.file("tasks.toml", text);
    sandbox.start(&["-f", &path])
}

fn run(sandbox: &Sandbox, text: &str) -> Ended {
    start(sandbox, text).ended()
}

#[test]
fn what_comes_after_a_service_starts_at_its_line() {
    let sandbox = Sandbox::new();
    for fifo in ["started", "go"] {
        sandbox.fifo(fifo);
    }
    let running = start(
        &sandbox,
        r#"
jobs = 1
[tasks.db]
run = '''
echo $$ > "$DIR/started"; cat "$DIR/go" > /dev/null
echo "now listening on 1"; echo end; exec sleep 100'''
service = true
ready = { line = "listening" }
[tasks.e2e]
run = "echo e2e"
after = ["db"]
"#,
    );
    let pid = sandbox.pid("started");
    sandbox.tell("go");
    let ended = running.ended();
    ended.code(0);
    let position = |text: &str| ended.out().find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(
        position("listening") < position("e2e | e2e"),
        "{}",
        ended.out()
    );
    ended.says("2 succeeded in").says_not("OK db");
    assert_gone(pid);
}

#[test]
fn a_command_looks_until_it_is_ready() {
    let sandbox = Sandbox::new();
    let ended = run(
        &sandbox,
        r#"
env = { MARK = "mark" }
[tasks.db]
run = '[ -e "$DIR/looked" ] && touch "$DIR/$MARK"; exec sleep 100'
service = true
# The second look succeeds.
ready = { command = 'echo noise; [ -e "$DIR/looked" ] || { touch "$DIR/looked"; exit 1; }' }
[tasks.e2e]
run = 'echo e2e; [ -e "$DIR/looked" ]'
after = ["db"]
"#,
    );
    ended.code(0);
    assert_eq!(ended.out(), "e2e | e2e\n");
}

#[test]
fn a_port_is_ready_when_it_accepts() {
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    let _context = runtime.enter();
    let file = |ready: &str| {
        format!(
            "[tasks.db]\nrun = 'echo x > \"$DIR/up\"; exec sleep 100'\nservice = true\n\
             ready = {{ {ready} }}\n[tasks.e2e]\nrun = 'echo e2e'\nafter = ['db']\n"
        )
    };
    for (begin, end) in [("", ""), ("'127.0.0.1:", "'")] {
        // The port is ours, and does not accept before the service is up.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let sandbox = Sandbox::new();
        sandbox.fifo("up");
        let running = start(&sandbox, &file(&format!("port = {begin}{port}{end}")));
        sandbox.hear("up");
        let _listener = socket.listen(8).unwrap();
        assert_eq!(running.ended().code(0).out(), "e2e | e2e\n");
    }
    // Nothing listens there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let text = file(&format!("port = {port}"));
    let text = text.replace("service", "ready-timeout = '100ms'\nservice");
    run(&Sandbox::new(), &text.replace("$DIR/up", "/dev/null"))
        .code(124)
        .says("TIMED OUT db: not ready after")
        .says("NOT STARTED e2e: because db timed out");
}

/// The check, and what came of it last.
#[test]
fn a_service_that_is_not_ready_in_time_names_its_check() {
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    let _context = runtime.enter();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = socket.local_addr().unwrap();
    // Answers only once the service runs. Before that the service would not be started.
    let busy = TcpSocket::new_v4().unwrap();
    busy.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = busy.local_addr().unwrap();
    let file = |run: &str, ready: &str| {
        format!(
            "[tasks.db]\nrun = '{run}; exec sleep 100'\nservice = true\nready-timeout = '3s'\n\
             ready = {{ {ready} }}\n[tasks.e2e]\nrun = 'true'\nafter = ['db']\n"
        )
    };
    let sandbox = Sandbox::new();
    sandbox.fifo("up");
    let up = "echo x > \"$DIR/up\"";
    let url = format!("http://{address}/health");
    let over_http = start(&sandbox, &file(up, &format!("http = \"{url}\"")));
    sandbox.hear("up");
    let listener = busy.listen(8).unwrap().into_std().unwrap();
    listener.set_nonblocking(false).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 503 Busy\r\n\r\n");
        }
    });
    let cases = [
        (
            file(":", &format!("port = \"{silent}\"")),
            format!("the port {silent} failed: Connection refused"),
        ),
        (
            file(":", "command = \"echo starting; exit 2\""),
            "the command `echo starting; exit 2` failed: exit code 2, after ".to_owned(),
        ),
        (
            file("echo one; echo two", "line = \"up\""),
            "a line with \"up\" did not come: its standard output ends with \"two\"".to_owned(),
        ),
        (
            file(":", "line = \"up\""),
            "a line with \"up\" did not come: it wrote nothing".to_owned(),
        ),
    ];
    let running = cases.map(|(text, says)| {
        let sandbox = Sandbox::new();
        (start(&sandbox, &text), sandbox, says)
    });
    for (running, _sandbox, says) in running {
        running
            .ended()
            .code(124)
            .says("TIMED OUT db: not ready after ")
            .says(&says)
            .says("; ready-timeout gives it more time; stopped by SIGTERM");
    }
    let says = format!("{url} failed: the answer is \"HTTP/1.1 503\"; ready-timeout gives");
    over_http.ended().code(124).says(&says);
}

/// What comes after the service would have used the other program.
#[test]
fn a_port_that_another_program_has_is_told_before_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        }
    });
    for (ready, address) in [
        (format!("port = {port}"), format!("localhost:{port}")),
        (
            format!("port = '127.0.0.1:{port}'"),
            format!("127.0.0.1:{port}"),
        ),
        (
            format!("http = 'http://127.0.0.1:{port}/'"),
            format!("127.0.0.1:{port}"),
        ),
    ] {
        let sandbox = Sandbox::new();
        let text = format!(
            "[tasks.db]\nrun = 'touch \"$DIR/begun\"; exec sleep 100'\nservice = true\n\
             ready = {{ {ready} }}\nrestart = {{ on = 'failure', backoff = '1ms', limit = 1 }}\n\
             [tasks.e2e]\nrun = 'echo e2e'\nafter = ['db']\n"
        );
        let ended = run(&sandbox, &text);
        ended
            .code(1)
            .says(&format!(
                "FAILED db: could not be started: another program answers at {address} already"
            ))
            .says("stop it, or give the service another port")
            .says("NOT STARTED e2e: because db failed");
        assert_eq!(ended.out(), "");
        assert!(!sandbox.path("begun").exists());
    }
}

#[test]
fn http_is_ready_when_it_answers_with_success() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        // The answer is taken whole.
        let long = format!("HTTP/1.1 204 Good\r\n\r\n{}", "x".repeat(800_000));
        let answers = ["HTTP/1.1 503 Busy", "nonsense", "", &long];
        answers.map(|answer| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 200];
            let length = stream.read(&mut request).unwrap();
            stream
                .write_all(format!("{answer}\r\n\r\n").as_bytes())
                .unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        })
    });
    let file = format!(
        "[tasks.db]\nrun = 'exec sleep 100'\nservice = true\n\
         ready.http = 'http://127.0.0.1:{port}/health'\n\
         [tasks.e2e]\nrun = 'echo e2e'\nafter = ['db']\n"
    );
    run(&Sandbox::new(), &file).code(0);
    let requests = server.join().unwrap();
    let expected = format!("GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
    assert!(
        requests
            .iter()
            .all(|request| request.starts_with(&expected)),
        "{requests:?}"
    );
}

/// The services end in the order in which nothing needs them any longer, after what needs them
/// indirectly.
#[test]
fn services_end_when_all_that_needs_them_has_ended() {
    let sandbox = Sandbox::new();
    let ended = run(
        &sandbox,
        r#"
[tasks.db]
run = '''
echo $$ > "$DIR/db"; trap 'echo db >> "$DIR/log"; exit' TERM
echo up; while :; do sleep 0.01; done'''
service = true
ready.line = "up"
[tasks.migrate]
run = 'echo migrate >> "$DIR/log"'
after = ["db"]
[tasks.web]
run = '''
trap 'echo web >> "$DIR/log"; exit' TERM
echo up; while :; do sleep 0.01; done'''
service = true
ready.line = "up"
after = ["migrate"]
[tasks.e2e]
run = 'kill -0 $(cat "$DIR/db") && echo e2e >> "$DIR/log"'
after = ["web"]
"#,
    );
    ended.code(0);
    assert_eq!(sandbox.read("log"), "migrate\ne2e\nweb\ndb\n");
    assert_gone(sandbox.pid("db"));
}

/// Also above its output, and if it would begin again.
#[test]
fn a_service_that_nothing_needs_any_longer_is_no_riddle() {
    for restart in ["", "restart = 'always'\n"] {
        let sandbox = Sandbox::new();
        let path = sandbox.file(
            "tasks.toml",
            &format!(
                "[tasks.db]\nrun = 'echo up; exec sleep 100'\nservice = true\nready.line = 'up'\n\
                 {restart}[tasks.e2e]\nrun = 'true'\nafter = ['db']\n"
            ),
        );
        let ended = sandbox.run(&["-f", &path, "-o", "group"]);
        ended.code(0).says_not("cause unknown");
        let headings = ended
            .err
            .lines()
            .filter(|line| line.contains(" db: after "));
        let headings: Vec<&str> = headings.collect();
        assert!(
            headings.len() == 1 && headings[0].ends_with(", stopped by SIGTERM"),
            "{}",
            ended.err
        );
    }
}

#[test]
fn a_group_with_services_is_done_when_they_are_ready() {
    let sandbox = Sandbox::new();
    let ended = run(
        &sandbox,
        r#"
[groups.infra]
cleanup = ['echo clean >> "$DIR/log"']
[groups.infra.groups.inner.tasks.db]
run = 'trap "echo db >> \"$DIR/log\"; exit" TERM; echo up; while :; do sleep 0.01; done'
service = true
ready.line = "up"
[groups.infra.tasks.fill]
run = 'echo fill >> "$DIR/log"'
[groups.test]
after = ["infra"]
tasks.one = 'echo test >> "$DIR/log"'
[tasks.last]
run = 'echo last >> "$DIR/log"'
after = ["test/one"]
"#,
    );
    ended.code(0);
    assert_eq!(sandbox.read("log"), "fill\ntest\nlast\ndb\nclean\n");
}

#[test]
fn a_service_that_ends_early_fails_the_group() {
    let file = |end: &str| {
        format!(
            r#"
[tasks.db]
run = 'echo up; cat "$DIR/go" > /dev/null; {end}'
service = true
ready.line = "up"
[tasks.e2e]
run = 'echo x > "$DIR/go"; exec sleep 100'
after = ["db"]
"#
        )
    };
    for (end, said) in [
        ("exit 0", "FAILED db: a service ended by itself, after"),
        ("exit 3", "FAILED db: exit code 3, after"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.fifo("go");
        let ended = run(&sandbox, &file(end));
        ended.code(1).says(said);
        ended.says("CANCELLED e2e").says("because db failed");
    }
    // Before it is ready.
    let sandbox = Sandbox::new();
    let text = "[tasks.db]\nrun='exit 0'\nservice=true\nready.line='up'\n\
                [tasks.e2e]\nrun='true'\nafter=['db']\n";
    run(&sandbox, text)
        .code(1)
        .says("NOT STARTED e2e: because db failed");
}

#[test]
fn a_service_is_restarted() {
    // It fails twice, and then succeeds once.
    let file = |restart: &str| {
        format!(
            r#"
[tasks.db]
run = '''
echo x >> "$DIR/log"
case $(wc -l < "$DIR/log") in 1 | 2) exit 1 ;; 3) exit 0 ;; esac
echo up; exec sleep 100'''
service = true
ready.line = "up"
restart = {restart}
[tasks.e2e]
run = "echo e2e"
after = ["db"]
"#
        )
    };
    let ended = |restart: &str| {
        let sandbox = Sandbox::new();
        let ended = run(&sandbox, &file(restart));
        (ended, sandbox.read("log").lines().count())
    };
    let (always, starts) = ended("{ on = 'always', backoff = '0s' }");
    // Each time it is told at once. The report has the failures again.
    always
        .code(0)
        .says("taskgroup: db: exit code 1, after ")
        .says("taskgroup: db: exit code 0, after ")
        .says("; starts again in 0.00s\n")
        .says("    attempt 2: exit code 1, after ")
        .says_not("    attempt 3");
    assert_eq!(starts, 4);
    let (on_failure, starts) = ended("{ on = 'failure', backoff = '0s' }");
    on_failure
        .code(1)
        .says("a service ended by itself")
        .says("attempt 3");
    assert_eq!(starts, 3);
    let (limited, starts) = ended("{ on = 'always', backoff = '0s', limit = 1 }");
    limited
        .code(1)
        .says("FAILED db: exit code 1")
        .says("attempt 2");
    assert_eq!(starts, 2);
}

#[test]
fn a_service_that_nothing_needs_runs_until_it_is_stopped() {
    let sandbox = Sandbox::new();
    sandbox.fifo("up");
    let running = start(
        &sandbox,
        "[tasks.web]\nrun = 'echo $$ > \"$DIR/up\"; exec sleep 100'\nservice = true\n\
         [tasks.build]\nrun = 'echo built'\n",
    );
    let pid = sandbox.pid("up");
    running.signal(Signal::INT);
    running.ended().code(130).says("CANCELLED web");
    assert_gone(pid);
}

/// A failure that stops nothing must not keep those waiting that a service waits for.
#[test]
fn a_group_with_services_settles_when_a_part_of_it_has_failed() {
    let file = |more: &str, fill: &str| {
        format!(
            "[groups.infra]\n{more}\n{fill}\n\
             [groups.infra.groups.inner.tasks.db]\nrun = 'exec sleep 100'\nservice = true\n\
             [groups.test]\nafter = ['infra']\ntasks.one = 'echo test'\n"
        )
    };
    let task = "tasks.fill = 'exit 3'";
    let waits = "on-failure = 'wait'";
    run(&Sandbox::new(), &format!("{waits}\n{}", file(waits, task)))
        .code(1)
        .says("NOT STARTED test/one: because infra did not succeed");
    // The group around it is told at once, too.
    run(&Sandbox::new(), &file(waits, task))
        .code(1)
        .says("NOT STARTED test/one: because infra failed");
    // The group ignores its failures, so it succeeds although a task in it has failed.
    let group = "groups.fill.tasks.a = 'exit 3'";
    let ended = run(&Sandbox::new(), &file("on-failure = 'ignore'", group));
    ended.code(0).says("FAILED (ignored) infra/fill/a");
    assert_eq!(ended.out(), "test/one       | test\n");
}

#[test]
fn a_run_that_halts_ends_its_services() {
    let halted = |halt: &str, file: &str| {
        let sandbox = Sandbox::new();
        let path = sandbox.file("tasks.toml", file);
        sandbox.run(&["-f", &path, "--halt", halt])
    };
    let service = "[tasks.web]\nrun = 'exec sleep 100'\nservice = true\n";
    // One that nothing needs.
    let failure = "[tasks.bad]\nrun = 'exit 3'\n";
    halted("soon,fail=1", &format!("{service}{failure}"))
        .code(1)
        .says("1 failed, 1 succeeded")
        .says_not("CANCELLED");
    let success = "[tasks.good]\nrun = 'true'\n";
    halted("soon,done=1", &format!("{service}{success}")).code(0);
    // One that will never be ready, for what is not started any more.
    let needed = "ready.line = 'up'\n[tasks.late]\nrun = 'true'\nafter = ['web']\n";
    halted("soon,fail=1", &format!("{service}{needed}{failure}"))
        .code(1)
        .says("NOT STARTED late: because of --halt soon,fail=1");
    // One in a group that is not complete.
    let group = "[groups.infra]\ntasks.bad = 'exit 3'\n[groups.infra.tasks.db]\n\
                 run = 'exec sleep 100'\nservice = true\n\
                 [groups.test]\nafter = ['infra']\ntasks.one = 'echo test'\n";
    halted("soon,fail=1", group)
        .code(1)
        .says("NOT STARTED test/one: because of --halt soon,fail=1");
}

/// What still runs when the run halts keeps its service.
#[test]
fn a_service_outlives_the_halt_for_what_needs_it() {
    let sandbox = Sandbox::new();
    let path = sandbox.file(
        "tasks.toml",
        r#"
[tasks.db]
run = 'echo $$ > "$DIR/db"; exec sleep 100'
service = true
ready.command = '[ -s "$DIR/db" ]'
[tasks.e2e]
run = '''
echo x > "$DIR/up"
until grep -q '"result":"failed"' "$DIR/json"; do sleep 0.01; done
kill -0 "$(cat "$DIR/db")"; echo end'''
after = ["db"]
[tasks.bad]
run = 'cat "$DIR/up"; exit 3'
"#,
    );
    sandbox.fifo("up");
    let json = sandbox.path("json").into_os_string().into_string().unwrap();
    let ended = sandbox.run(&["-f", &path, "--halt=soon,fail=1", "--json", &json]);
    ended.code(1).says("1 failed, 2 succeeded");
    assert!(ended.out().contains("e2e | end\n"), "{}", ended.out());
    assert_gone(sandbox.pid("db"));
}

#[test]
fn no_command_waits_for_room_that_a_service_would_have_to_make() {
    let sandbox = Sandbox::new();
    let path = sandbox.file(
        "tasks.toml",
        "[tasks.db]\nrun = 'exec sleep 100'\nservice = true\n\
         [tasks.a]\nrun = 'true'\nafter = ['db']\n\
         [tasks.b]\nrun = 'true'\nafter = ['db']\n",
    );
    let ended = sandbox.run(&["-f", &path, "--memfree=1000000G"]);
    ended.code(0).says("3 succeeded");
}

#[test]
fn what_is_named_brings_its_services() {
    let sandbox = Sandbox::new();
    let path = sandbox.file(
        "tasks.toml",
        "[tasks.db]\nrun = 'echo up; exec sleep 100'\nservice = true\nready.line = 'up'\n\
         [tasks.e2e]\nrun = 'echo e2e'\nafter = ['db']\n\
         [tasks.web]\nrun = 'exec sleep 100'\nservice = true\n",
    );
    // Without the selection, `web` would run for ever.
    let json = sandbox.path("json");
    let ended = sandbox.run(&[
        "-f",
        &path,
        "e2e",
        "--timeout=1h",
        "--json",
        json.to_str().unwrap(),
    ]);
    ended.code(0);
    let ready = sandbox.events_of("json", "ready");
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0]["task"], "db");
    let mut ended = sandbox.events_of("json", "ended").into_iter();
    let served = ended.find(|event| event["task"] == "db");
    assert_eq!(served.unwrap()["result"], "succeeded");
}

#[test]
fn faults_of_services_are_told() {
    for (text, part) in [
        (
            "[tasks.a]\nrun='x'\nready.port = 1",
            "`ready` is for services only",
        ),
        ("[tasks.a]\nrun='x'\nrestart = 'always'", "or use `retries`"),
        (
            "[tasks.a]\nrun='x'\nready-timeout = '1s'",
            "add `service = true`",
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready={}",
            "one of `command`, `port`, `http` and `line`",
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready.prt=1",
            "did you mean `port`?",
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready.port=0",
            "a port from 1 to 65535, like 5432",
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready.http='https://x'",
            "`curl -fsk`",
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nrestart={limit=1}",
            "needs `on`",
        ),
        (
            "policy='race'\n[tasks.a]\nrun='x'\nservice=true",
            "the service `a` cannot win a race",
        ),
    ] {
        run(&Sandbox::new(), text).code(2).says(part);
    }
}

#[test]
fn the_end_of_one_can_stop_the_others() {
    let sandbox = Sandbox::new();
    let commands = ["--names=a,b", "exit 0", "exec sleep 100"];
    let stop = |more: &[&str], commands: &[&str]| sandbox.run(&[more, commands].concat());
    let ended = stop(&["--when-one-ends=stop"], &commands);
    ended.code(0).says("CANCELLED b").says("because a ended");
    // Also after a failure that would not stop the others.
    let commands = ["--names=a,b", "exit 1", "exec sleep 100"];
    let ended = stop(&["--when-one-ends=stop", "-k"], &commands);
    ended.code(1).says("CANCELLED b").says("because a ended");
    let file = "[groups.g]\nwhen-one-ends = 'stop'\ntasks.a = 'true'\ntasks.b = 'exec sleep 100'\n\
                [tasks.next]\nrun = 'echo next'\nafter = ['g']\n";
    let ended = run(&sandbox, file);
    ended.code(0);
    assert_eq!(ended.out(), "next | next\n");
    ended.says("CANCELLED g/b").says("because g/a ended");
}

/// The others were not to be done any longer, so that is no failure.
#[test]
fn what_waits_is_no_failure_when_the_end_of_one_stops_it() {
    let sandbox = Sandbox::new();
    sandbox.fifo("go");
    let ended = run(
        &sandbox,
        r#"
when-one-ends = "stop"
[tasks]
first = 'cat "$DIR/go"'
slow = 'echo x > "$DIR/go"; exec sleep 100'
x = { run = "true", after = ["slow"] }
y = { run = "true", after = ["x"] }
[groups.z]
after = ["y"]
tasks.z = "true"
"#,
    );
    ended
        .code(0)
        .says("NOT STARTED x, y, z/z: because first ended");
}

#[test]
fn a_command_of_the_line_can_be_restarted() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&[
        "--restart=failure",
        "--backoff=0s",
        "echo x >> \"$DIR/log\"; [ $(wc -l < \"$DIR/log\") = 3 ]",
    ]);
    ended.code(0);
    assert_eq!(sandbox.read("log").lines().count(), 3);
    sandbox.fifo("again");
    let running = sandbox.start(&[
        "--restart=always",
        "--backoff=0s",
        "echo x > \"$DIR/again\"",
    ]);
    for _ in 0..3 {
        sandbox.hear("again");
    }
    running.signal(Signal::TERM);
    // What ended well is no failure, though it began again.
    let ended = running.ended();
    ended
        .code(143)
        .says_not("attempt 1:")
        .says_not("not at the");
    sandbox.fifo("second");
    let running = sandbox.start(&[
        "--restart=failure",
        "--backoff=0s",
        "[ $TASKGROUP_ATTEMPT = 1 ] && exit 7; echo x > \"$DIR/second\"; exec sleep 100",
    ]);
    sandbox.hear("second");
    running.signal(Signal::TERM);
    let ended = running.ended();
    ended
        .code(143)
        .says("CANCELLED")
        .says("attempt 1: exit code 7");
    sandbox
        .run(&["--restart=always", "--retries=1", "true"])
        .code(2)
        .says("cannot be used with");
    sandbox
        .run(&["--backoff=1s", "true"])
        .code(2)
        .says("--restart");
}
