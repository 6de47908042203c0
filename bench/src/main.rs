//! `taskgroup` measured side by side with its peers: all programs in one process, in turn, several times over.
//!
//! `cargo run --release -p taskgroup-bench -- --help` says what can be asked for.

mod measure;
mod peers;
mod row;
mod stats;
mod table;
mod work;

use clap::Parser;

use measure::{Flavour, Plan};
use row::Row;

/// taskgroup measured side by side with its peers.
#[derive(Parser)]
struct Arguments {
    /// Only these kinds of work
    #[arg(long, value_delimiter = ',')]
    only: Vec<Row>,
    /// Only these sizes (a depth for nested)
    #[arg(long, value_delimiter = ',')]
    n: Vec<usize>,
    /// Only these contenders
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Only these places to run
    #[arg(long, value_delimiter = ',')]
    flavour: Vec<Flavour>,
    /// How often each program is measured
    #[arg(long, value_name = "COUNT")]
    reps: Option<usize>,
    /// Workers of the multi-thread runtime
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Small sizes, few repetitions: shows that everything works, in under a minute
    #[arg(long)]
    quick: bool,
}

impl Arguments {
    fn plan(&self) -> Plan {
        Plan {
            rows: or_all(&self.only, Row::ALL),
            flavours: or_all(&self.flavour, Flavour::ALL),
            sizes: self.n.clone(),
            peers: self.peers.clone(),
            repetitions: self.reps.unwrap_or(if self.quick { 1 } else { 7 }),
            workers: self.workers,
            quick: self.quick,
        }
    }
}

fn or_all<T: Copy>(given: &[T], all: &[T]) -> Vec<T> {
    if given.is_empty() { all } else { given }.to_vec()
}

fn main() {
    let arguments = Arguments::parse();
    measure::measure(&arguments.plan(), table::print);
}
