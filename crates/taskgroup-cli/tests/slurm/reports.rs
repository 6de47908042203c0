//! The reports have the node, and are the same otherwise.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::runs::{Running, events};

const FILE: &str = r#"
    on-failure = "wait"
    tasks.good = "echo good"
    tasks.bad = "echo bad >&2; exit 3"
    tasks.killed = "kill -SEGV $$"
    tasks.missing = ["./missing"]
    [tasks.late]
    run = "exit 0"
    after = ["bad"]
    [tasks.retried]
    run = "test $TASKGROUP_ATTEMPT = 2"
    retries = 1
"#;

/// The ends of the tasks, sorted, without places and times.
fn ends(text: &str) -> Vec<String> {
    let mut ends = events(text, "ended");
    for end in &mut ends {
        strip(end);
        for earlier in end["earlier"].as_array_mut().into_iter().flatten() {
            strip(earlier);
        }
    }
    let mut ends: Vec<_> = ends.iter().map(Value::to_string).collect();
    ends.sort();
    ends
}

fn strip(end: &mut Value) {
    let end = end.as_object_mut().unwrap();
    for name in ["at", "began", "ran", "node", "id"] {
        end.remove(name);
    }
}

/// Issue 15: the same file has the same report here and on Slurm, but for nodes and times.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn the_same_file_has_the_same_report_here_and_on_slurm() {
    let mut cluster = Cluster::start();
    cluster.file(FILE);
    let mut here = cluster.command();
    here.args(["run", "--json=here", "--junit=here.xml"]);
    let here = cluster.end_of(Running::of(&mut here));
    let there = cluster.run(&["run", "--json=there", "--junit=there.xml", "--joblog=log"]);
    assert_eq!(here.status, there.status);
    let events = cluster.read("there");
    assert!(events.contains(r#""node":"n1""#), "{events}");
    let places = ["on node n1: ", " on n1"];
    let ends = |name: &str| {
        let text = places
            .iter()
            .fold(cluster.read(name), |text, at| text.replace(at, ""));
        ends(&text)
    };
    assert_eq!(ends("here"), ends("there"));
    let junit = cluster.read("there.xml");
    assert!(
        junit.contains(r#"<property name="node" value="n1""#),
        "{junit}"
    );
    assert!(cluster.read("log").contains("\tn1\t"));
    cluster.left_nothing();
}
