//! How much memory a training step may take for what its backward pass needs, and what saving some costs.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whether a training step computes parts of its forward pass again instead of keeping them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// It keeps all that the backward pass needs.
    #[default]
    Off,
    /// It takes as little memory as a third more arithmetic can buy.
    Auto,
    /// It computes as little again as makes its intermediate values fit these bytes.
    Within(u64),
}

/// What computing intermediate values once more, and half precision for those that wait, save and cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Saved {
    /// Bytes of the intermediate values of a training step.
    pub activation_bytes: u64,
    /// The same, if all that the backward pass needs were kept in single precision.
    pub plain_activation_bytes: u64,
    /// Floating-point operations of the phases that compute gradients.
    pub flops: u64,
    /// The same, if nothing were computed again or converted.
    pub plain_flops: u64,
    /// Parts of the forward pass that are computed again.
    pub parts: usize,
    /// Whether values wait in half precision.
    pub halves: bool,
}

/// The units of sizes.
const UNITS: [(&str, u64); 6] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
];

impl Recompute {
    /// Whether anything may be computed again.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

impl FromStr for Recompute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = "expected \"off\", \"auto\" or the memory for intermediate values such as \"512 MiB\" \
                       (GiB, MiB, KiB, GB, MB or kB)";
        let size = || {
            let (unit, bytes) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
            let number: f64 = text[..text.len() - unit.len()].trim().parse().ok()?;
            let total = number * *bytes as f64;
            (1.0..1e18).contains(&total).then_some(total as u64)
        };
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            _ => size().map(Self::Within).ok_or_else(|| format!("{allowed}; found \"{text}\"")),
        }
    }
}

impl fmt::Display for Recompute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Auto => f.write_str("auto"),
            Self::Within(bytes) => {
                let whole = UNITS.iter().find(|(_, unit)| bytes.is_multiple_of(*unit));
                match whole {
                    Some((name, unit)) => write!(f, "{} {name}", bytes / unit),
                    None => write!(f, "{} kB", *bytes as f64 / 1000.0),
                }
            }
        }
    }
}

impl Serialize for Recompute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Recompute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = toml::Value::deserialize(deserializer)?;
        let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Recompute {
    fn schema_name() -> Cow<'static, str> {
        "Recompute".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(off|auto|[0-9.]+ *(GiB|MiB|KiB|GB|MB|kB))$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in
            [("512 MiB", 512 << 20), ("1.5GiB", 3 << 29), ("20 MB", 20_000_000), ("1 kB", 1000)]
        {
            let read: Recompute = text.parse().unwrap();
            assert_eq!(read, Recompute::Within(bytes), "{text}");
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
        let odd = Recompute::Within(1_234_567);
        assert_eq!(odd.to_string().parse(), Ok(odd));
        for wrong in ["", "on", "MiB", "-3 MB", "0 MB", "1e300 GB", "NaN MB", "5"] {
            assert!(wrong.parse::<Recompute>().unwrap_err().contains("\"512 MiB\""), "{wrong}");
        }
    }
}
