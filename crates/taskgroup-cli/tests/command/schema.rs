//! `taskgroup schema`: what it accepts is what the command accepts.
//!
//! The validator knows the words of JSON schema that the schema uses, and refuses others.

use serde_json::Value;

use crate::support::Sandbox;

fn schema() -> Value {
    let ended = Sandbox::new().verb("schema", &[""; 0]);
    ended.code(0);
    serde_json::from_str(ended.out()).unwrap()
}

/// Whether `value` is valid.
fn valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let words = schema.as_object().unwrap().iter();
    words.fold(true, |so_far, (word, of)| {
        so_far
            && match word.as_str() {
                "$schema" | "title" | "description" | "definitions" => true,
                "$ref" => {
                    let name = of.as_str().unwrap().strip_prefix("#/definitions/").unwrap();
                    valid(root, &root["definitions"][name], value)
                }
                "type" => match of {
                    Value::Array(all) => all.iter().any(|one| is(one, value)),
                    one => is(one, value),
                },
                "anyOf" => of
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|one| valid(root, one, value)),
                "allOf" => of
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|one| valid(root, one, value)),
                "not" => !valid(root, of, value),
                "enum" => of.as_array().unwrap().contains(value),
                "const" => of == value,
                "pattern" => value
                    .as_str()
                    .is_none_or(|text| matches(of.as_str().unwrap(), text)),
                "minimum" => value
                    .as_i64()
                    .is_none_or(|number| number >= of.as_i64().unwrap()),
                "maximum" => value
                    .as_i64()
                    .is_none_or(|number| number <= of.as_i64().unwrap()),
                "maxItems" => value
                    .as_array()
                    .is_none_or(|list| list.len() as u64 <= of.as_u64().unwrap()),
                "minItems" => value
                    .as_array()
                    .is_none_or(|list| list.len() as u64 >= of.as_u64().unwrap()),
                "uniqueItems" => value.as_array().is_none_or(|list| {
                    assert_eq!(of, &Value::Bool(true));
                    (1..list.len()).all(|at| !list[..at].contains(&list[at]))
                }),
                "items" => value
                    .as_array()
                    .is_none_or(|list| list.iter().all(|item| valid(root, of, item))),
                "maxProperties" => value
                    .as_object()
                    .is_none_or(|table| table.len() as u64 <= of.as_u64().unwrap()),
                "minProperties" => value
                    .as_object()
                    .is_none_or(|table| table.len() as u64 >= of.as_u64().unwrap()),
                "required" => value.as_object().is_none_or(|table| {
                    let names = of.as_array().unwrap().iter();
                    names
                        .into_iter()
                        .all(|name| table.contains_key(name.as_str().unwrap()))
                }),
                "propertyNames" => value.as_object().is_none_or(|table| {
                    table
                        .keys()
                        .all(|key| valid(root, of, &Value::from(key.as_str())))
                }),
                "properties" => value.as_object().is_none_or(|table| {
                    let known = |(key, value): (&String, &Value)| {
                        of.get(key).is_none_or(|schema| valid(root, schema, value))
                    };
                    table.iter().all(known)
                }),
                "additionalProperties" => value.as_object().is_none_or(|table| {
                    let mut more = table
                        .iter()
                        .filter(|(key, _)| schema["properties"].get(key.as_str()).is_none());
                    match of {
                        Value::Bool(false) => more.next().is_none(),
                        of => more.all(|(_, value)| valid(root, of, value)),
                    }
                }),
                other => panic!("the validator does not know {other}"),
            }
    })
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("the validator does not know the type {other}"),
    }
}

/// By the system's grep: patterns of JSON schema without look-around are those of Perl.
fn matches(pattern: &str, text: &str) -> bool {
    let mut grep = std::process::Command::new("grep");
    grep.args(["-qzP", pattern])
        .stdin(std::process::Stdio::piped());
    let mut grep = grep.spawn().unwrap();
    let mut stdin = grep.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, text.as_bytes()).unwrap();
    drop(stdin);
    let status = grep.wait().unwrap();
    assert!(status.code() < Some(2), "grep failed for {pattern}");
    status.success()
}

