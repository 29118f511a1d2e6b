//! Times on the axis of a figure: as numbers, and round ones among them with their labels.

use jiff::civil::{Date, DateTime, date};
use jiff::{SignedDuration, ToSpan};

const EPOCH: Date = date(1970, 1, 1);
const DAY: i64 = 86_400;
/// Most ticks on an axis of times.
const MOST_TICKS: usize = 6;

/// A time on the axis.
pub fn seconds(time: DateTime) -> f64 {
    EPOCH.at(0, 0, 0, 0).duration_until(time).as_secs_f64()
}

fn time_of(seconds: f64) -> Option<DateTime> {
    let whole = SignedDuration::try_from_secs_f64(seconds.round()).ok()?;
    EPOCH.at(0, 0, 0, 0).checked_add(whole).ok()
}

/// At most six round times within `low..=high`, with their labels.
pub fn ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    const SPANS: [i64; 13] = [1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 43_200, DAY, 2 * DAY, 7 * DAY];
    let of_span = |length: &i64| {
        // Weeks begin on Mondays, 4 days after the first day of 1970.
        let shift = if *length > 2 * DAY { 4 * DAY } else { 0 };
        let first = (low as i64 - shift).div_euclid(*length) * length + shift;
        let times = (0..=MOST_TICKS as i64 + 1).map(|n| (first + n * length) as f64);
        let format = if *length < 60 {
            "%H:%M:%S"
        } else if *length < DAY {
            "%m-%d %H:%M"
        } else {
            "%Y-%m-%d"
        };
        within(times, low, high, format)
    };
    let of_months = |count: &i32| {
        let Some(start) = time_of(low) else { return vec![] };
        let months = i32::from(start.year()) * 12 + i32::from(start.month()) - 1;
        let first = months.div_euclid(*count) * count;
        let year = i16::try_from(first.div_euclid(12)).unwrap_or(start.year());
        let Ok(first) = Date::new(year, first.rem_euclid(12) as i8 + 1, 1) else { return vec![] };
        let nth = |n: i32| first.checked_add((n * count).months()).ok();
        let times = (0..=MOST_TICKS as i32 + 1).filter_map(nth).map(|day| seconds(day.at(0, 0, 0, 0)));
        within(times, low, high, if *count < 12 { "%Y-%m" } else { "%Y" })
    };
    let fits = |length: i64| high - low < MOST_TICKS as f64 * length as f64;
    if let Some(length) = SPANS.iter().find(|length| fits(**length)) {
        return of_span(length);
    }
    const MONTHS: [i32; 11] = [1, 3, 6, 12, 24, 60, 120, 600, 1200, 6000, 60_000];
    MONTHS.iter().find(|count| fits(i64::from(**count) * 30 * DAY)).map_or_else(Vec::new, of_months)
}

fn within(times: impl Iterator<Item = f64>, low: f64, high: f64, format: &str) -> Vec<(f64, String)> {
    let label = |time: f64| Some((time, time_of(time)?.strftime(format).to_string()));
    times.filter(|time| (low..=high).contains(time)).filter_map(label).take(MOST_TICKS + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: &str, high: &str) -> Vec<String> {
        let of = |text: &str| seconds(text.parse().unwrap());
        ticks(of(low), of(high)).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_times() {
        assert_eq!(labels("2024-02-28T01:00", "2024-03-01T05:00")[..2], ["02-28 12:00", "02-29 00:00"]);
        // Mondays.
        assert_eq!(
            labels("2024-02-26T00:00", "2024-03-20T00:00"),
            ["2024-02-26", "2024-03-04", "2024-03-11", "2024-03-18"]
        );
        assert_eq!(labels("2023-11-15T00:00", "2024-12-31T00:00")[..2], ["2024-01", "2024-04"]);
        assert_eq!(labels("1990-05-01T00:00", "1995-01-01T00:00")[0], "1991");
        for years in 1..300 {
            let end = format!("{}-06-01T00:00", 1900 + years);
            assert!((1..=7).contains(&labels("1900-01-01T00:00", &end).len()), "{years} years");
        }
    }
}
