//! Where commands run, as the command line and the file say it. Nothing here needs a cluster: what
//! is wrong is refused before the start, and the tree shows what is right.

use crate::support::{Ended, Running, Sandbox};

/// What `check` shows.
fn tree(file: &str) -> String {
    let sandbox = Sandbox::new();
    let file = sandbox.file("tasks.toml", file);
    let ended = sandbox.verb("check", &[&file]);
    ended.code(0);
    ended.out().to_owned()
}

/// What would be run with these options.
fn planned(file: &str, options: &[&str]) -> Ended {
    let sandbox = Sandbox::new();
    let file = sandbox.file("tasks.toml", file);
    sandbox.run(&[&["--dry-run", "-f", &file][..], options].concat())
}

#[track_caller]
fn refused(args: &[&str], parts: &[&str]) {
    let sandbox = Sandbox::new();
    let ended = Running::of(sandbox.command().args(args)).ended();
    ended.code(2);
    for part in parts {
        ended.says(part);
    }
    assert!(ended.out.is_empty(), "{args:?}: {}", ended.out());
}

/// The errors of a file, and how each one goes on.
#[track_caller]
fn wrong(file: &str, parts: &[&str]) {
    let sandbox = Sandbox::new();
    let path = sandbox.file("tasks.toml", file);
    let ended = sandbox.verb("check", &[&path]);
    ended.code(2);
    for part in parts {
        ended.says(part);
    }
}

#[test]
fn an_option_for_a_cluster_alone_is_refused() {
    for option in [
        "--cpus=2",
        "--memory=2G",
        "--gpus=1",
        "--nodes=2",
        "--partition=p",
        "--account=a",
        "--constraint=c",
        "--time=1h",
        "--slurm=--qos=x",
    ] {
        let flag = option.split('=').next().unwrap();
        let told = format!("{flag} is for commands on a cluster: add --on slurm");
        for args in [
            &["run", option, "true"][..],
            &["run", option, "--on=local", "true"],
            &["race", option, "true"],
            &["map", option, "echo", ":::", "a"],
        ] {
            refused(args, &[&told]);
        }
        planned("tasks.a = 'x'\n", &[option]).code(2).says(&told);
        // The file says it.
        planned("on = 'slurm'\ntasks.a = 'x'\n", &[option]).code(0);
        planned("tasks.a = 'x'\n", &[option, "--on=slurm"]).code(0);
        // Of what is named, nothing runs there.
        let mixed = "tasks.a = 'x'\ntasks.b = { run = 'x', on = 'slurm' }\n";
        planned(mixed, &[option, "a"]).code(2).says(&told);
        planned(mixed, &[option, "b"]).code(0);
    }
    refused(
        &["map", "--items-per-step=2", "echo", ":::", "a"],
        &["--items-per-step is for commands on a cluster: add --on slurm"],
    );
}

#[test]
fn a_wrong_value_is_told_how_to_be_right() {
    for (option, part) in [
        ("--cpus=0", "1 or more"),
        ("--cpus=-1", "1 or more"),
        ("--nodes=x", "1 or more"),
        ("--gpus=-1", "0 or more"),
        ("--memory=2", "with its unit, like 500M or 2G"),
        ("--memory=2048K", "with its unit, like 500M or 2G"),
        ("--partition= ", "it is empty"),
        ("--account=a\nb", "control character"),
        ("--time=2", "2s, 2m or 2h"),
        ("--time=0s", "--time must be longer than zero"),
        ("--slurm=qos=x", "like --qos=long"),
        ("--slurm=--", "like --qos=long"),
    ] {
        refused(&["run", "--on=slurm", option, "true"], &[part]);
    }
    refused(&["run", "--on=cluster", "true"], &["local, slurm"]);
    let map = ["map", "--on=slurm", "--items-per-step=0", "x", ":::", "a"];
    refused(&map, &["1 or more"]);
}

