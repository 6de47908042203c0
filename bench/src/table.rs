//! The table on the terminal.

use crate::measure::Series;
use crate::stats::Summary;

/// Prints the contenders of one row, flavour and size.
pub(crate) fn print(series: &[Series]) {
    let Some(first) = series.first() else {
        return;
    };
    let (row, yardstick) = (first.row, first.row.yardstick());
    println!(
        "\n{row}, {}, n = {}: ns per {}",
        first.flavour.name(),
        first.n,
        row.part()
    );
    println!(
        "  {:<20} {:>10} {:>10} {:>10} {:>11}",
        "",
        "median",
        "min",
        "max",
        format!("÷ {yardstick}")
    );
    let base = series.iter().find(|series| series.peer == yardstick);
    let base = base.and_then(|series| Summary::of(&series.values));
    for one in series {
        let Some(summary) = Summary::of(&one.values) else {
            continue;
        };
        let ratio = base.map_or_else(String::new, |base| {
            format!("{:.3}", summary.median / base.median)
        });
        println!(
            "  {:<20} {:>10.1} {:>10.1} {:>10.1} {ratio:>11}",
            one.peer, summary.median, summary.min, summary.max
        );
    }
}
