//! Lists, tables and their keys, one after the other.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Entry, Error, Node, Span, Value};

/// The values of a list.
pub(super) struct List(std::vec::IntoIter<Node>);

impl List {
    /// What a visitor makes of a list that stands at `span`.
    ///
    /// # Errors
    /// If it leaves some of its values.
    pub(super) fn visit<'de, V: Visitor<'de>>(
        list: Vec<Node>,
        span: Option<Span>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let length = list.len();
        let mut list = Self(list.into_iter());
        let value = visitor.visit_seq(&mut list)?;
        match list.0.len() {
            0 => Ok(value),
            left => Err(too_many(length, length - left, span)),
        }
    }
}

/// The error that a list of `length` values has more than are read.
#[inline(never)]
fn too_many(length: usize, read: usize, span: Option<Span>) -> Error {
    let expected = format!("a list of {read}");
    Error::invalid_length(length, &expected.as_str()).within(span)
}

impl<'de> SeqAccess<'de> for &mut List {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.0.next() else { return Ok(None) };
        let span = node.span.clone();
        seed.deserialize(node).map(Some).map_err(|error| error.within(span))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The keys and values of a table.
pub(super) struct Table {
    entries: std::vec::IntoIter<Entry>,
    /// The value whose key was read.
    node: Option<Node>,
}

impl Table {
    pub(super) fn of(entries: Vec<Entry>) -> Self {
        Self { entries: entries.into_iter(), node: None }
    }
}

impl<'de> MapAccess<'de> for Table {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(Entry { key, span, node }) = self.entries.next() else { return Ok(None) };
        self.node = Some(node);
        seed.deserialize(Key(&key)).map(Some).map_err(|error| error.within(span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let node = self.node.take().unwrap_or_else(|| Value::Null.into());
        let span = node.span.clone();
        seed.deserialize(node).map_err(|error| error.within(span))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// The name of a variant, and its value.
pub(super) struct Variant {
    key: String,
    span: Option<Span>,
    node: Node,
}

impl Variant {
    /// The only entry of a table.
    ///
    /// # Errors
    /// If it has another number of them.
    pub(super) fn of(mut entries: Vec<Entry>, span: Option<Span>) -> Result<Self, Error> {
        match (entries.pop(), entries.is_empty()) {
            (Some(Entry { key, span, node }), true) => Ok(Self { key, span, node }),
            (None, _) => Err(Error::new("wanted exactly 1 element, found 0 elements", span)),
            _ => Err(Error::new("wanted exactly 1 element, more than 1 element", span)),
        }
    }
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Error;
    type Variant = Node;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Node), Error> {
        let Self { key, span, node } = self;
        let found = seed.deserialize(Key(&key)).map_err(|error| error.within(span))?;
        Ok((found, node))
    }
}

impl<'de> VariantAccess<'de> for Node {
    type Error = Error;

    /// A name that has no value stands alone.
    fn unit_variant(self) -> Result<(), Error> {
        Err(Error::invalid_type(Unexpected::Map, &"a name in quotes"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let span = self.span.clone();
        seed.deserialize(self).map_err(|error| error.within(span))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::List(list) if list.len() == len => List::visit(list, self.span, visitor),
            Value::List(_) => Err(Error::new(format!("expected tuple with length {len}"), self.span)),
            _ => Err(self.no_table()),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let span = self.span.clone();
        self.deserialize_map(visitor).map_err(|error| error.within(span))
    }
}

impl Node {
    /// The error that the value of a variant is no table.
    fn no_table(&self) -> Error {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Integer(_) | Value::Unsigned(_) | Value::Wide(_) | Value::Beyond(_) => "integer",
            Value::Float(_) => "float",
            Value::Text(_) => "string",
            Value::List(_) => "array",
            Value::Table(_) => "table",
        };
        Error::new(format!("expected table, found {found}"), self.span.clone())
    }
}

/// A key of a table.
struct Key<'a>(&'a str);

/// Methods for keys that are numbers.
macro_rules! numbers {
    ($($method:ident: $visit:ident,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.0.parse().map_err(Error::custom)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    numbers! {
        deserialize_bool: visit_bool,
        deserialize_i8: visit_i8,
        deserialize_i16: visit_i16,
        deserialize_i32: visit_i32,
        deserialize_i64: visit_i64,
        deserialize_u8: visit_u8,
        deserialize_u16: visit_u16,
        deserialize_u32: visit_u32,
        deserialize_u64: visit_u64,
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name: StrDeserializer<Error> = self.0.into_deserializer();
        visitor.visit_enum(name)
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}
