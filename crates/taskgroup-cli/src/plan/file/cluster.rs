//! The keys for a cluster: what a command takes, and the job that is asked for.

use std::ffi::OsString;
use std::net::IpAddr;

use toml::de::DeValue;

use super::fault::Fault;
use super::table::{Table, count, longer_than_zero, memory, name, number, options};
use crate::plan::{JobOptions, Needs, Ready, Service};

/// Reads what a command takes. What the table does not have stays as it is.
pub(super) fn read_needs(table: &mut Table<'_>, needs: &mut Needs, faults: &mut Vec<Fault>) {
    if let Some(cpus) = table.read("cpus", faults, number) {
        needs.cpus = cpus;
    }
    if let Some(memory) = table.read("memory", faults, memory) {
        needs.memory = Some(memory);
    }
    if let Some(gpus) = table.read("gpus", faults, count) {
        needs.gpus = gpus;
    }
    if let Some(nodes) = table.read("nodes", faults, number) {
        needs.nodes = nodes;
    }
    if let Some(constraint) = table.read("constraint", faults, name) {
        needs.constraint = Some(constraint);
    }
    if let Some(extra) = table.read("extra", faults, options_of_a_step) {
        needs.extra = extra;
    }
}

/// Options of `srun` that would change what the step is or where its streams go.
const OF_THE_RUN: [&str; 22] = [
    "--jobid",
    "--nodes",
    "-N",
    "--ntasks",
    "-n",
    "--nodelist",
    "-w",
    "--multi-prog",
    "--pty",
    "--label",
    "-l",
    "--input",
    "-i",
    "--output",
    "-o",
    "--error",
    "-e",
    "--unbuffered",
    "-u",
    "--export",
    "--chdir",
    "-D",
];

/// Options for `srun` that do not concern what the run decides.
fn options_of_a_step(value: &DeValue<'_>) -> Result<Vec<OsString>, String> {
    let found = options(value)?;
    let taken = found.iter().find_map(|option| {
        let name = option.to_str()?.split('=').next()?;
        OF_THE_RUN.into_iter().find(|taken| *taken == name)
    });
    match taken {
        Some(taken) => Err(format!("no {taken}, which the run itself decides")),
        None => Ok(found),
    }
}

/// Reads the table `slurm`.
pub(super) fn read_job(mut table: Table<'_>, faults: &mut Vec<Fault>) -> JobOptions {
    let job = JobOptions {
        nodes: table.read("nodes", faults, number),
        cpus: table.read("cpus", faults, number),
        memory: table.read("memory", faults, memory),
        gpus: table.read("gpus", faults, number),
        partition: table.read("partition", faults, name),
        account: table.read("account", faults, name),
        time: table.read("time", faults, longer_than_zero),
        constraint: table.read("constraint", faults, name),
        extra: table.read("extra", faults, options).unwrap_or_default(),
    };
    table.finish("`slurm`", faults);
    job
}

/// What the check of the service looks at, if that is on the machine that looks.
pub(super) fn checked_here(service: &Service) -> Option<&'static str> {
    let (address, what) = match &service.ready {
        Ready::Port(address) => (address, "port"),
        Ready::Http(url) => (&url.host, "URL"),
        Ready::Started | Ready::Command(_) | Ready::Line(_) => return None,
    };
    let host = address
        .rsplit_once(':')
        .map_or(&**address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_own = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    let is_here = host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_own);
    is_here.then_some(what)
}