#[test]
fn an_option_of_slurm_leads_to_the_one_here() {
    for (theirs, ours) in [
        ("--mem=2G", "--memory"),
        ("--cpus-per-task=2", "--cpus"),
        ("--gres=gpu:1", "--gpus"),
        ("--queue=x", "--partition"),
        ("--qos=x", "--slurm"),
    ] {
        refused(&["run", theirs, "true"], &[&format!("exists: '{ours}'")]);
    }
    refused(
        &["run", "--items-per-step=2", "true"],
        &["'--items-per-step' is an option of 'taskgroup map'"],
    );
}

#[test]
fn an_option_about_this_machine_is_refused_on_a_cluster() {
    for (option, parts) in [
        ("--load=4", ["--load looks at this machine", "--on local"]),
        (
            "--memfree=1G",
            ["--memfree looks at this machine", "--on local"],
        ),
        (
            "--jobs=50%",
            ["--jobs: a share of the processors", "write a number"],
        ),
    ] {
        refused(&["run", "--on=slurm", option, "true"], &parts);
        refused(&["race", "--on=slurm", option, "true"], &parts);
        refused(&["map", "--on=slurm", option, "x", ":::", "a"], &parts);
        let ended = planned("on = 'slurm'\ntasks.a = 'x'\n", &[option]);
        ended.code(2).says(parts[0]);
        planned("on = 'slurm'\ntasks.a = 'x'\n", &[option, "--on=local"]).code(0);
    }
    refused(
        &["run", "--on=slurm", "--tty", "--names=a,b", "x", "y"],
        &["--tty: `a` runs on a node of the cluster", "no terminal"],
    );
    refused(
        &["map", "--on=slurm", "--tty", "x", ":::", "a"],
        &["--tty: the command runs on a node"],
    );
    let mixed = "tasks.a = 'x'\ntasks.b = { run = 'x', on = 'slurm' }\n";
    let ended = planned(mixed, &["--tty=a,b"]);
    ended.code(2).says("--tty: `b` runs on a node");
    planned(mixed, &["--tty"]).code(2).says("--tty: `b` runs");
    planned(mixed, &["--tty=a"]).code(0);
    planned(mixed, &["--tty", "--on=local"]).code(0);
}

#[test]
fn commands_of_the_command_line_are_printed_as_they_are() {
    let sandbox = Sandbox::new();
    let options = [
        "--dry-run",
        "--on=slurm",
        "--cpus=2",
        "--memory=1G",
        "--gpus=1",
        "--nodes=2",
        "--partition=p",
        "--slurm",
        "--qos=long",
        "--slurm=-v",
    ];
    let run = sandbox.verb("run", &[&options[..], &["echo a"]].concat());
    assert_eq!(run.code(0).out(), "echo a\n");
    let map = [&options[..], &["--items-per-step=5", "echo", ":::", "a"]].concat();
    sandbox.verb("map", &map).code(0);
}

const FILE: &str = "
on = 'slurm'
memory = '2G'
jobs = '50%'
cleanup = ['x']

[slurm]
partition = 'long'
time = '2h'
extra = ['--qos=long']

[tasks.a]
run = 'x'
cpus = 8
gpus = 2
nodes = 3
extra = ['--hint=x']

[groups.g]
on = 'local'
tasks.b = 'x'
tasks.c = { run = 'x', on = 'slurm', memory = '1536M' }

[groups.m]
cpus = 4
extra = ['--licenses=${v}']
constraint = 'c'
tasks.d = { run = 'x', matrix = { v = ['x86', 'arm'] }, constraint = '${v}&fast' }
";

#[test]
fn keys_are_passed_down_and_a_matrix_fills_them() {
    let shown = tree(FILE);
    let expected = "\
run  [1 step of cleanup; job of 3 whole nodes, 2 gpus, partition long, time 2h, --qos=long]
├─ a: x  [on slurm: 8 cpus, 2G, 2 gpus, each of 3 nodes, --hint=x]
├─ g/
│  ├─ b: x
│  └─ c: x  [on slurm: 1 cpu, 1536M]
└─ m/
   └─ d/
      ├─ x86: x  [on slurm: 4 cpus, 2G, x86&fast, --licenses=x86]
      └─ arm: x  [on slurm: 4 cpus, 2G, arm&fast, --licenses=arm]
";
    assert_eq!(shown, expected);
}

