//! The time from one row of a series to the next: a fixed span, whole months, or business days.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

/// The time between consecutive rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A fixed span, such as an hour or a week.
    Span(SignedDuration),
    /// Whole months: a month, a quarter, a year.
    Months {
        /// How many.
        count: i32,
        /// Day of the month, or its last day where the month is shorter.
        day: i8,
    },
    /// From Monday to Friday, one day; from Friday to Monday, three.
    BusinessDay,
}

/// How the rows of series are spaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spacing {
    /// The step that most rows follow the one before by, or the most frequent one.
    pub step: Step,
    /// The fraction of rows that do.
    pub share: f64,
    /// The shortest and the longest time between consecutive rows.
    pub range: [SignedDuration; 2],
}

impl Step {
    /// The time `rows` steps after `time`.
    pub fn after(self, time: DateTime, rows: i64) -> Option<DateTime> {
        match self {
            Self::Span(span) => {
                let seconds = span.as_secs().checked_mul(rows)?;
                let nanoseconds = i64::from(span.subsec_nanos()).checked_mul(rows)?;
                let whole = SignedDuration::from_secs(seconds);
                time.checked_add(whole.checked_add(SignedDuration::from_nanos(nanoseconds))?).ok()
            }
            Self::Months { count, day } => {
                let months = months(time).checked_add(rows.checked_mul(i64::from(count))?)?;
                let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
                let first = jiff::civil::Date::new(year.try_into().ok()?, month.try_into().ok()?, 1).ok()?;
                let day = day.min(first.days_in_month());
                Some(first.with().day(day).build().ok()?.to_datetime(time.time()))
            }
            Self::BusinessDay => {
                let at = business_day(time)?.checked_add(rows)?;
                let days = at.div_euclid(5).checked_mul(7)? + at.rem_euclid(5);
                let hours = SignedDuration::from_hours(days.checked_mul(24)?);
                Some(MONDAY.checked_add(hours).ok()?.to_datetime(time.time()))
            }
        }
    }

    /// Number of steps from `before` to `time`, if it is whole.
    pub fn between(self, before: DateTime, time: DateTime) -> Option<usize> {
        let steps = match self {
            Self::Span(span) => {
                let passed = before.duration_until(time);
                let whole = passed.as_secs() % span.as_secs().max(1) == 0 && passed.subsec_nanos() == 0;
                whole.then(|| passed.as_secs() / span.as_secs().max(1))?
            }
            Self::Months { count, .. } => (months(time) - months(before)) / i64::from(count.max(1)),
            Self::BusinessDay => business_day(time)? - business_day(before)?,
        };
        let whole = matches!(self, Self::Span(_)) || self.after(before, steps) == Some(time);
        usize::try_from(steps).ok().filter(|_| whole)
    }

    /// For display: `1 h`, `1 month`.
    pub fn describe(self) -> String {
        match self {
            Self::Span(duration) => span(duration),
            Self::Months { count: 1, .. } => "1 month".into(),
            Self::Months { count: 12, .. } => "1 year".into(),
            Self::Months { count, .. } => format!("{count} months"),
            Self::BusinessDay => "1 business day".into(),
        }
    }
}

/// The Monday that days are counted from.
const MONDAY: jiff::civil::Date = date(1970, 1, 5);

/// Months since the year 0.
fn months(time: DateTime) -> i64 {
    i64::from(time.year()) * 12 + i64::from(time.month()) - 1
}

/// Number of days from [`MONDAY`] on without weekends; none on a weekend.
fn business_day(time: DateTime) -> Option<i64> {
    let days = MONDAY.duration_until(time.date()).as_hours() / 24;
    let weekday = days.rem_euclid(7);
    (weekday < 5).then(|| days.div_euclid(7) * 5 + weekday)
}

impl Spacing {
    /// How rows at `times` are spaced within each of `groups`: the most frequent span, unless a step of the
    /// calendar holds for more rows.
    pub fn find(times: &[DateTime], groups: &[Vec<usize>]) -> Option<Self> {
        let pairs = || groups.iter().flat_map(|rows| rows.windows(2)).map(|p| (times[p[0]], times[p[1]]));
        let mut counts = BTreeMap::<SignedDuration, usize>::new();
        for (before, time) in pairs() {
            *counts.entry(before.duration_until(time)).or_default() += 1;
        }
        let (&shortest, _) = counts.first_key_value()?;
        let (&longest, _) = counts.last_key_value()?;
        let all: usize = counts.values().sum();
        let most = counts.into_iter().max_by_key(|&(step, count)| (count, std::cmp::Reverse(step)));
        let (usual, frequency) = most.filter(|(step, _)| step.as_secs() > 0)?;
        let mut best = (Step::Span(usual), frequency);
        if let Some(step) = calendar_step(usual, times, groups) {
            let follow = pairs().filter(|&(before, time)| step.between(before, time) == Some(1)).count();
            if follow > frequency {
                best = (step, follow);
            }
        }
        Some(Self { step: best.0, share: best.1 as f64 / all as f64, range: [shortest, longest] })
    }

