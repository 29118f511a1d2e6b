//! The messages of an ONNX file, by hand: those parts of `onnx.proto` (IR versions 3 to 13) that models of this
//! program have, and what is read of those that others made. Field numbers are those of the specification; what
//! the file's checker tells from a missing field is optional here.

use prost::{Message, Oneof};

/// Element types of tensors.
pub mod element {
    /// Single precision.
    pub const FLOAT: i32 = 1;
    /// Unsigned bytes.
    pub const UINT8: i32 = 2;
    /// Signed bytes.
    pub const INT8: i32 = 3;
    /// 16-bit integers from 0 up.
    pub const UINT16: i32 = 4;
    /// 16-bit integers.
    pub const INT16: i32 = 5;
    /// 32-bit integers.
    pub const INT32: i32 = 6;
    /// 64-bit integers.
    pub const INT64: i32 = 7;
    /// UTF-8 strings.
    pub const STRING: i32 = 8;
    /// Truth values.
    pub const BOOL: i32 = 9;
    /// Half precision.
    pub const FLOAT16: i32 = 10;
    /// Double precision.
    pub const DOUBLE: i32 = 11;
    /// 32-bit integers from 0 up.
    pub const UINT32: i32 = 12;
    /// 64-bit integers from 0 up.
    pub const UINT64: i32 = 13;
    /// The upper half of a single-precision number.
    pub const BFLOAT16: i32 = 16;
}

/// Kinds of attributes.
pub mod kind {
    /// A number.
    pub const FLOAT: i32 = 1;
    /// An integer.
    pub const INT: i32 = 2;
    /// A string.
    pub const STRING: i32 = 3;
    /// Numbers.
    pub const FLOATS: i32 = 6;
    /// Integers.
    pub const INTS: i32 = 7;
    /// Strings.
    pub const STRINGS: i32 = 8;
}

/// A whole file.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    /// Version of the format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// The program that wrote it.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// What the model does, for people.
    #[prost(string, tag = "6")]
    pub doc_string: String,
    /// The graph.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// The operator sets it uses.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
    /// Named texts.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<Entry>,
    /// Operators that are written as others.
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Function>,
}

/// An operator that is written as others.
#[derive(Clone, PartialEq, Message)]
pub struct Function {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Names of its operands.
    #[prost(string, repeated, tag = "4")]
    pub input: Vec<String>,
    /// Names of its results.
    #[prost(string, repeated, tag = "5")]
    pub output: Vec<String>,
    /// Names of attributes without a default.
    #[prost(string, repeated, tag = "6")]
    pub attribute: Vec<String>,
    /// What it is written as.
    #[prost(message, repeated, tag = "7")]
    pub node: Vec<Node>,
    /// The operator sets these are of.
    #[prost(message, repeated, tag = "9")]
    pub opset_import: Vec<OperatorSet>,
    /// Its own operator set.
    #[prost(string, tag = "10")]
    pub domain: String,
    /// Attributes with a default.
    #[prost(message, repeated, tag = "11")]
    pub attribute_proto: Vec<Attribute>,
}

/// A version of an operator set.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    /// Empty for the standard operators.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Its version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A named text.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The text.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Nodes in topological order.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// The nodes.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    /// Name of the graph.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constant tensors.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    /// What it does.
    #[prost(string, tag = "10")]
    pub doc_string: String,
    /// What goes in.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// What comes out.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
    /// What its exporter knew of values in between.
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfo>,
    /// Constant tensors of which most elements are 0; their contents are not read.
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializer: Vec<Sparse>,
}

/// A tensor of which most elements are 0.
#[derive(Clone, PartialEq, Message)]
pub struct Sparse {
    /// Its other elements.
    #[prost(message, optional, tag = "1")]
    pub values: Option<Tensor>,
}

/// An operation.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// Names of its operands; empty for those left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of its results.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its own name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Its attributes.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    /// Its operator set; empty for the standard operators.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// A named attribute with one value.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A number.
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// An integer.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// A string.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// A tensor.
    #[prost(message, optional, tag = "5")]
    pub t: Option<Tensor>,
    /// A graph.
    #[prost(message, optional, tag = "6")]
    pub g: Option<Graph>,
    /// Numbers.
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    /// Integers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// Strings.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// Which of them it has ([`kind`]).
    #[prost(int32, tag = "20")]
    pub r#type: i32,
    /// In a function: the attribute of the function that it takes its value from.
    #[prost(string, tag = "21")]
    pub ref_attr_name: String,
}

impl Attribute {
    /// Whether it is of a type, one of [`kind`]; where it does not say of which, by what it has.
    pub fn is(&self, kind: i32) -> bool {
        if self.r#type != 0 {
            return self.r#type == kind;
        }
        let has = [
            (kind::FLOAT, self.f.is_some()),
            (kind::INT, self.i.is_some()),
            (kind::STRING, self.s.is_some()),
            (kind::FLOATS, !self.floats.is_empty()),
            (kind::INTS, !self.ints.is_empty()),
            (kind::STRINGS, !self.strings.is_empty()),
        ];
        // An empty list has nothing.
        has.contains(&(kind, true)) || has.iter().all(|(_, has)| !has)
    }
}

/// A constant tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// Extents.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// [`element`]
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Elements of single precision.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// Elements of at most 32 bits, half precision among them.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// Elements that are strings.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub string_data: Vec<Vec<u8>>,
    /// 64-bit integers.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Other elements, little-endian.
    #[prost(bytes = "vec", optional, tag = "9")]
    pub raw_data: Option<Vec<u8>>,
    /// Elements of double precision.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// Integers from 0 up.
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    /// Where its elements lie: `location`, `offset` and `length`.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Entry>,
    /// 1 if they lie in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// An input or output.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
    /// What it means.
    #[prost(string, tag = "3")]
    pub doc_string: String,
}

/// The type of a value.
#[derive(Clone, PartialEq, Message)]
pub struct Type {
    /// That of a tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

/// The type of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    /// [`element`]
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Its shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// The shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    /// Its extents.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// An extent.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// A number or a name.
    #[prost(oneof = "Extent", tags = "1, 2")]
    pub value: Option<Extent>,
}

/// A number or a name.
#[derive(Clone, PartialEq, Oneof)]
pub enum Extent {
    /// Known.
    #[prost(int64, tag = "1")]
    Value(i64),
    /// The same wherever it has this name.
    #[prost(string, tag = "2")]
    Name(String),
}
