//! Bad input gets a clear message and exit code 2, and nothing is started.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Running, Sandbox};

#[test]
fn a_wrong_command_line_is_told_where_and_why() {
    let cases: [(&[&str], &[&str]); 13] = [
        (&["--shell", " ", "true"], &["--shell", "bash -euo"]),
        (&[""], &["command 1 is empty"]),
        (&["true", " \t\n"], &["command 2 is empty"]),
        (&["--bogus", "true"], &["--bogus", "unexpected"]),
        (&["--timeout", "soon", "true"], &["--timeout", "soon"]),
        (&["--timeout", "5", "true"], &["--timeout", "'5'", "unit"]),
        (
            &["--timeout", "0s", "true"],
            &["--timeout", "longer than zero"],
        ),
        (&["--grace=-1s", "true"], &["--grace"]),
        (
            &["--grace", "99999999999999999999999s", "true"],
            &["--grace", "99999"],
        ),
        (&["-j", "0", "true"], &["--jobs", "'0'", "no limit"]),
        (&["-j", "many", "true"], &["--jobs", "many"]),
        (&["--names", "a,b", "true"], &["--names", "2 given for 1"]),
        (
            &["--names", "a,a", "true", "true"],
            &["--names", "names 1 and 2", "\"a\""],
        ),
    ];
    for (args, parts) in cases {
        let ended = Sandbox::new().run(args);
        ended.code(2);
        for part in parts {
            ended.says(part);
        }
        assert!(ended.out.is_empty(), "{args:?}: {}", ended.out());
    }
}

#[test]
fn flags_that_do_not_go_together_or_have_no_such_value_are_told() {
    let cases: [(&[&str], &[&str]); 12] = [
        (&["--nice=x", "true"], &["from -20 to 19"]),
        (&["--nice=20", "true"], &["from -20 to 19"]),
        (
            &["--on-failure=maybe", "true"],
            &["--on-failure", "maybe", "cancel, wait, ignore"],
        ),
        (
            &["--on-failure=wait", "-k", "true"],
            &["--on-failure", "--keep-going", "cannot be used"],
        ),
        (
            &["--contain=jail", "true"],
            &["--contain", "jail", "namespace"],
        ),
        (&["-o", "loud", "true"], &["--output", "loud", "quiet"]),
        (&["--color=red", "true"], &["--color", "red", "never"]),
        (
            &["--json=a", "--resume=b", "true"],
            &["--json", "--resume", "cannot be used"],
        ),
        (&["--backoff=1s", "true"], &["--retries"]),
        (&["--retries=-1", "true"], &["--retries"]),
        (
            &["--junit=x", "--trace=x", "true"],
            &["--junit and --trace would write the same file"],
        ),
        (
            &["--names=a\tb", "true"],
            &["--names: name 1 has a control character"],
        ),
    ];
    for (args, parts) in cases {
        let ended = Sandbox::new().run(args);
        ended.code(2);
        for part in parts {
            ended.says(part);
        }
    }
}

#[test]
fn other_verbs_tell_their_usage_errors() {
    let sandbox = Sandbox::new();
    let cases: [(&str, &[&str], &str); 11] = [
        ("race", &[], "<COMMAND>"),
        ("map", &["-n0", "echo", ":::", "a"], "1 or more"),
        ("race", &["-k", "true"], "unexpected argument '-k'"),
        (
            "race",
            &["--on-failure=wait", "true"],
            "unexpected argument '--on-failure'",
        ),
        ("race", &["true", ""], "command 2 is empty"),
        ("check", &["a", "b"], "unexpected argument 'b'"),
        ("list", &["a", "-f", "b"], "cannot be used with"),
        (
            "map",
            &["--stdin=a", "echo", ":::", "a"],
            "its commands have no names yet",
        ),
        (
            "map",
            &["--shell=fish -c", "echo", ":::", "a"],
            "`fish -c` may not have",
        ),
        ("completions", &["tcsh"], "tcsh"),
        ("man", &["x"], "x"),
    ];
    for (verb, args, part) in cases {
        sandbox.verb(verb, args).code(2).says(part);
    }
}

