//! Commands that cannot be started as they are: either they are started in another way, or the
//! report says what is missing.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Ended, Running, Sandbox, skipped};

/// Runs a task that is a list of words, in the sandbox's folder.
fn direct(sandbox: &Sandbox, words: &str, more: &str) -> Ended {
    let folder = sandbox.path("");
    let text = format!(
        "[tasks.t]\nrun = {words}\ncwd = '{}'\n{more}",
        folder.display()
    );
    let file = sandbox.file("tasks.toml", &text);
    sandbox.run(&["-f", &file])
}

fn executable(sandbox: &Sandbox, name: &str, text: &str) {
    sandbox.file(name, text);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(sandbox.path(name), mode).unwrap();
}

#[test]
fn a_script_whose_interpreter_is_missing_is_told_by_it() {
    let sandbox = Sandbox::new();
    executable(&sandbox, "script", "#! /nowhere/perl -w\n");
    direct(&sandbox, r#"["./script"]"#, "")
        .code(1)
        .says("could not be started: `./script` in ")
        .says("its interpreter `/nowhere/perl`, which its first line names, is missing");
    // Files from Windows end their lines with a carriage return.
    executable(&sandbox, "dos", "#!/bin/sh\r\necho x\r\n");
    direct(&sandbox, r#"["./dos"]"#, "").says(r"its interpreter `/bin/sh\r`");
}

#[test]
fn what_else_is_missing_is_named() {
    let sandbox = Sandbox::new();
    direct(
        &sandbox,
        r#"["no-such-program"]"#,
        "env = { PATH = '/opt/x' }",
    )
    .code(1)
    .says("no such program in PATH, which is `/opt/x`");
    direct(&sandbox, "'true'", "env = { PATH = '/opt/x:$$PATH' }")
        .code(1)
        .says("`sh` in ")
        .says("no such program in PATH, which is `/opt/x:$PATH`");
    direct(&sandbox, r#"["./absent"]"#, "")
        .code(1)
        .says("No such file");
    let file = sandbox.file("gone.toml", "tasks.t = { run = 'true', cwd = '/nowhere' }");
    sandbox
        .run(&["-f", &file])
        .code(1)
        .says("`sh` in /nowhere: there is no such folder");
}

#[test]
fn a_script_without_a_first_line_is_run_by_sh() {
    let sandbox = Sandbox::new();
    executable(&sandbox, "plain", "echo \"ran $1 as $0\"\n");
    let ended = direct(&sandbox, r#"["./plain", "it"]"#, "");
    ended.code(0);
    assert!(ended.out().starts_with("t | ran it as "), "{}", ended.out());
    executable(&sandbox, "garbage", "\u{1}\0\u{2}\n");
    direct(&sandbox, r#"["./garbage"]"#, "")
        .code(1)
        .says("neither a program for this system nor a script");
}

#[test]
fn a_command_that_begins_like_an_option_is_none() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&["-k", "--names=a,b", "--", "-e echo", "+x"]);
    // The shell looks for programs of these names.
    ended
        .code(1)
        .says("FAILED a: exit code 127 (command not found)")
        .says("FAILED b: exit code 127 (command not found)")
        .says_not("llegal option");
}

#[test]
fn a_script_may_be_longer_than_an_argument() {
    let sandbox = Sandbox::new();
    let padding = ": padding\n".repeat(30_000);
    let text = format!("{padding}cat; echo \"end of $0\"; exit 3\n");
    let file = sandbox.file("long.toml", &format!("tasks.t.run = '''\n{text}'''"));
    let ended = sandbox.run(&["-f", &file]);
    ended.code(1).says("exit code 3");
    assert_eq!(ended.out(), "t | end of sh\n");
    let long = "x".repeat(200_000);
    direct(&sandbox, &format!(r#"["echo", "{long}"]"#), "")
        .code(1)
        .says("its argument 1 has 200000 bytes, and the system takes fewer than 131072");
}

/// In a mount namespace of its own, after `first`. None where the system does not allow that.
fn after(sandbox: &Sandbox, first: &str) -> Option<Ended> {
    let text = format!("exec unshare -m sh -c '{first} && exec \"$@\"' sh \"$@\"");
    let mut shell = sandbox.by_shell(&text);
    let ended = Running::of(shell.args(["run", "true"])).ended();
    if ended.err.contains("unshare failed") || ended.err.contains("permission denied") {
        skipped(&ended.err);
        return None;
    }
    Some(ended)
}

#[test]
fn a_missing_proc_or_dev_null_is_named() {
    let sandbox = Sandbox::new();
    if let Some(ended) = after(&sandbox, "mount -t tmpfs none /proc") {
        ended
            .code(125)
            .says("/proc/self/task: ")
            .says("is /proc mounted?");
    }
    if let Some(ended) = after(&sandbox, "mount -t tmpfs none /dev") {
        ended.code(1).says("`sh`: /dev/null: No such file");
    }
}

/// All at once, or as places become free.
#[test]
fn commands_are_started_in_the_order_given() {
    let sandbox = Sandbox::new();
    let json = sandbox.word("json");
    let file: String = (0..20).map(|n| format!("tasks.t{n} = 'true'\n")).collect();
    let file = sandbox.file("tasks.toml", &file);
    let verbs: [(&str, &[&str]); 4] = [
        ("run", &["-f", &file]),
        ("run", &["-j3", "-f", &file]),
        ("run", &["true"; 20]),
        ("map", &[&["-j5", "true", ":::"], &["x"; 20][..]].concat()),
    ];
    for (verb, args) in verbs {
        let args = [&["--json", &json], args].concat();
        sandbox.verb(verb, &args).code(0);
        let started = sandbox.events_of("json", "started").into_iter();
        let ids: Vec<u64> = started.map(|line| line["id"].as_u64().unwrap()).collect();
        assert!(ids.iter().copied().eq(0..20), "{args:?}: {ids:?}");
    }
}

/// Those that wait for the same.
#[test]
fn tasks_that_come_after_another_one_are_started_in_the_order_given() {
    let sandbox = Sandbox::new();
    let mut file = "jobs = 1\n[tasks.first]\nrun = 'true'\n".to_owned();
    let numbers: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for number in &numbers {
        file += &format!("[tasks.t{number}]\nrun = 'echo {number}'\nafter = ['first']\n");
    }
    let path = sandbox.file("tasks.toml", &file);
    let ended = sandbox.run(&["-f", &path, "--prefix=none"]);
    assert_eq!(ended.code(0).out(), numbers.join("\n") + "\n");
}
