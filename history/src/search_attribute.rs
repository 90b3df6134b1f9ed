//! What search attributes may be: their types, and their values as they are compared.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    command::Command,
    event::SearchAttributes,
    limits::{SEARCH_ATTRIBUTE_BYTES_MAX, SEARCH_ATTRIBUTES_BYTES_MAX, SEARCH_ATTRIBUTES_MAX},
    payload::Payload,
    rfc3339,
    time::Timestamp,
};

/// What the values of a search attribute are. Temporal: `IndexedValueType`, and its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SearchAttributeType {
    /// A text that is searched for words.
    Text = 1,
    /// A text that is compared as a whole.
    Keyword = 2,
    /// A whole number of 64 bits.
    Int = 3,
    /// A number.
    Double = 4,
    /// True or false.
    Bool = 5,
    /// A moment.
    Datetime = 6,
    /// Several texts that are compared as a whole.
    KeywordList = 7,
}

impl SearchAttributeType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Text,
        Self::Keyword,
        Self::Int,
        Self::Double,
        Self::Bool,
        Self::Datetime,
        Self::KeywordList,
    ];

    /// Returns Temporal's number.
    pub fn number(self) -> i16 {
        self as i16
    }

    /// Returns the type of that number.
    pub fn numbered(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.number() == number)
    }

    /// Returns the type of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let is_named = |ty: &Self| ty.to_string().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(is_named)
    }

    /// Reads a value; `None` where it is `null`, which takes the attribute away.
    ///
    /// # Errors
    /// When it is of another type, or too large.
    pub fn read(self, payload: &Payload) -> Result<Option<SearchAttributeValue>, Misfit> {
        use SearchAttributeValue as V;
        if payload.is_null() {
            return Ok(None);
        }
        if payload.data.len() > SEARCH_ATTRIBUTE_BYTES_MAX {
            return Err(Misfit::TooLarge(payload.data.len()));
        }
        let value = match self {
            Self::Text => payload.read().map(V::Text).ok(),
            Self::Keyword => payload.read().map(V::Keyword).ok(),
            Self::Int => payload.read().map(V::Int).ok(),
            Self::Double => payload
                .read()
                .ok()
                .filter(|number| *number != 0.0 || is_zero(&payload.data))
                .map(V::Double),
            Self::Bool => payload.read().map(V::Bool).ok(),
            Self::Datetime => payload
                .read::<String>()
                .ok()
                .and_then(|text| rfc3339::read(&text))
                .map(V::Datetime),
            Self::KeywordList => payload.read().map(V::KeywordList).ok(),
        };
        let value = value.ok_or(Misfit::OtherType(self))?;
        if value.texts().any(|text| text.contains('\0')) {
            return Err(Misfit::Nul);
        }
        Ok(Some(value))
    }
}

impl fmt::Display for SearchAttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A value of a search attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchAttributeValue {
    /// Of a `Text`.
    Text(String),
    /// Of a `Keyword`.
    Keyword(String),
    /// Of an `Int`.
    Int(i64),
    /// Of a `Double`; finite, as JSON has no other.
    Double(f64),
    /// Of a `Bool`.
    Bool(bool),
    /// Of a `Datetime`.
    Datetime(Timestamp),
    /// Of a `KeywordList`.
    KeywordList(Vec<String>),
}

impl SearchAttributeValue {
    fn texts(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::Text(text) | Self::Keyword(text) => std::slice::from_ref(text),
            Self::KeywordList(texts) => texts,
            Self::Int(_) | Self::Double(_) | Self::Bool(_) | Self::Datetime(_) => &[],
        }
        .iter()
    }
}

/// Says whether a number is zero as it is written: one that is only read as such is too small to be one. With an exponent of more than three digits
/// it is nothing that a database would take.
fn is_zero(json: &[u8]) -> bool {
    let mut parts = json.split(|byte| matches!(byte, b'e' | b'E'));
    let is_nought = |digits: &[u8]| !digits.iter().any(|byte| matches!(byte, b'1'..=b'9'));
    parts.next().is_some_and(is_nought) && parts.next().is_none_or(|exponent| exponent.len() <= 4)
}

/// Returns the words of a text as they are searched for: in lower case, without what is neither letter nor digit.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// Why a value is none of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It is of another type.
    #[error("is not {}", example(*.0))]
    OtherType(SearchAttributeType),
    /// It has too many bytes.
    #[error("has {0} bytes; the most is {SEARCH_ATTRIBUTE_BYTES_MAX}")]
    TooLarge(usize),
    /// It has a character that no text in the database can have.
    #[error("has the character U+0000, which can't be stored; leave it out")]
    Nul,
}

