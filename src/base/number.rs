//! Numbers as written to JSON.

use serde::{Serialize, Serializer};

/// A number that serialises to JSON; non-finite values become the strings `"NaN"`, `"inf"` and `"-inf"`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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

/// Numbers as [`Number`]s.
pub fn numbers(values: &[f64]) -> Vec<Number> {
    values.iter().map(|&x| Number(x)).collect()
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

/// A number for display with four significant digits, whatever its size: `0.9825`, `12.35`, `70213`,
/// `7.800e-12`.
pub fn shown(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let rounded = format!("{x:.3e}");
    let exponent = rounded.split_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
    if (-4..7).contains(&exponent) {
        let decimals = usize::try_from(3 - exponent).unwrap_or(0);
        return format!("{x:.decimals$}");
    }
    rounded
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

/// The number of half precision (IEEE 754 binary16) with these bits.
pub fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

/// The bits of the number of half precision nearest to `x`, ties to even. Finite numbers beyond 65,504, the largest,
/// become that; infinity and NaN stay what they are.
pub fn to_half(x: f32) -> u16 {
    let bits = x.to_bits();
    let (sign, size) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    let found = match size {
        0x7f80_0001.. => 0x7e00,
        0x7f80_0000 => 0x7c00,
        0x477f_e000.. => 0x7bff,
        0x3880_0000.. => ((size + 0xfff + (size >> 13 & 1)) >> 13) - (112 << 10),
        ..0x3300_0000 => 0,
        // Multiples of 2^-24.
        _ => {
            let (mantissa, shift) = (size & 0x7f_ffff | 0x80_0000, 126 - (size >> 23));
            let (whole, rest, tie) = (mantissa >> shift, mantissa & ((1 << shift) - 1), 1 << (shift - 1));
            whole + u32::from(rest > tie || (rest == tie && whole & 1 == 1))
        }
    };
    sign | found as u16
}

/// The number whose upper half these bits are (bfloat16).
pub fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_the_nearest_number() {
        for bits in (0..0x7c00).chain(0x8000..0xfc00) {
            let x = half(bits);
            assert_eq!(to_half(x), bits, "{x}");
            // Between this number and the next larger one, on both sides of the middle and on it.
            let next = half(bits + 1);
            if !next.is_finite() {
                continue;
            }
            let middle = f64::midpoint(f64::from(x), f64::from(next)) as f32;
            let even = if bits & 1 == 0 { bits } else { bits + 1 };
            assert_eq!(to_half(middle), even, "{middle}");
            let above = f32::from_bits(middle.to_bits() + 1);
            let below = f32::from_bits(middle.to_bits() - 1);
            assert_eq!([to_half(below), to_half(above)], [bits, bits + 1], "{middle}");
        }
        for (x, bits) in [
            (f32::INFINITY, 0x7c00),
            (f32::NEG_INFINITY, 0xfc00),
            (1e30, 0x7bff),
            (-65_519.0, 0xfbff),
            (65_535.0, 0x7bff),
            (1e-30, 0),
            (-1e-30, 0x8000),
            (f32::from_bits(1), 0),
        ] {
            assert_eq!(to_half(x), bits, "{x}");
        }
        assert!(half(to_half(f32::NAN)).is_nan());
    }

    #[test]
    fn numbers_are_shown_with_four_digits_that_count() {
        for (x, text) in [
            (0.98246, "0.9825"),
            (1.0, "1.000"),
            (9.99996, "10.00"),
            (-12.3456, "-12.35"),
            (70_213.4, "70213"),
            (0.000_123_46, "0.0001235"),
            (7.8e-12, "7.800e-12"),
            (2.5e9, "2.500e9"),
            (0.0, "0"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(shown(x), text);
        }
    }
}
