//! The cost of an event by the number of events, as a drawing.

use crate::rig::{Run, number};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 48.0;
/// Room above the highest point.
const HEADROOM: f64 = 1.25;
const COLOR: &str = "#1a5fb4";

/// Draws the host's microseconds per event over the logarithm of the number of events.
pub(crate) fn draw(runs: &[Run], path: &Path) -> io::Result<()> {
    let points: Vec<_> = runs
        .iter()
        .map(|run| (number(run.events).log10(), run.host_micros()))
        .collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Ok(());
    };
    let top = points.iter().map(|(_, y)| *y).fold(0.0, f64::max) * HEADROOM;
    let place = |x: f64| MARGIN + (x - first.0) / (last.0 - first.0) * (WIDTH - 2.0 * MARGIN);
    let level = |y: f64| HEIGHT - MARGIN - y / top * (HEIGHT - 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"26\" font-size=\"13\">µs of the host's processor time per event, by events in a run</text>\n"
    );
    for quarter in 0..=4 {
        let value = top * f64::from(quarter) / 4.0;
        let y = level(value);
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<path d=\"M{MARGIN} {y:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.1}</text>",
            WIDTH - MARGIN,
            MARGIN - 6.0,
            y + 4.0
        );
    }
    let mut line = String::new();
    for (x, y) in &points {
        let command = if line.is_empty() { 'M' } else { 'L' };
        let _ = write!(line, "{command}{:.1} {:.1}", place(*x), level(*y));
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{COLOR}\"/><text x=\"{0:.1}\" y=\"{:.1}\" text-anchor=\"middle\">10^{x:.0}</text>",
            place(*x),
            level(*y),
            level(0.0) + 18.0
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"{line}\" fill=\"none\" stroke=\"{COLOR}\" stroke-width=\"1.5\"/>\n</svg>"
    );
    std::fs::write(path, svg)
}
