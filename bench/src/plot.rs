//! The plots of the guide, as SVG.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measure::Flavour;
use crate::report::{Report, Series};
use crate::row::Row;

type Drawn = Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// The lines of `taskgroup` stand out, and the others differ. There are as many colours as
/// contenders in one plot.
const OURS: [RGBColor; 2] = [RGBColor(200, 40, 40), RGBColor(235, 140, 110)];
const OTHERS: [RGBColor; 14] = [
    RGBColor(0, 90, 181),
    RGBColor(26, 160, 70),
    RGBColor(140, 80, 190),
    RGBColor(0, 160, 190),
    RGBColor(150, 110, 0),
    RGBColor(230, 110, 200),
    RGBColor(90, 90, 90),
    RGBColor(110, 170, 240),
    RGBColor(120, 180, 30),
    RGBColor(100, 50, 20),
    RGBColor(0, 0, 0),
    RGBColor(235, 160, 0),
    RGBColor(0, 100, 90),
    RGBColor(190, 150, 230),
];

fn is_ours(peer: &str) -> bool {
    peer.starts_with("taskgroup")
}

/// A colour for each peer, in their order.
fn colours<'a>(peers: &[&'a str]) -> Vec<(&'a str, RGBColor)> {
    let (mut ours, mut others) = (OURS.iter().cycle(), OTHERS.iter().cycle());
    let colour = |&peer: &&'a str| {
        let colours = if is_ours(peer) {
            &mut ours
        } else {
            &mut others
        };
        (peer, *colours.next().unwrap_or(&BLACK))
    };
    peers.iter().map(colour).collect()
}

fn text(size: i32) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size).into_font())
}

/// How the cost of a part grows with the number of parts: a line for each contender, with both axes
/// logarithmic.
pub(crate) fn growth(report: &Report, row: Row, title: &str, path: &Path) -> Drawn {
    let flavour = Flavour::Multi;
    let of_row = |series: &&Series| series.row == row.name() && series.flavour == flavour.name();
    let series: Vec<&Series> = report.series.iter().filter(of_row).collect();
    let mut peers: Vec<&str> = Vec::new();
    for one in &series {
        if !peers.contains(&one.peer.as_str()) {
            peers.push(&one.peer);
        }
    }
    let sizes = || series.iter().map(|one| one.n);
    let (Some(least), Some(most)) = (sizes().min(), sizes().max()) else {
        return Err(format!("the report has no figures for {row}").into());
    };
    let lowest = series.iter().map(|one| one.median).fold(f64::MAX, f64::min);
    let highest = series.iter().map(|one| one.median).fold(1.0, f64::max);

    let root = SVGBackend::new(path, (820, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let (plot, legend) = root.split_horizontally(640);
    let mut chart = ChartBuilder::on(&plot)
        .margin(14)
        .caption(title, ("sans-serif", 18))
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (least as f64..most as f64 * 1.05).log_scale(),
            (lowest * 0.8..highest * 1.3).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("children")
        .y_desc(row.unit())
        .x_label_formatter(&|value| grouped(*value))
        .y_label_formatter(&|value| grouped(*value))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    // The legend has the order of the lines at their ends, from the top.
    let mut drawn = colours(&peers);
    let end = |peer: &str| {
        let last = series
            .iter()
            .filter(|one| one.peer == peer)
            .max_by_key(|one| one.n);
        last.map_or(0.0, |one| one.median)
    };
    drawn.sort_by(|(one, _), (other, _)| end(other).total_cmp(&end(one)));
    for (place, (peer, colour)) in drawn.into_iter().enumerate() {
        let own = series.iter().filter(|one| one.peer == peer);
        let points = own.map(|one| (one.n as f64, one.median));
        let width = if is_ours(peer) { 3 } else { 1 };
        let style = colour.stroke_width(width);
        chart.draw_series(LineSeries::new(points, style).point_size(3))?;
        let y = 50 + 20 * i32::try_from(place)?;
        legend.draw(&PathElement::new([(0, y), (22, y)], style))?;
        legend.draw(&Text::new(peer.to_owned(), (28, y - 7), text(14)))?;
    }
    root.present()?;
    Ok(())
}

/// The contenders of one row and size, with a bar for each.
pub(crate) fn bars(report: &Report, row: Row, n: usize, title: &str, path: &Path) -> Drawn {
    const LEFT: i32 = 170;
    const WIDTH: f64 = 480.0;
    const STEP: i32 = 26;
    let of_row =
        |one: &&Series| one.row == row.name() && one.n == n && one.flavour == Flavour::Multi.name();
    let series: Vec<&Series> = report.series.iter().filter(of_row).collect();
    let most = series.iter().map(|one| one.median).fold(0.0, f64::max);
    if series.is_empty() {
        return Err(format!("the report has no figures for {row} at {n}").into());
    }
    let height = 60 + STEP * i32::try_from(series.len())?;
    let root = SVGBackend::new(path, (780, u32::try_from(height)?)).into_drawing_area();
    root.fill(&WHITE)?;
    root.draw(&Text::new(
        format!("{title} ({})", row.unit()),
        (14, 14),
        text(17),
    ))?;
    let peers: Vec<&str> = series.iter().map(|one| one.peer.as_str()).collect();
    for (place, (one, (peer, colour))) in series.iter().zip(colours(&peers)).enumerate() {
        let y = 48 + STEP * i32::try_from(place)?;
        let end = LEFT + ((one.median / most) * WIDTH).max(1.0) as i32;
        bar(&root, peer, y, (LEFT, end), colour, &grouped(one.median))?;
    }
    root.present()?;
    Ok(())
}

fn bar(
    root: &Area<'_>,
    name: &str,
    y: i32,
    (from, to): (i32, i32),
    colour: RGBColor,
    value: &str,
) -> Drawn {
    let right = text(14).pos(Pos::new(HPos::Right, VPos::Center));
    let left = text(14).pos(Pos::new(HPos::Left, VPos::Center));
    root.draw(&Text::new(name.to_owned(), (from - 8, y + 8), right))?;
    root.draw(&Rectangle::new([(from, y), (to, y + 16)], colour.filled()))?;
    root.draw(&Text::new(value.to_owned(), (to + 6, y + 8), left))?;
    Ok(())
}

/// A number in groups of three digits. Small numbers have one decimal.
pub(crate) fn grouped(value: f64) -> String {
    if value < 99.95 {
        return format!("{value:.1}").trim_end_matches(".0").to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!(grouped(1_234_567.0), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(999.6), "1\u{202f}000");
        assert_eq!(grouped(100.0), "100");
        assert_eq!(grouped(9.96), "10");
        assert_eq!(grouped(2.345), "2.3");
    }
}
