//! What Slurm writes about a step or a job that it has ended, or has not started, in one sentence.

/// Why a step has ended, or did not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) text: String,
    /// The node is to blame. On another one, the same command may succeed.
    pub(super) node: bool,
}

/// What stands in the messages of `srun` and of the daemon on the node, and what it means. The
/// first one that is found counts.
const MEANINGS: [(&str, &str, bool); 20] = [
    (
        "DUE TO TIME LIMIT",
        "the time limit of the job was reached",
        false,
    ),
    ("DUE TO NODE FAILURE", "node failure", true),
    ("Node failure on", "node failure", true),
    ("DUE TO PREEMPTION", "preempted by another job", true),
    ("DUE TO JOB REQUEUE", "the job was requeued", false),
    ("oom-kill", "out of memory", false),
    ("oom_kill", "out of memory", false),
    ("Out Of Memory", "out of memory", false),
    // Slurm itself watches the memory, and cancels the step.
    ("exceeded memory limit", "out of memory", false),
    (
        "CANCELLED AT",
        "cancelled by scancel, or because its job ended",
        false,
    ),
    (
        "Job/step already completing or completed",
        "its job has ended",
        false,
    ),
    ("Invalid job id", "its job has ended", false),
    // `Slurm job 7 has expired`, when a step is asked for.
    (" has expired", "its job has ended", false),
    ("Job has been revoked", "its job has ended", false),
    (
        "Communication connection failure",
        "the node does not answer",
        true,
    ),
    (
        "Unable to contact slurm controller",
        "the controller does not answer",
        false,
    ),
    (
        "Requested node configuration is not available",
        "no node of the job has what it needs",
        false,
    ),
    ("Socket timed out", "no answer in time", true),
    (
        "Zero Bytes were transmitted or received",
        "the node has cut the connection",
        true,
    ),
    // All that there is if the daemon of the step is gone too soon.
    (
        "task 0: Killed",
        "its process there was killed, as by scancel",
        false,
    ),
];

/// What these messages say about the end of a step. None if they do not say why.
pub(super) fn why(messages: &str) -> Option<Why> {
    let found = |(sign, ..): &&(&str, &str, bool)| messages.contains(sign);
    let &(_, text, node) = MEANINGS.iter().find(found)?;
    Some(Why {
        text: text.to_owned(),
        node,
    })
}

/// The last line that is no mere remark, without the name of the program.
pub(super) fn last_line(messages: &str) -> Option<String> {
    let lines = messages
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Try \""));
    let lines: Vec<&str> = lines.collect();
    let errors = lines.iter().rev().find(|line| line.contains("error:"));
    let line = errors.or_else(|| lines.last())?;
    let text = line.rsplit_once("error: ").map_or(*line, |(_, text)| text);
    let by = ["srun: ", "salloc: "];
    let text = by
        .iter()
        .find_map(|by| text.strip_prefix(by))
        .unwrap_or(text);
    Some(text.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_slurm_is_found_among_its_messages() {
        let limit = "slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-11-28T10:00:00 DUE \
                     TO TIME LIMIT ***\nsrun: error: n1: task 0: Terminated\n";
        assert_eq!(
            why(limit).unwrap().text,
            "the time limit of the job was reached"
        );
        let ended = why("srun: error: Slurm job 98 has expired\n").unwrap();
        assert_eq!(ended.text, "its job has ended");
        let node = why("srun: error: Node failure on n2\n").unwrap();
        assert!(node.node, "{node:?}");
        assert_eq!(
            why("srun: error: n1: task 0: Exited with exit code 2"),
            None
        );
    }

    #[test]
    fn what_has_no_known_word_is_quoted() {
        let text = "salloc: Pending job allocation 3\n\
                    salloc: error: Job submit/allocate failed: Invalid partition name specified\n";
        let quoted = last_line(text).unwrap();
        assert_eq!(
            quoted,
            "Job submit/allocate failed: Invalid partition name specified"
        );
        let unknown = "srun: unrecognized option '--bad'\n\
                       Try \"srun --help\" for more information\n";
        assert_eq!(last_line(unknown).unwrap(), "unrecognized option '--bad'");
        assert_eq!(last_line("\n \n"), None);
    }
}
