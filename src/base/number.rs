//! Numbers as written to JSON.

use serde::{Serialize, Serializer};

/// A number that serialises to JSON; non-finite values become the strings `"NaN"`, `"inf"` and `"-inf"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            x if x.is_finite() => serializer.serialize_f64(x),
            x if x.is_nan() => serializer.serialize_str("NaN"),
            x if x > 0.0 => serializer.serialize_str("inf"),
            _ => serializer.serialize_str("-inf"),
        }
    }
}

/// Named numbers in a fixed order, serialised as a JSON object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers(pub Vec<(&'static str, f64)>);

impl Numbers {
    /// Returns the number with this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, x)| *x)
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, x)| (name, Number(*x))))
    }
}

/// Whether `x` is positive and finite, in the kernels' single precision too.
pub fn is_positive(x: f64) -> bool {
    x as f32 > 0.0 && (x as f32).is_finite()
}

/// A number in few characters: `12 000`, `0.0125`, `3e-7`.
pub fn figure(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-4..1e6).contains(&size) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let digits = if size >= 1000.0 { 0 } else { (3 - size.log10().floor() as i32).clamp(0, 7) as usize };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}
