//! Numbers as most files write them: digits with at most one decimal point, such as `-12.50`. The text of such a number
//! is given back from its value and the count of its decimals.

/// Powers of ten that `f64` holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Most digits, so that they fit a word.
const MOST_DIGITS: usize = 19;

/// A number as it is written: a sign, and `digits / 10^decimals`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Written {
    /// Whether it begins with `-`.
    pub negative: bool,
    /// All digits, without the point.
    pub digits: u64,
    /// Digits after the point.
    pub decimals: u8,
}

impl Written {
    /// Reads the number at the start of `bytes`; also its length. `None` if there is none, or one that is written in
    /// another way: `007`, `+1`, `.5`, `1.`, with more than 19 digits or 22 decimals. What follows the number is not looked at.
    #[inline]
    pub fn scan(bytes: &[u8]) -> Option<(Self, usize)> {
        let negative = bytes.first() == Some(&b'-');
        let first = usize::from(negative);
        let mut at = first;
        let mut digits = 0u64;
        while let Some(digit) = bytes.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        let whole = at - first;
        if whole == 0 || (whole > 1 && bytes[first] == b'0') {
            return None;
        }
        let mut decimals = 0;
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            let point = at;
            while let Some(digit) = bytes.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
                digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
                at += 1;
            }
            decimals = at - point;
            if decimals == 0 {
                return None;
            }
        }
        let all = whole + decimals;
        // Zeros before the first other digit count for nothing.
        let fits = all <= MOST_DIGITS || {
            let leading = bytes[first..at].iter().take_while(|b| matches!(b, b'0' | b'.')).count();
            decimals < TENS.len() && all - leading.saturating_sub(1) <= MOST_DIGITS
        };
        fits.then_some((Self { negative, digits, decimals: decimals as u8 }, at))
    }

    /// The number that is all of `cell`.
    pub fn of(cell: &str) -> Option<Self> {
        Self::scan(cell.as_bytes()).filter(|(_, length)| *length == cell.len()).map(|(number, _)| number)
    }

    /// The nearest `f64`, if the text can be given back from it.
    pub fn value(self) -> Option<f64> {
        let size = if self.digits <= 1 << 53 {
            scaled(self.digits as f64, self.decimals)
        } else {
            self.text().trim_start_matches('-').parse().ok()?
        };
        (self.digits <= 1_000_000_000_000_000 || self.is_nearest(size)).then_some(if self.negative {
            -size
        } else {
            size
        })
    }

    /// Whether this is the nearest decimal number to `size` with as many decimals. With up to 15 digits it always is.
    fn is_nearest(self, size: f64) -> bool {
        let bits = size.to_bits();
        let (mantissa, exponent) = (bits & ((1 << 52) - 1) | (1 << 52), (bits >> 52) as i32 - 1075);
        let tens = 10u128.pow(u32::from(self.decimals));
        // |size - digits / tens| < 1 / (2 tens), without fractions. Both sides of the difference are near
        // mantissa * tens, which is below 2^127.
        if exponent >= 0 {
            return (u128::from(mantissa) << exponent) * tens == u128::from(self.digits);
        }
        let shift = exponent.unsigned_abs();
        let (exact, written) = (u128::from(mantissa) * tens, u128::from(self.digits) << shift);
        2 * exact.abs_diff(written) < 1 << shift
    }

    /// As it is written.
    pub fn text(self) -> String {
        let (digits, decimals) = (self.digits, usize::from(self.decimals));
        let mut text = format!("{digits:0width$}", width = decimals + 1);
        if decimals > 0 {
            text.insert(text.len() - decimals, '.');
        }
        if self.negative {
            text.insert(0, '-');
        }
        text
    }
}

/// `digits / 10^decimals`, correctly rounded if `digits` is whole and below 2^53: both operands are exact.
#[inline]
pub fn scaled(digits: f64, decimals: u8) -> f64 {
    digits / TENS[usize::from(decimals)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    #[test]
    fn other_ways_to_write_a_number_are_left_alone() {
        for text in [
            "",
            "-",
            "007",
            "-01",
            "+1",
            ".5",
            "5.",
            "1e5",
            "1,5",
            " 1",
            "1 ",
            "NaN",
            "inf",
            "0x1",
            "--1",
            "1.2.3",
            "12345678901234567890",
            "0.12345678901234567890",
        ] {
            assert_eq!(Written::of(text), None, "{text}");
        }
        assert_eq!(
            Written::scan(b"12.50;x"),
            Some((Written { negative: false, digits: 1250, decimals: 2 }, 5))
        );
    }

    fn check(text: &str) {
        let Some(written) = Written::of(text) else { panic!("{text}") };
        assert_eq!(written.text(), text);
        if let Some(value) = written.value() {
            assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
            assert_eq!(format!("{value:.*}", usize::from(written.decimals)), text);
        }
    }

    #[test]
    fn texts_come_back_from_values() {
        for text in
            ["0", "-0", "-0.00", "9007199254740993", "9999999999999999999", "0.1", "184467440737095516.5"]
        {
            check(text);
        }
        assert_eq!(Written::of("9007199254740993").unwrap().value(), None, "no f64 has this value");
        for x in [0.1f64 + 0.2, 1.0 / 3.0, 2f64.sqrt() * 1e3, 1e-3 / 7.0] {
            assert_eq!(
                Written::of(&x.to_string()).and_then(Written::value),
                Some(x),
                "the shortest text of {x}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn any_digits_come_back(text in "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?") {
            check(&text);
        }

        #[test]
        fn any_shortest_text_comes_back(x in 1e-6..1e6f64) {
            let text = x.to_string();
            if let Some(written) = Written::of(&text) {
                prop_assert_eq!(written.value(), Some(x));
                check(&text);
            }
        }
    }
}
