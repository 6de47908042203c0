//! The table on the terminal.

use crate::report::{LeftOut, Series};

/// Prints the contenders of one row, flavour and size. Rows of the same run follow each other.
pub(crate) fn print(series: &[Series]) {
    for table in series.chunk_by(|one, other| one.row == other.row) {
        print_one(table);
    }
}

fn print_one(series: &[Series]) {
    let Some(first) = series.first() else {
        return;
    };
    let (row, flavour, n, unit) = (&first.row, &first.flavour, first.n, &first.unit);
    println!("\n{row}, {flavour}, n = {n}: {unit}");
    let yardstick = first.yardstick().unwrap_or_default();
    let ratio = format!("÷ {yardstick}");
    let waits = if first.p99.is_some() { "p99" } else { "" };
    let (median, min, max) = ("median", "min", "max");
    println!(
        "  {:<20} {median:>12} {min:>12} {max:>12} {ratio:>12} {waits:>12}",
        ""
    );
    for one in series {
        let ratio = one
            .ratio
            .map_or_else(String::new, |ratio| format!("{ratio:.3}"));
        print!(
            "  {:<20} {:>12.1} {:>12.1} {:>12.1} {ratio:>12}",
            one.peer, one.median, one.min, one.max
        );
        match (one.p99, one.ratio_p99) {
            (Some(p99), Some(ratio)) => println!(" {p99:>12.1} {ratio:>8.3}"),
            (Some(p99), None) => println!(" {p99:>12.1}"),
            _ => println!(),
        }
    }
}

/// Prints which contenders were not measured, and why.
pub(crate) fn print_left_out(left_out: &[LeftOut]) {
    if !left_out.is_empty() {
        println!("\nleft out:");
    }
    for one in left_out {
        print!("  {}", one.peer);
        if let (Some(row), Some(flavour), Some(n)) = (&one.row, &one.flavour, one.n) {
            print!(", {row}, {flavour}, from n = {n}");
        }
        println!(": {}", one.why);
    }
}
