//! SVG figures: axes with round ticks, curves, point clouds and bars. Colours come from the page's style
//! sheet by class, so that figures suit light and dark pages.

use super::times;
use crate::base::number::figure;
use std::fmt::Write;

/// Width of a figure, in SVG units.
const WIDTH: f64 = 560.0;
/// Height of a figure.
const HEIGHT: f64 = 336.0;
/// Space left of the plot, for labels.
const LEFT: f64 = 72.0;
/// Space below it.
const BOTTOM: f64 = 44.0;
/// Space above it: a line for the legend and one for the label of a mark.
const TOP: f64 = 46.0;
/// Baseline of the legend.
const LEGEND: f64 = 16.0;
/// Space to the right.
const RIGHT: f64 = 14.0;
/// Maximum points drawn of a cloud, evenly spread over the rows.
const MAX_POINTS: usize = 1500;

/// A named curve or cloud; `class` selects its colour in the style sheet.
pub struct Series<'a> {
    /// Legend entry; empty for none.
    pub name: &'a str,
    /// `train`, `validation`, `reference`.
    pub class: &'a str,
    /// `(x, y)`; non-finite points are left out.
    pub points: Vec<(f64, f64)>,
}

/// The range of an axis.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    logarithmic: bool,
    /// Minimum distance between ticks on a linear axis.
    least_step: f64,
    /// Whether values are seconds, as of [`times::seconds`].
    pub time: bool,
}

impl Axis {
    /// An axis that contains all `values`, with some margin.
    pub fn around(values: impl Iterator<Item = f64>, may_be_logarithmic: bool) -> Self {
        let finite = values.filter(|v| v.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if low > high {
            return Self { low: 0.0, high: 1.0, logarithmic: false, least_step: 0.0, time: false };
        }
        if may_be_logarithmic && low > 0.0 && high / low > 30.0 {
            return Self {
                low: low / 1.2,
                high: high * 1.2,
                logarithmic: true,
                least_step: 0.0,
                time: false,
            };
        }
        let room = if high > low { 0.05 * (high - low) } else { 0.1 * high.abs().max(1.0) };
        Self { low: low - room, high: high + room, logarithmic: false, least_step: 0.0, time: false }
    }

    /// Position on the axis: 0 at the low end, 1 at the high end.
    pub fn part(&self, value: f64) -> f64 {
        if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// About five round values within the axis; on a logarithmic axis, powers of ten, and 2 and 5 between
    /// them.
    pub fn ticks(&self) -> Vec<f64> {
        let inside = |v: &f64| *v >= self.low && *v <= self.high;
        if self.logarithmic {
            let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
            let factors: &[f64] =
                if (self.high / self.low).log10() > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let powers = (first..=last).flat_map(|p| factors.iter().map(move |f| f * 10f64.powi(p)));
            return powers.filter(inside).collect();
        }
        let rough = ((self.high - self.low) / 5.0).max(self.least_step);
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|f| f * power).into_iter().find(|s| *s >= rough);
        let step = step.unwrap_or(rough);
        let first = (self.low / step).ceil();
        (0..12).map(|i| (first + f64::from(i)) * step).filter(inside).collect()
    }
}

/// A plot under construction.
pub(super) struct Plot {
    x: Axis,
    y: Axis,
    body: String,
}

impl Plot {
    pub fn new(x: Axis, y: Axis, x_label: &str, y_label: &str) -> Self {
        let mut plot = Self { x, y, body: String::new() };
        plot.axes(x_label, y_label);
        plot
    }

    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP);
        (LEFT + width * self.x.part(x), TOP + height * (1.0 - self.y.part(y)))
    }

    pub fn add(&mut self, text: &str) {
        self.body += text;
        self.body.push('\n');
    }

    fn axes(&mut self, x_label: &str, y_label: &str) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in self.y.ticks() {
            let (_, y) = self.at(self.x.low, tick);
            self.add(&format!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
            ));
            let label = figure(tick);
            self.add(&format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 7.0,
                y + 4.0
            ));
        }
        let ticks = match self.x.time {
            true => times::ticks(self.x.low, self.x.high),
            false => self.x.ticks().into_iter().map(|tick| (tick, figure(tick))).collect(),
        };
        for (tick, label) in ticks {
            let (x, _) = self.at(tick, self.y.low);
            let below = bottom + 17.0;
            self.add(&format!("<text x=\"{x:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>"));
        }
        self.add(&format!(
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>"
        ));
        let (middle, below) = ((LEFT + right) / 2.0, HEIGHT - 8.0);
        self.add(&format!(
            "<text class=\"label\" x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">{}</text>",
            escape(x_label)
        ));
        let height = (TOP + bottom) / 2.0;
        self.add(&format!(
            "<text class=\"label\" transform=\"translate(12 {height}) rotate(-90)\" \
             text-anchor=\"middle\">{}</text>",
            escape(y_label)
        ));
    }

    pub fn line(&mut self, series: &Series) {
        let finite = series.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let places: Vec<(f64, f64)> = finite.map(|&(x, y)| self.at(x, y)).collect();
        if let [(x, y)] = places[..] {
            // A path of one point would be invisible.
            let class = series.class;
            self.add(&format!("<circle class=\"curve {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>"));
            return;
        }
        let mut path = String::new();
        for (i, (x, y)) in places.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(path, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" });
        }
        self.add(&format!("<path class=\"curve {}\" d=\"{path}\"/>", series.class));
    }

    pub fn legend(&mut self, series: &[Series]) {
        let named = series.iter().filter(|s| !s.name.is_empty());
        let mut x = WIDTH - RIGHT;
        for s in named.collect::<Vec<_>>().into_iter().rev() {
            let name = escape(s.name);
            self.add(&format!("<text x=\"{x:.0}\" y=\"{}\" text-anchor=\"end\">{name}</text>", LEGEND));
            x -= 7.0 * s.name.chars().count() as f64 + 8.0;
            let (start, y) = (x - 16.0, LEGEND - 4.0);
            self.add(&format!("<path class=\"curve {}\" d=\"M{start:.0} {y}L{x:.0} {y}\"/>", s.class));
            x = start - 16.0;
        }
    }

    pub fn finish(self, title: &str) -> String {
        let title = escape(title);
        format!(
            "<figure><figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\">\n{}</svg></figure>\n",
            self.body
        )
    }
}

