//! What the language means, in sentences.

mod conditions;
mod fuzz;
mod joins;
mod limits;
mod order;
mod refusals;
mod round_trips;
mod values;

use super::{Attribute, Condition, Filter, Query, QueryError, Test, Type, built_in_attribute};

/// A namespace with an attribute of each type.
fn attributes(name: &str) -> Option<Attribute> {
    let ty = match name {
        "Customer" | "order-id" | "Order" => Type::Keyword,
        "Tags" => Type::KeywordList,
        "Note" => Type::Text,
        "Count" => Type::Int,
        "Amount" => Type::Double,
        "Paid" => Type::Bool,
        "DueAt" => Type::Datetime,
        _ => return built_in_attribute(name),
    };
    Some(attribute(name, ty))
}

fn attribute(name: &str, ty: Type) -> Attribute {
    let name = name.to_owned();
    Attribute { name, ty }
}

fn parse(text: &str) -> Result<Query, QueryError> {
    super::parse(text, &attributes)
}

fn filter(text: &str) -> Filter {
    let query = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    query.filter.expect("the query has a filter")
}

fn condition(text: &str) -> Condition {
    match filter(text) {
        Filter::Condition(condition) => condition,
        other => panic!("{text} is not one condition: {other:?}"),
    }
}

fn test(text: &str) -> Test {
    condition(text).test
}

fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(query) => panic!("{text} is a query: {query:?}"),
        Err(error) => error.to_string(),
    }
}
