//! What a query says, once it is read.

use std::fmt;

use history::SearchAttributeType;

/// Which runs are listed, and in which order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// Which runs; all if there is none.
    pub filter: Option<Filter>,
    /// By what they are ordered: one attribute at most.
    pub order: Vec<Order>,
}

/// Which runs are listed.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Those that each of these takes; at least two, none of them an `And`.
    And(Vec<Filter>),
    /// Those that one of these takes; at least two, none of them an `Or`.
    Or(Vec<Filter>),
    /// Those that this does not take.
    Not(Box<Filter>),
    /// Those whose attribute passes a test.
    Condition(Condition),
}

/// A test of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is tested.
    pub attribute: Attribute,
    /// How; its values are of the attribute's type.
    pub test: Test,
}

/// What an attribute must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Equal to a value, or before or behind it.
    Compare(Comparison, Value),
    /// One of these; at least one.
    In(Vec<Value>),
    /// None of these; at least one.
    NotIn(Vec<Value>),
    /// From the first to the second, both included.
    Between(Value, Value),
    /// Before the first or behind the second.
    NotBetween(Value, Value),
    /// Absent.
    IsNull,
    /// Present.
    IsNotNull,
    /// A text that begins so.
    StartsWith(String),
    /// A text that does not begin so.
    NotStartsWith(String),
}

impl Test {
    /// Returns the test that passes where this one does not. Neither passes where the attribute is absent, but for those that ask for that.
    #[must_use]
    pub fn complement(&self) -> Self {
        match self.clone() {
            Self::Compare(comparison, value) => Self::Compare(comparison.complement(), value),
            Self::In(values) => Self::NotIn(values),
            Self::NotIn(values) => Self::In(values),
            Self::Between(from, to) => Self::NotBetween(from, to),
            Self::NotBetween(from, to) => Self::Between(from, to),
            Self::IsNull => Self::IsNotNull,
            Self::IsNotNull => Self::IsNull,
            Self::StartsWith(prefix) => Self::NotStartsWith(prefix),
            Self::NotStartsWith(prefix) => Self::StartsWith(prefix),
        }
    }
}

impl Comparison {
    fn complement(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }
}

/// How an attribute is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`; a `KeywordList` holds the value, a `Text` has one of its words.
    Equal,
    /// `!=`, `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// By what runs are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The attribute; neither `Text` nor `KeywordList`.
    pub attribute: Attribute,
    /// Which end comes first.
    pub direction: Direction,
}

/// Which end of an order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The smallest.
    Ascending,
    /// The largest.
    Descending,
}

/// A search attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name, as queries write it.
    pub name: String,
    /// What its values are.
    pub ty: Type,
}

/// What the values of an attribute are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// A text that is compared as a whole.
    Keyword,
    /// Several of these.
    KeywordList,
    /// A text that is searched for words.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// True or false.
    Bool,
    /// A moment.
    Datetime,
    /// How a run stands: `ExecutionStatus`.
    Status,
    /// A time span: `ExecutionDuration`.
    Duration,
}

impl From<SearchAttributeType> for Type {
    fn from(ty: SearchAttributeType) -> Self {
        match ty {
            SearchAttributeType::Text => Self::Text,
            SearchAttributeType::Keyword => Self::Keyword,
            SearchAttributeType::Int => Self::Int,
            SearchAttributeType::Double => Self::Double,
            SearchAttributeType::Bool => Self::Bool,
            SearchAttributeType::Datetime => Self::Datetime,
            SearchAttributeType::KeywordList => Self::KeywordList,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A value, of the type of the attribute that it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a `Keyword`, or one of a `KeywordList`.
    Keyword(String),
    /// Of an `Int`.
    Int(i64),
    /// Of a `Double`; finite.
    Double(f64),
    /// Of a `Bool`.
    Bool(bool),
    /// Of a `Datetime`, in microseconds since the epoch.
    Datetime(i64),
    /// Temporal's number of a status, from 1 to 7.
    Status(u8),
    /// Of a `Duration`, in nanoseconds.
    Duration(i64),
    /// The words of a `Text` in lower case; at least one.
    Words(Vec<String>),
}
