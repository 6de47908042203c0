//! What the command line and a file say about the job, and the job that follows from it.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::time::Duration;

use super::{JobRequest, Needs, Plan, Work};

/// Some parts of a job. The rest follows from the commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobOptions {
    pub(crate) nodes: Option<NonZeroU32>,
    /// On each node.
    pub(crate) cpus: Option<NonZeroU32>,
    /// In bytes, on each node.
    pub(crate) memory: Option<u64>,
    /// On each node.
    pub(crate) gpus: Option<NonZeroU32>,
    pub(crate) partition: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) time: Option<Duration>,
    pub(crate) constraint: Option<String>,
    /// More options for `salloc`.
    pub(crate) extra: Vec<OsString>,
}

impl JobOptions {
    /// These count before the others. Of the options for `salloc`, it has all, and the last one
    /// counts there.
    pub(crate) fn over(self, others: JobOptions) -> JobOptions {
        let mut extra = others.extra;
        extra.extend(self.extra);
        JobOptions {
            nodes: self.nodes.or(others.nodes),
            cpus: self.cpus.or(others.cpus),
            memory: self.memory.or(others.memory),
            gpus: self.gpus.or(others.gpus),
            partition: self.partition.or(others.partition),
            account: self.account.or(others.account),
            time: self.time.or(others.time),
            constraint: self.constraint.or(others.constraint),
            extra,
        }
    }

    /// What a command takes and this job never has, as a sentence. What is not said here is as
    /// large as the commands need it.
    pub(crate) fn lack(&self, needs: &Needs) -> Option<String> {
        let cpus = self.cpus.filter(|has| needs.cpus > *has);
        let gpus = self.gpus.filter(|has| needs.gpus > has.get());
        let nodes = self.nodes.filter(|has| needs.nodes > *has);
        let memory = self.memory.zip(needs.memory);
        let memory = memory.filter(|(has, takes)| takes > has);
        let (takes, has) = if let Some(has) = nodes {
            let takes = counted(needs.nodes.get(), "node");
            return Some(format!("takes {takes}, and the job has {has}"));
        } else if let Some(has) = cpus {
            (counted(needs.cpus.get(), "processor"), has.to_string())
        } else if let Some(has) = gpus {
            (counted(needs.gpus, "GPU"), has.to_string())
        } else if let Some((has, takes)) = memory {
            (format!("{} of memory", size(takes)), size(has))
        } else {
            return None;
        };
        Some(format!(
            "takes {takes} on a node, and the job has {has} on each"
        ))
    }

    /// The job for the commands of this plan.
    pub(crate) fn request(&self, plan: &Plan) -> JobRequest {
        self.request_for(plan.needs())
    }

    /// The job for commands that take this.
    pub(crate) fn request_for<'n>(&self, needs: impl Iterator<Item = &'n Needs>) -> JobRequest {
        let (mut nodes, mut gpus) = (NonZeroU32::MIN, 0);
        for needs in needs {
            nodes = nodes.max(needs.nodes);
            gpus = gpus.max(needs.gpus);
        }
        JobRequest {
            nodes: self.nodes.unwrap_or(nodes),
            cpus: self.cpus,
            memory: self.memory,
            gpus: self.gpus.or(NonZeroU32::new(gpus)),
            partition: self.partition.clone(),
            account: self.account.clone(),
            time: self.time,
            constraint: self.constraint.clone(),
            extra: self.extra.clone(),
        }
    }
}

impl Plan {
    /// Whether a command of the plan runs on Slurm.
    pub(crate) fn is_on_slurm(&self) -> bool {
        self.needs().next().is_some()
    }

    /// What the commands on Slurm take. A check of a service takes nothing for itself.
    fn needs(&self) -> impl Iterator<Item = &Needs> {
        let of_tasks = self.tasks.iter().map(|task| &task.work);
        let of_groups = self.groups.iter().flat_map(|group| &group.cleanup);
        let all = of_tasks.chain(of_groups);
        all.filter_map(|work: &Work| work.needs.as_deref())
    }
}

/// A number of things, in words.
pub(crate) fn counted(number: u32, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

/// As the option takes it.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("T", 40), ("G", 30), ("M", 20)];
    let whole = units.iter().find(|(_, shift)| bytes % (1 << shift) == 0);
    match whole {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn the_job_is_as_large_as_a_command_unless_it_is_said() {
        let small = Needs::default();
        let large = Needs {
            cpus: count(8),
            gpus: 2,
            nodes: count(3),
            ..Needs::default()
        };
        let both = [small, large];
        let job = JobOptions::default().request_for(both.iter());
        assert_eq!((job.nodes, job.gpus), (count(3), Some(count(2))));
        // Whole nodes have more than one command takes.
        assert_eq!((job.cpus, job.memory), (None, None));
        let said = JobOptions {
            nodes: Some(count(5)),
            gpus: Some(count(4)),
            ..JobOptions::default()
        };
        let job = said.request_for(both.iter());
        assert_eq!((job.nodes, job.gpus), (count(5), Some(count(4))));
        let job = JobOptions::default().request_for(both[..1].iter());
        assert_eq!(job, JobRequest::default());
    }

    #[test]
    fn what_a_job_never_has_is_told_with_both_numbers() {
        let job = JobOptions {
            nodes: Some(count(2)),
            cpus: Some(count(4)),
            memory: Some(8 << 30),
            gpus: Some(count(1)),
            ..JobOptions::default()
        };
        let most = Needs {
            cpus: count(4),
            memory: Some(8 << 30),
            gpus: 1,
            nodes: count(2),
            ..Needs::default()
        };
        assert_eq!(job.lack(&most), None);
        let lacks = |change: fn(&mut Needs)| {
            let mut needs = most.clone();
            change(&mut needs);
            assert_eq!(JobOptions::default().lack(&needs), None);
            job.lack(&needs).unwrap()
        };
        assert_eq!(
            lacks(|needs| needs.nodes = count(3)),
            "takes 3 nodes, and the job has 2"
        );
        assert_eq!(
            lacks(|needs| needs.cpus = count(5)),
            "takes 5 processors on a node, and the job has 4 on each"
        );
        assert_eq!(
            lacks(|needs| needs.gpus = 2),
            "takes 2 GPUs on a node, and the job has 1 on each"
        );
        assert_eq!(
            lacks(|needs| needs.memory = Some(8193 << 20)),
            "takes 8193M of memory on a node, and the job has 8G on each"
        );
    }

    #[test]
    fn options_of_the_command_line_count_first_and_those_for_slurm_add_up() {
        let line = JobOptions {
            partition: Some("short".into()),
            extra: vec!["--qos=a".into()],
            ..JobOptions::default()
        };
        let file = JobOptions {
            nodes: Some(count(2)),
            partition: Some("long".into()),
            extra: vec!["--qos=b".into()],
            ..JobOptions::default()
        };
        let both = line.over(file);
        assert_eq!(both.nodes, Some(count(2)));
        assert_eq!(both.partition.as_deref(), Some("short"));
        assert_eq!(both.extra, ["--qos=b", "--qos=a"]);
    }
}