#[test]
fn what_has_to_be_text_is_told_when_it_is_none() {
    let sandbox = Sandbox::new();
    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    for args in [
        [bytes(b"--names=\xff"), bytes(b"true")],
        [bytes(b"--timeout=\xff"), bytes(b"true")],
        [bytes(b"-j\xff"), bytes(b"true")],
        [bytes(b"--output=\xff"), bytes(b"true")],
    ] {
        sandbox.run(&args).code(2).says("invalid");
    }
    let verb = Running::of(sandbox.command().arg(bytes(b"\xff"))).ended();
    verb.code(2).says("Usage: taskgroup");
}

/// What clap itself suggests would lead astray.
#[test]
fn a_wrong_option_leads_to_the_right_one() {
    let sandbox = Sandbox::new();
    let cases: [(&[&str], &[&str]); 22] = [
        (
            &["run", "--retries", "-1", "x"],
            &["'-1' for '--retries <N>'", "0 or more"],
        ),
        (
            &["run", "--retries", "4294967296", "x"],
            &["a whole number from 0 to 4294967295"],
        ),
        (&["run", "-j", "-1", "x"], &["'-1' for '--jobs <N>'", "50%"]),
        (
            &["run", "--timeout", "-1s", "x"],
            &["'-1s' for '--timeout <DURATION>'", "90s"],
        ),
        (
            &["run", "--timeout", "300%%", "x"],
            &["above 100%", "like 300%"],
        ),
        (
            &["run", "--memfree", "-1", "x"],
            &["'-1' for '--memfree <SIZE>'", "2G"],
        ),
        (
            &["run", "--slowest", "x", "x"],
            &["'x' for '--slowest <N>'", "0 or more"],
        ),
        (
            &["run", "--pipe", "x"],
            &["'--pipe' is an option of 'taskgroup map'\n"],
        ),
        (
            &["run", "-n2", "x"],
            &["'-n' is an option of 'taskgroup map'\n"],
        ),
        (
            &["check", "--tty"],
            &["is an option of 'taskgroup run', 'taskgroup map' and 'taskgroup race'\n"],
        ),
        (
            &["race", "--task=a", "x"],
            &["'--task' is an option of 'taskgroup run'\n"],
        ),
        (
            &["-k", "run", "x"],
            &["'-k' is an option of 'taskgroup run' and 'taskgroup map'\n"],
        ),
        (&["run", "--cwd", "a", "x"], &["exists: '--directory'"]),
        (&["run", "-P4", "x"], &["exists: '--jobs'"]),
        (&["run", "--job=4", "x"], &["exists: '--jobs'"]),
        (&["run", "-x", "y"], &["'-x'", "stands after '--'"]),
        (&["run", "--shell"], &["--shell <WORDS>: The shell for"]),
        (&["completions"], &["<SHELL> is one of bash, elvish"]),
        (&["echo hi"], &["'taskgroup run' runs commands"]),
        (
            &["run", "-t", "a"],
            &["--task a: no --file was given", "no taskgroup.toml in"],
        ),
        (
            &["run", "--backoff=1s", "x"],
            &["--backoff is the pause before", "add --retries"],
        ),
        (
            &["run", "--shell=bash", "x"],
            &["'bash' for '--shell", "-c"],
        ),
    ];
    for (args, parts) in cases {
        let mut command = sandbox.command();
        command.current_dir(sandbox.path("")).args(args);
        let ended = Running::of(&mut command).ended();
        ended.code(2);
        for part in parts {
            ended.says(part);
        }
    }
}

/// File names are bytes: any name works, and errors show it readably.
#[test]
fn names_of_files_need_not_be_utf_8() {
    let sandbox = Sandbox::new();
    let name = |name: &[u8]| {
        sandbox
            .path("")
            .join(OsStr::from_bytes(name))
            .into_os_string()
    };
    let tasks = name(b"\xff.toml");
    fs::write(&tasks, "[tasks.a]\nrun = 'echo x'\n").unwrap();
    let ended = sandbox.verb("check", &[&tasks]);
    ended.code(0);
    assert!(ended.out().contains("a: echo x"));
    for flag in ["--json", "--junit", "--trace", "--report", "--resume"] {
        let file = name(format!("{flag}.").as_bytes());
        let file = [file.as_bytes(), b"\xfe"].concat();
        let args = [
            "-f".into(),
            tasks.clone(),
            flag.into(),
            OsString::from_vec(file.clone()),
        ];
        sandbox.run(&args).code(0);
        assert!(
            fs::metadata(OsStr::from_bytes(&file)).unwrap().len() > 0,
            "{flag}"
        );
    }
    fs::write(&tasks, "[tasks.a]\nrn = 'x'\n").unwrap();
    sandbox
        .verb("check", &[&tasks])
        .code(2)
        .says("\u{fffd}.toml:2:1");
    let missing = name(b"\xfd.toml");
    sandbox
        .verb("check", &[&missing])
        .code(2)
        .says("\u{fffd}.toml");
}

