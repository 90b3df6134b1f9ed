//! Values, each read as the type of its attribute says.

use history::{Status, rfc3339, search_attribute};

use super::{
    Attribute, Type, Value, duration,
    error::Problem,
    lexer::{Kind, Token},
};

/// Returns what a literal means for an attribute.
pub(super) fn read(attribute: &Attribute, literal: &Token<'_>) -> Result<Value, Problem> {
    let value = match &literal.kind {
        Kind::Text(text) => quoted(attribute.ty, text),
        Kind::Word => bare(attribute.ty, literal.written),
        Kind::Name(_) | Kind::Sign | Kind::End => None,
    };
    value.ok_or_else(|| unfit(attribute, literal))
}

fn quoted(ty: Type, text: &str) -> Option<Value> {
    match ty {
        Type::Keyword | Type::KeywordList => Some(Value::Keyword(text.to_owned())),
        Type::Text => words(text).map(Value::Words),
        Type::Datetime => moment(text).map(Value::Datetime),
        Type::Status => status(text).map(Value::Status),
        Type::Duration => duration::nanoseconds(text).map(Value::Duration),
        Type::Int | Type::Double | Type::Bool => None,
    }
}

fn bare(ty: Type, text: &str) -> Option<Value> {
    match ty {
        Type::Int => text.parse().ok().map(Value::Int),
        Type::Double => {
            let number = text.parse().ok();
            number
                .filter(|number: &f64| number.is_finite())
                .map(Value::Double)
        }
        Type::Bool => [("true", true), ("false", false)]
            .into_iter()
            .find_map(|(word, value)| {
                word.eq_ignore_ascii_case(text)
                    .then_some(Value::Bool(value))
            }),
        Type::Datetime => {
            let nanoseconds: i64 = text.parse().ok()?;
            Some(Value::Datetime(nanoseconds.div_euclid(1000)))
        }
        Type::Status => {
            let number: u8 = text.parse().ok()?;
            Status::numbered(i32::from(number)).map(|_| Value::Status(number))
        }
        Type::Duration => text.parse().ok().map(Value::Duration),
        Type::Keyword | Type::KeywordList | Type::Text => None,
    }
}

fn words(text: &str) -> Option<Vec<String>> {
    let words: Vec<String> = search_attribute::words(text).collect();
    (!words.is_empty()).then_some(words)
}

fn moment(text: &str) -> Option<i64> {
    rfc3339::read(text).map(|moment| moment.0)
}

/// Returns all statuses, in the order of Temporal's numbers, from 1.
fn statuses() -> impl Iterator<Item = Status> {
    (1..).map_while(Status::numbered)
}

/// Reads `TimedOut` and, as protobuf has it, `WORKFLOW_EXECUTION_STATUS_TIMED_OUT`.
fn status(text: &str) -> Option<u8> {
    let name = text.replace('_', "").to_ascii_lowercase();
    let name = name
        .strip_prefix("workflowexecutionstatus")
        .unwrap_or(&name);
    (1..)
        .zip(statuses())
        .find_map(|(number, known)| known.as_str().eq_ignore_ascii_case(name).then_some(number))
}

/// Returns the problem of what stands where a value should.
pub(super) fn unfit(attribute: &Attribute, literal: &Token<'_>) -> Problem {
    let Attribute { name, ty } = attribute;
    let shown = literal.shown();
    let no_value = format!("{shown} is no value of the {ty} attribute `{name}`");
    let expected = format!("write {}", expected(*ty));
    let (what, advice) = match &literal.kind {
        Kind::End => ("a value is missing".to_owned(), expected),
        Kind::Sign => (format!("a value is missing before {shown}"), expected),
        Kind::Word if literal.is_keyword() => {
            (format!("a value is missing before {shown}"), expected)
        }
        Kind::Word if quoted(*ty, literal.written).is_some() => (
            format!("{shown} is not in quotes"),
            "put it in quotes".to_owned(),
        ),
        Kind::Text(text) if bare(*ty, text).is_some() => {
            (no_value, "leave out the quotes".to_owned())
        }
        Kind::Word | Kind::Text(_) | Kind::Name(_) => (no_value, expected),
    };
    Problem::new(literal.at, what, advice)
}

/// Returns what a value looks like, in words.
pub(super) fn expected(ty: Type) -> String {
    let example = example(ty);
    match ty {
        Type::Keyword | Type::KeywordList => format!("a text in quotes, such as {example}"),
        Type::Text => format!("one or more words in quotes, such as {example}"),
        Type::Int => format!("a whole number of at most 64 bits, such as {example}"),
        Type::Double => format!("a number, such as {example}"),
        Type::Bool => "true or false".to_owned(),
        Type::Datetime => {
            format!("a time such as {example}, or the nanoseconds since 1970 as a whole number")
        }
        Type::Status => {
            let names: Vec<_> = statuses().map(Status::as_str).collect();
            format!("one of '{}'", names.join("', '"))
        }
        Type::Duration => format!("a duration such as {example}, or a whole number of nanoseconds"),
    }
}

/// Returns a value as a query writes it.
pub(super) fn example(ty: Type) -> &'static str {
    match ty {
        Type::Keyword | Type::KeywordList => "'order-7'",
        Type::Text => "'late delivery'",
        Type::Int => "42",
        Type::Double => "4.2",
        Type::Bool => "true",
        Type::Datetime => "'2026-02-03T04:05:06Z'",
        Type::Status => "'Running'",
        Type::Duration => "'1h30m'",
    }
}
