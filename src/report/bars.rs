//! SVG figures with one line for each column: bars, and clouds of single rows.

use std::fmt::Write;

use super::svg::escape;
use crate::base::number::figure;

/// Width of a figure, in SVG units.
const WIDTH: f64 = 560.0;
/// Space for names.
const LEFT: f64 = 168.0;
/// Space for numbers.
const RIGHT: f64 = 84.0;
/// Height of a line.
const LINE: f64 = 22.0;
/// Characters of a name that fit.
const NAME: usize = 25;

/// A bar: its name, its length, and a deviation to both sides of its end.
pub struct Bar<'a> {
    pub name: &'a str,
    pub value: f64,
    pub deviation: Option<f64>,
}

/// Horizontal bars from 0.
pub fn bars(title: &str, all: &[Bar]) -> String {
    let ends = all.iter().flat_map(|bar| {
        let deviation = bar.deviation.unwrap_or(0.0);
        [bar.value - deviation, bar.value + deviation]
    });
    let (low, high) = around_zero(ends);
    let at = |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low);
    let mut body = String::new();
    for (line, bar) in all.iter().enumerate() {
        let middle = LINE * (line as f64 + 0.5);
        label(&mut body, bar.name, middle);
        if !bar.value.is_finite() {
            continue;
        }
        let (start, end) = (at(bar.value.min(0.0)), at(bar.value.max(0.0)));
        let (top, width) = (middle - 6.0, (end - start).max(0.5));
        let class = if bar.value < 0.0 { "bar below" } else { "bar" };
        add(
            &mut body,
            format!(
                "<rect class=\"{class}\" x=\"{start:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"12\" \
                 rx=\"2\"/>"
            ),
        );
        if let Some(deviation) = bar.deviation.filter(|d| d.is_finite() && *d > 0.0) {
            let (from, to) = (at(bar.value - deviation), at(bar.value + deviation));
            add(
                &mut body,
                format!(
                    "<line class=\"axis\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle:.1}\" \
                     y2=\"{middle:.1}\"/>"
                ),
            );
        }
        let (x, y) = (WIDTH - RIGHT + 10.0, middle + 4.0);
        add(&mut body, format!("<text x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", figure(bar.value)));
    }
    frame(title, body, all.len(), at(0.0))
}

/// A cloud: its name and, for each row, its place and where its colour lies between the lowest and the
/// highest value of the column, NaN for grey.
pub struct Cloud<'a> {
    pub name: &'a str,
    pub points: Vec<(f64, f64)>,
}

/// Clouds of points along a common axis.
pub fn clouds(title: &str, all: &[Cloud]) -> String {
    const BIN: f64 = 5.0;
    let (low, high) = around_zero(all.iter().flat_map(|cloud| cloud.points.iter().map(|p| p.0)));
    let at = |value: f64| LEFT + (WIDTH - LEFT - 20.0) * (value - low) / (high - low);
    let mut body = String::new();
    for (line, cloud) in all.iter().enumerate() {
        let middle = LINE * (line as f64 + 0.5);
        label(&mut body, cloud.name, middle);
        let mut filled = std::collections::BTreeMap::<i64, usize>::new();
        for &(value, colour) in cloud.points.iter().filter(|p| p.0.is_finite()) {
            let x = at(value);
            let place = filled.entry((x / BIN) as i64).or_default();
            // Up and down in turn, within the line.
            let step = place.div_ceil(2) as f64 * if place.is_multiple_of(2) { 1.0 } else { -1.0 };
            *place += 1;
            let y = middle + (2.6 * step).clamp(-0.42 * LINE, 0.42 * LINE);
            add(
                &mut body,
                format!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.4\" fill=\"{}\" fill-opacity=\"0.75\"/>",
                    colour_of(colour)
                ),
            );
        }
    }
    frame(title, body, all.len(), at(0.0))
}

/// From blue (0) to red (1); grey if not a number.
fn colour_of(part: f64) -> String {
    if part.is_nan() {
        return "hsl(215 12% 55%)".into();
    }
    let hue = 215.0 + 130.0 * part.clamp(0.0, 1.0);
    format!("hsl({hue:.0} 80% 56%)")
}

fn label(body: &mut String, name: &str, middle: f64) {
    let short: String = match name.chars().count() {
        0..=NAME => name.into(),
        _ => name.chars().take(NAME - 1).chain(['…']).collect(),
    };
    let (x, y) = (LEFT - 10.0, middle + 4.0);
    let (full, short) = (escape(name), escape(&short));
    add(
        body,
        format!(
            "<text class=\"column\" x=\"{x}\" y=\"{y:.1}\" \
             text-anchor=\"end\"><title>{full}</title>{short}</text>"
        ),
    );
}

fn frame(title: &str, body: String, lines: usize, zero: f64) -> String {
    let (title, height) = (escape(title), LINE * lines as f64 + 4.0);
    format!(
        "<figure><figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n<line class=\"axis\" x1=\"{zero:.1}\" x2=\"{zero:.1}\" y1=\"0\" \
         y2=\"{height}\"/>\n\
         {body}</svg></figure>\n"
    )
}

fn add(body: &mut String, text: String) {
    // Writing to a string cannot fail.
    let _ = writeln!(body, "{text}");
}

/// A range that holds 0 and all finite values.
fn around_zero(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((0.0, 0.0), |(low, high): (f64, f64), v| (low.min(v), high.max(v)));
    if high > low { (low, high) } else { (0.0, 1.0) }
}
