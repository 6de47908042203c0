//! Bad input gets a clear message and exit code 2, and nothing is started.

use crate::support::Sandbox;

#[test]
fn a_wrong_command_line_is_told_where_and_why() {
    let cases: [(&[&str], &[&str]); 13] = [
        (&[], &["<COMMAND>"]),
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
        (&["-j", "0", "true"], &["--jobs", "'0'"]),
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
    let bare = crate::support::Running::of(&mut sandbox.command()).ended();
    bare.code(2).says("Usage: taskgroup");
    let unknown = crate::support::Running::of(sandbox.command().arg("rnu")).ended();
    unknown.code(2).says("'rnu'").says("Usage: taskgroup");
}