/// Runs as a user who may not read the file. Root may read everything, so root drops its
/// privileges.
#[test]
fn a_file_that_one_may_not_read_is_told() {
    let sandbox = Sandbox::new();
    let tasks = sandbox.file("tasks.toml", "[tasks.a]\nrun = 'true'\n");
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&tasks, fs::Permissions::from_mode(0o000)).unwrap();
    let text = "if [ \"$(id -u)\" = 0 ]; then
            exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"
        fi
        exec \"$@\"";
    // The folder of the program itself may belong to the user.
    let program = sandbox.path("program");
    // Copied by another process: a file that this process had open for writing could not be run
    // while another test forks.
    let mut copy = Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_taskgroup")).arg(&program);
    assert!(copy.status().unwrap().success());
    let verb = |args: &[&str]| {
        let mut shell = sandbox.through(Command::new("sh"));
        Running::of(shell.args(["-c", text, "sh"]).arg(&program).args(args)).ended()
    };
    verb(&["check", &tasks])
        .code(2)
        .says("cannot read")
        .says("Permission denied");
    verb(&["run", "-f", &tasks])
        .code(2)
        .says("Permission denied");
    // An unreadable record must not cause everything to run again.
    verb(&["run", "--resume", &tasks, "true"])
        .code(2)
        .says("cannot be read: Permission denied");
}

#[test]
fn nothing_is_started_when_one_command_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.run(&["touch \"$DIR/started\"", ""]).code(2);
    assert!(!sandbox.path("started").exists());
}

#[test]
fn the_help_holds_every_exit_code() {
    let ended = Sandbox::new().run(&["--help"]);
    ended.code(0);
    for code in [
        "0", "1", "2", "3", "74", "124", "125", "129", "130", "131", "141", "143",
    ] {
        let listed = ended
            .out()
            .lines()
            .any(|line| line.split_whitespace().next() == Some(code));
        assert!(listed, "{code} is not in:\n{}", ended.out());
    }
}

#[test]
fn the_bare_command_and_an_unknown_verb_are_usage_errors() {
    let sandbox = Sandbox::new();
    let bare = Running::of(&mut sandbox.command()).ended();
    bare.code(2).says("Usage: taskgroup");
    let unknown = Running::of(sandbox.command().arg("rnu")).ended();
    unknown
        .code(2)
        .says("'rnu'")
        .says("similar subcommand exists: 'run'")
        .says("Usage: taskgroup");
}

/// The page for those who come from other programs names no option that is not there.
#[test]
fn the_options_of_the_guide_are_there() {
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/guide/src/command-from.md"
    );
    let page = fs::read_to_string(page).unwrap();
    let sandbox = Sandbox::new();
    let help: String = ["run", "map", "race", "list"]
        .map(|verb| sandbox.verb(verb, &["--help"]).out().to_owned())
        .concat();
    let known: Vec<&str> = help
        .split(|c: char| c.is_whitespace() || ",[]=".contains(c))
        .filter(|word| word.starts_with('-'))
        .collect();
    let mut checked = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        // A vertical bar in a cell has a backslash before it.
        let row = row.replace("\\|", "");
        let ours = row.split('|').nth(2).unwrap();
        let codes = ours.split('`').skip(1).step_by(2);
        // A key of a file may have options of a shell.
        for code in codes.filter(|code| !code.contains(" = ")) {
            // Options of the command that is run stand between quotation marks.
            let outside: String = code.split('\'').step_by(2).collect();
            for word in outside
                .split_whitespace()
                .filter(|word| word.starts_with('-'))
            {
                assert!(known.contains(&word), "{word} in {row}");
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "{checked}");
}
