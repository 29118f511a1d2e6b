//! Trees from TOML and JSON.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{Entry, Error, Node, Value};

/// The key under which `toml` gives dates.
pub(super) const MOMENT: &str = "$__toml_private_datetime";

/// A TOML document that was parsed.
pub fn of_toml(document: Spanned<DeTable>) -> Node {
    let span = document.span();
    Node { span: Some(span), value: table(document.into_inner()) }
}

/// A TOML text.
///
/// # Errors
/// If it is none.
pub fn of_toml_text(text: &str) -> Result<Node, Error> {
    Ok(of_toml(DeTable::parse(text)?))
}

/// A JSON text.
///
/// # Errors
/// If it is none.
pub fn of_json(text: &str) -> Result<Node, serde_json::Error> {
    serde_json::from_str(text)
}

fn table(table: DeTable) -> Value {
    let entry = |(key, value): (Spanned<_>, _)| Entry {
        span: Some(key.span()),
        key: std::borrow::Cow::into_owned(key.into_inner()),
        node: node(value),
    };
    Value::Table(table.into_iter().map(entry).collect())
}

fn node(value: Spanned<DeValue>) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => integer(&number),
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(float) if float.is_finite() || !number.as_str().contains(|c: char| c.is_ascii_digit()) => {
                Value::Float(float)
            }
            _ => Value::Beyond("floating-point number overflowed"),
        },
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(moment) => Node::named(MOMENT, &moment.to_string()).value,
        DeValue::Array(list) => Value::List(list.into_iter().map(node).collect()),
        DeValue::Table(inner) => table(inner),
    };
    Node { span: Some(span), value }
}

fn integer(number: &DeInteger) -> Value {
    let (text, radix) = (number.as_str(), number.radix());
    if let Ok(value) = i64::from_str_radix(text, radix) {
        Value::Integer(value)
    } else if let Ok(value) = u64::from_str_radix(text, radix) {
        Value::Unsigned(value)
    } else if let Ok(value) = i128::from_str_radix(text, radix) {
        Value::Wide(value)
    } else {
        Value::Beyond("integer number overflowed")
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Makes nodes of what any deserializer finds.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Value::Bool(value).into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Value::Integer(value).into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Value::Unsigned(value), Value::Integer).into())
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Value::Wide(value).into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Value::Float(value).into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Value::Text(text.into()).into())
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Value::Text(text).into())
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Value::Null.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut nodes = vec![];
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes).into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let (mut entries, mut keys) = (vec![], BTreeSet::new());
        while let Some((key, node)) = map.next_entry::<String, Node>()? {
            if !keys.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("the key `{key}` is given twice")));
            }
            entries.push(Entry { key, span: None, node });
        }
        Ok(Value::Table(entries).into())
    }
}
