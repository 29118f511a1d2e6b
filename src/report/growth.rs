//! The page of how training steps grow.

use super::svg::{Axis, Plot, Series, escape};
use super::tables::table;
use super::{head, section};
use crate::base::number::figure;

/// What grows, as the sections of the page name it, and its axis.
const SECTIONS: [(&str, &str, &str); 3] = [
    ("batch", "Batch", "rows of a step"),
    ("sequence", "Sequence", "steps of a sequence"),
    ("width", "Width", "units of a layer"),
];

/// Size, microseconds a sample, and GFLOP/s.
type Point = (usize, f64, f64);
const TIME: fn(&Point) -> f64 = |point| point.1;
const RATE: fn(&Point) -> f64 = |point| point.2;

/// The steps of a network.
pub struct Curve<'a> {
    /// What grows: `batch`, `sequence` or `width`.
    pub of: &'a str,
    /// The network.
    pub name: &'a str,
    /// From the least to the largest: size, microseconds a sample, and GFLOP/s.
    pub points: Vec<(usize, f64, f64)>,
}

/// The contents of the page.
pub struct Page<'a> {
    /// The device.
    pub device: &'a str,
    /// All curves.
    pub curves: Vec<Curve<'a>>,
}

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let mut page =
            head("How training steps grow", &format!("time a sample and GFLOP/s on {}", self.device));
        for (of, title, axis) in SECTIONS {
            let curves: Vec<&Curve> = self.curves.iter().filter(|curve| curve.of == of).collect();
            if !curves.is_empty() {
                page += &section(title, &figures(&curves, axis));
            }
        }
        page + "</body>\n</html>\n"
    }
}

/// The legend, both figures, and the numbers.
fn figures(curves: &[&Curve], axis: &str) -> String {
    let entry =
        |(at, curve): (usize, &&Curve)| format!("<li><i class=\"r{at}\"></i>{}</li>\n", escape(curve.name));
    let legend: String = curves.iter().enumerate().map(entry).collect();
    let values = |of: fn(&Point) -> f64| curves.iter().flat_map(move |curve| curve.points.iter().map(of));
    let time = plot("Microseconds a sample", [axis, "us"], curves, TIME, Axis::around(values(TIME), true));
    let mut from_zero = Axis::around(values(RATE), false);
    from_zero.low = 0.0;
    let rate = plot("GFLOP/s", [axis, "GFLOP/s"], curves, RATE, from_zero);
    let names: Vec<&str> = std::iter::once(axis).chain(curves.iter().map(|curve| curve.name)).collect();
    let sizes = curves.iter().map(|curve| &curve.points).max_by_key(|points| points.len());
    let row = |at: usize, size: usize| {
        let cell =
            |curve: &&Curve| curve.points.get(at).map_or("-".into(), |p| format!("{} us", figure(p.1)));
        std::iter::once(size.to_string()).chain(curves.iter().map(cell)).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> =
        sizes.into_iter().flatten().enumerate().map(|(at, point)| row(at, point.0)).collect();
    format!(
        "<ul class=\"legend\">\n{legend}</ul>\n<div class=\"pictures\">\n{time}{rate}</div>\n{}",
        table(&names, &rows, 0)
    )
}

fn plot(title: &str, labels: [&str; 2], curves: &[&Curve], of: fn(&Point) -> f64, y: Axis) -> String {
    let x = Axis::around(curves.iter().flat_map(|curve| curve.points.iter().map(|p| p.0 as f64)), true);
    let mut plot = Plot::new(x, y, labels[0], labels[1]);
    for (at, curve) in curves.iter().enumerate() {
        let points = curve.points.iter().map(|p| (p.0 as f64, of(p))).collect();
        plot.line(&Series { name: "", class: &format!("r{at}"), points });
    }
    plot.finish(title)
}
