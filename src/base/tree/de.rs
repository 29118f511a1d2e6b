//! The deserializer. Each method is compiled for each type that is read by it, so none does more than it must.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Error as _, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::access::{List, Table, Variant};
use super::read::MOMENT;
use super::{Entry, Error, Node, Value};

impl Node {
    /// The error that another kind of value is expected.
    #[inline(never)]
    fn mismatch(&self, expected: &dyn Expected) -> Error {
        let wide;
        let found = match &self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Integer(value) => Unexpected::Signed(*value),
            Value::Unsigned(value) => Unexpected::Unsigned(*value),
            Value::Wide(value) => {
                wide = format!("integer `{value}` as i128");
                Unexpected::Other(&wide)
            }
            Value::Float(value) => Unexpected::Float(*value),
            Value::Text(text) => Unexpected::Str(text),
            Value::List(_) => Unexpected::Seq,
            Value::Table(entries) => match &entries[..] {
                [Entry { node: Self { value: Value::Text(moment), .. }, .. }] if is_moment(entries) => {
                    Unexpected::Other(moment)
                }
                _ => Unexpected::Map,
            },
            Value::Beyond(message) => return Error::new(*message, self.span.clone()),
        };
        Error::invalid_type(found, expected).within(self.span.clone())
    }
}

/// Whether the entries are those of a date.
fn is_moment(entries: &[Entry]) -> bool {
    matches!(entries, [Entry { key, .. }] if key == MOMENT)
}

/// Whether what reads a value wants a table, among other forms at most a name.
#[inline(never)]
fn is_for_table(expected: &dyn Expected) -> bool {
    let expected = expected.to_string();
    ["internally tagged enum", "a table such as", "a name such as"]
        .iter()
        .any(|form| expected.starts_with(form))
}

/// One of some names.
struct Names(&'static [&'static str]);

impl Expected for Names {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(12)];
        let more = if shown.len() < self.0.len() { ", ..." } else { "" };
        write!(f, "a name in quotes: {}{more}", shown.join(", "))
    }
}

/// Methods for numbers, which are read from any kind of number.
macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.value {
                Value::Integer(value) => visitor.visit_i64(value),
                Value::Unsigned(value) => visitor.visit_u64(value),
                Value::Float(value) => visitor.visit_f64(value),
                _ => Err(self.mismatch(&visitor)),
            }
        }
    )*};
}

/// Methods for texts.
macro_rules! texts {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.value {
                Value::Text(text) => visitor.visit_string(text),
                _ => Err(self.mismatch(&visitor)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Integer(value) => visitor.visit_i64(value),
            Value::Unsigned(value) => visitor.visit_u64(value),
            Value::Wide(value) => visitor.visit_i128(value),
            Value::Float(value) => visitor.visit_f64(value),
            Value::Text(text) => visitor.visit_string(text),
            // Tables with a name of their kind would be read from lists too, by position.
            Value::List(_) if is_for_table(&visitor) => Err(self.mismatch(&visitor)),
            Value::List(list) => List::visit(list, self.span, visitor),
            Value::Table(entries) => visitor.visit_map(Table::of(entries)),
            Value::Beyond(_) => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_f32 deserialize_f64
    }

    texts! { deserialize_char deserialize_str deserialize_string deserialize_identifier }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::List(list) => List::visit(list, self.span, visitor),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Table(entries) => visitor.visit_map(Table::of(entries)),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::Text(text) => {
                let name: StrDeserializer<Error> = text.as_str().into_deserializer();
                visitor.visit_enum(name)
            }
            Value::Table(entries) if !is_moment(&entries) => {
                visitor.visit_enum(Variant::of(entries, self.span)?)
            }
            _ => Err(self.mismatch(&Names(names))),
        }
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct ignored_any }
}