/// A file and whether it is right.
const FILES: &[(&str, bool)] = &[
    ("[tasks.a]\nrun = 'x'\n", true),
    ("tasks.a = 'x'\ntasks.b = ['x', 'y']\n", true),
    (
        "jobs = 1\ndeadline = '1h 30m'\npolicy = 'race'\non-failure = 'wait'\n\
         cleanup = ['x', ['y']]\ncleanup-timeout = '2s'\nshell = 'bash -c'\ncwd = 'x'\nenv = { A = 'x', B = false }\n\
         timeout = '500ms'\nretries = 0\nbackoff = '0s'\ngrace = '0s'\ntasks.a = 'x'\n",
        true,
    ),
    (
        "[groups.g]\ndescription = 'd'\nafter = ['a']\ntasks.b = { run = 'x', after = ['a'], \
         matrix = { v = [1, 'x', true] }, description = 'd', on-failure = 'ignore' }\n\
         groups.h.tasks.c = 'x'\n[tasks.a]\nrun = 'x'\n",
        true,
    ),
    (
        "when-one-ends = 'stop'\n[tasks.db]\nrun = 'x'\nservice = true\n\
         ready = { port = 5432 }\nready-timeout = '1.5s'\n\
         restart = { on = 'always', backoff = '1s', limit = 3 }\n\
         [tasks.web]\nrun = 'x'\nservice = true\nready = { http = 'http://localhost/x' }\n\
         restart = 'failure'\n\
         [tasks.c]\nrun = 'x'\nservice = true\nready.line = 'up'\n\
         [tasks.d]\nrun = 'x'\nservice = true\nready = { command = ['x'] }\n\
         [tasks.e]\nrun = 'x'\nservice = true\nready.port = 'db.local:5432'\n",
        true,
    ),
    (
        "jobs = '50%'\ntimeout = '300%'\ntasks.a = { run = 'x', timeout = '101%' }\n\
         tasks.b = { run = 'x', timeout = '1000%' }\n",
        true,
    ),
    (
        "on = 'slurm'\nmemory = '500M'\njobs = '50%'\n\
         [slurm]\nnodes = 2\ncpus = 8\nmemory = '2GiB'\ngpus = 1\npartition = 'p'\n\
         account = 'a'\ntime = '1h 30m'\nconstraint = 'a|b'\nextra = ['--qos=x', '-v']\n\
         [tasks.a]\nrun = 'x'\non = 'local'\n\
         [groups.g]\non = 'slurm'\ncpus = 4\nmemory = '1G'\ngpus = 0\nnodes = 2\n\
         constraint = 'c'\nextra = []\ntasks.b = { run = 'x', gpus = 1, extra = ['--x=1 2'] }\n",
        true,
    ),
    ("slurm = {}\ntasks.a = 'x'\n", true),
    ("on = 'cluster'\ntasks.a = 'x'\n", false),
    ("cpus = 0\ntasks.a = 'x'\n", false),
    ("nodes = 0\ntasks.a = 'x'\n", false),
    ("gpus = -1\ntasks.a = 'x'\n", false),
    ("memory = 2\ntasks.a = 'x'\n", false),
    ("memory = '2'\ntasks.a = 'x'\n", false),
    ("memory = '0G'\ntasks.a = 'x'\n", false),
    ("memory = '2K'\ntasks.a = 'x'\n", false),
    ("constraint = ' '\ntasks.a = 'x'\n", false),
    ("extra = '--qos=x'\ntasks.a = 'x'\n", false),
    ("extra = ['--qos', 'x']\ntasks.a = 'x'\n", false),
    ("extra = ['--']\ntasks.a = 'x'\n", false),
    ("slurm = 'x'\ntasks.a = 'x'\n", false),
    ("slurm.nodes = 0\ntasks.a = 'x'\n", false),
    ("slurm.gpus = 0\ntasks.a = 'x'\n", false),
    ("slurm.partition = ''\ntasks.a = 'x'\n", false),
    ("slurm.time = '0s'\ntasks.a = 'x'\n", false),
    ("slurm.timeout = '1s'\ntasks.a = 'x'\n", false),
    ("tasks.a = { run = 'x', partition = 'p' }\n", false),
    ("tasks.a = { run = 'x', slurm = {} }\n", false),
    ("groups.g = { slurm = {}, tasks.a = 'x' }\n", false),
    ("tasks.on = 'slurm'\n", false),
    ("tasks.memory = '2G'\n", false),
    ("tasks.extra = ['--x']\n", false),
    ("tasks.slurm = { nodes = 2 }\n", false),
    (
        "tasks.nodes = 'x'\ntasks.slurm = 'x'\ntasks.on = 'x'\ntasks.partition = 'x'\n\
         tasks.memory = { run = 'free' }\n",
        true,
    ),
    // The name of a key may be the name of a task.
    (
        "tasks.cwd = { run = 'pwd' }\ntasks.timeout = 'x'\ntasks.after = 'x'\ntasks.run = 'x'\n\
         tasks.policy = 'x'\ntasks.cleanup = 'x'\n",
        true,
    ),
    ("tasks.cwd = 'x'\n", false),
    ("tasks.timeout = '5m'\n", false),
    ("tasks.timeout = '300%'\n", false),
    ("tasks.backoff = '0s'\n", false),
    ("tasks.after = ['x']\n", false),
    ("tasks.policy = 'race'\n", false),
    ("tasks.restart = 'always'\n", false),
    ("shell = 'bash'\ntasks.a = 'x'\n", false),
    ("shell = ['/bin/sh']\ntasks.a = 'x'\n", false),
    ("shell = ['bash', '-c']\ntasks.a = 'x'\n", true),
    ("shell = 'python3'\ntasks.a = 'x'\n", true),
    ("jobs = '0%'\ntasks.a = 'x'\n", false),
    ("jobs = '50'\ntasks.a = 'x'\n", false),
    ("timeout = '100%'\ntasks.a = 'x'\n", false),
    ("timeout = '99%'\ntasks.a = 'x'\n", false),
    ("deadline = '300%'\ntasks.a = 'x'\n", false),
    ("tasks.a = { run = 'x', service = 'yes' }\n", false),
    (
        "tasks.a = { run = 'x', service = true, ready = {} }\n",
        false,
    ),
    (
        "tasks.a = { run = 'x', service = true, ready = { port = 1, line = 'x' } }\n",
        false,
    ),
    (
        "tasks.a = { run = 'x', service = true, ready = { port = 0 } }\n",
        false,
    ),
    (
        "tasks.a = { run = 'x', service = true, ready = { port = 'x' } }\n",
        false,
    ),
    (
        "tasks.a = { run = 'x', service = true, ready = { http = 'https://x' } }\n",
        false,
    ),
    (
        "tasks.a = { run = 'x', service = true, ready = { line = '' } }\n",
        false,
    ),
    (
        "tasks.a = { run = 'x', service = true, ready-timeout = '0s' }\n",
        false,
    ),
    (
        "tasks.a = { run = 'x', service = true, restart = 'never' }\n",
        false,
    ),
    (
        "tasks.a = { run = 'x', service = true, restart = { limit = 1 } }\n",
        false,
    ),
    ("when-one-ends = 'go'\ntasks.a = 'x'\n", false),
    ("[tasks.a]\n", false),
    ("tasks.a = 5\n", false),
    ("tasks.a = ' '\n", false),
    ("tasks.a = []\n", false),
    ("[tasks.a]\nrun = 'x'\nrunn = 'x'\n", false),
    ("after = ['a']\ntasks.a = 'x'\n", false),
    ("description = 'a'\ntasks.a = 'x'\n", false),
    ("jobs = 0\ntasks.a = 'x'\n", false),
    ("deadline = '0s'\ntasks.a = 'x'\n", false),
    ("deadline = '5'\ntasks.a = 'x'\n", false),
    ("retries = -1\ntasks.a = 'x'\n", false),
    ("on-failure = 'stop'\ntasks.a = 'x'\n", false),
    ("policy = 'first'\ntasks.a = 'x'\n", false),
    ("tasks.'a/b' = 'x'\n", false),
    ("env = { A = true }\ntasks.a = 'x'\n", false),
    ("env = { 'A=B' = 'x' }\ntasks.a = 'x'\n", false),
    ("tasks.a = { run = 'x', matrix = {} }\n", false),
    ("tasks.a = { run = 'x', matrix = { v = [] } }\n", false),
    ("tasks.a = { run = 'x', matrix = { 'v-w' = [1] } }\n", false),
    (
        "tasks.a = { run = 'x', matrix = { v = [1, 2, 1] } }\n",
        false,
    ),
    ("tasks.a = { run = 'x', jobs = 1 }\n", false),
    ("cwd = ''\ntasks.a = 'x'\n", false),
    (
        "tasks.a = { run = 'x', service = true, ready.port = 'x y:5' }\n",
        false,
    ),
];

#[test]
fn the_schema_accepts_what_the_command_accepts() {
    let schema = schema();
    let sandbox = Sandbox::new();
    for (text, right) in FILES {
        let path = sandbox.file("tasks.toml", text);
        let checked = sandbox.verb("check", &[&path]);
        assert_eq!(
            checked.code,
            Some(if *right { 0 } else { 2 }),
            "{text}\n{}",
            checked.err
        );
        let file: toml::Table = toml::from_str(text).unwrap();
        let file = serde_json::to_value(file).unwrap();
        assert_eq!(valid(&schema, &schema, &file), *right, "{text}");
    }
}

#[test]
fn the_manual_has_every_key() {
    let schema = schema();
    let page = Sandbox::new().verb("man", &["run"]);
    for of in [
        &schema,
        &schema["definitions"]["group"],
        &schema["definitions"]["task"]["anyOf"][1],
    ] {
        let keys = of["properties"].as_object().unwrap();
        assert!(keys.len() > 10);
        for key in keys.keys() {
            let heading = format!("\\fB{}\\fR [", key.replace('-', "\\-"));
            assert!(page.out().contains(&heading), "no {heading}");
        }
    }
}
