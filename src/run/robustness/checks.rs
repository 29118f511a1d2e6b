//! Whether attacks found what there is to find. A model whose gradients lead nowhere looks robust and is not
//! (Athalye, Carlini, Wagner 2018, "Obfuscated gradients give a false sense of security").

use crate::explain::found::{Check, Strengths};

/// How much better a metric may become against expectation, relative to its range of values: chance.
const SLACK: f64 = 0.01;

/// The checks of attacks; `flat` of `rows` rows have no gradient.
pub(super) fn checks(attacks: &[Strengths], larger: bool, flat: usize, rows: usize) -> Vec<Check> {
    let mut checks = vec![];
    if attacks.is_empty() {
        return checks;
    }
    let worse = |value: f64| if larger { -value } else { value };
    let all = attacks.iter().flat_map(|of| of.values.iter().map(|x| x.0)).filter(|x| x.is_finite());
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    let slack = SLACK * (high - low).max(0.0);
    for norm in ["linf", "l2"] {
        let of = |change: &str| attacks.iter().find(|of| of.norm == Some(norm) && of.change == change);
        let (Some(noise), Some(fgsm), Some(pgd)) = (of("noise"), of("fgsm"), of("pgd")) else { continue };
        let falls: Vec<String> = pgd
            .values
            .windows(2)
            .zip(pgd.strengths.windows(2))
            .filter(|(values, _)| worse(values[1].0) < worse(values[0].0) - slack)
            .map(|(_, radii)| format!("from {} to {}", radii[0], radii[1]))
            .collect();
        checks.push(check(format!("{norm}: pgd grows no weaker with the radius"), falls));
        for (strong, than) in [(pgd, fgsm), (pgd, noise), (fgsm, noise)] {
            let weaker: Vec<String> = strong
                .values
                .iter()
                .zip(&than.values)
                .zip(&strong.strengths)
                .filter(|((a, b), _)| worse(a.0) < worse(b.0) - slack)
                .map(|(_, radius)| format!("at {radius}"))
                .collect();
            checks
                .push(check(format!("{norm}: {} is no weaker than {}", strong.change, than.change), weaker));
        }
    }
    let holds = flat * 100 <= rows;
    let detail = if holds { String::new() } else { format!("{flat} of {rows} rows have none") };
    checks.push(Check { what: "the loss has a gradient at the rows".into(), holds, detail });
    checks
}

fn check(what: String, exceptions: Vec<String>) -> Check {
    Check { what, holds: exceptions.is_empty(), detail: exceptions.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::number::numbers;

    #[test]
    fn a_weak_attack_is_noticed() {
        let of = |change, values: &[f64]| Strengths {
            change,
            norm: Some("linf"),
            strengths: vec![0.1, 0.2],
            values: numbers(values),
            losses: numbers(values),
        };
        let good = [of("noise", &[0.9, 0.9]), of("fgsm", &[0.5, 0.3]), of("pgd", &[0.4, 0.1])];
        assert!(checks(&good, true, 0, 100).iter().all(|check| check.holds));
        let masked = [of("noise", &[0.9, 0.5]), of("fgsm", &[0.9, 0.8]), of("pgd", &[0.7, 0.8])];
        let failed: Vec<bool> = checks(&masked, true, 50, 100).iter().map(|check| check.holds).collect();
        // Monotone, pgd and fgsm, pgd and noise, fgsm and noise, gradients.
        assert_eq!(failed, [false, true, false, false, false]);
    }
}