    /// Whether at least half of the rows follow by the same step.
    pub fn is_common(&self) -> bool {
        self.share >= 0.5
    }
}

/// The step of the calendar that a usual span may stand for.
fn calendar_step(usual: SignedDuration, times: &[DateTime], groups: &[Vec<usize>]) -> Option<Step> {
    let rows = || groups.iter().flatten().map(|&row| times[row]);
    let days = usual.as_hours() / 24;
    if days == 1 {
        return rows().all(|time| business_day(time).is_some()).then_some(Step::BusinessDay);
    }
    let (_, count) =
        [(28..=31, 1), (59..=62, 2), (89..=92, 3), (120..=123, 4), (181..=184, 6), (365..=366, 12)]
            .into_iter()
            .find(|(range, _)| range.contains(&days))?;
    Some(Step::Months { count, day: rows().map(DateTime::day).max()? })
}

/// A time span for display: `1 h`, `3 d`, `90 s`.
pub fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        s if s != 0 && s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s != 0 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s != 0 && s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spacing(days: &[&str]) -> Spacing {
        let times: Vec<DateTime> = days.iter().map(|d| d.parse().unwrap()).collect();
        Spacing::find(&times, &[(0..times.len()).collect()]).unwrap()
    }

    fn next(days: &[&str]) -> String {
        let found = spacing(days);
        assert!((found.share - 1.0).abs() < 1e-12, "{found:?}");
        found.step.after(days.last().unwrap().parse().unwrap(), 1).unwrap().date().to_string()
    }

    #[test]
    fn the_calendar_goes_on() {
        assert_eq!(next(&["2022-10-01", "2022-11-01", "2022-12-01"]), "2023-01-01");
        assert_eq!(next(&["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]), "2024-04-30");
        assert_eq!(next(&["2023-03-31", "2023-06-30", "2023-09-30", "2023-12-31"]), "2024-03-31");
        assert_eq!(next(&["2019-02-28", "2020-02-28", "2021-02-28", "2022-02-28"]), "2023-02-28");
        assert_eq!(
            next(&["2022-12-28", "2022-12-29", "2022-12-30", "2023-01-02", "2023-01-03"]),
            "2023-01-04"
        );
        assert_eq!(next(&["2022-12-29", "2022-12-30", "2023-01-02", "2023-01-03"]), "2023-01-04");
        assert_eq!(next(&["2022-12-09", "2022-12-16", "2022-12-23"]), "2022-12-30");
        assert_eq!(next(&["2022-12-22", "2022-12-23", "2022-12-24"]), "2022-12-25");
    }

    #[test]
    fn missing_rows_are_whole_steps() {
        let time = |text: &str| text.parse::<DateTime>().unwrap();
        let month = Step::Months { count: 1, day: 31 };
        assert_eq!(month.between(time("2024-01-31"), time("2024-04-30")), Some(3));
        assert_eq!(month.between(time("2024-01-31"), time("2024-04-29")), None);
        assert_eq!(month.after(time("2024-03-31"), -1), Some(time("2024-02-29")));
        let quarter = Step::Months { count: 3, day: 1 };
        assert_eq!(quarter.between(time("2024-01-01"), time("2024-03-01")), None);
        let (friday, tuesday) = (time("2024-03-01T12:00"), time("2024-03-05T12:00"));
        assert_eq!(Step::BusinessDay.between(friday, tuesday), Some(2));
        assert_eq!(Step::BusinessDay.between(friday, time("2024-03-05")), None);
        assert_eq!(Step::BusinessDay.after(tuesday, -2), Some(friday));
        let hour = Step::Span(SignedDuration::from_hours(1));
        assert_eq!(hour.between(friday, tuesday), Some(96));
        assert_eq!(hour.after(tuesday, -96), Some(friday));
    }
}