#[test]
fn the_command_line_counts_before_the_file() {
    let options = ["--nodes=4", "--time=1h", "--slurm=--qos=short", "--cpus=2"];
    let options = [&options[..], &["--gpus=0", "--memory=1G", "-j3"]].concat();
    let ended = planned(FILE, &options);
    let job = "[3 at a time; 1 step of cleanup; job of 4 whole nodes, partition long, time 1h, \
               --qos=long, --qos=short]";
    let shown = ended.code(0).out();
    assert!(shown.contains(job), "{shown}");
    let task = "a: x  [on slurm: 2 cpus, 1G, each of 3 nodes, --hint=x]";
    assert!(shown.contains(task), "{shown}");
    assert!(shown.contains("c: x  [on slurm: 2 cpus, 1G]"), "{shown}");
}

#[test]
fn the_same_file_runs_here_and_there() {
    let here = planned(FILE, &["--on=local"]);
    let shown = here.code(0).out();
    assert!(
        !shown.contains("slurm") && !shown.contains("job of"),
        "{shown}"
    );
    assert!(shown.contains(" at a time"), "{shown}");
    // What says that it runs here stays here.
    let file = FILE.replace("on = 'slurm'\nmemory", "memory");
    let there = planned(&file, &["--on=slurm"]);
    assert_eq!(there.code(0).out(), tree(FILE));
    // The word of the file as a whole is what the option replaces.
    let file = FILE.replace("on = 'slurm'\nmemory", "on = 'local'\nmemory");
    let there = planned(&file, &["--on=slurm"]);
    assert_eq!(there.code(0).out(), tree(FILE));
    assert!(!tree(&file).contains("a: x  [on slurm"));
}

#[test]
fn the_job_is_as_large_as_what_is_named_needs() {
    let ended = planned(FILE, &["m/d/arm"]);
    let shown = ended.code(0).out();
    assert!(shown.contains("job of 1 whole node, partition"), "{shown}");
}

#[test]
fn a_command_that_the_job_can_never_hold_is_refused() {
    let job = "[slurm]\nnodes = 2\ncpus = 4\nmemory = '8G'\ngpus = 1\n";
    let help = "let it take less, or ask for more in `[slurm]`";
    for (key, told) in [
        (
            "cpus = 5",
            "takes 5 processors on a node, and the job has 4 on each",
        ),
        (
            "memory = '9G'",
            "takes 9G of memory on a node, and the job has 8G on each",
        ),
        (
            "gpus = 2",
            "takes 2 GPUs on a node, and the job has 1 on each",
        ),
        ("nodes = 3", "takes 3 nodes, and the job has 2"),
    ] {
        let file = format!("{job}[groups.g.tasks.big]\nrun = 'x'\n{key}\n");
        let told = format!("the task `g/big` {told}");
        wrong(&format!("on = 'slurm'\n{file}"), &[&told, help]);
        // On this machine the key does not count.
        assert!(tree(&file).contains("big: x\n"));
        planned(&file, &["--on=slurm"]).code(2).says(&told);
        let brief = format!("on = 'slurm'\n{key}\n{job}tasks.b = 'x'\n");
        wrong(
            &brief.replace("tasks.b", "[tasks]\nb"),
            &["the task `b` takes"],
        );
        let in_group = format!("{job}[groups.g]\non = 'slurm'\n{key}\ncleanup = ['x']\n");
        let in_group = format!("{in_group}tasks.c = {{ run = 'x', on = 'local' }}\n");
        wrong(&in_group, &["the cleanup of the group `g` takes"]);
    }
    // The options count here, too.
    let file = format!("{job}[tasks.a]\nrun = 'x'\nnodes = 3\n");
    planned(&file, &["--on=slurm", "--nodes=3"]).code(0);
    planned(&file, &["--on=slurm", "--nodes=3", "--cpus=5"])
        .code(2)
        .says("the task `a` takes 5 processors");
    planned(&file, &["--on=slurm", "--nodes=1"])
        .code(2)
        .says("the task `a` takes 3 nodes, and the job has 1");
}

