//! The space that is searched.

use super::Setting;

/// Settings of a grid at most.
pub const MOST_OF_A_GRID: usize = 10_000;

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// Numbers from `low` to `high`, both included; with a step, `low`, `low + step`, ... up to `high`.
    Number {
        /// The least.
        low: f64,
        /// The largest.
        high: f64,
        /// Whether equal factors are equally likely, not equal distances.
        log: bool,
        /// Distance of neighbours.
        step: Option<f64>,
    },
    /// One of several things, by number from 0.
    Choice {
        /// How many.
        count: usize,
    },
}

/// A parameter exists only where another one, a choice, has one of these values.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The other parameter, which comes earlier.
    pub parent: usize,
    /// Numbers of its choices.
    pub allowed: Vec<usize>,
}

/// A parameter; conditions must all hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// What it may be.
    pub domain: Domain,
    /// Where it exists.
    pub when: Vec<Condition>,
}

impl Parameter {
    /// Whether it exists, given the values of the earlier parameters.
    pub fn exists(&self, earlier: &[Option<f64>]) -> bool {
        let holds = |condition: &Condition| {
            let chosen = earlier.get(condition.parent).copied().flatten();
            chosen.is_some_and(|value| condition.allowed.contains(&(value as usize)))
        };
        self.when.iter().all(holds)
    }
}

impl Domain {
    /// How many values it has; `None` without a step.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Choice { count } => Some(*count),
            // Rounding must not lose the upper end: 0.5 / 0.05 may be a little below 10.
            Self::Number { low, high, step, .. } => {
                step.map(|step| ((high - low) / step * (1.0 + 1e-12)) as usize + 1)
            }
        }
    }

    /// The value number `at` of a domain with a step, or of choices.
    pub fn value(&self, at: usize) -> f64 {
        match self {
            Self::Choice { .. } => at as f64,
            Self::Number { low, step, .. } => tidy(low + at as f64 * step.unwrap_or(0.0), 12),
        }
    }

    /// The ends of the axis on which numbers are drawn: logarithmic if the domain is, and with a step, half a step
    /// beyond both ends, so that each value has its share.
    pub(super) fn axis(&self) -> (f64, f64) {
        match self {
            Self::Choice { count } => (-0.5, *count as f64 - 0.5),
            Self::Number { low, high, log, step } => {
                let room = step.unwrap_or(0.0) / 2.0;
                let last = step.map_or(*high, |_| self.value(self.count().unwrap_or(1) - 1));
                let (low, high) = (low - room, last + room);
                if *log { (low.ln(), high.ln()) } else { (low, high) }
            }
        }
    }

    /// Where a value lies on the axis.
    pub(super) fn place(&self, value: f64) -> f64 {
        match self {
            Self::Number { log: true, .. } => value.ln(),
            _ => value,
        }
    }

    /// Where a value lies between the ends of the axis: from 0 to 1.
    pub fn part(&self, value: f64) -> f64 {
        let (low, high) = self.axis();
        ((self.place(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// The value at a place of the axis: the nearest one that the domain has, numbers without a step with six digits
    /// that count.
    pub(super) fn nearest(&self, place: f64) -> f64 {
        match self {
            Self::Choice { count } => place.round().clamp(0.0, *count as f64 - 1.0),
            Self::Number { low, high, log, step } => {
                let value = if *log { place.exp() } else { place };
                match step {
                    Some(step) => {
                        let last = self.count().unwrap_or(1) - 1;
                        self.value(((value - low) / step).round().clamp(0.0, last as f64) as usize)
                    }
                    None => tidy(value, 6).clamp(*low, *high),
                }
            }
        }
    }
}

/// A number with so many digits that count.
fn tidy(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

/// All settings of a space, the last parameter changing fastest.
///
/// # Errors
/// The number of a parameter without a step, or how many settings there are at least if they are more than
/// [`MOST_OF_A_GRID`].
pub fn grid(space: &[Parameter]) -> Result<Vec<Setting>, NoGrid> {
    let mut all: Vec<Setting> = vec![vec![]];
    for (number, parameter) in space.iter().enumerate() {
        let count = parameter.domain.count().ok_or(NoGrid::Endless { parameter: number })?;
        let mut longer = vec![];
        for setting in all {
            let values = if parameter.exists(&setting) { count } else { 1 };
            if longer.len() + values > MOST_OF_A_GRID {
                return Err(NoGrid::Large);
            }
            for at in 0..values {
                let value = parameter.exists(&setting).then(|| parameter.domain.value(at));
                longer.push([&setting[..], &[value]].concat());
            }
        }
        all = longer;
    }
    Ok(all)
}

/// Why there is no grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoGrid {
    /// A parameter has no step.
    Endless {
        /// Its number.
        parameter: usize,
    },
    /// More settings than [`MOST_OF_A_GRID`].
    Large,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(low: f64, high: f64, log: bool, step: Option<f64>) -> Domain {
        Domain::Number { low, high, log, step }
    }

    #[test]
    fn domains_reach_both_ends_and_nothing_beyond() {
        let dropout = number(0.0, 0.5, false, Some(0.05));
        assert_eq!(dropout.count(), Some(11));
        assert_eq!((dropout.value(3), dropout.value(10)), (0.15, 0.5), "no 0.15000000000000002");
        // 7 is not a step from 1.
        let odd = number(1.0, 8.0, false, Some(3.0));
        assert_eq!((odd.count(), odd.axis()), (Some(3), (-0.5, 8.5)));
        for domain in [dropout, odd, number(8.0, 512.0, true, Some(1.0)), number(1e-4, 0.1, true, None)] {
            let (low, high) = domain.axis();
            let Domain::Number { low: least, high: most, .. } = domain else { unreachable!() };
            assert_eq!(domain.nearest(low + 1e-12), least, "{domain:?}");
            assert_eq!(domain.nearest(low - 9.0), least, "{domain:?}");
            assert!(domain.nearest(high + 9.0) <= most && domain.nearest(high) > 0.8 * most, "{domain:?}");
        }
    }

    #[test]
    fn a_grid_has_conditional_values_where_they_exist() {
        let choice = Parameter { domain: Domain::Choice { count: 2 }, when: vec![] };
        let inner = Parameter {
            domain: number(1.0, 3.0, false, Some(1.0)),
            when: vec![Condition { parent: 0, allowed: vec![1] }],
        };
        let all = grid(&[choice.clone(), inner]).unwrap();
        let expected: Vec<Setting> = vec![
            vec![Some(0.0), None],
            vec![Some(1.0), Some(1.0)],
            vec![Some(1.0), Some(2.0)],
            vec![Some(1.0), Some(3.0)],
        ];
        assert_eq!(all, expected);
        let endless = Parameter { domain: number(0.0, 1.0, false, None), when: vec![] };
        assert_eq!(grid(&[choice.clone(), endless]), Err(NoGrid::Endless { parameter: 1 }));
        assert_eq!(grid(&vec![choice; 14]), Err(NoGrid::Large));
    }
}
