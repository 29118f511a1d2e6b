//! JSON in which no object has a key twice. `serde_json` takes the last of them, and says nothing.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::tree::Node;

/// A value whose objects have every key once, as in a tree.
pub struct Unique(pub Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node::deserialize(deserializer)?.read().map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        let text = r#"{"a": [1, -2, 1.5, 1e300, 18446744073709551615], "b": {"a": null, "c": "x\n", "d": true}, "e": {}}"#;
        let Unique(found) = serde_json::from_str(text).unwrap();
        assert_eq!(found, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_key_given_twice_is_refused_with_its_place() {
        for text in [r#"{"a": 1, "b": 2, "a": 3}"#, "[1,\n{\"b\": {\"a\": 1, \"a\": 1}}]"] {
            let error = serde_json::from_str::<Unique>(text).err().unwrap().to_string();
            assert!(error.contains("the key `a` is given twice at line"), "{error}");
        }
    }
}