#[test]
fn a_key_of_the_job_in_a_task_leads_to_its_table() {
    for (key, more) in [
        ("partition = 'p'", ""),
        ("account = 'a'", ""),
        ("time = '1h'", "; a limit for one command is `timeout`"),
    ] {
        let name = key.split(' ').next().unwrap();
        let told = format!("`{name}` is about the job as a whole: write it in `[slurm]`{more}\n");
        wrong(&format!("[tasks.a]\nrun = 'x'\n{key}\n"), &[&told]);
        wrong(&format!("[groups.g]\n{key}\ntasks.a = 'x'\n"), &[&told]);
        let told = format!("`{name}` belongs to `slurm`: `slurm = {{ {name} = … }}`");
        wrong(&format!("{key}\ntasks.a = 'x'\n"), &[&told]);
    }
    for (file, told) in [
        (
            "[tasks.a]\nrun = 'x'\nslurm = { nodes = 2 }\n",
            "`slurm` belongs to the file, as a table of its own",
        ),
        ("[tasks.slurm]\nnodes = 2\n", "`slurm` belongs to the file"),
        (
            "[tasks.a]\nrun = 'x'\nmem = '2G'\n",
            "did you mean `memory`?",
        ),
        ("[tasks.a]\nrun = 'x'\ncores = 2\n", "did you mean `cpus`?"),
        (
            "[slurm]\nqueue = 'x'\n[tasks.a]\nrun = 'x'\n",
            "did you mean `partition`?",
        ),
        (
            "[slurm]\ntimeout = '1h'\n[tasks.a]\nrun = 'x'\n",
            "`timeout` is no key of `slurm`",
        ),
        (
            "[tasks.a]\nrun = 'x'\nservice = true\non = 'failure'\n",
            "or `restart = { on = \"failure\" }`",
        ),
        ("memory = 2\ntasks.a = 'x'\n", "a size with its unit, like"),
        (
            "extra = '-x'\ntasks.a = 'x'\n",
            "a list of options with their values",
        ),
        (
            "extra = ['--hint=x', '--output=none']\ntasks.a = 'x'\n",
            "no --output, which the run itself decides",
        ),
        ("slurm = 2\ntasks.a = 'x'\n", "a table, like { nodes = 2 }"),
    ] {
        wrong(file, &[told]);
    }
}

#[test]
fn a_service_on_a_node_is_not_looked_for_on_this_machine() {
    let service = |keys: &str| format!("[tasks.db]\nrun = 'x'\nservice = true\n{keys}\n");
    for (ready, what) in [
        ("port = 5432", "this port is of this machine"),
        ("port = 'localhost:5432'", "this port is of this machine"),
        ("port = '127.0.0.1:5432'", "this port is of this machine"),
        ("port = '[::1]:5432'", "this port is of this machine"),
        ("http = 'http://LOCALHOST/'", "this URL is of this machine"),
        (
            "http = 'http://127.0.0.1:80/x'",
            "this URL is of this machine",
        ),
        ("http = 'http://[::1]/'", "this URL is of this machine"),
    ] {
        let file = service(&format!("ready = {{ {ready} }}"));
        let told = "the service `db` runs on a node of the cluster";
        let parts = [told, what, "`ready = { line = \"…\" }`", "`on = \"local\"`"];
        wrong(&format!("on = 'slurm'\n{file}"), &parts);
        planned(&file, &["--on=slurm"]).code(2).says(told);
        assert!(tree(&file).contains("[service]"));
        // The way out is one.
        let here = format!("{file}on = 'local'\n");
        planned(&here, &["--on=slurm"]).code(0);
    }
    for ready in [
        "port = 'db.cluster:5432'",
        "http = 'http://10.0.0.1/'",
        "line = 'up'",
        "command = 'x'",
    ] {
        let file = service(&format!("on = 'slurm'\nready = {{ {ready} }}"));
        assert!(tree(&file).contains("service; on slurm: 1 cpu"), "{ready}");
    }
}