/// Curves over a common x axis; `mark` is a highlighted x with its label.
pub fn curves(
    title: &str,
    labels: [&str; 2],
    series: &[Series],
    mark: Option<(f64, &str)>,
    may_be_logarithmic: bool,
) -> String {
    let all = || series.iter().flat_map(|s| s.points.iter());
    let mut x = Axis::around(all().map(|p| p.0), false);
    let places = all().map(|p| p.0).filter(|x| x.is_finite());
    let (first, last) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    if first < last {
        // Curves start at the axis and end at the edge.
        (x.low, x.high) = (first, last);
    } else if first == last {
        (x.low, x.high) = (first - 1.0, first + 1.0);
    }
    if all().all(|p| p.0.fract() == 0.0) {
        // There is nothing between two epochs.
        x.least_step = 1.0;
    }
    let y = Axis::around(all().map(|p| p.1), may_be_logarithmic);
    let mut plot = Plot::new(x, y, labels[0], labels[1]);
    if let Some((at, name)) = mark.filter(|(at, _)| *at >= x.low && *at <= x.high) {
        let (x, _) = plot.at(at, y.low);
        let (top, bottom) = (TOP - 8.0, HEIGHT - BOTTOM);
        plot.add(&format!("<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>"));
        let anchor = if x > WIDTH / 2.0 { "end" } else { "start" };
        let beside = if x > WIDTH / 2.0 { x - 5.0 } else { x + 5.0 };
        let name = escape(name);
        plot.add(&format!(
            "<text x=\"{beside:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{name}</text>",
            TOP - 14.0
        ));
    }
    for s in series {
        plot.line(s);
    }
    plot.legend(series);
    plot.finish(title)
}

/// A cloud of points on equal axes, with the identity line.
pub fn cloud(title: &str, labels: [&str; 2], points: &[(f64, f64)]) -> String {
    let axis = Axis::around(points.iter().flat_map(|p| [p.0, p.1]), false);
    let mut plot = Plot::new(axis, axis, labels[0], labels[1]);
    let equal = vec![(axis.low, axis.low), (axis.high, axis.high)];
    plot.line(&Series { name: "", class: "reference", points: equal });
    let shown = points.len().min(MAX_POINTS);
    for i in 0..shown {
        let (x, y) = points[i * points.len() / shown];
        if x.is_finite() && y.is_finite() {
            let (x, y) = plot.at(x, y);
            plot.add(&format!("<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>"));
        }
    }
    plot.finish(title)
}

