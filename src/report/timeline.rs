//! Curves over time: gaps stay gaps, and bands lie between quantiles.

use std::fmt::Write;

use super::svg::{Axis, Plot, Series};

/// The values between two curves.
pub struct Band {
    /// Legend entry.
    pub name: String,
    /// `(x, low, high)`; what is not finite is a gap.
    pub points: Vec<(f64, f64, f64)>,
}

/// What a timeline shows.
pub struct Timeline<'a> {
    /// Title.
    pub title: &'a str,
    /// Label of the values.
    pub label: &'a str,
    /// Whether `x` are seconds as of `times::seconds`, or else numbers of rows.
    pub is_time: bool,
    /// Curves; a value that is not finite is a gap.
    pub curves: &'a [Series<'a>],
    /// Bands, the widest first.
    pub bands: &'a [Band],
}

/// A figure of curves and bands over time.
pub fn timeline(shown: &Timeline) -> String {
    let xs = || shown.curves.iter().flat_map(|s| s.points.iter().map(|p| p.0));
    let (low, high) = xs().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    let mut x = Axis::around(xs(), false);
    if low < high {
        (x.low, x.high) = (low, high);
    }
    x.time = shown.is_time;
    let values = shown.curves.iter().flat_map(|s| s.points.iter().map(|p| p.1));
    let bounds = shown.bands.iter().flat_map(|b| b.points.iter().flat_map(|p| [p.1, p.2]));
    let y = Axis::around(values.chain(bounds), false);
    let mut plot = Plot::new(x, y, if shown.is_time { "" } else { "row" }, shown.label);
    for band in shown.bands {
        for piece in pieces(&band.points, |p| p.1.is_finite() && p.2.is_finite()) {
            let mut path = String::new();
            let upper = piece.iter().map(|p| (p.0, p.2));
            let lower = piece.iter().rev().map(|p| (p.0, p.1));
            for (at, (x, y)) in upper.chain(lower).enumerate() {
                let (x, y) = plot.at(x, y);
                let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { "M" } else { "L" });
            }
            plot.add(&format!("<path class=\"band\" d=\"{path}Z\"/>"));
        }
    }
    for curve in shown.curves {
        for piece in pieces(&curve.points, |p| p.1.is_finite()) {
            plot.line(&Series { name: curve.name, class: curve.class, points: piece.to_vec() });
        }
    }
    let of_band = |band: &'_ Band| (band.name.clone(), "band");
    let bands: Vec<(String, &str)> = shown.bands.iter().map(of_band).collect();
    let bands = bands.iter().map(|(name, class)| Series { name, class, points: vec![] });
    let copies = shown.curves.iter().map(|s| Series { name: s.name, class: s.class, points: vec![] });
    plot.legend(&copies.chain(bands).collect::<Vec<_>>());
    plot.finish(shown.title)
}

/// The pieces between gaps.
fn pieces<T>(points: &[T], is_there: impl Fn(&T) -> bool) -> Vec<&[T]> {
    points.split(|point| !is_there(point)).filter(|piece| !piece.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stay_gaps() {
        let points = vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 2.0)];
        let bands = [Band {
            name: "80 %".into(),
            points: points.iter().map(|&(x, y)| (x, y - 1.0, y + 1.0)).collect(),
        }];
        let curves = [Series { name: "truth", class: "train", points }];
        let page =
            timeline(&Timeline { title: "t", label: "y", is_time: false, curves: &curves, bands: &bands });
        // Two pieces and the legend's, of each.
        assert_eq!(page.matches("class=\"curve train\"").count(), 3, "{page}");
        assert_eq!(page.matches("<path class=\"band\"").count(), 2, "{page}");
        assert!(!page.contains("NaN"), "{page}");
    }
}