/// Says in words what a value of a type is.
fn example(ty: SearchAttributeType) -> &'static str {
    match ty {
        SearchAttributeType::Text => "a Text, a JSON string",
        SearchAttributeType::Keyword => "a Keyword, a JSON string",
        SearchAttributeType::Int => "an Int, a whole number of 64 bits",
        SearchAttributeType::Double => "a Double, a number",
        SearchAttributeType::Bool => "a Bool, true or false",
        SearchAttributeType::Datetime => "a Datetime, a string such as \"2026-02-03T04:05:06Z\"",
        SearchAttributeType::KeywordList => "a KeywordList, a list of JSON strings",
    }
}

/// Why search attributes are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSearchAttributes {
    /// The namespace has no attribute of that name.
    #[error("the namespace has no search attribute {0}: declare it first, with its type")]
    Unknown(String),
    /// A value does not fit.
    #[error("search attribute {name} {misfit}")]
    Misfit {
        /// Of this attribute.
        name: String,
        /// Why.
        misfit: Misfit,
    },
    /// There are too many.
    #[error("a run has {0} search attributes; the most is {SEARCH_ATTRIBUTES_MAX}")]
    TooMany(usize),
    /// They are too large.
    #[error(
        "the search attributes of a run have {0} bytes; the most is {SEARCH_ATTRIBUTES_BYTES_MAX}"
    )]
    TooLarge(usize),
}

/// Holds search attributes against what a namespace has declared.
///
/// # Errors
/// When one of them is not declared, or not of its type, or they are too many or too large.
pub fn check(
    attributes: &SearchAttributes,
    declared: impl Fn(&str) -> Option<SearchAttributeType>,
) -> Result<(), BadSearchAttributes> {
    if attributes.len() > SEARCH_ATTRIBUTES_MAX {
        return Err(BadSearchAttributes::TooMany(attributes.len()));
    }
    let bytes = attributes.iter();
    let bytes = bytes
        .map(|(name, value)| name.len() + value.data.len())
        .sum();
    if bytes > SEARCH_ATTRIBUTES_BYTES_MAX {
        return Err(BadSearchAttributes::TooLarge(bytes));
    }
    for (name, value) in attributes {
        let ty = declared(name).ok_or_else(|| BadSearchAttributes::Unknown(name.clone()))?;
        ty.read(value)
            .map_err(|misfit| BadSearchAttributes::Misfit {
                name: name.clone(),
                misfit,
            })?;
    }
    Ok(())
}

/// The same, for all that workflow code asks for at once.
///
/// # Errors
/// Likewise, for the first command that has such attributes.
pub fn check_commands(
    commands: &[Command],
    declared: impl Fn(&str) -> Option<SearchAttributeType>,
) -> Result<(), BadSearchAttributes> {
    for command in commands {
        if let Some(attributes) = of_command(command) {
            check(attributes, &declared)?;
        }
    }
    Ok(())
}

/// Says whether any of these commands has search attributes.
pub fn are_in(commands: &[Command]) -> bool {
    let mut of = commands.iter().filter_map(of_command);
    of.any(|attributes| !attributes.is_empty())
}

/// Returns the search attributes that a command has.
fn of_command(command: &Command) -> Option<&SearchAttributes> {
    use Command as C;
    match command {
        C::UpsertWorkflowSearchAttributes { search_attributes } => Some(search_attributes),
        C::StartChildWorkflowExecution(child) => Some(&child.search_attributes),
        C::ContinueAsNewWorkflowExecution(next) => Some(&next.search_attributes),
        C::ScheduleActivityTask(_)
        | C::RequestCancelActivityTask { .. }
        | C::StartTimer { .. }
        | C::CancelTimer { .. }
        | C::CompleteWorkflowExecution { .. }
        | C::FailWorkflowExecution { .. }
        | C::CancelWorkflowExecution { .. }
        | C::RecordMarker { .. }
        | C::SignalExternalWorkflowExecution { .. }
        | C::RequestCancelExternalWorkflowExecution { .. }
        | C::ModifyWorkflowProperties { .. }
        | C::ProtocolMessage { .. }
        | C::ScheduleNexusOperation { .. }
        | C::RequestCancelNexusOperation { .. } => None,
    }
}