/// Points coloured by class, with each class's name at the centre of its points.
pub fn scatter(title: &str, labels: [&str; 2], classes: &[(&str, Vec<(f64, f64)>)]) -> String {
    let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let all = || classes.iter().flat_map(|c| &c.1);
    let (x, y) = (Axis::around(all().map(|p| p.0), false), Axis::around(all().map(|p| p.1), false));
    let mut plot = Plot::new(x, y, labels[0], labels[1]);
    let keep = all().count().div_ceil(MAX_POINTS).max(1);
    let mut names = vec![];
    for (number, (name, points)) in classes.iter().enumerate() {
        // Consecutive classes are far apart on the colour wheel.
        let hue = if classes.len() > 1 { number as f64 * 360.0 * 0.618_034 % 360.0 } else { 220.0 };
        let colour = format!("hsl({hue:.0} 65% 50%)");
        let found: Vec<&(f64, f64)> = points.iter().filter(finite).collect();
        for point in found.iter().step_by(keep) {
            let (x, y) = plot.at(point.0, point.1);
            plot.add(&format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\" fill-opacity=\"0.6\"/>"
            ));
        }
        let middle = |of: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = found.iter().map(|p| of(p)).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        if let (Some(x), Some(y), false) = (middle(|p| p.0), middle(|p| p.1), name.is_empty()) {
            let place = plot.at(x, y);
            let covered = |((x, y), other): &((f64, f64), &str)| {
                let width = 4.5 * (name.chars().count() + other.chars().count()) as f64;
                (place.0 - x).abs() < width && (place.1 - y).abs() < 14.0
            };
            // Overlapping names would be illegible.
            if !names.iter().any(covered) {
                names.push((place, *name));
            }
        }
    }
    for ((x, y), name) in names {
        plot.add(&format!(
            "<text class=\"name\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            y + 4.0,
            escape(name)
        ));
    }
    plot.finish(title)
}

/// A histogram of about 40 equal bins between the 0.5 % and 99.5 % quantiles.
pub fn histogram(title: &str, x_label: &str, values: &[f64]) -> String {
    const BARS: usize = 40;
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let rank = |p: f64| sorted.get((p * (sorted.len() as f64 - 1.0)) as usize).copied().unwrap_or(0.0);
    let (low, high) = (rank(0.005), rank(0.995));
    let width = ((high - low) / BARS as f64).max(f64::MIN_POSITIVE);
    let mut counts = [0usize; BARS];
    for value in sorted.iter().filter(|v| **v >= low && **v <= high) {
        counts[(((value - low) / width) as usize).min(BARS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let x = Axis::around([low, high].into_iter(), false);
    let mut plot = Plot::new(
        x,
        Axis { low: 0.0, high: 1.05 * most, logarithmic: false, least_step: 1.0, time: false },
        x_label,
        "rows",
    );
    for (i, &count) in counts.iter().enumerate() {
        let (left, top) = plot.at(low + width * i as f64, count as f64);
        let (right, bottom) = plot.at(low + width * (i as f64 + 1.0), 0.0);
        let (w, h) = ((right - left - 1.0).max(0.5), bottom - top);
        plot.add(&format!(
            "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{w:.1}\" height=\"{h:.1}\"/>"
        ));
    }
    plot.finish(title)
}

/// Escapes text for HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = |low, high| Axis { low, high, logarithmic: false, least_step: 0.0, time: false };
        assert_eq!(axis(0.0, 10.0).ticks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(axis(-130.0, 270.0).ticks(), [-100.0, 0.0, 100.0, 200.0]);
        assert_eq!(Axis { least_step: 1.0, ..axis(0.0, 2.0) }.ticks(), [0.0, 1.0, 2.0]);
        let log = Axis { low: 0.009, high: 1.1, logarithmic: true, least_step: 0.0, time: false };
        let expected = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(log.ticks().len() == 7 && log.ticks().iter().zip(&expected).all(near), "{:?}", log.ticks());
    }

    #[test]
    fn figures_are_short() {
        let shown = [0.0, 12000.0, 0.0125, 3e-7, -2.5, 365.25].map(figure);
        assert_eq!(shown, ["0", "12000", "0.0125", "3e-7", "-2.5", "365.2"]);
    }

    #[test]
    fn a_single_point_is_seen() {
        let picture = |points: Vec<(f64, f64)>| {
            curves("t", ["x", "y"], &[Series { name: "", class: "train", points }], None, true)
        };
        let dot = "<circle class=\"curve train\"";
        assert!(picture(vec![(1.0, 0.5)]).contains(dot));
        assert!(picture(vec![(1.0, 0.5), (2.0, f64::NAN)]).contains(dot), "one that can be drawn");
        let curve = picture(vec![(1.0, 0.5), (2.0, 0.25)]);
        assert!(!curve.contains("<circle") && curve.contains("<path class=\"curve train\" d=\"M"));
    }

    #[test]
    fn values_that_are_not_finite_do_not_reach_the_picture() {
        let points = vec![(1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 1.0)];
        let picture = curves("t", ["x", "y"], &[Series { name: "a", class: "train", points }], None, true);
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
        for empty in
            [curves("t", ["x", "y"], &[], None, true), cloud("t", ["x", "y"], &[]), histogram("t", "x", &[])]
                .into_iter()
                .chain([scatter("t", ["x", "y"], &[("a", vec![(f64::NAN, 1.0)]), ("b", vec![])])])
        {
            assert!(!empty.contains("NaN") && !empty.contains("inf"), "{empty}");
        }
    }
}
