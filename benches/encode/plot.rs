//! Two plots in one drawing: how the cost grows with an order, and that it does not grow with the number of events.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

const HEIGHT: f64 = 300.0;
const PANEL_WIDTH: f64 = 360.0;
const MARGIN: f64 = 56.0;
const ENCODE: &str = "#1a5fb4";
const FLOOR: &str = "#9a9996";

/// Draws nanoseconds per event by products (encode and floor), and by events in a row.
#[expect(clippy::cast_precision_loss, reason = "for the eye")]
pub(crate) fn draw(by_products: &[(u64, f64, f64)], by_events: &[(usize, f64)]) -> io::Result<()> {
    let micros = |nanos: f64| nanos / 1e3;
    let encode: Vec<_> = by_products
        .iter()
        .map(|(products, encode, _)| (*products as f64, micros(*encode)))
        .collect();
    let floor: Vec<_> = by_products
        .iter()
        .map(|(products, _, floor)| (*products as f64, micros(*floor)))
        .collect();
    let runs: Vec<_> = by_events
        .iter()
        .map(|(events, encode)| ((*events as f64).log10(), micros(*encode)))
        .collect();
    let width = 2.0 * PANEL_WIDTH;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    let products = Panel::new(0.0, "products in an order", &[&encode, &floor], "");
    products.frame(&mut svg);
    products.line(&mut svg, &floor, FLOOR, "floor");
    products.line(&mut svg, &encode, ENCODE, "encode");
    let events = Panel::new(PANEL_WIDTH, "events in a row", &[&runs], "10^");
    events.frame(&mut svg);
    events.line(&mut svg, &runs, ENCODE, "encode");
    svg.push_str("</svg>\n");
    std::fs::write(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/growth.svg"),
        svg,
    )
}

/// One plot: microseconds per event, from zero up, over what `title` says.
struct Panel<'a> {
    left: f64,
    title: &'a str,
    ticks: Vec<f64>,
    tick_prefix: &'a str,
    from: f64,
    to: f64,
    top: f64,
}

impl<'a> Panel<'a> {
    fn new(left: f64, title: &'a str, lines: &[&[(f64, f64)]], tick_prefix: &'a str) -> Self {
        /// Room above the highest point.
        const HEADROOM: f64 = 1.15;
        /// Share of the width below which two ticks' numbers would touch.
        const LEAST_DISTANCE: f64 = 0.08;
        let places = || lines[0].iter().map(|(x, _)| *x);
        let (from, to) = (
            places().fold(f64::MAX, f64::min),
            places().fold(f64::MIN, f64::max),
        );
        let mut ticks: Vec<f64> = Vec::new();
        for x in places() {
            if ticks
                .last()
                .is_none_or(|last| x - last > (to - from) * LEAST_DISTANCE)
            {
                ticks.push(x);
            }
        }
        let highest = lines.iter().flat_map(|line| line.iter()).map(|(_, y)| *y);
        let top = highest.fold(0.0, f64::max) * HEADROOM;
        Self {
            left,
            title,
            ticks,
            tick_prefix,
            from,
            to,
            top,
        }
    }

    fn x(&self, x: f64) -> f64 {
        let share = (x - self.from) / (self.to - self.from);
        self.left + MARGIN + share * (PANEL_WIDTH - 2.0 * MARGIN)
    }

    fn y(&self, y: f64) -> f64 {
        HEIGHT - MARGIN - y / self.top * (HEIGHT - 2.0 * MARGIN)
    }

    fn frame(&self, svg: &mut String) {
        let (left, right) = (self.x(self.from), self.x(self.to));
        let bottom = self.y(0.0);
        let _ = writeln!(
            svg,
            "<text x=\"{left:.1}\" y=\"28\" font-size=\"13\">µs of processor time per event, by {}</text>",
            self.title
        );
        for quarter in 0..=4 {
            let value = self.top * f64::from(quarter) / 4.0;
            let y = self.y(value);
            let _ = writeln!(
                svg,
                "<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.1}</text>",
                left - 6.0,
                y + 4.0
            );
        }
        for tick in &self.ticks {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}{tick:.0}</text>",
                self.x(*tick),
                bottom + 18.0,
                self.tick_prefix
            );
        }
    }

    fn line(&self, svg: &mut String, points: &[(f64, f64)], color: &str, name: &str) {
        let mut path = String::new();
        for (x, y) in points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x(*x), self.y(*y));
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{color}\"/>",
                self.x(*x),
                self.y(*y)
            );
        }
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>"
        );
        if let Some((x, y)) = points.last() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{color}\">{name}</text>",
                self.x(*x),
                self.y(*y) - 8.0
            );
        }
    }
}
