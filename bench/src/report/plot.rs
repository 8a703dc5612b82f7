//! Plots of what goes over time, or by systems, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::{CONNECTIONS, DEPTH};
use crate::record::Run;
use crate::statistics::Spread;

const SIZE: (u32, u32) = (900, 420);
const FONT: (&str, u32) = ("sans-serif", 14);
const TITLE: (&str, u32) = ("sans-serif", 18);

/// Colours that differ also for those who see few of them.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

type Points = Vec<(f64, f64)>;

/// A plot of series of one record, over the same axis.
struct Lines {
    file: &'static str,
    title: &'static str,
    what: &'static str,
    across: &'static str,
    series: &'static [&'static str],
}

const LINES: [Lines; 4] = [
    Lines {
        file: "queue.svg",
        title: "A long queue: messages a second, in and out",
        what: "queue",
        across: "tenth of the queue",
        series: &["in a second, by tenths", "out a second, by tenths"],
    },
    Lines {
        file: "overload-rates.svg",
        title: "Twice the capacity: messages a second",
        what: "overload",
        across: "seconds",
        series: &["accepted a second", "refused a second", "pulled a second"],
    },
    Lines {
        file: "overload-times.svg",
        title: "Twice the capacity: milliseconds from arrival to answer",
        what: "overload",
        across: "seconds",
        series: &["p50 ms", "p99 ms", "newcomer ms"],
    },
    Lines {
        file: "overload-memory.svg",
        title: "Twice the capacity: the server's memory, MiB",
        what: "overload",
        across: "seconds",
        series: &["memory MiB"],
    },
];

/// Draws all plots that the run has figures for, into a directory; their titles and files.
///
/// # Errors
/// When a file cannot be written.
pub fn all(run: &Run, directory: &Path) -> Result<Vec<(String, String)>> {
    let mut drawn = Vec::new();
    for (depth, file) in [(1, "systems-1.svg"), (DEPTH, "systems-32.svg")] {
        let title = format!("Messages a second, {CONNECTIONS} connections, {depth} in flight on each");
        let bars = rates(run, depth);
        if !bars.is_empty() {
            draw_bars(&directory.join(file), &title, &bars)?;
            drawn.push((title, file.to_owned()));
        }
    }
    for lines in LINES {
        let record = run.records.iter().rev().find(|record| record.what.starts_with(lines.what));
        let Some(record) = record else { continue };
        let series: Vec<(&str, &Points)> = lines
            .series
            .iter()
            .filter_map(|name| Some((*name, record.series.get(*name).filter(|points| !points.is_empty())?)))
            .collect();
        if !series.is_empty() {
            draw_lines(&directory.join(lines.file), lines.title, lines.across, &series)?;
            drawn.push((lines.title.to_owned(), lines.file.to_owned()));
        }
    }
    Ok(drawn)
}

/// The middle rate of each system.
fn rates(run: &Run, depth: usize) -> Vec<(&'static str, f64)> {
    let systems = [
        ("MessageU", "send sqlite"),
        ("Redis", "redis"),
        ("PostgreSQL", "postgres"),
        ("mosquitto (in memory)", "mosquitto"),
        ("classic Python", "python"),
    ];
    let rate = |name: &str| {
        let what = format!("{name} c{CONNECTIONS} d{depth}");
        Spread::of(run.figures(&what, "a second").map(|(_, figure)| figure)).map(|rate| rate.middle)
    };
    systems.into_iter().filter_map(|(title, name)| Some((title, rate(name)?))).collect()
}

/// The library's errors name its own types, which say nothing to a reader of the report.
fn failed<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> anyhow::Error + '_ {
    move |error| anyhow!("{} cannot be drawn: {error}", path.display())
}

fn draw_bars(path: &Path, title: &str, bars: &[(&str, f64)]) -> Result<()> {
    let failed = failed(path);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(&failed)?;
    let most = bars.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, TITLE)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..bars.len() as f64, 0.0..most * 1.1)
        .map_err(&failed)?;
    let name_of = |at: &f64| {
        let bar = (at.fract() - 0.5).abs() < 0.01;
        bars.get(at.floor() as usize).filter(|_| bar).map_or_else(String::new, |(name, _)| (*name).to_owned())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(2 * bars.len() + 1)
        .x_label_formatter(&name_of)
        .y_label_formatter(&|rate| crate::record::readable(*rate))
        .label_style(FONT)
        .draw()
        .map_err(&failed)?;
    let rectangles = bars.iter().enumerate().map(|(at, (_, rate))| {
        let colour = if at == 0 { COLOURS[0] } else { COLOURS[1] };
        Rectangle::new([(at as f64 + 0.2, 0.0), (at as f64 + 0.8, *rate)], colour.filled())
    });
    chart.draw_series(rectangles).map_err(&failed)?;
    area.present().map_err(&failed)
}

fn draw_lines(path: &Path, title: &str, across: &str, series: &[(&str, &Points)]) -> Result<()> {
    let failed = failed(path);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(&failed)?;
    let all = || series.iter().flat_map(|(_, points)| points.iter());
    let (end, most) = all().fold((0.0, 0.0), |(x, y), point| (f64::max(x, point.0), f64::max(y, point.1)));
    let mut chart = ChartBuilder::on(&area)
        .caption(title, TITLE)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..end, 0.0..f64::max(most * 1.1, 1.0))
        .map_err(&failed)?;
    chart
        .configure_mesh()
        .x_desc(across)
        .y_label_formatter(&|figure| crate::record::readable(*figure))
        .label_style(FONT)
        .draw()
        .map_err(&failed)?;
    for ((name, points), colour) in series.iter().zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))
            .map_err(&failed)?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(FONT)
        .draw()
        .map_err(&failed)?;
    area.present().map_err(&failed)
}
